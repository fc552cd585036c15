"""The whole recipe for one case: a volume goes in, labels on its own grid come out.

| step | grid | what |
|---|---|---|
| turn | input | axes to canonical S, P, L |
| localize | low resolution | box around the organs |
| networks | model | resample and normalize, windows x members to class probabilities, slab by slab |
| restore | input, in the box | interpolate probabilities, take the winner, slab by slab |
| clean up | input | left/right, connected parts, small tumors |
| turn back | input | axes as stored |
"""

import numpy as np
from numpy.typing import NDArray

from inference.components import clean_up
from inference.ensemble import Group, Mean, Pass, Stream, grouped
from inference.geometry import Box, Geometry
from inference.images import ModelImage
from inference.intensity import ImageStatistics, image_statistics
from inference.laterality import split_pairs
from inference.localization import organ_mask, region_of_interest
from inference.restoration import Restorer
from inference.runtime import Backend, Device, Precision, Session, Settings, open_session, select_backend
from inference.strategy import Relevance
from inference.timing import Timings
from inference.volume import Volume, crop, to_canonical
from model.bundle import ModelBundle
from model.manifest import Member

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


class Predictor:
    """A bundle whose networks are loaded, ready for any number of cases, one at a time."""

    def __init__(
        self, bundle: ModelBundle, *, device: Device | Backend = "auto", threads: int = 0, precision: Precision | None = None
    ) -> None:
        """Open a session for every network of the bundle.

        Args:
            bundle: manifest and files.
            device: see `runtime.select_backend`.
            threads: CPU threads of the networks; 0 leaves the number to the library.
            precision: `fp32` forbids what the manifest allows; None does not.

        Raises:
            DeviceError: the device is not there, or a network cannot be loaded on it.
        """
        self.manifest = bundle.manifest
        self.backend = select_backend(device)
        self._sessions: dict[str, Session] = {}
        for network in self.manifest.networks().values():
            # Two members may share a file, each with its own preprocessing.
            if network.file not in self._sessions:
                self._sessions[network.file] = open_session(
                    bundle.path_of(network), self.backend, Settings(threads=threads, precision=precision or network.precision)
                )

    def predict(self, volume: Volume, timings: Timings) -> U8:
        """Label ids (z, y, x) on the volume's own grid, in its stored axis order.

        Args:
            volume: as read.
            timings: collects the seconds of each step.
        """
        canonical, orientation = to_canonical(volume)
        statistics = image_statistics(canonical.array) if self._needs_statistics() else None
        with timings.stage("localize"):
            box = self._region(canonical, statistics)
        channels = np.zeros(canonical.geometry.size_zyx, np.uint8)
        self._segment(crop(canonical, box), statistics, channels[box.slices], timings)
        with timings.stage("clean up"):
            labels = self._structures(channels, canonical.geometry)
        return np.ascontiguousarray(orientation.undo(labels))

    def close(self) -> None:
        """Give back the networks' memory; the predictor cannot be used any more."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _needs_statistics(self) -> bool:
        return any(network.intensity.scheme == "zscore" for network in self.manifest.networks().values())

    def _region(self, canonical: Volume, statistics: ImageStatistics | None) -> Box:
        localization = self.manifest.localization
        size = canonical.geometry.size_zyx
        if localization is None:
            return Box(start_zyx=(0, 0, 0), stop_zyx=size)
        image = ModelImage(canonical, localization, statistics)
        organs = organ_mask(image, localization, self._sessions[localization.file])
        return region_of_interest(organs, size, canonical.geometry.spacing_zyx_mm, localization.margin_mm, localization.crop_axes)

    def _segment(self, region: Volume, statistics: ImageStatistics | None, out: U8, timings: Timings) -> None:
        """Write channel indices of a region, slab by slab, into a view of the canonical label map."""
        stream = self._stream(region, statistics)
        restorer = Restorer(stream.grid_zyx, out, self.manifest.output.activation)
        slabs = stream.slabs(0, stream.grid_zyx[0])
        while True:
            with timings.stage("networks"):
                slab = next(slabs, None)
            if slab is None:
                return
            with timings.stage("restore"):
                restorer.add(slab)

    def _stream(self, region: Volume, statistics: ImageStatistics | None) -> Stream:
        """All members at work on a region."""
        streams = [self._group(members, region, statistics) for members in grouped(self.manifest.members)]
        return streams[0] if len(streams) == 1 else Mean(streams)

    def _group(self, members: list[Member], region: Volume, statistics: ImageStatistics | None) -> Group:
        images: dict[object, ModelImage] = {}

        def work(member: Member) -> Pass:
            image = images.setdefault((member.intensity, member.interpolation), ModelImage(region, member, statistics))
            air = image.air() if member.skip_air and self.manifest.modality == "CT" else None
            return Pass(member=member, image=image, session=lambda: self._sessions[member.file], relevant=Relevance(air=air))

        output = self.manifest.output
        return Group(passes=[work(member) for member in members], channels=output.channels, activation=output.activation)

    def _structures(self, channels: U8, geometry: Geometry) -> U8:
        """Label ids from channel indices: left and right split, clean-up rules applied."""
        output = self.manifest.output
        labels = split_pairs(channels, geometry, output)
        return clean_up(labels, geometry.spacing_zyx_mm, self.manifest.postprocessing or {}, output.as_label_set())
