"""A submission tried before it is sent in, with a `docker` on PATH that is a script."""

import io
import os
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from eval.image_files import read_image
from eval.measuring import submission_check, trial_scans
from eval.measuring.run_rules import RUN_RULES
from eval.measuring.trial_scans import TRIALS, TrialScan, write_trial
from eval.volumes import grid_difference
from tests.eval.command_line import assert_refused, call
from tests.eval.made import write

DOCKER = """#!/bin/sh
here=@HERE@
echo "$*" >> "$here/calls"
case "$1 $2" in
    "load -i") cat "$here/load" ; [ -s "$here/load" ] ; exit ;;
    "image inspect")
        case "$4" in
            *Id*) cat "$here/id-of-all" 2>/dev/null || echo "$5" ;;
            *) cat "$here/architecture" ;;
        esac ;;
    "container inspect"|"rm "*|"events "*) exit 0 ;;
    "container run")
        case "$*" in
            *"cat predict.sh"*) [ -e "$here/predict.sh" ] || exit 1; cd "$here" && exec sh -c "${11}" ;;
            *"--entrypoint /bin/sh"*)
                if [ -e "$here/no-entry" ]; then
                    echo "sh: predict.sh: not found" >&2
                    case "$*" in *" --rm "*) exit 0 ;; esac  # As Podman behind the docker command does.
                    exit 2
                fi
                exit 0 ;;
            *"--entrypoint /bin/bash"*) exit 0 ;;
        esac
        for word; do case "$word" in *:/workspace/outputs/*) mounted=${word%%/outputs/*} ;; esac; done
        cd "$mounted" || exit 125
        for file in inputs/*; do name=${file##*/}; done
        if [ -e "$here/needs-network" ]; then
            case "$*" in *"--network none"*) echo "error: no network" >&2; exit 1 ;; esac
        fi
        if [ -e "$here/fails-on" ] && [ "$(cat "$here/fails-on")" = "$name" ]; then
            echo "error: too thin" >&2; exit 3
        fi
        cp "$here/labels/${name%_0000.nii.gz}.nii.gz" outputs/ ;;
    *) exit 1 ;;
esac
"""
V1 = "✗ the image is called team:v1, must be TEAM:latest"
SMALL = {
    "slab": TrialScan(why="thin slab", shape_zyx=(3, 8, 8), spacing_zyx_mm=(5.0, 1.0, 1.0)),
    "skewed": TrialScan(why="skewed", shape_zyx=(4, 8, 8), spacing_zyx_mm=(5.0, 1.0, 1.0), shear=0.01),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A docker that loads team:latest and answers each case with an empty label map on its grid."""
    (tmp_path / "docker").write_text(DOCKER.replace("@HERE@", str(tmp_path)))
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "load").write_text("Loaded image: localhost/team:latest\n")
    (tmp_path / "architecture").write_text("amd64\n")
    (tmp_path / "team.tar.gz").write_bytes(b"an archive")
    (tmp_path / "labels").mkdir()
    for key, scan in SMALL.items():
        write_trial(scan, tmp_path / "labels" / f"{key}_0000.nii.gz")
        image = read_image(tmp_path / "labels" / f"{key}_0000.nii.gz")
        labels = sitk.Image(image.GetSize(), sitk.sitkUInt8)
        labels.CopyInformation(image)
        sitk.WriteImage(labels, str(tmp_path / "labels" / f"{key}.nii.gz"))
    monkeypatch.setattr(submission_check, "TRIALS", SMALL)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("eval.measuring.sampler.BASELINE_S", 0.0)
    return tmp_path


def _archive(path) -> bytes:
    """What docker save writes, with one file; without `.gz` at the end it is a plain tar."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name in ("layer.tar", "manifest.json"):
            member = tarfile.TarInfo(name)
            member.size = 1000
            tar.addfile(member, io.BytesIO(bytes(range(250)) * 4))
    return path.read_bytes()


def listed(folder, capsys, *more, code: int) -> list[str]:
    capsys.readouterr()
    assert call("check", folder / "team.tar.gz", *more) == code
    return capsys.readouterr().out.splitlines()


def test_a_submission_with_nothing_to_mend(folder, capsys):
    lines = listed(folder, capsys, code=0)
    assert [line[0] for line in lines[:-1]] == ["✓"] * 6
    assert lines[1] == "✓ loads as team:latest"
    assert lines[4].startswith("✓ thin slab: ")
    # This docker has no control groups to measure.
    assert lines[4].endswith("RAM not measured, labels on the image's grid")
    assert lines[-1] == "nothing to mend"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"load": "Loaded image: team:v2\n"}, "✗ the image is called team:v2, must be TEAM:latest"),
        ({"load": "Loaded image: other:latest\n"}, "✗ the archive is team.tar.gz, the image other"),
        (
            {"load": "Loaded image: localhost/team:latest,docker.io/library/b:v1\n"},
            "✗ the archive holds 2 images, must hold one: team:latest, b:v1",
        ),
        ({"load": "Loaded image: a:latest\nLoaded image: b:latest\n"}, "✗ the archive holds 2 images"),
        ({"load": "Loaded image: team:v1\nLoaded image: team:v2\n", "id-of-all": "sha256:1"}, V1),
        (
            {"predict.sh": "python predict.py\r\n"},
            "✗ predict.sh has Windows line endings, which a shell takes for parts of its words; sed -i",
        ),
        ({"architecture": "arm64\n"}, "✗ the image is for arm64, organisers have amd64"),
        ({"load": ""}, "✗ docker load fails: nothing was said"),
        (
            {"no-entry": ""},
            "✗ not so: predict.sh in the working directory is read by plain sh (sh: predict.sh",
        ),
        (
            {"needs-network": ""},
            "✗ thin slab: works only with a network or a writable file system: exit code 1",
        ),
        ({"fails-on": "slab_0000.nii.gz"}, "✗ thin slab: failed: exit code 3: error: too thin"),
    ],
)
def test_what_organisers_would_stumble_over(folder, capsys, files, said):
    for name, text in files.items():
        (folder / name).write_text(text, newline="")
    lines = listed(folder, capsys, code=1)
    assert [line for line in lines if line.startswith(said)]
    if len(lines) > 3:
        assert lines[-1].endswith("to mend")


@pytest.mark.parametrize(
    "said",
    [
        "Loaded image: localhost/team:v1,localhost/team:latest\n",
        "Loaded image(s): localhost/team:v1, localhost/team:latest\n",
        "Loaded image: team:latest\nLoaded image: team:v1\n",
    ],
)
def test_of_several_tags_of_an_image_organisers_use_the_one_of_the_archive(folder, capsys, said):
    (folder / "load").write_text(said)
    (folder / "id-of-all").write_text("sha256:1\n")
    assert listed(folder, capsys, code=0)[1] == "✓ loads as team:latest, also called team:v1"


def test_a_script_with_the_line_endings_of_linux_is_no_fault(folder, capsys):
    (folder / "predict.sh").write_text("python predict.py\n")
    assert listed(folder, capsys, code=0)[-1] == "nothing to mend"


def test_an_archive_that_docker_does_not_load_is_told_from_one_that_is_cut_short(folder, capsys):
    whole = _archive(folder / "team.tar.gz")
    (folder / "load").write_text("")
    assert listed(folder, capsys, code=1)[-1] == "✗ docker load fails: nothing was said"
    (folder / "team.tar.gz").write_bytes(whole[: len(whole) // 2])
    assert listed(folder, capsys, code=1)[-1] == "✗ team.tar.gz is cut short or damaged; send it again"


def test_an_archive_that_docker_loads_is_not_read_once_more(folder, capsys, monkeypatch):
    """Of 10 GB that would be minutes."""
    monkeypatch.delattr(submission_check, "is_whole")
    assert listed(folder, capsys, code=0)[-1] == "nothing to mend"


def test_no_container_is_left_behind_by_looking_at_the_entry_point(folder, capsys):
    """`--rm` removes none that never started, so each is removed by its name."""
    (folder / "no-entry").touch()
    listed(folder, capsys, code=1)
    calls = [line.split() for line in (folder / "calls").read_text(encoding="utf-8").splitlines()]
    names = [words[words.index("--name") + 1] for words in calls if words[:2] == ["container", "run"]]
    assert len(set(names)) == 2 + 1 + 2, "two shells, the line endings, and the two CTs"
    assert all(name.startswith("leanseg-eval-") for name in names)
    assert {words[2] for words in calls if words[:2] == ["rm", "--force"]} == set(names)


def test_labels_on_another_grid_are_found(folder, capsys):
    write(folder / "labels" / "slab.nii.gz", np.zeros((3, 8, 7), np.uint8))
    assert any("not on the image's grid" in line for line in listed(folder, capsys, code=1))


def test_more_than_what_costs_nothing_is_told_but_no_fault(folder, capsys, monkeypatch):
    strict = replace(RUN_RULES["flare23"], lenient_s=1e-6)
    monkeypatch.setattr("eval.commands.check.RUN_RULES", {"flare23": strict})
    lines = listed(folder, capsys, code=0)
    assert lines[4].startswith("! thin slab")
    assert "above the 1e-06 s that cost nothing" in lines[4]


def test_wrong_calls(folder, capsys):
    assert_refused(capsys, ("check", folder / "none.tar.gz"), "none.tar.gz: no such file")
    assert_refused(capsys, ("check", folder / "team.tar.gz", "--limit", "0"), "--limit is 0")
    assert_refused(capsys, ("check", folder / "team.tar.gz", "--images", folder / "x.nii.gz"), "no such file")


def test_the_made_scans_are_what_they_say(tmp_path):
    assert list(TRIALS) == ["slab", "body", "skewed"]
    for key, scan in SMALL.items():
        path = tmp_path / f"{key}_0000.nii.gz"
        write_trial(scan, path)
        image = read_image(path)
        assert image.GetSize()[::-1] == scan.shape_zyx
        assert image.GetSpacing()[::-1] == pytest.approx(scan.spacing_zyx_mm, rel=1e-3)
        assert sitk.GetArrayFromImage(image).min() == trial_scans.AIR_HU
        assert grid_difference(image, image) is None
        straight = np.allclose(image.GetDirection(), np.eye(3).ravel(), atol=1e-6)
        assert straight is (scan.shear == 0)
