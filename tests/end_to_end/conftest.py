import os
import signal
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from tests.end_to_end.calls import open_folder, write_case
from tests.inference.bundles import make_bundle
from tests.inference.imaging.dicom_results.series_files import write_series


@pytest.fixture(scope="module")
def bundle():
    with open_folder() as folder:
        yield make_bundle(folder / "bands").folder


@pytest.fixture
def bench(tmp_path):
    """A working folder with `inputs/` that holds one case, and no `outputs/`."""
    (tmp_path / "inputs").mkdir()
    write_case(tmp_path / "inputs" / "case_0000.nii.gz")
    return tmp_path


@pytest.fixture
def series(bench):
    """The bench's case as a DICOM series, which lies as its NIfTI file does."""
    image = sitk.ReadImage(str(bench / "inputs/case_0000.nii.gz"))
    folder = write_series(bench / "series", image.GetSize()[::-1])
    array = sitk.GetArrayFromImage(image).astype(np.int16)
    between = np.array(image.GetSpacing())
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        z = one.InstanceNumber - 1
        one.PixelData = array[z].tobytes()
        one.PixelSpacing, one.SliceThickness = [between[1], between[0]], between[2]
        one.ImagePositionPatient = [*image.TransformIndexToPhysicalPoint((0, 0, z))]
        one.save_as(path)
    return folder


@pytest.fixture
def bench_for_all():
    """Like `bench`, where every user may go."""
    with open_folder() as folder:
        (folder / "inputs").mkdir()
        (folder / "outputs").mkdir()
        (folder / "outputs").chmod(0o777)
        write_case(folder / "inputs" / "case_0000.nii.gz")
        yield folder


@pytest.fixture
def as_nobody(monkeypatch):
    """A block in which file permissions count even where the tests run as root.

    Nothing can be loaded in it, so no real predictor.
    """
    monkeypatch.setattr(
        "inference.cohort.opening.Predictor", lambda *args, **options: SimpleNamespace(close=lambda: None)
    )

    @contextmanager
    def block():
        if os.getuid() == 0:
            os.setegid(1234)
            os.seteuid(1234)
        try:
            yield
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
                os.setegid(0)

    return block()


@pytest.fixture(autouse=True)
def keep_signals():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
