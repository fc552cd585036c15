"""Augmentation of a batch on the training device: crops in, patches out.

Crops travel as they are stored, int16 in the image's units, and are normalized here; or they are network
input already. Shapes: crops (b, c, Z, Y, X), labels (b, Z, Y, X) uint8, patches (b, c, z, y, x) float32.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.arrays import Zyx
from model.manifest.intensity import (
    ClipZscoreIntensity,
    DivideIntensity,
    Intensity,
    NoIntensity,
    RangeIntensity,
    WindowIntensity,
    WindowSigmoidIntensity,
)
from training.augmentation.appearance import Limits, vary_values
from training.augmentation.crops import BEYOND
from training.augmentation.draws import Key
from training.augmentation.pose import draw_pose_of, look, middle
from training.recipes.augmentation_options import Augmentation


def augment_batch(
    crops: Tensor,
    labels: Tensor,
    keys: Sequence[Key],
    options: Augmentation,
    patch_zyx: Zyx,
    intensities: Sequence[Intensity],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Patches and their labels, on the device; each a function of its crop and its key alone.

    Args:
        crops: int16 in the image's units (`BEYOND` beyond it), or network input of any float type. They lie
            about the patch's middle and are as large as the largest `needed_crop` of the keys, or larger.
            Beyond a crop is 0.
        labels: output channel of each voxel.
        keys: of each patch, seed and number in the run.
        options: what is done to them.
        patch_zyx: size of a patch; the crop's size differs from it by an even number of voxels.
        intensities: of each channel: how int16 becomes network input, and which values that can have.
        device: where it is done.

    Raises:
        ValueError: int16 crops, and an intensity that takes its figures from the whole image.
    """
    if device.type == "cuda" and crops.device.type == "cpu":
        crops, labels = crops.pin_memory(), labels.pin_memory()
    crops, labels = crops.to(device, non_blocking=True), labels.to(device, non_blocking=True)
    images = torch.empty((len(keys), crops.shape[1], *patch_zyx), device=device)
    target = torch.empty((len(keys), *patch_zyx), dtype=labels.dtype, device=device)
    for index, key in enumerate(keys):
        pose = draw_pose_of(options, key, patch_zyx)
        # No more of the crop than the pose sees: less to do, and the result does not depend on the others.
        inside = middle(labels.shape[1:], pose.crop_size(patch_zyx))
        crop = network_input(crops[index][:, *inside], intensities)
        image, target[index] = look(crop, labels[index][inside], pose, patch_zyx)
        for channel, intensity in enumerate(intensities):
            limits = limits_of(intensity)
            images[index, channel] = vary_values(image[channel], options, key, channel, limits)
    return images, target


def network_input(crop: Tensor, intensities: Sequence[Intensity]) -> Tensor:
    """A crop in float32, normalized where it is not yet; (c, Z, Y, X)."""
    values = crop.float()
    if not crop.is_floating_point():
        for channel, intensity in zip(values.unbind(), intensities, strict=True):
            normalize_in_place(channel, intensity)
        # Most crops lie inside their image. A GPU would have to be waited for to know.
        if crop.is_cuda or int(crop.min()) == BEYOND:
            values.masked_fill_(crop == BEYOND, 0)
    return values


def needed_crop(options: Augmentation, key: Key, patch_zyx: Zyx) -> Zyx:
    """Voxels of the crop that the patch of a key is made of, along each axis."""
    return draw_pose_of(options, key, patch_zyx).crop_size(patch_zyx)


def normalize_in_place(values: Tensor, intensity: Intensity) -> None:
    """Turn values in the image's units, float32, into network input.

    The same as `inference.preprocessing.intensity.normalize`, on the device.

    Raises:
        ValueError: the intensity takes its figures from the whole image.
    """
    match intensity:
        case WindowIntensity():
            values.clamp_(intensity.lower, intensity.upper)
            values.sub_(intensity.lower).div_(intensity.upper - intensity.lower)
        case WindowSigmoidIntensity():
            values.sub_(intensity.lower).mul_(2.0 / (intensity.upper - intensity.lower)).sub_(1.0)
            values.sigmoid_()
        case ClipZscoreIntensity():
            values.clamp_(intensity.lower, intensity.upper).sub_(intensity.mean).div_(intensity.std)
        case RangeIntensity():
            values.sub_(intensity.lower).div_(intensity.upper - intensity.lower)
            values.mul_(intensity.to_upper - intensity.to_lower).add_(intensity.to_lower)
            if intensity.clip:
                values.clamp_(intensity.to_lower, intensity.to_upper)
        case DivideIntensity():
            values.div_(intensity.by)
        case NoIntensity():
            pass
        case _:
            raise ValueError(
                f"{intensity.kind} takes its figures from the whole image: normalize before cropping"
            )


def limits_of(intensity: Intensity) -> Limits | None:
    """Lowest and highest value after an intensity; None where values have no ends, or keep to none."""
    return (0.0, 1.0) if isinstance(intensity, WindowIntensity | WindowSigmoidIntensity) else None
