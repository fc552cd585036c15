"""What the structures of the TotalSegmentator data set are made of, and which of them are FLARE organs.

Their names are those of its second version (Wasserthal et al. 2023, doi 10.1148/ryai.230024).
"""

from __future__ import annotations

from collections.abc import Mapping

from model.labels import FLARE23
from training.phantom.tissue import Tissues

ORGANS: Mapping[str, str] = {
    "liver": "liver",
    "kidney_right": "right kidney",
    "kidney_cyst_right": "right kidney",
    "spleen": "spleen",
    "pancreas": "pancreas",
    "aorta": "aorta",
    "inferior_vena_cava": "inferior vena cava",
    "adrenal_gland_right": "right adrenal gland",
    "adrenal_gland_left": "left adrenal gland",
    "gallbladder": "gallbladder",
    "esophagus": "esophagus",
    "stomach": "stomach",
    "duodenum": "duodenum",
    "kidney_left": "left kidney",
    "kidney_cyst_left": "left kidney",
}
"""Structures that are FLARE organs, and their FLARE names."""

ADDED = (
    "celiac_branches",
    "diaphragm_crura",
    "intervertebral_discs",
    "quadratus_lumborum",
    "renal_artery_left",
    "renal_artery_right",
    "renal_vein_left",
    "renal_vein_right",
    "superior_mesenteric_artery",
    "superior_mesenteric_vein",
)
"""Structures that no map holds and that are added to bodies."""

VESSELS_OF: Mapping[str, str] = {
    "renal_artery_left": "left kidney",
    "renal_artery_right": "right kidney",
    "renal_vein_left": "left kidney",
    "renal_vein_right": "right kidney",
}
"""Structures that are not there where an organ (FLARE name) is missing."""

# The first entry that a structure's name begins with decides.
_TISSUE_OF = (
    ("adrenal_gland", "adrenal"),
    ("aorta", "aorta"),
    ("atrial_appendage", "heart"),
    ("autochthon", "muscle"),
    ("brachiocephalic_trunk", "aorta"),
    ("brachiocephalic_vein", "cava"),
    ("brain", "canal"),
    ("celiac_branches", "aorta"),
    ("clavicula", "marrow"),
    ("colon", "bowel wall"),
    ("common_carotid", "aorta"),
    ("costal_cartilages", "cartilage"),
    ("diaphragm_crura", "muscle"),
    ("duodenum", "stomach wall"),
    ("esophagus", "esophagus"),
    ("femur", "marrow"),
    ("gallbladder", "gallbladder"),
    ("gluteus", "muscle"),
    ("heart", "myocardium"),
    ("hip", "marrow"),
    ("humerus", "marrow"),
    ("iliac_artery", "aorta"),
    ("iliac_vena", "cava"),
    ("iliopsoas", "muscle"),
    ("inferior_vena_cava", "cava"),
    ("intervertebral_discs", "disc"),
    ("kidney_cyst", "fluid"),
    ("kidney", "renal cortex"),
    ("liver", "liver"),
    ("lung", "lung"),
    ("pancreas", "pancreas"),
    ("portal_vein", "portal vein"),
    ("prostate", "muscle"),
    ("pulmonary_vein", "heart"),
    ("quadratus_lumborum", "muscle"),
    ("renal_artery", "aorta"),
    ("renal_vein", "cava"),
    ("rib", "marrow"),
    ("sacrum", "marrow"),
    ("scapula", "marrow"),
    ("skull", "marrow"),
    ("small_bowel", "bowel wall"),
    ("spinal_cord", "canal"),
    ("spleen", "spleen"),
    ("sternum", "marrow"),
    ("stomach", "stomach wall"),
    ("subclavian_artery", "aorta"),
    ("superior_mesenteric_artery", "aorta"),
    ("superior_mesenteric_vein", "portal vein"),
    ("superior_vena_cava", "cava"),
    ("thyroid", "thyroid"),
    ("trachea", "gas"),
    ("urinary_bladder", "urine"),
    ("vertebrae", "marrow"),
)

BONE_SHELL: Mapping[str, float] = {
    "clavicula": 1.3,
    "femur": 1.8,
    "hip": 1.2,
    "humerus": 1.8,
    "rib": 0.9,
    "sacrum": 0.9,
    "scapula": 1.1,
    "skull": 1.8,
    "sternum": 0.7,
    "vertebrae": 0.8,
}
"""Bones, by the start of their names, and the density of their shell as a factor on that of cortical bone
averaged over a voxel: shafts of long bones are thick, vertebrae have a thin shell."""

GROWING = (
    "liver",
    "spleen",
    "kidney",
    "stomach",
    "colon",
    "small_bowel",
    "duodenum",
    "pancreas",
    "gallbladder",
)
"""Structures that may fill the fat around them in a lean body, so that they touch: those with a serous
surface of their own. Vessels and adrenal glands keep their calibre."""

_GAS_HU = -960.0


def tissue_of(structure: str) -> str:
    """The tissue (a name of `Tissues`, or "gas") that most of a structure is made of.

    Raises:
        ValueError: no tissue is known for it.
    """
    for start, tissue in _TISSUE_OF:
        if structure.startswith(start):
            return tissue
    raise ValueError(f"no tissue is known for structure {structure}")


def hu_of(structure: str, tissues: Tissues) -> float:
    """HU of the tissue that most of a structure is made of in one patient."""
    tissue = tissue_of(structure)
    return _GAS_HU if tissue == "gas" else tissues[tissue]


def organ_id(structure: str) -> int:
    """FLARE id of a structure, 0 where it is none of the organs."""
    return FLARE23.ids[ORGANS[structure]] if structure in ORGANS else 0
