"""Whole volumes beside sliding windows: figures by hand, wrong input, and the command from end to end."""

import json

import pytest
import SimpleITK as sitk

from eval.__main__ import main
from eval.benchmark.whole_volume import SLIDING, WHOLE, both_ways, whole_volume_table
from model.manifest.window import AnyWindow
from tests.inference.bundles import abdomen, hu, make_bundle, member

ANY = AnyWindow(multiple_of_zyx=(8, 8, 8), smallest_zyx=(8, 16, 16))


def record(scan, way, wall_s, networks_s, windows):
    case = {"seconds": {"networks": networks_s}, "windows_run": windows}
    return {
        "about": {"network": "", "scan": scan, "contestant": way, "scan_bytes": 1},
        "exit_code": 0,
        "stopped": "",
        "wall_s": wall_s,
        "cpu_s": wall_s,
        "peak_mb": 100.0,
        "others": 0.5,
        "report": {"cases": [case]},
    }


def test_the_table_by_hand():
    """Networks 4 and 6 times as long, 5 in the median; wall time twice as long both times."""
    records = [
        record("a", WHOLE, 2.0, 1.0, 1),
        record("a", SLIDING, 4.0, 4.0, 8),
        record("b", WHOLE, 3.0, 0.5, 1),
        record("b", SLIDING, 6.0, 3.0, 12),
    ]
    dice = {("a", WHOLE): 0.8, ("a", SLIDING): 0.7, ("b", WHOLE): 0.6, ("b", SLIDING): 0.7}
    text = whole_volume_table(records, dice)
    assert "| a | sliding window | 1 | 8 | 4.00 | 4.00 | 4.00 | 100 | 0.50 | 0.7000 |" in text
    assert "2 cases, sliding window over whole volume, median (least to most):" in text
    assert "- networks: 5.00 (4.00 to 6.00)" in text
    assert "- wall time: 2.00 (2.00 to 2.00)" in text
    assert "- mean Dice: whole volume 0.7000, sliding window 0.7000" in text


def test_a_case_that_failed_one_way_is_not_compared():
    failed = record("a", SLIDING, 1.0, 1.0, 1) | {"exit_code": 1}
    text = whole_volume_table([record("a", WHOLE, 2.0, 1.0, 1), failed], {("a", WHOLE): 0.5})
    assert "No case ran both ways." in text


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "any", [member(window=ANY, skip_air=False)]).folder


def test_the_copy_differs_in_nothing_but_its_windows(bundle, tmp_path):
    whole, sliding = both_ways(bundle, tmp_path / "out")
    first, second = (
        json.loads((way.bundle / "manifest.json").read_text(encoding="utf-8")) for way in (whole, sliding)
    )
    assert first["members"][0].pop("window")["kind"] == "any"
    assert first == second


@pytest.fixture
def folders(tmp_path):
    """One case that the bands network knows, and its truth."""
    labels = abdomen()
    for array, place in ((hu(labels), "images/ct_0000.nii.gz"), (labels, "truth/ct.nii.gz")):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.5, 2.5))
        (tmp_path / place).parent.mkdir()
        sitk.WriteImage(image, str(tmp_path / place))
    return tmp_path


def words(bundle, folders, **changed):
    places = {"images": folders / "images", "truth": folders / "truth", "output": folders / "out"} | changed
    options = [word for name, place in places.items() for word in (f"--{name}", str(place))]
    return ["benchmark", "whole-volume", str(bundle), *options]


def test_wrong_input_is_one_line(bundle, folders, capsys):
    plain = make_bundle(folders / "plain", [member()]).folder
    for call, message in (
        (words(plain, folders), "no member takes any window"),
        (words(folders / "none", folders), "no bundle here"),
        (words(bundle, folders, images=folders / "none"), "holds no .nii.gz file"),
        (words(bundle, folders, truth=folders / "images"), "ct.nii.gz: no such file"),
        (words(bundle, folders, repeats=0), "--repeats 0: must be 1 or more"),
        (words(bundle, folders, output=folders / "truth/ct.nii.gz"), "is a file"),
    ):
        assert main(call) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1
    assert not (folders / "out").exists()


def test_from_end_to_end_and_once_more(bundle, folders, capsys):
    call = [*words(bundle, folders, repeats=1), "--threads", "1"]
    assert main(call) == 0
    table = capsys.readouterr().out
    assert "| ct | whole volume | 1 | 1 |" in table
    assert "mean Dice: whole volume 1.0000, sliding window 1.0000" in table
    made = {path: path.stat().st_mtime_ns for path in (folders / "out/runs").glob("*.json")}
    assert len(made) == 2
    assert main(call) == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert (folders / "out/whole-volume.md").read_text(encoding="utf-8") == table


def test_a_truth_on_another_grid_is_named(bundle, folders, capsys):
    path = folders / "truth/ct.nii.gz"
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(image[:, :, :-1], str(path))
    assert main([*words(bundle, folders, repeats=1), "--threads", "1"]) == 2
    assert "truth/ct.nii.gz: is not on the grid of" in capsys.readouterr().err
