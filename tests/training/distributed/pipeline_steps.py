"""One process of five training steps on batches of four patches; prints their losses and the weights after.

Words: a list of fields of recipes in JSON; the steps are done for each of them. Which structures the patches
annotate differs, and so does how much of them is foreground.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from tests.training.distributed.processes import threads_of_gloo
from tests.training.distributed.uneven_batches import batch_of
from tests.training.tiny import tiny_recipe
from training.distributed.data_parallel import share_of_batch
from training.distributed.ranks import Ranks, join, leave
from training.runs.checkpoints import RunInfo
from training.runs.run import start_run
from training.runs.run_storage import NETWORK
from training.runs.step import training_step

BATCH_SIZE, STEPS = 4, 5


def steps_of(fields: dict[str, Any], ranks: Ranks, folder: Path) -> tuple[list[float], float, list[str]]:
    """The losses of all steps, the norm of all weights after them, and the report."""
    recipe = tiny_recipe(**{"sampling": {"batch_size": BATCH_SIZE}} | fields)
    info = RunInfo(
        recipe=recipe, step=0, seed=1, precision=fields.get("precision", "fp32"), cases=("a",) * 20
    )
    run = start_run(info, torch.device("cpu"), folder, ranks=ranks)
    numbers = share_of_batch(BATCH_SIZE, run.placement.replicas)
    losses = [training_step(run, step, batch_of(step, numbers)) for step in range(STEPS)]
    state: dict[str, Tensor] = {f"{NETWORK}.{name}": x for name, x in run.network.state_dict().items()}
    norm = sum(float(x.double().square().sum()) for x in run.placement.collected(state).values()) ** 0.5
    return losses, norm, run.placement.report()


def main() -> None:
    torch.set_num_threads(1)
    ranks = join("cpu")
    with TemporaryDirectory() as folder:
        found = [steps_of(fields, ranks, Path(folder)) for fields in json.loads(sys.argv[1])]
    leave()
    sys.stdout.write(json.dumps({"found": found, "threads": threads_of_gloo()}) + "\n")


if __name__ == "__main__":
    main()
