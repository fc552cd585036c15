"""One process of five training steps on batches of two, of which it sees its share; prints their losses.

The word after the module is a list of losses in JSON; the steps are done for each of them. Which structures
the two patches annotate differs, and so does how much of them is foreground: sums that were not added up over
all processes would show.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from model.networks.build import build
from tests.training.tiny import tiny_recipe
from training.data.batches import Batch
from training.distributed.data_parallel import share_of_batch, wrap
from training.distributed.ranks import Ranks, join, leave
from training.losses.scores import LossSetting
from training.losses.supervision import deep_supervision_loss

NETWORK = {"kind": "plain_unet", "features": [4, 8, 8], "strides": [[2, 2, 2]] * 2, "deep_supervision": 2}
BATCH_SIZE, STEPS = 2, 5


def patch(step: int, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image, target and annotated structures of a patch: a function of step and number alone."""
    generator = torch.Generator().manual_seed(100 * step + index)
    target = torch.zeros(16, 16, 16, dtype=torch.uint8)
    target[2 : 6 + 6 * index, 2:12, 2:12] = 1
    target[12:, 4:8, 4:8] = 2 + index
    image = target / 4 + 0.3 * torch.rand(16, 16, 16, generator=generator)
    annotated = torch.tensor([True, True, index == 0, True, index == 0])
    return image, target, annotated


def batch_of(step: int, numbers: range) -> Batch:
    images, targets, annotated = zip(*(patch(step, number) for number in numbers), strict=True)
    return Batch(
        images=torch.stack(images).unsqueeze(1), target=torch.stack(targets), annotated=torch.stack(annotated)
    )


def losses_of(document: dict[str, Any], ranks: Ranks) -> list[float]:
    """The losses of all steps with one kind of loss."""
    recipe = tiny_recipe(network=NETWORK, loss=document)
    torch.manual_seed(ranks.rank)  # The first process's weights are the ones that count.
    trained = wrap(build(recipe.network), ranks, torch.device("cpu"))
    optimizer = torch.optim.SGD(trained.parameters(), 0.1, momentum=0.9)
    setting = LossSetting(channel_names=recipe.channel_names, reduce=ranks.sum)
    losses = []
    for step in range(STEPS):
        batch = batch_of(step, share_of_batch(BATCH_SIZE, ranks))
        loss = deep_supervision_loss(
            trained(batch.images),
            batch.target,
            recipe.loss,
            recipe.network.output_strides_zyx,
            batch.annotated,
            setting,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def threads_of_gloo() -> list[str]:
    """Names of the threads of this process that move data between processes."""
    tasks = Path("/proc/self/task").iterdir()
    return [name for task in tasks if "gloo" in (name := (task / "comm").read_text().strip())]


def main() -> None:
    torch.set_num_threads(1)
    ranks = join("cpu")
    found = [losses_of(document, ranks) for document in json.loads(sys.argv[1])]
    leave()
    sys.stdout.write(json.dumps({"losses": found, "threads": threads_of_gloo()}) + "\n")


main()
