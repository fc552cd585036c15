"""One process that calls every operation of `Ranks` and prints what it got."""

import json
import sys

import torch

from training.distributed.data_parallel import joined, share_of_batch
from training.distributed.ranks import join, leave


def main() -> None:
    ranks = join("cpu")
    x = torch.tensor([1.0 + ranks.rank, 10.0], requires_grad=True)
    # Every process's loss is the product of the two sums.
    total = ranks.sum(x)
    (total[0] * total[1]).backward()
    got = {
        "rank": ranks.rank,
        "first": ranks.is_first,
        "sum": total.tolist(),
        "gradient": x.grad.tolist(),
        "mean": ranks.mean(float(ranks.rank)),
        "min": ranks.min(5 - ranks.rank),
        "gather": ranks.gather(f"rank {ranks.rank}"),
        "share": list(ranks.share(5)),
        "batch": list(share_of_batch(4, ranks)),
        "joined": joined({number: number * number for number in ranks.share(5)}, ranks),
    }
    ranks.barrier()
    leave()
    sys.stdout.write(json.dumps(got) + "\n")


main()
