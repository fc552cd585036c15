"""One DICOM file that is given alone, though the rest of its series lies beside it."""

from pathlib import Path

import pytest

from inference.imaging.reading import read_volume
from tests.inference.images import write_series

SERIES = b"\x20\x00\x0e\x00\x08\x00\x00\x001.2.3.1\x00"
SLICES = [(0.0, 0.0, 3.0 * i) for i in range(3)]


def without_series(content):
    """A file's bytes without its SeriesInstanceUID, which `write_series` gives the value 1.2.3.1."""
    assert content.count(SERIES) == 1
    return content.replace(SERIES, b"")


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


@pytest.mark.parametrize(("others", "is_told"), [({}, True), ({"size": (5, 4)}, False)])
def test_without_a_uid_slices_of_one_study_and_size_are_a_series(tmp_path, others, is_told):
    """Pixels of 3 x 4 are no slice of 5 x 4."""
    folder = write_series(tmp_path / "series", SLICES[:1])
    (alone,) = folder.iterdir()
    write_series(folder, SLICES[1:], number=2, **others)
    for path in folder.iterdir():
        path.write_bytes(without_series(path.read_bytes()))
    assert bool(told(alone)) == is_told


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
