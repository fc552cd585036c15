"""JSON files of others: nested as nobody nests them."""

import pytest

from training.whole_files import json_of, read_json


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_nesting_is_a_value_error(tmp_path, text):
    with pytest.raises(ValueError, match="nested too deeply"):
        json_of(text)
    (tmp_path / "deep.json").write_text(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "deep.json")
    assert json_of("[[1]]") == [[1]]
