"""Containers that write what nobody asked for or are left behind, and CTs that change between two runs.

The `docker` on PATH is a script that does the same.
"""

import hashlib
import json
import os

import numpy as np
import pytest

from eval.measuring import container_process, container_run
from eval.measuring.container_process import ContainerOptions
from eval.measuring.container_run import ContainerCase, run_case
from eval.measuring.efficiency import Status
from model.labels import FLARE23
from tests.eval.command_line import call, rows_of
from tests.eval.made import write
from tests.eval.measuring.kernel import Kernel

LABELS = np.full((3, 4, 5), 2, np.uint8)
DOCKER = """#!/bin/sh
here=@HERE@
echo "$*" >> "$here/calls"
case "$1 $2" in
    "container inspect") cat "$here/state" 2>/dev/null; exit ;;
    "container ls") cat "$here/left" 2>/dev/null; exit ;;
    "rm --force") case "$3" in *-stays) echo "no answer" >&2; exit 1 ;; esac; exit 0 ;;
    "container run") ;;
    *) exit 0 ;;
esac
for word; do case "$word" in *:/workspace/outputs/*) cd "${word%%/outputs/*}" || exit 125 ;; esac; done
for file in inputs/*; do name=${file##*/}; case=${name%_0000.nii.gz}; out=outputs/$case.nii.gz; done
case "$case" in
    nosy) cp "$file" "$out"; : > "inputs/$(printf 'x\\n[2 of 2] good: ok\\377\\033[31m')" ;;
    loud) printf 'error\\033[2J \\377\\007 [2/2] good: ok\\n'; exit 1 ;;
    renames) cp "$file" "outputs/$case.nii" ;;
    many) for each in d a c b; do : > "outputs/$each"; done ;;
    linked) ln -s "$file" "$out" ;;
    folder) mkdir "$out" ;;
    pipe) mkfifo "$out" ;;
    closes) cp "$file" "$out"; chmod 0 outputs inputs ;;
    killed) cp "$file" "$out"; echo "so long"; exit 137 ;;
    *) cp "$file" "$out" ;;
esac
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the docker above first on PATH, and samplers that do not wait for a baseline."""
    script = tmp_path / "bin" / "docker"
    script.parent.mkdir()
    script.write_text(DOCKER.replace("@HERE@", str(tmp_path)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("eval.measuring.sampler.BASELINE_S", 0.0)
    return tmp_path


def ended(folder, name: str) -> tuple[Status, str]:
    """How the container of a case ended."""
    image = write(folder / f"{name}_0000.nii.gz", LABELS)
    case = ContainerCase(image=image, output=folder / f"{name}.nii.gz", log=folder / "log")
    result = run_case(case, ContainerOptions(image="team:latest", memory="8g", labels=FLARE23))
    return result.status, result.remark


def series(folder, *more: object) -> int:
    """Exit code of `eval container` on the images that were written."""
    paths = ("--input", folder / "images", "--output", folder / "pred", "--results", folder / "e.csv")
    return call("container", "team", *paths, *more)


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_whatever_a_container_writes_the_series_goes_on_and_its_lines_are_its_own(folder, capsys):
    for name in ("nosy", "loud", "then_good"):
        write(folder / "images" / f"{name}_0000.nii.gz", LABELS)
    assert series(folder, "--official-command") == 1
    rows = {row["Name"]: row for row in rows_of(folder / "e.csv")}
    assert [rows[name]["Status"] for name in ("nosy.nii.gz", "loud.nii.gz", "then_good.nii.gz")] == [
        *("failed", "failed", "ok"),
    ]
    wrote = "wrote x\\n[2 of 2] good: ok\\udcff\\x1b[31m into inputs/, which disqualifies"
    assert rows["nosy.nii.gz"]["Remark"] == wrote
    assert rows["loud.nii.gz"]["Remark"] == "exit code 1: error\\x1b[2J \ufffd\\x07 [2/2] good: ok"
    err = capsys.readouterr().err
    assert len([line for line in err.splitlines() if line.startswith("[")]) == 3
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("renames", "there is no outputs/renames.nii.gz, but renames.nii"),
        ("many", "there is no outputs/many.nii.gz, but a, b, c and d"),
        ("linked", "outputs/linked.nii.gz is a link, must be a file"),
        ("folder", "outputs/folder.nii.gz is a folder, must be a file"),
        ("pipe", "outputs/pipe.nii.gz is a special file, must be a file"),
    ],
)
def test_what_lies_in_the_place_of_a_label_map_is_named(folder, name, remark):
    assert ended(folder, name) == (Status.NO_OUTPUT, remark)


def test_folders_that_a_container_has_closed_are_opened(folder):
    assert ended(folder, "closes") == (Status.OK, "")


@pytest.mark.parametrize(
    ("state", "kills", "machine", "status", "remark"),
    [
        ("137 false", 0.0, (7, 7), Status.FAILED, "exit code 137 (killed): so long"),
        ("137 false", 1.0, (7, 8), Status.OUT_OF_MEMORY, "8g of memory"),
        ("137 true", 0.0, (7, 7), Status.OUT_OF_MEMORY, "8g of memory"),
        ("137 false", None, (7, 7), Status.OUT_OF_MEMORY, "8g of memory"),
        # Killed after the last look at its own counter, by which docker was not told either.
        ("137 false", 0.0, (7, 8), Status.OUT_OF_MEMORY, "8g of memory"),
        ("137 false", 0.0, (None, None), Status.OUT_OF_MEMORY, "8g of memory"),
        (None, 0.0, (7, 7), Status.OUT_OF_MEMORY, "8g of memory"),
    ],
)
def test_a_killed_container_had_memory_enough_if_docker_and_the_kernel_say_so(
    folder, monkeypatch, state, kills, machine, status, remark
):
    """Where either does not say, it may have been memory.

    `machine` is what the kernel has counted before and after the run.
    """
    if state:
        (folder / "state").write_text(f"{state} exited")
    monkeypatch.setattr(container_run, "Sampler", Kernel)
    monkeypatch.setattr(Kernel, "kills", kills)
    monkeypatch.setattr(container_process, "machine_oom_kills", iter(machine).__next__)
    found, said = ended(folder, "killed")
    assert found is status
    assert remark in said


def test_a_case_of_which_the_ct_has_changed_is_run_anew(folder, capsys):
    """Of two CTs one is replaced by another of the same name, folder and size."""
    for name in ("changes", "stays"):
        write(folder / "images" / f"{name}_0000.nii.gz", LABELS)
    assert series(folder) == 0
    changed = write(folder / "images" / "changes_0000.nii.gz", LABELS + 1)
    sums = {
        f"{name}.nii.gz": sha256(folder / "images" / f"{name}_0000.nii.gz") for name in ("changes", "stays")
    }
    capsys.readouterr()
    assert series(folder, "--resume") == 0
    err = capsys.readouterr().err
    assert f"{changed}: is another CT than the one that was run; it is run anew\n" in err
    assert [line.split(":")[0] for line in err.splitlines() if line.startswith("[")] == [
        "[1/1] changes.nii.gz"
    ]
    assert json.loads((folder / "e_run.json").read_text(encoding="utf-8"))["ct_sha256"] == sums
    assert series(folder, "--resume") == 0
    assert "run anew" not in capsys.readouterr().err


def test_a_run_that_ends_before_the_changed_ct_is_done_has_no_row_of_the_old_one(folder, monkeypatch):
    write(folder / "images" / "a_0000.nii.gz", LABELS)
    assert series(folder) == 0
    write(folder / "images" / "a_0000.nii.gz", LABELS + 1)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("eval.measuring.series.run_case", interrupted)
        assert series(folder, "--resume") == 130
    assert rows_of(folder / "e.csv") == []


def containers_of(folder) -> set[str]:
    """What the names of the containers that were run begin with."""
    calls = [line.split() for line in (folder / "calls").read_text(encoding="utf-8").splitlines()]
    names = [call[call.index("--name") + 1] for call in calls if call[:2] == ["container", "run"]]
    return {name.rpartition("-")[0] for name in names if name.startswith("leanseg-eval-")}


def leave_behind(folder, capsys, name: str) -> str:
    """Run a series, and have docker tell of a container of it that is still there; what its name begins with.

    Beside it there is one of another table.
    """
    write(folder / "images" / "a_0000.nii.gz", LABELS)
    assert series(folder) == 0
    (prefix,) = containers_of(folder)
    (folder / "left").write_text(f"{prefix}-{name}\nleanseg-eval-of-another-table\n")
    (folder / "calls").unlink()
    capsys.readouterr()
    return prefix


@pytest.mark.parametrize("more", ["--resume", "--force"])
def test_a_container_that_a_killed_run_left_behind_is_removed_and_told_of(folder, capsys, more):
    prefix = leave_behind(folder, capsys, "0123")
    assert series(folder, more) == 0
    told = f"removed container {prefix}-0123, which an earlier run had left behind\n"
    assert told in capsys.readouterr().err
    calls = (folder / "calls").read_text(encoding="utf-8")
    assert f"container ls --all --filter name={prefix}- " in calls
    assert f"rm --force {prefix}-0123\n" in calls
    assert "another-table" not in calls


def test_beside_a_container_that_docker_does_not_remove_nothing_is_measured(folder, capsys):
    prefix = leave_behind(folder, capsys, "stays")
    assert series(folder, "--resume") == 2
    assert f"error: {prefix}-stays: an earlier run has left" in capsys.readouterr().err
    assert "container run" not in (folder / "calls").read_text(encoding="utf-8")
