"""What reading takes beside the voxels: what is promised from a header, and what is measured."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inference.imaging.reading import open_image
from tests.inference.images import write_nifti, write_series
from tests.places import ROOT

SCRIPT = """
import json, resource, sys
from pathlib import Path
from inference.imaging.reading import open_image
from inference.runtime.process_memory import held_mb, peak_mb

opened = open_image(Path(sys.argv[1]))
before = held_mb()
voxels_mb = opened.read().array.nbytes / 2**20
children_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps([opened.reading_mb, peak_mb() - before - voxels_mb + children_mb]))
"""
SIZE = (16, 512, 512)
"""Four times as many voxels as are read at a time."""


def image(name, dtype, **changes):
    def write(folder):
        noise = np.random.default_rng(0).integers(0, 2000, SIZE)
        return write_nifti(folder / name, (noise + 0.5 * (dtype == "f8")).astype(dtype), **changes)

    return write


def series(**options):
    return lambda folder: write_series(
        folder / "s", [(0, 0, 3.0 * i) for i in range(4)], size=(512, 512), **options
    )


KINDS = {
    "int16": (image("a.nii", "i2"), 2 * 2 + 8),
    "packed int16": (image("a.nii.gz", "i2"), 3 * 2 + 8),
    "packed float64": (image("a.nii.gz", "f8"), 3 * 8 + 8),
    "rescaled": (image("a.nii.gz", "i2", slope=0.5), 3 * 2 + 16 + 8),
    "DICOM": (series(), 0.25 * 20),
    "packed DICOM": (series(compressor="JPEG2000"), 125 + 0.25 * 20),
}
"""What is read, and MiB by hand: a million voxels are read at a time, 512×512 pixels are a quarter."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_header_promises(kind, tmp_path):
    write, expected_mb = KINDS[kind]
    assert open_image(write(tmp_path)).reading_mb == expected_mb


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peaks are read from /proc, which only Linux has"
)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_kept(kind, tmp_path):
    """Processes that unpack included. The last MiB are modules that are loaded meanwhile."""
    path = KINDS[kind][0](tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    promised_mb, taken_mb = json.loads(run.stdout)
    assert taken_mb <= promised_mb + 4
