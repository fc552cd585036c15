"""`cross-validate`: what it refuses, what it would do, and two folds from data to the bundle of both."""

import csv
import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

import predict
from model.bundle import load_bundle
from tests.training.checkpoints import write_checkpoint
from tests.training.tiny import recipe_file, write_case, write_dataset
from training.__main__ import main
from training.commands.work.cross_validate_work import places_of
from training.data.fingerprint import read_fingerprint
from training.data.label_agreement import TAKE_OWN
from training.folds.cross_validation import CrossValidation
from training.recipes.loading import load_recipe
from training.training_errors import RecipeError


@pytest.fixture
def four(tmp_path):
    """Four cases of cubes; one annotates its liver only."""
    folder = write_dataset(tmp_path / "data", cases=4)
    (folder / "annotated.json").write_text('{"case3": ["liver"]}')
    return folder


def words(recipe, data, output, *more):
    return ["cross-validate", recipe, "--data", str(data), "--output", str(output), *map(str, more)]


@pytest.mark.parametrize(
    ("gpus", "per_fold", "expected"),
    [
        ((), 1, [None]),
        ((3,), 1, [(3,)]),
        ((0, 2), 1, [(0,), (2,)]),
        ((0, 1, 2, 3), 2, [(0, 1), (2, 3)]),
        ((0, 1, 2, 3), 4, [(0, 1, 2, 3)]),
    ],
)
def test_gpus_are_shared_out(gpus, per_fold, expected):
    assert places_of(gpus, per_fold) == expected


@pytest.mark.parametrize(
    ("gpus", "per_fold", "message"),
    [
        ((), 2, "say which with --gpus"),
        ((0, 1, 2), 2, "3 GPUs cannot be shared out by 2"),
        ((0,), 0, "1 GPUs cannot be shared out by 0"),
    ],
)
def test_gpus_that_cannot_be_shared_out(gpus, per_fold, message):
    with pytest.raises(RecipeError, match=message):
        places_of(gpus, per_fold)


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--folds", 9), 1, "4 case(s): too few for 9 folds"),
        (("--folds", 2, "--fold", 2), 2, "--fold: must be 0 to 1, is 2"),
        (("--folds", 2, "--gpus-per-fold", 2), 2, "say which with --gpus"),
        (("--folds", 2, "--gpus", "all"), 2, "must be different numbers with commas between, is all"),
        (("--splits", "nowhere"), 2, "nowhere: no such file"),
        (("--folds", 2, "--localization", "nowhere"), 2, "nowhere: no such checkpoint"),
        (("--folds", 2, "--set", "channels=foreground"), 2, "recipe tiny: finds the foreground only"),
        (("--folds", 2, "--set", "nonsense=1"), 2, "nonsense"),
    ],
)
def test_what_is_refused_in_one_line_before_anything_is_written(four, tmp_path, capsys, more, code, message):
    assert main(words(recipe_file(tmp_path), four, tmp_path / "out", *more)) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_structure_that_is_spelt_wrongly_is_refused(four, tmp_path, capsys):
    (four / "annotated.json").write_text('{"case3": ["Liver"]}')
    assert main(words(recipe_file(tmp_path), four, tmp_path / "out", "--folds", 2, "--dry-run")) == 1
    assert "case case3 names Liver, which is not in the label set flare21" in capsys.readouterr().err


def test_data_that_state_other_names_than_the_recipe_are_refused(four, tmp_path, capsys):
    (four / "labels.json").write_text('{"labels": {"organ a": 1, "organ b": 2}}')
    (four / "annotated.json").unlink()
    assert main(words(recipe_file(tmp_path), four, tmp_path / "out", "--folds", 2, "--dry-run")) == 2
    assert capsys.readouterr().err == (
        f"error: {four / 'labels.json'}: says that 1 is organ a, label set flare21 that it is liver; 2 ids "
        f"differ; {TAKE_OWN}\n"
    )


def test_a_dry_run_names_the_recipe_and_changes_that_were_given(four, tmp_path, capsys):
    """Also where an earlier call has left a complete recipe, which says what that call asked for."""
    out, recipe = tmp_path / "out", recipe_file(tmp_path)
    out.mkdir()
    (out / "recipe.yaml").write_text("")
    assert main(words(recipe, four, out, "--dry-run", "--folds", 2, "--set", "keep_every_steps=3")) == 0
    call = capsys.readouterr().out.splitlines()[1]
    assert f"train {recipe} " in call
    assert "--set keep_every_steps=3" in call


def test_an_image_that_comes_twice_is_not_held_out_by_one_fold_and_trained_on_by_it(four, tmp_path, capsys):
    """With this seed fold 0 is to hold out one, fold 1 the other."""
    for place in ("imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz"):
        shutil.copy(four / place.format("case0"), four / place.format("copy"))
    call = words(recipe_file(tmp_path), four, tmp_path / "out", "--folds", 2, "--seed", 1, "--dry-run")
    assert main(call) == 1
    first, second = (four / f"imagesTr/{name}_0000.nii.gz" for name in ("case0", "copy"))
    assert capsys.readouterr().err == (
        f"error: {first}: is validated on in fold 0, and trained on as {second}; leave one of them out\n"
    )


def network_of(path, **fields):
    """A checkpoint to find the region with, and what it cannot be used for, as the fields say."""
    fields = {"channels": "foreground", **fields}
    return ("--localization", write_checkpoint(path, **fields))


def with_organs(data, folder):
    return network_of(folder / "region", channels="plain"), "names organs (recipe tiny)"


def of_other_modality(data, folder):
    return network_of(
        folder / "region", modality="MR"
    ), "was trained with modality MR, the first member with CT"


def no_checkpoint(data, folder):
    (folder / "region").write_text("weights")
    return ("--localization", folder / "region"), "damaged, or not a safetensors file"


def detached_voxels(data, folder):
    image = data / "imagesTr/case1_0000.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(image)), str(image.with_name("case1_0000.mhd")))
    image.unlink()
    return (), "case1_0000.mhd: keeps its voxels in another file; convert it"


def sources_that_are_gone(data, folder):
    words = ["prepare", str(data), "--recipe", recipe_file(folder), "--output", str(folder / "store")]
    assert main(words) == 0
    (data / "imagesTr/case1_0000.nii.gz").unlink()
    return ("--data", folder / "store"), "case1_0000.nii.gz: case case1 was prepared from it"


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize(
    "spoil",
    [with_organs, of_other_modality, no_checkpoint, detached_voxels, sources_that_are_gone],
    ids=lambda one: one.__name__,
)
def test_what_cannot_be_judged_is_not_trained(four, tmp_path, capsys, spoil, dry):
    more, message = spoil(four, tmp_path)
    data, more = (more[1], ()) if "--data" in more else (four, more)
    capsys.readouterr()
    assert main(words(recipe_file(tmp_path), data, tmp_path / "out", "--folds", 2, *more, *dry)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_network_that_finds_the_region_is_accepted(four, tmp_path, capsys):
    more = network_of(tmp_path / "region")
    assert main(words(recipe_file(tmp_path), four, tmp_path / "out", "--folds", 2, *more, "--dry-run")) == 0
    assert capsys.readouterr().out.startswith("fold 0: not begun; ")


def test_a_fingerprint_of_an_earlier_call_is_that_of_its_data_alone(four, tmp_path, monkeypatch):
    """Both calls end before a fold is trained."""

    def ended(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CrossValidation, "begin", ended)
    recipe, out = recipe_file(tmp_path, spacing_zyx_mm="fingerprint"), tmp_path / "out"
    call = words(recipe, four, out, "--folds", 2)
    spacings = []
    for spacing in ((2.0, 2.0, 2.0), (3.0, 3.0, 3.0)):
        for index in range(4):
            labels = np.ones((8, 8, 8), np.uint8)
            hu = np.full(labels.shape, index, np.int16)
            write_case(four, f"case{index}", hu, labels, spacing_xyz_mm=spacing)
        assert main(call) == 130
        spacings.append(sorted(read_fingerprint(path).spacing_zyx_mm for path in out.glob("fingerprint-*")))
    assert spacings == [[(2.0, 2.0, 2.0)], [(2.0, 2.0, 2.0), (3.0, 3.0, 3.0)]]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(four, tmp_path, capsys):
    (four / "splits_final.json").write_text(
        json.dumps([{"val": ["case0", "case2"]}, {"val": ["case1", "case3"]}])
    )
    out = tmp_path / "out"
    call = words(recipe_file(tmp_path), four, out, "--dry-run", "--gpus", "0,1,2,3", "--gpus-per-fold", 2)
    assert main(call) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "fold 0: not begun; trains on 2 cases, holds out 2: case0, case2"
    assert said[1].startswith("  python -m torch.distributed.run --standalone --nproc-per-node 2 -m training")
    assert f"--output {out / 'fold-0'} --hold-out {out / 'fold-0' / 'held-out.txt'}" in said[1]
    assert said[-1] == "2 folds at a time"
    assert not out.exists()
    assert sorted(path.name for path in four.iterdir()) == [
        "annotated.json",
        "dataset.json",
        "imagesTr",
        "labelsTr",
        "splits_final.json",
    ]


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_two_folds_from_data_to_the_bundle_of_both(four, tmp_path, capsys):
    out = tmp_path / "out"
    more = ("--folds", 2, "--steps", 4, "--device", "cpu", "--precision", "fp32", "--threads", 1, "--no-fp16")
    # Spacing and intensity come from the data: their fingerprint is taken once, for both folds and all calls.
    recipe = recipe_file(tmp_path, spacing_zyx_mm="fingerprint")
    # A job of an array makes one fold; the call for all leaves it alone.
    assert main(words(recipe, four, out, *more, "--fold", 1)) == 0
    assert not (out / "fold-0" / "last.safetensors").exists()
    first = {path: path.stat().st_mtime_ns for path in (out / "fold-1").rglob("*") if path.is_file()}
    assert main(words(recipe, four, out, *more, "--gpus", "0,1")) == 0
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert load_recipe(str(out / "recipe.yaml")).spacing_zyx_mm == (2.0, 2.0, 2.0)
    assert all(
        "taking the fingerprint" not in log.read_text(encoding="utf-8") for log in out.glob("fold-*/fold.log")
    )

    held_out = [
        (out / f"fold-{fold}" / "held-out.txt").read_text(encoding="utf-8").split() for fold in range(2)
    ]
    assert sorted([*held_out[0], *held_out[1]]) == ["case0", "case1", "case2", "case3"]
    for fold, names in enumerate(held_out):
        record = json.loads((out / f"fold-{fold}" / "run.json").read_text(encoding="utf-8"))
        assert record["held_out"] == names
        assert record["cases"] == held_out[1 - fold]
        assert {row["case"] for row in rows_of(out / f"fold-{fold}" / "scores.csv")} == set(names)
    table = {row["structure"]: row for row in rows_of(out / "folds.csv")}
    assert {name: row["cases"] for name, row in table.items()} == {
        "liver": "4",
        "spleen": "3",  # case3 annotates its liver only.
        "mean of structures": "4",
    }
    assert "| liver | 4 |" in capsys.readouterr().out
    assert (out / "folds.png").is_file()
    manifest = load_bundle(out / "bundle").manifest
    assert [member.file for member in manifest.members] == ["1/member-1.onnx", "2/member-1.onnx"]
    assert manifest.provenance.recipe.count("tiny (seed 0, 4 steps)") == 2
    call = ["--input", str(four / "imagesTr"), "--output", str(tmp_path / "labels"), "--device", "cpu"]
    assert predict.main([*call, "--bundle", str(out / "bundle"), "--threads", "1"]) == 0

    assert main(words(recipe, four, out, *more, "--seed", 1)) == 1
    error = capsys.readouterr().err
    assert "was begun with another seed (0, now 1) and other folds ([0] now 1 more: case" in error


@pytest.mark.slow
def test_a_fold_that_fails_is_named_and_the_other_is_trained(four, tmp_path, capsys):
    """A label map that names a structure of another set is found when the case is read."""
    labels = np.full((20, 20, 20), 9, np.uint8)
    (four / "splits_final.json").write_text(
        json.dumps([{"val": ["case0", "case2"]}, {"val": ["case1", "case3"]}])
    )
    write_case(four, "case1", labels.astype(np.int16), labels)
    more = ("--steps", 2, "--device", "cpu", "--threads", 1, "--gpus", "0,1")
    assert main(words(recipe_file(tmp_path), four, tmp_path / "out", *more)) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: training failed: fold 0 (exit code 1)")
    assert "holds id 9" in (tmp_path / "out" / "fold-0" / "fold.log").read_text(encoding="utf-8")
