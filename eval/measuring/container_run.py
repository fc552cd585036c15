"""Run a submission's container on one case, cold, as organisers do, and say how it ended."""

import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import atomic_path, case_of
from eval.label_sets import foreign_label
from eval.measuring.efficiency import CaseEfficiency, Status, sampling_remark
from eval.measuring.sampler import Sampler, SamplerOptions
from eval.measuring.trace import STOPPED_S
from eval.scoring.metrics import label_boxes
from eval.volumes import grid_difference, read_image, read_labels
from model.labels import LabelSet

PATIENCE_S = 60.0
"""For docker's own answers."""
EVENT_S = 5.0
"""For docker to tell of what has happened already."""
KILLED = 137
DOCKER_FAILED = 125


@dataclass(frozen=True, kw_only=True)
class ContainerOptions:
    """How containers are run."""

    image: str
    memory: str
    """Limit as docker takes it, 28g."""
    gpu: str | None = None
    """Index or UUID; None runs without a GPU."""
    official: bool = False
    """The organisers' command to the letter instead of ours, which is locked down."""
    limit_s: float = 3600.0
    """A case that takes longer is stopped."""
    labels: LabelSet
    """What a valid label map may hold."""


@dataclass(frozen=True, kw_only=True)
class ContainerCase:
    """One image, and where the results go."""

    image: Path
    output: Path
    """The label map; written only if it is valid and the container ended well."""
    log: Path
    """What the container says."""


def output_name(image: Path) -> str:
    """Name of the label map of an image: CASE_0000.nii.gz gives CASE.nii.gz."""
    return f"{case_of(image.name)}.nii.gz"


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask docker something that it answers at once.

    Raises:
        JudgingError: there is no docker command, or it does not answer.
    """
    try:
        return subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
    except FileNotFoundError as error:
        raise JudgingError("there is no docker command; install Docker or Podman's docker") from error
    except subprocess.TimeoutExpired as error:
        raise JudgingError(
            f"docker {arguments[0]} has not answered for {PATIENCE_S:.0f} s; is the Docker daemon well?"
        ) from error


def check_image(image: str) -> None:
    """Refuse, before any work is done, an image that docker does not have.

    Raises:
        JudgingError: docker does not work or has no such image.
    """
    if docker("image", "inspect", image).returncode == 0:
        return
    working = docker("info")
    if working.returncode != 0:
        raise JudgingError(f"docker does not work: {_complaint(working.stderr)}")
    raise JudgingError(f"{image}: docker has no such image; load it with docker load -i, or build it")


def command(options: ContainerOptions, name: str, folder: Path) -> list[str]:
    """The command that runs a container named `name` on `folder`/inputs and `folder`/outputs."""
    inputs, outputs = f"{folder}/inputs/:/workspace/inputs/", f"{folder}/outputs/:/workspace/outputs/"
    start, end = ["docker", "container", "run"], [options.image, "/bin/bash", "-c", "sh predict.sh"]
    gpus = [] if options.gpu is None else [f"--gpus=device={options.gpu}"]
    if options.official:
        shared = [] if options.gpu is None else ["--shm-size=28gb"]
        return [
            *start,
            *shared,
            "-m",
            options.memory,
            *gpus,
            "--name",
            name,
            "--rm",
            "-v",
            inputs,
            "-v",
            outputs,
            *end,
        ]
    locks = [
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
    ]
    return [
        *start,
        *locks,
        "-m",
        options.memory,
        *gpus,
        "--name",
        name,
        "-v",
        f"{inputs}:ro",
        "-v",
        outputs,
        *end,
    ]


def run_case(case: ContainerCase, options: ContainerOptions) -> CaseEfficiency:
    """Run a new container on one image and judge what it wrote.

    Raises:
        JudgingError: docker could not start the container, which is no fault of the submission's.
    """
    with tempfile.TemporaryDirectory(prefix="leanseg-case-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "inputs").mkdir()
        (folder / "outputs").mkdir()
        # The container's user is the submission's own choice, and organisers open the folder to it too.
        folder.chmod(0o755)
        (folder / "outputs").chmod(0o777)
        shutil.copyfile(case.image, folder / "inputs" / case.image.name)
        run = _Run(options=options, folder=folder)
        with case.log.open("wb") as log, Sampler(SamplerOptions(gpu=options.gpu, container=True)) as sampler:
            run.go(log.fileno(), sampler.watch)
        status, remark = _ending(run, case, folder)
        trace = sampler.trace(run.start_s, run.end_s)
        if status is Status.OK:
            with atomic_path(case.output) as temporary:
                shutil.copyfile(folder / "outputs" / case.output.name, temporary)
        remarks = "; ".join(part for part in (remark, sampling_remark(trace)) if part)
        return CaseEfficiency(
            name=case.output.name, status=status, exit_code=run.exit_code, remark=remarks, trace=trace
        )


@dataclass
class _Run:
    """One container from start to removal."""

    options: ContainerOptions
    folder: Path
    name: str = field(default_factory=lambda: f"leanseg-eval-{uuid.uuid4().hex[:12]}")
    start_s: float = 0.0
    end_s: float = 0.0
    exit_code: int | None = None
    """None if it was stopped."""
    out_of_memory: bool = False
    _seen: bool = False

    def go(self, log: int, watch: Callable[[int], None]) -> None:
        """Run, stop after the time limit, remove, whatever happens."""
        follower = threading.Thread(target=self._follow, args=(watch,), daemon=True)
        self.start_s = time.monotonic()
        client = subprocess.Popen(
            command(self.options, self.name, self.folder), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        follower.start()
        try:
            self.exit_code = client.wait(self.options.limit_s)
        except subprocess.TimeoutExpired:
            self.exit_code = None
        finally:
            self.end_s = time.monotonic()
            if self.exit_code is not None:
                self._look_back()
            docker("rm", "--force", self.name)
            with suppress(subprocess.TimeoutExpired):
                client.wait(STOPPED_S)
            client.kill()
            client.wait()
            follower.join(STOPPED_S)
        self.out_of_memory |= self.exit_code == KILLED

    def _follow(self, watch: Callable[[int], None]) -> None:
        """Find the container's first process once it runs."""
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
            # On another machine, a virtual one included, the number is somebody else's process here.
            if state[1] in Path(f"/proc/{state[0]}/cgroup").read_text(encoding="utf-8"):
                watch(int(state[0]))

    def _look_back(self) -> None:
        """Ask how the container ended: itself, or if it has removed itself and some engines then say 0, the engine's events."""
        form = "{{.State.ExitCode}} {{.State.OOMKilled}}"
        state = docker("container", "inspect", "--format", form, self.name).stdout.split()
        if len(state) == 2 and self.exit_code != DOCKER_FAILED:
            self.exit_code, self.out_of_memory, self._seen = int(state[0]), state[1] == "true", True
        elif self.exit_code == 0:
            self.exit_code = self._code_in_events() or 0

    def _code_in_events(self) -> int | None:
        """The exit code with which the container died, as the engine's events tell; None if they do not."""
        form = '{{.Action}} {{index .Actor.Attributes "exitCode"}}'
        # Events have no end unless told, and engines differ in how they take an end that has passed.
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
        """Whether docker itself failed."""
        return self.exit_code == DOCKER_FAILED and not self._seen


def _ending(run: _Run, case: ContainerCase, folder: Path) -> tuple[Status, str]:
    said = _complaint(case.log.read_text(encoding="utf-8", errors="replace"))
    if run.never_started:
        raise JudgingError(f"docker could not start a container of {run.options.image}: {said}")
    if run.exit_code is None:
        return Status.TIMEOUT, f"stopped after {run.options.limit_s:g} s"
    if run.out_of_memory:
        return Status.OUT_OF_MEMORY, f"killed, as docker does beyond {run.options.memory} of memory"
    if run.exit_code != 0:
        return Status.FAILED, f"exit code {run.exit_code}: {said}"
    intruders = sorted(path.name for path in (folder / "inputs").iterdir() if path.name != case.image.name)
    if intruders:
        return Status.FAILED, f"wrote {intruders[0]} into inputs/, which disqualifies"
    return judge_output(folder / "outputs" / case.output.name, case.image, run.options.labels)


def judge_output(output: Path, image: Path, labels: LabelSet) -> tuple[Status, str]:
    """Whether a label map is there, lies on its image's grid and holds only labels of the set."""
    if output.is_symlink() or not output.is_file():
        return Status.NO_OUTPUT, f"there is no outputs/{output.name}"
    try:
        written = read_labels(output)
        difference = grid_difference(written.grid, read_image(image))
    except JudgingError as error:
        return Status.INVALID_OUTPUT, str(error).replace(f"{output}", f"outputs/{output.name}")
    if difference:
        return Status.INVALID_OUTPUT, f"the label map is not on the image's grid: {difference}"
    wrong = foreign_label(label_boxes(written.labels), labels)
    return (Status.INVALID_OUTPUT, wrong) if wrong else (Status.OK, "")


def _complaint(text: str) -> str:
    """The last line that speaks of an error, or the last one at all: programs often end with a summary."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return [*lines, *errors][-1][:300] if lines else "nothing was said"
