"""What is to be segmented, under which name the result is written, and whether it can be."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from inference.errors import OutputError, UsageError, reason
from inference.imaging.formats.dicom import holds_dicom, is_dicom
from inference.imaging.reading import image_suffix
from inference.imaging.writing import try_folder

CHANNEL = "_0000"
FORMATS = ".nii, .nii.gz, .mha, .mhd, .nrrd or a folder with a DICOM series"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One image to segment."""

    path: Path
    """A file, or a folder that holds a DICOM series."""
    output_name: str
    problem: str | None = None
    """Why it cannot be segmented, known before it is read."""


def output_name(name: str) -> str:
    """Name of the label map for an image: `CASE_0000.nii.gz` → `CASE.nii.gz`, `scan.mha` → `scan.nii.gz`, `NAME` → `NAME.nii.gz`."""
    stem = name.removesuffix(image_suffix(name)) if image_suffix(name) else name.removesuffix(".dcm")
    return (stem.removesuffix(CHANNEL) or stem or "case") + ".nii.gz"


def find_cases(source: Path) -> list[Case]:
    """The cases in a folder, by name; or the one case that a file or a DICOM folder is.

    Folders are searched for images and for folders that hold DICOM files; hidden files do not count. Cases
    whose results would have the same name have a `problem`.

    Raises:
        UsageError: there is nothing of that name, or no image in it.
    """
    try:
        paths = [source.absolute()] if not source.is_dir() else _images_in(source)
        if not source.exists():
            raise UsageError(f"{source}: no such file or folder; give the images with --input")
    except (OSError, RuntimeError) as error:
        raise UsageError(f"{source}: cannot be read ({reason(error)})") from error
    if not paths:
        raise UsageError(f"{source}: holds no image; put in {FORMATS}")
    cases = [Case(path=path, output_name=output_name(path.name)) for path in paths]
    taken = Counter(case.output_name for case in cases)
    clash = "{}: its result would be named {} like that of another input; rename one of them"
    return [
        case if taken[case.output_name] == 1 else replace(case, problem=clash.format(case.path, case.output_name)) for case in cases
    ]  # fmt: skip


def _images_in(folder: Path) -> list[Path]:
    inside = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    images = [
        entry for entry in inside if image_suffix(entry.name) or (entry.is_dir() and holds_dicom(entry))
    ]
    if any(not image_suffix(entry.name) and entry.is_file() and is_dicom(entry) for entry in inside):
        return [folder.resolve(), *(entry for entry in images if not entry.is_dir())]
    return images


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
    """Make the output folder if it is not there, and try whether it can be written.

    Raises:
        OutputError: it cannot.
    """
    if output.is_file():
        raise OutputError(f"{output}: cannot be written (it is a file); give a folder with --output")
    try:
        output.mkdir(parents=True, exist_ok=True)
        try_folder(output)
    except OSError as error:
        raise OutputError(
            f"{output}: cannot be written ({reason(error)}); make it writable or give another folder with "
            "--output"
        ) from error
