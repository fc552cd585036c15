"""`pseudo-label` with the engine itself and a bundle that tells structures by their HU."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from model.labels import AMOS22, KIDNEYS
from tests.inference.bundles import CT, OUTPUT, THRESHOLDS
from tests.inference.bundles import hu as image_of
from tests.training.pseudo_labels.abdomens import IDS, LABELS, bundle_of_five, only, truth, write_partial
from tests.training.tiny import write_case, write_dataset
from training import engine
from training.__main__ import main
from training.child_programs import Programs
from training.data.folders import labelled_cases

TUMOR = IDS["tumor"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return bundle_of_five(tmp_path_factory.mktemp("bundle") / "five").folder


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    return write_partial(tmp_path_factory.mktemp("partial") / "data")


def words(form, data, bundle, output, *more):
    return ["pseudo-label", form, str(data), "--bundle", str(bundle), "--output", str(output), *more]


def labels_in(folder, name):
    return sitk.GetArrayFromImage(
        sitk.DICOMOrient(sitk.ReadImage(str(folder / f"labelsTr/{name}.nii.gz")), "LPS")
    )


@pytest.fixture(scope="module")
def filled(bundle, partial, tmp_path_factory):
    output = tmp_path_factory.mktemp("filled") / "data"
    assert main(words("missing", partial, bundle, output, "--threads", "1")) == 0
    return output


def test_missing_organs_are_filled_in_and_the_tumor_is_as_given(filled, partial):
    whole = truth()
    assert np.array_equal(labels_in(filled, "few"), whole)
    assert np.array_equal(labels_in(filled, "one"), whole)
    for name in ("all", "few", "one"):
        given, now = labels_in(partial, name), labels_in(filled, name)
        assert np.array_equal(now[given > 0], given[given > 0])
        assert np.array_equal(now == TUMOR, given == TUMOR)


def test_a_complete_case_is_linked_and_so_is_every_image(filled, partial):
    links = {path.name: path for path in filled.rglob("*.nii.gz") if path.is_symlink()}
    assert sorted(links) == ["all.nii.gz", "all_0000.nii.gz", "few_0000.nii.gz", "one_0000.nii.gz"]
    assert all(path.resolve().is_relative_to(partial.resolve()) for path in links.values())
    assert not any(path.readlink().is_absolute() for path in links.values())


def test_label_maps_keep_their_own_grid(filled, partial):
    before, after = (sitk.ReadImage(str(folder / "labelsTr/few.nii.gz")) for folder in (partial, filled))
    assert after.GetDirection() == before.GetDirection()
    assert np.allclose(after.GetOrigin(), before.GetOrigin())


def test_the_data_set_says_what_is_annotated_and_what_was_given(filled):
    found = {case.name: case for case in labelled_cases(filled)}
    everything = ("liver", "right kidney", "aorta", "left kidney", "tumor")
    assert {name: case.annotated for name, case in found.items()} == {
        "all": None,
        "few": everything,
        "one": everything,
    }
    assert {name: case.judged.annotated for name, case in found.items()} == {
        "all": None,
        "few": ("liver", "tumor"),
        "one": ("tumor",),
    }
    assert json.loads((filled / "labels.json").read_text(encoding="utf-8"))["lesions"] == ["tumor"]
    record = json.loads((filled / "pseudo_labels.json").read_text(encoding="utf-8"))
    whole = truth()
    counts = {name: int((whole == IDS[name]).sum()) for name in ("right kidney", "aorta", "left kidney")}
    assert record["voxels_filled"]["few"] == counts
    assert sorted(path.name for path in filled.parent.iterdir()) == [filled.name]
    assert main(["check", "--quick", str(filled)]) == 0


def test_a_tumor_that_the_case_does_not_annotate_is_not_filled_in(bundle, tmp_path):
    whole = truth()
    write_case(tmp_path / "data", "case", image_of(whole), only(whole, "liver"))
    (tmp_path / "data/annotated.json").write_text('{"case": ["liver"]}')
    # The file names no lesions: the bundle says that the tumor is one.
    (tmp_path / "data/dataset.json").write_text(json.dumps({"labels": {"background": 0, **IDS}}))
    assert main(words("missing", tmp_path / "data", bundle, tmp_path / "new", "--threads", "1")) == 0
    expected = np.where(whole == TUMOR, 0, whole)
    assert np.array_equal(labels_in(tmp_path / "new", "case"), expected)
    (case,) = labelled_cases(tmp_path / "new")
    assert case.annotated == ("liver", "right kidney", "aorta", "left kidney")


def test_an_interrupted_call_goes_on_and_a_second_one_does_nothing(
    bundle, partial, filled, tmp_path, monkeypatch
):
    """The engine is killed when one of two label maps is there."""
    output = tmp_path / "data"
    called = []

    def dies(images, found, folder, options, gpus):
        found.mkdir()
        shutil.copyfile(filled / "labelsTr/few.nii.gz", found / "few.nii.gz")
        raise KeyboardInterrupt

    label = engine.label_images
    monkeypatch.setattr("training.pseudo_labels.labelled_folder.label_images", dies)
    assert main(words("missing", partial, bundle, output)) == 130
    assert [path.name for path in tmp_path.iterdir()] == [".data.unfinished"]

    def goes_on(images, found, folder, options, gpus):
        called.append(sorted(path.name for path in found.iterdir()))
        label(images, found, folder, options, gpus)

    monkeypatch.setattr("training.pseudo_labels.labelled_folder.label_images", goes_on)
    for _ in range(2):
        assert main(words("missing", partial, bundle, output, "--threads", "1")) == 0
    assert called == [["few.nii.gz"]]
    files = sorted(path.relative_to(filled) for path in filled.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(output) for path in output.rglob("*") if path.is_file())
    assert all((output / path).read_bytes() == (filled / path).read_bytes() for path in files)


def test_cases_are_shared_out_among_gpus(bundle, partial, filled, tmp_path, monkeypatch):
    """Three GPUs for two cases: the engine is started twice, and sees one GPU each time."""
    seen = []
    start = Programs.start

    def seen_start(programs, words, gpus):
        share = words[words.index("--input") + 1]
        seen.append((gpus, sorted(path.name for path in Path(share).iterdir())))
        return start(programs, words, gpus)

    monkeypatch.setattr(Programs, "start", seen_start)
    call = words("missing", partial, bundle, tmp_path / "data", "--threads", "1", "--device", "cpu")
    assert main([*call, "--gpus", "1,0,5"]) == 0
    assert seen == [((1,), ["few_0000.nii.gz"]), ((0,), ["one_0000.nii.gz"])]
    for name in ("few", "one"):
        assert np.array_equal(labels_in(tmp_path / "data", name), labels_in(filled, name))


def test_what_was_begun_with_another_bundle_is_not_gone_on_with(bundle, partial, tmp_path):
    unfinished = tmp_path / ".data.unfinished"
    write_case(unfinished, "few", image_of(truth()), only(truth(), "liver"))
    (unfinished / "purpose.json").write_text("{}")
    assert main(words("missing", partial, bundle, tmp_path / "data", "--threads", "1")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert np.array_equal(labels_in(tmp_path / "data", "few"), truth())


def spoil(folder, **changes):
    """Change files of a data set; None removes one."""
    for name, content in changes.items():
        path = folder / f"{name}.json"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(json.dumps(content))


DATASET = {"labels": {"background": 0, **IDS}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotated": None}, "no case is partially labelled; say in "),
        ({"annotated": {"few": list(IDS)}}, "no case is partially labelled"),
        ({"annotated": {"few": list(IDS)[:-1]}}, "no case is partially labelled"),
        ({"annotated": {"few": ["lung"]}}, "case few names lung, which is not in the label set"),
        ({"annotated": {"who": ["liver"]}}, "names case who, which is not in the data set"),
        (
            {"labels": {"labels": {**IDS, "spleen": 3}}},
            "does not find spleen, which case few does not annotate",
        ),
        ({"labels": {"labels": dict(AMOS22.ids)}}, "is of another label set (five: liver is 1) than"),
        ({"labels": {"labels": {"lung": 1}}}, "is of another label set (five: liver is 1) than"),
        ({"dataset": {**DATASET, "channel_names": {"0": "MRI"}}}, "channel 0 is MRI, bundle"),
        ({"dataset": {**DATASET, "modality": {"0": "T2"}}}, "channel 0 is T2, bundle"),
        ({"dataset": {**DATASET, "channel_names": {"0": "CT", "1": "PET"}}}, "has 2 channel(s), bundle"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_in_one_line(bundle, partial, tmp_path, capsys, changes, message):
    data = tmp_path / "data"
    shutil.copytree(partial, data)
    spoil(data, **changes)
    assert main(words("missing", data, bundle, tmp_path / "new")) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_data_without_a_label_set_needs_one(bundle, partial, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(partial, data)
    spoil(data, labels=None)
    assert main(words("missing", data, bundle, tmp_path / "new")) == 2
    assert capsys.readouterr().err.rstrip().endswith("give --label-set")


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--threads", "0"], 2, "--threads: must be 1 or more"),
        (["--gpus", "a"], 2, "--gpus: must be different numbers"),
        (["--bundle", "nowhere"], 2, "no bundle here"),
    ],
)
def test_a_faulty_call_is_refused(bundle, partial, tmp_path, capsys, more, code, message):
    assert main(words("missing", partial, bundle, tmp_path / "new", *more)) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_other_things_at_the_output_stay(bundle, partial, tmp_path, capsys):
    (tmp_path / "thesis.txt").touch()
    assert main(words("missing", partial, bundle, tmp_path)) == 1
    assert "already holds something else" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


def test_a_case_that_the_engine_cannot_read_is_named(bundle, partial, tmp_path, capfd):
    data = tmp_path / "data"
    shutil.copytree(partial, data)
    image = data / "imagesTr/few_0000.nii.gz"
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
    assert main(words("missing", data, bundle, tmp_path / "new", "--threads", "1")) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert "few_0000.nii.gz" in last
    assert last.endswith("mend or remove what is named and call again, it goes on")
    assert not (tmp_path / "new").exists()
    shutil.copyfile(partial / "imagesTr/few_0000.nii.gz", image)
    assert main(words("missing", data, bundle, tmp_path / "new", "--threads", "1")) == 0


def test_a_tumor_that_nobody_calls_a_lesion_is_told(unlabelled, tmp_path, caplog):
    """The bundle's label set has none, and the data's neither: to both it is an organ."""
    output = replace(OUTPUT, label_set="five", labels=IDS, pairs=(KIDNEYS,), lesions=())
    bundle = bundle_of_five(tmp_path / "organs", output=output).folder
    data = write_partial(tmp_path / "data")
    (data / "labels.json").write_text(json.dumps({"labels": IDS}))
    (data / "annotated.json").write_text('{"few": ["liver", "tumor"]}')
    assert main(words("missing", data, bundle, tmp_path / "filled", "--threads", "1")) == 0
    assert main(words("unlabelled", unlabelled, bundle, tmp_path / "round", "--threads", "1")) == 0
    told = [line for line in caplog.messages if "`lesions` does not name tumor" in line]
    places = [str(data / "labels.json"), f"{bundle / 'manifest.json'}: output"]
    assert [line.split(": `lesions`")[0] for line in told] == places


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlabelled")
    for name in ("a", "b"):
        write_case(folder, name, image_of(truth()), truth())
    shutil.rmtree(folder / "labelsTr")
    return folder


def test_a_round_labels_organs_and_no_lesion(bundle, unlabelled, tmp_path):
    assert main(words("unlabelled", unlabelled, bundle, tmp_path / "round", "--threads", "1")) == 0
    expected = np.where(truth() == TUMOR, 0, truth())
    for name in ("a", "b"):
        assert np.array_equal(labels_in(tmp_path / "round", name), expected)
    organs = ("liver", "right kidney", "aorta", "left kidney")
    cases = labelled_cases(tmp_path / "round")
    assert [(case.name, case.annotated, case.given) for case in cases] == [
        ("a", organs, ()),
        ("b", organs, ()),
    ]
    assert (
        main(["check", str(tmp_path / "round")]) == 1
    )  # Both hold the same image, and nothing else is amiss.


def test_cases_in_which_nothing_was_found_are_told(bundle, tmp_path, caplog):
    """An image of the background's value alone beside one with organs."""
    write_case(tmp_path / "data", "a", image_of(truth()), truth())
    nothing = np.zeros_like(truth())
    write_case(tmp_path / "data", "b", image_of(nothing), nothing)
    shutil.rmtree(tmp_path / "data" / "labelsTr")
    assert main(words("unlabelled", tmp_path / "data", bundle, tmp_path / "round", "--threads", "1")) == 0
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("in 1 case(s), b first, the bundle found none of the organs that they lack; ")


@pytest.mark.parametrize("place", ["imagesTr", "."])
def test_images_of_another_modality_are_refused(bundle, unlabelled, tmp_path, capsys, place):
    data = tmp_path / "data"
    shutil.copytree(unlabelled, data)
    spoil(data, dataset={"channel_names": {"0": "MRI"}})
    assert main(words("unlabelled", data / place, bundle, tmp_path / "round")) == 1
    error = capsys.readouterr().err
    assert "channel 0 is MRI, bundle" in error
    assert "takes CT there; give images or a bundle of the same modality\n" in error
    assert error.count("\n") == 1


def test_a_bundle_of_another_modality_is_refused_by_what_it_takes(unlabelled, tmp_path, capsys):
    mr = bundle_of_five(tmp_path / "mr", inputs=(replace(CT, name="T2", modality="MR"),)).folder
    data = tmp_path / "data"
    shutil.copytree(unlabelled, data)
    spoil(data, dataset={"channel_names": {"0": "CT"}})
    assert main(words("unlabelled", data, mr, tmp_path / "round")) == 1
    assert "channel 0 is CT, bundle" in capsys.readouterr().err
    spoil(data, dataset={"channel_names": {"0": "T2"}})
    assert main(words("unlabelled", data, mr, tmp_path / "round", "--threads", "1")) == 0


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "holds no image"),
        (["a_0000.nii.gz", "a_0000.mha"], "second image of case a"),
        (["a_0000.mhd"], "keeps its voxels in another file"),
    ],
)
def test_folders_of_images_that_are_not_usable(bundle, tmp_path, capsys, images, message):
    (tmp_path / "images").mkdir()
    for name in images:
        (tmp_path / "images" / name).touch()
    assert main(words("unlabelled", tmp_path / "images", bundle, tmp_path / "round")) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_bundle_of_lesions_alone_makes_no_pseudo_labels(unlabelled, tmp_path, capsys):
    channels = ("background", "tumor")
    output = replace(OUTPUT, label_set="five", labels=IDS, pairs=(), channels=channels)
    lesions = bundle_of_five(tmp_path / "lesions", output=output, thresholds=THRESHOLDS[:1]).folder
    assert main(words("unlabelled", unlabelled, lesions, tmp_path / "round")) == 1
    assert "finds lesions only, which are no pseudo-labels" in capsys.readouterr().err


def test_a_case_with_too_few_channels_for_the_bundle(tmp_path, capsys):
    two = bundle_of_five(tmp_path / "two", inputs=(CT, replace(CT, name="late"))).folder
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a_0000.nii.gz").touch()
    assert main(words("unlabelled", tmp_path / "images", two, tmp_path / "round")) == 1
    assert "case a has channels 0, the bundle takes 2" in capsys.readouterr().err


def write_round(folder, shifts):
    """A round in which each case's organs but the kidneys are off by some voxels."""
    for name, shift in shifts.items():
        write_case(folder, name, image_of(truth()), truth(shift))
    (folder / "labels.json").write_text(json.dumps(LABELS))
    (folder / "annotated.json").write_text(json.dumps({name: ["liver"] for name in shifts}))
    return str(folder)


def test_selection_keeps_what_is_stable(tmp_path):
    rounds = [
        write_round(tmp_path / "1", {"calm": 0, "wild": 0}),
        write_round(tmp_path / "2", {"calm": 0, "wild": 8}),
        write_round(tmp_path / "3", {"calm": 0, "wild": 0}),
    ]
    output = tmp_path / "stable"
    for _ in range(2):  # The second call finds it complete.
        assert main(["pseudo-label", "rounds", *rounds, "--output", str(output)]) == 0
    (case,) = labelled_cases(output)
    assert (case.name, case.annotated) == ("calm", ("liver",))
    assert case.labels.resolve() == (tmp_path / "3/labelsTr/calm.nii.gz").resolve()
    with (output / "stability.csv").open(newline="") as stream:
        table = {row["case"]: row for row in csv.DictReader(stream)}
    assert (float(table["calm"]["u"]), table["calm"]["kept"]) == (0.0, "yes")
    changed, whole = (truth(8) != truth()).sum(), truth()
    expected = (changed / (truth(8) > 0).sum() + changed / (whole > 0).sum()) / 2
    assert float(table["wild"]["u"]) == pytest.approx(expected, abs=1e-6)
    assert table["wild"]["kept"] == "no"
    assert (output / "stability.png").is_file()


def test_a_case_that_changes_by_just_the_most_is_kept(tmp_path):
    rounds = [write_round(tmp_path / name, {"calm": 0}) for name in "12"]
    output = tmp_path / "stable"
    assert main(["pseudo-label", "rounds", *rounds, "--output", str(output), "--most-unstable", "0"]) == 0
    assert [case.name for case in labelled_cases(output)] == ["calm"]


@pytest.mark.parametrize(
    ("second", "more", "code", "message"),
    [
        ({"a": 8, "b": 8}, [], 1, "none of 2 cases has u of 0.1 or less, the least is"),
        ({"a": 0}, [], 1, "holds other cases than"),
        (None, [], 2, "is a single round; give two or more"),
        ({"a": 0, "b": 0}, ["--most-unstable", "nan"], 2, "--most-unstable: must be 0 or more"),
        ({"a": 0, "b": 0}, ["--workers", "0"], 2, "--workers: must be 1 or more"),
    ],
)
def test_rounds_that_cannot_be_compared(tmp_path, capsys, second, more, code, message):
    rounds = [write_round(tmp_path / "1", {"a": 0, "b": 0})]
    rounds += [write_round(tmp_path / "2", second)] if second else []
    assert main(["pseudo-label", "rounds", *rounds, "--output", str(tmp_path / "stable"), *more]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "stable").exists()


@pytest.mark.parametrize("file", ["annotated.json", "given.json"])
def test_a_selection_is_not_taken_for_one_of_other_annotations(tmp_path, capsys, file):
    rounds = [write_round(tmp_path / name, {"a": 0, "b": 0}) for name in "12"]
    call = ["pseudo-label", "rounds", *rounds, "--output", str(tmp_path / "stable")]
    assert main(call) == 0
    (tmp_path / "2" / file).write_text('{"a": []}')
    assert main(call) == 1
    assert "already holds something else" in capsys.readouterr().err


def test_a_round_that_is_given_twice_is_refused(tmp_path, capsys):
    one = write_round(tmp_path / "1", {"a": 0})
    again = str(tmp_path / "2" / ".." / "1")
    (tmp_path / "2").mkdir()
    assert main(["pseudo-label", "rounds", one, again, "--output", str(tmp_path / "stable")]) == 2
    assert "1: is given twice; give each round once" in capsys.readouterr().err


def test_rounds_on_other_grids_are_refused(tmp_path, capsys):
    first = write_round(tmp_path / "1", {"case0": 0, "case1": 0})
    second = write_dataset(tmp_path / "2")
    assert main(["pseudo-label", "rounds", first, str(second), "--output", str(tmp_path / "stable")]) == 1
    assert "differs from that of the round before" in capsys.readouterr().err
