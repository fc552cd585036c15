"""When each case of a folder is opened, planned and read, as far as memory allows."""

import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from inference.cohort.outcome import exit_code
from inference.errors import BudgetError
from inference.imaging.reading import open_image
from tests.inference.images import voxels, write_nifti
from tests.inference.predictors import Threshold, plan_with_room


@pytest.fixture
def watch_reading(monkeypatch):
    """Calls a function with a path before its voxels are read, another with path and volume after that."""

    def watch(before=lambda path: None, after=lambda path, volume: None):
        def opened(path, *given):
            image = open_image(path)

            def read():
                before(path)
                volume = image.read()
                after(path, volume)
                return volume

            return replace(image, read=read)

        monkeypatch.setattr("inference.imaging.reading.open_image", opened)

    return watch


class Late(Future):
    """Work that is done when its result is asked for."""

    def __init__(self, work, given):
        super().__init__()
        self.work, self.given = work, given

    def result(self, timeout=None):
        if not self.done():
            self.set_result(self.work(*self.given))
        return super().result(timeout)


@pytest.fixture
def write_when(monkeypatch):
    """Has results written "at once", when they are handed over, or "when waited for"; images as ever."""

    def choose(when):
        class Pool(ThreadPoolExecutor):
            def submit(self, work, *given):
                if len(given) == 1:
                    return super().submit(work, *given)  # Reads.
                future = Late(work, given)
                if when == "at once":
                    future.result()
                return future

        monkeypatch.setattr("inference.cohort.assembly_line.ThreadPoolExecutor", Pool)

    return choose


def test_the_next_case_is_read_while_one_is_segmented(bench, watch_reading):
    bench.put("12")
    second_read = threading.Event()
    watch_reading(after=lambda path, volume: second_read.set() if path.name == "2.nii.gz" else None)

    class Waits(Threshold):
        def predict(self, *given):
            assert second_read.wait(20)
            return super().predict(*given)

    outcomes, _ = bench.run(Waits())
    assert exit_code(outcomes) == 0


def test_the_next_case_is_not_read_ahead_where_memory_is_short(bench, watch_reading):
    bench.put("123")
    read = []
    watch_reading(before=lambda path: read.append(path.name))

    class Watches(Threshold):
        def predict(self, *given):
            assert len(read) == len(self.seen) + 1
            assert len(bench.written) == len(self.seen)
            return super().predict(*given)

    outcomes, _ = bench.run(Watches(), room_mb=0.0)
    assert exit_code(outcomes) == 0
    assert read == ["1.nii.gz", "2.nii.gz", "3.nii.gz"]


def test_one_image_at_a_time_where_memory_is_short(bench, watch_reading):
    bench.put("123")
    before, held = [], []
    watch_reading(
        before=lambda path: held.append([image() is not None for image in before]),
        after=lambda path, volume: before.append(weakref.ref(volume.array)),
    )
    bench.run(room_mb=0.0)
    assert held == [[], [False], [False, False]]


@pytest.mark.parametrize(("reading_mb", "on_disk"), [(1000, [0, 1, 2]), (999, [0, 0, 1])])
def test_an_image_is_read_beside_results_being_written_where_the_budget_holds_both(
    bench, watch_reading, write_when, reading_mb, on_disk
):
    """Of 1000 MiB reading leaves none to a label map of less than one, or one. Segmenting leaves none."""
    bench.put("123")
    write_when("when waited for")
    before = []
    watch_reading(before=lambda path: before.append(len(bench.written)))
    plan = plan_with_room(0.0)
    plan = replace(plan, host={**plan.host, "reading": {"all": reading_mb}})
    outcomes, predictor = bench.run(admit=lambda opened: plan)
    assert exit_code(outcomes) == 0
    assert before == on_disk
    assert predictor.reserved_mb == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("dtype", "ahead"), [("i2", True), ("f8", False)])
def test_room_for_the_next_image_is_that_of_its_type(bench, watch_reading, dtype, ahead):
    """There is room for 2 bytes a voxel, which is enough for whole numbers and too little for fractions.

    And for what reading whole numbers takes beside: three times 2 bytes for each of fewer than a million
    voxels, and 8 MiB.
    """
    write_nifti(bench.source / "1.nii.gz")
    write_nifti(bench.source / "2.nii.gz", voxels((64, 64, 64), dtype))
    in_background = {}

    def note(path):
        in_background[path.name] = threading.current_thread() is not threading.main_thread()

    watch_reading(before=note)
    bench.run(room_mb=(2 + 3 * 2) * 64**3 / 2**20 + 8)
    assert in_background == {"1.nii.gz": True, "2.nii.gz": ahead}


def test_the_predictor_is_told_what_others_hold_meanwhile(bench, write_when):
    """64³ voxels are half a MiB, and 9.5 more while they are read; as a label map they are a quarter.

    Beside the first case the second is read; beside the second the third is, and the first is written.
    """
    write_when("when waited for")
    for name in "123":
        write_nifti(bench.source / f"{name}.nii.gz", voxels((64, 64, 64), "i2"))
    _, predictor = bench.run()
    assert predictor.reserved_mb == [10.0, 10.0 + 0.25, 0.25]
    _, predictor = bench.run(room_mb=0.0)
    assert predictor.reserved_mb == [0.0, 0.0, 0.0]


def test_a_result_that_is_on_disk_takes_no_memory_and_is_told_of(bench, write_when):
    """As where reading the next image took longer than writing."""
    write_when("at once")
    for name in "123":
        write_nifti(bench.source / f"{name}.nii.gz", voxels((64, 64, 64), "i2"))
    told = []

    class Watches(Threshold):
        def predict(self, *given):
            told.append(len(bench.outcomes))
            return super().predict(*given)

    _, predictor = bench.run(Watches())
    assert predictor.reserved_mb == [10.0, 10.0, 0.0]
    assert told == [0, 1, 2]


def test_memory_that_larger_windows_may_want_is_nobody_elses(bench, watch_reading):
    """So that a case's labels do not depend on what else is in the folder."""
    bench.put("12")
    threads = []
    watch_reading(before=lambda path: threads.append(threading.current_thread()))
    plan = replace(plan_with_room(), larger_windows_mb=(9000, 0))
    _, predictor = bench.run(admit=lambda opened: plan)
    assert predictor.reserved_mb == [0.0, 0.0]
    assert threads[1] is threading.main_thread()


def test_headers_are_read_once_for_a_case(bench, monkeypatch):
    bench.put("123")
    opened = []
    monkeypatch.setattr(
        "inference.imaging.reading.open_image",
        lambda path, *given: opened.append(path.name) or open_image(path),
    )
    for room_mb in (1000.0, 0.0):
        opened.clear()
        bench.run(room_mb=room_mb)
        assert opened == ["1.nii.gz", "2.nii.gz", "3.nii.gz"]


@pytest.mark.parametrize("refused", ["1", "2", "3"])
@pytest.mark.parametrize("room_mb", [1000.0, 0.0])
def test_a_case_that_the_plan_refuses_is_never_read(bench, watch_reading, refused, room_mb):
    bench.put("123")
    read = []
    watch_reading(before=lambda path: read.append(path.name[0]))

    def admit(opened):
        if opened.case.path.name[0] == refused:
            raise BudgetError("the memory budget cannot be kept")
        return plan_with_room(room_mb)

    outcomes, predictor = bench.run(admit=admit)
    assert sorted(read) == [name for name in "123" if name != refused]
    assert len(predictor.seen) == 2
    bad = outcomes[int(refused) - 1]
    assert bad.error == f"{bad.case.path}: the memory budget cannot be kept"
    assert bad.geometry.size_zyx == (7, 6, 5), "its header is known"
    assert exit_code(outcomes) == 1


def test_each_case_is_planned_once_and_run_by_its_plan(bench):
    bench.put("123")
    plans = {}

    def admit(opened):
        assert opened.case.path.name not in plans
        return plans.setdefault(opened.case.path.name, plan_with_room())

    _, predictor = bench.run(admit=admit)
    assert [id(plan) for plan in predictor.plans] == [id(plan) for plan in plans.values()]


def test_the_predictor_is_made_for_the_first_cases_plan(bench):
    bench.put("12")
    plans, made_for = [], []
    bench.run(
        admit=lambda opened: plans.append(plan_with_room()) or plans[-1],
        open_predictor=lambda first: made_for.append(first) or Threshold(),
    )
    assert [id(plan) for plan in made_for] == [id(plans[0])]


def test_a_case_without_a_plan_is_planned_by_the_predictor(bench):
    """Where the GPU was the program's choice and its budget cannot be kept, the predictor may leave it."""
    bench.put("12")
    _, predictor = bench.run(admit=lambda opened: None)
    assert predictor.plans == [None, None]
    assert bench.statuses == ["segmented", "segmented"]
