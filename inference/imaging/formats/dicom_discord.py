"""What the slices of a DICOM series say unlike one another, or unlike any image, and what was made of it.

Each is read as it says, or as most of them say, and the user is told. Where SimpleITK reads something else,
which it does without a word, that is said too; tests compare.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

from inference.imaging.formats.dicom_file import DicomImage
from model.arrays import F64
from model.case_names import printable

TURNED_DEGREES = 0.1
"""Angle between slices from which the user is told; headers round to a hundredth of that."""
SAME_MM = 1e-3
"""Difference of the size of pixels that rounding explains."""
MOST_NAMES = 2
"""Files that a sentence names."""
Said = TypeVar("Said", bound=Hashable)


def commonest(images: Sequence[DicomImage], say: Callable[[DicomImage], Said]) -> Said:
    """What most images say; of equally many the first in order."""
    return Counter(map(say, images)).most_common(1)[0][0]


def discord(images: Sequence[DicomImage]) -> list[str]:
    """One sentence for each way in which the slices disagree.

    Args:
        images: slices of one stack, in order.
    """
    found = [
        _rescaling(images),
        _zero_slopes(images),
        _kinds_of_pixels(images),
        _missing_bits(images),
        _high_bits(images),
        _inverted(images),
        _pixel_sizes(images),
        _thicknesses(images),
        _turned(images),
        _numbering(images),
        _modalities(images),
        _frames_of_reference(images),
    ]
    return [sentence for sentence in found if sentence]


def left_out(taken: Sequence[DicomImage], others: Sequence[DicomImage]) -> list[str]:
    """What is told of images of a series that are no slices of the stack that was taken.

    Args:
        taken: the slices.
        others: images of the same series, in another direction or of another size.
    """
    first, series = taken[0], [*taken, *others]
    found = []
    if turned := [image for image in others if _pixels(image) == _pixels(first)]:
        found.append(
            f"{these(turned, series)} lie in another direction than the rest of their series; they were left "
            "out, which SimpleITK stacks with the rest"
        )
    if sized := [image for image in others if _pixels(image) != _pixels(first)]:
        found.append(
            f"{these(sized, series)} have {_pixels(sized[0])} pixels, the rest of their series "
            f"{_pixels(first)}; they were left out"
        )
    return found


def _pixels(image: DicomImage) -> str:
    return f"{image.columns}×{image.rows}"


def these(odd: Sequence[DicomImage], images: Sequence[DicomImage]) -> str:
    """Which slices: `2 of 6 slices (a.dcm, b.dcm)`, `9 of 12 slices (a.dcm, b.dcm and 7 more)`."""
    frames = len({image.path for image in images}) < len(images)
    names = [f"{name_of(image)} frame {image.frame + 1}" if frames else name_of(image) for image in odd]
    return f"{len(odd)} of {len(images)} slices ({_listed(names)})"


def named(images: Sequence[DicomImage]) -> str:
    """The files of images: `a.dcm, b.dcm`, `a.dcm, b.dcm and 7 more`."""
    return _listed(names_of(images))


def names_of(images: Sequence[DicomImage]) -> list[str]:
    """The files' names, with their folders where two files have the same name (`A/IM1` and `B/IM1`)."""
    paths = {image.path for image in images}
    if len({path.name for path in paths}) == len(paths):
        return list(map(name_of, images))
    return [printable("/".join(image.path.parts[-2:])) for image in images]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def name_of(image: DicomImage) -> str:
    """The file's name, which may hold what a terminal takes for a command."""
    return printable(image.path.name)


def _odd(images: Sequence[DicomImage], say: Callable[[DicomImage], Said]) -> tuple[list[DicomImage], Said]:
    """The images that do not say what most say, and what those say."""
    usual = commonest(images, say)
    return [image for image in images if say(image) != usual], usual


def _rescaling(images: Sequence[DicomImage]) -> str:
    odd, (slope, intercept) = _odd(images, lambda image: (image.slope, image.intercept))
    if not odd:
        return ""
    sentence = (
        f"{these(odd, images)} are rescaled otherwise than by {slope:g} and {intercept:g} (slope and "
        f"intercept), {name_of(odd[0])} by {odd[0].slope:g} and {odd[0].intercept:g}; each was taken as it "
        "says"
    )
    if _whole(images[0]) and not all(map(_whole, images)):
        sentence += ", where SimpleITK cuts values to whole numbers"
    return sentence


def _whole(image: DicomImage) -> bool:
    return image.slope.is_integer() and image.intercept.is_integer()


def _zero_slopes(images: Sequence[DicomImage]) -> str:
    odd = [image for image in images if image.is_slope_zero]
    return f"{these(odd, images)} have a rescale slope of 0; 1 was taken, as SimpleITK does" if odd else ""


def _kinds_of_pixels(images: Sequence[DicomImage]) -> str:
    """Slices of another type of pixels.

    SimpleITK reads all as the first one, whose type stays as it is stored where it is not rescaled.
    """
    odd, usual = _odd(images, lambda image: image.stored.newbyteorder("="))
    if not odd:
        return ""
    sentence = (
        f"{these(odd, images)} store pixels as {odd[0].stored.name}, not as {usual.name}; each was taken as "
        "it says"
    )
    first = images[0]
    if (first.slope, first.intercept) == (1.0, 0.0) and not all(
        np.can_cast(image.stored, first.stored) for image in images
    ):
        sentence += f", where SimpleITK lets values overflow that do not fit {first.stored.name}"
    return sentence


def _missing_bits(images: Sequence[DicomImage]) -> str:
    odd = [image for image in images if image.is_bits_missing]
    if not odd:
        return ""
    return (
        f"{these(odd, images)} do not say how many bits a pixel takes (BitsAllocated); 16 was taken, where "
        "SimpleITK leaves them out"
    )


def _high_bits(images: Sequence[DicomImage]) -> str:
    # Packed pixels are unpacked to where their decoder puts them.
    odd = [image for image in images if image.high_bit != image.bits_stored - 1 and not image.is_packed]
    if not odd:
        return ""
    bits, high = odd[0].bits_stored, odd[0].high_bit
    return (
        f"{these(odd, images)} have {bits} bits a pixel that end at bit {high}; they were shifted to bit "
        f"{bits - 1}, which SimpleITK does not do"
    )


def _inverted(images: Sequence[DicomImage]) -> str:
    odd = [image for image in images if image.is_inverted]
    if not odd:
        return ""
    return (
        f"{these(odd, images)} are to be shown inverted (MONOCHROME1), which says nothing of HU; values were "
        "taken as they are, which SimpleITK inverts"
    )


def _pixel_sizes(images: Sequence[DicomImage]) -> str:
    usual = commonest([image for image in images if image.spacing_yx_mm] or images, _size_mm)
    odd = [image for image in images if not _alike(_size_mm(image), usual)]
    if not odd or usual is None:
        return ""
    size = _size_mm(odd[0])
    told = "do not say how large their pixels are" if size is None else f"have pixels of {_by(size)} mm"
    sentence = f"{these(odd, images)} {told}; {_by(usual)} mm was taken, as most say"
    first = _size_mm(images[0])
    return sentence if _alike(first, usual) else f"{sentence}, where SimpleITK goes by the first slice"


def _thicknesses(images: Sequence[DicomImage]) -> str:
    odd = [image for image in images if image.odd_thickness]
    if not odd:
        return ""
    return f"{these(odd, images)} have a {odd[0].odd_thickness} that is no number; nothing was made of it"


def _size_mm(image: DicomImage) -> tuple[float, ...] | None:
    return image.spacing_yx_mm


def _alike(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> bool:
    if one is None or other is None:
        return one == other
    return bool(np.abs(np.subtract(one, other)).max() <= SAME_MM)


def _by(size_mm: tuple[float, ...]) -> str:
    return "×".join(f"{side:g}" for side in size_mm)


def _turned(images: Sequence[DicomImage]) -> str:
    """Slices that are turned against the first, by less than makes them another stack."""
    degrees = [_degrees(images[0], image) for image in images]
    odd = [image for image, turn in zip(images, degrees, strict=True) if turn > TURNED_DEGREES]
    if not odd:
        return ""
    return (
        f"{these(odd, images)} are turned against the first by up to {max(degrees):.1f}°; all were taken as "
        "parallel to it"
    )


def _degrees(one: DicomImage, other: DicomImage) -> float:
    """The largest angle between rows, or between columns."""
    if one.orientation is None or other.orientation is None or one.orientation == other.orientation:
        return 0.0
    return max(
        _angle_degrees(np.array(one.orientation[part]), np.array(other.orientation[part]))
        for part in (slice(0, 3), slice(3, 6))
    )


def _angle_degrees(one: F64, other: F64) -> float:
    # By both products: the arc cosine alone knows no angle below a hundredth of a degree.
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(one, other)), np.dot(one, other))))


def _numbering(images: Sequence[DicomImage]) -> str:
    numbers = [image.number for image in images if image.number is not None]
    if len(numbers) < len(images) or len(set(numbers)) == 1:
        return ""
    steps = np.sign(np.diff(numbers))
    if (steps > 0).all() or (steps < 0).all():
        return ""
    usual = 1 if (steps > 0).sum() * 2 >= len(steps) else -1
    odd = [image for image, step in zip(images[1:], steps, strict=True) if step != usual]
    return (
        f"{these(odd, images)} have a number (InstanceNumber) that is not in the order of their places; "
        "their places were gone by"
    )


def _modalities(images: Sequence[DicomImage]) -> str:
    odd, usual = _odd(images, lambda image: image.modality or "unknown")
    if not odd:
        return ""
    return f"{these(odd, images)} have the modality {odd[0].modality or 'unknown'}; all were taken as {usual}"


def _frames_of_reference(images: Sequence[DicomImage]) -> str:
    odd, _ = _odd(images, lambda image: image.frame_of_reference)
    return f"{these(odd, images)} lie in another frame of reference; all were taken as of one" if odd else ""
