"""Starts several processes of one run on this machine, as torchrun does, and collects what they say."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.places import ROOT

LIMIT_S = 300


class Ended(NamedTuple):
    """What became of a process."""

    code: int
    out: str
    error: str


def run_ranks(module: str, world: int, *words: str) -> list[Any]:
    """What each of `world` processes of `python -m module words` prints as its last line, in JSON.

    Fails with the error of the first process that does not end well.
    """
    ended = end_of_ranks(module, world, *words)
    for one in ended:
        assert one.code == 0, one.error
    return [json.loads(one.out.splitlines()[-1]) for one in ended]


def end_of_ranks(module: str, world: int, *words: str) -> list[Ended]:
    """How each of `world` processes of `python -m module words` ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env=os.environ
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "OMP_NUM_THREADS": "1"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        said = [process.communicate(timeout=LIMIT_S) for process in started]
    finally:
        for process in started:
            process.kill()
    return [
        Ended(code=process.returncode, out=out, error=error)
        for process, (out, error) in zip(started, said, strict=True)
    ]


def threads_of_gloo() -> list[str]:
    """Names of the threads of this process that move data between processes."""
    tasks = Path("/proc/self/task").iterdir()
    return [name for task in tasks if "gloo" in (name := (task / "comm").read_text(encoding="utf-8").strip())]
