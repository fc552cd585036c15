"""Odd and bad input: a test for every row of docs/input.md, under the row's name, through the entry point."""

import gzip
import resource

import numpy as np
import pytest

import predict
from inference.geometry import same_grid
from inference.imaging.reading import open_image, read_volume
from inference.predictor import Predictor
from model.bundle import load_bundle
from tests.end_to_end.calls import told
from tests.end_to_end.odd_images import CT, LARGE, NAME, REFUSED, WORKS
from tests.inference.bundles import abdomen, make_bundle
from tests.inference.images import nifti_header
from tests.inference.predictors import Threshold
from tests.places import ROOT

TABLE = ROOT / "docs" / "input.md"
TESTED_ELSEWHERE = {
    "a case that takes longer than `--case-timeout SECONDS`",
    "file that is cut short while it is read",
    "file without permission",
    "DICOM file given alone, beside others of its series",
    "more than the memory budget allows",
    "two inputs with one output name",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(make_bundle(tmp_path_factory.mktemp("bundle") / "bands").folder)


@pytest.fixture(scope="module")
def predictor(bundle):
    """One predictor for all rows: loading it takes longer than using it."""
    made = Predictor(bundle, device="cpu", threads=1)
    yield made
    made.close()


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "inputs").mkdir()
    return tmp_path / "inputs", tmp_path / "outputs"


def call(folders, bundle):
    return predict.main(
        ["--input", str(folders[0]), "--output", str(folders[1]), "--bundle", str(bundle.folder)]
    )


def rows():
    sections = TABLE.read_text(encoding="utf-8").split("\n## ")[1:3]
    return [
        line.split("|")[1].strip()
        for section in sections
        for line in section.splitlines()
        if line.startswith("| ")
    ]


def test_the_table_and_the_tests_have_the_same_rows():
    documented = [row for row in rows() if row != "input"]
    assert sorted(documented) == sorted([*WORKS, *LARGE, *REFUSED, *TESTED_ELSEWHERE])


@pytest.mark.parametrize("row", WORKS)
def test_works(row, folders, bundle, predictor, capfd, monkeypatch):
    make, warning = WORKS[row]
    make(folders[0])
    monkeypatch.setattr(predictor, "close", lambda: None)
    monkeypatch.setattr("inference.cohort.opening.Predictor", lambda *args, **options: predictor)
    assert call(folders, bundle) == 0
    _, err = capfd.readouterr()
    assert all(line.startswith("warning: ") for line in err.splitlines())
    of_the_row = [line for line in err.splitlines() if warning is not None and warning in line]
    others = [line for line in err.splitlines() if line not in of_the_row]
    assert len(of_the_row) == (warning is not None)
    assert told("\n".join(others)) == []
    (source,) = folders[0].iterdir()
    (result,) = folders[1].iterdir()
    image, labels = read_volume(source), read_volume(result)
    assert labels.geometry.spacing_zyx_mm == pytest.approx(image.geometry.spacing_zyx_mm)
    assert labels.geometry.origin_xyz_mm == pytest.approx(image.geometry.origin_xyz_mm)
    assert labels.geometry.direction == pytest.approx(image.geometry.direction, abs=1e-6)
    assert same_grid(labels.geometry, image.geometry)  # Else --skip-existing would not leave it out.
    if image.geometry.size_zyx == CT.shape:
        assert np.mean(labels.array[:, 5:-5] == abdomen()[:, 5:-5]) > 0.9
    if "nothing" in row or "no body" in row:
        assert not labels.array.any()


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.slow if LARGE[row][0] > 1000 else ()) for row in LARGE]
)
def test_works_large(row, folders, bundle, monkeypatch):
    size = LARGE[row]
    path = folders[0] / NAME
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(nifti_header(size[::-1], spacing=(0.7, 0.7, 1.0)) + bytes(4))
        for _ in range(size[0]):
            file.write(np.full(size[1:], 200, np.int16).tobytes())
    monkeypatch.setattr("inference.cohort.opening.Predictor", lambda *args, **options: Threshold())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert call(folders, bundle) == 0
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    voxels_mb = np.prod(size) * 2 / 2**20
    assert grown_mb < 2 * voxels_mb + 100
    assert open_image(folders[1] / NAME).geometry.size_zyx == size


@pytest.mark.parametrize("row", REFUSED)
def test_refused(row, folders, bundle, capfd, monkeypatch):
    make, message = REFUSED[row]
    make(folders[0])
    (source,) = folders[0].iterdir()
    monkeypatch.setattr("inference.cohort.opening.Predictor", lambda *args, **options: Threshold())
    assert call(folders, bundle) == 1
    out, err = capfd.readouterr()
    assert len(err.splitlines()) == 1
    assert err.startswith(f"error: {source}")
    assert message in err
    assert ";" in err or ":" in err.removeprefix(f"error: {source}")
    assert out.splitlines()[-1].startswith("1 case: 1 failed; ")
    assert list(folders[1].iterdir()) == []
