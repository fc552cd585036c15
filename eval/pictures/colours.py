"""Colours of structures, the same in every picture of the project.

Chosen by search so that any two structures stay apart for readers with normal colour vision, protanopia,
deuteranopia and tritanopia (simulated after Machado et al. 2009): at least 17 in CIE L*a*b* for any pair, 26
for structures that touch each other in the body. `tests/eval/pictures/test_colours.py` holds the colours to
that.
"""

from collections.abc import Mapping
from types import MappingProxyType

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
"""Structure to colour as `#rrggbb`. The last four stand in sets or places where their colour's other owner
does not."""

UNKNOWN = "#ffffff"
"""Colour of what has no name here."""


def colour_of(structure: str) -> str:
    """Colour of a structure as `#rrggbb`; white for one that the project does not know."""
    return COLOURS.get(structure, UNKNOWN)
