"""Cases that come twice are known by their files: names say nothing, and neither do labels."""

import shutil

import pytest

from tests.training.data.detached import write_detached
from tests.training.tiny import recipe_file, write_dataset
from training.__main__ import main
from training.data import doubled_cases
from training.data.doubled_cases import refuse_common_images, refuse_common_names
from training.data.folders import labelled_cases
from training.data.found_cases import CaseFiles
from training.data.quick_hash import EDGE_BYTES
from training.training_errors import DataError


def case(folder, name, content=b"image"):
    """A case of one image, without sense; its label map is that of all others."""
    folder.mkdir(exist_ok=True)
    image, labels = folder / f"{name}_0000.mha", folder / f"{name}.mha"
    image.write_bytes(content)
    labels.write_bytes(b"labels")
    return CaseFiles(name=name, images=(image,), labels=labels)


def test_a_name_of_two_cases_is_told(tmp_path):
    cases = [case(tmp_path, name) for name in ("a", "b")]
    refuse_common_names([tmp_path], cases)
    with pytest.raises(DataError, match="two: case b is in two data sets; rename one of them"):
        refuse_common_names([tmp_path / "one", tmp_path / "two"], [*cases, cases[1]])


def test_two_patients_may_have_one_name(tmp_path):
    refuse_common_images([case(tmp_path / "x", "a", b"one")], [case(tmp_path / "y", "a", b"two")])


def test_a_copy_under_another_name_is_the_same_case(tmp_path):
    trained = [case(tmp_path / "x", "a", b"one"), case(tmp_path / "x", "b", b"two")]
    with pytest.raises(
        DataError, match=r"y/c_0000\.mha: is validated on, and trained on as \S*x/b_0000\.mha"
    ):
        refuse_common_images(trained, [case(tmp_path / "y", "c", b"two")])


def test_images_that_no_other_has_the_size_of_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(doubled_cases, "files_sha256", lambda _: pytest.fail("was read"))
    refuse_common_images([case(tmp_path / "x", "a", b"one")], [case(tmp_path / "y", "b", b"three")])


def test_images_that_differ_between_their_ends_are_not_the_same(tmp_path):
    """As uncompressed ones that begin and end in air."""
    air = bytes(EDGE_BYTES)
    trained = [case(tmp_path / "x", name, air + name.encode() + air) for name in "ab"]
    refuse_common_images(trained, [case(tmp_path / "y", "c", air + b"c" + air)])
    with pytest.raises(DataError, match=r"trained on as \S*x/b_0000\.mha"):
        refuse_common_images(trained, [case(tmp_path / "y", "c", air + b"b" + air)])


def test_voxels_that_a_header_names_tell_two_cases_apart(tmp_path):
    """Both headers are the same, and name a file that is not called after them."""
    trained, same, other = (
        CaseFiles(name="ct", images=(write_detached(tmp_path / name / "ct.mhd", voxels),), labels=tmp_path)
        for name, voxels in (("a", b"12"), ("b", b"12"), ("c", b"13"))
    )
    refuse_common_images([trained], [other])
    with pytest.raises(DataError, match=r"b/ct\.mhd: is validated on, and trained on as \S*a/ct\.mhd"):
        refuse_common_images([trained], [same])


def test_a_prepared_case_is_known_by_what_it_was_prepared_from(tmp_path):
    data = write_dataset(tmp_path / "data")
    copy = shutil.copytree(data, tmp_path / "copy")
    for folder, store in ((data, "store"), (copy, "other")):
        words = ["prepare", str(folder), "--recipe", recipe_file(tmp_path), "--output", str(tmp_path / store)]
        assert main(words) == 0
    first, second = labelled_cases(tmp_path / "store")
    refuse_common_images([first], [second])
    for held_out in (labelled_cases(data)[0], labelled_cases(tmp_path / "other")[0]):
        with pytest.raises(DataError, match=r"trained on as \S*store/cases/case0\.labels\.b2nd"):
            refuse_common_images([first, second], [held_out])
