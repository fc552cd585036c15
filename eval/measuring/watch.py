"""Run any local command and watch it: what it took over time, and the stages that it tells of."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.measuring.sampler import Sampler, SamplerOptions
from eval.measuring.trace import Trace

REPORT_OPTION = "--report"
CLOCKS_S = 0.1
"""Clocks of two processes are not further apart."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of a run."""

    name: str
    start_s: float
    """Since the command started."""
    end_s: float
    case: int
    """Number of the case that it worked on, from 0."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What came out."""

    exit_code: int
    trace: Trace
    started_unix_s: float
    """When the command started, in seconds since 1970."""


def profile(command: Sequence[str], gpu: str | None) -> Profile:
    """Run a command, its output going where ours goes, and sample until it ends.

    Raises:
        JudgingError: the command cannot be started.
    """
    with Sampler(SamplerOptions(gpu=gpu)) as sampler:
        start_s, started_unix_s = time.monotonic(), time.time()
        try:
            program = subprocess.Popen(list(command))
        except OSError as error:
            raise JudgingError(f"{command[0]}: cannot be started ({error.strerror})") from error
        sampler.watch(program.pid)
        try:
            exit_code = program.wait()
        finally:
            program.kill()
            program.wait()
        end_s = time.monotonic()
    return Profile(exit_code=exit_code, trace=sampler.trace(start_s, end_s), started_unix_s=started_unix_s)


def report_path(command: Sequence[str]) -> Path | None:
    """The file that a command is told to report to, `--report run.json`; None if it is not."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == REPORT_OPTION and following:
            return Path(following)
        if word.startswith(f"{REPORT_OPTION}="):
            return Path(word.removeprefix(f"{REPORT_OPTION}="))
    return None


def read_stages(path: Path, started_unix_s: float) -> list[Stage]:
    """Stages of a run from its report, in the order of their starts.

    They overlap where the program works side by side.

    Args:
        path: JSON, `{"cases": [{"spans_unix_s": [[stage, start, end], …]}, …]}`, times in seconds since 1970.
        started_unix_s: when the command started.

    Raises:
        JudgingError: the file is no report, or one of another run.
    """
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        spans = [
            (str(name), float(start), float(end), i)
            for i, case in enumerate(cases)
            for name, start, end in case["spans_unix_s"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JudgingError(
            f"{path}: is no report of a run (cases with spans of stages); no stages are marked"
        ) from error
    if any(start < started_unix_s - CLOCKS_S for _, start, _, _ in spans):
        raise JudgingError(f"{path}: is the report of an earlier run; no stages are marked")
    stages = [
        Stage(name=name, start_s=start - started_unix_s, end_s=end - started_unix_s, case=i)
        for name, start, end, i in spans
    ]
    return sorted(stages, key=lambda stage: stage.start_s)
