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
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from training.data.annotations import read_annotations
from training.data.datalist import cases_in_list, listed_entries
from training.data.found_cases import CaseFiles, Found, refuse
from training.data.paired_folders import cases_in_folders
from training.data.stored_cases import cases_in_store
from training.data_place import STORE, folder_of
from training.training_errors import DataError, NoDataError


def labelled_cases(folder: Path) -> tuple[CaseFiles, ...]:
    """Cases of a data-set folder in the order of their names.

    Raises:
        DataError: the folder is no data set, holds no case, or cases are not complete.
    """
    found = find_cases(folder)
    refuse(found.faults, folder)
    return found.cases


def find_cases(folder: Path) -> Found:
    """All cases of a data-set folder, or of a datalist file, and everything that is amiss with their files.

    Raises:
        DataError: there is no data set, or it holds no case.
    """
    if (folder / STORE).is_file():
        return cases_in_store(folder)
    listed = listed_entries(folder)
    if listed is not None:
        base = folder_of(folder)
        found = cases_in_list(base, listed)
    elif folder.is_dir():
        base, found = folder, cases_in_folders(folder)
    else:
        raise NoDataError(f"{folder}: no data set here (no such folder); give the folder of one")
    faults = [*found.faults, *_out_of_step(found.cases)]
    if not found.cases and not faults:
        raise DataError(f"{folder}: holds no case")
    names = [case.name for case in found.cases]
    annotated, given, more = read_annotations(base, names)
    cases = (
        replace(case, annotated=annotated.get(case.name), given=given.get(case.name)) for case in found.cases
    )
    ordered = tuple(sorted(cases, key=lambda case: case.name))
    return Found(cases=ordered, faults=(*faults, *more))


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
