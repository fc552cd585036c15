"""Data sets of two folders, images beside labels, in which names say what belongs together."""

from pathlib import Path

from inference.imaging.reading import image_suffix
from model.case_names import channel_stem
from training.data.found_cases import CaseFiles, Found
from training.data.named_images import IMAGES, LABELS, case_beside, image_files, images_by_case, stem_of
from training.training_errors import DataError


def cases_in_folders(folder: Path) -> Found:
    """Cases of a folder that holds both folders, and what is amiss with their files.

    Raises:
        DataError: there is no folder of images in it, or no image in that.
    """
    images = next((folder / name for name in IMAGES if (folder / name).is_dir()), None)
    if images is None:
        raise DataError(
            f"{folder}: no data set here (imagesTr is missing); it must hold imagesTr and labelsTr, or "
            f"images and labels{_what_is_near(folder)}"
        )
    labels = folder / LABELS[IMAGES.index(images.name)]
    truths, doubled = _truths(labels)
    channels, repeated = images_by_case(images, lambda stem: case_beside(stem, truths))
    if not channels:
        raise DataError(f"{images}: holds no image ({channel_stem('CASE', 0)}.nii.gz)")
    faults = [*doubled, *repeated]
    faults += [
        f"{truths[name]}: has no image; {images / channel_stem(name, 0)} is missing"
        for name in sorted(truths.keys() - channels.keys())
    ]
    cases = []
    for name, files in channels.items():
        suffix = image_suffix(next(iter(files.values())).name)
        gaps = [number for number in range(max(files)) if number not in files]
        faults += [
            f"{images / channel_stem(name, gap)}{suffix}: missing, though the case has channel {max(files)}"
            for gap in gaps
        ]
        if name not in truths:
            faults.append(f"{labels / name}{suffix}: missing, though the case has an image")
        elif not gaps:
            ordered = tuple(files[number] for number in sorted(files))
            cases.append(CaseFiles(name=name, images=ordered, labels=truths[name]))
    return Found(cases=tuple(cases), faults=tuple(faults))


def _what_is_near(folder: Path) -> str:
    """What lies there and may be meant: a data set one folder deeper, or folders of images by other names."""
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    for path in inner:
        if any((path / name).is_dir() for name in IMAGES):
            return f"; {path} does"
    if others := [path.name for path in inner if path.name.lower().startswith(("images", "labels"))]:
        return f"; {', '.join(others)} lie there: rename them, or link them by these names (ln -s)"
    return ""


def _truths(folder: Path) -> tuple[dict[str, Path], list[str]]:
    """Case to label map, and a line for each that has two."""
    truths: dict[str, Path] = {}
    paths = image_files(folder)
    for path in paths:
        truths.setdefault(stem_of(path), path)
    second = [path for path in paths if truths[stem_of(path)] != path]
    return truths, [f"{path}: second label map of case {stem_of(path)}; keep one" for path in second]
