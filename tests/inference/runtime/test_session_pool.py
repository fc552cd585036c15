"""Networks loaded together or one after another, and what follows when memory runs out; fake networks."""

from dataclasses import replace

import numpy as np
import pytest

from inference import label_map
from inference import predictor as predictor_module
from inference.errors import BudgetError, DeviceError, DeviceMemoryError
from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.limits import MemoryAtHand
from inference.planning.plan import Budget
from inference.planning.planner import Planner
from inference.postprocessing.components import clean_runs
from inference.predictor import Predictor
from inference.runtime import session_pool as sessions_module
from inference.runtime.onnxruntime_session import cuda_options
from inference.runtime.session_pool import Loading, Sessions
from tests.inference.bundles import THRESHOLDS, abdomen, hu, localization, make_bundle, member

MEMBERS = [member(file=f"{i}.onnx", memory_mb={"cuda-fp32": 600, "onnxruntime-fp32": 60}) for i in range(3)]
GEOMETRY = Geometry(size_zyx=(12, 40, 48), spacing_zyx_mm=(2.5, 1.5, 1.0))


class FakeDevice:
    """Opens fake networks and remembers it.

    Those of the backends in `full` run out of memory while more than `fit` are open.
    """

    def __init__(self, full=(), fit=0):
        self.full, self.fit = full, fit
        self.broken = ()  # Backends whose libraries do not load.
        self.open, self.most, self.opened = [], 0, []

    def __call__(self, path, backend, settings, read):
        if backend in self.broken:
            raise DeviceError(f"{path.name}: {backend} cannot load it")
        if backend in self.full and len(self.open) >= self.fit:
            raise DeviceMemoryError(f"{path.name}: does not fit")
        self.open.append(path.name)
        self.opened.append((path.name, backend, settings))
        self.most = max(self.most, len(self.open))
        return FakeNetwork(self, path.name)


class FakeNetwork:
    """What `onnx_files.bands` computes."""

    def __init__(self, device, name):
        self.device, self.name = device, name

    def run(self, window):
        classes = np.arange(len(THRESHOLDS) + 1, dtype=np.float32).reshape(1, -1, 1, 1, 1)
        offsets = np.concatenate([[0], np.cumsum(THRESHOLDS)]).astype(np.float32).reshape(1, -1, 1, 1, 1)
        return 200 * (classes * window - offsets)

    def close(self):
        self.device.open.remove(self.name)


@pytest.fixture
def device(monkeypatch):
    fake = FakeDevice()
    monkeypatch.setattr(sessions_module, "open_session", fake)
    monkeypatch.setattr(predictor_module, "load_library", lambda backend: None)
    monkeypatch.setattr(
        predictor_module,
        "select_backend",
        lambda device: {"auto": "cuda", "cpu": "onnxruntime"}.get(device, device),
    )
    return fake


VOLUME = Volume(array=hu(abdomen()), geometry=GEOMETRY)


def run(bundle, device, **options):
    """The predictor, and what it made of a case."""
    predictor = Predictor(bundle, device=device, **options)
    segmented = predictor.predict(VOLUME)
    np.testing.assert_array_equal(segmented.labels, abdomen())
    return predictor, segmented


def test_networks_are_opened_once_and_kept(device, tmp_path):
    predictor, _ = run(make_bundle(tmp_path / "b", MEMBERS), "cuda")
    predictor.predict(VOLUME)
    assert [name for name, _, _ in device.opened] == ["0.onnx", "1.onnx", "2.onnx"]
    predictor.close()
    assert device.open == []


def test_no_gpu_is_touched_before_the_first_window(device, tmp_path):
    Predictor(make_bundle(tmp_path / "b", MEMBERS), device="cuda")
    assert device.opened == []
    Predictor(make_bundle(tmp_path / "c", MEMBERS), device="cpu")
    assert len(device.opened) == 3


def test_networks_are_released_before_clean_up(device, tmp_path, monkeypatch):
    bundle = make_bundle(tmp_path / "b", MEMBERS)
    held = []
    monkeypatch.setattr(
        label_map, "clean_runs", lambda *args: held.append(len(device.open)) or clean_runs(*args)
    )
    run(bundle, "cuda", release=True)
    run(bundle, "cuda")
    assert held == [0, 3]


def test_members_are_loaded_at_the_same_time_and_go_in_turn(device, tmp_path):
    members = [member(file=f"{i}.onnx") for i in range(3)]
    sessions = Sessions(make_bundle(tmp_path / "b", members), "onnxruntime", threads=2, precision=None)
    sessions.prepare(members)
    assert device.opened == []  # No plan allowed it.
    sessions.follow(Loading(at_once=1, ahead=True))
    sessions.prepare(members)
    first = sessions.get(members[0])
    assert sessions.get(members[0]) is first
    sessions.get(members[1])
    assert "0.onnx" not in device.open
    sessions.close()  # The third was never asked for.
    assert device.open == []
    assert sorted(name for name, _, _ in device.opened) == ["0.onnx", "1.onnx", "2.onnx"]


def test_a_network_that_does_not_load_ahead_is_told_of_when_it_is_asked_for(device, tmp_path):
    device.broken = ("onnxruntime",)
    members = [member(file=f"{i}.onnx") for i in range(2)]
    sessions = Sessions(make_bundle(tmp_path / "b", members), "onnxruntime", threads=2, precision=None)
    sessions.follow(Loading(at_once=1, ahead=True))
    sessions.prepare(members)
    with pytest.raises(DeviceError, match=r"0\.onnx: onnxruntime cannot load it"):
        sessions.get(members[0])
    sessions.close()


def test_one_after_another_gives_the_same(device, tmp_path):
    _, segmented = run(make_bundle(tmp_path / "b", MEMBERS), "cuda", budget=Budget(gpu_mb=1500))
    assert device.most == 1
    assert segmented.plan.at_once == 1
    assert all(settings.tight for _, _, settings in device.opened)


def test_the_budget_limits_the_arenas(device, tmp_path):
    run(make_bundle(tmp_path / "b", MEMBERS), "cuda", budget=Budget(gpu_mb=3500))
    assert [settings.gpu_limit_mb for _, _, settings in device.opened] == [1000] * 3


HALF = [member(file="a.onnx", fp16_file="a.fp16.onnx"), member(file="b.onnx")]


@pytest.mark.parametrize(
    ("options", "files", "precisions"),
    [
        ({"device": "cuda"}, ["a.fp16.onnx", "b.onnx"], ["fp16", "fp32"]),
        ({"device": "cuda", "precision": "fp32"}, ["a.onnx", "b.onnx"], ["fp32", "fp32"]),
        ({"device": "cpu"}, ["a.onnx", "b.onnx"], ["fp32", "fp32"]),
    ],
)
def test_gpus_compute_in_fp16_where_the_bundle_can(device, tmp_path, options, files, precisions):
    _, segmented = run(make_bundle(tmp_path / "b", HALF), **options)
    assert [name for name, _, _ in device.opened] == files
    assert segmented.plan.precisions == dict(zip(("a.onnx", "b.onnx"), precisions, strict=True))


def test_the_cpu_that_goes_on_computes_in_its_own_precision(device, tmp_path):
    device.full = ("cuda",)
    run(make_bundle(tmp_path / "b", HALF), "auto")
    assert [(name, backend) for name, backend, _ in device.opened] == [
        ("a.onnx", "onnxruntime"),
        ("b.onnx", "onnxruntime"),
    ]


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", "0"), (None, None)])
def test_fp32_that_was_asked_for_is_not_rounded_by_tensor_cores(device, tmp_path, precision, tf32):
    run(make_bundle(tmp_path / "b", [member(precision="bf16")]), "cuda", precision=precision)
    ((_, _, settings),) = device.opened
    assert cuda_options(settings).get("use_tf32") == tf32


def test_a_large_network_may_take_more_than_a_small_one(device, tmp_path):
    members = [member(file=f"{mb}.onnx", memory_mb={"cuda-fp32": mb}) for mb in (200, 800)]
    run(make_bundle(tmp_path / "b", members), "cuda", budget=Budget(gpu_mb=2500))
    assert [settings.gpu_limit_mb for _, _, settings in device.opened] == [400, 1600]


def told(segmented):
    """Its warnings, but for those about an image as small as this one."""
    return [warning for warning in segmented.warnings if "expect poor labels" not in warning]


SMALLER = "trying once more with a smaller plan"
ON_THE_CPU = "GOING ON WITH THE CPU"


def test_out_of_memory_one_smaller_plan(device, tmp_path):
    device.full, device.fit = ("cuda",), 1
    predictor, segmented = run(make_bundle(tmp_path / "b", MEMBERS), "cuda")
    assert predictor.backend == segmented.plan.backend == "cuda"
    assert device.most == 1
    (warning,) = told(segmented)
    assert SMALLER in warning


def test_out_of_memory_then_the_cpu_said_loudly(device, tmp_path):
    device.full = ("cuda",)
    predictor, segmented = run(make_bundle(tmp_path / "b", MEMBERS), "auto")
    assert predictor.backend == segmented.plan.backend == "onnxruntime"
    first, second = told(segmented)
    assert SMALLER in first
    assert ON_THE_CPU in second


def test_a_plan_for_the_device_that_was_left_is_not_followed(device, tmp_path):
    device.full = ("cuda",)
    predictor = Predictor(make_bundle(tmp_path / "b", MEMBERS), device="auto")
    plan = predictor.planner.plan(GEOMETRY)
    assert plan.backend == "cuda"
    assert predictor.predict(VOLUME, plan).plan.backend == "onnxruntime"


def test_each_case_that_runs_out_of_memory_is_tried_once_more_and_says_so(device, tmp_path):
    """Cases of a folder are planned from their headers, by who knows nothing of the case before."""
    device.full, device.fit = ("cuda",), 1
    bundle = make_bundle(tmp_path / "b", MEMBERS)
    planned = Planner(bundle=bundle, backend="cuda").plan(GEOMETRY)
    assert planned.at_once == 3
    predictor = Predictor(bundle, device="cuda")
    first, second = (predictor.predict(VOLUME, planned) for _ in range(2))
    assert [SMALLER in "".join(told(segmented)) for segmented in (first, second)] == [True, True]
    assert (first.plan.at_once, second.plan.at_once) == (1, 1)


def test_a_case_is_run_as_planned_whatever_the_one_before_met(device, tmp_path):
    """Its labels follow from its image, the bundle and the budget, and from no case before it."""
    device.full, device.fit = ("cuda",), 1
    predictor, first = run(make_bundle(tmp_path / "b", MEMBERS), "cuda")
    device.full = ()
    second = predictor.predict(VOLUME)
    assert (first.plan.at_once, second.plan.at_once) == (1, 3)
    assert [len(told(segmented)) for segmented in (first, second)] == [1, 0]


def test_plans_for_a_device_that_was_left_are_not_followed_later(device, tmp_path, monkeypatch):
    device.broken = ("cuda",)
    bundle = make_bundle(tmp_path / "b", MEMBERS)
    planned = Planner(bundle=bundle, backend="cuda").plan(GEOMETRY)
    predictor = Predictor(bundle, device="auto")
    predictor.predict(VOLUME, planned)
    followed = []
    follow = Sessions.follow
    monkeypatch.setattr(
        Sessions, "follow", lambda self, loading: followed.append(loading) or follow(self, loading)
    )
    segmented = predictor.predict(VOLUME, planned)
    (warning,) = told(segmented)
    assert warning.startswith("on the CPU, which is slower, since an earlier case had to leave the GPU (")
    assert {loading.gpu_limit_mb for loading in followed} == {0}


def test_few_slices_are_told_once_however_often_a_case_is_tried(device, tmp_path):
    device.full = ("cuda",)
    predictor = Predictor(make_bundle(tmp_path / "b", MEMBERS), device="auto")
    two = Volume(array=VOLUME.array[5:7], geometry=replace(GEOMETRY, size_zyx=(2, 40, 48)))
    warnings = predictor.predict(two).warnings
    assert sum(ON_THE_CPU in warning for warning in warnings) == 1
    assert sum("has only 2 slices" in warning for warning in warnings) == 1


def test_libraries_of_cuda_that_do_not_load_lead_to_the_cpu_at_once(device, tmp_path):
    device.broken = ("cuda",)
    bundle = make_bundle(tmp_path / "b", MEMBERS)
    predictor, segmented = run(bundle, "auto")
    assert predictor.backend == "onnxruntime"
    (warning,) = told(segmented)
    assert ON_THE_CPU in warning
    with pytest.raises(DeviceError, match="cuda cannot load it"):
        run(bundle, "cuda")


def test_cuda_that_was_asked_for_is_never_left(device, tmp_path):
    device.full = ("cuda",)
    predictor = Predictor(make_bundle(tmp_path / "b", MEMBERS), device="cuda")
    with pytest.raises(DeviceMemoryError):
        predictor.predict(VOLUME)
    assert device.open == []


def test_a_gpu_budget_that_cannot_be_kept(device, tmp_path):
    bundle = make_bundle(tmp_path / "b", MEMBERS)
    with pytest.raises(BudgetError, match="GPU memory"):
        run(bundle, "cuda", budget=Budget(gpu_mb=700))
    predictor, segmented = run(bundle, "auto", budget=Budget(gpu_mb=700))
    assert predictor.backend == "onnxruntime"
    assert any(ON_THE_CPU in warning for warning in segmented.warnings)


def test_out_of_memory_while_running(device, tmp_path, monkeypatch):
    calls = []

    def run_once_without_memory(self, window, run=FakeNetwork.run):
        calls.append(self.name)
        if len(calls) == 3:
            raise DeviceMemoryError("the device ran out of memory")
        return run(self, window)

    monkeypatch.setattr(FakeNetwork, "run", run_once_without_memory)
    _, segmented = run(make_bundle(tmp_path / "b", MEMBERS), "cuda")
    assert segmented.plan.at_once == 1
    assert SMALLER in segmented.warnings[0]


def test_warnings_are_those_of_their_case(device, tmp_path):
    device.full, device.fit = ("cuda",), 1
    predictor, segmented = run(make_bundle(tmp_path / "b", MEMBERS), "cuda")
    assert len(told(segmented)) == 1
    device.full = ()
    assert told(predictor.predict(VOLUME)) == []


def test_what_does_not_fit_together_is_not_loaded_ahead(device, tmp_path):
    sessions = Sessions(make_bundle(tmp_path / "b", MEMBERS), "onnxruntime", threads=1, precision=None)
    sessions.load_all(179)
    assert device.open == []
    sessions.load_all(180)
    assert len(device.open) == 3
    plan = Planner(bundle=make_bundle(tmp_path / "c", MEMBERS), backend="onnxruntime").plan(
        GEOMETRY, small=True
    )
    sessions.follow(plan.loading)
    assert device.open == ["2.onnx"]


@pytest.mark.parametrize(("small", "loaded"), [(False, 3), (True, 0)])
def test_networks_are_loaded_while_the_first_case_is_read_where_its_plan_has_room(
    device, tmp_path, small, loaded
):
    """By half of the budget, 4 GiB, they might be."""
    bundle = make_bundle(tmp_path / "b", MEMBERS)
    first = Planner(bundle=bundle, backend="onnxruntime").plan(GEOMETRY, small=small)
    assert first.at_once == (1 if small else 3)
    Predictor(bundle, device="onnxruntime", threads=1, first=first).close()
    assert len(device.opened) == loaded
    Predictor(bundle, device="onnxruntime", threads=1).close()
    assert len(device.opened) == loaded + 3


@pytest.mark.parametrize(("whole_below_mm", "loaded"), [(0.0, ["roi.onnx"]), (500.0, [])])
def test_where_networks_run_in_turn_the_one_that_localizes_is_loaded_while_the_first_case_is_read(
    device, tmp_path, whole_below_mm, loaded
):
    """Unless the case is lower than what is localized in."""
    found = localization(whole_below_mm=whole_below_mm)
    bundle = make_bundle(tmp_path / "b", MEMBERS, localization=found)
    first = Planner(bundle=bundle, backend="onnxruntime").plan(GEOMETRY, small=True)
    with Predictor(bundle, device="onnxruntime", threads=1, first=first):
        assert device.open == loaded


@pytest.mark.parametrize("small", [True, False])
def test_what_does_not_fit_while_the_first_case_is_read_is_that_cases_affair(device, tmp_path, small):
    """In turn, or all at a time: none fits when the predictor is made, all do when the case is run."""
    bundle = make_bundle(tmp_path / "b", MEMBERS, localization=localization())
    first = Planner(bundle=bundle, backend="onnxruntime").plan(GEOMETRY, small=small)
    device.full = ("onnxruntime",)
    with Predictor(bundle, device="onnxruntime", threads=1, first=first) as predictor:
        assert device.opened == []
        device.full = ()
        np.testing.assert_array_equal(predictor.predict(VOLUME, first).labels, abdomen())


def test_sessions_are_told_the_shape_of_their_input(device, tmp_path):
    members = [member(), member(file="b.onnx", window_zyx=(8, 12, 20), axes="RAS")]
    run(make_bundle(tmp_path / "b", members), "cuda")
    assert [settings.input_shape for _, _, settings in device.opened] == [
        (1, 1, 8, 16, 16),
        (1, 1, 20, 12, 8),
    ]


def test_without_a_budget_a_predictor_takes_what_is_at_hand(device, tmp_path, monkeypatch):
    """A container of 2 GB that has 1900 MiB left."""
    at_hand = MemoryAtHand(mb=1900, why="the container's limit of 2000")
    monkeypatch.setattr("inference.planning.plan.memory_at_hand", lambda most_mb: at_hand)
    plan = Predictor(make_bundle(tmp_path / "b", MEMBERS), device="onnxruntime").planner.plan(GEOMETRY)
    assert plan.budget.host_mb == 1900
