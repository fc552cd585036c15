"""Windows of a member that takes any: the whole grid in one where memory allows, else as few as can be."""

from dataclasses import replace
from itertools import pairwise
from math import prod

import pytest

from inference.errors import BudgetError
from inference.geometry import Geometry
from inference.planning.plan import Budget
from inference.planning.planner import Planner
from inference.planning.windows import axis_choices, end_windows, window_choices
from model.manifest.window import AnyWindow, MemoryLine
from tests.inference.bundles import localization, make_bundle, member

STEPS = (4, 4, 4)
LINE = MemoryLine(fixed_mb=10, mb_per_mvoxel=1000)
"""A kilobyte and a bit for each voxel."""
ANY = AnyWindow(
    multiple_of_zyx=STEPS, smallest_zyx=(8, 8, 8), memory={"onnxruntime-fp32": LINE, "openvino-fp32": LINE}
)
GEOMETRY = Geometry(size_zyx=(40, 100, 200), spacing_zyx_mm=(2.0, 1.0, 1.0))


def any_member(**changes):
    """A member of any window from 16 cubed on, on the grid of `GEOMETRY`."""
    common = {"window": ANY, "window_zyx": (16, 16, 16), "spacing_zyx_mm": (2.0, 1.0, 1.0)}
    return member(**(common | changes))


@pytest.mark.parametrize(
    ("size", "own", "step", "least", "overlap", "sides"),
    [
        (20, 8, 4, 8, 0.5, [20, 16, 12, 8]),
        (21, 8, 4, 8, 0.5, [24, 16, 12, 8]),  # Two of 14 and a bit would do.
        (20, 8, 4, 8, 0.0, [20, 12, 8]),  # Two of 10, three of 6.7.
        (20, 16, 16, 16, 0.5, [32, 16]),
        (64, 64, 16, 32, 0.5, [64]),
        (60, 64, 16, 32, 0.5, [64]),
        (40, 64, 16, 32, 0.5, [48]),  # Smaller than its own: padded to the step alone,
        (5, 64, 16, 32, 0.5, [32]),  # but not below the least.
        (3000, 896, 8, 8, 0.0, [1000, 896]),  # No side above 1024.
        # Two of 42 / 1.4, which is computed as 30.000000000000004.
        (42, 10, 5, 5, 0.6, [45, 30, 25, 20, 15, 10]),
    ],
)
def test_sides_by_hand(size, own, step, least, overlap, sides):
    assert list(axis_choices(size, own, step, least, overlap).values()) == sides


def test_a_member_of_one_window_has_no_choice():
    assert window_choices((300, 300, 300), member(window_zyx=(8, 16, 24))) == [(8, 16, 24)]


@pytest.mark.parametrize(
    ("use", "grid", "window"),
    [
        ("own", (3, 99, 99), (16, 32, 32)),
        ("fitted", (3, 99, 20), (8, 32, 24)),
        ("fitted", (17, 32, 33), (16, 32, 32)),
    ],
)
def test_windows_that_do_not_grow(use, grid, window):
    """Sides are multiples of 8; 3 voxels are padded to 8, 20 to 24; a longer axis has its own side."""
    sizes = AnyWindow(multiple_of_zyx=(8, 8, 8), smallest_zyx=(8, 16, 16), use=use)
    assert window_choices(grid, member(window_zyx=(16, 32, 32), window=sizes)) == [window]


@pytest.mark.parametrize("use", ["largest", "own", "fitted"])
@pytest.mark.parametrize("grid", [(3, 99, 20), (16, 30, 32), (40, 100, 200), (500, 8, 3000)])
def test_the_ends_of_the_choices(use, grid):
    asked = any_member(window=replace(ANY, use=use))
    choices = window_choices(grid, asked)
    assert end_windows(grid, asked) == (choices[0], choices[-1])


def test_fewest_runs_first_and_of_those_the_smallest_window():
    """Along x 32 voxels in windows of 32, 24 or 16; along z and y one window of 16."""
    along_x = window_choices((16, 16, 32), any_member())
    assert along_x == [(16, 16, 32), (16, 16, 24), (16, 16, 16)]
    # Two runs by halving y (20 of 30) are less than by halving x (24 of 32): 16·20·32 and 16·32·24 voxels.
    both = window_choices((16, 30, 32), any_member())
    assert both[:3] == [(16, 32, 32), (16, 20, 32), (16, 32, 24)]
    assert both[-1] == (16, 16, 16)


def planned(tmp_path, host_mb, *members, **changes):
    bundle = make_bundle(tmp_path / f"b{host_mb}", list(members) or [any_member()], **changes)
    return Planner(bundle=bundle, backend="onnxruntime", budget=Budget(host_mb=host_mb)).plan(GEOMETRY)


def test_the_whole_region_in_one_window_where_it_fits(tmp_path):
    plan = planned(tmp_path, 8192)
    (group,) = plan.groups
    assert (group.window_zyx, group.windows, group.slab) == ((40, 100, 200), 1, 40)
    # 0.8 million voxels: 10 MiB and 800.
    assert plan.host["networks"]["networks"] == pytest.approx(810)
    assert "scores (float32)" not in {what for what, mb in plan.host["networks"].items() if mb}
    assert "windows      40×100×200, the whole region at once; 1 at most" in plan.describe()
    assert plan.loading.windows == {"member.onnx": (40, 100, 200)}
    assert plan.as_json()["windows_zyx"] == [[40, 100, 200]]


def test_less_memory_more_windows_and_never_beyond_the_budget(tmp_path):
    plans = [planned(tmp_path, host_mb) for host_mb in (8192, 800, 600, 400, 300)]
    assert [plan.groups[0].windows for plan in plans[:2]] == [1, 2]
    assert all(plan.host_mb <= plan.budget.host_mb for plan in plans)
    for more, less in pairwise(plan.groups[0] for plan in plans):
        assert prod(less.window_zyx) < prod(more.window_zyx)
        assert less.windows > more.windows


def test_the_largest_that_fits_is_taken(tmp_path):
    """One MiB less than what a plan needs, and there is another with more windows."""
    whole = planned(tmp_path, 8192)
    enough = planned(tmp_path, whole.host_mb)
    assert (enough.groups, enough.larger_windows_mb) == (whole.groups, None)
    cut = planned(tmp_path, whole.host_mb - 1)
    assert cut.groups[0].windows == 2
    # And it says what would have been enough.
    assert cut.larger_windows_mb == (whole.host_mb, 0)
    asked = f"larger windows from --host-memory-mb {whole.host_mb} on"
    assert asked in cut.describe()
    assert asked not in enough.describe()


def test_not_even_its_own_window_fits(tmp_path):
    with pytest.raises(BudgetError, match="at least needed: host memory"):
        planned(tmp_path, 60)


def test_out_of_memory_on_the_device_leads_to_its_own_window(tmp_path):
    planner = Planner(bundle=make_bundle(tmp_path / "b", [any_member()]), backend="onnxruntime")
    plan = planner.plan(GEOMETRY, small=True)
    assert (plan.groups[0].window_zyx, plan.larger_windows_mb) == ((16, 16, 16), None)


def test_a_region_takes_a_window_of_its_own_size(tmp_path):
    bundle = make_bundle(tmp_path / "b", [any_member()], localization=localization())
    plan = Planner(bundle=bundle, backend="onnxruntime").plan(GEOMETRY, (40, 50, 61))
    assert plan.groups[0].window_zyx == (40, 52, 64)


def test_what_a_region_may_take_is_left_to_it(tmp_path):
    """Of 650 MiB the whole image, in three windows, leaves 90; a region, in one of 490, does not."""
    bundle = make_bundle(tmp_path / "b", [any_member()], localization=localization())
    planner = Planner(bundle=bundle, backend="onnxruntime", budget=Budget(host_mb=650))
    image, region = planner.plan(GEOMETRY), planner.plan(GEOMETRY, (40, 100, 120))
    assert (image.windows, region.windows) == (3, 1)
    assert image.spare_mb >= 90 > region.spare_mb
    assert (image.windows_settled, region.windows_settled) == (False, True)


@pytest.mark.parametrize("small", [False, True])
def test_no_region_wants_more_than_the_largest_windows(small, tmp_path):
    """Nor more than its own ones, where a device had no memory for others."""
    bundle = make_bundle(tmp_path / "b", [any_member()], localization=localization())
    planner = Planner(bundle=bundle, backend="onnxruntime")
    image = planner.plan(GEOMETRY, small=small)
    assert image.windows_settled
    beside = planner.plan(GEOMETRY, (40, 100, 120), small=small, reserved_mb=image.spare_mb)
    assert beside.fits
    assert beside.groups == planner.plan(GEOMETRY, (40, 100, 120), small=small).groups


def test_what_others_hold_changes_what_is_loaded_and_no_window(tmp_path):
    """Two networks of the whole region: loaded beside each other, or, one MiB short of that, in turn."""
    members = [any_member(), any_member(file="b.onnx")]
    planner = Planner(bundle=make_bundle(tmp_path / "b", members), backend="onnxruntime")
    both = planner.plan(GEOMETRY)
    beside, short = (planner.plan(GEOMETRY, reserved_mb=both.spare_mb + more) for more in (0, 1))
    assert (both.ahead, beside.ahead, short.ahead) == (True, True, False)
    assert both.groups == beside.groups == short.groups
    assert short.fits


@pytest.mark.parametrize("small", [False, True])
def test_what_others_hold_refuses_nothing(small, tmp_path):
    """Where only the smallest plan fits, and nothing is left beside it, that one is run."""
    least = planned(tmp_path, 8192, any_member(window=replace(ANY, use="own"))).host_mb
    bundle = make_bundle(tmp_path / "b", [any_member()])
    planner = Planner(bundle=bundle, backend="onnxruntime", budget=Budget(host_mb=least))
    plan = planner.plan(GEOMETRY, small=small, reserved_mb=1.0)
    assert (plan.host_mb, plan.spare_mb) == (least, -1.0)
    assert plan.groups[0].window_zyx == (16, 16, 16)


@pytest.mark.parametrize("reserved_mb", [0.0, 1.0])
def test_the_smallest_plan_is_the_smallest_beside_others_too(reserved_mb, tmp_path):
    """Of two networks of small windows: one loaded at a time, though both would fit."""
    bundle = make_bundle(tmp_path / "b", [any_member(), any_member(file="b.onnx")])
    planner = Planner(bundle=bundle, backend="cuda")
    assert planner.plan(GEOMETRY, reserved_mb=reserved_mb).at_once == 2
    assert planner.plan(GEOMETRY, small=True, reserved_mb=reserved_mb).at_once == 1


def test_members_that_share_windows_choose_together(tmp_path):
    """Their memory does not set them apart; a member of one window only does."""
    light = AnyWindow(multiple_of_zyx=STEPS, smallest_zyx=(8, 8, 8), memory=None)
    members = [
        any_member(),
        any_member(file="b.onnx", window=light),
        any_member(file="c.onnx", window_zyx=(8, 8, 8)),
    ]
    plan = planned(tmp_path, 8192, *members)
    assert [group.files for group in plan.groups] == [("member.onnx", "b.onnx"), ("c.onnx",)]
    fixed = member(file="d.onnx", spacing_zyx_mm=(2.0, 1.0, 1.0), window_zyx=(16, 16, 16))
    plan = planned(tmp_path / "2", 8192, any_member(), fixed)
    assert [group.window_zyx for group in plan.groups] == [(40, 100, 200), (16, 16, 16)]


def test_gpu_memory_bounds_the_window_too(tmp_path):
    memory = {"cuda-fp32": LINE}
    choosy = any_member(window=AnyWindow(multiple_of_zyx=STEPS, smallest_zyx=(8, 8, 8), memory=memory))
    bundle = make_bundle(tmp_path / "b", [choosy])
    for gpu_mb, windows in ((4096, 1), (1309, 2)):  # The context's 500, and 810 for the whole.
        plan = Planner(bundle=bundle, backend="cuda", budget=Budget(gpu_mb=gpu_mb)).plan(GEOMETRY)
        assert plan.groups[0].windows == windows
        assert plan.gpu_mb <= gpu_mb
