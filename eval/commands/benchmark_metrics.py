"""Measure the time of the metrics on label maps in memory: 512×512×300 voxels with 13 organs.

The case is made up, or given with --pred and --truth (FLARE22 labels). Then the `surface-distance` package of
google-deepmind (set up by `make test`) computes the same, organ by organ on the full volume, and the largest
difference between its values and ours is printed. Wall time is what a user waits; CPU time does not depend on
other programs that keep the machine busy.

exit codes: 0 measured; 1 values differ from surface-distance's; 2 wrong input
"""

import argparse
import math
import sys
from pathlib import Path

from eval.benchmark.metrics_speed import Timing, challenge_to_time, synthetic_pair, time_ours, time_reference
from eval.eval_errors import JudgingError
from eval.machine import processors
from eval.scoring.challenges import LabelPair
from eval.scoring.structure_scores import StructureScore
from eval.volumes import grid_difference, read_labels

SAME = 1e-6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--pred", type=Path, metavar="FILE", help="predicted label map to measure on")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="its truth")
    parser.add_argument(
        "--alone", action="store_true", help="leave out surface-distance, which takes a minute or more"
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the figures."""
    pair, challenge = _pair(arguments), challenge_to_time()
    size = "×".join(str(n) for n in reversed(pair.truth.shape))
    held = len(pair.truth_boxes)
    sys.stdout.write(
        f"{size} voxels, {held} structures, {processors()} processors\n{'':<36}{'wall s':>8}{'CPU s':>8}\n"
    )
    fast, _ = time_ours(pair, challenge, with_hd95=False)
    _say(fast)
    full, ours = time_ours(pair, challenge, with_hd95=True)
    _say(full)
    if arguments.alone:
        return 0
    reference, theirs = time_reference(pair, challenge)
    _say(reference)
    apart = _largest_difference(ours, theirs)
    sys.stdout.write(
        f"faster: {reference.wall_s / full.wall_s:.1f} times on the clock, "
        f"{reference.cpu_s / full.cpu_s:.1f} times in CPU time\n"
    )
    sys.stdout.write(f"largest difference of a value: {apart:.1e}\n")
    return 0 if apart <= SAME else 1


def _pair(arguments: argparse.Namespace) -> LabelPair:
    if (arguments.pred is None) != (arguments.truth is None):
        raise JudgingError("--pred and --truth belong together; give both or neither")
    if arguments.pred is None:
        return synthetic_pair()
    prediction, truth = read_labels(arguments.pred), read_labels(arguments.truth)
    difference = grid_difference(prediction.grid, truth.grid)
    if difference:
        raise JudgingError(
            f"{arguments.pred}: is not on the grid of {arguments.truth}: {difference}; "
            "give two maps of one case"
        )
    return LabelPair(prediction=prediction.labels, truth=truth.labels, spacing_zyx_mm=truth.spacing_zyx_mm)


def _largest_difference(ours: dict[str, StructureScore], theirs: dict[str, StructureScore]) -> float:
    """Largest difference of any score but those of two empty masks, for which surface-distance gives NaN."""
    differences = [0.0]
    for name, score in theirs.items():
        for mine, other in (
            (ours[name].dice, score.dice),
            (ours[name].nsd, score.nsd),
            (ours[name].hd95_mm, score.hd95_mm),
        ):
            if not math.isnan(other) and mine != other:
                differences.append(abs(mine - other))
    return max(differences)


def _say(timing: Timing) -> None:
    sys.stdout.write(f"{timing.what:<36}{timing.wall_s:>8.2f}{timing.cpu_s:>8.2f}\n")
    sys.stdout.flush()
