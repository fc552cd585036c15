"""Standard streams that cannot be written cost lines, and nothing else."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from inference.cohort.progress import Console

FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full")


@needs_full
def test_a_full_output_is_said_once_and_ends_nothing():
    complaints = io.StringIO()
    with FULL.open("w", encoding="utf-8") as full:
        console = Console(full, complaints)
        for text in ("a.nii.gz", "b.nii.gz"):
            console.say(text)
    assert complaints.getvalue() == (
        f"standard output cannot be written ({os.strerror(errno.ENOSPC)}): lines are lost, no result\n"
    )


@needs_full
def test_full_complaints_leave_the_results(capsys):
    with FULL.open("w", encoding="utf-8") as full:
        console = Console(sys.stdout, full)
        console.complain("a warning")
        console.say("a.nii.gz")
    assert capsys.readouterr().out == "a.nii.gz\n"


def test_streams_that_were_closed_before_the_start(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    console = Console()
    console.progress(1, 2, "a")
    console.say("a.nii.gz")
    console.complain("a warning")
    console.end_progress()
    found = io.StringIO()
    Console(err=found).complain("another")
    assert found.getvalue() == "another\n"
