"""Abdomens in which HU tell the structure, a bundle that reads them, and labels that are given in part."""

import json
from dataclasses import replace

import numpy as np

from model.labels import KIDNEYS
from tests.inference.bundles import OUTPUT, abdomen, hu, make_bundle, member
from tests.training.tiny import write_case

IDS = {"liver": 1, "right kidney": 2, "aorta": 5, "left kidney": 13, "tumor": 14}
"""What these abdomens hold, with FLARE23's ids."""
LABELS = {"name": "five", "labels": IDS, "lesions": ["tumor"]}


def bundle_of_five(folder, **changes):
    """A bundle that finds all five exactly: its grid is that of the images."""
    common = {"output": replace(OUTPUT, label_set="five", labels=IDS, pairs=(KIDNEYS,)), "name": "five"}
    return make_bundle(folder, [member(spacing_zyx_mm=(2.0, 2.0, 2.0))], **(common | changes))


def truth(shift=0):
    """A whole label map; the kidneys stay where they are, the rest moves along x."""
    moved = np.roll(abdomen(), shift, axis=2)
    moved[np.isin(moved, (2, 13))] = 0
    kidneys = abdomen()
    return np.where(np.isin(kidneys, (2, 13)), kidneys, moved)


def only(labels, *names):
    """A label map with some of its structures."""
    return np.where(np.isin(labels, [IDS[name] for name in names]), labels, 0).astype(np.uint8)


def write_partial(folder):
    """A complete case, one with liver and tumor, and one with the tumor alone, stored turned round."""
    whole = truth()
    write_case(folder, "all", hu(whole), whole)
    write_case(folder, "few", hu(whole), only(whole, "liver", "tumor"), "RAS")
    write_case(folder, "one", hu(whole), only(whole, "tumor"))
    annotated = {"few": ["liver", "tumor"], "one": ["tumor"]}
    (folder / "annotated.json").write_text(json.dumps(annotated))
    (folder / "labels.json").write_text(json.dumps(LABELS))
    return folder
