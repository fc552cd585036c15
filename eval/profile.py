"""Run any local command and watch it: what it took over time, and the stages that it tells of."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.errors import InputError
from eval.sampling import Sampler, SamplerOptions
from eval.trace import Trace

REPORT_OPTION = "--report"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of a run."""

    name: str
    start_s: float
    """Since the command started."""
    end_s: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What came out."""

    exit_code: int
    trace: Trace


def profile(command: Sequence[str], gpu: str | None) -> Profile:
    """Run a command, its output going where ours goes, and sample until it ends.

    Raises:
        InputError: the command cannot be started.
    """
    with Sampler(SamplerOptions(gpu=gpu)) as sampler:
        start_s = time.monotonic()
        try:
            program = subprocess.Popen(list(command))
        except OSError as error:
            raise InputError(f"{command[0]}: cannot be started ({error.strerror})") from error
        sampler.watch(program.pid)
        try:
            exit_code = program.wait()
        finally:
            program.kill()
            program.wait()
        end_s = time.monotonic()
    return Profile(exit_code=exit_code, trace=sampler.trace(start_s, end_s))


def report_path(command: Sequence[str]) -> Path | None:
    """The file that a command is told to report to, `--report run.json`; None if it is not."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == REPORT_OPTION and following:
            return Path(following)
        if word.startswith(f"{REPORT_OPTION}="):
            return Path(word.removeprefix(f"{REPORT_OPTION}="))
    return None


def read_stages(path: Path, duration_s: float) -> list[Stage]:
    """Stages of a run from its report, laid end to end in the order of cases and stages.

    The report tells how long stages took, not when: they are taken to follow each other, the last ending with the run.
    What overlaps, reading the next case ahead, is so drawn where the time was not spent.

    Raises:
        InputError: the file is no report.
    """
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        spans = [(str(stage), float(seconds)) for case in cases for stage, seconds in _seconds(case).items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no report of a run (cases with seconds per stage); no stages are marked") from error
    at_s = max(duration_s - sum(seconds for _, seconds in spans), 0.0)
    stages = [Stage(name="start", start_s=0.0, end_s=at_s)] if at_s > 0 else []
    for name, seconds in spans:
        stages.append(Stage(name=name, start_s=at_s, end_s=min(at_s + seconds, duration_s)))
        at_s = min(at_s + seconds, duration_s)
    return stages


def _seconds(case: dict[str, Any]) -> dict[str, float]:
    return dict(case["seconds"])
