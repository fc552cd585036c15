import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from eval.eval_errors import JudgingError
from eval.machine import free_memory_bytes, processors
from eval.scoring import pairs
from eval.scoring.challenges import CHALLENGES, Rules
from eval.scoring.lesions import Kind, LesionRule
from eval.scoring.pairing import PairedCase, pair_files, why_extra
from eval.scoring.pairs import CaseScores, ScoreOptions, affordable_jobs, judge, judge_all, truth_fault
from eval.volumes import grid_difference, onto_grid, read_labels
from tests.eval.made import SPACING_ZYX_MM, disturbed, organs, real, write, write_claim

GENERATOR = np.random.default_rng(11)
TRUTH = organs(GENERATOR, 13)
PREDICTION = disturbed(GENERATOR, TRUTH)


def case(folder: Path, prediction=PREDICTION, truth=TRUTH, **geometry) -> PairedCase:
    """A case whose prediction has another geometry."""
    pred = None if prediction is None else write(folder / "pred" / "a.nii.gz", prediction, **geometry)
    return PairedCase(name="a.nii.gz", prediction=pred, truth=write(folder / "truth" / "a.nii.gz", truth))


def judged(
    case: PairedCase, rules: Rules = Rules.STRICT, challenge: str = "flare22", **options
) -> CaseScores:
    return judge(case, ScoreOptions(challenge=CHALLENGES[challenge], rules=rules, **options))


def dice_of(result: CaseScores) -> list[float]:
    return [score.dice for score in result.scores.values()]


def assert_lost(result: CaseScores, *words: str) -> None:
    assert all((score.dice, score.nsd) == (0.0, 0.0) for score in result.scores.values())
    assert "\n" not in result.error
    for word in words:
        assert word in result.error


def test_files_are_paired_by_name(tmp_path):
    for name in ("pred/b.nii.gz", "pred/c.nii", "truth/a.nii.gz", "truth/c.nii.gz"):
        write(tmp_path / name, TRUTH)
    (tmp_path / "pred" / "notes.txt").write_text("none of ours")
    (tmp_path / "pred" / ".hidden.nii.gz").write_text("none of ours")
    paired = pair_files(tmp_path / "pred", tmp_path / "truth")
    assert [(c.name, c.prediction is not None) for c in paired.cases] == [
        ("a.nii.gz", False),
        ("c.nii.gz", True),
    ]
    assert [path.name for path in paired.extras] == ["b.nii.gz"]
    assert why_extra(paired.extras[0], paired) == "b.nii.gz: there is no truth of this name"


def test_endings_in_capitals_are_endings(tmp_path):
    """As `predict.py` has it; ITK names a file that it cannot read, so none is missing without a word."""
    pair = case(tmp_path)
    pair.prediction.rename(tmp_path / "pred" / "a.NII.GZ")
    (tmp_path / "pred" / "b.Nii").write_text("no image")
    paired = pair_files(tmp_path / "pred", tmp_path / "truth")
    assert [path.name for path in paired.extras] == ["b.Nii"]
    (found,) = paired.cases
    assert found.prediction.name == "a.NII.GZ"
    assert judged(found) == judged(case(tmp_path / "small"))
    found.prediction.write_bytes(found.prediction.read_bytes()[:-20])
    assert_lost(judged(found), "a.NII.GZ", "damaged or cut short")


def test_a_label_map_named_like_an_image_is_a_case_of_its_own(tmp_path):
    for name in ("truth/a.nii.gz", "truth/b.nii.gz", "truth/b_0000.nii.gz"):
        write(tmp_path / name, TRUTH)
    for name in ("pred/a_0000.nii.gz", "pred/b_0000.nii.gz"):
        write(tmp_path / name, TRUTH)
    paired = pair_files(tmp_path / "pred", tmp_path / "truth")
    assert [(c.name, c.prediction is not None) for c in paired.cases] == [
        ("a.nii.gz", False),
        ("b.nii.gz", False),
        ("b_0000.nii.gz", True),
    ]
    assert [why_extra(path, paired) for path in paired.extras] == [
        "a_0000.nii.gz: is named like an image; the label map of a is a.nii.gz"
    ]


def test_folders_that_do_not_serve(tmp_path):
    write(tmp_path / "truth" / "a.nii", TRUTH)
    (tmp_path / "empty").mkdir()
    for pred, truth, words in (
        ("none", "truth", "none: no such folder; give one that holds label maps"),
        ("truth/a.nii", "truth", r"a\.nii: is a file; give the folder that holds it"),
        ("empty", "empty", "holds no .nii.gz"),
    ):
        with pytest.raises(JudgingError, match=words):
            pair_files(tmp_path / pred, tmp_path / truth)
    write(tmp_path / "others" / "case_1_0000.nii.gz", TRUTH)
    with pytest.raises(JudgingError, match=r"case_1_0000\.nii\.gz there, a\.nii here"):
        pair_files(tmp_path / "others", tmp_path / "truth")
    write(tmp_path / "truth" / "a.nii.gz", TRUTH)
    with pytest.raises(JudgingError, match=r"both a\.nii and a\.nii\.gz"):
        pair_files(tmp_path / "empty", tmp_path / "truth")


def test_a_case_in_order(tmp_path):
    result = judged(case(tmp_path))
    assert not result.error
    assert 0.5 < min(dice_of(result)) < 1.0
    assert all(0 <= score.nsd <= 1 and score.hd95_mm > 0 for score in result.scores.values())


@pytest.mark.parametrize("pixel", [np.int16, np.float32, np.float64])
def test_label_maps_of_other_pixel_types(tmp_path, pixel):
    assert judged(case(tmp_path, PREDICTION.astype(pixel))) == judged(case(tmp_path))


def test_missing_cases(tmp_path):
    assert_lost(judged(case(tmp_path, prediction=None)), "missing")
    official = judged(case(tmp_path, prediction=None), Rules.OFFICIAL)
    assert official.error
    assert all(math.isnan(value) for value in dice_of(official))


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        ({"origin_xyz_mm": (-100.0, -80.0, 42.5)}, "2.50 mm apart"),
        ({"spacing_zyx_mm": (2.6, 0.8, 0.9)}, "apart"),
        ({"direction": (1, 0, 0, 0, -1, 0, 0, 0, 1)}, "apart"),
    ],
)
def test_other_geometry_is_an_error_but_not_for_the_organisers(tmp_path, geometry, words):
    assert_lost(judged(case(tmp_path, **geometry)), "different grids", words, "--resample ")
    official = judged(case(tmp_path, **geometry), Rules.OFFICIAL)
    assert official.scores == judged(case(tmp_path), Rules.OFFICIAL).scores
    assert not official.error


def test_other_sizes_are_an_error_for_all(tmp_path):
    smaller = PREDICTION[:-1]
    assert_lost(judged(case(tmp_path, smaller)), "sizes differ", "28×26×19", "28×26×20")
    assert "sizes differ" in judged(case(tmp_path, smaller), Rules.OFFICIAL).error


def test_no_voxel_of_another_size_is_read(tmp_path, monkeypatch):
    """4096³ voxels are 64 GiB: with --resample too, that is more than 27 times the truth's and than 2²⁸."""
    pair = case(tmp_path)
    write_claim(pair.prediction, (4096, 4096, 4096), held=0)
    read = pairs.read_labels
    monkeypatch.setattr(pairs, "read_labels", lambda path: {pair.truth: read}[path](path))
    sizes = "sizes differ, 4096×4096×4096 and 28×26×20 voxels"
    for rules in (Rules.STRICT, Rules.OFFICIAL):
        assert judged(pair, rules).error == (
            f"prediction and truth lie on different grids: {sizes}; --resample compares in physical space"
        )
    assert_lost(judged(pair, resample=True), sizes, "--resample takes up to 27 times as many")


def test_rounding_in_headers_is_no_other_geometry(tmp_path):
    assert not judged(case(tmp_path, origin_xyz_mm=(-100.002, -80.0, 40.001))).error


def test_labels_outside_the_set(tmp_path):
    foreign = PREDICTION.copy()
    foreign[0, 0, 0] = 14
    assert_lost(judged(case(tmp_path, foreign)), "pred/a.nii.gz", "label 14", "flare22 has 0 to 13")
    faulty = case(tmp_path, truth=foreign)
    fault = truth_fault(faulty, ScoreOptions(challenge=CHALLENGES["flare22"]))
    assert "truth/a.nii.gz: holds label 14" in fault
    assert not truth_fault(faulty, ScoreOptions(challenge=CHALLENGES["flare22"], rules=Rules.OFFICIAL))
    assert not judged(case(tmp_path, foreign), challenge="flare23").error
    assert judged(case(tmp_path, foreign), Rules.OFFICIAL).scores["spleen"].dice > 0.5


@pytest.mark.parametrize(
    ("value", "words"), [(-1024.0, "is this an image"), (300.0, "0 to 255"), (1.5, "not whole")]
)
def test_files_that_are_no_label_maps(tmp_path, value, words):
    wrong = PREDICTION.astype(np.float32)
    wrong[0, 0, 0] = value
    assert_lost(judged(case(tmp_path, wrong)), "pred/a.nii.gz", words)


def test_files_that_cannot_be_read(tmp_path):
    broken = case(tmp_path)
    whole = broken.prediction.read_bytes()
    damaged = whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:]
    for content in (b"", b"not an image", whole[:200], whole[:-20], damaged):
        broken.prediction.write_bytes(content)
        assert_lost(judged(broken), "pred/a.nii.gz", "cannot be read")


def test_an_uncompressed_file_cut_short(tmp_path):
    path = write(tmp_path / "a.nii", TRUTH)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(JudgingError, match="bytes"):
        read_labels(path)


def test_partial_rules_lose_only_what_the_truth_holds(tmp_path):
    truth = np.where(np.isin(TRUTH, (1, 3)), TRUTH, 0).astype(np.uint8)
    whole = judged(case(tmp_path, truth=truth), Rules.PARTIAL)
    assert [name for name, score in whole.scores.items() if not math.isnan(score.dice)] == ["liver", "spleen"]
    lost = judged(case(tmp_path, prediction=None, truth=truth), Rules.PARTIAL)
    assert {name: score.dice for name, score in lost.scores.items() if not math.isnan(score.dice)} == {
        "liver": 0.0,
        "spleen": 0.0,
    }


def test_the_organisers_program_stops_at_one_slice_and_so_it_is_told(tmp_path):
    truth, prediction = TRUTH.copy(), PREDICTION.copy()
    truth[truth == 10] = 0
    truth[5, 5, 5] = prediction[5, 5, 5] = 10
    result = judged(case(tmp_path, prediction, truth), Rules.OFFICIAL)
    assert "esophagus" in result.error
    assert math.isnan(result.scores["esophagus"].dice)
    assert result.scores["liver"].dice > 0.5
    assert not judged(case(tmp_path, prediction, truth)).error


def test_resampled_predictions_are_compared_in_physical_space(tmp_path):
    flipped = {"direction": (1, 0, 0, 0, -1, 0, 0, 0, 1), "origin_xyz_mm": (-100.0, -80.0 + 25 * 0.8, 40.0)}
    same = case(tmp_path, PREDICTION[:, ::-1], **flipped)
    assert_lost(judged(same), "different grids")
    resampled = judged(same, resample=True)
    assert not resampled.error
    assert dice_of(resampled) == dice_of(judged(case(tmp_path / "straight")))


def coarse_and_fine(tmp_path):
    """Two empty slices of 2 mm, at 0 and 2 mm, and four of 1 mm with a tumor on the second."""
    tumor = np.zeros((4, 1, 1), np.uint8)
    tumor[1] = 14
    coarse = write(tmp_path / "coarse" / "a.nii.gz", np.zeros((2, 1, 1), np.uint8), (2, 1, 1), (0, 0, 0))
    return coarse, write(tmp_path / "fine" / "a.nii.gz", tumor, (1, 1, 1), (0, 0, 0))


def test_a_structure_between_the_voxels_of_a_coarser_prediction_is_missed(tmp_path):
    coarse, fine = coarse_and_fine(tmp_path)
    pair = PairedCase(name="a.nii.gz", prediction=coarse, truth=fine)
    result = judged(pair, challenge="flare23", resample=True, lesion_rule=LesionRule())
    tumor = result.scores["tumor"]
    assert not result.error
    assert (tumor.dice, tumor.nsd, tumor.hd95_mm) == (0.0, 0.0, math.inf)
    assert (tumor.truth_ml, tumor.volume_difference_ml) == (0.001, -0.001)
    assert [(lesion.kind, lesion.truth_ml, place) for lesion, place in result.lesions] == [
        (Kind.MISSED, 0.001, (0.0, 0.0, 1.0))
    ]


def test_a_structure_between_the_voxels_of_a_coarser_truth_is_a_false_one(tmp_path):
    coarse, fine = coarse_and_fine(tmp_path)
    pair = PairedCase(name="a.nii.gz", prediction=fine, truth=coarse)
    result = judged(pair, challenge="flare23", resample=True)
    assert not result.error
    assert (result.scores["tumor"].dice, result.scores["tumor"].volume_difference_ml) == (0.0, 0.002)


def test_what_a_prediction_does_not_cover_is_missed_and_what_the_truth_does_not_is_an_error(tmp_path):
    """Half of the truth's 20 slices, as far as they go: scored as with empty slices above them."""
    half, padded = PREDICTION[:10], PREDICTION.copy()
    padded[10:] = 0
    covered = judged(case(tmp_path / "half", half), resample=True)
    assert covered == judged(case(tmp_path / "padded", padded))
    assert not covered.error
    assert_lost(judged(case(tmp_path, truth=TRUTH[:10]), resample=True), "lie outside")


def test_the_head_axis_follows_the_direction(tmp_path):
    assert read_labels(write(tmp_path / "a.nii", TRUTH)).head_axis == 0
    turned = read_labels(write(tmp_path / "b.nii", TRUTH, direction=(0, 0, 1, 1, 0, 0, 0, 1, 0)))
    assert turned.head_axis == 1


def test_parallel_processes_give_what_one_gives(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / "truth" / f"{name}.nii.gz", TRUTH)
        if name != "b":
            write(tmp_path / "pred" / f"{name}.nii.gz", PREDICTION)
    cases = pair_files(tmp_path / "pred", tmp_path / "truth").cases
    options = ScoreOptions(challenge=CHALLENGES["flare22"], with_hd95=False)
    alone, together = (
        sorted(judge_all(cases, options, jobs), key=lambda result: result.name) for jobs in (1, 2)
    )
    assert [(r.name, r.error, dice_of(r)) for r in alone] == [(r.name, r.error, dice_of(r)) for r in together]
    assert [bool(result.error) for result in together] == [False, True, False]


def test_little_memory_means_few_jobs(tmp_path):
    cases = [case(tmp_path)]
    assert affordable_jobs(cases, memory_bytes=1) == 1
    assert affordable_jobs(cases, memory_bytes=10**12) >= 1


def test_what_is_refused_by_its_size_costs_no_jobs(tmp_path, monkeypatch):
    """28·26·20 voxels of a byte take 12 bytes each, twice: 0.6 of 3 MB are enough for five such cases."""
    monkeypatch.setattr(pairs, "processors", lambda: 64)
    small, large = case(tmp_path / "small"), case(tmp_path / "large")
    write_claim(large.prediction, (500, 500, 500), held=0)
    assert affordable_jobs([small], memory_bytes=3_000_000) == 5
    assert affordable_jobs([small, large], memory_bytes=3_000_000) == 5
    assert affordable_jobs([small, large], memory_bytes=3_000_000, resample=True) == 1


def test_free_memory_is_the_least_of_machine_and_container(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 2000 kB\nMemAvailable:    1000 kB\n", encoding="ascii")
    assert free_memory_bytes(meminfo, tmp_path) == 1000 * 1024
    for limit, free in (("max", 1000 * 1024), ("9000", 9000 - 4000), ("3000", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("4000\n")
        assert free_memory_bytes(meminfo, tmp_path) == free
    assert free_memory_bytes() > 2**20
    assert processors() >= 1


def test_a_real_label_map_with_flipped_rows(tmp_path):
    labels = read_labels(real("ct_slab_dicom/labels.nii.gz"))
    straight = sitk.DICOMOrient(labels.as_image(), "LPS")
    assert grid_difference(labels.grid, straight)
    moved = onto_grid(labels, straight)
    assert np.array_equal(moved.labels, sitk.GetArrayFromImage(straight))


def test_a_real_oblique_label_map_is_its_own_equal(tmp_path):
    path = real("label_maps/ts_s0327_label13.nii.gz")
    result = judge(
        PairedCase(name=path.name, prediction=path, truth=path),
        ScoreOptions(challenge=CHALLENGES["flare22"], resample=True),
    )
    assert not result.error
    assert dice_of(result) == [1.0] * 13
    assert [score.hd95_mm for score in result.scores.values()] == [0.0] * 13


def test_spacing_is_that_of_the_header(tmp_path):
    assert read_labels(write(tmp_path / "a.nii.gz", TRUTH)).spacing_zyx_mm == tuple(
        float(np.float32(s)) for s in SPACING_ZYX_MM
    )


def test_noise_takes_no_more_memory_than_is_reckoned_with(tmp_path, monkeypatch):
    """What numpy and SciPy allocate: a twentieth of the voxels have one of 14 labels at random."""
    monkeypatch.setattr(pairs, "processors", lambda: 64)
    random = np.random.default_rng(0)
    truth = np.zeros((40, 128, 128), np.uint8)
    truth[10:30, 40:90, 40:90] = 14
    noise = random.integers(1, 15, truth.shape, np.uint8) * (random.random(truth.shape) < 0.05)
    for side, labels in (("pred", noise), ("truth", truth)):
        write(tmp_path / side / "a.nii.gz", labels, (1.0, 1.0, 1.0))
    (case,) = pair_files(tmp_path / "pred", tmp_path / "truth").cases
    options = ScoreOptions(challenge=CHALLENGES["flare23"], lesion_rule=LesionRule())
    tracemalloc.start()
    try:
        judge(case, options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert affordable_jobs([case], memory_bytes=int(10 * peak / pairs.MEMORY_SHARE)) <= 10
