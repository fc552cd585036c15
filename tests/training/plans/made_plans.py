"""A plan of every kind of step but cross-validation, and what it starts from."""

import json

import yaml

from tests.training.tiny import DOCUMENT

STEPS = {
    "bundle": {"kind": "export", "checkpoints": ["${second}"], "fp16": False},
    "first": {"kind": "train", "recipe": "tiny.yaml", "data": ["${labelled}"], "validation": 0},
    "teacher": {"kind": "export", "checkpoints": ["${first}"], "fp16": False},
    "filled": {"kind": "pseudo_label_missing", "data": "${partial}", "bundle": "${teacher}"},
    "second": {"kind": "train", "recipe": "tiny.yaml", "data": ["${labelled}", "${filled}"], "validation": 0},
}
ORDER = ("first", "teacher", "filled", "second", "bundle")
PLAN = {
    "name": "small",
    "description": "For tests.",
    "inputs": {"labelled": "complete cases", "partial": "the others"},
    "steps": STEPS,
}


def write_plan(folder, name="plan.yaml", recipe=DOCUMENT, **fields):
    """A plan and its recipe beside it."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    path = folder / name
    path.write_text(yaml.safe_dump({**PLAN, **fields}))
    return path


def write_names(folder, cases, annotated=None, images_only=False):
    """A data set of empty files."""
    for place, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        if place == "imagesTr" or not images_only:
            (folder / place).mkdir(parents=True)
            for case in cases:
                (folder / place / f"{case}{ending}").touch()
    if annotated is not None:
        (folder / "annotated.json").write_text(json.dumps(annotated))
    return folder
