"""Run a new container of a submission on one case, as organisers do, and find out how it ended."""

import errno
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import atomic_path, case_of
from eval.measuring.container_log import WINDOWS_LINES, complaint_in, shows_windows_lines
from eval.measuring.container_process import ContainerOptions, ContainerProcess
from eval.measuring.docker_client import check_gpu, check_image, new_name
from eval.measuring.efficiency import CaseEfficiency, Status, sampling_remark
from eval.measuring.output_check import judge_output
from eval.measuring.sampler import Sampler, SamplerOptions
from eval.measuring.trace import OOM_KILLS
from model.case_names import printable

KILLED = 137
"""Exit code of a process that was killed."""


@dataclass(frozen=True, kw_only=True)
class ContainerCase:
    """One image, and the files of its results."""

    image: Path
    """The image, which is copied into the container's inputs."""
    output: Path
    """Label map to write; written only if it is valid and the container ended well."""
    log: Path
    """File for the container's output."""


def output_name(image: Path) -> str:
    """Name of an image's label map: CASE.nii.gz for CASE_0000.nii.gz."""
    return f"{case_of(image.name)}.nii.gz"


def run_case(case: ContainerCase, options: ContainerOptions) -> CaseEfficiency:
    """Run a new container on one image and check the label map that it wrote.

    A container that docker does not remove is named in the result; see `check_removed`.

    Raises:
        JudgingError: docker does not work, no longer has the image or cannot give it the GPU, for which the
            submission is not to blame.
    """
    with tempfile.TemporaryDirectory(prefix="leanseg-case-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "inputs").mkdir()
        (folder / "outputs").mkdir()
        # A submission chooses the user of its container; organisers let any user write to the folder too.
        folder.chmod(0o755)
        (folder / "outputs").chmod(0o777)
        shutil.copyfile(case.image, folder / "inputs" / case.image.name)
        run = ContainerProcess(options=options, folder=folder, name=new_name(options.prefix))
        with (
            case.log.open("wb", buffering=0) as log,
            Sampler(SamplerOptions(gpu=options.gpu, container=True)) as sampler,
        ):
            run.go(log, sampler.watch)
        trace = sampler.trace(run.start_s, run.end_s)
        status, remark = _ending(run, case, folder, trace.counters.get(OOM_KILLS))
        if status is Status.OK:
            status, remark = _collect(folder / "outputs" / case.output.name, case.output, remark)
        stumbled = status in (Status.FAILED, Status.NO_OUTPUT) and shows_windows_lines(case.log)
        parts = (remark, WINDOWS_LINES if stumbled else "", run.unanswered, sampling_remark(trace))
        remarks = printable("; ".join(part for part in parts if part))
        return CaseEfficiency(
            name=case.output.name,
            status=status,
            exit_code=run.exit_code,
            remark=remarks,
            trace=trace,
            stable_gpu_peak=options.stable_gpu_peak,
            left_container=run.name if run.left else "",
        )


def _collect(written: Path, output: Path, remark: str) -> tuple[Status, str]:
    """Copy a valid label map to where results are kept; how the case ended by that, and its fault.

    What the case has written may fill the disk, to which its folder's removal puts an end.
    """
    try:
        with atomic_path(output) as temporary:
            shutil.copyfile(written, temporary)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return Status.FAILED, "beside what it has written, the disk has no room left to keep its label map"
    return Status.OK, remark


def check_removed(result: CaseEfficiency) -> None:
    """Let no further container be measured beside one that docker has not removed.

    Raises:
        JudgingError: the container of this case may still be running.
    """
    if result.left_container:
        raise JudgingError(
            f"{result.name}: its container {result.left_container} may still be running, docker does not "
            f"remove it; restart docker, docker rm --force {result.left_container}, then run again "
            "(eval container goes on with --resume)"
        )


def _ending(
    run: ContainerProcess, case: ContainerCase, folder: Path, kills: float | None
) -> tuple[Status, str]:
    """How a case ended, and its fault.

    Args:
        run: its container.
        case: its files.
        folder: holds what the container had as inputs and outputs.
        kills: processes of it that the kernel had killed for memory when last asked; None if nobody asked.

    Raises:
        JudgingError: docker does not work, no longer has the image or cannot give it the GPU.
    """
    killed = int(kills or 0)
    said = complaint_in(case.log)
    if run.never_started:
        check_image(run.options.image)
        if run.options.gpu is not None:
            check_gpu(run.options.image, run.options.gpu)
        return Status.FAILED, f"docker could not start it: {said}"
    if run.overfull:
        return Status.FAILED, run.overfull
    if run.stopped:
        return Status.TIMEOUT, f"stopped after {run.options.limit_s:g} s"
    # The container's own counter is gone with it, often before its last rise was read, and some engines miss
    # what killed it; the machine's counter stays, and that it is this machine the first counter shows.
    was_not_memory = run.out_of_memory is False and kills == 0 and run.machine_kills == 0
    if run.out_of_memory or (run.exit_code == KILLED and not was_not_memory):
        return Status.OUT_OF_MEMORY, f"killed, as docker does beyond {run.options.memory} of memory"
    workers = f"{killed} of its processes {'was' if killed == 1 else 'were'} killed for memory"
    if run.exit_code:
        why = f"exit code {run.exit_code}{' (killed)' if run.exit_code == KILLED else ''}: {said}"
        return (Status.OUT_OF_MEMORY, f"{workers}; {why}") if killed else (Status.FAILED, why)
    for place in ("inputs", "outputs"):
        with suppress(OSError):  # A container may have closed what is its owner's, who runs this program.
            (folder / place).chmod(0o755)
    intruders = [path.name for path in (folder / "inputs").iterdir() if path.name != case.image.name]
    if intruders:
        return Status.FAILED, f"wrote {min(intruders)} into inputs/, which disqualifies"
    status, remark = judge_output(folder / "outputs" / case.output.name, case.image, run.options.labels)
    if killed:
        ended = status if status is Status.OK else Status.OUT_OF_MEMORY
        return ended, "; ".join(part for part in (workers, remark) if part)
    unknown = "its exit code is not known, the engine does not tell it" if run.exit_code is None else ""
    return status, "; ".join(part for part in (unknown, remark) if part)
