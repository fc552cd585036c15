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
    own = [torch.full((2, 2), float(ranks.rank)), torch.tensor([10.0 * ranks.rank])]
    ranks.average_(own)
    got = {
        "rank": ranks.rank,
        "first": ranks.is_first,
        "sum": total.tolist(),
        "gradient": x.grad.tolist(),
        "mean": ranks.mean(float(ranks.rank)),
        "min": ranks.min(5 - ranks.rank),
        "max": ranks.find_max(5 - ranks.rank)(),
        "gather": ranks.gather(f"rank {ranks.rank}"),
        "share": list(ranks.share(5)),
        "batch": list(share_of_batch(4, ranks)),
        "average": [tensor.flatten().tolist() for tensor in own],
        "from_last": ranks.from_last(torch.tensor([1 + ranks.rank])).tolist(),
        "collected": {
            name: tensor.tolist()
            for name, tensor in ranks.collected({f"of {ranks.rank}": torch.tensor([ranks.rank])}).items()
        },
        "joined": joined({number: number * number for number in ranks.share(5)}, ranks),
    }
    leave()
    sys.stdout.write(json.dumps(got) + "\n")


main()
