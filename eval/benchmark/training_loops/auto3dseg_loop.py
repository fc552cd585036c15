"""The training loop of MONAI Auto3DSeg's SegResNet with the setting of the benchmark; a program.

    python -m eval.benchmark.training_loops.auto3dseg_loop --help

Auto3DSeg downloads its algorithms as templates and runs those. This is what the SegResNet template does, made
again from MONAI's parts with the figures of a configuration that it generated for CT: cases cached in memory
once they are normalized, crops by label classes, affine, flips, blur, scaled and shifted intensities, noise;
`SegResNetDS`, Dice and cross entropy at each level, AdamW, Dice of each training batch. Where there was a
choice it is the faster one: channels last, as newer templates have it; places of the classes are cached with
the cases; the cache is not shared through a manager process.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.losses import DeepSupervisionLoss, DiceCELoss
from monai.metrics import CumulativeAverage, DiceHelper
from monai.networks.nets import SegResNetDS
from monai.transforms import (
    ClassesToIndicesd,
    Compose,
    Lambdad,
    RandAffined,
    RandCropByLabelClassesd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    ScaleIntensityRanged,
    SpatialPadd,
)
from torch import Tensor, autocast

from eval.benchmark.training_loops.loop_clock import (
    BACKWARD,
    FORWARD,
    LOSS,
    UPDATE,
    WAIT,
    LoopClock,
    read_call,
)
from eval.benchmark.training_loops.loop_setting import (
    CHANNELS,
    HIGHEST_HU,
    LOWEST_HU,
    SEGRESNET_BLOCKS,
    LoopSetting,
)

IMAGE, LABEL, PLACES = "image", "label", "label_places"
BOTH = (IMAGE, LABEL)
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the loop and write its times."""
    call = read_call(argv, "the training loop of MONAI Auto3DSeg's SegResNet")
    setting = call.setting
    torch.set_num_threads(setting.threads)
    device = torch.device(setting.device)
    network = SegResNetDS(
        in_channels=1,
        out_channels=CHANNELS,
        init_filters=setting.width,
        blocks_down=SEGRESNET_BLOCKS,
        norm="INSTANCE",
        dsdepth=len(SEGRESNET_BLOCKS) - 1,
    ).to(device=device, memory_format=torch.channels_last_3d)
    network.train()
    loss_function = DeepSupervisionLoss(
        DiceCELoss(
            include_background=False,
            squared_pred=True,
            smooth_nr=0,
            smooth_dr=1e-5,
            softmax=True,
            to_onehot_y=True,
        )
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0002, weight_decay=1e-5)
    scaler = torch.amp.GradScaler(setting.device, enabled=call.precision == "fp16")
    dice, mean_loss, mean_dice = DiceHelper(sigmoid=False), CumulativeAverage(), CumulativeAverage()
    batches = iter(loader_of(call.data, setting))
    clock = LoopClock(torch.cuda.synchronize if device.type == "cuda" else lambda: None)
    for _ in range(setting.all_steps):
        batch = next(batches)
        clock.mark(WAIT)
        image, target = (batch[key].as_subclass(Tensor).to(device) for key in BOTH)
        image = image.to(memory_format=torch.channels_last_3d)
        optimizer.zero_grad(set_to_none=True)
        with autocast(setting.device, TYPES[call.precision], enabled=call.precision != "fp32"):
            logits = network(image)
        clock.mark(FORWARD)
        loss = loss_function(logits, target)
        clock.mark(LOSS)
        scaler.scale(loss).backward()
        clock.mark(BACKWARD)
        scaler.step(optimizer)
        scaler.update()
        clock.mark(UPDATE)
        with torch.no_grad():
            found, count = dice(torch.softmax(logits[0], dim=1), target)
        mean_loss.append(loss, count=len(image))
        mean_dice.append(found, count=count)
        mean_loss.aggregate()
        mean_dice.aggregate()
        clock.end_step()
    clock.write(call.report, call.precision, setting.batch)
    return 0


def loader_of(data: Path, setting: LoopSetting) -> Any:  # noqa: ANN401
    """Batches of as many steps as are run, in one epoch, so that the loader never starts anew."""
    labels = sorted((data / "labelsTr").glob("*.nii.gz"))
    files = [
        {IMAGE: str(data / "imagesTr" / f"{path.name.removesuffix('.nii.gz')}_0000.nii.gz"), LABEL: str(path)}
        for path in labels
    ]
    wanted = setting.batch * (setting.all_steps + 1)
    often = [files[number % len(files)] for number in range(wanted)]
    cases = CacheDataset(
        data=often, transform=transforms_of(setting), copy_cache=False, hash_as_key=True, progress=False
    )
    return DataLoader(
        cases,
        batch_size=setting.batch,
        shuffle=True,
        num_workers=setting.workers,
        persistent_workers=setting.workers > 0,
        pin_memory=setting.device == "cuda",
    )


def transforms_of(setting: LoopSetting) -> Compose:
    """The template's transforms; what is random begins with the crop, and what lies before is cached."""
    size = [setting.patch] * 3
    sigma = (0.5, 1.0)
    return Compose(
        [
            Lambdad(keys=BOTH, func=read),
            ScaleIntensityRanged(
                keys=IMAGE, a_min=LOWEST_HU, a_max=HIGHEST_HU, b_min=-1, b_max=1, clip=False
            ),
            Lambdad(keys=IMAGE, func=torch.sigmoid),
            SpatialPadd(keys=BOTH, spatial_size=size),
            ClassesToIndicesd(
                keys=LABEL, num_classes=CHANNELS, indices_postfix="_places", max_samples_per_class=2000
            ),
            RandCropByLabelClassesd(
                keys=BOTH,
                label_key=LABEL,
                num_classes=CHANNELS,
                spatial_size=size,
                num_samples=1,
                indices_key=PLACES,
                warn=False,
            ),
            RandAffined(
                keys=BOTH,
                prob=0.2,
                rotate_range=(0.26, 0.26, 0.26),
                scale_range=(0.2, 0.2, 0.2),
                mode=("bilinear", "nearest"),
                spatial_size=size,
                cache_grid=True,
                padding_mode="border",
            ),
            *(RandFlipd(keys=BOTH, prob=0.5, spatial_axis=axis) for axis in range(3)),
            RandGaussianSmoothd(keys=IMAGE, prob=0.2, sigma_x=sigma, sigma_y=sigma, sigma_z=sigma),
            RandScaleIntensityd(keys=IMAGE, prob=0.5, factors=0.3),
            RandShiftIntensityd(keys=IMAGE, prob=0.5, offsets=0.1),
            RandGaussianNoised(keys=IMAGE, prob=0.2, mean=0.0, std=0.1),
        ]
    )


def read(path: str) -> MetaTensor:
    """An image as MONAI's reader gives it, (1, z, y, x) float32; MONAI's own needs a package more."""
    return MetaTensor(torch.from_numpy(sitk.GetArrayFromImage(sitk.ReadImage(path)).astype(np.float32)[None]))


if __name__ == "__main__":
    sys.exit(main())
