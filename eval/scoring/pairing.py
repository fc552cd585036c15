"""Pair the label maps of two folders. The truth says what is judged: a case is a file of the truth.

A prediction of no truth is an extra, which is named and left out.
"""

from dataclasses import dataclass
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import ANY_SUFFIX, case_of, check_is_folder, is_image_name, stem_of


@dataclass(frozen=True, kw_only=True)
class PairedCase:
    """The files of a truth and its prediction."""

    name: str
    """File name of the truth, as in the organisers' tables."""
    prediction: Path | None
    """Predicted label map; None if there is none."""
    truth: Path
    """True label map."""


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """What two folders hold together."""

    cases: tuple[PairedCase, ...]
    """One case a truth, sorted by name."""
    extras: tuple[Path, ...]
    """Predictions of no truth, which are not judged."""


def pair_files(prediction_dir: Path, truth_dir: Path) -> Pairs:
    """Pair the label maps of two folders by name, sorted by name; whatever their formats.

    Raises:
        JudgingError: a folder does not exist, the folder of truths holds no label map, a case stands twice in
            a folder, or no prediction has the name of a truth.
    """
    predictions, truths = _label_maps(prediction_dir), _label_maps(truth_dir)
    if not truths:
        raise JudgingError(f"{truth_dir}: holds no {ANY_SUFFIX} files to compare with")
    if predictions and not predictions.keys() & truths.keys():
        names = f"{next(iter(predictions.values())).name} there, {next(iter(truths.values())).name} here"
        raise JudgingError(
            f"{prediction_dir}: no file has the name of one in {truth_dir} ({names}); "
            "name predictions like truths"
        )
    cases = (
        PairedCase(name=path.name, prediction=predictions.get(stem), truth=path)
        for stem, path in truths.items()
    )
    return Pairs(
        cases=tuple(sorted(cases, key=lambda case: stem_of(case.name))),
        extras=tuple(path for stem, path in predictions.items() if stem not in truths),
    )


def why_extra(path: Path, pairs: Pairs) -> str:
    """Why a prediction is not judged, in one line."""
    case = case_of(path.name)
    if case != stem_of(path.name) and any(stem_of(known.name) == case for known in pairs.cases):
        return f"{path.name}: is named like an image; the label map of {case} is {case}.nii.gz"
    return f"{path.name}: there is no truth of this name"


def _label_maps(folder: Path) -> dict[str, Path]:
    check_is_folder(folder, "label maps")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not is_image_name(path.name) or not path.is_file():
            continue
        stem = stem_of(path.name)
        if stem in found:
            raise JudgingError(f"{folder}: holds both {found[stem].name} and {path.name}; keep one")
        found[stem] = path
    return found
