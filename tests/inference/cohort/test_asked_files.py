"""Files that a run writes where the user says take the place of none but files of their own kind."""

import pytest

from inference.cohort.asked_files import COHORT_PAGE, RUN_REPORT, check_asked_file
from inference.errors import OutputError, UsageError


@pytest.mark.parametrize(
    ("name", "kind", "ending"),
    [
        ("ct_0000.nii.gz", RUN_REPORT, ".json"),
        ("ct.nii.gz", COHORT_PAGE, ".html"),
        ("run", RUN_REPORT, ".json"),
    ],
)
def test_a_name_of_another_kind_of_file_is_refused(tmp_path, name, kind, ending):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(UsageError, match=rf"{name}: must end in \{ending}; .* with --report"):
        check_asked_file(tmp_path / name, kind)
    assert (tmp_path / name).read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        (RUN_REPORT, "dataset.json", '{"cases": [1, 2]}'),
        (RUN_REPORT, "manifest.json", '{"name": "bundle"}'),
        (COHORT_PAGE, "page.html", "<!doctype html><title>Thesis</title>"),
    ],
)
def test_a_file_of_someone_else_is_not_written_over(tmp_path, kind, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=f"{name}: is there and not from --report"):
        check_asked_file(tmp_path / name, kind)


@pytest.mark.parametrize("text", ["", "\n", '{\n  "bundle": {\n    "name": "default",'])
def test_an_empty_file_or_an_earlier_one_may_be_written_over(tmp_path, text):
    (tmp_path / "run.JSON").write_text(text)
    check_asked_file(tmp_path / "run.JSON", RUN_REPORT)
    check_asked_file(tmp_path / "new.json", RUN_REPORT)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        check_asked_file(tmp_path, RUN_REPORT)
    with pytest.raises(OutputError, match="nowhere: no such folder"):
        check_asked_file(tmp_path / "nowhere" / "run.json", RUN_REPORT)
