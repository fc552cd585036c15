"""What can happen to a training run: whole files only, and the next run goes on to the same bits.

Moments are shares of a run's CPU time, so that they fall where they should on a busy machine, too.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import cycle

import matplotlib.image
import numpy as np
import pytest
import yaml

from tests.end_to_end.calls import listing, names
from tests.hostile.disks import mounted_disk, remount
from tests.hostile.moments import moments
from tests.places import ROOT
from tests.training.run_logs import learned
from tests.training.tiny import DOCUMENT, write_dataset
from training.runs.checkpoints import load_checkpoint
from training.runs.run_files import BEST, LAST, LOG

RECIPE = {
    **DOCUMENT,
    "stopping": {"kind": "fixed_steps", "steps": 24},
    "checkpoint_every_steps": 3,
    "keep_every_steps": 12,
    "validation": {"every_steps": 8, "cases": 1},
    "ema": {"decay": 0.9},
}
OF_THE_CALL = {"run.json", "times.json", LOG}
"""Files that say when and how long a run was at work."""
EVENTS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGSTOP]
HAPPENS = list(zip(moments(len(EVENTS)), cycle(EVENTS), strict=False))
pytestmark = pytest.mark.slow


class Run:
    """A training run in a process of its own."""

    def __init__(self, starter, words, log):
        self.log = log
        self._starter = starter
        starter.stdin.write(json.dumps([words, str(log)]) + "\n")
        starter.stdin.flush()
        (self.pid,) = json.loads(starter.stdout.readline())

    def send(self, number):
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait_for_cpu(self, seconds):
        """Until it took so much CPU time, or has ended."""
        wait_until(lambda: cpu_s(self.pid) >= seconds)

    def end(self):
        """Its exit code, what it said, and its CPU time, s."""
        code, used_s = json.loads(self._starter.stdout.readline())
        return code, self.log.read_text(encoding="utf-8"), used_s


def wait_until(happened):
    while not happened():
        time.sleep(0.001)


def cpu_s(pid):
    """CPU time of a process; infinite when there is none of this number any more."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # The clock that clock_getcpuclockid gives.
    except OSError:
        return float("inf")


@pytest.fixture(scope="module")
def starter():
    call = [sys.executable, "-m", "tests.hostile.forked_training"]
    pipe = subprocess.PIPE
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(call, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        process.start_s = json.loads(process.stdout.readline())[0]
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stock")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    write_dataset(folder / "data")
    return folder


@pytest.fixture(scope="module")
def words(stock):
    def call(bench, *more):
        options = {
            "--data": stock / "data",
            "--validation": stock / "data",
            "--output": bench / "run",
            "--cache": bench / "cache",
            "--cache-mb": 0,
            "--workers": 2,
            "--seed": 4,
            "--threads": 1,
            "--device": "cpu",
            "--precision": "fp32",
        }
        given = [str(word) for option in options.items() for word in option]
        return ["train", str(stock / "tiny.yaml"), *given, "--times", *more]

    return call


@pytest.fixture(scope="module")
def whole(starter, words, tmp_path_factory):
    """What undisturbed runs leave, and the CPU time that one takes, s at least."""
    benches = [tmp_path_factory.mktemp("whole") for _ in range(2)]
    ends = [Run(starter, words(bench), bench / "err").end() for bench in benches]
    assert [code for code, *_ in ends] == [0, 0], ends
    first, second = map(made, benches)
    assert first == second
    return first, min(end[2] for end in ends)


def made(bench):
    """What a run leaves that is the same for each."""
    folders = {"run": listing(bench / "run"), "cache": listing(bench / "cache")}
    kept = {name: digest for name, digest in folders["run"].items() if name not in OF_THE_CALL}
    return {**folders, "run": kept | {LOG: learned(bench / "run")}}


def read_whole(path):
    """Read a file to its end; one that is cut off is an error."""
    match path.suffix:
        case ".safetensors":
            load_checkpoint(path)
        case ".json":
            json.loads(path.read_text(encoding="utf-8"))
        case ".csv":
            rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
            assert {len(row) for row in rows} == {len(rows[0])}
        case ".png":
            matplotlib.image.imread(path)
        case ".npz":
            with np.load(path) as stored:
                assert {stored[name].shape for name in stored}
        case _:
            pytest.fail(f"{path}: what is it?")


def assert_whole(bench, *, killed):
    """All files are readable; unfinished ones, under names of their own, are left where a run was killed."""
    for path in (p for p in sorted(bench.glob("*/*")) if p.name != ".lock"):
        if path.name.startswith("."):
            assert killed, path
        elif path.name == LOG:
            lines = path.read_text(encoding="utf-8").split("\n")
            steps = [json.loads(line)["step"] for line in lines[:-1]]
            assert steps == sorted(steps)
            assert killed or not lines[-1]
        else:
            read_whole(path)


def go_on(starter, words, bench, expected):
    """The next run goes on; in the end all is as if nothing had happened, to the byte."""
    code, err, _ = Run(starter, words(bench, "--resume", "auto"), bench / "err").end()
    assert code == 0, err
    assert_whole(bench, killed=False)
    assert made(bench) == expected


def errors(err):
    return [line for line in err.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize(("moment", "number"), HAPPENS)
def test_at_a_random_moment(starter, words, whole, tmp_path, moment, number):
    expected, run_s = whole
    run = Run(starter, words(tmp_path), tmp_path / "err")
    run.wait_for_cpu(moment * 0.95 * run_s)
    run.send(number)
    if number == signal.SIGSTOP:
        assert_whole(tmp_path, killed=True)
        run.send(signal.SIGCONT)
    code, err, _ = run.end()
    assert "Traceback" not in err
    assert_whole(tmp_path, killed=number == signal.SIGKILL)
    if number == signal.SIGSTOP:
        assert (code, made(tmp_path)) == (0, expected)
    elif number == signal.SIGKILL or "done: " in err:
        # When all is done the program listens to signals no longer, and they end it.
        assert code in (0, -number)
    else:
        assert code == 128 + number
        (line,) = errors(err)
        assert line.startswith("error: interrupted" if number == signal.SIGINT else "error: terminated")
    go_on(starter, words, tmp_path, expected)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_run_that_is_ended_again_and_again(starter, words, whole, tmp_path, number):
    expected, run_s = whole
    for moment in moments(4):
        run = Run(starter, words(tmp_path, "--resume", "auto"), tmp_path / "err")
        run.wait_for_cpu(moment * 0.5 * run_s)
        run.send(number)
        run.end()
        assert_whole(tmp_path, killed=number == signal.SIGKILL)
    go_on(starter, words, tmp_path, expected)


def test_at_a_random_moment_of_a_cold_process(starter, words, whole, tmp_path):
    """Also while it is still importing."""
    expected, run_s = whole
    for moment in moments(2):
        call = [sys.executable, "-m", "training", *words(tmp_path, "--resume", "auto")]
        with subprocess.Popen(call, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            due_s = 0.1 + moment * (starter.start_s + run_s)
            while process.poll() is None and cpu_s(process.pid) < due_s:
                time.sleep(0.001)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate()
        assert process.returncode in (0, 143, -signal.SIGTERM)
        assert len(errors(err)) == (process.returncode == 143)
        assert "Traceback" not in err
        assert_whole(tmp_path, killed=False)
    go_on(starter, words, tmp_path, expected)


def stopped_in_the_middle(starter, words, bench):
    """A run that is stopped when it has written its first checkpoint."""
    run = Run(starter, words(bench), bench / "err")
    wait_until(lambda: (bench / "run" / LAST).exists() or cpu_s(run.pid) == float("inf"))
    run.send(signal.SIGSTOP)
    return run


def test_an_output_folder_that_is_removed(starter, words, whole, tmp_path):
    """The run ends in one line; the folder is not made again in silence."""
    run = stopped_in_the_middle(starter, words, tmp_path)
    (tmp_path / "run").rename(tmp_path / "gone")
    run.send(signal.SIGCONT)
    code, err, _ = run.end()
    (line,) = errors(err)
    assert code == 1
    assert line.startswith(f"error: {tmp_path / 'run'}/")
    assert line.endswith(
        "cannot be written (No such file or directory); its folder is not there, or was removed; "
        "no checkpoint was written yet: start again"
    )
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()
    (tmp_path / "gone").rename(tmp_path / "run")
    go_on(starter, words, tmp_path, whole[0])


@pytest.fixture
def disk(tmp_path):
    """A bench whose output folder is a file system of 1 MiB in memory."""
    with mounted_disk("1m") as folder:
        (tmp_path / "run").symlink_to(folder)
        yield folder


def test_a_disk_that_fills_up(starter, words, whole, disk, tmp_path):
    """There is room for a checkpoint, but not for the next one beside it."""
    run = stopped_in_the_middle(starter, words, tmp_path)
    used_kib = -(-sum(-(-path.stat().st_size // 4096) * 4096 for path in disk.iterdir()) // 1024)
    assert remount(disk, f"size={used_kib + 8}k") == 0
    run.send(signal.SIGCONT)
    code, err, _ = run.end()
    (line,) = errors(err)
    assert code == 1
    assert "No space left on device" in line
    assert line.endswith(
        f"make room on the disk; the last checkpoint is of step {load_checkpoint(disk / LAST)[1].step}: "
        "go on from it with --resume"
    )
    assert "Traceback" not in err
    assert remount(disk, "size=4m") == 0
    assert_whole(tmp_path, killed=False)
    go_on(starter, words, tmp_path, whole[0])


def test_a_disk_that_cannot_be_written(starter, words, whole, disk, tmp_path):
    assert remount(disk, "ro") == 0
    code, err, _ = Run(starter, words(tmp_path), tmp_path / "err").end()
    assert (code, err) == (
        1,
        f"error: {tmp_path}/run/.lock: cannot be written (Read-only file system); "
        "choose a folder that can be written\n",
    )
    assert remount(disk, "rw") == 0
    go_on(starter, words, tmp_path, whole[0])


def test_a_full_disk_under_the_cache(starter, words, whole, tmp_path):
    with mounted_disk("8k") as disk:
        (tmp_path / "cache").symlink_to(disk)
        code, err, _ = Run(starter, words(tmp_path), tmp_path / "err").end()
        (line,) = errors(err)
        assert code == 1
        assert line.startswith(f"error: {tmp_path / 'cache'}/case")
        assert "No space left on device" in line
        assert names(disk) == []
        assert remount(disk, "size=4m") == 0
        go_on(starter, words, tmp_path, whole[0])


def test_the_best_checkpoint_is_there(starter, words, whole):
    assert {BEST, LAST, LOG, "step-000012.safetensors"} <= whole[0]["run"].keys()
