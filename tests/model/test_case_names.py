"""How files of a case are named."""

import pytest

from model.case_names import channel_stem, split_channel


@pytest.mark.parametrize(
    ("stem", "case", "channel"),
    [
        ("liver_7_0000", "liver_7", 0),
        ("liver_7_0001", "liver_7", 1),
        ("liver_7_9999", "liver_7", 9999),
        ("liver_7", "liver_7", None),
        ("liver_0001_0000", "liver_0001", 0),
        ("liver_001", "liver_001", None),
        ("liver_00001", "liver_00001", None),
        ("liver0001", "liver0001", None),
        ("_0000", "_0000", None),
        ("", "", None),
    ],
)
def test_case_and_channel_of_a_name(stem, case, channel):
    assert split_channel(stem) == (case, channel)
    if channel is not None:
        assert channel_stem(case, channel) == stem
