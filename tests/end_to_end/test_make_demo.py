"""`make demo CT=…`: programs that only record their words stand for those that segment and draw."""

import importlib.util
import json
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.places import ROOT

SCRIPT = ROOT / "docs" / "demonstration" / "my_ct.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("my_ct", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture
def demo(script, tmp_path, monkeypatch):
    """Runs the script in a folder with a CT and results of an earlier call.

    Gives its exit code, what is in build/mine then, and the programs' words.
    """
    monkeypatch.chdir(tmp_path)
    Path("ct.nii.gz").write_text("ct")
    Path("build/mine").mkdir(parents=True)
    Path("build/mine/old.nii.gz").write_text("old")

    def segmented(name, warnings):
        return {
            "input": f"/in/{name}",
            "output": f"{name}.nii.gz",
            "status": "segmented",
            "warnings": warnings.get(name, []),
        }

    def run(ct, *, segments=("ct",), code=0, warnings=MappingProxyType({})):
        calls = []

        def program(*words, quiet=True):
            calls.append(words)
            if words[0] == "predict.py":
                for name in segments:
                    (script.MINE / f"{name}.nii.gz").write_text("new")
                failed = {"input": "/in/bad", "status": "failed"}
                cases = [failed, *(segmented(name, warnings) for name in segments)]
                (script.MINE / "run.json").write_text(json.dumps({"cases": cases}))
            return 0 if "picture" in words else code  # What could not be segmented is not shown either.

        monkeypatch.setattr(script, "program", program)
        ended = script.main([ct])
        assert [path.name for path in Path("build").iterdir()] == ["mine"]
        return ended, sorted(path.name for path in Path("build/mine").iterdir()), calls

    return run


def test_make_hands_the_path_on():
    assert '@$(BIN)/python docs/demonstration/my_ct.py "$(CT)"' in (ROOT / "Makefile").read_text(
        encoding="utf-8"
    )


def test_results_take_the_place_of_earlier_ones(demo, capsys):
    code, left, calls = demo("ct.nii.gz")
    assert (code, left) == (0, ["ct.nii.gz", "run.json"])
    assert "open in a browser: build/mine/report/index.html" in capsys.readouterr().out
    assert [words[:3] for words in calls[1:]] == [("-m", "eval", "report"), ("-m", "eval", "picture")]
    assert all("--run=build/mine/run.json" in words for words in calls[1:]), "both show the doubts"


def test_programs_are_given_the_paths_at_which_the_results_stay(demo):
    """They print them."""
    _, _, calls = demo("ct.nii.gz")
    paths = [word.partition("=")[2] for words in calls for word in words if "build/" in word]
    assert "build/mine/run.json" in paths
    assert {Path(path).parts[:2] for path in paths} == {("build", "mine")}


@pytest.mark.parametrize(("segments", "left"), [([], ["old.nii.gz"]), (["ct"], ["ct.nii.gz", "run.json"])])
def test_what_a_killed_call_put_aside_is_not_lost(demo, segments, left):
    Path("build/mine").rename("build/mine.earlier")
    Path("build/mine").mkdir()
    Path("build/mine/half.nii.gz").write_text("half")
    assert demo("ct.nii.gz", segments=segments)[:2] == (0, left)


def test_what_is_not_there_is_refused(demo, capsys):
    assert demo("nowhere.nii.gz") == (2, ["old.nii.gz"], [])
    assert capsys.readouterr().err == "error: nowhere.nii.gz: no such file or folder\n"


@pytest.mark.parametrize("ct", ["build/mine/old.nii.gz", "build/mine", "link.nii.gz"])
def test_a_ct_among_the_results_is_refused_and_stays(demo, capsys, ct):
    Path("link.nii.gz").symlink_to("build/mine/old.nii.gz")
    assert demo(ct) == (2, ["old.nii.gz"], [])
    assert f"error: {ct}: lies in build/mine" in capsys.readouterr().err


@pytest.mark.parametrize("code", [1, 2, 130])
def test_earlier_results_stay_where_there_are_no_new_ones(demo, code):
    ended, left, calls = demo("ct.nii.gz", code=code, segments=[])
    assert (ended, left, len(calls)) == (code, ["old.nii.gz"], 1)


@pytest.mark.parametrize("code", [130, 2])
def test_what_was_finished_before_a_run_ended_is_kept_and_named(demo, capsys, code):
    """By Ctrl-C, or a full disk."""
    ended, left, calls = demo("ct.nii.gz", code=code, segments=["a", "b"])
    assert (ended, left, len(calls)) == (code, ["a.nii.gz", "b.nii.gz", "run.json"], 1)
    told = "kept, as far as it came: labels: build/mine/a.nii.gz build/mine/b.nii.gz\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(("returned", "code"), [(130, 130), (-2, 130), (0, 0)])
def test_a_program_is_waited_for_after_each_ctrl_c(script, monkeypatch, returned, code):
    waits = [KeyboardInterrupt, KeyboardInterrupt, returned]

    class Program:
        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            assert not waits

        def wait(self):
            if isinstance(ended := waits.pop(0), int):
                return ended
            raise ended

    monkeypatch.setattr(script.subprocess, "Popen", Program)
    assert script.program("predict.py") == code


def test_a_name_may_begin_with_a_dash(demo):
    Path("-dash.nii.gz").write_text("ct")
    code, _, (segmented, reported, _) = demo("-dash.nii.gz")
    assert code == 0
    assert "--input=-dash.nii.gz" in segmented
    assert {"--images=-dash.nii.gz", "--title=-dash.nii.gz"} <= set(reported)


def test_a_case_that_failed_does_not_keep_the_others_from_being_shown(demo, capsys):
    Path("cts").mkdir()
    code, left, calls = demo("cts", segments=["b"], code=1)
    assert (code, left) == (1, ["b.nii.gz", "run.json"])
    assert "open in a browser" in capsys.readouterr().out
    assert "--image=/in/b" in calls[2]


def test_a_label_map_beside_the_ct_does_not_take_its_picture(demo, capsys):
    Path("scan").mkdir()
    told = "holds only 14 different values from 0 to 13, as a label map or a picture does; give a CT"
    code, _, calls = demo("scan", segments=["ct", "labels"], warnings={"labels": [told]})
    assert code == 0
    assert {"--image=/in/ct", "--labels=build/mine/ct.nii.gz"} <= set(calls[2])
    code, _, calls = demo("scan", segments=["a", "b"])
    assert (code, len(calls)) == (0, 2)
    assert "picture: none, which is for one CT alone: give its file" in capsys.readouterr().out


def test_label_maps_are_told_as_they_are_looked_for():
    source = (ROOT / "inference" / "trust" / "input_doubts.py").read_text(encoding="utf-8")
    assert "as a label map or a picture does" in source
