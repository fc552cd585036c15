import pickle
from dataclasses import replace

import pytest

from model.labels import (
    AMOS22,
    FLARE21,
    FLARE22,
    FLARE23,
    LABEL_SETS,
    LabelSet,
    Pair,
    channel_ids,
    channel_table,
    merged_channels,
)


def test_ids_are_the_challenges():
    assert FLARE22.ids["liver"] == 1
    assert FLARE22.ids["right kidney"] == 2
    assert FLARE22.ids["left kidney"] == 13
    assert FLARE22.names[5] == "inferior vena cava"
    assert FLARE23.ids["tumor"] == 14
    assert len(FLARE23.organs) == 13
    assert FLARE21.names == ("liver", "kidney", "spleen", "pancreas")
    assert AMOS22.ids["prostate/uterus"] == 15
    assert set(LABEL_SETS) == {"flare21", "flare22", "flare23", "flare24-lesion", "amos22"}


def test_merged_flare23_has_thirteen_channels_in_id_order():
    channels = merged_channels(FLARE23)
    assert channels == (
        "background", "liver", "kidney", "spleen", "pancreas", "aorta", "inferior vena cava", "adrenal gland",
        "gallbladder", "esophagus", "stomach", "duodenum", "tumor",
    )  # fmt: skip
    table = channel_table(FLARE23, channels)
    assert table[2] == table[13] == 2  # kidneys
    assert table[7] == table[8] == 7  # adrenal glands
    assert table[14] == 12
    assert table[200] == 0


def test_channel_ids_of_a_pair_are_right_then_left():
    assert channel_ids(FLARE23, "kidney") == (2, 13)
    assert channel_ids(FLARE23, "adrenal gland") == (7, 8)
    assert channel_ids(FLARE23, "liver") == (1,)
    with pytest.raises(ValueError, match="bladder is neither"):
        channel_ids(FLARE23, "bladder")


def test_names_of_ids():
    assert FLARE22.name_of(0) == "background"
    assert FLARE22.name_of(12) == "duodenum"
    with pytest.raises(ValueError, match="no id 14"):
        FLARE22.name_of(14)


@pytest.mark.parametrize("name", ["li\x1b[31mver", "li\nver", "liver\x07", "\u202eliver"])
def test_names_that_would_do_something_are_refused(name):
    with pytest.raises(ValueError, match="must hold printable characters only, is '") as caught:
        LabelSet(name="own", ids={name: 1})
    assert str(caught.value).isprintable()
    with pytest.raises(ValueError, match="must hold printable characters only"):
        LabelSet(name=name, ids={"liver": 1})


def test_names_of_any_script_are_fine():
    assert LabelSet(name="eigene", ids={"Nebenniere, größere": 1, "肝臓": 2}).names[1] == "肝臓"


def test_lesions_are_no_organs():
    assert FLARE23.lesions == ("tumor",)
    assert FLARE22.lesions == ()
    assert FLARE23.organs == FLARE22.names
    own = LabelSet(name="own", ids={"liver": 2, "cyst": 1, "metastasis": 3}, lesions=("cyst", "metastasis"))
    assert own.organs == ("liver",)
    with pytest.raises(ValueError, match="lesion stone is not in the set"):
        LabelSet(name="own", ids={"liver": 1}, lesions=("stone",))


def test_ids_that_do_not_belong_to_a_set():
    assert FLARE22.foreign([0, 1, 13]) == []
    assert FLARE22.foreign([14, 0, 200, 1]) == [14, 200]


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=LABEL_SETS)
def test_label_sets_travel_between_processes(labels):
    there = pickle.loads(pickle.dumps(labels))
    assert there == labels
    assert there.ids == labels.ids


@pytest.mark.parametrize(
    ("ids", "pairs", "message"),
    [
        ({"a": 0}, (), "must be 1 to 255"),
        ({"a": 256}, (), "must be 1 to 255"),
        ({"a": 1, "b": 1}, (), "share an id"),
        ({"background": 1}, (), "background is 0"),
        ({"a": 1}, (Pair(merged="x", right="a", left="b"),), "b of pair x is not in the set"),
    ],
)
def test_a_faulty_label_set_is_refused(ids, pairs, message):
    with pytest.raises(ValueError, match=message):
        LabelSet(name="faulty", ids=ids, pairs=pairs)


@pytest.mark.parametrize(
    ("name", "sounds"),
    [
        ("tumor", True),
        ("liver_Tumour", True),
        ("Renal-cysts", True),
        ("lung metastases", True),
        ("cystic duct", False),
        ("massa intermedia", False),
        ("liver", False),
    ],
)
def test_whole_words_of_a_name_tell_what_is_perhaps_a_lesion(name, sounds):
    labels = LabelSet(name="own", ids={"spleen": 2, name: 1})
    assert labels.perhaps_lesions == ((name,) if sounds else ())
    assert replace(labels, lesions=(name,)).perhaps_lesions == ()
