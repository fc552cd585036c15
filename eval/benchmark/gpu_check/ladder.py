"""The whole ladder, from whether CUDA loads to a container; what a rung needs stands below it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.benchmark.gpu_check.bundle_networks import CheckedBundle
from eval.benchmark.gpu_check.container_rung import ContainerCheck
from eval.benchmark.gpu_check.engine_rungs import EngineChecks
from eval.benchmark.gpu_check.network_rungs import NetworkChecks
from eval.benchmark.gpu_check.rungs import Ending, Rung, skipped
from eval.benchmark.gpu_check.timed_programs import TimedPrograms

NO_CUDA = "CUDA does not load, see providers"


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """What is checked, and within which time."""

    programs: TimedPrograms
    bundles: Sequence[CheckedBundle]
    """The first is that of the container."""
    ct: Path
    """File or folder that `predict.py` is given."""
    channels: int | None
    """Images of the CT's case; None for those of a folder, which `predict.py` counts."""
    container: str
    """Image as docker knows it."""
    output: Path
    """Folder for label maps."""

    def climb(self) -> Iterator[Rung]:
        """All rungs in order; what matters most comes first, should the time be over."""
        networks = NetworkChecks(programs=self.programs)
        providers = networks.providers(self.bundles[0])
        yield providers
        if providers.ending is Ending.FAILED:
            yield from (skipped("networks and whole runs", each.name, NO_CUDA) for each in self.bundles)
        else:
            for bundle in self.bundles:
                yield from networks.on_cuda(bundle)
            for bundle in self.bundles:
                yield from self._engine(bundle)
        # The container brings an onnxruntime of its own.
        yield ContainerCheck(
            programs=self.programs, image=self.container, ct=self.ct, folder=self.output / "container"
        ).rung()
        if providers.ending is Ending.PASSED:
            for bundle in self.bundles:
                yield from networks.on_tensorrt(bundle)

    def _engine(self, bundle: CheckedBundle) -> Iterator[Rung]:
        if self.channels is not None and bundle.channels != self.channels:
            why = f"takes {bundle.channels} images a case, the CT has {self.channels}; give one with --image"
            yield skipped("whole runs", bundle.name, why)
            return
        yield from EngineChecks(
            programs=self.programs, bundle=bundle, ct=self.ct, labels=self.output / "labels"
        ).all()
