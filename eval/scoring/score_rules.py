"""By which rules a score table was made, as it is kept beside it, and whether several were made alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.provenance import read_provenance
from eval.scoring.challenges import Challenge, Rules

RULES, RESAMPLE, TOLERANCES, SLICED, LEAST_DICE = (
    "rules", "resample", "tolerances_mm", "annotated_slices_only", "least_dice_for_nsd",
)  # fmt: skip


def scoring_rules(challenge: Challenge, rules: Rules, resample: bool) -> dict[str, object]:
    """What decides the scores of given label maps, in a form for JSON."""
    return {
        RULES: str(rules),
        RESAMPLE: resample,
        TOLERANCES: dict(challenge.tolerances_mm),
        SLICED: sorted(challenge.sliced),
        LEAST_DICE: challenge.least_dice,
    }


def scored_differently(tables: Sequence[Path]) -> list[str]:
    """In which rules score tables differ, a line each, as far as the files beside them say.

    Tables beside which nothing stands, as those of other programs, differ in nothing that is known.
    """
    stated = {table: _stated(read_provenance(table) or {}) for table in tables}
    lines = []
    for fact in dict.fromkeys(fact for facts in stated.values() for fact in facts):
        by_value: dict[str, Path] = {}
        for table, facts in stated.items():
            if fact in facts:
                by_value.setdefault(facts[fact], table)
        if len(by_value) > 1:
            told = ", ".join(f"{value} in {table}" for value, table in by_value.items())
            lines.append(f"scored differently, which the scores do not show: {fact}: {told}")
    return lines


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
