"""What makes a result doubtful: organs that are missing, too large, in the wrong place, in pieces, disputed.

Only organs of `inference.trust.organ_norms` are judged, so that bundles with other label sets hear nothing
but of members that disagree and of sides that were guessed.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from inference.trust.organ_figures import OrganFigures
from inference.trust.organ_norms import CHILD_BODY_CM2, NORMS, PLACES, plausible_ml
from model.labels import LabelSet
from model.manifest.output import Output
from model.organ_counts import listed

FEWEST_ORGANS = 4
"""A slab of an abdomen that is high enough to be judged shows so many."""
MANY_ORGANS = 8
"""Label sets with fewer organs may show any number of them."""
LEAST_AGREEMENT = 0.6
"""Mean Dice between members, of one organ of some size."""
LEAST_MEAN_AGREEMENT = 0.6
"""The same over all organs."""
MANY_CRUMBS = 3
"""Organs that were seen in crumbs alone. One or two are what networks make of any image."""
JUDGED_ML = 20.0
"""An organ from this volume on is looked at for pieces, values and agreement."""
PARENCHYMA_HU = (-40.0, 350.0)
"""Mean of tissue: from a fatty liver to kidneys full of contrast."""
SMALL_ML = 0.5
"""From this volume on, up to `JUDGED_ML`, a piece of an organ is looked at for values that no tissue has."""
SMALL_HU = (-200.0, 350.0)
"""Mean of the same: fat and lung at its border weigh more in it. Of 173 right pieces the lowest was -42 and
the highest 147 (docs/trust.md)."""
CRUMB_ML = 0.05
"""Less than this is no organ, whatever is known of it: a few voxels."""
FAR_MM = 260.0
"""Farther from the middle of all organs lies none of them."""
MOST_NAMED = 3


def result_doubts(
    figures: Sequence[OrganFigures],
    known: Sequence[str],
    *,
    body_area_cm2: float | None = None,
    in_hu: bool = True,
) -> tuple[str, ...]:
    """What the user should look at, a clause each; empty for a result that looks right.

    Args:
        figures: of the organs that were found.
        known: names of what could have been found.
        body_area_cm2: `input_doubts.body_area_cm2`; None where the image is no CT.
        in_hu: whether the first channel is a CT.
    """
    by_name = {each.name: each for each in figures}
    known = [name for name in known if name in NORMS]
    judged = [by_name[name] for name in known if name in by_name]
    odd = _values(judged) if in_hu else []
    real = [each for each in judged if not is_crumb(each, body_area_cm2)]
    if len(known) >= MANY_ORGANS and len(real) < FEWEST_ORGANS:
        names = ", ".join(each.name for each in real) or "none"
        return (f"hardly any abdominal organ was found ({names}): is the abdomen in view?", *odd)
    doubts = _size(body_area_cm2) if known else []
    doubts += _missing(known, by_name, body_area_cm2)
    doubts += _crumbs(judged, body_area_cm2)
    doubts += _volumes(real, body_area_cm2)
    doubts += _pieces(judged)
    doubts += _places({organ.name: organ for organ in real})
    doubts += odd
    doubts += _disagreement(figures)
    return tuple(doubts)


def _size(body_area_cm2: float | None) -> list[str]:
    if not body_area_cm2 or body_area_cm2 >= CHILD_BODY_CM2:
        return []
    return [f"a body of {body_area_cm2:.0f} cm² across, as a child's (is the voxel size stated rightly?)"]


def _crumbs(judged: Iterable[OrganFigures], body_area_cm2: float | None) -> list[str]:
    crumbs = [organ for organ in judged if is_crumb(organ, body_area_cm2) and not organ.touches_edge]
    # A gallbladder may be empty, and nothing is known of how little the others may have.
    sure = [organ.name for organ in crumbs if (plausible_ml(NORMS[organ.name], None) or (0,))[0] > 0]
    return [f"mere crumbs of {listed(sure)}"] if sure else []


def is_crumb(organ: OrganFigures, body_area_cm2: float | None) -> bool:
    """Whether there is too little of it to be an organ: a tenth of what is plausible, or `CRUMB_ML`.

    Never of structures without norms, which may be as small as a lesion.
    """
    norm = NORMS.get(organ.name)
    if norm is None:
        return False
    limits = plausible_ml(norm, body_area_cm2)
    return organ.volume_ml < max(CRUMB_ML, limits[0] / 10 if limits else 0.0)


def _missing(
    known: Sequence[str], by_name: Mapping[str, OrganFigures], body_area_cm2: float | None
) -> list[str]:
    """Organs that are not there, though both of their neighbours are whole."""

    def whole(name: str) -> bool:
        organ = by_name.get(name)
        if organ is None or organ.touches_end:
            return False
        limits = plausible_ml(NORMS[name], body_area_cm2)
        return limits is None or organ.volume_ml >= limits[0]

    missing = [
        name
        for name in known
        if name not in by_name and (near := NORMS[name].beside) and all(map(whole, near))
    ]
    return [f"no {listed(missing)}, though what lies beside is whole"] if missing else []


def _volumes(judged: Iterable[OrganFigures], body_area_cm2: float | None) -> list[str]:
    doubts = []
    for organ in judged:
        limits = plausible_ml(NORMS[organ.name], body_area_cm2)
        if limits is None:
            continue
        low, high = limits
        if organ.volume_ml > high or (organ.volume_ml < low and not organ.touches_edge):
            doubts.append(
                f"{organ.name} of {_ml(organ.volume_ml)} mL ({_ml(low)} to {_ml(high)} in such a body)"
            )
    return _shortened(doubts)


def _pieces(judged: Iterable[OrganFigures]) -> list[str]:
    broken = [o for o in judged if NORMS[o.name].in_one_piece and o.pieces > 1 and o.volume_ml >= JUDGED_ML]
    return [f"{organ.name} in {organ.pieces} large pieces" for organ in broken]


def _places(by_name: Mapping[str, OrganFigures]) -> list[str]:
    doubts = []
    for one, other, axis, beyond_mm, word in PLACES:
        if one not in by_name or other not in by_name:
            continue
        a, b = by_name[one], by_name[other]
        if axis == 0 and (a.touches_end or b.touches_end):
            continue  # Centres of what is cut off say little of height.
        if a.centre_zyx_mm[axis] - b.centre_zyx_mm[axis] > beyond_mm:
            doubts.append(f"{one} {word} {'of the' if word == 'left' else 'the'} {other}")
    if doubts:
        doubts = [f"{'; '.join(_shortened(doubts))} (does the header say rightly how the image lies?)"]
    if len(by_name) >= FEWEST_ORGANS:
        middle = np.median([organ.centre_zyx_mm for organ in by_name.values()], axis=0)
        far = [
            organ.name
            for organ in by_name.values()
            if float(np.linalg.norm(np.subtract(organ.centre_zyx_mm, middle))) > FAR_MM
        ]
        doubts += [f"{listed(far)} far from all others"] if far else []
    return doubts


def _values(judged: Iterable[OrganFigures]) -> list[str]:
    doubts = []
    for organ in judged:
        mean = organ.coarse_mean
        if mean is None or not NORMS[organ.name].parenchyma or organ.volume_ml < SMALL_ML:
            continue
        low, high = SMALL_HU if organ.volume_ml < JUDGED_ML else PARENCHYMA_HU
        if not low <= mean <= high:
            doubts.append(f"{organ.name} of {mean:.0f} HU, which is not its tissue")
    return _shortened(doubts)


def _disagreement(figures: Iterable[OrganFigures]) -> list[str]:
    large = [organ for organ in figures if organ.volume_ml >= JUDGED_ML]
    compared = [(organ.name, organ.agreement) for organ in large if organ.agreement is not None]
    if not compared:
        return []
    mean = float(np.mean([agreement for _, agreement in compared]))
    if len(compared) > 1 and mean < LEAST_MEAN_AGREEMENT:
        return [f"the members agree on little of it (mean Dice {mean:.2f})"]
    low = [f"{name} {agreement:.2f}" for name, agreement in compared if agreement < LEAST_AGREEMENT]
    return [f"the members disagree (Dice of {listed(low)})"] if low else []


def guessed_sides(figures: Sequence[OrganFigures], output: Output) -> tuple[str, ...]:
    """Why right and left of merged pairs cannot be trusted; empty where something tells them apart.

    That is the aorta, the vena cava or any organ that lies on one side. The middle of the body, which is
    taken otherwise, is that of half a body in half an image. Of a bundle that knows of pairs alone, only what
    is found on one side is doubted.
    """
    written = {output.structure_of(channel) for channel in output.structures}
    split = [pair for pair in output.pairs if pair.merged in written and pair.merged not in output.labels]
    found = {figure.name for figure in figures}
    paired = {side for pair in split for side in (pair.right, pair.left)}
    sides = paired & found
    others = (output.labels.keys() & NORMS.keys()) - paired
    both = any({pair.right, pair.left} <= found for pair in split)
    if not sides or others & found or (both and not others):
        return ()
    return (f"nothing in view tells right from left: {listed(sorted(sides))} may be of the other side",)


def only_crumbs(removed: Iterable[int], label_set: LabelSet) -> tuple[str, ...]:
    """What to say where several organs were seen in pieces alone that clean-up took for none."""
    names = [name for label in sorted(removed) if (name := label_set.name_of(label)) in NORMS]
    if len(names) < MANY_CRUMBS:
        return ()
    return (f"mere crumbs of {listed(names)}, which were removed",)


def cut_off(labels: Iterable[int], label_set: LabelSet) -> tuple[str, ...]:
    """What to say of structures that go on where the region that was looked at ends."""
    names = [label_set.name_of(label) for label in sorted(labels)]
    be = "is" if len(names) == 1 else "are"
    return (f"{listed(names)} {be} cut off by the region that was looked at",) if names else ()


def _shortened(doubts: list[str]) -> list[str]:
    if len(doubts) <= MOST_NAMED:
        return doubts
    return [*doubts[:MOST_NAMED], f"{len(doubts) - MOST_NAMED} more of the kind"]


def _ml(volume: float) -> str:
    return f"{volume:.0f}" if volume >= 10 else f"{volume:.1f}"
