"""What the log of a run says of what it learned."""

import json

from training.runs.log import MEASURED
from training.runs.run_files import LOG


def learned(folder):
    """The lines of a run's log, without what no two runs share: time, speed and memory."""
    lines = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in MEASURED} for line in lines]
