"""Stands for `python -m training`: what a step writes is its words and what it took from other steps.

    python fake_training.py WORDS      writes OUTPUT/result.txt and a checkpoint

`FAKE_FAILS=NAME:HOW` makes the step NAME end before it has written its result: with exit code 3 (HOW is
`fails`), or killed together with the program that started it (HOW is `killed`).
"""

import os
import signal
import sys
from pathlib import Path

words = sys.argv[1:]
output = Path(words[words.index("--output") + 1])
taken = []
for word in words:
    path = Path(word)
    for result in (path / "result.txt", path.parent / "result.txt", path.parent.parent / "result.txt"):
        if path != output and path.is_absolute() and result.is_file():
            taken.append(f"[{result.read_text(encoding='utf-8')}]")
            break
name, _, how = os.environ.get("FAKE_FAILS", ":").partition(":")
if output.name == name:
    if how == "killed":
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(3)
output.mkdir(exist_ok=True)
(output / "last.safetensors").touch()
(output / "result.txt").write_text(f"{output.name}: {words[0]} {' '.join(taken)}")
with (output.parent / "calls.txt").open("a") as calls:
    calls.write(f"{output.name}\n")
