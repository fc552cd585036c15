"""One DICOM file that is given alone, though the rest of its series lies beside it."""

from pathlib import Path

import pytest

from inference.imaging.reading import read_volume
from tests.inference.images import write_series

SLICES = [(0.0, 0.0, 3.0 * i) for i in range(3)]


def told(path):
    return [line for line in read_volume(path).warnings if "is one file of a series" in line]


def test_one_slice_of_a_series_is_told_of(tmp_path):
    write_series(tmp_path / "series", SLICES)
    assert told(tmp_path / "series") == []
    second = sorted((tmp_path / "series").iterdir())[1]
    (tmp_path / "series" / "0.dcm").write_bytes(b"no DICOM")
    (tmp_path / "series" / "0.txt").write_bytes(b"nor this")
    assert told(second) == [
        f"is one file of a series, which lies beside it; give its folder: {tmp_path / 'series'}"
    ]


@pytest.mark.parametrize("uid", ["1.2.3.1", "1.2.3.2"])
def test_a_slice_alone_or_beside_another_series_is_what_was_meant(tmp_path, uid):
    write_series(tmp_path / "series", SLICES[:1])
    (alone,) = (tmp_path / "series").iterdir()
    assert told(alone) == []
    write_series(tmp_path / "series", SLICES, uid=uid, number=2)
    assert len(told(alone)) == (uid == "1.2.3.1")


def test_no_more_files_are_read_than_is_quick(tmp_path, monkeypatch):
    write_series(tmp_path / "series", SLICES[:2])
    _, second = sorted((tmp_path / "series").iterdir())
    last = second.rename(second.with_name("z.dcm"))
    monkeypatch.setattr("inference.imaging.formats.dicom_beside.MOST_LOOKED_AT", 1)
    assert len(told(last)) == 1
    write_series(tmp_path / "series", SLICES, uid="1.2.3.2", number=0)
    assert told(last) == []


def test_a_copy_of_a_slice_is_no_other_slice(tmp_path):
    write_series(tmp_path / "series", SLICES[:1])
    (alone,) = (tmp_path / "series").iterdir()
    alone.with_name("copy.dcm").write_bytes(alone.read_bytes())
    assert told(alone) == []


def test_a_folder_that_may_not_be_listed_costs_only_the_hint(tmp_path, monkeypatch):
    write_series(tmp_path / "series", SLICES)
    first = min((tmp_path / "series").iterdir())

    def closed(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    assert told(first) == []
