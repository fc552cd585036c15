"""MONAI's own transforms, network and sliding windows on one case, in a process of its own.

Started by its path with any Python that has `monai` and `nibabel`; needs nothing of this project. It is given
a configuration of MONAI's classes in plain values (`model.importers.monai` wrote it), and weights beside it.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

try:
    import nibabel
    import numpy as np
    import torch
    from monai.bundle import ConfigParser
    from monai.data import decollate_batch, list_data_collate
    from numpy.typing import NDArray
except ModuleNotFoundError as error:
    sys.exit(
        f"error: {error.name} is not installed for {sys.executable}; "
        "run `make training`, or add --python with one that has monai and nibabel"
    )

LATER = ("AsDiscreted", "KeepLargestConnectedComponentd")
"""What is done once, after the mean over networks."""


def main() -> None:
    """Label one case as a bundle of the model zoo, or Auto3DSeg with its ensemble, does, on the CPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="monai.json")
    parser.add_argument("--images", nargs="+", required=True, help="one file a channel")
    parser.add_argument("--output", type=Path, required=True, help="label map to write")
    arguments = parser.parse_args()
    stated = json.loads(arguments.config.read_text(encoding="utf-8"))
    names = [step["_target_"] for step in stated["postprocessing"]]
    later = next((index for index, name in enumerate(names) if name in LATER), len(names))
    if "Invertd" in names[later:]:
        later = len(names)
    config = ConfigParser(
        {
            "inferer": stated["inferer"],
            "preprocessing": _compose(stated["preprocessing"]),
            "each": _compose(stated["postprocessing"][:later]),
            "all": _compose(stated["postprocessing"][later:]),
        }
    )
    # One after the other from one parser, so that what is inverted is what was applied.
    before, infer, each, together = (
        config.get_parsed_content(name) for name in ("preprocessing", "inferer", "each", "all")
    )
    loaded = before({"image": arguments.images})
    predictions = []
    for weights in stated["weights"]:
        network = ConfigParser(stated["network"]).get_parsed_content().eval()
        network.load_state_dict(torch.load(arguments.config.parent / weights, weights_only=True))
        batch = list_data_collate([loaded])
        with torch.no_grad():
            batch["pred"] = infer(batch["image"], network)
        (item,) = decollate_batch(batch)
        predictions.append(each(item)["pred"])
    mean = torch.stack(predictions).mean(dim=0)
    labels = label_map(np.asarray(together({"pred": mean})["pred"]), stated.get("priority"))
    nibabel.save(nibabel.Nifti1Image(labels, nibabel.load(arguments.images[0]).affine), arguments.output)


def _compose(transforms: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": list(transforms)}


def label_map(channels: NDArray[Any], priority: Sequence[int] | None) -> NDArray[np.uint8]:
    """One label map of what MONAI would write, which is a map a channel.

    Args:
        channels: (1, x, y, z) ids, or (channels, x, y, z) of channels that are on or off, which become their
            numbers from 1.
        priority: the channels in rising priority, from 0: of those that are on the last one counts; None: in
            their own order.

    Returns:
        (x, y, z) ids.
    """
    if len(channels) == 1:
        return np.asarray(channels[0], np.uint8)
    ids = np.zeros(channels.shape[1:], np.uint8)
    for index in range(len(channels)) if priority is None else priority:
        ids[channels[index] > 0] = index + 1
    return ids


if __name__ == "__main__":
    main()
