"""Nothing half-written, nothing replaced unless asked; what a command ends with when something breaks."""

import importlib
import json
import os
import stat

import pytest

from eval.__main__ import COMMANDS
from eval.eval_errors import JudgingError
from eval.files import atomic_path, check_writable, read_csv, write_csv, write_json
from eval.machine import free_memory_bytes
from eval.pool import side_by_side
from tests.eval.command_line import call, files_in


class BreakOffError(Exception):
    pass


def write_half(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half of")
        raise BreakOffError


@pytest.mark.parametrize("former", [None, "former"])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, former):
    path = tmp_path / "table.csv"
    if former is not None:
        path.write_text(former)
    with pytest.raises(BreakOffError):
        write_half(path)
    assert files_in(tmp_path) == ([] if former is None else ["table.csv"])
    assert former is None or path.read_text(encoding="utf-8") == former
    with atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".csv"
        temporary.write_text("the whole")
    assert path.read_text(encoding="utf-8") == "the whole"
    assert files_in(tmp_path) == ["table.csv"]


def test_a_file_may_be_read_by_whoever_may_read_others(tmp_path):
    (tmp_path / "other").touch()
    with atomic_path(tmp_path / "ours") as temporary:
        temporary.touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("other", "ours")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize(
    ("name", "force", "said"),
    [
        ("new.csv", False, None),
        ("new.csv", True, None),
        ("old.csv", True, None),
        ("old.csv", False, "old.csv: exists already"),
        ("folder", False, "folder: is a folder"),
        ("folder", True, "folder: is a folder"),
        ("none/new.csv", True, "none: no such folder"),
    ],
)
def test_what_can_be_written(tmp_path, name, force, said):
    (tmp_path / "old.csv").touch()
    (tmp_path / "folder").mkdir()
    if said is None:
        check_writable([tmp_path / name], force)
        return
    with pytest.raises(JudgingError, match=said):
        check_writable([tmp_path / "new.csv", tmp_path / name], force)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], "a,b\n"),
        ([{"a": "1", "b": "2"}], "a,b\n1,2\n"),
        ([{"a": "1"}], "a,b\n1,\n"),
        ([{"a": "1,5", "b": 'say "x"'}], 'a,b\n"1,5","say ""x"""\n'),
        ([{"a": "é", "b": "≤"}], "a,b\né,≤\n"),
        ([{"a": "=1+1", "b": "-1"}], "a,b\n'=1+1,-1\n"),
        ([{"a": "'=1+1", "b": "@x"}], "a,b\n''=1+1,'@x\n"),
    ],
)
def test_tables_come_back_as_they_were_written(tmp_path, rows, text):
    write_csv(tmp_path / "t.csv", ["a", "b"], rows)
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == text
    columns, found = read_csv(tmp_path / "t.csv")
    assert columns == ["a", "b"]
    assert found == [{"a": "", "b": "", **row} for row in rows]


def test_a_name_that_is_no_utf8_is_spelled_out_in_tables_and_comes_back_from_documents(tmp_path):
    name = os.fsdecode(b"\xff.nii.gz")
    write_csv(tmp_path / "t.csv", ["a"], [{"a": name}])
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == "a\n\\udcff.nii.gz\n"
    write_json(tmp_path / "t.json", {"left_out": [name, "é"]})
    assert json.loads((tmp_path / "t.json").read_text(encoding="utf-8")) == {"left_out": [name, "é"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1\n", "longer or shorter"),
        (b"a,b\n1,2,3\n", "longer or shorter"),
        (b"a,b\n\xff\xff,1\n", "cannot be read"),
        (None, "no such file"),
    ],
)
def test_what_is_no_table(tmp_path, content, said):
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(JudgingError, match=f"t.csv: .*{said}"):
        read_csv(tmp_path / "t.csv")


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(JudgingError, match="cannot be read"):
        read_csv(tmp_path)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (JudgingError("a.csv: is wrong; mend it"), 2, "error: a.csv: is wrong; mend it\n"),
        (JudgingError("a\n\x1b[2J.csv: is wrong"), 2, "error: a\\n\\x1b[2J.csv: is wrong\n"),
        (
            OSError(28, "No space left on device", "b.csv"),
            2,
            "error: b.csv: No space left on device; make room on the disk\n",
        ),
        (OSError("something"), 2, "something\n"),
        (KeyboardInterrupt(), 130, "only whole files were written\n"),
    ],
)
def test_how_a_command_that_fails_ends(tmp_path, monkeypatch, capsys, error, code, said):
    def fail(_) -> int:
        raise error

    monkeypatch.setattr("eval.commands.compare.run", fail)
    assert call("compare", tmp_path / "a.csv", tmp_path / "b.csv") == code
    err = capsys.readouterr().err
    assert err.endswith(said)
    assert err.count("\n") == 1


def test_a_fault_of_the_program_is_not_hidden(tmp_path, monkeypatch):
    def fail(_) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("eval.commands.compare.run", fail)
    with pytest.raises(ZeroDivisionError):
        call("compare", tmp_path / "a.csv", tmp_path / "b.csv")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_its_exit_codes(capsys, name):
    assert call(name, "--help") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: python -m eval {name}")
    assert "exit codes: " in out
    first = importlib.import_module(f"eval.commands.{name.replace('-', '_')}").__doc__.splitlines()[0]
    assert first in " ".join(out.split())


def test_each_command_of_the_example_has_a_line_of_its_own(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    assert call("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    examples = [line.removeprefix("    python -m eval ").split()[0] for line in lines if "team/" in line]
    assert examples == ["container", "score", "report", "--images", "compare"]
    assert "    python -m eval rank team other --output ranking.csv" in lines
    assert (
        "exit codes: 0 all went well; 1 done, but some cases were in error and are named; 2 wrong input"
        in lines
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--help",), 0, "exit codes"),
        ((), 2, "COMMAND"),
        (("judge",), 2, "judge"),
        (("--verbose", "compare", "a.csv", "b.csv"), 2, "--verbose"),
        (("benchmark",), 2, "WHAT"),
        (("benchmark", "memory"), 2, "memory"),
        (("benchmark", "metrics", "--help"), 0, "surface-distance"),
        (("benchmark", "inference", "--help"), 0, "--contestants"),
    ],
)
def test_calls_without_a_command_that_there_is(capsys, words, code, said):
    assert call(*words) == code
    out, err = capsys.readouterr()
    assert said in (err if code else out)


def halved(number: int) -> float:
    if number < 0:
        raise MemoryError
    return number / 2


@pytest.mark.parametrize(("numbers", "jobs"), [([], 2), ([4], 2), ([4, 6], 1), ([4, 6, 8], 2)])
def test_work_is_done_once_for_each_item(numbers, jobs):
    assert sorted(side_by_side(halved, numbers, jobs)) == [number / 2 for number in numbers]


def test_one_process_gives_results_as_they_are_asked_for():
    done: list[int] = []
    results = side_by_side(lambda number: done.append(number) or number, [1, 2, 3], 1)
    assert next(results) == 1
    assert done == [1]


def test_too_little_memory_is_one_line_that_tells_the_remedy():
    with pytest.raises(JudgingError, match="lower --jobs"):
        list(side_by_side(halved, [-1, -1], 2))


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 1000 * 1024),
        ({"memory.max": "max", "memory.current": "1"}, 1000 * 1024),
        ({"memory.max": "500000", "memory.current": "200000"}, 300_000),
        ({"memory.max": "500000"}, 1000 * 1024),
        ({"memory/memory.limit_in_bytes": "9000", "memory/memory.usage_in_bytes": "1000"}, 8000),
        ({"memory.max": "10", "memory.current": "200"}, 0),
    ],
)
def test_free_memory_within_a_container(tmp_path, files, free):
    (tmp_path / "meminfo").write_text(
        "MemFree: 1 kB\nMemAvailable: 1000 kB\nHugePages: 0\n", encoding="ascii"
    )
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert free_memory_bytes(tmp_path / "meminfo", tmp_path) == free
