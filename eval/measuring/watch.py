"""Run a local command and measure it: what it uses over time, and the stages that its report names."""

import json
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.measuring.sampler import Sampler, SamplerOptions
from eval.measuring.trace import OWN_CPU_S, Trace

REPORT_OPTION = "--report"
CLOCKS_S = 0.1
"""Seconds by which the clocks of two processes may differ at most."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of a run, such as reading, on one case."""

    name: str
    """Name of the stage in the report."""
    start_s: float
    """Seconds from the start of the command to that of the stage."""
    end_s: float
    """Seconds from the start of the command to the end of the stage."""
    case: int
    """Number of the case, from 0."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The measured run of a command."""

    exit_code: int
    """Exit code of the command; negative if a signal ended it."""
    trace: Trace
    """Samples of what it used."""
    started_unix_s: float
    """Start of the command, in seconds since 1970."""


def profile(command: Sequence[str], gpu: str | None) -> Profile:
    """Run a command, which writes to this program's own output, and take samples until it ends.

    Raises:
        JudgingError: the command cannot be started.
    """
    with Sampler(SamplerOptions(gpu=gpu)) as sampler:
        start_s, started_unix_s, spent_s = time.monotonic(), time.time(), _children_s()
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
        # The kernel's own account, of processes too that lived shorter than a sample.
        spent_s = _children_s() - spent_s
    trace = sampler.trace(start_s, end_s)
    trace = replace(trace, counters={**trace.counters, OWN_CPU_S: spent_s})
    return Profile(exit_code=exit_code, trace=trace, started_unix_s=started_unix_s)


def _children_s() -> float:
    """Processor seconds of all child processes that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def report_path(command: Sequence[str]) -> Path | None:
    """The file that a command line names for its report (`--report run.json`); None if it names none."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == REPORT_OPTION and following:
            return Path(following)
        if word.startswith(f"{REPORT_OPTION}="):
            return Path(word.removeprefix(f"{REPORT_OPTION}="))
    return None


def read_stages(path: Path, started_unix_s: float) -> list[Stage]:
    """Stages of a run from its report, in the order of their starts; stages may overlap.

    Args:
        path: JSON, `{"cases": [{"spans_unix_s": [[stage, start, end], …]}, …]}`, times in seconds since 1970.
        started_unix_s: start of the command.

    Raises:
        JudgingError: the file is no report, or that of another run.
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
