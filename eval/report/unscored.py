"""Data of a page without scores: what was found in images whose truth nobody knows.

It has the fields of `eval.report.page_data`, with no metric and no table, and in their place the volume of
each structure of each case.
"""

from collections.abc import Callable, Container, Mapping
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import images_by_stem, stem_of
from eval.label_sets import check_labels, in_words
from eval.report.case_script import CONVERT
from eval.report.page_data import Json, structures_of
from eval.report.result_accounts import Account, accounts_beside, accounts_of_run, maker_of_run
from eval.scoring.challenges import DECIMALS, Challenge, structure_volumes_ml
from eval.scoring.metrics import label_boxes, labels_at_edge
from eval.volumes import read_labels
from model.labels import LabelSet
from model.organ_counts import ml_in_words, organs_in_words, possible


def unscored_page(predictions: Path, run: Path | None, challenge: Challenge, title: str | None) -> Json:
    """All data of the page but the voxels; a label map that cannot be read is a case in error.

    Cases in error come first, then those with doubts, then the others.

    Args:
        predictions: folder of label maps, those in folders below it too, as a cohort writes them.
        run: what `predict.py --report` wrote when it made them, for its warnings and doubts; what a cohort
            wrote beside them is found by itself.
        challenge: what the labels mean.
        title: heading; None: the name of an only case, else that of the folder.

    Raises:
        JudgingError: there is no such folder, or no label map in it, or the run's report is none.
    """
    accounts = dict(accounts_of_run(run)) if run else {}
    paths = images_by_stem(predictions)
    accounts = {**accounts_beside(predictions), **accounts}
    if not paths:
        raise JudgingError(f"{predictions}: holds no label map; give the folder that they were written to")
    cases = [_case(stem, path, challenge, accounts.get(stem, Account())) for stem, path in paths.items()]
    cases += [_failed(stem, told) for stem, told in accounts.items() if told.failure and stem not in paths]
    # Stable: by name within each kind.
    cases.sort(key=lambda case: (not case["error"], not case["doubts"]))
    return {
        "title": title or (cases[0]["stem"] if len(cases) == 1 else predictions.resolve().name),
        "challenge": challenge.labels.name,
        "labels": in_words(challenge.labels),
        "maker": maker_of_run(run) if run else "",
        "metrics": [],
        "structures": _structures(challenge),
        "cases": cases,
        "summary": [],
        "tolerances": {},
        "comparison": None,
        "ranking": None,
        "ranking_details": None,
        "sources": [],
        "lesion": None,
        "lesion_rows": [],
    }


def _case(stem: str, path: Path, challenge: Challenge, told: Account) -> Json:
    error, volumes_ml = "", None
    cut: frozenset[str] = frozenset()
    try:
        found = read_labels(path)
        boxes = label_boxes(found.labels)
        check_labels(path, boxes, challenge.labels, CONVERT)
        volumes_ml = structure_volumes_ml(found.labels, boxes, found.spacing_zyx_mm, challenge.labels)
        cut = frozenset(map(challenge.labels.name_of, labels_at_edge(boxes, found.labels.shape)))
    except JudgingError as fault:
        error = str(fault)
    return _entry(stem, error) | {
        "name": stem + path.name.removeprefix(stem_of(path.name)),
        "volumes_ml": None if volumes_ml is None else [round(ml, DECIMALS) for ml in volumes_ml.values()],
        "found": "" if volumes_ml is None else _in_words(volumes_ml, challenge.labels, told, cut),
        "doubts": list(told.doubts),
        "crumbs": sorted(told.crumbs),
        "parts": sorted(told.parts),
        "cut": sorted(map(_called(challenge.labels), cut)),
    }


def _structures(challenge: Challenge) -> list[Json]:
    """The structures of a page; nobody has looked whether a lesion is one, and its name says so."""
    called = _called(challenge.labels)
    return [structure | {"name": called(structure["name"])} for structure in structures_of(challenge)]


def _called(labels: LabelSet) -> Callable[[str], str]:
    """What the page calls a structure of a label set."""
    return lambda name: possible(name) if name in labels.lesions else name


def _failed(stem: str, told: Account) -> Json:
    """A case that has no label map."""
    return _entry(stem, told.failure) | {"doubts": list(told.doubts)}


def _entry(stem: str, error: str) -> Json:
    return {
        "name": stem,
        "stem": stem,
        "error": error,
        "values": {},
        "volumes_ml": None,
        "found": "",
        "doubts": [],
        "crumbs": [],
        "parts": [],
        "cut": [],
        "held": [],
        "efficiency": None,
        "log": None,
        "volume": None,
    }


def _in_words(volumes_ml: Mapping[str, float], labels: LabelSet, told: Account, cut: Container[str]) -> str:
    """`12 of 13 organs (no gallbladder), possible tumor 3.1 mL`."""
    found = {name for name, volume_ml in volumes_ml.items() if volume_ml}
    organs = organs_in_words(labels.organs, found, crumbs=told.crumbs, parts=told.parts, cut=cut)
    lesions = [
        f"{possible(name)} {ml_in_words(volumes_ml[name])} mL" for name in labels.lesions if name in found
    ]
    return ", ".join([organs, *lesions])
