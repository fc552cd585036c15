"""How many organs a result has, in words: the same on a terminal and on a page."""

from collections.abc import Container, Sequence

MOST_NAMED = 3
"""So many organs are named where they are missing, cut off, crumbs or traces; more are counted."""
RUN_ON = ("aorta", "inferior vena cava", "esophagus")
"""Organs that go on beyond nearly every scan of an abdomen: that one cuts them off is no news."""


def organs_in_words(
    organs: Sequence[str],
    found: Container[str],
    *,
    crumbs: Container[str] = (),
    parts: Container[str] = (),
    cut: Container[str] = (),
) -> str:
    """Which organs of a label set a result has; those of which it has too little do not count.

    >>> organs_in_words(("liver", "spleen", "aorta"), {"liver", "spleen"}, crumbs={"spleen"})
    '1 of 3 organs (no aorta; mere crumbs of spleen)'
    >>> organs_in_words(("liver", "aorta"), {"liver", "aorta"}, cut={"liver", "aorta"})
    '2 of 2 organs (cut off: liver)'

    Args:
        organs: what could have been found, in the order of the label set.
        found: what there is any of.
        crumbs: of these, organs of which there is too little to be one.
        parts: the same where the scan's edge may cut the rest off.
        cut: what reaches the scan's edge, which may cut some of it off; `RUN_ON` are not named for that.
    """
    missing = [name for name in organs if name not in found]
    edge = [name for name in organs if name in found and name in parts]
    mere = [name for name in organs if name in found and name in crumbs and name not in parts]
    whole = [name for name in organs if name in found and name not in mere and name not in edge]
    cut_off = [name for name in whole if name in cut and name not in RUN_ON]
    remarks = []
    if 0 < len(missing) <= MOST_NAMED:
        remarks.append(f"no {', no '.join(missing)}")
    if mere:
        remarks.append(f"mere crumbs of {listed(mere)}")
    if edge:
        remarks.append(f"traces of {listed(edge)} at the scan's edge")
    if cut_off:
        remarks.append(f"cut off: {listed(cut_off)}")
    counted = f"{len(whole)} of {len(organs)} organs"
    return f"{counted} ({'; '.join(remarks)})" if remarks else counted


def listed(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Names in a sentence, at least one; of more than `most` the others are counted, if they are several.

    >>> [listed(["liver", "spleen", "aorta", "stomach"][:count]) for count in (1, 2, 3)]
    ['liver', 'liver and spleen', 'liver, spleen and aorta']
    >>> listed(["liver", "spleen", "aorta", "stomach", "pancreas"])
    'liver, spleen, aorta and 2 more'
    """
    named = names if len(names) <= most + 1 else [*names[:most], f"{len(names) - most} more"]
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))


def possible(lesion: str) -> str:
    """A lesion of a prediction in words: on real scans many are none.

    >>> possible("tumor")
    'possible tumor'
    """
    return f"possible {lesion}"


def ml_in_words(volume_ml: float) -> str:
    """A volume to a tenth of a millilitre; what is there, however little, is not shown as nothing.

    >>> [ml_in_words(volume) for volume in (0, 0.02, 0.96, 1438.41)]
    ['0.0', '< 0.1', '1.0', '1438.4']
    """
    text = f"{volume_ml:.1f}"
    return "< 0.1" if volume_ml > 0 and text == "0.0" else text
