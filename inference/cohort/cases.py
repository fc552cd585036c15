"""What is to be segmented, under which name the result is written, and whether it can be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os.path import realpath
from pathlib import Path

from inference.cohort.image_folders import folders_with_images
from inference.cohort.unread_files import told_of_unread, unread
from inference.errors import OutputError, UsageError, reason
from inference.imaging.formats.dicom_choice import CT
from inference.imaging.formats.dicom_folder import holds_dicom, holds_series, starts_in
from inference.imaging.reading import FORMATS, image_suffix
from inference.imaging.writing import try_folder
from leanseg.atomic_files import sweep
from model.case_names import FIRST_CHANNEL, channel_stem, split_channel
from model.organ_counts import listed


@dataclass(frozen=True, kw_only=True)
class Case:
    """One patient image to segment."""

    path: Path
    """Its first channel: a file, or a folder that holds a DICOM series."""
    output_name: str
    further: tuple[Path, ...] = ()
    """Its other channels, in order."""
    problem: str | None = None
    """Why it cannot be segmented, known before it is read."""
    warnings: tuple[str, ...] = ()
    """What the user should know of it, known before it is read."""
    modalities: tuple[str, ...] = ()
    """What the bundle takes its channels to be, as DICOM writes it, empty where that is open; it decides
    between several series in one folder. None at all: a CT."""
    series: str | None = None
    """The series to take in the folder of its first channel, by UID or number, where the user names one."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All channels, in order."""
        return (self.path, *self.further)

    @property
    def expected(self) -> tuple[str, ...]:
        """The modality that is expected of each channel."""
        return self.modalities or (CT,) * len(self.paths)


def output_name(name: str) -> str:
    """Name of the label map for an image.

    `CASE_0000.nii.gz` → `CASE.nii.gz`, `scan.mha` → `scan.nii.gz`, `NAME` → `NAME.nii.gz`.
    """
    stem = _stem(name)
    return (stem.removesuffix(FIRST_CHANNEL) or stem or "case") + ".nii.gz"


def find_cases(source: Path, channels: int = 1, output: Path | None = None) -> list[Case]:
    """The cases in a folder, by name; or the one case that a file or a DICOM folder is.

    Folders are searched for images and for folders that hold DICOM files. Hidden files do not count, nor do
    DICOM files directly in the folder that are no images, such as the directory of a disc. Cases whose
    results would have the same name, or that lack a channel, have a `problem`.

    Args:
        source: a folder, a file (with several channels: of the first one) or a DICOM folder.
        channels: files that make a case: 1, or `CASE_0000`, `CASE_0001` … as many as the bundle has inputs.
        output: folder of results, which may lie in the source; what an earlier run left there is no case.

    Raises:
        UsageError: there is nothing of that name, or no image in it.
    """
    try:
        paths = [source.absolute()] if not source.is_dir() else _images_in(source, output)
        if not source.exists():
            raise UsageError(f"{source}: no such file or folder; give the images with --input")
        beside = _images_beside(paths[0]) if not source.is_dir() and channels > 1 else paths
        below = (
            [] if paths else _folders_of_images(source, output) or folders_with_images(source, set(), output)
        )
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{source}: cannot be read ({reason(error)})") from error
    if below:
        raise UsageError(f"{source}: holds no image, but its folders do; {_remedy(below[0], source)}")
    if not paths:
        raise UsageError(f"{source}: holds no image; put in {FORMATS}")
    return name_cases(paths, channels, beside)


def name_cases(paths: Sequence[Path], channels: int, beside: Sequence[Path] | None = None) -> list[Case]:
    """The cases that the images of one folder make, as `find_cases` says; only their names count.

    Args:
        paths: the images, by name.
        channels: files that make a case.
        beside: where the further channels are looked for; None: among the same.
    """
    if channels == 1:
        series = next((path for path in paths if path.is_dir() and not image_suffix(path.name)), None)
        cases = [
            Case(path=path, output_name=output_name(path.name), warnings=_not_alone(path, series))
            for path in paths
        ]
    else:
        cases = _several_channels(paths, paths if beside is None else beside, channels)
    taken = Counter(case.output_name for case in cases)
    clash = "{}: its result would be named {} like that of another input; rename one of them"
    return [
        replace(case, problem=clash.format(case.path, case.output_name))
        if taken[case.output_name] > 1 and case.problem is None
        else case
        for case in cases
    ]


def _not_alone(path: Path, series: Path | None) -> tuple[str, ...]:
    """A warning about an image beside a DICOM series, which may be its label map."""
    if series is None or path.is_dir():
        return ()
    meant = f"give {series} with --input if only that is meant"
    return (f"lies beside a DICOM series, and is segmented as an image of its own; {meant}",)


def shared_warnings(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Warnings that several cases have alike, each with these cases: once for all is enough."""
    warned: dict[str, list[Case]] = {}
    for case in cases:
        for warning in case.warnings:
            warned.setdefault(warning, []).append(case)
    return {warning: those for warning, those in warned.items() if len(those) > 1}


def _several_channels(paths: Sequence[Path], beside: Sequence[Path], channels: int) -> list[Case]:
    """One case for each name, with its channels from the files beside it."""
    by_stem: dict[str, Path] = {}
    twice: dict[str, str] = {}
    for path in beside:
        other = by_stem.setdefault(_stem(path.name), path)
        if other is not path:
            twice[_stem(path.name)] = f"{other}: is there a second time, as {path.name}; keep one of them"
    names: dict[str, Path] = {}
    for path in paths:
        names.setdefault(split_channel(_stem(path.name))[0], path)
    cases = []
    for name, first_seen in names.items():
        stems = [channel_stem(name, channel) for channel in range(channels)]
        found = [by_stem[stem] for stem in stems if stem in by_stem]
        lacking = [stem for stem in stems if stem not in by_stem]
        problem = next((twice[stem] for stem in stems if stem in twice), None)
        if lacking:
            problem = (
                f"{first_seen}: its case lacks {', '.join(lacking)}; this bundle takes {channels} channels"
            )
        path, *further = found or [first_seen]
        case = Case(path=path, output_name=f"{name}.nii.gz", further=tuple(further), problem=problem)
        cases.append(case)
    return cases


def _stem(name: str) -> str:
    suffix = image_suffix(name)
    return name.removesuffix(suffix) if suffix else name.removesuffix(".dcm")


def _images_in(folder: Path, output: Path | None = None) -> list[Path]:
    results = None if output is None else Path(realpath(output))
    inside = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    images = [
        entry
        for entry in inside
        if image_suffix(entry.name)
        or (entry.is_dir() and Path(realpath(entry)) != results and holds_dicom(entry, results))
    ]
    others = (entry.name for entry in inside if not image_suffix(entry.name) and entry.is_file())
    if holds_series(others, starts_in(folder), images_only=True):
        return [folder.resolve(), *(entry for entry in images if not entry.is_dir())]
    return images


def _folders_of_images(folder: Path, output: Path | None) -> list[Path]:
    """Folders in a folder that hold images, by name; that of results is none of them."""
    results = None if output is None else Path(realpath(output))
    folders = [entry for entry in _folders_in(folder) if Path(realpath(entry)) != results]
    return [entry for entry in folders if _images_in(entry, output)]


def _folders_in(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def passed_over(source: Path, cases: Sequence[Case], output: Path) -> str:
    """A warning about folders with images that lie below, however deep, and make no case; empty if none do.

    Args:
        source: what was searched for cases.
        cases: that were found in it.
        output: of results, which may lie in the source.
    """
    if not source.is_dir():
        return ""
    taken = {Path(realpath(path)) for case in cases for path in case.paths}
    left = folders_with_images(source, taken, output)
    if not left:
        return ""
    names = listed([folder.relative_to(source).as_posix() for folder in left])
    return f"{source}: images in its folders are left out ({names}); {_remedy(left[0], source)}"


def unread_in(source: Path, cases: Sequence[Case]) -> str:
    """A warning about files directly in a folder that are of no known format; empty where there are none.

    Args:
        source: what was searched for cases.
        cases: that were found in it. Of a DICOM series, which is one case, all files are the case's.
    """
    if not source.is_dir() or any(case.path == source.resolve() for case in cases):
        return ""
    files = sorted(entry.name for entry in source.iterdir() if entry.is_file())
    shown = [name for name in files if not name.startswith(".")]
    return told_of_unread(source, unread(shown, starts_in(source)))


def _remedy(folder: Path, source: Path) -> str:
    return (
        f"give one with --input: {folder}; or all, however deep: python -m inference cohort --input {source}"
    )


def _images_beside(path: Path) -> list[Path]:
    """An image and those in the same folder; of several with its own name it is the one that is meant."""
    others = [each for each in _images_in(path.parent) if _stem(each.name) != _stem(path.name)]
    return [path, *others]


def check_folders(source: Path, output: Path) -> None:
    """Make sure that results cannot land among the images.

    Raises:
        UsageError: the input is the output folder, or lies in it.
    """
    inner, outer = source.resolve(), output.resolve()
    if inner == outer or outer in inner.parents:
        raise UsageError(
            f"{output}: the input {source} lies in the output folder; give a folder for results alone with "
            "--output"
        )


def prepare_output(output: Path) -> None:
    """Make the output folder if it is not there, try whether it can be written, and sweep it.

    Raises:
        OutputError: it cannot.
    """
    if output.is_file():
        raise OutputError(f"{output}: cannot be written (it is a file); give a folder with --output")
    try:
        output.mkdir(parents=True, exist_ok=True)
        try_folder(output)
        sweep(output)
    except OSError as error:
        raise OutputError(
            f"{output}: cannot be written ({reason(error)}); make it writable or give another folder with "
            "--output"
        ) from error
