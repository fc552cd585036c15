"""What structures are called in SNOMED CT, so that other programs know them whatever a bundle calls them.

Codes are those of the DICOM standard's context groups for segmentation (PS3.16: CID 7154 *Abdominal
Segmentation Type*, CID 4031 *Common Anatomic Region*, CID 6204 *Anatomic Non-colon Finding*, CID 7151
*Segmentation Property Category*, CID 244 *Laterality*): a paired organ is the organ and its side. Structures
that the table does not know are coded by their name in a scheme of this project's own, which the standard
provides for (names of private schemes begin with 99).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from model.labels import words_of

SNOMED, OWN = "SCT", "99LEANSEG"


@dataclass(frozen=True, kw_only=True)
class Code:
    """A concept of a terminology."""

    value: str
    """At most 16 characters."""
    meaning: str
    scheme: str = SNOMED


@dataclass(frozen=True, kw_only=True)
class StructureCodes:
    """What a structure is."""

    category: Code
    """The kind of thing that it is."""
    type: Code
    """The thing."""
    side: Code | None = None
    """Left or right, where there are two."""


ANATOMY = Code(value="123037004", meaning="Anatomical Structure")
ABNORMAL = Code(value="49755003", meaning="Morphologically Abnormal Structure")
TISSUE = Code(value="85756007", meaning="Tissue")
SIDES: Mapping[str, Code] = MappingProxyType(
    {"left": Code(value="7771000", meaning="Left"), "right": Code(value="24028007", meaning="Right")}
)
ORGANS: Mapping[str, Code] = MappingProxyType(
    {
        "liver": Code(value="10200004", meaning="Liver"),
        "kidney": Code(value="64033007", meaning="Kidney"),
        "spleen": Code(value="78961009", meaning="Spleen"),
        "pancreas": Code(value="15776009", meaning="Pancreas"),
        "aorta": Code(value="15825003", meaning="Aorta"),
        "inferior vena cava": Code(value="64131007", meaning="Inferior vena cava"),
        "adrenal gland": Code(value="23451007", meaning="Adrenal gland"),
        "gallbladder": Code(value="28231008", meaning="Gallbladder"),
        "esophagus": Code(value="32849002", meaning="Esophagus"),
        "stomach": Code(value="69695003", meaning="Stomach"),
        "duodenum": Code(value="38848004", meaning="Duodenum"),
        "bladder": Code(value="89837001", meaning="Urinary bladder"),
        "urinary bladder": Code(value="89837001", meaning="Urinary bladder"),
    }
)
LESIONS: Mapping[str, Code] = MappingProxyType({"tumor": Code(value="108369006", meaning="Neoplasm")})
LONGEST_VALUE, HASH_DIGITS = 16, 8


def codes_of(structure: str) -> StructureCodes:
    """The codes of a structure by its name; `left kidney`, `kidney_left` and `Kidney-Left` are one.

    >>> codes_of("left kidney").side.meaning
    'Left'
    >>> codes_of("prostate/uterus").type.scheme
    '99LEANSEG'
    """
    words = words_of(structure)
    sides = [word for word in words if word in SIDES]
    name = " ".join(word for word in words if word not in SIDES)
    if name in ORGANS and len(sides) <= 1:
        return StructureCodes(category=ANATOMY, type=ORGANS[name], side=SIDES[sides[0]] if sides else None)
    if name in LESIONS and not sides:
        return StructureCodes(category=ABNORMAL, type=LESIONS[name])
    said = structure.replace("\\", "/")  # In DICOM a backslash begins another value.
    return StructureCodes(category=TISSUE, type=Code(value=_own_value(said), meaning=said[:64], scheme=OWN))


def _own_value(structure: str) -> str:
    """A structure's code in this project's scheme: its name, of a long one its beginning and a hash.

    Names such as `lung_upper_lobe_left` and `lung_upper_lobe_right` differ where a code has ended.
    """
    if len(structure) <= LONGEST_VALUE:
        return structure
    digest = hashlib.sha256(structure.encode()).hexdigest()[:HASH_DIGITS]
    return f"{structure[: LONGEST_VALUE - HASH_DIGITS - 1]}-{digest}"
