"""What a comparison found: a table, a record in the bundle, a picture of the case that agrees least."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from eval.files import atomic_path
from eval.image_files import read_image
from eval.pictures.planes import canonical
from eval.pictures.scene import Scene
from eval.pictures.three_planes import draw
from eval.verification.comparison import Agreement, Contest
from eval.verification.contenders import Case, label_map_of
from eval.volumes import read_labels
from model.arrays import U8
from model.labels import LabelSet

HEADER = (
    "",
    "wall s",
    "CPU s",
    "peak MiB",
    "mean Dice with it",
    "least of a structure",
    "voxels differing",
)


def table(contests: Sequence[Contest]) -> str:
    """Medians over the cases of times, peaks over them of memory, and agreement; Markdown."""
    truth = any(contest.truth for contest in contests)
    header = (*HEADER, *(("Dice with truth",) if truth else ()))
    rows = [header, ("---",) * len(header), *(_row(contest, truth=truth) for contest in contests)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(contest: Contest, *, truth: bool) -> tuple[str, ...]:
    runs = ("", "", "")
    if contest.runs:
        runs = (f"{contest.wall_s:.1f}", f"{contest.cpu_s:.1f}", f"{contest.peak_mb:.0f}")
    against = ("reference", "", "")
    if contest.against:
        differing = sum(each.differing for each in contest.against.values())
        voxels = sum(each.voxels for each in contest.against.values())
        against = (f"{contest.mean_dice:.5f}", f"{contest.least_dice:.4f}", f"{differing} of {voxels}")
    scores = [each.mean_dice for each in contest.truth.values()]
    known = (f"{np.mean(scores):.4f}" if scores else "",) if truth else ()
    return (contest.contender, *runs, *against, *known)


def structures_table(contest: Contest) -> str:
    """Dice of each structure with the reference: mean and least over the cases that hold it; Markdown."""
    names = dict.fromkeys(name for each in contest.against.values() for name in each.dice)
    lines = ["| structure | cases | mean Dice | least |", "| --- | --- | --- | --- |"]
    for name in names:
        found = [each.dice[name] for each in contest.against.values() if name in each.dice]
        lines.append(f"| {name} | {len(found)} | {np.mean(found):.5f} | {min(found):.5f} |")
    return "\n".join(lines) + "\n"


def left_out_in_words(agreements: Iterable[Agreement], whose: str) -> str:
    r"""The ids that agreement does not count, as a line of its own; empty where there are none.

    >>> left_out_in_words([Agreement(dice={}, differing=0, voxels=8, left_out=(14,))], "the truth")
    'left out, since the bundle does not write them: 14 of the truth\n'
    """
    ids = sorted({number for each in agreements for number in each.left_out})
    named = ", ".join(map(str, ids))
    return f"left out, since the bundle does not write them: {named} of {whose}\n" if ids else ""


def record(contests: Sequence[Contest], against: str, bundle_sha256: str) -> dict[str, Any]:
    """`verification.json`: what was compared, and every figure."""
    return {
        "against": against,
        "bundle_sha256": bundle_sha256,
        "contenders": [
            {
                "name": contest.contender,
                "runs": {case: asdict(run) for case, run in contest.runs.items()},
                "agreement": {case: asdict(each) for case, each in contest.against.items()},
                "truth": {case: asdict(each) for case, each in contest.truth.items()},
            }
            for contest in contests
        ],
    }


def draw_worst(case: Case, ours: Path, theirs: Path, labels: LabelSet, path: Path) -> None:
    """Draw the case with our labels in colour and the reference's as dashed contours."""
    image = canonical(read_image(case.channels[0]))
    x_mm, y_mm, z_mm = image.GetSpacing()
    scene = Scene(
        ct_hu=sitk.GetArrayFromImage(image),
        labels=_canonical_labels(label_map_of(case, ours)),
        truth=_canonical_labels(label_map_of(case, theirs)),
        spacing_zyx_mm=(z_mm, y_mm, x_mm),
        label_set=labels,
        truth_name="reference",
        title=f"{case.name}: the bundle's labels in colour, the reference's dashed",
    )
    with atomic_path(path) as temporary:
        draw(scene, temporary)


def _canonical_labels(path: Path) -> U8:
    return np.asarray(sitk.GetArrayFromImage(canonical(read_labels(path).as_image())), np.uint8)
