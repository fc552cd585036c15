"""How many random moments a test of faults tries: a few, or as many as are asked for.

`LEANSEG_FAULT_MOMENTS=50 python -m pytest -m slow tests/hostile/test_folder_faults.py` tries fifty.
"""

import os
import random


def moments(few: int) -> list[float]:
    """Shares of a run's time at which something happens to it, always the same ones."""
    count = int(os.environ.get("LEANSEG_FAULT_MOMENTS", few))
    chance = random.Random(11)
    return [chance.random() for _ in range(count)]
