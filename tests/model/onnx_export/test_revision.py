"""Which version of this program makes a bundle."""

import subprocess

import pytest

from model.onnx_export import revision
from model.onnx_export.revision import UNKNOWN, git_revision


@pytest.fixture(autouse=True)
def nothing_known():
    git_revision.cache_clear()
    yield
    git_revision.cache_clear()


def test_git_is_asked_once(monkeypatch):
    """A manifest is made twice, before the export and after it."""
    calls = []

    def run(call, **_):
        calls.append(call)
        return subprocess.CompletedProcess(call, 0, stdout="0123abc\n")

    monkeypatch.setattr(revision.subprocess, "run", run)
    assert [git_revision(), git_revision()] == ["0123abc", "0123abc"]
    assert calls == [["git", "rev-parse", "HEAD"]]


def test_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_revision() == UNKNOWN
