"""Which ids MONAI's models write themselves, beside those of a bundle that was given another label set."""

from dataclasses import replace

import pytest

from model.importers.monai.monai_source import monai_source
from model.importers.own_ids import own_ids
from model.labels import FLARE22
from model.manifest.document import Manifest
from model.manifest.output import Output
from model.model_errors import RefusedModelError
from tests.inference.bundles import CT, PROVENANCE, member
from tests.model.importers.monai.monai_models import SMALL, write_auto3dseg, write_zoo_bundle


def manifest(*structures, data="not stated") -> Manifest:
    """Of a bundle whose structures are written as FLARE22's."""
    output = Output(
        label_set="flare22",
        labels=dict(FLARE22.ids),
        channels=("background", *structures),
        pairs=FLARE22.pairs,
        written_as={name: None for name in structures if name not in FLARE22.ids},
    )
    provenance = replace(PROVENANCE, data=data)
    common = {"name": "bands", "inputs": (CT,), "members": (member(),), "files": {"member.onnx": "0" * 64}}
    return Manifest(output=output, provenance=provenance, **common)


def ids(model, imported):
    return own_ids(monai_source(model, (), None, imported.output), imported)


def test_ids_are_numbers_of_channels(tmp_path):
    """Stomach is the third structure of the model, and 11 in FLARE22."""
    model = write_auto3dseg(tmp_path / "work", folds=(0,))
    assert ids(model, manifest("liver", "spleen", "stomach")) == {1: 1, 2: 3, 3: 11}


def test_structures_without_names_are_numbers(tmp_path):
    model = write_auto3dseg(tmp_path / "work", folds=(0,), class_names=None)
    given = manifest("class 1", "class 2", "class 3")
    assert ids(model, given) == {1: 0, 2: 0, 3: 0}


def test_another_model_is_refused(tmp_path):
    model = write_auto3dseg(tmp_path / "work", folds=(0,))
    for structures in (("liver", "spleen"), ("liver", "stomach", "spleen")):
        given = manifest(*structures)
        with pytest.raises(RefusedModelError, match="has channels background, liver, spleen, stomach, the b"):
            ids(model, given)


def test_the_model_zoo_states_its_data(tmp_path):
    model = write_zoo_bundle(tmp_path / "small", SMALL)
    assert ids(model, manifest("spleen", data="Task09_Spleen.tar")) == {1: 3}
    with pytest.raises(RefusedModelError, match=r"is a model of Task09_Spleen\.tar, the bundle is of mine"):
        ids(model, manifest("spleen", data="mine"))
