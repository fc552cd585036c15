"""Prepared stores give what the files give, a patch reads only its chunks, and work goes on when killed."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import blosc2
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from tests.places import ROOT
from tests.training.tiny import DOCUMENT, NETWORK, tiny_recipe, write_case, write_dataset
from training.__main__ import main
from training.augmentation.patches import network_input
from training.data import preparing
from training.data.augmenting import augmented
from training.data.batches import make_batch
from training.data.folders import labelled_cases
from training.data.sampling import draw_crop, draw_slab
from training.data.store import CaseStore
from training.folder_lock import LOCK, locked
from training.folds.fold_scores import raw_files
from training.folds.fold_splits import find_split
from training.runs.checkpoints import load_checkpoint
from training.runs.run_files import LAST
from training.training_errors import DataError

STEP = 1 / 500 / 2 + 2e-3
"""Half a HU in network units of a window of 500 HU, and what half floats round."""


@pytest.fixture
def recipe_file(tmp_path):
    return write_recipe(tmp_path)


def write_recipe(folder, **fields):
    import yaml

    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**DOCUMENT, **fields}))
    return path


def prepared(data, recipe_file, store, *more):
    code = main(["prepare", str(data), "--recipe", str(recipe_file), "--output", str(store), *more])
    assert code == 0
    return store


def both(data, store, recipe, index=0, cache_mb=10):
    """A case from its files and from the store."""
    return (CaseStore(labelled_cases(folder), recipe, cache_mb).load(index) for folder in (data, store))


@pytest.mark.parametrize("cache_mb", [10, 0], ids=["in memory", "on disk"])
def test_a_store_gives_what_the_files_give(cubes, recipe_file, tmp_path, cache_mb):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    fresh, stored = both(cubes, store, tiny_recipe(), index=1, cache_mb=cache_mb)
    assert stored.image[:].dtype == np.float32
    np.testing.assert_allclose(stored.image[:], fresh.image, atol=STEP)
    np.testing.assert_array_equal(stored.channels[:], fresh.channels)
    assert all(np.array_equal(a, b) for a, b in zip(stored.points, fresh.points, strict=True))
    assert stored.size_zyx == (20, 20, 20)


@pytest.mark.parametrize("cache_mb", [10, 0], ids=["in memory", "on disk"])
def test_a_slab_of_a_store_is_that_of_the_files(cubes, recipe_file, tmp_path, cache_mb):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    fresh, stored = (
        draw_slab(case, (3, 5), np.random.default_rng(1))
        for case in both(cubes, store, tiny_recipe(), cache_mb=cache_mb)
    )
    assert stored.size_zyx == fresh.size_zyx
    assert 3 <= stored.size_zyx[0] <= 5
    np.testing.assert_allclose(stored.image[:], fresh.image, atol=STEP)
    np.testing.assert_allclose(stored.image[:, 1:3, :4], fresh.image[:, 1:3, :4], atol=STEP)
    np.testing.assert_array_equal(stored.channels[:], fresh.channels)
    np.testing.assert_array_equal(stored.channels[-2:], fresh.channels[-2:])


def test_batches_of_store_and_files_show_the_same(cubes, recipe_file, tmp_path):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    recipe = tiny_recipe(sampling={"batch_size": 2})
    fresh, in_memory, on_disk = (
        augmented(
            make_batch(CaseStore(labelled_cases(folder), recipe, cache_mb), recipe, seed=3, step=4),
            recipe,
            torch.device("cpu"),
        )
        for folder, cache_mb in ((cubes, 10), (store, 10), (store, 0))
    )
    assert fresh.target.equal(on_disk.target)
    assert in_memory.images.equal(on_disk.images)
    np.testing.assert_allclose(on_disk.images, fresh.images, atol=5e-3)


@pytest.mark.parametrize("normalize", ["before_resampling", "after_resampling"])
@pytest.mark.parametrize(
    "intensity",
    [
        {"kind": "window", "lower": -100, "upper": 150},
        {"kind": "window_sigmoid", "lower": -200, "upper": 300},
        {"kind": "clip_zscore", "lower": -120, "upper": 180, "mean": 20, "std": 100},
        {"kind": "zscore"},
        {"kind": "zscore", "over": "nonzero"},
        {"kind": "zero_to_one"},
        {"kind": "none"},
    ],
    ids=lambda one: "-".join(map(str, one.values())),
)
def test_every_intensity_is_the_same_from_a_store(tmp_path, intensity, normalize):
    rng = np.random.default_rng(0)
    hu = rng.integers(-300, 300, (6, 10, 10)).astype(np.int16)
    write_case(tmp_path / "data", "case", hu, (hu > 0).astype(np.uint8))
    fields = {"intensity": intensity, "normalize": normalize, "spacing_zyx_mm": [3, 3, 3]}
    store = prepared(tmp_path / "data", write_recipe(tmp_path, **fields), tmp_path / "store")
    fresh, stored = both(tmp_path / "data", store, tiny_recipe(**fields))
    unit = 1.0 if intensity["kind"] == "none" else 0.01
    np.testing.assert_allclose(stored.image[:], fresh.image, atol=0.51 * unit)


def test_the_lowest_value_is_not_taken_for_what_lies_beyond_the_image(tmp_path):
    """Padding of -32768 is as dark as any: (-120 - 20) / 100 = -1.4 and not 0."""
    hu = np.full((6, 8, 8), 20, np.int16)
    hu[0] = np.iinfo(np.int16).min
    write_case(tmp_path / "data", "case", hu, np.ones(hu.shape, np.uint8))
    fields = {
        "intensity": {"kind": "clip_zscore", "lower": -120, "upper": 180, "mean": 20, "std": 100},
        "normalize": "after_resampling",
        "spacing_zyx_mm": [2, 2, 2],
    }
    recipe = tiny_recipe(**fields)
    store = prepared(tmp_path / "data", write_recipe(tmp_path, **fields), tmp_path / "store")
    _, stored = both(tmp_path / "data", store, recipe)
    crop, _ = draw_crop(stored, np.array([3.0, 4.0, 4.0]), (6, 8, 8))
    seen = network_input(torch.from_numpy(crop), [one.intensity for one in recipe.case_inputs])
    assert seen[0, 0].unique().tolist() == pytest.approx([-1.4])
    assert seen[0, 1:].unique().tolist() == pytest.approx([0])


def test_what_is_not_ct_is_stored_as_network_input(tmp_path):
    values = np.random.default_rng(0).random((6, 8, 8)).astype(np.float32)  # int16 would hold 0 and 1.
    data = tmp_path / "data"
    write_case(data, "case", values, np.ones(values.shape, np.uint8))
    fields = {"modality": "MR", "intensity": {"kind": "zscore"}}
    store = prepared(data, write_recipe(tmp_path, **fields), tmp_path / "store")
    fresh, stored = both(data, store, tiny_recipe(**fields))
    np.testing.assert_array_equal(stored.image[:], fresh.image)


def test_several_channels_are_stored_together(tmp_path):
    data = write_dataset(tmp_path / "data", cases=1)
    image = data / "imagesTr/case0_0000.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(image)) + 50, str(image.with_name("case0_0001.nii.gz")))
    window = {"kind": "window", "lower": -250, "upper": 250}
    fields = {"inputs": [{"name": name, "intensity": window} for name in ("native", "late")]}
    store = prepared(data, write_recipe(tmp_path, **fields), tmp_path / "store")
    fresh, stored = both(data, store, tiny_recipe(**fields))
    assert stored.image[:].shape == (2, 20, 20, 20)
    np.testing.assert_allclose(stored.image[:], fresh.image, atol=STEP)
    np.testing.assert_allclose(stored.image[:][1] - stored.image[:][0], 0.1, atol=1e-3)


def test_one_store_serves_recipes_with_other_channels_and_intensities(tmp_path, recipe_file, cubes):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    other = {
        "channels": "foreground",
        "network": NETWORK,
        "intensity": {"kind": "clip_zscore", "lower": -90, "upper": 90, "mean": 0, "std": 90},
    }
    fresh, stored = both(cubes, store, tiny_recipe(**other))
    np.testing.assert_allclose(stored.image[:], fresh.image, atol=0.006)
    np.testing.assert_array_equal(stored.channels[:], fresh.channels)
    # A liver of 12·12·6 and a spleen of 6·8·6 voxels: three quarters of the foreground's points are liver's.
    liver = stored.channels.ids[:][tuple(stored.points[1].T)] == 1
    assert liver.mean() == pytest.approx(0.75, abs=0.01)


def test_a_patch_reads_only_its_chunks(tmp_path, recipe_file):
    """The chunk at the far corner is destroyed: crops elsewhere do not notice, a crop there does."""
    hu = np.random.default_rng(0).integers(-250, 250, (70, 70, 130)).astype(np.int16)
    write_case(tmp_path / "data", "case", hu, np.ones(hu.shape, np.uint8))
    store = prepared(tmp_path / "data", recipe_file, tmp_path / "store")
    case = CaseStore(labelled_cases(store), tiny_recipe(), cache_mb=0).load(0)
    crops = [(np.array(centre, float), (20, 20, 20)) for centre in ((20, 20, 20), (20, 20, 100))]
    before = [draw_crop(case, *crop)[0] for crop in crops]
    path = store / "cases/case.image.b2nd"
    array = blosc2.open(str(path), mode="r")
    assert array.chunks == (1, 64, 64, 64)
    assert array.blocks == (1, 32, 32, 32)
    far = array.schunk.get_chunk(1)  # z 0 to 63, y 0 to 63, x 64 to 127
    content = path.read_bytes()
    at = content.index(far)
    path.write_bytes(content[: at + 40] + b"\xff" * (len(far) - 40) + content[at + len(far) :])
    np.testing.assert_array_equal(draw_crop(case, *crops[0])[0], before[0])
    with pytest.raises(DataError, match=r"case\.image\.b2nd: is damaged"):
        draw_crop(case, *crops[1])


def test_memory_keeps_the_int16_of_what_fits(cubes, recipe_file, tmp_path):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    whole = CaseStore(labelled_cases(store), tiny_recipe(), cache_mb=10).load(0)
    assert whole.nbytes == 20**3 * 3 + sum(points.nbytes for points in whole.points)  # int16 and uint8
    cases = CaseStore(labelled_cases(store), tiny_recipe(), cache_mb=1.5 * whole.nbytes / 2**20)
    first, second = cases.load(0), cases.load(1)
    assert isinstance(first.image.values, np.ndarray)
    assert first.image.values.dtype == np.int16
    assert cases.load(0) is first
    assert not isinstance(second.image.values, np.ndarray)


def test_work_goes_on_after_a_kill(tmp_path, recipe_file):
    data, store = write_dataset(tmp_path / "data", cases=3), tmp_path / "store"
    code = (
        "import os, signal, sys\n"
        "from training.data import preparing\n"
        "write = preparing.write_json\n"
        "def stop(path, value):\n"
        "    if path.name == 'case1.json': os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(path, value)\n"
        "preparing.write_json = stop\n"
        "from training.__main__ import main\n"
        "main(sys.argv[1:])\n"
    )
    words = ["prepare", str(data), "--recipe", str(recipe_file), "--output", str(store), "--workers", "1"]
    killed = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(DataError, match="case case1 is not prepared yet; run prepare again"):
        labelled_cases(store)
    first = (store / "cases/case0.image.b2nd").stat().st_mtime_ns
    assert main(words) == 0
    assert (store / "cases/case0.image.b2nd").stat().st_mtime_ns == first
    fresh, stored = both(data, store, tiny_recipe(), index=1)
    np.testing.assert_allclose(stored.image[:], fresh.image, atol=STEP)


def test_two_calls_do_not_prepare_one_store(cubes, tmp_path, recipe_file, capsys):
    """The second is refused while the first is at work, and continues when that is gone."""
    store = tmp_path / "store"
    words = ["prepare", str(cubes), "--recipe", str(recipe_file), "--output", str(store)]
    with locked(store):
        assert main(words) == 2
    assert "store: another run is at work here" in capsys.readouterr().err
    assert [path.name for path in store.iterdir()] == [LOCK]
    assert main(words) == 0


def test_no_lock_is_put_into_a_folder_of_something_else(cubes, tmp_path, recipe_file):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").touch()
    assert (
        main(["prepare", str(cubes), "--recipe", str(recipe_file), "--output", str(tmp_path / "other")]) == 1
    )
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["notes.txt"]


def test_files_that_a_killed_call_left_unfinished_are_removed(cubes, tmp_path, recipe_file):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    left = [store / ".leanseg-1-dead.tmp", store / "cases/.leanseg-1-dead.tmp"]
    for path in left:
        path.touch()
    prepared(cubes, recipe_file, store)
    assert not any(path.exists() for path in left)


def made_anew(monkeypatch):
    """Names of the cases that are prepared from here on."""
    names = []
    store_case = preparing.store_case

    def noted(files, *more):
        names.append(files.name)
        store_case(files, *more)

    monkeypatch.setattr(preparing, "store_case", noted)
    return names


def test_only_new_and_changed_cases_are_prepared_again(tmp_path, recipe_file, monkeypatch):
    data = write_dataset(tmp_path / "data", cases=2)
    store = prepared(data, recipe_file, tmp_path / "store")
    names = made_anew(monkeypatch)
    (data / "imagesTr/case0_0000.nii.gz").touch()  # The same content.
    prepared(data, recipe_file, store)
    assert names == []
    write_dataset(data, cases=3)
    write_case(data, "case1", np.full((4, 4, 4), 250, np.int16), np.ones((4, 4, 4), np.uint8))
    prepared(data, recipe_file, store)
    assert sorted(names) == ["case1", "case2"]
    assert len(labelled_cases(store)) == 3


def test_a_store_goes_along_with_data_that_were_moved(tmp_path, recipe_file, monkeypatch):
    """Nothing is resampled; cross-validation, which judges cases on their own files, finds them."""
    data = write_dataset(tmp_path / "data", cases=2)
    store = prepared(data, recipe_file, tmp_path / "store")
    names = made_anew(monkeypatch)
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=rf"run prepare on them there with --output {store}"):
        raw_files(labelled_cases(store)[0])
    prepared(tmp_path / "elsewhere", recipe_file, store)
    assert names == []
    case = raw_files(labelled_cases(store)[0])
    assert case.labels == tmp_path / "elsewhere/labelsTr/case0.nii.gz"
    assert case.images == (tmp_path / "elsewhere/imagesTr/case0_0000.nii.gz",)


def test_other_files_of_the_same_size_and_time_elsewhere_are_noticed(tmp_path, recipe_file, monkeypatch):
    data, twin = write_dataset(tmp_path / "data", cases=2), tmp_path / "twin"
    store = prepared(data, recipe_file, tmp_path / "store")
    shutil.copytree(data, twin)
    path = twin / "labelsTr/case1.nii.gz"
    held, state = path.read_bytes(), path.stat()
    path.write_bytes(held[:4] + bytes([held[4] ^ 1]) + held[5:])  # The time that gzip notes of the file.
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    names = made_anew(monkeypatch)
    prepared(twin, recipe_file, store)
    assert names == ["case1"]


def test_a_change_of_the_source_is_noticed_before_training(tmp_path, recipe_file, capsys):
    data = write_dataset(tmp_path / "data", cases=2)
    store = prepared(data, recipe_file, tmp_path / "store")
    write_case(data, "case1", np.full((4, 4, 4), 250, np.int16), np.ones((4, 4, 4), np.uint8))
    words = ["train", str(recipe_file), "--data", str(store), "--output", str(tmp_path / "run")]
    assert main(words) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "case1_0000.nii.gz: has changed since" in error
    assert "run prepare again" in error


def test_training_runs_on_a_store_where_its_source_is_gone(tmp_path, recipe_file):
    data = write_dataset(tmp_path / "data", cases=2)
    store = prepared(data, recipe_file, tmp_path / "store")
    data.rename(tmp_path / "elsewhere")
    more = ("--steps", "2", "--device", "cpu", "--precision", "fp32", "--validation", "0.5")
    words = ["train", str(recipe_file), "--data", str(store), "--output", str(tmp_path / "run"), *more]
    assert main(words) == 0
    info = load_checkpoint(tmp_path / "run" / LAST)[1]
    assert (info.data, len(info.cases)) == ("cubes", 1)


def test_a_recipe_of_another_grid_is_refused(cubes, tmp_path, recipe_file, capsys):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    other = tiny_recipe(spacing_zyx_mm=[2, 2, 4])
    with pytest.raises(DataError, match=r"was prepared with spacing_zyx_mm \[2.0, 2.0, 2.0\] \(recipe: "):
        CaseStore(labelled_cases(store), other, 1)
    words = ["prepare", str(cubes), "--recipe", str(recipe_file), "--output", str(store)]
    assert main([*words, "--set", "resampling={kind: linear}"]) == 1
    assert "was prepared with resampling {'kind': 'area'}" in capsys.readouterr().err


def test_ids_of_another_label_set_are_refused(cubes, tmp_path, recipe_file):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    own = {"name": "own", "ids": {"liver": 1}}
    recipe = tiny_recipe(label_set=own, network=NETWORK)
    with pytest.raises(DataError, match=r"case0\.labels\.b2nd: holds id 3, unknown to label set own"):
        CaseStore(labelled_cases(store), recipe, 1).load(0)


def test_data_that_state_other_names_than_the_recipe_are_refused(tmp_path, recipe_file, capsys):
    data = write_dataset(tmp_path / "data")
    (data / "labels.json").write_text('{"labels": {"organ a": 1, "organ b": 3}}')
    words = ["prepare", str(data), "--recipe", str(recipe_file), "--output", str(tmp_path / "store")]
    assert main(words) == 2
    assert "says that 1 is organ a, label set flare21 that it is liver; 2 ids" in capsys.readouterr().err
    assert main([*words, "--set", "label_set=data"]) == 0


def test_label_set_annotations_and_fingerprint_come_along(tmp_path):
    data = write_dataset(tmp_path / "data")
    document = {"labels": {"liver": 1, "kidney": 2, "spleen": 3}}
    (data / "labels.json").write_text(json.dumps(document))
    (data / "annotated.json").write_text('{"case0": ["liver", "spleen"]}')
    fields = {"spacing_zyx_mm": "fingerprint", "intensity": {"kind": "from_fingerprint"}, "label_set": "data"}
    recipe_file = write_recipe(tmp_path, **fields)
    store = prepared(data, recipe_file, tmp_path / "store")
    assert labelled_cases(store)[0].annotated == ("liver", "spleen")
    more = ("--steps", "1", "--device", "cpu", "--precision", "fp32", "--validation", "0")
    words = ["train", str(recipe_file), "--data", str(store), "--output", str(tmp_path / "run"), *more]
    assert main(words) == 0
    recipe = load_checkpoint(tmp_path / "run" / LAST)[1].recipe
    assert recipe.spacing_zyx_mm == (2, 2, 2)
    assert (recipe.intensity.kind, recipe.intensity.lower, recipe.intensity.upper) == ("clip_zscore", 0, 100)


def test_folds_of_a_datalist_come_along(tmp_path, recipe_file):
    """Cases 0 and 2 against 1 and 3: no split that a seed would draw is asked for."""
    data, store = write_dataset(tmp_path / "data", cases=4), tmp_path / "store"
    listed = [
        {"image": f"imagesTr/case{n}_0000.nii.gz", "label": f"labelsTr/case{n}.nii.gz", "fold": n % 2}
        for n in range(4)
    ]
    (data / "dataset.json").write_text(json.dumps({"name": "cubes", "training": listed}))
    cases = labelled_cases(prepared(data, recipe_file, store))
    assert [case.fold for case in cases] == [0, 1, 0, 1]
    split = find_split([store], cases, None, 0)
    assert split.held_out == (("case0", "case2"), ("case1", "case3"))
    # A store that was made before, or without folds, states none; preparing it again is enough.
    document = json.loads((store / "store.json").read_text(encoding="utf-8"))
    assert document.pop("folds") == {"case0": 0, "case1": 1, "case2": 0, "case3": 1}
    (store / "store.json").write_text(json.dumps(document))
    assert [case.fold for case in labelled_cases(store)] == [None] * 4
    assert [case.fold for case in labelled_cases(prepared(data, recipe_file, store))] == [0, 1, 0, 1]


def truncate_json(store):
    (store / "store.json").write_text("{")
    return r"store\.json: is damaged; prepare the data anew"


def folds_of_nothing(store):
    document = json.loads((store / "store.json").read_text(encoding="utf-8"))
    (store / "store.json").write_text(json.dumps({**document, "folds": [1]}))
    return r"store\.json: is damaged; prepare the data anew"


def no_image(store):
    (store / "cases/case0.image.b2nd").unlink()
    return r"case0\.image\.b2nd: is damaged"


def no_points(store):
    (store / "cases/case0.points.npz").write_bytes(b"")
    return r"case0\.points\.npz: is damaged"


def no_record(store):
    (store / "cases/case0.json").write_text("{}")
    return r"case0\.json: is damaged"


@pytest.mark.parametrize(
    "spoil",
    [truncate_json, folds_of_nothing, no_image, no_points, no_record],
    ids=lambda one: one.__name__,
)
def test_a_damaged_store_is_refused_in_one_line(cubes, tmp_path, recipe_file, spoil):
    store = prepared(cubes, recipe_file, tmp_path / "store")
    message = spoil(store)
    with pytest.raises(DataError, match=message):
        CaseStore(labelled_cases(store), tiny_recipe(), 10).load(0)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--output", "{data}"], 1, "holds something else than a prepared store"),
        (["--workers", "0"], 2, "--workers: must be 1 or more"),
        (["--recipe", "nowhere"], 2, "recipe nowhere: no such file"),
        (["--set", "patch_zyx=[0,0,0]"], 2, "patch_zyx"),
    ],
)
def test_a_wrong_call_is_one_line(cubes, tmp_path, recipe_file, capsys, more, code, message):
    words = ["prepare", str(cubes), "--recipe", str(recipe_file), "--output", str(tmp_path / "store")]
    assert main([*words, *(word.format(data=cubes) for word in more)]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_disk_that_is_full_is_one_line(cubes, tmp_path, recipe_file, capsys, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    words = ["prepare", str(cubes), "--recipe", str(recipe_file), "--output", str(tmp_path / "store")]
    assert main(words) == 1
    said = "case0.image.b2nd: cannot be written (No space left on device); make room on the disk"
    assert said in capsys.readouterr().err
