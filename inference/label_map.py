"""What the networks decided becomes a label map: left and right told apart, then cleaned up."""

from collections.abc import Callable

import numpy as np

from inference.case_view import CaseView
from inference.postprocessing.components import clean_runs
from inference.postprocessing.laterality import split_noise, split_with_runs
from inference.postprocessing.runs import Runs, ScatteredError, find_runs
from model.arrays import U8
from model.manifest.document import Manifest
from model.manifest.fusion import CleanedGroupsFusion

Warn = Callable[[str], None]


def sided_labels(decisions: U8, view: CaseView, manifest: Manifest, warn: Warn) -> tuple[U8, Runs | None]:
    """Label ids (z, y, x), canonical, with left and right told apart; and their runs, if known.

    Args:
        decisions: (z, y, x) on the grid that the networks looked at: 0 is background, n the n-th structure;
            may be changed.
        view: the case.
        manifest: what the structures are.
        warn: told where labels are noise.
    """
    decisions = view.looked_at.apply(decisions)
    geometry = view.canonical.geometry
    try:
        return split_with_runs(decisions, geometry, manifest.output, lambda: view.middle(manifest))
    except ScatteredError as error:
        warn(str(error))
        return split_noise(decisions, geometry, manifest.output, view.middle(manifest)), None


def clean_labels(
    labels: U8, runs: Runs | None, view: CaseView, manifest: Manifest, warn: Warn
) -> tuple[Runs | None, frozenset[int]]:
    """Clean canonical label ids up in place, as the manifest says.

    Args:
        labels: what `sided_labels` gave.
        runs: the same.
        view: the case.
        manifest: what is to be cleaned up.
        warn: told where labels are noise, which stays as it is.

    Returns:
        What is left, as runs, and the ids of which nothing is; None and no ids of labels that are noise.
    """
    steps, label_set = manifest.postprocessing, manifest.output.as_label_set()
    if isinstance(manifest.fusion, CleanedGroupsFusion):
        steps = ()
    try:
        runs = find_runs(labels, len(label_set.ids)) if runs is None else runs
    except ScatteredError as error:
        warn(str(error))
        return None, frozenset()
    left = clean_runs(labels, runs, view.canonical.geometry.spacing_zyx_mm, steps, label_set)
    return left, frozenset(np.setdiff1d(runs.label, left.label).tolist())
