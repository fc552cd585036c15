"""Of what a container says, the beginning and the end are kept, and its complaint is one line."""

import os
import subprocess

import pytest

from eval.measuring.container_log import LogPump, complaint, complaint_in, shows_windows_lines


def kept(folder, said: list[bytes], kept_bytes: int) -> bytes:
    """The log of a program that says these words one after the other."""
    with (folder / "log").open("wb", buffering=0) as log:
        pump = LogPump(log, kept_bytes)
        writing = os.dup(pump.writing)
        pump.start()
        for words in said:
            os.write(writing, words)
        os.close(writing)
        pump.finish(60)
    return (folder / "log").read_bytes()


@pytest.mark.parametrize(
    ("said", "log"),
    [
        ([], b""),
        ([b"one ", b"two"], b"one two"),
        ([b"12345678"], b"12345678"),
        ([b"123456789"], "1234\n[… 1 bytes left out …]\n6789".encode()),
        ([b"12", b"345", b"6789abcdef", b"ghijkl", b"m"], "1234\n[… 14 bytes left out …]\njklm".encode()),
    ],
)
def test_the_beginning_and_the_end_are_kept(tmp_path, said, log):
    """Four bytes of each."""
    assert kept(tmp_path, said, 4) == log


def test_a_flood_ends_in_two_mib(tmp_path):
    with (tmp_path / "log").open("wb", buffering=0) as log:
        pump = LogPump(log)
        words = ["head", "-c", "20000000", "/dev/zero"]
        program = subprocess.Popen(words, stdout=pump.writing)
        pump.start()
        assert program.wait() == 0
        pump.finish(60)
    middle = f"\n[… {20_000_000 - (2 << 20)} bytes left out …]\n".encode()
    assert (tmp_path / "log").read_bytes() == bytes(1 << 20) + middle + bytes(1 << 20)


def test_who_holds_the_pipe_after_the_end_is_not_waited_for(tmp_path):
    with (tmp_path / "log").open("wb", buffering=0) as log:
        pump = LogPump(log)
        held = os.dup(pump.writing)
        os.write(held, b"all that was said")
        pump.start()
        while not (tmp_path / "log").stat().st_size:
            pass
        pump.finish(0.1)
        os.write(held, b", and more")
        os.close(held)
    assert (tmp_path / "log").read_bytes() == b"all that was said"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "nothing was said"),
        ("first\nError: none\nlast\n", "Error: none"),
        ("first\nlast\n\n", "last"),
        ("\x1b[2Jerror\x07: \u202eall good", "\\x1b[2Jerror\\x07: \\u202eall good"),
        ("error " + "y" * 1000, "error " + "y" * 294),
    ],
)
def test_a_complaint_is_one_printable_line(text, line):
    assert complaint(text) == line


def test_a_complaint_is_looked_for_at_the_end_of_a_log(tmp_path):
    (tmp_path / "log").write_bytes(b"error: early\n" + b"x" * 70_000 + b"\nlast \xff\n")
    assert complaint_in(tmp_path / "log") == "last \ufffd"


@pytest.mark.parametrize(
    ("said", "complains"),
    [
        (b"predict.sh: 2: python\r: not found\n", "predict.sh: 2: python: not found"),
        (b"predict.sh: 1: set: Illegal option -\r\n", "predict.sh: 1: set: Illegal option -"),
        (b"predict.sh: line 1: set: -\r: invalid option\n", "predict.sh: line 1: set: -: invalid option"),
        (
            b"predict.sh: line 2: cd: $'/tmp\\r': No such file or directory\n",
            "predict.sh: line 2: cd: $'/tmp\\r': No such file or directory",
        ),
        (
            b"python: can't open file '/workspace/predict.py\\r': [Errno 2]\n",
            "python: can't open file '/workspace/predict.py\\r': [Errno 2]",
        ),
    ],
)
def test_windows_line_endings_are_known_by_what_shells_say(tmp_path, said, complains):
    """In the words of dash, of bash and of Python."""
    (tmp_path / "log").write_bytes(b"starts\n" + said)
    assert shows_windows_lines(tmp_path / "log")
    assert complaint_in(tmp_path / "log") == complains


@pytest.mark.parametrize("said", [b"predict.sh: 2: python: not found\n", b"10 %\r20 %\rerror: no\n", b""])
def test_other_complaints_are_not_of_line_endings(tmp_path, said):
    (tmp_path / "log").write_bytes(said)
    assert not shows_windows_lines(tmp_path / "log")
