"""A container with `--gpus` on the CT, run and measured as organisers do."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from eval.benchmark.gpu_check.rungs import Rung, failed, judged, skipped
from eval.benchmark.gpu_check.timed_programs import MOST_S, TimedPrograms
from eval.eval_errors import JudgingError
from eval.measuring.container_process import ContainerOptions
from eval.measuring.container_run import ContainerCase, check_removed, output_name, run_case
from eval.measuring.docker_client import check_image
from eval.measuring.efficiency import Status
from eval.measuring.trace import GPU, OWN_RAM
from model.labels import FLARE23

CHECK = "container"
CONTEXT_MB = 100.0
"""Least GPU memory in MiB that CUDA takes: one that adds less did not use the GPU."""
ENDING = ".nii.gz"
MEMORY = "28g"
"""What organisers give containers on a machine with a GPU."""


@dataclass(frozen=True, kw_only=True)
class ContainerCheck:
    """A check of an image that docker has."""

    programs: TimedPrograms
    image: str
    """As docker knows it."""
    ct: Path
    folder: Path
    """For its label map and log."""

    def rung(self) -> Rung:
        """Run a new container on the CT."""
        if self.programs.over:
            return skipped(CHECK, self.image, self.programs.over)
        if not self.ct.name.endswith(ENDING):
            return skipped(CHECK, self.image, f"takes {ENDING} files, the CT is {self.ct.name}")
        if shutil.which("docker") is None:
            return skipped(CHECK, self.image, "there is no docker command")
        try:
            check_image(self.image)
        except JudgingError as error:
            return skipped(CHECK, self.image, str(error))
        self.folder.mkdir(parents=True, exist_ok=True)
        output, log = self.folder / output_name(self.ct), self.folder / "container.log"
        case = ContainerCase(image=self.ct, output=output, log=log)
        limit_s = min(MOST_S, self.programs.left_s)
        options = ContainerOptions(
            image=self.image,
            memory=MEMORY,
            gpu=self.programs.gpu,
            limit_s=limit_s,
            labels=FLARE23,
        )
        try:
            result = run_case(case, options)
            check_removed(result)
        except JudgingError as error:
            return failed(CHECK, self.image, str(error))
        if result.status is Status.TIMEOUT and limit_s < MOST_S and self.programs.over:
            return skipped(CHECK, self.image, self.programs.over)
        trace = result.trace
        added_mb = trace.peak(GPU) - trace.baseline(GPU)
        figures = {
            "wall s": f"{trace.duration_s:.1f}",
            "GPU MiB added": f"{added_mb:.0f}",
            "device MB·s": f"{trace.integral(GPU):.0f}",
            "RAM MiB": f"{trace.peak(OWN_RAM):.0f}",
        }
        self.programs.say(f"container: {result.status}, {trace.duration_s:.1f} s")
        if result.status is not Status.OK:
            return failed(CHECK, self.image, f"{result.status}: {result.remark}", figures)
        # Written so that NaN, no samples, is a fault.
        used = added_mb >= CONTEXT_MB
        faults = [] if used else [f"did not use the GPU, whose memory grew by {added_mb:.0f} MiB"]
        return judged(CHECK, self.image, faults, figures)
