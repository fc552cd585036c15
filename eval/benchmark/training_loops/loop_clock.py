"""Times the parts of a peer's training steps, and writes them as `python -m training train --times` does.

Needs the standard library only: it also runs in the environment of a peer.
"""

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.benchmark.training_loops.loop_setting import LoopSetting, read_setting

WAIT, FORWARD, LOSS, BACKWARD, UPDATE = "wait", "forward", "loss", "backward", "update"
"""Parts of a step: for the next batch; logits; loss; gradients; clipping and optimizer."""
REST = "rest"
"""Everything else."""


class LoopClock:
    """Measures steps one after the other.

    Args:
        wait_for_device: returns when the device has done what it was asked for.
        clocks: seconds that never go back: on the clock; that processors worked for the loop and for what
            makes its batches; that one worked for the thread that trains.
    """

    def __init__(
        self,
        wait_for_device: Callable[[], None],
        clocks: Sequence[Callable[[], float]] | None = None,
    ) -> None:
        self._wait_for_device = wait_for_device
        self._clocks = clocks or (time.perf_counter, cpu_seconds, time.thread_time)
        self._began = self._last = self._now()
        self._parts: dict[str, dict[str, float]] = {}
        self.steps: list[dict[str, object]] = []

    def _now(self) -> list[float]:
        return [clock() for clock in self._clocks]

    def mark(self, part: str) -> None:
        """End a part of the step; it took the time since the last mark, or since the last step ended."""
        self._wait_for_device()
        now, taken = self._now(), self._parts.setdefault(part, {"wall_s": 0.0, "cpu_s": 0.0})
        taken["wall_s"] += now[0] - self._last[0]
        taken["cpu_s"] += now[2] - self._last[2]
        self._last = now

    def end_step(self) -> None:
        """End a step and begin the next one."""
        self.mark(REST)
        wall_s, cpu_s, thread_s = (b - a for a, b in zip(self._began, self._last, strict=True))
        self.steps.append({"wall_s": wall_s, "cpu_s": cpu_s, "thread_s": thread_s, "parts": self._parts})
        self._began, self._parts = self._last, {}

    def write(self, path: Path, precision: str, patches: int) -> None:
        """Write all steps but the first, during which the loop was made ready."""
        document = {"precision": precision, "patches": patches, "steps": self.steps[1:]}
        path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def cpu_seconds() -> float:
    """Seconds that processors worked for this process and for its `multiprocessing` children that live."""
    children = (child.pid for child in multiprocessing.active_children())
    return time.process_time() + sum(_of_process(pid) for pid in children if pid is not None)


def _of_process(pid: int) -> float:
    """User and system seconds of a process; 0 where the system does not say, or it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    # The name, in parentheses, may hold blanks; utime and stime are the 14th and 15th field.
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class LoopCall:
    """What a program that runs a peer's loop is called with."""

    setting: LoopSetting
    precision: str
    """fp32, bf16 or fp16."""
    data: Path
    """Data-set folder with imagesTr and labelsTr."""
    work: Path
    """Folder for what the peer makes of it."""
    report: Path
    """File that the clock writes."""


def read_call(argv: Sequence[str] | None, about: str) -> LoopCall:
    """Read the command line of such a program."""
    parser = argparse.ArgumentParser(description=about)
    for name in ("setting", "data", "work", "report"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), required=True)
    arguments = parser.parse_args(argv)
    arguments.work.mkdir(parents=True, exist_ok=True)
    return LoopCall(
        setting=read_setting(arguments.setting),
        precision=arguments.precision,
        data=arguments.data,
        work=arguments.work,
        report=arguments.report,
    )


def call_words(call: LoopCall, setting: Path) -> list[str]:
    """The words that `read_call` reads."""
    return [
        *("--setting", str(setting), "--data", str(call.data), "--work", str(call.work)),
        *("--precision", call.precision, "--report", str(call.report)),
    ]
