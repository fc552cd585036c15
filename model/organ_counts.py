"""How many organs a result has, in words: the same on a terminal and on a page."""

from collections.abc import Container, Sequence

MOST_NAMED = 3
"""So many organs are named where they are missing, crumbs or parts; more are counted."""


def organs_in_words(
    organs: Sequence[str],
    found: Container[str],
    *,
    crumbs: Container[str] = (),
    parts: Container[str] = (),
) -> str:
    """Which organs of a label set a result has; those of which it has too little do not count.

    >>> organs_in_words(("liver", "spleen", "aorta"), {"liver", "spleen"}, crumbs={"spleen"})
    '1 of 3 organs (no aorta; mere crumbs of spleen)'

    Args:
        organs: what could have been found, in the order of the label set.
        found: what there is any of.
        crumbs: of these, organs of which there is too little to be one.
        parts: the same where the scan's edge may cut the rest off.
    """
    missing = [name for name in organs if name not in found]
    edge = [name for name in organs if name in found and name in parts]
    mere = [name for name in organs if name in found and name in crumbs and name not in parts]
    remarks = []
    if 0 < len(missing) <= MOST_NAMED:
        remarks.append(f"no {', no '.join(missing)}")
    if mere:
        remarks.append(f"mere crumbs of {listed(mere)}")
    if edge:
        remarks.append(f"at the scan's edge, parts of {listed(edge)}")
    whole = len(organs) - len(missing) - len(mere) - len(edge)
    counted = f"{whole} of {len(organs)} organs"
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


def ml_in_words(volume_ml: float) -> str:
    """A volume to a tenth of a millilitre; what is there, however little, is not shown as nothing.

    >>> [ml_in_words(volume) for volume in (0, 0.02, 0.96, 1438.41)]
    ['0.0', '< 0.1', '1.0', '1438.4']
    """
    text = f"{volume_ml:.1f}"
    return "< 0.1" if volume_ml > 0 and text == "0.0" else text
