"""Which structures a case annotates: `annotated.json` beside the data.

    {"case_1": ["liver", "spleen"], "case_2": ["tumor"]}
    {"groups": [{"structures": ["liver", "spleen"], "cases": ["case_1", "case_3"]}]}

Cases that it does not name annotate all structures of the label set, and so do all cases where there is no
such file. `python -m training fingerprint --write-annotated` proposes one from the structures that occur.

Where some of that are pseudo-labels, `given.json` beside it says in the same form what people annotated:
training takes all, validation counts what was given.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from model.labels import BACKGROUND, LabelSet
from training.recipes.recipe import FOREGROUND, Recipe
from training.whole_files import read_json

ANNOTATED, GIVEN = "annotated.json", "given.json"


def read_annotated(
    folder: Path, cases: Sequence[str], file: str = ANNOTATED
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Case to the structures that it annotates, and what is amiss with the file, a line each.

    Args:
        folder: of the data set.
        cases: names of its cases.
        file: name of the file.
    """
    path = folder / file
    if not path.is_file():
        return {}, []
    try:
        document = read_json(path)
    except (OSError, ValueError) as error:
        return {}, [f"{path}: cannot be read as JSON ({' '.join(str(error).split())})"]
    found: dict[str, tuple[str, ...]] = {}
    faults = []
    known = set(cases)
    for case, structures in _entries(document):
        if case is None or not _is_names(structures):
            faults.append(f"{path}: {_shown(case, structures)} must be a list of structures")
        elif case not in known:
            faults.append(f"{path}: names case {case}, which is not in the data set")
        elif case in found:
            faults.append(f"{path}: names case {case} twice")
        else:
            found[case] = tuple(structures)
    return found, faults


def read_annotations(
    folder: Path, names: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], list[str]]:
    """Case to what it annotates, case to what people gave of that, and what is amiss, a line each.

    Args:
        folder: of the data set.
        names: of its cases.
    """
    annotated, faults = read_annotated(folder, names)
    given, more = read_annotated(folder, names, GIVEN)
    apart = [
        f"{folder / GIVEN}: case {case} names {name}, which {ANNOTATED} does not"
        for case, structures in given.items()
        for name in structures
        if case in annotated and name not in annotated[case]
    ]
    return annotated, given, [*faults, *more, *apart]


def annotated_text(structures: Mapping[str, Sequence[str]]) -> str:
    """Text of such a file; cases that annotate the same stand together, the largest group first."""
    cases: dict[tuple[str, ...], list[str]] = {}
    for case, names in structures.items():
        cases.setdefault(tuple(names), []).append(case)
    ordered = sorted(cases.items(), key=lambda item: -len(item[1]))
    groups = [{"structures": list(names), "cases": members} for names, members in ordered]
    return json.dumps({"groups": groups}, indent=1) + "\n"


def annotated_channels(recipe: Recipe, structures: Sequence[str] | None) -> tuple[bool, ...] | None:
    """Whether a case annotates what each output channel stands for; None: all of them.

    A channel of several structures (a pair, or the whole foreground) is annotated if all of them are.

    Args:
        recipe: says the channels.
        structures: that the case annotates; None: all.
    """
    if structures is None:
        return None
    given = set(structures)
    return tuple(
        name == BACKGROUND or given.issuperset(_parts(recipe, name)) for name in recipe.channel_names
    )


def unknown_structures(path: Path, case: str, structures: Sequence[str], labels: LabelSet) -> list[str]:
    """A line for each structure of a case that the label set does not have.

    Such a name would annotate nothing, in silence: the case's voxels of what was meant would be background.
    The name of a pair is none, too: files say what voxels may hold, and these hold one side or the other.
    """
    lines = []
    for name in structures:
        if name in labels.ids:
            continue
        pair = labels.pair_named(name)
        way = f"give its sides, {pair.right} and {pair.left}" if pair else f"it has {', '.join(labels.names)}"
        lines.append(f"{path}: case {case} names {name}, which is not in the label set {labels.name}; {way}")
    return lines


def _parts(recipe: Recipe, channel: str) -> tuple[str, ...]:
    """The structures that an output channel stands for."""
    labels = recipe.labels
    if recipe.channels == FOREGROUND:
        return labels.names
    pair = labels.pair_named(channel)
    return (channel,) if channel in labels.ids or pair is None else (pair.right, pair.left)


def _entries(document: object) -> Iterator[tuple[str | None, object]]:
    """Case and structures, as they stand in either form; a case of None where the form is neither."""
    if not isinstance(document, Mapping):
        yield None, document
        return
    groups = document.get("groups")
    if not isinstance(groups, list):
        yield from ((str(case), structures) for case, structures in document.items())
        return
    for group in groups:
        if not isinstance(group, Mapping) or not _is_names(group.get("cases")):
            yield None, group
            continue
        yield from ((str(case), group.get("structures")) for case in group["cases"])


def _is_names(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _shown(case: str | None, value: object) -> str:
    return f"{str(value)[:60]!r}" if case is None else f"{case}: {str(value)[:60]!r}"
