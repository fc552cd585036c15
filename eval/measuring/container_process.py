"""One container of a submission, from its start to its removal, and what docker says of its end."""

import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from eval.eval_errors import JudgingError
from eval.measuring.container_log import LogPump
from eval.measuring.disk_use import DiskLimit
from eval.measuring.docker_client import NOT_STARTED, PREFIX, docker
from eval.measuring.probes import machine_oom_kills
from eval.measuring.trace import STOPPED_S
from model.labels import LabelSet

EVENT_S = 5.0
"""Longest wait for docker's list of events that have happened already."""
DISK_LIMIT_MB = 8192.0
"""MiB that a case may write, unless somebody says otherwise; some keep intermediate files in outputs/."""
LOOK_S = 1.0
"""Seconds between two looks at what a container has written."""
NO_CONTAINER = "no such"
"""In what docker and podman say of a container, or object, that is not there."""
DOCKER_FAILED = 125
"""Exit code with which docker reports a failure of its own."""
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


@dataclass
class ContainerProcess:
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
    overfull: str = ""
    """Why it was stopped for the sake of the disk; empty if it was not."""
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
        # What the case began with is looked at before it runs: a quick one has written all by the next line.
        disk = DiskLimit(self.folder, self.options.disk_limit_mb)
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
            self._wait(client, disk)
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

    def _wait(self, client: subprocess.Popen[bytes], disk: DiskLimit) -> None:
        """Wait for the container's end, for the time limit, or until it takes too much of the disk."""
        until_s = self.start_s + self.options.limit_s
        while self.exit_code is None and not self.stopped and not self.overfull:
            try:
                self.exit_code = client.wait(max(0.0, min(LOOK_S, until_s - time.monotonic())))
            except subprocess.TimeoutExpired:
                self.stopped = time.monotonic() >= until_s
            self.overfull = disk.exceeded()

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
