"""What can happen to a folder run: whole results only, one fate a case, and the next run mends the rest."""

import signal
import subprocess
import sys
import time
from itertools import cycle

import pytest
import SimpleITK as sitk

from tests.end_to_end.calls import listing, names, run, start, write_case
from tests.hostile.disks import mounted_disk, remount
from tests.hostile.moments import moments
from tests.inference.bundles import make_bundle
from tests.places import ROOT

CASES = [f"case_{number:02}" for number in range(8)]
RESULTS = [f"{case}.nii.gz" for case in CASES]
SHAPE = (48, 40, 12)
WATCHED = ("--case-timeout", "600")
EVENTS = [
    (signal.SIGKILL, ()),
    (signal.SIGTERM, ()),
    (signal.SIGSTOP, ()),
    (signal.SIGKILL, WATCHED),
    (signal.SIGTERM, WATCHED),
    (signal.SIGINT, ()),
]
HAPPENS = [(moment, *event) for moment, event in zip(moments(len(EVENTS)), cycle(EVENTS), strict=False)]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """Images, a bundle, and what an undisturbed run makes of them, with the seconds that it takes."""
    folder = tmp_path_factory.mktemp("stock")
    (folder / "inputs").mkdir()
    for case in CASES:
        write_case(folder / "inputs" / f"{case}.nii.gz")
    make_bundle(folder / "bundle")
    begun = time.monotonic()
    code, _, err = run(words(folder), folder)
    assert (code, faults(err)) == (0, [])
    return folder, listing(folder / "outputs"), time.monotonic() - begun


@pytest.fixture
def bench(stock, tmp_path):
    (tmp_path / "inputs").symlink_to(stock[0] / "inputs")
    return tmp_path


def words(stock, *more):
    return [sys.executable, str(ROOT / "predict.py"), "--bundle", str(stock / "bundle"), *more]


def are_whole(folder):
    return all(sitk.ReadImage(str(folder / name)).GetSize() == SHAPE for name in visible(folder))


def faults(err):
    """What was said but warnings, of which so small an image gets some."""
    return [line for line in err.splitlines() if not line.startswith("warning: ")]


def visible(folder):
    return [name for name in names(folder) if not name.startswith(".")]


def go_on(bench, stock, expected):
    """The next run mends what is left: the same results, to the byte, and nothing else."""
    code, _, err = run(words(stock, "--skip-existing"), bench)
    assert (code, faults(err)) == (0, [])
    assert listing(bench / "outputs") == expected


def stopped_in_the_middle(command, bench, folder):
    """A run that is stopped when it has written some of its results."""
    for _ in range(10):
        process = start(command, bench)
        while not visible(folder) and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)
        if process.poll() is None and len(visible(folder)) < len(CASES):
            return process
        process.kill()
        process.communicate()
        for name in names(folder):
            (folder / name).unlink()
    pytest.fail("every run was too fast")


@pytest.mark.parametrize(("moment", "number", "options"), HAPPENS)
def test_at_a_random_moment(stock, bench, moment, number, options):
    folder, expected, seconds = stock
    process = start(words(folder, "--report", "run.json", *options), bench)
    try:
        process.wait(moment * 0.9 * seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    assert are_whole(bench / "outputs")
    if number == signal.SIGSTOP:
        process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    assert are_whole(bench / "outputs")
    if number == signal.SIGSTOP:
        assert (process.returncode, faults(err)) == (0, [])
    elif number == signal.SIGKILL:
        assert process.returncode in (0, -number)
    else:
        # Before Python listens to signals they end it.
        assert process.returncode in (0, 128 + number, -number)
        assert set(names(bench / "outputs")) <= set(RESULTS)
    go_on(bench, folder, expected)


def test_an_output_folder_that_is_removed(stock, bench):
    """The run ends in one line; the folder is not made again in silence."""
    folder, expected, _ = stock
    process = stopped_in_the_middle(words(folder, "--report", "run.json"), bench, bench / "outputs")
    (bench / "outputs").rename(bench / "gone")
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert [line for line in err.splitlines() if "cannot be written" in line]
    assert "Traceback" not in err
    go_on(bench, folder, expected)


def test_two_runs_into_one_folder(stock, bench):
    folder, expected, _ = stock
    both = [start(words(folder), bench) for _ in range(2)]
    ends = [(faults(process.communicate(timeout=120)[1]), process.returncode) for process in both]
    assert ends == [([], 0), ([], 0)]
    assert listing(bench / "outputs") == expected


def test_no_home_and_no_temporary_folder(stock, bench):
    folder, expected, _ = stock
    command = ["env", "HOME=/nonexistent", "TMPDIR=/nonexistent", "XDG_CACHE_HOME=/nonexistent"]
    code, _, err = run([*command, *words(folder)], bench)
    assert (code, faults(err)) == (0, [])
    assert listing(bench / "outputs") == expected


@pytest.fixture
def small_disk():
    with mounted_disk("24k") as folder:
        yield folder


def test_a_disk_that_fills_up(stock, bench, small_disk):
    """Results take a page of 4 KiB each: there is room for some of them."""
    folder, expected, _ = stock
    (bench / "outputs").symlink_to(small_disk)
    code, out, err = run(words(folder, "--report", "run.json"), bench)
    assert (code, len(faults(err))) == (2, 1)
    assert "No space left on device" in err
    written = listing(small_disk)
    assert 0 < len(written) < len(CASES)
    assert written.items() <= expected.items()
    assert len([line for line in out.splitlines() if " -> " in line]) == len(written)
    assert remount(small_disk, "size=1m") == 0
    go_on(bench, folder, expected)


def test_a_disk_that_can_no_longer_be_written(stock, bench, small_disk):
    folder, expected, _ = stock
    (bench / "outputs").symlink_to(small_disk)
    assert remount(small_disk, "size=1m") == 0
    process = stopped_in_the_middle(words(folder), bench, small_disk)
    while remount(small_disk, "ro") != 0:  # busy while a file is written
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, len(faults(err))) == (2, 1)
    assert "Read-only file system" in err
    assert listing(small_disk).items() <= expected.items()
    assert remount(small_disk, "rw") == 0
    go_on(bench, folder, expected)
