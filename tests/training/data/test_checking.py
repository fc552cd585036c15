"""`check`: every fault that a user can make with a data-set folder gives one line, and all are told."""

import json
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk

from model.labels import FLARE21
from tests.training.tiny import recipe_file, write_case, write_dataset
from training.__main__ import main
from training.data.checking import Expected, full_report
from training.data.folders import labelled_cases

LABELS = {"background": 0, "liver": 1, "kidney": 2, "spleen": 3, "pancreas": 4}


def case_files(folder, name="case0"):
    return folder / "imagesTr" / f"{name}_0000.nii.gz", folder / "labelsTr" / f"{name}.nii.gz"


@pytest.fixture
def data(tmp_path):
    """Three sound cases, with a label set."""
    folder = write_dataset(tmp_path / "data", cases=3, side=18)
    (folder / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    return folder


def faults_of(folder, capsys, *more):
    """Exit code and lines of a check, without the summary."""
    code = main(["check", str(folder), *more])
    lines = capsys.readouterr().out.splitlines()
    assert "cases checked" in lines[-1]
    return code, lines[:-1]


def reshape(path, change):
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(change(image), str(path))


def moved(image):
    image.SetOrigin((100.0, 0.0, 0.0))
    return image


def no_labels(folder):
    case_files(folder)[1].unlink()
    return "labelsTr/case0.nii.gz: missing, though the case has an image"


def no_image(folder):
    case_files(folder)[0].unlink()
    return "labelsTr/case0.nii.gz: has no image"


def other_place(folder):
    reshape(case_files(folder)[1], moved)
    return "labelsTr/case0.nii.gz: lies elsewhere than its case's first image"


def other_size(folder):
    reshape(case_files(folder)[1], lambda image: image[:-1])
    return "labelsTr/case0.nii.gz: size (z, y, x) (18, 18, 17) differs"


def foreign_ids(folder):
    reshape(case_files(folder)[1], lambda image: image * 3)
    return "labelsTr/case0.nii.gz: holds id 9, unknown to label set data"


def halves(folder):
    reshape(case_files(folder)[1], lambda image: sitk.Cast(image, sitk.sitkFloat32) * 0.5)
    return "labelsTr/case0.nii.gz: holds values that are not whole numbers from 0 to 255"


def garbage(folder):
    case_files(folder)[0].write_text("not an image")
    return "case0_0000.nii.gz: "


def cut_short(folder):
    path = case_files(folder)[0]
    path.write_bytes(path.read_bytes()[:-40])
    return "case0_0000.nii.gz: "


def empty_image(folder):
    reshape(case_files(folder)[0], lambda image: image * 0)
    return "case0_0000.nii.gz: is empty (every voxel is 0)"


def second_channel(folder):
    image = case_files(folder)[0]
    image.with_name("case0_0001.nii.gz").write_bytes(image.read_bytes())
    return "case0_0001.nii.gz: case case0 has 2 channel(s), others have 1"


def missing_channel(folder):
    image = case_files(folder)[0]
    image.with_name("case0_0002.nii.gz").write_bytes(image.read_bytes())
    return "case0_0001.nii.gz: missing, though the case has channel 2"


def same_image(folder):
    for one, other in zip(case_files(folder), case_files(folder, "case1"), strict=True):
        other.write_bytes(one.read_bytes())
    return "case1_0000.nii.gz: the same voxels as"


def second_format(folder):
    image = case_files(folder)[0]
    sitk.WriteImage(sitk.ReadImage(str(image)), str(image.with_name("case0_0000.nrrd")))
    return "case0_0000.nrrd: second image of case case0, channel 0"


def second_labels(folder):
    labels = case_files(folder)[1]
    sitk.WriteImage(sitk.ReadImage(str(labels)), str(labels.with_name("case0.mha")))
    return "case0.nii.gz: second label map of case case0"


def annotated(document):
    def write(folder):
        (folder / "annotated.json").write_text(document)

    return write


FAULTS = [
    no_labels, no_image, other_place, other_size, foreign_ids, halves, garbage, cut_short, empty_image,
    second_channel, missing_channel, same_image, second_format, second_labels,
]  # fmt: skip
SEEN_IN_VOXELS = {foreign_ids, halves, empty_image, same_image, cut_short}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda one: one.__name__)
def test_a_fault_is_one_line_that_names_the_file(data, capsys, spoil):
    message = spoil(data)
    code, lines = faults_of(data, capsys)
    assert code == 1
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda one: one.__name__)
def test_the_quick_part_sees_what_names_and_headers_tell(data, capsys, spoil):
    message = spoil(data)
    code, lines = faults_of(data, capsys, "--quick")
    if spoil in SEEN_IN_VOXELS:
        assert (code, lines) == (0, [])
    else:
        assert code == 1
        assert message in lines[0]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "annotated.json: cannot be read as JSON"),
        ('{"case9": ["liver"]}', "annotated.json: names case case9, which is not in the data set"),
        ('{"case0": "liver"}', "annotated.json: case0: 'liver' must be a list of structures"),
        ("[1]", "annotated.json: '[1]' must be a list of structures"),
        ('{"case0": ["liver", "spleen", "live"]}', "case case0 names live, which is not in the label set"),
        ('{"case0": ["liver"]}', "labelsTr/case0.nii.gz: holds spleen, not annotated by annotated.json"),
        (
            '{"groups": [{"cases": ["case0"], "structures": ["liver", "spleen"]}, {"cases": ["case0"], '
            '"structures": ["liver"]}]}',
            "annotated.json: names case case0 twice",
        ),
    ],
)
def test_faults_of_annotated_json(data, capsys, document, message):
    annotated(document)(data)
    code, lines = faults_of(data, capsys)
    assert code == 1
    assert len(lines) == 1
    assert message in lines[0]


def test_the_quick_part_sees_names_that_the_label_set_lacks(data, capsys):
    annotated('{"case0": ["liver", "Spleen"]}')(data)
    code, (line,) = faults_of(data, capsys, "--quick")
    assert code == 1
    assert line == (
        f"{data / 'annotated.json'}: case case0 names Spleen, which is not in the label set data; it has "
        "liver, kidney, spleen, pancreas"
    )


def test_all_faults_of_all_cases_are_told_at_once(tmp_path, capsys):
    folder = write_dataset(tmp_path, cases=5, side=18)
    (folder / "dataset.json").write_text(json.dumps({"labels": LABELS}))
    garbage(folder)
    case_files(folder, "case1")[1].unlink()
    reshape(case_files(folder, "case2")[1], lambda image: moved(image * 3))
    code, lines = faults_of(folder, capsys)
    assert code == 1
    told = sorted(line.split(": ")[0].rsplit("/", 1)[1] for line in lines)
    # Case 2 has two faults: its place and its ids.
    assert told == ["case0_0000.nii.gz", "case1.nii.gz", "case2.nii.gz", "case2.nii.gz"]


def test_a_sound_data_set_has_none(data, capsys):
    assert main(["check", str(data)]) == 0
    assert capsys.readouterr().out == "3 cases checked: no faults\n"


def test_names_of_the_data_are_held_against_those_of_a_label_set_and_of_a_recipe(data, capsys):
    (data / "dataset.json").write_text('{"labels": {"background": 0, "organ a": 1, "spleen": 3}}')
    line = (
        f"{data / 'dataset.json'}: says that 1 is organ a, label set {{}} that it is liver; 1 id differs; "
        "take the data's own with --set label_set=data, or, where only words differ, state the recipe's "
        "words in labels.json"
    )
    assert faults_of(data, capsys, "--label-set", "flare22") == (1, [line.format("flare22")])
    assert faults_of(data, capsys, "--recipe", "demo", "--quick") == (1, [line.format("flare23")])
    assert faults_of(data, capsys) == (0, [])


def test_regions_are_no_ids_of_label_maps(data, tmp_path, capsys):
    """nnU-Net writes the core as 1; in the label maps 1 is what surrounds it."""
    regions = {"background": 0, "whole": [1, 2], "core": 2}
    path = data / "dataset.json"
    path.write_text(json.dumps({"labels": regions, "regions_class_order": [2, 1]}))
    said = (
        f"{path}: whole is a region of several ids, but a voxel of a label map holds one id; state a "
        f"structure for each id in {data / 'labels.json'}"
    )
    assert faults_of(data, capsys) == (1, [said])
    assert faults_of(data, capsys, "--label-set", "flare22") == (1, [said])
    output = ["--output", str(tmp_path / "out")]
    for words in (
        ["check", str(data), "--label-set", str(data)],
        ["fingerprint", str(data)],
        ["prepare", str(data), "--recipe", "demo", *output],
        ["train", "demo", "--data", str(data), "--set", "label_set=data", *output],
        ["train", "demo", "--data", str(data), *output],
        ["cross-validate", "demo", "--data", str(data), *output],
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    (data / "labels.json").write_text('{"labels": {"edema": 1, "kidney": 2, "core": 3}}')
    assert faults_of(data, capsys) == (0, [])


def test_voxels_to_be_ignored_are_told_apart_from_unknown_ids(data, capsys):
    (data / "dataset.json").write_text(json.dumps({"labels": {**LABELS, "ignore": 9}}))
    foreign_ids(data)  # A liver of 1 becomes 3, a spleen of 3 becomes 9.
    line = (
        f"{data / 'labelsTr/case0.nii.gz'}: holds id 9, which dataset.json calls ignore: voxels to be "
        "ignored cannot be trained on; label them, leave the case out, or set them to 0, where they may "
        "count as background"
    )
    assert faults_of(data, capsys) == (1, [line])
    assert faults_of(data, capsys, "--label-set", "flare21") == (1, [line])


def test_without_a_label_set_ids_are_not_looked_at_and_that_is_said(data, capsys):
    (data / "dataset.json").unlink()
    foreign_ids(data)
    assert main(["check", str(data)]) == 0
    assert "no label set is stated beside the data, give --label-set" in capsys.readouterr().out
    assert main(["check", str(data), "--label-set", "flare21"]) == 1


def test_structures_that_sound_like_lesions_and_are_organs_by_the_file_are_told(data, capsys):
    stated = data / "dataset.json"
    stated.write_text(json.dumps({"labels": {**LABELS, "liver tumor": 20, "cyst": 21}, "lesions": ["cyst"]}))
    line = (
        f"warning: {stated}: `lesions` does not name liver tumor: clean-up may keep the largest part alone, "
        "and pseudo-labels may be made, as of organs; if that is wrong, state "
        '"lesions": ["cyst", "liver tumor"] there'
    )
    assert faults_of(data, capsys) == (0, [line])
    stated.write_text(json.dumps({"labels": {**LABELS, "cyst": 21}, "lesions": ["cyst"]}))
    assert faults_of(data, capsys) == (0, [])


def test_of_a_faulty_label_set_its_own_fault_is_told_first(data, capsys):
    (data / "dataset.json").write_text(json.dumps({"labels": {"liver": "1", "spleen": "3"}}))
    foreign_ids(data)
    assert main(["check", str(data)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"{data / 'dataset.json'}: labels.liver: must be a whole number, is '1'"
    how = "ids were not looked at: the label set beside the data is faulty"
    assert last == f"3 cases checked; {how}: 1 fault"


def test_a_recipe_says_labels_and_channels(data, capsys):
    assert main(["check", str(data), "--recipe", "demo"]) == 0
    second_channel(data)
    capsys.readouterr()
    assert main(["check", str(data), "--recipe", "demo"]) == 1
    assert "case case0 has 2 channel(s), the recipe takes 1" in capsys.readouterr().out


def test_channels_that_all_cases_have_are_one_line_for_train_and_for_check(data, tmp_path, capsys):
    for name in ("case0", "case1", "case2"):
        image = case_files(data, name)[0]
        image.with_name(f"{name}_0001.nii.gz").write_bytes(image.read_bytes())
    line = f"{data}: all 3 case(s) have 2 channel(s), the recipe takes 1; state all in its `inputs`"
    assert main(["train", "demo", "--data", str(data), "--output", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err == f"error: {line}\n"
    assert faults_of(data, capsys, "--recipe", "demo", "--quick") == (1, [line])
    assert faults_of(data, capsys, "--quick") == (0, [])


def test_a_line_points_to_the_call_that_finds_the_other_faults(data, tmp_path, capsys):
    """The data's own set has a tube, the recipe's has none; and another recipe's set is not to be had."""
    stated = data / "dataset.json"
    stated.write_text(json.dumps({"labels": {**LABELS, "tube": 200}}))
    cases = ["case0", "case1", "case2"]
    annotated(json.dumps({case: ["liver", "tube", "spleen", "vessel"] for case in cases}))(data)
    output = ["--output", str(tmp_path / "run")]
    assert main(["train", "lamp-unet-32-tiny", "--data", str(data), *output]) == 1
    assert "vessel, which is not in the label set" in (error := capsys.readouterr().err)
    assert error.count("names") == 3
    assert "more" not in error
    stated.unlink()
    assert main(["train", recipe_file(tmp_path), "--data", str(data), *output]) == 1
    call = f"and 3 more: `python -m training check {data} --label-set flare21` lists all"
    assert call in capsys.readouterr().err
    assert len(faults_of(data, capsys, "--label-set", "flare21", "--quick")[1]) == 6
    own = recipe_file(tmp_path, label_set={"name": "mine", "ids": {"liver": 1, "spleen": 3}})
    assert main(["train", own, "--data", str(data), *output]) == 1
    assert capsys.readouterr().err.endswith("; and 3 more\n")


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [(["--label-set", "flare99"], 2, "--label-set: flare99"), (["--workers", "0"], 2, "--workers")],
)
def test_a_wrong_call_is_one_line(data, capsys, more, code, message):
    assert main(["check", str(data), *more]) == code
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_no_data_set_is_one_line(tmp_path, capsys):
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no data set here (no such folder); give the folder of one\n" in capsys.readouterr().err


def test_stored_orientations_may_differ_between_image_and_labels(tmp_path, capsys):
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, 2, 3] = 1
    hu = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    write_case(tmp_path, "case", hu, labels)
    path = case_files(tmp_path, "case")[1]
    reshape(path, lambda image: sitk.DICOMOrient(image, "RAI"))
    assert main(["check", str(tmp_path), "--label-set", "flare21"]) == 0
    assert main(["check", str(tmp_path), "--quick"]) == 0


@pytest.mark.parametrize("stated", [False, True])
def test_cases_that_hold_few_structures_and_do_not_say_what_they_annotate_are_counted(
    tmp_path, capsys, stated
):
    """One of the cases holds all four structures, one two, one a single one and one none."""
    for count in (4, 2, 1, 0):
        labels = np.zeros((4, 5, 6), np.uint8)
        labels.flat[:count] = range(1, count + 1)
        hu = np.arange(count, count + 120, dtype=np.int16).reshape(4, 5, 6)
        write_case(tmp_path, f"case{count}", hu, labels)
    if stated:
        few = {
            "groups": [{"structures": ["liver"], "cases": ["case1"]}, {"structures": [], "cases": ["case0"]}]
        }
        (tmp_path / "annotated.json").write_text(json.dumps(few))
    assert main(["check", str(tmp_path), "--label-set", "flare21"]) == 0
    first, *more = capsys.readouterr().out.splitlines()
    assert first == "4 cases checked: no faults"
    if stated:
        assert more == []
    else:
        line, bare = more
        assert line.startswith(
            "1 of them, case1, holds fewer than half of the structures and states no annotated.json: what it"
        )
        assert line.endswith("fingerprint --write-annotated proposes that file")
        assert bare.startswith("1 of them, case0, labels nothing, every voxel is background: all that it")


def test_sentences_on_several_cases_name_the_first(data, capsys):
    """Two cases hold one of five structures, two none."""
    for name, label in (("few0", 4), ("few1", 4), ("none0", 0), ("none1", 0)):
        hu = np.full((4, 5, 6), len(name), np.int16)
        hu[0, 0, 0] = ord(name[-1])
        write_case(data, name, hu, np.full((4, 5, 6), label, np.uint8))
    assert main(["check", str(data)]) == 0
    _, few, none = capsys.readouterr().out.splitlines()
    assert few.startswith("2 of them, few0 first, hold fewer than half of the structures and state no ann")
    assert none.startswith("2 of them, none0 first, label nothing, every voxel is background: all that they")


def test_a_check_takes_no_more_than_image_and_label_map(tmp_path):
    """Of 4 Mi voxels: 16 MiB each as they are read, 8 for ids. Counting all at once would take 32 more."""
    shape = (64, 256, 256)
    hu, labels = np.zeros(shape, np.int16), np.zeros(shape, np.uint8)
    hu[0, 0, 0], labels[0, 0, 0] = 100, 1
    write_case(tmp_path, "case0", hu, labels)
    (case,) = labelled_cases(tmp_path)
    del hu, labels
    tracemalloc.start()
    report = full_report(case, Expected(labels=FLARE21))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (report.faults, report.held) == ((), {1})
    assert peak < 48 * 2**20


def with_a_voxel_of_nan(path):
    image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32)
    image[0, 0, 0] = float("nan")
    sitk.WriteImage(image, str(path))


def test_what_readers_warn_of_is_told_by_file_and_is_no_fault(data, capsys):
    image = case_files(data)[0]
    with_a_voxel_of_nan(image)
    assert main(["check", str(data)]) == 0
    warning, summary = capsys.readouterr().out.splitlines()
    assert warning.startswith(f"warning: {image}: 1 of ")
    assert "are NaN or infinite; they were taken as" in warning
    assert summary == "3 cases checked: no faults"


@pytest.mark.parametrize("command", ["train", "prepare"])
def test_images_that_readers_warn_of_are_counted(data, tmp_path, caplog, command):
    for name in ("case0", "case1"):
        with_a_voxel_of_nan(case_files(data, name)[0])
    recipe = recipe_file(
        tmp_path,
        stopping={"kind": "fixed_steps", "steps": 2},
        validation={"every_steps": 2, "cases": 3},
    )
    calls = {
        "train": [recipe, "--data", str(data), "--validation", str(data)],
        "prepare": [str(data), "--recipe", recipe],
    }
    assert main([command, *calls[command], "--output", str(tmp_path / "out")]) == 0
    told = [record.message for record in caplog.records if "read with" in record.message]
    first = case_files(data)[0]
    assert told[-1].startswith(f"2 files were read with warnings, {first} first: 1 of ")
    assert len(told) == 2  # And one at once, before all are read.
