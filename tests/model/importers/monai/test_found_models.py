"""Models of MONAI are found wherever they lie, and named after their folder or zip."""

import shutil

import pytest

from model.importers.monai.importing import find_monai
from tests.model.importers.monai.monai_models import SMALL, write_auto3dseg, write_zoo_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_zoo_bundle(tmp_path_factory.mktemp("zoo") / "small_ct", SMALL)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return write_auto3dseg(tmp_path_factory.mktemp("auto3dseg") / "work_dir")


@pytest.mark.parametrize("inside", [True, False], ids=["in its folder", "by itself"])
def test_a_bundle_in_a_zip(inside, bundle, tmp_path):
    root, base = (bundle.parent, bundle.name) if inside else (bundle, ".")
    shutil.make_archive(str(tmp_path / ("packed" if inside else bundle.name)), "zip", root, base)
    (packed,) = tmp_path.iterdir()
    plain, found = find_monai(bundle, (), None), find_monai(packed, (), None)
    assert found.name == plain.name == "small_ct"
    assert found.members[0].chain.as_json() == plain.members[0].chain.as_json()
    assert found.members[0].checkpoint.read_bytes() == plain.members[0].checkpoint.read_bytes()


def test_the_folder_one_stands_in(bundle, work, monkeypatch):
    monkeypatch.chdir(bundle)
    assert find_monai(bundle.relative_to(bundle), (), None).name == "small_ct"
    fold = work / "segresnet_1"
    monkeypatch.chdir(fold)
    found = find_monai(fold.relative_to(fold), (), None)
    assert [member.name for member in found.members] == ["fold-1"]


def test_a_checkpoint_holds_what_its_fold_says(work):
    """It is told as the folder is, but for where it was read."""
    folder = find_monai(work / "segresnet_0", (), None)
    alone = find_monai(work / "segresnet_0" / "model" / "model.pt", (), None)
    assert alone.members[0].chain.as_json() == folder.members[0].chain.as_json()
    assert alone.output_names == {1: "liver", 2: "spleen", 3: "stomach"}
    assert [member.name for member in folder.members] == ["fold-0"]
    assert [member.name for member in alone.members] == ["network"]
    assert alone.name == folder.name == "segresnet_0"
