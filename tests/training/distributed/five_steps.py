"""One process of five training steps on batches of two, of which it sees its share; prints their losses.

The word after the module is a list of losses in JSON; the steps are done for each of them.
"""

import json
import sys
import warnings
from typing import Any

import torch

from model.networks.build import build
from tests.training.distributed.processes import threads_of_gloo
from tests.training.distributed.uneven_batches import batch_of
from tests.training.tiny import tiny_recipe
from training.distributed.block_costs import layout_of
from training.distributed.data_parallel import share_of_batch, wrap
from training.distributed.ranks import Ranks, join, leave
from training.losses.scores import LossSetting
from training.losses.supervision import deep_supervision_loss

NETWORK = {"kind": "plain_unet", "features": [4, 8, 8], "strides": [[2, 2, 2]] * 2, "deep_supervision": 2}
BATCH_SIZE, STEPS = 2, 5
CPU = torch.device("cpu")


def losses_of(document: dict[str, Any], ranks: Ranks) -> list[float]:
    """The losses of all steps with one kind of loss."""
    recipe = tiny_recipe(network=NETWORK, loss=document)
    torch.manual_seed(ranks.rank)  # The first process's weights are the ones that count.
    network = build(recipe.network).to(memory_format=layout_of(CPU))  # type: ignore[call-overload]
    trained = wrap(network, ranks, CPU)
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


def main() -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    ranks = join("cpu")
    found = [losses_of(document, ranks) for document in json.loads(sys.argv[1])]
    leave()
    sys.stdout.write(json.dumps({"losses": found, "threads": threads_of_gloo()}) + "\n")


main()
