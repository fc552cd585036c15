"""A volume as the networks look at it: turned, and cropped to what is not 0."""

from dataclasses import dataclass, replace

from inference.geometry import Box
from inference.imaging.orientation import AS_IT_IS, OF_RAS, Orientation
from inference.imaging.volume import Volume, crop, foreground_box, to_canonical, turned
from inference.postprocessing.midline import Midline, body_middle
from inference.preprocessing.intensity import nonzero_filled
from model.manifest.document import Manifest
from model.manifest.intensity import needs_mask


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """One case, in the orientations that matter."""

    canonical: Volume
    """Turned to S, P, L."""
    orientation: Orientation
    """What turns it back to the stored order."""
    volume: Volume
    """Turned as the networks want it, not cropped."""
    looked_at: Orientation
    """What turns that to canonical."""
    box: Box
    """What cropping leaves of it."""

    @property
    def cropped(self) -> Volume:
        """What the networks may see."""
        return crop(self.volume, self.box)

    def middle(self, manifest: Manifest) -> Midline | None:
        """The body's middle, for merged pairs without an aorta to go by; HU are needed to see the body."""
        output, ct = manifest.output, manifest.ct_channel
        written = {output.structure_of(channel) for channel in output.structures}
        if ct is None or not any(pair.merged in written for pair in output.pairs):
            return None
        return body_middle(self.canonical.channels[ct], self.canonical.geometry)


def view_case(volume: Volume, manifest: Manifest) -> CaseView:
    """Turn a volume, as read, as the networks of a manifest look at it, and find what cropping leaves."""
    canonical, orientation = to_canonical(volume)
    steps = manifest.preprocessing
    seen, looked_at = {
        "canonical": (canonical, AS_IT_IS),
        "stored": (volume, orientation),
        "ras": (turned(canonical, OF_RAS), OF_RAS),
    }[steps.orientation]
    box = Box(start_zyx=(0, 0, 0), stop_zyx=seen.geometry.size_zyx)
    if steps.crop != "none":
        box = foreground_box(seen, positive=steps.crop == "positive", margin=steps.crop_margin)
    networks = manifest.networks().values()
    if any(needs_mask(each) for network in networks for each in manifest.intensities_of(network)):
        seen = replace(seen, filled=nonzero_filled(seen.channels))
    return CaseView(canonical=canonical, orientation=orientation, volume=seen, looked_at=looked_at, box=box)
