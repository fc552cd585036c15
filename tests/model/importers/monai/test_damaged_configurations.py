"""Configurations of MONAI with one wrong value are imported, or refused in one line that names the file."""

import copy
import json

import pytest
import torch
import yaml

from model.__main__ import main
from model.importers.monai import importing
from tests.model.importers.monai.monai_models import (
    AUTO3DSEG,
    METADATA,
    SMALL,
    write_auto3dseg,
    write_zoo_bundle,
)
from tests.model.importers.mutations import end_before_export, mutations_of

TINY = copy.deepcopy(SMALL)
"""A bundle of the zoo whose network is built in no time."""
TINY["network_def"] |= {"channels": [4, 8], "strides": [2], "num_res_units": 1}
TINY["inferer"]["roi_size"] = [16, 16, 16]
NETWORK = AUTO3DSEG["network"] | {"init_filters": 4, "blocks_down": [1, 1]}
TRAINING = ("imports", "evaluator", "run", "optimizer", "bundle_root", "ckpt_path", "device")
"""What no import looks at."""


@pytest.fixture
def no_export(monkeypatch):
    end_before_export(importing, monkeypatch)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # Windows of 16³ voxels take no time; waiting for another core does.
    yield
    torch.set_num_threads(threads)


def check(model, path, document, text, tmp_path, capsys):
    """Put each wrong value in turn into a file of a model, and import that."""
    codes = set()
    for words, changed in mutations_of(document):
        path.write_text(text(changed), encoding="utf-8")
        code = main(["import", "monai", str(model), "--output", str(tmp_path / "bundle")])
        complaints = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        codes.add(code)
        assert code in (0, 2), f"{words}: {complaints}"
        assert len(complaints) == (1 if code else 0), words
        assert all(line.startswith(f"error: {model}/") for line in complaints), f"{words}: {complaints}"
    assert 0 in codes, "not even what matters nothing is imported"


def without(document, *names):
    return {name: value for name, value in document.items() if name not in names}


def test_each_value_of_a_bundle_of_the_zoo(tmp_path, capsys, no_export):
    model = write_zoo_bundle(tmp_path / "zoo", TINY)
    document = without(TINY, *TRAINING)
    check(model, model / "configs" / "inference.json", document, json.dumps, tmp_path, capsys)


def test_each_value_of_its_metadata(tmp_path, capsys, no_export):
    model = write_zoo_bundle(tmp_path / "zoo", TINY)
    check(model, model / "configs" / "metadata.json", METADATA, json.dumps, tmp_path, capsys)


def test_each_setting_of_auto3dseg(tmp_path, capsys, no_export):
    model = write_auto3dseg(tmp_path / "work", folds=(0,), network=NETWORK, roi_size=[16, 16, 16])
    path = model / "segresnet_0" / "configs" / "hyper_parameters.yaml"
    document = without(yaml.safe_load(path.read_text(encoding="utf-8")), *TRAINING, "class_names")
    check(model, path, document, yaml.safe_dump, tmp_path, capsys)


def test_a_network_that_would_fill_the_memory_is_not_built(tmp_path, capsys):
    model = write_zoo_bundle(tmp_path / "zoo", TINY)
    changed = copy.deepcopy(TINY)
    changed["network_def"]["num_res_units"] = 5000
    (model / "configs" / "inference.json").write_text(json.dumps(changed), encoding="utf-8")
    assert main(["import", "monai", str(model), "--output", str(tmp_path / "bundle")]) == 2
    assert "network UNet has num_res_units 5000; must be 4096 at most" in capsys.readouterr().err
