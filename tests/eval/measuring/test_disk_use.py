"""What a container may write, with a `docker` on PATH that is a script and writes as the case's name says."""

import errno
import os
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from eval.measuring import container_process, disk_use
from eval.measuring.disk_use import disk_use_mb, free_disk_mb
from tests.eval.command_line import assert_refused, call, files_in, rows_of
from tests.eval.made import write

LABELS = np.full((3, 4, 5), 2, np.uint8)
DOCKER = """#!/bin/sh
[ "$1 $2" = "container run" ] || exit 0
for word; do case "$word" in *:/workspace/outputs/*) cd "${word%%/outputs/*}" || exit 125 ;; esac; done
for file in inputs/*; do name=${file##*/}; cp "$file" "outputs/${name%_0000.nii.gz}.nii.gz"; done
case "$name" in
    ends_full*) head -c 3145728 /dev/zero > outputs/filler ;;
    fills*) mkdir outputs/deep; head -c 3145728 /dev/zero > outputs/deep/filler; exec sleep 100000 ;;
esac
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the docker above first on PATH; what containers write is looked at often."""
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("eval.measuring.sampler.BASELINE_S", 0.0)
    monkeypatch.setattr(disk_use, "free_disk_mb", lambda _: 1000.0)  # Whatever else is written here.
    monkeypatch.setattr(container_process, "LOOK_S", 0.05)
    monkeypatch.setattr(container_process, "STOPPED_S", 0.1)
    return tmp_path


def series(folder, *more: object) -> int:
    """Exit code of `eval container` on the images that were written."""
    paths = ("--input", folder / "images", "--output", folder / "pred", "--results", folder / "e.csv")
    return call("container", "team", *paths, *more)


def ends(folder) -> list[tuple[str, str, str]]:
    """Name, status and remark of each case."""
    return [(row["Name"], row["Status"], row["Remark"]) for row in rows_of(folder / "e.csv")]


def test_a_case_that_writes_more_than_it_may_is_ended_and_the_series_goes_on(folder):
    """3 MiB are written where 2 are allowed: by a case that hangs then, and by one that ends well."""
    for name in ("ends_full", "fills", "good"):
        write(folder / "images" / f"{name}_0000.nii.gz", LABELS)
    assert series(folder, "--disk-limit", "2") == 1
    said = "wrote more than 2 MiB, which ends a case"
    assert ends(folder) == [
        ("ends_full.nii.gz", "failed", said),
        ("fills.nii.gz", "failed", said),
        ("good.nii.gz", "ok", ""),
    ]
    assert files_in(folder / "pred") == ["good.nii.gz"]


@pytest.mark.parametrize(
    ("free_mb", "said"),
    [(256, ""), (255, "the disk had less than 256 MiB left, which ends a case")],
)
def test_a_case_that_takes_room_which_its_folder_does_not_show_is_ended(folder, monkeypatch, free_mb, said):
    """Its folder holds next to nothing, and other programs may have taken what the disk lost."""
    write(folder / "images" / "good_0000.nii.gz", LABELS)
    monkeypatch.setattr(disk_use, "free_disk_mb", lambda _: free_mb)
    assert series(folder) == (1 if said else 0)
    assert ends(folder) == [("good.nii.gz", "failed" if said else "ok", said)]


class EndedProcess(subprocess.Popen):
    """A process that has ended by the time that its caller hears of it."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.wait()


def test_what_a_quick_case_has_written_counts_although_it_ended_at_once(folder, monkeypatch):
    """All 3 MiB are there before this program can look once."""
    write(folder / "images" / "ends_full_0000.nii.gz", LABELS)
    monkeypatch.setattr(container_process.subprocess, "Popen", EndedProcess)
    assert series(folder, "--disk-limit", "2") == 1
    assert ends(folder) == [("ends_full.nii.gz", "failed", "wrote more than 2 MiB, which ends a case")]


def test_a_disk_that_is_full_when_a_label_map_is_collected_fails_that_case(folder, monkeypatch):
    """The disk is full for the first label map of two, and has room again once its folder is gone."""
    for name in ("full", "good"):
        write(folder / "images" / f"{name}_0000.nii.gz", LABELS)
    copy = shutil.copyfile

    def full(source, target):
        if str(source).endswith("outputs/full.nii.gz"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        return copy(source, target)

    monkeypatch.setattr("eval.measuring.container_run.shutil.copyfile", full)
    assert series(folder) == 1
    assert ends(folder) == [
        (
            "full.nii.gz",
            "failed",
            "beside what it has written, the disk has no room left to keep its label map",
        ),
        ("good.nii.gz", "ok", ""),
    ]
    assert files_in(folder / "pred") == ["good.nii.gz"]


@pytest.mark.parametrize("limit", ["0", "nan", "-1"])
def test_a_disk_limit_that_is_none(folder, capsys, limit):
    write(folder / "images" / "good_0000.nii.gz", LABELS)
    paths = ("--input", folder / "images", "--output", folder / "pred", "--results", folder / "e.csv")
    assert_refused(capsys, ("container", "team", *paths, f"--disk-limit={limit}"), "--disk-limit is")


def test_holes_and_links_take_nothing(tmp_path):
    """A file of 2 MiB counts, one of 1 GiB that is all hole and a link to a file elsewhere do not."""
    held = tmp_path / "held"
    (held / "deep").mkdir(parents=True)
    (held / "deep" / "full").write_bytes(bytes(range(256)) * 8192)
    with (held / "hole").open("wb") as stream:
        stream.truncate(2**30)
    (tmp_path / "elsewhere").write_bytes(b"1" * 2**22)
    (held / "link").symlink_to(tmp_path / "elsewhere")
    assert disk_use_mb(held) == pytest.approx(2, abs=0.1)


def test_a_file_of_several_names_counts_once(tmp_path):
    (tmp_path / "first").write_bytes(bytes(range(256)) * 8192)
    for name in ("second", "third"):
        (tmp_path / name).hardlink_to(tmp_path / "first")
    assert disk_use_mb(tmp_path) == pytest.approx(2, abs=0.1)


def test_free_room_is_what_the_system_says(tmp_path, monkeypatch):
    """512 blocks of 4096 bytes are 2 MiB; of the 1024 that are free, the others are for root."""
    said = SimpleNamespace(f_bavail=512, f_bfree=1024, f_frsize=4096, f_bsize=65536)
    monkeypatch.setattr(os, "statvfs", lambda _: said)
    assert free_disk_mb(tmp_path) == 2
