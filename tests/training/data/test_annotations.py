"""Partial labels: what a case annotates, and that sampling, batches and validation leave out the rest."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from model.labels import FLARE21, FLARE23
from tests.training.tiny import NETWORK, tiny_recipe, write_case, write_dataset
from training.data.annotations import annotated_channels, unknown_structures
from training.data.batches import make_batch
from training.data.folders import labelled_cases
from training.data.store import CaseStore, recipe_table
from training.runs.timetable import make_timetable
from training.runs.validation import validate

FLARE23_MERGED = {"label_set": "flare23", "channels": "merged", "network": NETWORK}


@pytest.fixture
def partial(tmp_path):
    """Case 0 annotates the liver only, though its spleen (id 3) was drawn; case 1 annotates everything."""
    folder = write_dataset(tmp_path)
    (folder / "annotated.json").write_text('{"case0": ["liver"]}')
    return folder


def test_a_case_annotates_what_the_file_says_and_else_everything(partial):
    assert [case.annotated for case in labelled_cases(partial)] == [("liver",), None]
    (partial / "annotated.json").unlink()
    assert [case.annotated for case in labelled_cases(partial)] == [None, None]


def test_groups_say_the_same_for_many_cases(partial):
    text = '{"groups": [{"structures": ["liver"], "cases": ["case0", "case1"]}]}'
    (partial / "annotated.json").write_text(text)
    assert [case.annotated for case in labelled_cases(partial)] == [("liver",), ("liver",)]


def test_a_channel_is_annotated_if_all_that_it_stands_for_is():
    recipe = tiny_recipe(**FLARE23_MERGED)
    # background, liver, kidney, spleen, pancreas, aorta, IVC, adrenals, gallbladder, esophagus, …, tumor
    found = annotated_channels(recipe, ("liver", "right kidney", "left kidney", "right adrenal gland"))
    assert found[:8] == (True, True, True, False, False, False, False, False)
    assert annotated_channels(recipe, None) is None
    foreground = tiny_recipe(channels="foreground", network=NETWORK)
    assert annotated_channels(foreground, ("liver",)) == (True, False)
    assert annotated_channels(foreground, foreground.labels.names) == (True, True)


def test_names_that_the_label_set_lacks_are_told_with_what_it_has():
    told = unknown_structures(Path("annotated.json"), "a", ("liver", "Liver"), FLARE21)
    assert told == [
        "annotated.json: case a names Liver, which is not in the label set flare21; it has liver, kidney, "
        "spleen, pancreas"
    ]
    told = unknown_structures(Path("annotated.json"), "a", ("kidney",), FLARE23)
    assert told == [
        "annotated.json: case a names kidney, which is not in the label set flare23; give its sides, "
        "right kidney and left kidney"
    ]


def test_what_is_not_annotated_becomes_background():
    table = recipe_table(tiny_recipe(), (True, True, False, False, True))
    assert table[:6].tolist() == [0, 1, 0, 0, 4, 0]


def test_patches_are_not_centred_on_it_and_batches_say_so(partial):
    recipe = tiny_recipe(sampling={"batch_size": 2})
    store = CaseStore(labelled_cases(partial), recipe, cache_mb=10)
    liver_only, whole = store.load(0), store.load(1)
    assert [len(case.points) for case in (liver_only, whole)] == [2, 3]
    assert set(np.unique(liver_only.channels)) == {0, 1}
    batch = make_batch(store, recipe, seed=0, step=0)  # An epoch: both cases, in some order.
    rows = {tuple(row) for row in batch.annotated.tolist()}
    assert rows == {(True, True, False, False, False), (True,) * 5}
    for target, annotated in zip(batch.target, batch.annotated, strict=True):
        assert annotated[torch.unique(target).long()].all()


class CallsAllSpleen(torch.nn.Module):
    def forward(self, image):
        return torch.cat([image * 0, image * 0, image * 0, image * 0 + 1, image * 0], dim=1)


def test_validation_leaves_it_out(partial):
    recipe = tiny_recipe(validation={"cases": 2})
    store = CaseStore(labelled_cases(partial), recipe, cache_mb=10)
    (stage,) = make_timetable(recipe, cases=2).stages
    found = validate(CallsAllSpleen(), store, stage, torch.device("cpu"), nullcontext())
    # Only case 1 counts for the spleen: 6·8·6 voxels of it among 20³ that are called so.
    spleen = 6 * 8 * 6
    assert found == {"liver": 0.0, "spleen": pytest.approx(2 * spleen / (spleen + 20**3))}


def test_a_case_that_annotates_nothing_has_background_only(tmp_path):
    write_case(tmp_path, "case", np.zeros((4, 4, 4), np.int16), np.ones((4, 4, 4), np.uint8))
    (tmp_path / "annotated.json").write_text('{"case": []}')
    case = CaseStore(labelled_cases(tmp_path), tiny_recipe(), cache_mb=1).load(0)
    assert case.annotated == (True, False, False, False, False)
    assert not case.channels.any()
