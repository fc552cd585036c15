"""A result looked at as a whole: figures of each organ, and what is doubtful about them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from inference.imaging.volume import Volume
from inference.postprocessing.runs import Runs
from inference.trust.input_doubts import body_area_cm2
from inference.trust.organ_figures import (
    OrganFigures,
    coarse_means,
    measure_organs,
    value_figures,
    with_more,
)
from inference.trust.result_doubts import cut_off, guessed_sides, is_crumb, only_crumbs, result_doubts
from model.arrays import U8
from model.labels import channel_ids
from model.manifest.document import Manifest


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a label map holds, and what is doubtful about it."""

    organs: tuple[OrganFigures, ...] = ()
    """Structures that were found, in the order of their ids."""
    doubts: tuple[str, ...] = ()
    """Clauses for the user, see `inference.trust.result_doubts`."""
    is_noise: bool = False
    """Labels are scattered like noise: nothing was measured."""


def judge(
    labels: U8,
    runs: Runs | None,
    canonical: Volume,
    manifest: Manifest,
    *,
    pieces: Mapping[int, int],
    agreement: Mapping[int, float],
    removed: Iterable[int] = (),
    cut: Iterable[int] = (),
    statistics: bool = False,
) -> Judgement:
    """Measure a label map and doubt it.

    Args:
        labels: (z, y, x) cleaned-up ids, canonical.
        runs: the same as runs; None where they are noise.
        canonical: the image that they belong to.
        manifest: of the bundle that made them.
        pieces: of each label before clean-up, see `count_pieces`.
        agreement: mean Dice between the members, by the number of the structure among decisions.
        removed: ids of which clean-up left nothing.
        cut: ids that go on where the region ends that the members looked at.
        statistics: also take exact figures of the image within each structure.

    Returns:
        No figures of labels that are noise, of which clean-up tells the user.
    """
    output, geometry, ct = manifest.output, canonical.geometry, manifest.ct_channel
    label_set = output.as_label_set()
    by_label: dict[int, float] = {}
    for number, dice in agreement.items():
        written = output.structure_of(output.structures[number - 1])
        by_label |= dict.fromkeys(channel_ids(label_set, written) if written else (), dice)
    if runs is None:
        return Judgement(is_noise=True)
    body_cm2 = None if ct is None else body_area_cm2(canonical, ct)
    organs = with_more(
        measure_organs(runs, geometry, label_set),
        pieces=pieces,
        means=coarse_means(labels, canonical.array, geometry),
        agreement=by_label,
        values=value_figures(runs, canonical.array) if statistics else {},
    )
    organs = tuple(replace(organ, crumb=is_crumb(organ, body_cm2)) for organ in organs)
    doubts = result_doubts(organs, output.written, body_area_cm2=body_cm2, in_hu=ct == 0)
    doubts += (*only_crumbs(removed, label_set), *cut_off(cut, label_set))
    return Judgement(organs=organs, doubts=(*guessed_sides(organs, output), *doubts))
