"""Run a new container of a submission on one case, as organisers do, and find out how it ended."""

import errno
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from eval.eval_errors import JudgingError
from eval.files import atomic_path, case_of
from eval.measuring.container_log import LogPump, complaint_in
from eval.measuring.disk_use import disk_use_mb
from eval.measuring.docker_client import PREFIX, check_image, docker, new_name
from eval.measuring.efficiency import CaseEfficiency, Status, sampling_remark
from eval.measuring.output_check import judge_output
from eval.measuring.probes import machine_oom_kills
from eval.measuring.sampler import Sampler, SamplerOptions
from eval.measuring.trace import OOM_KILLS, STOPPED_S
from model.case_names import printable
from model.labels import LabelSet

EVENT_S = 5.0
"""Longest wait for docker's list of events that have happened already."""
DISK_LIMIT_MB = 8192.0
"""MiB that a case may write, unless somebody says otherwise; some keep intermediate files in outputs/."""
LOOK_S = 1.0
"""Seconds between two looks at what a container has written."""
KILLED = 137
"""Exit code of a process that was killed."""
NO_CONTAINER = "no such"
"""In what docker and podman say of a container, or object, that is not there."""
DOCKER_FAILED = 125
"""Exit code with which docker reports a failure of its own."""
NOT_STARTED = ("created", "initialized")
"""States of a container of which no process has run."""
LOCKS = (
    "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges", "--pids-limit", "4096", "--log-driver", "none",
)  # fmt: skip
"""What a container may not do, unless it is run as the organisers do. Docker keeps no log of its own, which
would grow with all that the container says."""


@dataclass(frozen=True, kw_only=True)
class ContainerOptions:
    """Options of all containers of a submission."""

    image: str
    """Name of the image, as docker knows it."""
    memory: str
    """Memory limit in docker's notation, e.g. 28g."""
    gpu: str | None = None
    """Index or UUID of the GPU that containers get; None for none."""
    official: bool = False
    """Whether containers are run exactly as the organisers do; otherwise they are locked down."""
    limit_s: float = 3600.0
    """Seconds after which a case is stopped."""
    disk_limit_mb: float = DISK_LIMIT_MB
    """MiB that a case may write into its folders, above which it is stopped."""
    labels: LabelSet
    """Labels that a valid label map may hold."""
    cpus: str | None = None
    """Number of processors that containers get, in docker's notation; None for all."""
    memory_swap: str | None = None
    """Limit of memory and swap together, in docker's notation; None for docker's default."""
    hides_exit_codes: bool = False
    """Whether the engine returns 0 for a container that removes itself, whatever its exit code was."""
    stable_gpu_peak: bool = False
    """Whether the peak of GPU memory is the highest stable value, as FLARE22 had it."""
    prefix: str = PREFIX
    """What names of containers begin with, by which a later run knows those that were left behind."""


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


def command(options: ContainerOptions, name: str, folder: Path) -> list[str]:
    """The command line that runs a container named `name` on `folder`/inputs and `folder`/outputs."""
    inputs, outputs = f"{folder}/inputs/:/workspace/inputs/", f"{folder}/outputs/:/workspace/outputs/"
    start, end = ["docker", "container", "run"], [options.image, "/bin/bash", "-c", "sh predict.sh"]
    gpus = [] if options.gpu is None else [f"--gpus=device={options.gpu}"]
    swap = [] if options.memory_swap is None else ["--memory-swap", options.memory_swap]
    cpus = [] if options.cpus is None else ["--cpus", options.cpus]
    limits = ["-m", options.memory, *swap, *cpus, *gpus, "--name", name]
    if options.official:
        shared = [] if options.gpu is None else ["--shm-size=28gb"]
        return [*start, *shared, *limits, "--rm", "-v", inputs, "-v", outputs, *end]
    return [*start, *LOCKS, *limits, "-v", f"{inputs}:ro", "-v", outputs, *end]


def run_case(case: ContainerCase, options: ContainerOptions) -> CaseEfficiency:
    """Run a new container on one image and check the label map that it wrote.

    A container that docker does not remove is named in the result; see `check_removed`.

    Raises:
        JudgingError: docker does not work, or no longer has the image, for which the submission is not to
            blame.
    """
    with tempfile.TemporaryDirectory(prefix="leanseg-case-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "inputs").mkdir()
        (folder / "outputs").mkdir()
        # A submission chooses the user of its container; organisers let any user write to the folder too.
        folder.chmod(0o755)
        (folder / "outputs").chmod(0o777)
        shutil.copyfile(case.image, folder / "inputs" / case.image.name)
        run = _Run(options=options, folder=folder, name=new_name(options.prefix))
        with (
            case.log.open("wb", buffering=0) as log,
            Sampler(SamplerOptions(gpu=options.gpu, container=True)) as sampler,
        ):
            run.go(log, sampler.watch)
        trace = sampler.trace(run.start_s, run.end_s)
        status, remark = _ending(run, case, folder, trace.counters.get(OOM_KILLS))
        if status is Status.OK:
            status, remark = _collect(folder / "outputs" / case.output.name, case.output, remark)
        parts = (remark, run.unanswered, sampling_remark(trace))
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


@dataclass
class _Run:
    """One container, from its start to its removal."""

    options: ContainerOptions
    folder: Path
    name: str
    start_s: float = 0.0
    end_s: float = 0.0
    exit_code: int | None = None
    """Exit code of the container; None if it was stopped, or if nobody knows it."""
    stopped: bool = False
    """Whether the time limit was over."""
    overfull: bool = False
    """Whether it has written more than it may."""
    out_of_memory: bool | None = None
    """Whether docker says that it was killed for memory; None if docker does not say."""
    machine_kills: int | None = None
    """Processes of this whole machine that were killed for memory in the meantime; None if nobody counts."""
    unanswered: str = ""
    """What docker was asked after the end and did not answer; empty if it always did."""
    left: bool = False
    """Whether the container may still be running, since docker did not remove it."""
    _seen: bool = False
    """Whether docker has shown the container as running or ended."""
    _refused: bool = False
    """Whether docker has made the container and then could not start it."""

    def go(self, log: BinaryIO, watch: Callable[[int], None]) -> None:
        """Run the container, stop it after the time limit, and remove it in any case."""
        follower = threading.Thread(target=self._follow, args=(watch,), daemon=True)
        pump = LogPump(log)
        killed_before = machine_oom_kills()
        self.start_s = time.monotonic()
        client = subprocess.Popen(
            command(self.options, self.name, self.folder),
            stdout=pump.writing,
            stderr=pump.writing,
            stdin=subprocess.DEVNULL,
        )
        try:
            pump.start()
            follower.start()
            self._wait(client)
        finally:
            self.end_s = time.monotonic()
            killed = machine_oom_kills()
            if killed is not None and killed_before is not None:
                self.machine_kills = killed - killed_before
            try:
                if self.exit_code is not None:
                    self._look_back()
                self._remove()
                with suppress(subprocess.TimeoutExpired):
                    client.wait(STOPPED_S)
            finally:
                client.kill()
                client.wait()
                pump.finish(STOPPED_S)
                if follower.is_alive():
                    follower.join(STOPPED_S)

    def _wait(self, client: subprocess.Popen[bytes]) -> None:
        """Wait for the container's end, for the time limit, or until it has written more than it may."""
        until_s = self.start_s + self.options.limit_s
        allowed_mb = disk_use_mb(self.folder) + self.options.disk_limit_mb
        while self.exit_code is None and not self.stopped and not self.overfull:
            try:
                self.exit_code = client.wait(max(0.0, min(LOOK_S, until_s - time.monotonic())))
            except subprocess.TimeoutExpired:
                self.stopped = time.monotonic() >= until_s
            self.overfull = disk_use_mb(self.folder) > allowed_mb

    def _follow(self, watch: Callable[[int], None]) -> None:
        """Pass the container's first process to `watch` as soon as it runs."""
        with suppress(JudgingError, OSError, subprocess.SubprocessError, ValueError):
            while not self.end_s:
                state = docker(
                    "container", "inspect", "--format", "{{.State.Pid}} {{.Id}}", self.name
                ).stdout.split()
                if len(state) == 2 and int(state[0]) > 0:
                    break
                time.sleep(0.05)
            else:
                return
            self._seen = True
            # If docker runs on another machine, or in a virtual one, the number means another process here.
            if state[1] in Path(f"/proc/{state[0]}/cgroup").read_text(encoding="utf-8"):
                watch(int(state[0]))

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str] | None:
        """What docker answers; None if it does not, which is the engine's fault and not that of the case."""
        try:
            return docker(*arguments)
        except JudgingError as error:
            self.unanswered = str(error)
            return None

    def _remove(self) -> None:
        """Remove the container, with a second attempt, and find out whether it may still be running."""
        for _ in range(2):
            removed = self._ask("rm", "--force", self.name)
            if removed is not None and removed.returncode == 0:
                return
            # A container that removed itself is no longer there to be removed, for which docker returns 1.
            state = removed and self._ask("container", "inspect", "--format", "{{.State.Running}}", self.name)
            if state and self._is_gone(state):
                return
        self.left = True

    def _is_gone(self, state: subprocess.CompletedProcess[str]) -> bool:
        """Whether what docker says of the container means that it does not run."""
        if state.returncode == 0:
            return state.stdout.strip() != "true"
        if NO_CONTAINER in state.stderr.lower():
            return True
        self.unanswered = f"docker container inspect: {' '.join(state.stderr.split())[:200]}"
        return False

    def _look_back(self) -> None:
        """Find out how the container ended, from itself or from the engine's events.

        A container with `--rm` has removed itself, and some engines then return 0 whatever its exit code was.
        One that never started has an exit code too, which some engines take for 0.
        """
        form = "{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Status}}"
        told = self._ask("container", "inspect", "--format", form, self.name)
        state = told.stdout.split() if told else []
        if len(state) == 3 and state[2] in NOT_STARTED:
            self._refused, self.exit_code = True, self.exit_code or None
        elif len(state) == 3 and self.exit_code != DOCKER_FAILED:
            self.exit_code, self.out_of_memory, self._seen = int(state[0]), state[1] == "true", True
        elif self.exit_code == 0:
            code = self._code_in_events()
            self.exit_code = None if code is None and self.options.hides_exit_codes else code or 0

    def _code_in_events(self) -> int | None:
        """The exit code of the container by the engine's events; None if they do not say."""
        form = '{{.Action}} {{index .Actor.Attributes "exitCode"}}'
        # The list of events has no end, and engines differ in what they make of an end in the past.
        since = f"{time.time() - (self.end_s - self.start_s) - 1:.3f}"
        ask = ["docker", "events", "--since", since, "--filter", f"container={self.name}", "--format", form]
        with subprocess.Popen(ask, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as events:
            deadline = threading.Timer(EVENT_S, events.kill)
            deadline.start()
            try:
                words = (line.split() for line in events.stdout or ())
                return next((int(word[1]) for word in words if len(word) == 2 and word[0] == "die"), None)
            finally:
                deadline.cancel()
                events.kill()

    @property
    def never_started(self) -> bool:
        """Whether docker itself failed to start the container."""
        return self._refused or (self.exit_code == DOCKER_FAILED and not self._seen)


def _ending(run: _Run, case: ContainerCase, folder: Path, kills: float | None) -> tuple[Status, str]:
    """How a case ended, and its fault.

    Args:
        run: its container.
        case: its files.
        folder: holds what the container had as inputs and outputs.
        kills: processes of it that the kernel had killed for memory when last asked; None if nobody asked.

    Raises:
        JudgingError: docker does not work, or no longer has the image.
    """
    killed = int(kills or 0)
    said = complaint_in(case.log)
    if run.never_started:
        check_image(run.options.image)
        return Status.FAILED, f"docker could not start it: {said}"
    if run.overfull:
        return Status.FAILED, f"wrote more than {run.options.disk_limit_mb:g} MiB, which ends a case"
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
