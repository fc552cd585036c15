"""Plans: what fits is chosen, what cannot be kept is refused with the smallest that can."""

from dataclasses import replace
from math import ceil, prod

import numpy as np
import pytest

from inference.cohort.further_results import SEG_COST
from inference.errors import BudgetError
from inference.geometry import Geometry
from inference.planning.plan import CUDA_CONTEXT_MB, Budget, least_needed
from inference.planning.planner import Planner, group_plan
from inference.planning.windows import window_choices
from inference.restoration.boundaries import BATCH_VOXELS
from inference.runtime.ways import ACTIVATIONS_PER_VOXEL, network_mb
from model.labels import FLARE23
from model.manifest.clean_up import LargestComponent
from model.manifest.document import Preprocessing
from model.manifest.fusion import (
    CleanedGroupsFusion,
    FirstThenOrgansFusion,
    MeanFusion,
    RestoredEnsemblesFusion,
)
from model.manifest.intensity import ZscoreIntensity
from model.manifest.resampling import CubicResampling, SeparateAxisResampling
from model.manifest.tiling import CentreFirst, ConstantImportance
from model.manifest.window import AnyWindow, MemoryLine
from tests.inference.bundles import CT, OUTPUT, localization, make_bundle, member

GEOMETRY = Geometry(size_zyx=(300, 512, 512), spacing_zyx_mm=(2.0, 0.8, 0.8))


def planner(folder, members=None, backend="onnxruntime", budget=None, **changes):
    return Planner(
        bundle=make_bundle(folder / "b", members, **changes), backend=backend, budget=budget or Budget()
    )


def test_the_plan_says_what_will_happen(tmp_path):
    plan = planner(tmp_path, [member(spacing_zyx_mm=(4.0, 1.2, 1.2), window_zyx=(32, 128, 192))]).plan(
        GEOMETRY
    )
    (group,) = plan.groups
    assert group.grid_zyx == (150, 341, 341)
    # 150 slices by windows of 32, steps of 16: 9 rows; 341 by 128, steps of 64: 5; by 192, steps of 96: 3.
    assert group.windows == plan.windows == 9 * 5 * 3
    assert group.slab == 32
    assert plan.fits
    assert plan.gpu_mb == 0
    text = plan.describe()
    assert "135 at most" in text
    assert f"{plan.host_mb} of 8192 MiB" in text


def test_the_header_may_have_any_orientation(tmp_path):
    turned = Geometry(
        size_zyx=(512, 300, 512), spacing_zyx_mm=(0.8, 2.0, 0.8), direction=(1, 0, 0, 0, 0, 1, 0, -1, 0)
    )
    plans = planner(tmp_path)
    assert plans.plan(turned).groups[0].grid_zyx == plans.plan(GEOMETRY).groups[0].grid_zyx


def test_memory_of_a_slab_does_not_grow_with_the_scan(tmp_path):
    plans = planner(tmp_path, [member(window_zyx=(32, 128, 192))])
    short, long = (
        plans.plan(Geometry(size_zyx=(slices, 512, 512), spacing_zyx_mm=(2.5, 0.8, 0.8))).host["networks"]
        for slices in (100, 1000)
    )
    growing = {what for what in short if long[what] > short[what]}
    assert growing == {"image (int16)", "labels (uint8)"}


def test_ensembles_on_the_images_grid_are_planned_for_a_few_slices_at_a_time(tmp_path):
    """A slice of 5 channels takes 5 MiB, so that 6 of at most 32 MiB are given out at a time.

    Each of two ensembles has 6 slices of 1 MiB a channel twice, and three more of a channel on its way there.
    """
    apart = [member(ensemble="1"), member(ensemble="2", file="2.onnx", spacing_zyx_mm=(4.0, 3.0, 3.0))]
    joined = planner(tmp_path, apart, fusion=RestoredEnsemblesFusion())
    found = {}
    for slices in (100, 1000):
        size = Geometry(size_zyx=(slices, 512, 512), spacing_zyx_mm=(2.5, 0.8, 0.8))
        found[slices] = joined.plan(size).host["networks"]
        assert found[slices]["restored (float32)"] == 2 * 6 * (2 * 5 + 3)
    assert found[100]["waiting slabs"] == found[1000]["waiting slabs"] > 0


def test_a_budget_that_cannot_be_kept_names_the_smallest_that_can(tmp_path):
    with pytest.raises(BudgetError, match="--host-memory-mb") as caught:
        planner(tmp_path, budget=Budget(host_mb=200)).plan(GEOMETRY)
    needed = int(str(caught.value).rsplit(" ", 1)[1].rstrip(")"))
    assert (
        Planner(bundle=make_bundle(tmp_path / "c"), backend="onnxruntime", budget=Budget(host_mb=needed))
        .plan(GEOMETRY)
        .fits
    )
    with pytest.raises(BudgetError):
        Planner(
            bundle=make_bundle(tmp_path / "d"), backend="onnxruntime", budget=Budget(host_mb=needed - 1)
        ).plan(GEOMETRY)


ANY = AnyWindow(
    multiple_of_zyx=(8, 8, 8),
    smallest_zyx=(8, 8, 8),
    memory={"onnxruntime-fp32": MemoryLine(fixed_mb=1.0, mb_per_mvoxel=1.0)},
)


def test_a_refusal_does_not_try_every_window(tmp_path, monkeypatch):
    asked, estimate = [], Planner._estimate
    monkeypatch.setattr(Planner, "_estimate", lambda *words: asked.append(1) or estimate(*words))
    plans = planner(tmp_path, [member(window_zyx=(8, 16, 16), window=ANY)], budget=Budget(host_mb=9))
    with pytest.raises(BudgetError, match="at least needed"):
        plans.plan(GEOMETRY)
    assert len(asked) == 3  # the largest, its networks loaded ahead or in turn, and the smallest


def test_the_longest_view_does_not_try_every_window(tmp_path, monkeypatch):
    """3 m along each axis: 600 voxels of 5 mm, in 1 to 1200 windows along x alone."""
    asked, estimate = [], Planner._estimate
    monkeypatch.setattr(Planner, "_estimate", lambda *words: asked.append(1) or estimate(*words))
    longest = Geometry(size_zyx=(300, 512, 512), spacing_zyx_mm=(10.0, 5.8, 5.8))
    members = [member(spacing_zyx_mm=(5.0, 5.0, 5.0), window_zyx=(16, 16, 16), window=ANY)]
    grid = (600, 594, 594)
    assert len(window_choices(grid, members[0])) > 5000
    plan = planner(tmp_path, members, budget=Budget(host_mb=1200)).plan(longest)
    assert plan.groups[0].grid_zyx == grid
    assert plan.windows > 1
    assert len(asked) < 300


def test_the_whole_region_at_once_may_take_least(tmp_path):
    """It needs no running means; here the network itself takes next to nothing."""
    small = Geometry(size_zyx=(40, 72, 72), spacing_zyx_mm=(2.5, 0.8, 0.8))
    members = [member(spacing_zyx_mm=small.spacing_zyx_mm, window_zyx=(40, 64, 64), window=ANY)]
    whole = planner(tmp_path, members).plan(small)
    assert whole.windows == 1
    kept = replace(planner(tmp_path / "again", members), budget=Budget(host_mb=whole.host_mb)).plan(small)
    assert kept.windows == 1
    with pytest.raises(BudgetError, match=f"host memory {whole.host_mb} MiB"):
        replace(planner(tmp_path / "less", members), budget=Budget(host_mb=whole.host_mb - 1)).plan(small)


def test_networks_that_see_the_whole_region_at_once_are_loaded_one_after_another(tmp_path):
    """Each runs once, for a window that no other case has; those with windows of their own stay."""
    small = Geometry(size_zyx=(40, 72, 72), spacing_zyx_mm=(2.5, 0.8, 0.8))
    common = {"spacing_zyx_mm": small.spacing_zyx_mm, "window_zyx": (40, 64, 64)}
    of_any = [member(file=f"{i}.onnx", window=ANY, **common) for i in range(2)]
    plans = planner(tmp_path / "any", of_any)
    plan = plans.plan(small)
    assert (plan.at_once, plan.ahead, plan.loading.ahead) == (1, True, True)
    less = replace(plans, budget=Budget(host_mb=plan.host_mb - 1)).plan(small)
    assert (less.at_once, less.ahead, less.windows) == (1, False, 2)
    # Of the second: a fixed MiB, and 8×8×8 voxels.
    loaded = [each.host["networks"]["networks"] for each in (plan, less)]
    assert loaded[0] - loaded[1] == pytest.approx(1.0 + 8**3 / 1e6)
    own = [member(file=f"{i}.onnx", window=replace(ANY, use="own"), **common) for i in range(2)]
    assert planner(tmp_path / "own", own).plan(small).at_once == 2
    assert planner(tmp_path / "gpu", of_any, backend="cuda").plan(small).at_once == 2


def test_networks_are_loaded_one_after_another_where_memory_is_short(tmp_path):
    members = [member(file=f"{i}.onnx", memory_mb={"cuda-fp32": 900}) for i in range(3)]
    plans = planner(tmp_path, members, backend="cuda")
    together = plans.plan(GEOMETRY)
    assert together.at_once == 3
    assert together.gpu_mb == CUDA_CONTEXT_MB + 2700
    assert together.loading.gpu_limit_mb == 4096 - CUDA_CONTEXT_MB
    apart = planner(tmp_path / "2", members, backend="cuda", budget=Budget(gpu_mb=2000)).plan(GEOMETRY)
    assert (apart.at_once, apart.tight) == (apart.loading.at_once, apart.loading.tight) == (1, True)
    assert plans.plan(GEOMETRY, small=True).at_once == 1
    with pytest.raises(
        BudgetError,
        match=rf"GPU memory {CUDA_CONTEXT_MB + 900} MiB \(--gpu-memory-mb {CUDA_CONTEXT_MB + 900}\)",
    ):
        planner(tmp_path / "3", members, backend="cuda", budget=Budget(gpu_mb=1000)).plan(GEOMETRY)


def test_a_smaller_region_needs_less(tmp_path):
    plans = planner(tmp_path, [member(window_zyx=(64, 128, 128))], localization=localization())
    assert plans.plan(GEOMETRY, (300, 300, 350)).host_mb < plans.plan(GEOMETRY).host_mb


def test_an_image_with_fractions_takes_more(tmp_path):
    plans = planner(tmp_path)
    assert plans.plan(GEOMETRY, voxel_bytes=4).host["networks"]["image (float32)"] == 300
    assert plans.plan(GEOMETRY).host["networks"]["image (int16)"] == 150


def test_networks_by_measurement_or_estimate(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(bytes(1 << 20))
    measured = member(memory_mb={"openvino-bf16": 50, "onnxruntime-fp32": 90})
    assert network_mb(measured, "openvino", "bf16", path) == 50
    assert network_mb(measured, "openvino", "fp32", path) == 90
    guessed = network_mb(member(window_zyx=(32, 64, 128)), "openvino", "fp32", path)
    assert guessed == 2 + ACTIVATIONS_PER_VOXEL


def test_centre_first_runs_nine_windows_a_level_at_most():
    assert group_plan((32, 400, 400), [member(window_zyx=(32, 64, 64), order=CentreFirst())]).windows == 9


def items(plan, stage="networks"):
    """MiB of what an estimate counts, as its user sees them."""
    return {what: round(mb, 1) for what, mb in plan.host[stage].items() if mb}


def test_every_channel_of_an_image_counts(tmp_path):
    one, two = planner(tmp_path / "1"), planner(tmp_path / "2", inputs=(CT, CT))
    assert items(one.plan(GEOMETRY))["image (int16)"] == 150
    assert items(two.plan(GEOMETRY))["image (int16)"] == 300
    assert items(two.plan(GEOMETRY, voxel_bytes=6))["image (float32)"] == 450
    ratio = (
        two.plan(GEOMETRY).host["networks"]["input slices (float32)"]
        / (one.plan(GEOMETRY).host["networks"]["input slices (float32)"])
    )
    assert ratio == 2


def test_a_mask_for_normalization_counts(tmp_path):
    """A byte a voxel from then on, and 8 more while its holes are filled."""
    filled = replace(CT, intensity=ZscoreIntensity(over="nonzero_filled"))
    early = Preprocessing(normalize="before_resampling")
    plan = planner(tmp_path, inputs=(filled,), preprocessing=early).plan(GEOMETRY)
    assert items(plan)["mask (bool)"] == 75
    assert items(plan, "mask")["its holes"] == 600
    plan = planner(tmp_path / "2").plan(GEOMETRY)
    assert "mask" not in plan.host
    assert "mask (bool)" not in items(plan)


def test_reading_counts(tmp_path):
    """Beside the image and what is loaded; the case is refused where that is more than all that follows."""
    plan = planner(tmp_path).plan(GEOMETRY, reading_mb=30.0)
    loaded = {what: plan.host["networks"][what] for what in ("libraries", "image (int16)", "networks")}
    assert {what: mb for what, mb in plan.host["reading"].items() if mb} == {
        **loaded,
        "pieces of the file": 30.0,
    }
    assert "reading" not in planner(tmp_path / "2").plan(GEOMETRY).host
    least = ceil(sum(loaded.values()) + 9000)
    with pytest.raises(BudgetError, match=f"at least needed: host memory {least} MiB"):
        planner(tmp_path / "3").plan(GEOMETRY, reading_mb=9000.0)


@pytest.mark.parametrize(("structures", "slices", "share"), [(14, 2000, 1), (117, 300, 1), (117, 800, 0.5)])
def test_dicom_objects_may_have_the_frames_that_the_budget_allows(tmp_path, structures, slices, share):
    """Within 8192 MiB; 117 structures in each of 800 slices of 512×512 would take 9.9 GiB."""
    cost = replace(SEG_COST, structures=structures)
    size = (slices, 512, 512)
    plans = replace(planner(tmp_path), writing=cost)
    plan = plans.plan(Geometry(size_zyx=size, spacing_zyx_mm=(1.0, 0.8, 0.8)))
    assert plan.fits
    assert plan.results_mb == pytest.approx(slices / 4 + share * structures * slices * (10 / 1024 + 3 / 32))
    region = plans.plan(Geometry(size_zyx=size, spacing_zyx_mm=(1.0, 0.8, 0.8)), (9, 9, 9))
    assert region.results_mb == plan.results_mb, "whatever the region"
    assert planner(tmp_path / "alone").plan(GEOMETRY).results_mb is None


def test_what_is_refused_has_no_room_for_an_eighth_of_all_frames(tmp_path):
    cost = replace(SEG_COST, structures=117)
    plans = replace(planner(tmp_path), writing=cost)
    with pytest.raises(BudgetError) as refused:
        replace(plans, budget=Budget(host_mb=500)).plan(GEOMETRY)
    least = int(str(refused.value).rsplit(" ", 1)[1].rstrip(")"))
    plan = replace(plans, budget=Budget(host_mb=least)).plan(GEOMETRY)
    assert plan.results_mb == pytest.approx(replace(cost, share=1 / 8).mb(GEOMETRY.size_zyx))


def test_localization_counts(tmp_path):
    """Of 600×410×410 mm 150×102×102 voxels of 4 mm each way, in windows of 8×16×16, for a whole image alone.

    Scores of two kinds and their weight, slices as they are and the next ones, seven values for a voxel of
    the window; a byte for a voxel of the mask and 16 while its parts are found.
    """
    plans = planner(tmp_path, localization=localization())
    stage = plans.plan(GEOMETRY).host["localization"]
    mib, slab, cells = 2**20, 8 * 102 * 102, 150 * 102 * 102
    networks = plans.plan(GEOMETRY).host["networks"]
    common = {"libraries", "image (int16)", "networks", "mask (bool)", "votes (uint8)"}
    assert {what: mb for what, mb in stage.items() if what not in common} == {
        "scores (float32)": 12 * slab / mib,
        "input slices (float32)": 8 * slab / mib,
        "resampling": 0.0,
        "window": 28 * 8 * 16 * 16 / mib,
        "organs (bool)": cells / mib,
        "parts": 16 * cells / mib,
    }
    assert all(stage[what] == networks[what] for what in common)
    assert "localization" not in plans.plan(GEOMETRY, (300, 300, 350)).host
    assert "localization" not in planner(tmp_path / "2").plan(GEOMETRY).host
    lower = localization(whole_below_mm=500.0)
    low = replace(GEOMETRY, size_zyx=(249, 512, 512))  # 498 mm.
    assert "localization" not in planner(tmp_path / "3", localization=lower).plan(low).host


def test_a_view_that_localization_cannot_hold_is_refused(tmp_path):
    """2.9 m each way are 725³ voxels of 4 mm, of 17 bytes each: 6.2 GB, where windows take next to none."""
    vast = Geometry(size_zyx=(29, 29, 29), spacing_zyx_mm=(100.0, 100.0, 100.0))
    coarse = [member(spacing_zyx_mm=(20.0, 20.0, 20.0))]
    plans = planner(tmp_path, coarse, localization=localization(), budget=Budget(host_mb=6000))
    with pytest.raises(BudgetError, match="at least needed: host memory 6"):
        plans.plan(vast)
    assert planner(tmp_path / "2", coarse, budget=Budget(host_mb=6000)).plan(vast).host_mb < 1000


def test_a_spline_along_z_counts(tmp_path):
    cubic = [member(resampling=CubicResampling())]
    assert "resampling" not in items(planner(tmp_path / "1").plan(GEOMETRY))
    assert items(planner(tmp_path / "2", cubic).plan(GEOMETRY))["resampling"] > 0


@pytest.mark.parametrize(
    ("size", "spacing", "plane"),
    [
        ((40, 100, 50), (1.0, 1.0, 4.0), 100 * 50),  # along x, 50 voxels of the image: 200 of the grid
        ((40, 50, 100), (1.0, 4.0, 1.0), 50 * 100),
        ((40, 50, 100), (1.0, 2.0, 1.0), 100 * 100),  # not apart: in the plane as long as the grid
        ((10, 50, 100), (1.0, 2.0, 1.0), 100 * 100),
    ],
)
def test_a_spline_along_z_is_as_long_as_the_image_along_the_axis_that_is_apart(
    tmp_path, size, spacing, plane
):
    """Of 40 slices 28 at a time in four threads, and all of 10, of float32."""
    fine = [member(spacing_zyx_mm=(1.0, 1.0, 1.0), resampling=SeparateAxisResampling())]
    plan = planner(tmp_path, fine).plan(Geometry(size_zyx=size, spacing_zyx_mm=spacing))
    assert plan.host["networks"]["resampling"] == min(size[0], 28) * 4 * plane * 4 / 2**20


@pytest.mark.parametrize(("scores", "ceiling"), [("probabilities", 0), ("logits", 8)])
def test_restoration_counts_a_slab_of_the_grid_and_one_of_the_image(tmp_path, scores, ceiling):
    """Slabs of 8 × 100 × 200: on the grid winners, sure and possible channels, a byte each, and for logits
    a ceiling; on the image 3 bytes; 170 for each voxel of a batch; and three slices of all scores.
    """
    geometry = Geometry(size_zyx=(40, 100, 200), spacing_zyx_mm=(2.0, 1.0, 1.0))
    members = [member(spacing_zyx_mm=(2.0, 1.0, 1.0), window_zyx=(8, 16, 16))]
    plan = planner(tmp_path, members, fusion=MeanFusion(of=scores)).plan(geometry)
    slab, channels = 8 * 100 * 200, len(OUTPUT.channels)
    assert channels <= 8
    expected = (
        slab * (3 + ceiling) + slab * 3 + min(BATCH_VOXELS, 5 * slab) * 170 + 3 * 100 * 200 * 4 * channels
    )
    assert plan.host["networks"]["restoration"] == expected / 2**20


def test_possible_channels_take_two_bytes_from_nine_on(tmp_path):
    """The same with 15 channels: a slab of the grid has 1 + 2 · 2 bytes a voxel."""
    geometry = Geometry(size_zyx=(40, 100, 200), spacing_zyx_mm=(2.0, 1.0, 1.0))
    members = [member(spacing_zyx_mm=(2.0, 1.0, 1.0), window_zyx=(8, 16, 16))]
    output = replace(OUTPUT, channels=("background", *FLARE23.names), pairs=())
    bounds = (np.arange(14, dtype=np.float32) + 1) / 16
    plan = planner(tmp_path, members, output=output, thresholds=bounds).plan(geometry)
    slab = 8 * 100 * 200
    expected = slab * (1 + 2 * 2) + slab * 3 + BATCH_VOXELS * 170 + 3 * 100 * 200 * 4 * 15
    assert plan.host["networks"]["restoration"] == expected / 2**20


def test_scores_of_two_networks_that_see_all_at_once_are_those_of_the_first(tmp_path):
    """A window of 8 × 16 × 16 over all of it: one network's scores stay where it wrote them."""
    geometry = Geometry(size_zyx=(8, 16, 16), spacing_zyx_mm=(2.0, 1.0, 1.0))
    for count in (1, 2):
        members = [member(file=f"{n}.onnx", spacing_zyx_mm=geometry.spacing_zyx_mm) for n in range(count)]
        plan = planner(tmp_path / str(count), members).plan(geometry)
        window = 8 * 16 * 16 * 4 / 2**20
        assert plan.host["networks"]["scores (float32)"] == (count - 1) * window * len(OUTPUT.channels)
        assert plan.host["networks"]["window"] == window


@pytest.mark.parametrize("changes", [{"mirror_axes": ("x",)}, {"axes": "SPR"}])
def test_scores_that_are_turned_are_a_copy(tmp_path, changes):
    """Beside the window's input and how much each of its voxels counts."""
    plain, turned = (
        planner(tmp_path / str(n), [member(**each)]).plan(GEOMETRY) for n, each in enumerate(({}, changes))
    )
    window = 8 * 16 * 16 * 4 / 2**20
    assert plain.host["networks"]["window"] == 2 * window
    assert turned.host["networks"]["window"] == (2 + len(OUTPUT.channels)) * window


def test_libraries_of_further_results_count(tmp_path):
    plain = planner(tmp_path)
    more = replace(plain, writing=replace(SEG_COST, libraries_mb=40.0))
    found = [each.plan(GEOMETRY).host["networks"]["libraries"] for each in (plain, more)]
    assert found[1] - found[0] == 40


def test_networks_have_little_working_memory_only_where_they_are_loaded_in_turn(tmp_path):
    members = [member(file=f"{i}.onnx", memory_mb={"cuda-fp32": 900}) for i in range(2)]
    for budget_mb, at_once in ((CUDA_CONTEXT_MB + 1800, 2), (CUDA_CONTEXT_MB + 1799, 1)):
        plans = planner(tmp_path / str(at_once), members, backend="cuda", budget=Budget(gpu_mb=budget_mb))
        plan = plans.plan(GEOMETRY)
        assert (plan.at_once, plan.tight) == (at_once, at_once == 1)
        # They lie on the GPU alone.
        assert plan.gpu["networks"] == 900 * at_once
        assert plan.host["networks"]["networks"] == 0


def test_an_image_that_was_read_takes_the_peak_of_all_that_follows(tmp_path):
    plan = planner(tmp_path).plan(GEOMETRY)
    assert plan.reading_mb == plan.host_mb
    assert planner(tmp_path / "2").plan(GEOMETRY, reading_mb=30.0).reading_mb < plan.host_mb


def test_clean_up_before_the_fusion_counts_maps_on_the_grid_beside_the_images(tmp_path):
    """The map that is written, and two on the grid of an ensemble, which has twice the slices."""
    geometry = Geometry(size_zyx=(40, 100, 200), spacing_zyx_mm=(2.0, 1.0, 1.0))
    members = [
        member(file=f"{name}.onnx", spacing_zyx_mm=(1.0, 1.0, 1.0), ensemble=name) for name in ("a", "b")
    ]
    steps = (LargestComponent(structures=("liver",)),)
    plan = planner(tmp_path, members, fusion=CleanedGroupsFusion(), postprocessing=steps).plan(geometry)
    maps = plan.host["clean-up before fusion"]["labels (uint8)"]
    assert maps == (1 + 2 * 2) * 40 * 100 * 200 / 2**20


def test_votes_count_where_there_is_more_than_one_member(tmp_path):
    """Of 300 × 320 × 320 mm a point every 5 mm, a byte of it for every member."""
    geometry = Geometry(size_zyx=(100, 512, 512), spacing_zyx_mm=(3.0, 0.625, 0.625))
    one, two = planner(tmp_path / "1"), planner(tmp_path / "2", [member(), member(file="b.onnx")])
    assert one.plan(geometry).host["networks"]["votes (uint8)"] == 0
    assert two.plan(geometry).host["networks"]["votes (uint8)"] == 2 * 60 * 64 * 64 / 2**20


@pytest.mark.parametrize(
    ("size", "runs", "visited"),
    [
        ((10, 100, 100), 10**5, 10**5),  # no more runs than voxels
        ((300, 512, 512), 300 * 512 * 512 // 64, 2**18),  # a run to 64 voxels, and as many as are visited
    ],
)
def test_clean_up_counts_runs_and_the_voxels_that_are_visited(tmp_path, size, runs, visited):
    """Of 80 and 120 bytes, and two label maps."""
    geometry = Geometry(size_zyx=size, spacing_zyx_mm=(2.0, 0.8, 0.8))
    stage = planner(tmp_path).plan(geometry).host["clean-up"]
    assert stage["parts"] == (80 * runs + 120 * visited) / 2**20
    assert stage["labels (uint8)"] == 2 * prod(size) / 2**20
    assert stage["distances"] == 0


def test_what_is_over_the_budget_is_named_alone(tmp_path):
    plan = planner(tmp_path, backend="cuda").plan(GEOMETRY)
    host, gpu = f"host memory {plan.host_mb} MiB", f"GPU memory {plan.gpu_mb} MiB"
    for host_mb, gpu_mb, said in ((1, 0, [host]), (0, 1, [gpu]), (1, 1, [host, gpu])):
        less = Budget(host_mb=plan.host_mb - host_mb, gpu_mb=plan.gpu_mb - gpu_mb)
        text = least_needed(replace(plan, budget=less))
        assert [each for each in (host, gpu) if each in text] == said


def test_the_grid_is_along_the_axes_that_are_looked_at(tmp_path):
    turned = Geometry(
        size_zyx=(512, 300, 512), spacing_zyx_mm=(0.8, 2.0, 0.8), direction=(1, 0, 0, 0, 0, 1, 0, -1, 0)
    )
    as_stored = planner(tmp_path, preprocessing=Preprocessing(orientation="stored"))
    assert as_stored.plan(turned).groups[0].grid_zyx == (164, 400, 410)
    assert planner(tmp_path / "2").plan(turned).groups[0].grid_zyx == (240, 273, 410)


def test_windows_of_a_tiling_are_counted_and_named(tmp_path):
    tilings = {"overlap": 0.25, "importance": ConstantImportance()}
    text = planner(tmp_path, [member(**tilings)]).plan(GEOMETRY).describe()
    assert "all, feet to head, overlap 25%, constant" in text


def two_groups(folder, first_z, second_z, side):
    """Plans of two members on one grid that are given windows of other depths; `first_then_organs`.

    Each is the least depth, of which all others are multiples, and the depth of its own window.
    """
    members = [
        member(
            file=f"{number}.onnx",
            spacing_zyx_mm=(2.0, 1.0, 1.0),
            window_zyx=(own, side, side),
            window=replace(ANY, multiple_of_zyx=(step, 8, 8), smallest_zyx=(step, 8, 8)),
        )
        for number, (step, own) in enumerate((first_z, second_z))
    ]
    return planner(folder, members, fusion=FirstThenOrgansFusion())


def test_larger_windows_may_take_less_where_slabs_then_begin_and_end_alike(tmp_path):
    """Windows of 48 slices for both take less than those of 40 and 48, where the second's slabs wait.

    The first is given 40, 48, 56 ... slices, the second 48 or 96 ...; in the plane there is one window.
    """
    grid = Geometry(size_zyx=(200, 256, 256), spacing_zyx_mm=(2.0, 1.0, 1.0))
    plans = two_groups(tmp_path, (8, 40), (48, 48), side=256)
    with pytest.raises(BudgetError, match="at least needed: host memory") as refused:
        replace(plans, budget=Budget(host_mb=100)).plan(grid)
    least = int(str(refused.value).rsplit(" ", 1)[1].rstrip(")"))
    for small in (False, True):
        plan = replace(plans, budget=Budget(host_mb=least)).plan(grid, small=small)
        assert [group.window_zyx[0] for group in plan.groups] == [48, 48]
        assert plan.host_mb == least
        assert plan.host["networks"]["waiting slabs"] == 0
        with pytest.raises(BudgetError, match=f"host memory {least} MiB"):
            replace(plans, budget=Budget(host_mb=least - 1)).plan(grid, small=small)


def test_windows_of_two_groups_are_those_that_going_through_all_finds(tmp_path, monkeypatch):
    grid = Geometry(size_zyx=(100, 180, 256), spacing_zyx_mm=(2.0, 1.0, 1.0))
    plans = two_groups(tmp_path, (8, 16), (24, 24), side=64)
    budgets = [Budget(host_mb=mb) for mb in range(330, 400, 10)]
    found = [replace(plans, budget=budget).plan(grid).groups for budget in budgets]
    monkeypatch.setattr(
        "inference.planning.planner.first_fitting",
        lambda sizes, depths, fitting: next(filter(None, map(fitting, range(len(sizes)))), None),
    )
    assert found == [replace(plans, budget=budget).plan(grid).groups for budget in budgets]
