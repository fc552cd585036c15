"""What is known of adult abdominal organs: how large they are, and which of them lie beside which.

One table, for whatever label set names these organs. A plausible range is wide: an organ outside it is
either diseased, which a reader wants to see anyway, or wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "Geraghty": "Geraghty et al., Normal organ volume assessment from abdominal CT. Abdom Imaging 2004; "
        "29:482-490: 149 adults, means of women and men",
        "Jasper": "Jasper, Liver and splenic volumes in the Indian population. J Clin Diagn Res 2019; "
        "13(8):TC01-TC05, doi 10.7860/JCDR/2019/41932.13038: 100 adults, CT",
        "Caglar": "Caglar et al., Determination of normal splenic volume. Folia Morphol 2014, "
        "doi 10.5603/FM.2014.0038: 212 adults, CT",
        "Idris": "Idris et al., Sonographic measurement of fasting gallbladder volume. Niger J Basic Clin "
        "Sci 2016; 13:23-29, doi 10.4103/0331-8540.174595: 400 adults",
        "ICRP": "ICRP Publication 89, 2002: reference masses of women and men, wall and content, "
        "1 g taken as 1 mL",
    }
)


@dataclass(frozen=True, kw_only=True)
class OrganNorm:
    """One organ of an adult; volumes in mL."""

    mean_ml: tuple[float, float] | None = None
    """Published means: the smallest and the largest of the sources, women's and men's where they are apart.
    None: nothing was found for the part that an abdominal CT shows."""
    sd_ml: float | None = None
    """Standard deviation within one group, where a source states it."""
    plausible_ml: tuple[float, float] | None = None
    """What is taken for possible: at least three standard deviations, or a third of the smallest mean, below,
    of kidneys a fifth, since they shrink and still are there, of a gallbladder nothing, since it empties;
    three times the largest mean and more above, since organs swell more than they shrink."""
    sources: tuple[str, ...] = ()
    parenchyma: bool = False
    """Filled by tissue alone, so that its mean value says whether it is one."""
    in_one_piece: bool = False
    """Never in two large pieces, also where a scan shows it only in part."""
    beside: tuple[str, str] | None = None
    """Where both of these are whole in a scan, so must this one be; None for organs that are removed often or
    lie partly elsewhere."""


NORMS: Mapping[str, OrganNorm] = MappingProxyType(
    {
        "liver": OrganNorm(
            mean_ml=(1281, 1710), sd_ml=219, plausible_ml=(500, 4000), sources=("Geraghty", "Jasper"),
            parenchyma=True, in_one_piece=True, beside=("spleen", "right kidney"),
        ),
        "spleen": OrganNorm(
            mean_ml=(180, 238), sd_ml=88, plausible_ml=(40, 1200), sources=("Geraghty", "Jasper", "Caglar"),
            parenchyma=True, in_one_piece=True, beside=("liver", "left kidney"),
        ),
        "right kidney": OrganNorm(
            mean_ml=(157, 193), plausible_ml=(30, 500), sources=("Geraghty",),
            parenchyma=True, in_one_piece=True, beside=("liver", "left kidney"),
        ),
        "left kidney": OrganNorm(
            mean_ml=(157, 193), plausible_ml=(30, 500), sources=("Geraghty",),
            parenchyma=True, in_one_piece=True, beside=("spleen", "right kidney"),
        ),
        "pancreas": OrganNorm(
            mean_ml=(64, 87), plausible_ml=(15, 260), sources=("Geraghty",),
            parenchyma=True, beside=("liver", "left kidney"),
        ),
        "right adrenal gland": OrganNorm(
            mean_ml=(4.4, 7), plausible_ml=(0.7, 25), sources=("Geraghty", "ICRP"),
            beside=("liver", "right kidney"),
        ),
        "left adrenal gland": OrganNorm(
            mean_ml=(4.4, 7), plausible_ml=(0.7, 25), sources=("Geraghty", "ICRP"),
            beside=("spleen", "left kidney"),
        ),
        "gallbladder": OrganNorm(
            mean_ml=(24, 68), sd_ml=8.4, plausible_ml=(0, 250), sources=("Idris", "ICRP"),
        ),
        "stomach": OrganNorm(
            mean_ml=(370, 400), plausible_ml=(30, 2500), sources=("ICRP",), beside=("liver", "spleen"),
        ),
        "esophagus": OrganNorm(mean_ml=(35, 40), plausible_ml=(1, 120), sources=("ICRP",)),
        "aorta": OrganNorm(beside=("liver", "left kidney")),
        "inferior vena cava": OrganNorm(beside=("liver", "right kidney")),
        "duodenum": OrganNorm(beside=("liver", "right kidney")),
    }
)  # fmt: skip
"""Name in a label set to what is known."""

PLACES: tuple[tuple[str, str, int, float, str], ...] = (
    ("liver", "spleen", 2, 0.0, "left"),
    ("liver", "stomach", 2, 0.0, "left"),
    ("right kidney", "left kidney", 2, 0.0, "left"),
    ("right kidney", "liver", 0, 40.0, "above"),
    ("left kidney", "spleen", 0, 40.0, "above"),
    ("liver", "right kidney", 1, 30.0, "behind"),
    ("stomach", "left kidney", 1, 30.0, "behind"),
    ("stomach", "aorta", 1, 20.0, "behind"),
)
"""Of two organs, where the centre of the first never lies as seen from that of the second: axis of (z, y, x)
towards superior, posterior, left; by how many mm more than that; the word for it."""
SMALL_BODY_CM2, LARGE_BODY_CM2 = 350.0, 900.0
"""Cross-sections of abdomens of adults lie between; organs of smaller and larger bodies may be smaller and
larger, by the power that makes a volume of an area."""
CHILD_BODY_CM2 = 250.0
"""Below it lie children of up to about nine years (a waist of 56 cm as a circle), and adults whose voxels are
stated too small."""


def plausible_ml(norm: OrganNorm, body_area_cm2: float | None) -> tuple[float, float] | None:
    """Volumes that are possible in a body of this cross-section; None of an organ without published volume.

    Worked: of a child with 175 cm², half the smallest adult's, the liver may have 500 × 0.5^1.5 = 177 mL (a
    child of one year has 330: ICRP 89).
    """
    if norm.plausible_ml is None:
        return None
    low, high = norm.plausible_ml
    if not body_area_cm2:
        return low, high
    smaller = min(1.0, body_area_cm2 / SMALL_BODY_CM2) ** 1.5
    larger = max(1.0, body_area_cm2 / LARGE_BODY_CM2) ** 1.5
    return low * smaller, high * larger
