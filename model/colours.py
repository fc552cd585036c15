"""Colours of structures, the same in every picture and every DICOM result of the project.

The colours were found by a search so that any two structures can be told apart by readers with normal colour
vision, protanopia, deuteranopia and tritanopia (simulated after Machado et al. 2009): they are at least 17
apart in CIE L*a*b*, and 26 for structures that touch each other in the body.
`tests/model/test_colours.py` checks this.
"""

import colorsys
from collections.abc import Mapping
from types import MappingProxyType

from model.labels import LabelSet

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "liver": "#c04b4b",
        "right kidney": "#a06e00",
        "spleen": "#7c50fc",
        "pancreas": "#a9c976",
        "aorta": "#e32975",
        "inferior vena cava": "#5876e8",
        "right adrenal gland": "#e9ffa9",
        "left adrenal gland": "#e6a8d2",
        "gallbladder": "#9ff062",
        "esophagus": "#9f56ab",
        "stomach": "#3aaeff",
        "duodenum": "#2affcd",
        "left kidney": "#f08c21",
        "tumor": "#f8e700",
        "kidney": "#f08c21",
        "adrenal gland": "#e6a8d2",
        "bladder": "#f8e700",
        "prostate/uterus": "#c04b4b",
    }
)
"""Structure to colour as `#rrggbb`. The last four share their colours with structures that are not in the
same label sets, or lie elsewhere in the body."""

PALETTE = tuple(dict.fromkeys(COLOURS.values()))
"""Colours of structures without a colour of their own, in this order: 14 that can be told apart."""
GOLDEN_TURN = 0.618034
"""Steps of this share of a turn spread hues evenly around the circle, however many there are."""


def colours_of(labels: LabelSet) -> dict[str, str]:
    """Colour of each structure of a label set as `#rrggbb`, in the order of their ids.

    Structures with a colour of their own keep it. The others take, in the order of their ids, the colours
    that are left of the palette, and after these one hue after another, alternately light and dark.

    >>> colours_of(LabelSet(name="own", ids={"cyst": 1, "liver": 2}))
    {'cyst': '#a06e00', 'liver': '#c04b4b'}
    """
    known = {COLOURS[name] for name in labels.names if name in COLOURS}
    free = iter([*(colour for colour in PALETTE if colour not in known), *map(_hue, range(len(labels.ids)))])
    return {name: COLOURS[name] if name in COLOURS else next(free) for name in labels.names}


def _hue(index: int) -> str:
    rgb = colorsys.hls_to_rgb(index * GOLDEN_TURN % 1.0, (0.7, 0.45)[index % 2], 0.75)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
