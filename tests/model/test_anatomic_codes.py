"""Codes of structures, looked up in the standard's context groups."""

import pytest

from model.anatomic_codes import ABNORMAL, ANATOMY, OWN, TISSUE, codes_of
from model.labels import AMOS22, FLARE21, FLARE23


@pytest.mark.parametrize("name", ["left kidney", "kidney_left", "Kidney-Left"])
def test_a_side_is_a_code_of_its_own(name):
    codes = codes_of(name)
    assert (codes.type.value, codes.side.value, codes.category) == ("64033007", "7771000", ANATOMY)


def test_a_lesion_is_no_organ():
    assert (codes_of("tumor").category, codes_of("tumor").type.value) == (ABNORMAL, "108369006")


def test_every_structure_of_the_challenges_but_one_has_a_code():
    names = {*FLARE21.names, *FLARE23.names, *AMOS22.names}
    assert [name for name in sorted(names) if codes_of(name).type.scheme == OWN] == ["prostate/uterus"]


def test_what_is_not_known_is_called_by_its_name():
    codes = codes_of("left right thing")
    assert (codes.category, codes.type.value, codes.side) == (TISSUE, "left right thing", None)
    assert codes.type.meaning == "left right thing"


def test_long_names_that_begin_alike_have_codes_of_their_own():
    left, right = (codes_of(f"lung_upper_lobe_{side}").type for side in ("left", "right"))
    assert left.value.startswith("lung_up-")
    assert left.value != right.value
    assert len(left.value) == len(right.value) == 16
