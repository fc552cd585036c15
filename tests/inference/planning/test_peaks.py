"""Plans against what really happens: each case in a process of its own, its peak near the estimate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference.planning.footprint import PARTS_BYTES
from model.manifest.clean_up import LargestComponent
from model.manifest.fusion import CleanedGroupsFusion
from model.manifest.window import AnyWindow
from model.onnx_export.memory import lines_above, measure_memory
from tests.inference.bundles import make_bundle, member
from tests.places import ROOT

WINDOW = (32, 96, 96)
SCRIPT = """
import json, sys
from pathlib import Path
from inference.geometry import Geometry
from inference.planning.plan import Budget
from inference.runtime.process_memory import peak_mb
from inference.predictor import Predictor
from inference.imaging.volume import Volume
from model.bundle import load_bundle
from tests.inference.bundles import abdomen, hu

slices, side, host_mb = map(int, sys.argv[2:])
array = hu(abdomen((slices, side, side)))
volume = Volume(array=array, geometry=Geometry(size_zyx=array.shape, spacing_zyx_mm=(2.5, 1.5, 1.0)))
bundle, budget = load_bundle(Path(sys.argv[1])), Budget(host_mb=host_mb)
predictor = Predictor(bundle, device="onnxruntime", threads=1, budget=budget)
segmented = predictor.predict(volume)
print(json.dumps([peak_mb(), segmented.plan.host_mb, segmented.windows.run]))
"""


PARTS_SCRIPT = """
import numpy as np
from inference.runtime.process_memory import held_mb, peak_mb
from inference.sliding_window.localization import without_specks

without_specks(np.ones((8, 8, 8), bool))
organs = np.ones((200, 200, 200), bool)
before = held_mb()
without_specks(organs)
print(peak_mb() - before)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peaks")
    guess = make_bundle(folder / "guess", [member(window_zyx=WINDOW, overlap=0.0)])
    measured = measure_memory(guess.folder / "member.onnx", "fp32")
    return make_bundle(
        folder / "measured", [member(window_zyx=WINDOW, overlap=0.0, memory_mb=measured)]
    ).folder


@pytest.fixture(scope="module")
def of_any_window(tmp_path_factory):
    """The same network for any window, its memory known on two sizes that are not asked for here."""
    folder = tmp_path_factory.mktemp("any")
    sizes = AnyWindow(multiple_of_zyx=(8, 8, 8), smallest_zyx=(8, 16, 16))
    guess = make_bundle(folder / "guess", [member(window_zyx=WINDOW, window=sizes, skip_air=False)])
    path = guess.folder / "member.onnx"
    measured = {window: measure_memory(path, "fp32", (1, 1, *window)) for window in (WINDOW, (64, 128, 128))}
    sizes = AnyWindow(multiple_of_zyx=(8, 8, 8), smallest_zyx=(8, 16, 16), memory=lines_above(measured))
    members = [member(window_zyx=WINDOW, window=sizes, skip_air=False)]
    return make_bundle(folder / "measured", members).folder


@pytest.fixture(scope="module")
def of_three_ensembles(tmp_path_factory):
    """Three networks on one grid, each cleaned up by itself before the fusion."""
    folder = tmp_path_factory.mktemp("ensembles")
    guess = make_bundle(folder / "guess", [member(window_zyx=WINDOW, overlap=0.0)])
    measured = measure_memory(guess.folder / "member.onnx", "fp32")
    members = [
        member(file=f"{name}.onnx", window_zyx=WINDOW, overlap=0.0, memory_mb=measured, ensemble=name)
        for name in "abc"
    ]
    steps = (LargestComponent(structures=("liver",)),)
    return make_bundle(
        folder / "measured", members, fusion=CleanedGroupsFusion(), postprocessing=steps
    ).folder


def peak_estimate_and_windows(bundle, slices, side, host_mb=8192):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(bundle), str(slices), str(side), str(host_mb)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


only_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peaks are read from /proc, which only Linux has"
)


@only_linux
@pytest.mark.parametrize(("slices", "side"), [(8, 128), (40, 256), (120, 256), (60, 512), (300, 384)])
def test_the_peak_is_within_the_budget_and_near_the_estimate(bundle, slices, side):
    peak, estimate, _ = peak_estimate_and_windows(bundle, slices, side)
    assert 0.75 * estimate <= peak <= estimate


@only_linux
@pytest.mark.parametrize(("slices", "side"), [(40, 128), (40, 256), (120, 256)])
def test_a_whole_volume_in_one_window_keeps_its_estimate(of_any_window, slices, side):
    peak, estimate, windows = peak_estimate_and_windows(of_any_window, slices, side)
    assert windows == 1
    assert 0.6 * estimate <= peak <= estimate


@only_linux
@pytest.mark.parametrize(("host_mb", "looks"), [(8192, 1), (410, 2)])
def test_ensembles_on_one_grid_keep_their_estimate(of_three_ensembles, host_mb, looks):
    """Whether their scores are kept for the fusion or computed again; one ensemble's slabs wait for no
    other's."""
    peak, estimate, windows = peak_estimate_and_windows(of_three_ensembles, 120, 256, host_mb)
    assert windows == looks * 81
    assert 0.75 * estimate <= peak <= estimate <= host_mb


@only_linux
def test_parts_of_a_mask_that_is_full_keep_their_estimate():
    """8 million voxels; every one is of the largest part, and counted."""
    run = subprocess.run(
        [sys.executable, "-c", PARTS_SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    estimate = 200**3 * PARTS_BYTES / 2**20
    assert 0.9 * estimate <= float(run.stdout) <= 1.02 * estimate


@only_linux
def test_a_budget_too_small_for_the_whole_volume_is_kept(of_any_window):
    _, whole, _ = peak_estimate_and_windows(of_any_window, 120, 256)
    peak, _, windows = peak_estimate_and_windows(of_any_window, 120, 256, host_mb=whole * 3 // 4)
    assert 2 <= windows < 30
    assert peak <= whole * 3 // 4
