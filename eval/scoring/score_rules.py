"""By which rules a score table was made, as it is kept beside it, and whether several were made alike."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from eval.files import file_sha256, stem_of
from eval.provenance import read_provenance
from eval.scoring.challenges import Challenge, Rules
from eval.scoring.pairing import PairedCase
from model.organ_counts import listed

RULES, RESAMPLE, TOLERANCES, SLICED, LEAST_DICE = (
    "rules", "resample", "tolerances_mm", "annotated_slices_only", "least_dice_for_nsd",
)  # fmt: skip
TRUTH_SHA256, PREDICTION_SHA256 = "truth_sha256", "prediction_sha256"
MOST_NAMED = 5
"""Most cases that a line names."""
SAID = "scored differently, which the scores do not show"


def scoring_rules(challenge: Challenge, rules: Rules, resample: bool) -> dict[str, object]:
    """What decides the scores of given label maps, in a form for JSON."""
    return {
        RULES: str(rules),
        RESAMPLE: resample,
        TOLERANCES: dict(challenge.tolerances_mm),
        SLICED: sorted(challenge.sliced),
        LEAST_DICE: challenge.least_dice,
    }


def file_hashes(cases: Sequence[PairedCase]) -> dict[str, object]:
    """SHA-256 of each truth and prediction by case, in a form for JSON; none of what cannot be read."""
    return {
        TRUTH_SHA256: _hashes({stem_of(case.name): case.truth for case in cases}),
        PREDICTION_SHA256: _hashes(
            {stem_of(case.name): case.prediction for case in cases if case.prediction is not None}
        ),
    }


def _hashes(files: Mapping[str, Path]) -> dict[str, str]:
    found = {}
    for case, path in files.items():
        # A prediction that cannot be read is a case in error, and the table says so.
        with suppress(OSError):
            found[case] = file_sha256(path)
    return found


def scored_differently(tables: Sequence[Path]) -> list[str]:
    """In which rules score tables differ, a line each, and in the truths of which cases.

    Known is what the files beside the tables say.

    Tables beside which nothing stands, as those of other programs, differ in nothing that is known.
    """
    origins = {table: read_provenance(table) or {} for table in tables}
    stated = {table: _stated(origin) for table, origin in origins.items()}
    lines = []
    for fact in dict.fromkeys(fact for facts in stated.values() for fact in facts):
        by_value: dict[str, Path] = {}
        for table, facts in stated.items():
            if fact in facts:
                by_value.setdefault(facts[fact], table)
        if len(by_value) > 1:
            told = ", ".join(f"{value} in {table}" for value, table in by_value.items())
            lines.append(f"{SAID}: {fact}: {told}")
    return [*lines, *_other_truths(origins)]


def _other_truths(origins: Mapping[Path, Mapping[str, Any]]) -> list[str]:
    """A line that names the cases whose truths were not the same file, and tables that differ in them."""
    by_case: dict[str, dict[str, Path]] = {}
    for table, origin in origins.items():
        hashes = origin.get(TRUTH_SHA256)
        for case, sha256 in hashes.items() if isinstance(hashes, dict) else ():
            by_case.setdefault(case, {}).setdefault(str(sha256), table)
    differing = {case: by_hash for case, by_hash in by_case.items() if len(by_hash) > 1}
    if not differing:
        return []
    named = listed(list(differing), MOST_NAMED)
    tables = dict.fromkeys(str(table) for by_hash in differing.values() for table in by_hash.values())
    return [f"{SAID}: other truths of {named} in {', '.join(tables)}; score them anew by the same"]


def _stated(origin: Mapping[str, Any]) -> dict[str, str]:
    """Each rule that the origin of a table states, in words."""
    facts = {}
    for name in (RULES, RESAMPLE, LEAST_DICE):
        if name in origin:
            facts[name.replace("_", " ")] = str(origin[name])
    if isinstance(origin.get(SLICED), list):
        facts[SLICED.replace("_", " ")] = ", ".join(map(str, origin[SLICED])) or "none"
    if isinstance(origin.get(TOLERANCES), dict):
        for structure, tolerance_mm in origin[TOLERANCES].items():
            facts[f"tolerance of {structure}"] = f"{tolerance_mm} mm"
    return facts
