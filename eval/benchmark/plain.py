"""A plain PyTorch + MONAI pipeline, as a user of both would write it: `predict.py` is measured against it.

    python -m eval.benchmark.plain --bundle DIR --weights DIR --image CT --output LABELS --report JSON

It does what the published pipelines do (FLARE23 low-resource ensemble, FLARE22 winner), but without their
crops: the whole image is resampled to the networks' spacing, MONAI's sliding window inferer runs each
network, probabilities are averaged over the networks and resampled to the image's own grid for all classes,
and the largest wins. Left and right are not told apart, and nothing is cleaned up.

It is kept fast where a user can have that for free: inference mode, the fastest memory layout, torch's
`interpolate` where MONAI's `Spacing` takes longer, and networks on one grid that are averaged before their
probabilities are resampled.

Images and probabilities are (z, y, x) and (channels, z, y, x), fp32.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from math import ceil
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from monai.inferers import sliding_window_inference, utils
from torch import Tensor, nn
from torch.nn import functional

from eval.benchmark.bundle_facts import BundleFacts, MemberFacts, read_bundle
from eval.benchmark.torch_networks import load_network
from eval.eval_errors import JudgingError
from model.arrays import Zyx, ZyxMm


@dataclass
class Stages:
    """Seconds of each stage, and number of windows run."""

    seconds: dict[str, float] = field(default_factory=dict)
    windows: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to a stage."""
        start_s = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - start_s


def main(argv: Sequence[str] | None = None) -> int:
    """Segment one image; the exit code is 0, or 2 for wrong input."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.benchmark.plain", description="The plain PyTorch + MONAI pipeline."
    )
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="label map to write; a merged pair has the id of its right side",
    )
    parser.add_argument("--bundle", type=Path, required=True, help="says spacings, windows, intensities")
    parser.add_argument(
        "--weights", type=Path, required=True, help="folder that eval.benchmark.convert wrote"
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="bf16 means autocast (default: %(default)s)",
    )
    parser.add_argument(
        "--even", action="store_true", help="spread windows evenly, as nnU-Net and predict.py do"
    )
    parser.add_argument("--threads", type=int, default=0, help="default: torch's")
    parser.add_argument("--report", type=Path, required=True, help="seconds of the stages, as JSON")
    arguments = parser.parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.even:
        utils.dense_patch_slices = even_slices
    try:
        stages = segment(
            arguments.image,
            arguments.output,
            read_bundle(arguments.bundle),
            arguments.weights,
            arguments.precision,
        )
    except JudgingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    report = {
        "cases": [{"seconds": stages.seconds, "windows_run": stages.windows}],
        "versions": {"torch": torch.__version__},
    }
    arguments.report.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def segment(image: Path, output: Path, bundle: BundleFacts, weights: Path, precision: str) -> Stages:
    """Read an image that is stored along L, P, S, segment it, and write its label map."""
    stages = Stages()
    with stages.stage("load networks"):
        networks = [load_network(weights / f"{member.path.stem}.safetensors") for member in bundle.members]
    with stages.stage("read"):
        ct = sitk.ReadImage(str(image))
        hu = torch.from_numpy(sitk.GetArrayFromImage(ct).astype(np.float32))
    x, y, z = ct.GetSpacing()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        mean: Tensor | None = None
        for member, network in zip(bundle.members, networks, strict=True):
            probabilities = member_probabilities(hu, (z, y, x), member, network, stages)
            if mean is not None and probabilities.shape != mean.shape:
                raise JudgingError(
                    f"{member.path}: has another grid than the first network; "
                    "the plain pipeline averages on one grid only"
                )
            mean = probabilities if mean is None else mean.add_(probabilities)
            del probabilities
        assert mean is not None
        with stages.stage("restore"):
            ids = torch.tensor(bundle.channel_ids, dtype=torch.uint8)
            labels = ids[enlarge(mean, tuple(hu.shape)).argmax(dim=0)].numpy()
    with stages.stage("write"):
        result = sitk.GetImageFromArray(labels)
        result.CopyInformation(ct)
        sitk.WriteImage(result, str(output), useCompression=True)
    return stages


def member_probabilities(
    hu: Tensor, spacing_zyx_mm: ZyxMm, member: MemberFacts, network: nn.Module, stages: Stages
) -> Tensor:
    """Probabilities of the whole image on a network's grid; shape (channels, z, y, x)."""
    with stages.stage("preprocess"):
        shrunk = shrink(hu, spacing_zyx_mm, member)
        network_input = (
            shrunk.clamp_(member.lower_hu, member.upper_hu)
            .sub_(member.shift_hu)
            .div_(member.scale_hu)[None, None]
        )

    def predictor(window: Tensor) -> Tensor:
        stages.windows += 1
        return torch.softmax(network(window).float(), dim=1)

    with stages.stage("networks"):
        probabilities: Any = sliding_window_inference(
            network_input,
            roi_size=member.window_zyx,
            sw_batch_size=1,
            predictor=predictor,
            overlap=member.overlap,
            mode=member.importance,
            sigma_scale=member.sigma,
        )
    result: Tensor = probabilities[0]
    return result


def even_slices(
    image_size: Sequence[int],
    patch_size: Sequence[int],
    scan_interval: Sequence[int],
    return_slice: bool = True,
) -> list[tuple[slice, ...]]:
    """Replacement of MONAI's `dense_patch_slices` that spreads the windows evenly from the first to the last.

    There are as many windows as MONAI has, which moves only the last one back. For size 110, window 64 and
    interval 32 MONAI has the starts 0, 32, 46; here they are 0, 23, 46.
    """
    starts = []
    for size, window, step in zip(image_size, patch_size, scan_interval, strict=True):
        gaps = ceil((size - window) / step) if size > window else 0
        starts.append([round(i * (size - window) / gaps) for i in range(gaps + 1)] if gaps else [0])
    corners = product(*starts)
    return [
        tuple(slice(start, start + window) for start, window in zip(corner, patch_size, strict=True))
        for corner in corners
    ]


def shrink(hu: Tensor, spacing_zyx_mm: ZyxMm, member: MemberFacts) -> Tensor:
    """The image on a network's grid, which spans it edge to edge.

    Under `area`, whole blocks of voxels that fit into one of the network's voxels are averaged first.
    """
    size: Zyx = tuple(
        max(1, round(n * s / t))
        for n, s, t in zip(hu.shape, spacing_zyx_mm, member.spacing_zyx_mm, strict=True)
    )  # type: ignore[assignment]
    batch = hu[None, None]
    factors = [
        n // m if member.interpolation == "area" and n >= m else 1
        for n, m in zip(hu.shape, size, strict=True)
    ]
    if max(factors) > 1:
        batch = functional.avg_pool3d(batch, factors, ceil_mode=True)
    # The scale counts in whole blocks, so that an incomplete last block does not shift the grid.
    scale = [m / (n / f) * (1 + 1e-9) for n, m, f in zip(hu.shape, size, factors, strict=True)]
    shrunk = functional.interpolate(
        batch, scale_factor=scale, mode="trilinear", recompute_scale_factor=False
    )[0, 0]
    assert shrunk.shape == size, "the scale gives the size"
    return shrunk


def enlarge(probabilities: Tensor, size_zyx: tuple[int, ...]) -> Tensor:
    """Probabilities of all classes on another grid that spans the same space, edge to edge."""
    return functional.interpolate(probabilities[None], size=size_zyx, mode="trilinear")[0]


if __name__ == "__main__":
    sys.exit(main())
