"""Who is called how by a benchmark, what is cut out of CTs, and calls that are refused."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from eval.benchmark import scans
from eval.benchmark.contestants import (
    BARE,
    CONTESTANTS,
    EVEN,
    OURS,
    PLAIN,
    PLAIN_BF16,
    command_of,
    labels_of,
    prepare_network,
    report_of,
)
from eval.benchmark.scans import in_square, stack, write_scan
from eval.eval_errors import JudgingError
from tests.eval.benchmark.made_benchmark import network, scan
from tests.eval.command_line import assert_refused, call, files_in
from tests.eval.made import write


@pytest.mark.parametrize(
    ("contestant", "there", "absent"),
    [
        (OURS, ["predict.py", "--device cpu"], ["--weights", "--precision"]),
        (BARE, ["predict.py"], ["--weights"]),
        (PLAIN, ["eval.benchmark.plain", "--precision fp32", "--weights"], ["predict.py", "--even"]),
        (PLAIN_BF16, ["eval.benchmark.plain", "--precision bf16"], ["--even"]),
        (EVEN, ["eval.benchmark.plain", "--precision fp32", "--even"], []),
    ],
)
@pytest.mark.parametrize("threads", [0, 3])
def test_how_each_contestant_is_called(tmp_path, contestant, there, absent, threads):
    small, big, target = network(tmp_path), scan(tmp_path), tmp_path / "labels" / "run"
    words = command_of(contestant, small, big, target, threads)
    line = " ".join(words)
    assert words[0] == sys.executable
    assert all(part in line for part in [*there, str(big.path), str(small.bundle), str(report_of(target))])
    assert not [part for part in absent if part in line]
    assert ("--threads 3" in line) is (threads == 3)
    folder = contestant in (OURS, BARE)
    expected = target / "big.nii.gz" if folder else target.with_name("run.nii.gz")
    assert labels_of(contestant, target, big) == expected
    assert (str(target) if folder else str(expected)) in words


def test_without_extras_is_run_from_the_bare_bundle(tmp_path):
    small, big = network(tmp_path), scan(tmp_path)
    bare = SimpleNamespace(bundle=small.bundle, bare=tmp_path / "bare", weights=small.weights)
    for contestant, bundle in ((OURS, small.bundle), (BARE, tmp_path / "bare")):
        words = command_of(contestant, bare, big, tmp_path / "run", 0)
        assert words[words.index("--bundle") + 1] == str(bundle)
    assert set(CONTESTANTS) == {OURS, BARE, PLAIN, PLAIN_BF16, EVEN}


def test_a_folder_without_a_manifest_is_no_network(tmp_path):
    with pytest.raises(JudgingError, match="no bundle here"):
        prepare_network(str(tmp_path / "none"), tmp_path / "networks")
    small = network(tmp_path)
    found = prepare_network(str(small.bundle), tmp_path / "networks")
    assert (found.name, found.bundle, found.bare) == ("small", small.bundle, None)
    assert found.sha256 == small.sha256


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [3]),
        (2, [2, 3]),
        (3, [2, 3, 4]),
        (4, [1, 2, 3, 4]),
        (6, [1, 2, 3, 4, 4, 3]),
        (9, [1, 2, 3, 4, 4, 3, 2, 1, 1]),
    ],
)
def test_slices_around_the_organs_or_mirrored(count, expected):
    hu = np.array([1, 2, 3, 4], np.int16).reshape(4, 1, 1)
    organs = np.array([0, 1, 1, 1], np.uint8).reshape(4, 1, 1)
    assert stack(hu, organs, count).ravel().tolist() == expected


@pytest.mark.parametrize(("shape", "side"), [((2, 3, 5), 4), ((1, 8, 8), 4), ((1, 2, 2), 6), ((3, 4, 4), 4)])
def test_a_square_holds_the_middle_of_the_image(shape, side):
    hu = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    square = in_square(hu, side)
    assert square.shape == (shape[0], side, side)
    kept = [min(size, side) for size in shape[1:]]
    assert np.count_nonzero(square != scans.AIR_HU) == shape[0] * kept[0] * kept[1]
    assert square.max() <= hu.max()


def test_a_scan_is_written_with_its_spacing_and_nothing_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(scans, "SIDE", 6)
    write_scan(tmp_path / "a.nii.gz", np.ones((3, 4, 4), np.int16))
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert image.GetSize() == (6, 6, 3)
    assert image.GetSpacing() == pytest.approx((0.65, 0.65, 1.25))
    assert files_in(tmp_path) == ["a.nii.gz"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inference",), "--output"),
        (("inference", "--output", "out", "--ct", "none.nii.gz"), "none.nii.gz: no such file"),
        (("inference", "--output", "a.nii.gz"), "is a file"),
        (("inference", "--output", "out", "--slices", "0"), "1 or more"),
        (("inference", "--output", "out", "--slices", "many"), "1 or more"),
        (("inference", "--output", "out", "--contestants", "me"), "me"),
        (("inference", "--output", "out", "--ct", "a.nii.gz", "b/a.nii.gz"), "the same name"),
        (("inference", "--output", "out", "--ct", "a.nii.gz", "--networks", "b"), "no bundle here"),
        (("metrics", "--pred", "a.nii.gz"), "belong together"),
        (("metrics", "--truth", "a.nii.gz"), "belong together"),
        (("metrics", "--pred", "none.nii.gz", "--truth", "a.nii.gz"), "none.nii.gz: no such file"),
        (("metrics", "--pred", "b/a.nii.gz", "--truth", "a.nii.gz"), "sizes differ"),
    ],
)
def test_wrong_calls(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.nii.gz", np.ones((3, 4, 5), np.uint8))
    write(tmp_path / "b" / "a.nii.gz", np.ones((3, 4, 6), np.uint8))
    assert_refused(capsys, ("benchmark", *words), said)
    assert not (tmp_path / "out" / "runs").exists()


def test_the_metrics_agree_with_the_reference_package(tmp_path, capsys):
    pytest.importorskip("surface_distance", reason="surface-distance is not installed")
    generator = np.random.default_rng(4)
    truth = generator.integers(0, 14, (6, 7, 8)).astype(np.uint8).repeat(2, 0).repeat(2, 1).repeat(2, 2)
    paths = [
        write(tmp_path / f"{n}.nii.gz", labels, (1, 1, 1))
        for n, labels in (("p", np.roll(truth, 1, 2)), ("t", truth))
    ]
    call("benchmark", "metrics", "--pred", paths[0], "--truth", paths[1])
    out = capsys.readouterr().out
    assert "16×14×12 voxels, 13 structures" in out
    assert "surface-distance" in out
    assert "largest difference of a value" in out
