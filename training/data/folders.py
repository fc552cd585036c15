"""A data-set folder: which cases there are, and what is amiss with their files.

| form | where files are |
|---|---|
| nnU-Net v2, FLARE | `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`; also in `images`, `labels` |
| AMOS | `imagesTr/amos_0001.nii.gz`, `labelsTr/amos_0001.nii.gz` |
| MONAI datalist, Decathlon | `dataset.json`, or the file given: `"training": [{"image": …, "label": …}]` |
| prepared store | what `python -m training prepare` wrote |

Any format that the engine reads will do. `annotated.json` beside them says which structures a case annotates;
a datalist's entries may have a `"fold"`, which cross-validation follows.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.imaging.reading import image_suffix
from model.case_names import channel_stem, split_channel
from training.data.annotations import ANNOTATED, GIVEN, read_annotated
from training.data_place import document_of, folder_of
from training.training_errors import DataError, NoDataError
from training.whole_files import read_json

IMAGES = ("imagesTr", "images")
LABELS = ("labelsTr", "labels")
STORE = "store.json"
SPLITS = "splits_final.json"
"""nnU-Net's split into folds, where it lies beside the data."""
SHOWN_FAULTS = 3
"""Faults that a single line names; `check` lists all."""


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Where one case lies."""

    name: str
    images: tuple[Path, ...]
    """A file for each input channel."""
    labels: Path
    annotated: tuple[str, ...] | None = None
    """Structures that the case annotates; None: all of its label set."""
    given: tuple[str, ...] | None = None
    """Those of them that people annotated, where the others are pseudo-labels; None: all of them."""
    prepared: Path | None = None
    """The store that holds the case on a network's grid; None: there is none."""
    fold: int | None = None
    """The fold that holds it out, as the datalist says; None: it says nothing."""

    @property
    def judged(self) -> "CaseFiles":
        """The case as networks are judged on it: by what people annotated, not by pseudo-labels."""
        return self if self.given is None else replace(self, annotated=self.given, given=None)

    @property
    def is_judged(self) -> bool:
        """Whether people annotated anything, so that networks can be judged on the case."""
        return self.judged.annotated != ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a data-set folder holds, by the names of its files alone."""

    cases: tuple[CaseFiles, ...]
    """Complete cases, in the order of their names."""
    faults: tuple[str, ...]
    """What is amiss, a line each."""


def labelled_cases(folder: Path) -> tuple[CaseFiles, ...]:
    """Cases of a data-set folder in the order of their names.

    Raises:
        DataError: the folder is no data set, holds no case, or cases are not complete.
    """
    found = find_cases(folder)
    refuse(found.faults, folder)
    return found.cases


def refuse(faults: Sequence[str], folder: Path, option: str | None = "") -> None:
    """Nothing if there are no faults.

    Args:
        faults: a line each.
        folder: the data set that has them.
        option: what makes `check` find the same, e.g. `--label-set flare22`; None: nothing does.

    Raises:
        DataError: naming the first faults, and how to see the others.
    """
    if faults:
        more = len(faults) - SHOWN_FAULTS
        told = f"; and {more} more" if more > 0 else ""
        if told and option is not None:
            told += f": `python -m training check {folder}{option and f' {option}'}` lists all"
        raise DataError("; ".join(faults[:SHOWN_FAULTS]) + told)


def find_cases(folder: Path) -> Found:
    """All cases of a data-set folder, or of a datalist file, and everything that is amiss with their files.

    Raises:
        DataError: there is no data set, or it holds no case.
    """
    if (folder / STORE).is_file():
        return _in_store(folder)
    listed = _datalist(folder)
    if listed is not None:
        base = folder_of(folder)
        found = _in_list(base, listed)
    elif folder.is_dir():
        base, found = folder, _in_folders(folder)
    else:
        raise NoDataError(f"{folder}: no data set here (no such folder); give the folder of one")
    faults = [*found.faults, *_out_of_step(found.cases)]
    if not found.cases and not faults:
        raise DataError(f"{folder}: holds no case")
    names = [case.name for case in found.cases]
    annotated, given, more = _annotations(base, names)
    cases = (
        replace(case, annotated=annotated.get(case.name), given=given.get(case.name)) for case in found.cases
    )
    ordered = tuple(sorted(cases, key=lambda case: case.name))
    return Found(cases=ordered, faults=(*faults, *more))


def _in_folders(folder: Path) -> Found:
    """Cases of the nnU-Net form."""
    images = next((folder / name for name in IMAGES if (folder / name).is_dir()), None)
    if images is None:
        raise DataError(
            f"{folder}: no data set here (imagesTr is missing); it must hold imagesTr and labelsTr, or "
            f"images and labels{_what_is_near(folder)}"
        )
    labels = folder / LABELS[IMAGES.index(images.name)]
    truths, doubled = _truths(labels)
    channels, repeated = _channels(images, truths)
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
    paths = _image_files(folder)
    for path in paths:
        truths.setdefault(_stem(path), path)
    second = [path for path in paths if truths[_stem(path)] != path]
    return truths, [f"{path}: second label map of case {_stem(path)}; keep one" for path in second]


def _channels(folder: Path, truths: Mapping[str, Path]) -> tuple[dict[str, dict[int, Path]], list[str]]:
    """Case to channel to file, and a line for each channel that has two."""
    channels: dict[str, dict[int, Path]] = {}
    faults = []
    for path in _image_files(folder):
        name, channel = _case_of(_stem(path), truths)
        if channels.setdefault(name, {}).setdefault(channel, path) != path:
            faults.append(f"{path}: second image of case {name}, channel {channel}; keep one")
    return channels, faults


def _case_of(stem: str, truths: Mapping[str, Path]) -> tuple[str, int]:
    """Case and channel of an image file.

    AMOS's `amos_0001` is not channel 1 of `amos`: its label map has the same name.
    """
    name, channel = split_channel(stem)
    if stem in truths or channel is None:
        return stem, 0
    return name, channel


def _in_list(base: Path, listed: Sequence[object]) -> Found:
    """Cases of a datalist, whose paths are relative to its folder."""
    cases: dict[str, CaseFiles] = {}
    faults = []
    for number, entry in enumerate(listed):
        files = _entry(entry)
        if files is None:
            faults.append(f'{base}: training[{number}] must read {{"image": file, "label": file}}')
            continue
        images, labels = tuple(base / image for image in files[0]), base / files[1]
        missing = [path for path in (*images, labels) if not path.exists()]
        faults += [f"{path}: missing, though the datalist names it" for path in missing]
        name = _case_of(_stem(images[0]), {_stem(labels): labels})[0]
        if name in cases:
            faults.append(f"{images[0]}: second entry of case {name} in the datalist; keep one")
        elif not missing:
            cases[name] = CaseFiles(name=name, images=images, labels=labels, fold=_fold(entry))
    return Found(cases=tuple(cases.values()), faults=tuple(faults))


def _entry(entry: object) -> tuple[list[str], str] | None:
    """The images and the labels of a datalist's entry; None where it does not read so."""
    if not isinstance(entry, Mapping):
        return None
    images, labels = entry.get("image"), entry.get("label")
    listed = [images] if isinstance(images, str) else images
    if not isinstance(labels, str) or not isinstance(listed, list) or not listed:
        return None
    return (listed, labels) if all(isinstance(image, str) for image in listed) else None


def _fold(entry: object) -> int | None:
    """The fold of a datalist's entry; None where it has none."""
    fold = entry.get("fold") if isinstance(entry, Mapping) else None
    return fold if isinstance(fold, int) and not isinstance(fold, bool) and fold >= 0 else None


def _datalist(path: Path) -> Sequence[object] | None:
    """The entries of a datalist; None where there is none."""
    file = document_of(path)
    if not file.is_file():
        return None
    try:
        document = read_json(file)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({' '.join(str(error).split())})") from error
    listed = document.get("training") if isinstance(document, dict) else None
    if isinstance(listed, list) and listed:
        return listed
    if path.is_dir():
        return None
    raise DataError(f'{file}: no data set (it lists no "training" cases)')


def _in_store(folder: Path) -> Found:
    """Cases of a prepared store; what it says of them was checked when they were prepared."""
    try:
        document = read_json(folder / STORE)
        names = [str(name) for name in document["cases"]]
        folds = dict(document.get("folds") or {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / STORE}: is damaged; prepare the data anew") from error
    annotated, given, faults = _annotations(folder, names)
    cases = [
        CaseFiles(
            name=name,
            images=(),
            labels=folder / "cases" / f"{name}.labels.b2nd",
            annotated=annotated.get(name),
            given=given.get(name),
            prepared=folder,
            fold=_fold({"fold": folds.get(name)}),
        )
        for name in names
    ]
    unready = [name for name in names if not (folder / "cases" / f"{name}.json").is_file()]
    told = [f"{folder}: case {name} is not prepared yet; run prepare again, it continues" for name in unready]
    return Found(cases=tuple(cases), faults=(*faults, *told))


def _annotations(
    folder: Path, names: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], list[str]]:
    """Case to what it annotates, case to what people gave of that, and what is amiss, a line each."""
    annotated, faults = read_annotated(folder, names)
    given, more = read_annotated(folder, names, GIVEN)
    apart = [
        f"{folder / GIVEN}: case {case} names {name}, which {ANNOTATED} does not"
        for case, structures in given.items()
        for name in structures
        if case in annotated and name not in annotated[case]
    ]
    return annotated, given, [*faults, *more, *apart]


def _out_of_step(cases: Iterable[CaseFiles]) -> list[str]:
    """A line for each case that has fewer or more channels than most."""
    counted = Counter(len(case.images) for case in cases)
    if len(counted) < 2:
        return []
    usual = counted.most_common(1)[0][0]
    return [
        f"{case.images[-1]}: case {case.name} has {len(case.images)} channel(s), others have {usual}"
        for case in cases
        if len(case.images) != usual
    ]


def _image_files(folder: Path) -> list[Path]:
    """Files of a folder that an image reader knows by their names, in order; hidden ones left out."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if image_suffix(p.name) and not p.name.startswith("."))


def _stem(path: Path) -> str:
    suffix = image_suffix(path.name)
    return path.name[: -len(suffix)] if suffix else path.name


def data_name(data: Path) -> str:
    """What a data set calls itself in its `dataset.json` or the datalist given; else its folder's name."""
    name = folder_of(data).name
    try:
        document = read_json(document_of(data))
    except (OSError, ValueError):
        return name
    return str(document.get("name", name)) if isinstance(document, dict) else name
