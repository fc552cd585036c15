"""Runs of `python -m training` that start at once: forks of a program that has imported torch already.

A line of JSON on stdin is a call: its words, and the file for its stderr. The answers on stdout are the
seconds of CPU time that starting took, once; then of each run the number of its process, and when it has
ended its exit code (negative: the signal) and CPU time.
"""

import json
import os
import sys
import time

import torch

import training.commands.work.train_work  # noqa: F401 - what takes long to import
from training.__main__ import main


def answer(*words: object) -> None:
    print(json.dumps(words), flush=True)  # noqa: T201


if __name__ == "__main__":
    torch.set_num_threads(1)
    answer(time.process_time())
    for line in sys.stdin:
        words, log = json.loads(line)
        child = os.fork()
        if child == 0:
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            sys.exit(main(words))
        answer(child)
        _, status, used = os.wait4(child, 0)
        answer(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)
