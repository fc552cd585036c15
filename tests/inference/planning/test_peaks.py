"""Plans against what really happens: each case in a process of its own, its peak near the estimate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference.runtime.network_memory import measure_network
from tests.inference.bundles import make_bundle, member
from tests.places import ROOT

WINDOW = (32, 96, 96)
SCRIPT = """
import json, sys
from pathlib import Path
from inference.geometry import Geometry
from inference.runtime.process_memory import peak_mb
from inference.predictor import Predictor
from inference.imaging.volume import Volume
from model.bundle import load_bundle
from tests.inference.bundles import abdomen, hu

slices, side = int(sys.argv[2]), int(sys.argv[3])
array = hu(abdomen((slices, side, side)))
volume = Volume(array=array, geometry=Geometry(size_zyx=array.shape, spacing_zyx_mm=(2.5, 1.5, 1.0)))
predictor = Predictor(load_bundle(Path(sys.argv[1])), device="onnxruntime", threads=1)
segmented = predictor.predict(volume)
print(json.dumps([peak_mb(), segmented.plan.host_mb]))
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peaks")
    guess = make_bundle(folder / "guess", [member(window_zyx=WINDOW, overlap=0.0)])
    measured = measure_network(guess.folder / "member.onnx", "fp32")
    return make_bundle(
        folder / "measured", [member(window_zyx=WINDOW, overlap=0.0, memory_mb=measured)]
    ).folder


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peaks are read from /proc, which only Linux has"
)
@pytest.mark.parametrize(("slices", "side"), [(8, 128), (40, 256), (120, 256), (60, 512), (300, 384)])
def test_the_peak_is_within_the_budget_and_near_the_estimate(bundle, slices, side):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(bundle), str(slices), str(side)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    peak, estimate = json.loads(run.stdout)
    assert 0.75 * estimate <= peak <= estimate
