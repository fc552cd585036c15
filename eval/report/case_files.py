"""The volumes of a report: find the files of each case and turn them into scripts, in parallel."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import atomic_path, case_among, images_by_stem, is_image_name
from eval.pool import side_by_side
from eval.report.case_script import CaseFiles, read_case, script_of
from eval.scoring.lesion_tables import LesionRow
from model.case_names import FIRST_CHANNEL
from model.labels import LabelSet


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Folders of images and label maps; None if they are not given."""

    images: Path | None
    """Also the CT of an only case itself."""
    predictions: Path | None
    truths: Path | None


ENDINGS = (".nhdr", ".nrrd", ".mhd", ".mha")
"""Of images that are no NIfTI."""


@dataclass(frozen=True, kw_only=True)
class EmbedOptions:
    """Options of all volumes of a report."""

    labels: LabelSet
    """Labels that the label maps may hold."""
    detail_mm: float
    """Voxels are averaged up to about this size."""
    whole: bool
    """Slices far from any label are embedded too, as far as the size allows."""


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """The volume of one case."""

    stem: str
    """Name of the case."""
    key: str
    """Name of its script, without suffix."""
    error: str = ""
    """Why there is no volume, in one line; empty if there is one."""


def find_files(
    stems: Sequence[str],
    folders: Folders,
    lesions: Mapping[str, Sequence[LesionRow]],
    images_of_run: Mapping[str, Path],
) -> list[CaseFiles]:
    """The files of each case, in the order of `stems`; a case without any file is left out.

    Args:
        stems: names of the cases.
        folders: where their files are.
        lesions: case to the lesions that are marked in it.
        images_of_run: case to the image that a run has segmented; taken where none is called like the case.

    Raises:
        JudgingError: a folder does not exist, or none of the folders holds a file of any case.
    """
    predictions, truths = (
        {} if folder is None else images_by_stem(folder) for folder in (folders.predictions, folders.truths)
    )
    image_of = {**images_of_run, **_images(folders.images, stems, known=images_of_run)}
    found = [
        CaseFiles(
            name=stem,
            image=image_of.get(stem),
            prediction=predictions.get(stem),
            truth=truths.get(stem),
            lesions=tuple(lesions.get(stem, ())),
        )
        for stem in stems
    ]
    found = [files for files in found if files.image or files.prediction or files.truth]
    given = [
        str(folder) for folder in (folders.images, folders.predictions, folders.truths) if folder is not None
    ]
    if given and stems and not found:
        raise JudgingError(f"{', '.join(given)}: hold no file of a case (the first is {stems[0]})")
    return found


def _images(given: Path | None, stems: Sequence[str], *, known: Container[str] = ()) -> Mapping[str, Path]:
    """Case to its CT.

    An only case's CT may be given itself, as a file or as the folder of a DICOM series; such a folder in the
    one that is given is a case of its name. A folder that holds files of no known format may be a series or
    hold one further down: it is not taken for that of a `known` case.
    """
    if given is None:
        return {}
    if len(stems) == 1 and (given.is_file() or (stems[0] not in known and _is_series(given))):
        return {stems[0]: given}
    series = {stem: given / stem for stem in stems if _is_series(given / stem)}
    images = images_by_stem(given)
    ends = [f"{channel}{ending}" for channel in (FIRST_CHANNEL, "") for ending in ENDINGS]
    others = {stem: path for stem in stems for end in ends if (path := given / f"{stem}{end}").is_file()}
    return (
        series
        | others
        | {case: path for stem, path in images.items() if (case := case_among(stem, stems)) is not None}
    )


def _is_series(folder: Path) -> bool:
    """Whether a folder holds files, and none that is an image by its name."""
    files = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    return bool(files) and not any(map(is_image_name, files))


def embed(numbered: tuple[str, CaseFiles], output: Path, options: EmbedOptions) -> Embedded:
    """Write the script of one case, KEY.js; a fault of the case is reported in `error` and not raised."""
    key, files = numbered
    try:
        text = script_of(key, read_case(files, options.labels, options.detail_mm, whole=options.whole))
    except JudgingError as error:
        return Embedded(stem=files.name, key=key, error=str(error))
    with atomic_path(output / f"{key}.js") as temporary:
        temporary.write_text(text, encoding="ascii")
    return Embedded(stem=files.name, key=key)


def embed_all(
    cases: Sequence[CaseFiles], output: Path, options: EmbedOptions, jobs: int
) -> Iterator[Embedded]:
    """Write the scripts of all cases, `jobs` at a time; yields the cases as they are finished.

    Raises:
        JudgingError: a process ran out of memory.
    """
    numbered = [(f"{index:04d}", files) for index, files in enumerate(cases, start=1)]
    yield from side_by_side(partial(embed, output=output, options=options), numbered, jobs)
