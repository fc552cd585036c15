"""Bundles on disk: read and verified before anything is run, written as a whole or not at all."""

import errno
import json
import os
from pathlib import Path

import pytest

from model.bundle import file_sha256, load_bundle, write_bundle
from model.manifest.document import Manifest
from model.model_errors import BundleError, FullDiskError
from model.schema import parse
from tests.model.manifests import document, network, write_networks


def manifest_of(files, **changes):
    return parse(Manifest, document() | {"files": dict(files)} | changes)


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "bundle", write_networks, manifest_of)


def test_what_was_written_is_read_and_verified(bundle):
    assert load_bundle(bundle.folder) == bundle
    assert bundle.manifest.files["roi.onnx"] == file_sha256(bundle.folder / "roi.onnx")
    assert bundle.path_of(bundle.manifest.members[0]).read_bytes() == network("member0.onnx")
    assert bundle.fp16_path_of(bundle.manifest.members[0]).name == "member0.fp16.onnx"
    assert bundle.fp16_path_of(bundle.manifest.members[1]) is None
    assert bundle.sha256 == file_sha256(bundle.folder / "manifest.json")


def test_an_altered_file_is_refused(bundle):
    (bundle.folder / "roi.onnx").write_bytes(b"tampered")
    with pytest.raises(BundleError, match=r"roi\.onnx: was altered"):
        load_bundle(bundle.folder)


def test_a_link_is_no_file_of_a_bundle(bundle, tmp_path):
    elsewhere = tmp_path / "elsewhere.onnx"
    (bundle.folder / "roi.onnx").rename(elsewhere)
    (bundle.folder / "roi.onnx").symlink_to(elsewhere)
    with pytest.raises(BundleError, match="no regular file"):
        load_bundle(bundle.folder)


def test_a_link_on_the_way_is_refused_too(tmp_path):
    def write_below(folder):
        (folder / "sub").mkdir()
        write_networks(folder)
        (folder / "roi.onnx").rename(folder / "sub" / "roi.onnx")

    def manifest_below(files):
        changed = document() | {"files": dict(files)}
        changed["localization"]["file"] = "sub/roi.onnx"
        return parse(Manifest, changed)

    bundle = write_bundle(tmp_path / "bundle", write_below, manifest_below)
    assert load_bundle(bundle.folder) == bundle
    (bundle.folder / "sub").rename(tmp_path / "outside")
    (bundle.folder / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match=r"sub: is a link, on the way to a file of manifest\.json"):
        load_bundle(bundle.folder)


def test_a_bundle_may_lie_behind_a_link(bundle, tmp_path):
    (tmp_path / "link").symlink_to(bundle.folder)
    assert load_bundle(tmp_path / "link").manifest == bundle.manifest


def test_a_file_is_read_with_the_hash_that_was_checked(bundle):
    path = bundle.folder / "roi.onnx"
    assert bundle.read(path) == path.read_bytes()
    path.write_bytes(b"tampered")
    with pytest.raises(BundleError, match=r"roi\.onnx: was altered since the run began; start it again"):
        bundle.read(path)
    path.unlink()
    with pytest.raises(BundleError, match=r"roi\.onnx: cannot be read any more"):
        bundle.read(path)


def test_a_manifest_that_nobody_writes_to_the_end_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(BundleError, match=r"manifest\.json: is no regular file"):
        load_bundle(tmp_path)


def test_a_manifest_of_any_size_is_not_read(tmp_path):
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(BundleError, match=r"manifest\.json: is larger than any manifest"):
        load_bundle(tmp_path)


def test_a_missing_file_is_refused(bundle):
    (bundle.folder / "roi.onnx").unlink()
    with pytest.raises(BundleError, match=r"roi\.onnx: named in manifest\.json but cannot be read"):
        load_bundle(bundle.folder)


@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_a_manifest_of_another_version_is_named_before_its_fields(bundle, version):
    path = bundle.folder / "manifest.json"
    path.write_text(json.dumps({"format_version": version, "modality": "CT"}), encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle.folder)
    remedy = "update LeanSeg" if version == 3 else "make the bundle anew from its checkpoints"
    found = f"format_version: this release reads 2, is {version}; {remedy}"
    assert str(caught.value) == f"{path}: {found}"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match="this release reads 2, is missing"):
        load_bundle(bundle.folder)


def test_a_faulty_field_is_named_with_the_file(bundle):
    path = bundle.folder / "manifest.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"weight": 2.0', '"weight": -2'), encoding="utf-8"
    )
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle.folder)
    assert str(caught.value) == f"{path}: members[0].weight: must be above 0, is -2.0"


def test_a_field_that_would_write_a_line_of_its_own_does_not(bundle):
    path = bundle.folder / "manifest.json"
    faulty = json.loads(path.read_text(encoding="utf-8")) | {"\x1b[2J\nall is well": 1}
    path.write_text(json.dumps(faulty), encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle.folder)
    assert str(caught.value).startswith(rf"{path}: \x1b[2J\nall is well: unknown field; known are ")


@pytest.mark.parametrize("text", ["[]", "7", "null"])
def test_a_manifest_that_is_no_mapping(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"manifest\.json: document: must be a mapping"):
        load_bundle(tmp_path)


def test_no_bundle_and_no_json(tmp_path):
    with pytest.raises(BundleError, match="no bundle here"):
        load_bundle(tmp_path)
    for text in ("{", "[" * 100_000, "1" * 5000):
        (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(BundleError, match="cannot be read as JSON"):
            load_bundle(tmp_path)


def test_writing_replaces_only_when_asked_and_only_bundles(bundle, tmp_path):
    def again(folder, **options):
        return write_bundle(folder, lambda _: None, lambda _: parse(Manifest, document()), **options)

    with pytest.raises(BundleError, match="already exists"):
        again(bundle.folder)
    precious = tmp_path / "precious"
    precious.mkdir()
    for overwrite in (False, True):
        with pytest.raises(BundleError) as caught:
            again(precious, overwrite=overwrite)
        assert str(caught.value) == f"{precious}: is no bundle, so it is not replaced; choose another folder"


def named(name):
    return write_networks, lambda files: manifest_of(files, name=name)


def test_a_bundle_is_replaced_as_a_whole(bundle, tmp_path):
    assert write_bundle(bundle.folder, *named("new"), overwrite=True).manifest.name == "new"
    assert load_bundle(bundle.folder).manifest.name == "new"
    assert list(tmp_path.iterdir()) == [bundle.folder]


@pytest.mark.parametrize("failing", [1, 2])
def test_an_old_bundle_survives_a_rename_that_fails(bundle, tmp_path, monkeypatch, failing):
    """The first rename takes the old bundle away, the second one puts the new one in its place."""
    calls = []

    def rename(path, target, rename=Path.rename):
        calls.append(target)
        if len(calls) == failing:
            raise OSError("the disk is full")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="the disk is full"):
        write_bundle(bundle.folder, *named("new"), overwrite=True)
    assert load_bundle(bundle.folder) == bundle
    assert list(tmp_path.iterdir()) == [bundle.folder]


def test_an_old_bundle_survives_a_new_one_that_is_faulty(bundle):
    with pytest.raises(BundleError, match="cannot be read"):
        write_bundle(bundle.folder, lambda _: None, lambda _: parse(Manifest, document()), overwrite=True)
    assert load_bundle(bundle.folder) == bundle


def test_a_full_disk_names_the_bundle_and_leaves_nothing(tmp_path):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")  # As from a file that is open: without a name.

    with pytest.raises(FullDiskError) as error:
        write_bundle(tmp_path / "bundle", full, lambda _: parse(Manifest, document()))
    assert str(error.value) == (
        f"{tmp_path / 'bundle'}: cannot be written (No space left on device); make room on the disk"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "half.onnx").write_bytes(b"half")
        raise RuntimeError("parity")

    with pytest.raises(RuntimeError, match="parity"):
        write_bundle(tmp_path / "bundle", fail, lambda _: parse(Manifest, document()))
    assert list(tmp_path.iterdir()) == []
