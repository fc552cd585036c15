"""LeanSeg beside nnU-Net and MONAI: command lines, order of the runs, figures by hand, wrong input."""

import json
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from eval.benchmark.cold_runs import write_json
from eval.benchmark.peers import peer_contest
from eval.benchmark.peers.peer_contest import PeerContest
from eval.benchmark.peers.peer_contestants import (
    CONTESTANTS,
    EXACT,
    EXACT_FP32,
    EXACT_PLAIN,
    FAST,
    MONAI,
    NNUNET,
    NNUNET_PLAIN,
    Contestant,
    Subjects,
)
from eval.benchmark.peers.peer_preparation import trained_model
from eval.benchmark.peers.peer_results import draw_peers, peer_entry, peers_table, stages_and_floor
from eval.benchmark.peers.tissues import AIR_HU, MARGIN, tissues, write_cases, write_truth
from eval.eval_errors import JudgingError
from eval.measuring.trace import OWN_GPU, QUANTITIES, Trace, write_trace
from tests.eval.command_line import assert_refused


def model_folder(folder, folds=("0",)):
    for fold in folds:
        (folder / f"fold_{fold}").mkdir(parents=True)
        (folder / f"fold_{fold}" / "checkpoint_final.pth").touch()
    for name in ("plans", "dataset"):
        (folder / f"{name}.json").write_text("{}")
    return folder


@pytest.fixture
def subjects(tmp_path):
    for name, mirrored in {"exact": ["z", "y", "x"], "fast": []}.items():
        (tmp_path / name).mkdir()
        members = [{"file": "fold-0.onnx", "tiling": {"mirror_axes": mirrored}}]
        (tmp_path / name / "manifest.json").write_text(json.dumps({"members": members}))
        (tmp_path / name / "fold-0.onnx").write_bytes(b"weights")
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
    sitk.WriteImage(image, str(tmp_path / "scan_0000.nii.gz"))
    return Subjects(
        python=tmp_path / "peers/python",
        model=model_folder(tmp_path / "model", ("0", "1")),
        exact=tmp_path / "exact",
        plain=tmp_path / "plain",
        fast=tmp_path / "fast",
        image=tmp_path / "scan_0000.nii.gz",
    )


def words(what, subjects, tmp_path, device="cpu"):
    return " ".join(Contestant(what, device).command(subjects, tmp_path / "labels", 3))


def test_each_contestant_is_started_as_its_user_would(subjects, tmp_path):
    nnunet = words(NNUNET, subjects, tmp_path)
    assert nnunet.startswith(f"{subjects.python} ")
    assert "nnunet_program.py --model" in nnunet
    assert "--folds 0 1 --checkpoint checkpoint_final.pth --device cpu" in nnunet
    assert nnunet.endswith(f"--output {tmp_path}/labels/scan")
    assert words(NNUNET_PLAIN, subjects, tmp_path) == nnunet.replace("--images", "--no-mirroring --images")
    monai = words(MONAI, subjects, tmp_path, "cuda")
    assert "-m eval.benchmark.peers.monai_peer" in monai
    assert monai.endswith(f"--device cuda --image {subjects.image} --output {tmp_path}/labels/scan.nii.gz")
    exact = words(EXACT, subjects, tmp_path)
    assert exact.startswith(f"{sys.executable} ")
    assert exact.endswith("--threads 3")
    assert f"--bundle {subjects.exact}" in exact
    assert "--precision" not in exact
    assert "--precision fp32" in words(EXACT_FP32, subjects, tmp_path)
    assert f"--bundle {subjects.plain}" in words(EXACT_PLAIN, subjects, tmp_path)
    assert f"--bundle {subjects.fast}" in words(FAST, subjects, tmp_path)


def test_folds_with_numbers_come_before_that_of_all_cases(subjects):
    model_folder(subjects.model, ("all",))
    assert subjects.folds == ["0", "1"]


def test_a_model_without_checkpoints_is_refused(subjects):
    for path in subjects.model.glob("fold_*/*"):
        path.unlink()
    with pytest.raises(JudgingError, match="holds no fold"):
        assert subjects.folds


def record(wall_s, cpu_s=1.0, peak_mb=100.0, repeat=0, report=None, exit_code=0):
    return {
        "about": {"repeat": repeat},
        "exit_code": exit_code,
        "stopped": "",
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "peak_mb": peak_mb,
        "others": 0.25,
        "report": report or {},
    }


def contest_of(subjects, tmp_path, *names, repeats=1):
    return PeerContest(
        output=tmp_path,
        subjects=subjects,
        truth=tmp_path / "truth.nii.gz",
        contestants=[Contestant(what, "cpu") for what in names],
        repeats=repeats,
        threads=1,
        timeout_s=9.0,
        say=lambda line: None,
    )


def write_labels(path, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), label, np.uint8)), str(path))


def test_all_contestants_run_in_turn(subjects, tmp_path, monkeypatch):
    ran = []

    def do(task, timeout_s):
        ran.append(task)
        write_labels(tmp_path / "labels" / task.name[:-2] / "scan.nii.gz", 1)
        return record(2.0, exit_code=int(task.name == "nnu-net-1"))

    monkeypatch.setattr(peer_contest, "do", do)
    contest = contest_of(subjects, tmp_path, NNUNET, FAST, repeats=2)
    assert contest.run_all() is False
    assert [task.name for task in ran] == ["nnu-net-0", "leanseg-fast-0", "nnu-net-1", "leanseg-fast-1"]
    assert list(ran[0].command[:2]) == ["env", "OMP_NUM_THREADS=1"]
    # No run left a record behind, so that nothing was measured.
    assert contest.entries(Contestant(NNUNET, "cpu")) == []


def test_records_become_entries_with_agreement_and_floor(subjects, tmp_path, monkeypatch):
    """Half a second a window: three windows mirrored along three axes are 12 s, unmirrored 1.5 s."""
    monkeypatch.setattr(peer_contest, "time_alone", lambda *about: 0.5)
    contest = contest_of(subjects, tmp_path, NNUNET, EXACT, FAST)
    write_labels(tmp_path / "truth.nii.gz", 1)
    plan = {"backend": "openvino", "precisions": {"fold-0.onnx": "bf16"}}
    case = {"seconds": {"read": 0.25, "write": 0.25}, "windows_run": 3, "plan": plan}
    for contestant, label in zip(contest.contestants, (1, 1, 2), strict=True):
        write_labels(contestant.labels_of(subjects, contest.target(contestant)), label)
        task = contest.task(contestant, 0)
        report = {} if contestant.what == NNUNET else {"cases": [case]}
        trace(task.folder, task.name, (np.nan,) * 3)
        write_json(task.record_path, record(2.0, report=report) | {"about": task.about})
    nnunet, exact, fast = contest.entries(reference=contest.contestants[0])
    assert (nnunet.against, exact.against, fast.against) == (1.0, 1.0, 0.0)
    assert (nnunet.truth, exact.truth, fast.truth) == (1.0, 1.0, 0.0)
    assert (nnunet.floor_s, exact.floor_s, fast.floor_s) == (None, 12.5, 2.0)


def trace(folder, name, gpu_mb):
    """Samples at 0, 1 and 2 s of a run of 2 s."""
    values = {quantity: np.full(3, np.nan) for quantity in QUANTITIES} | {OWN_GPU: np.array(gpu_mb)}
    path = folder / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_trace(path, Trace(times_s=np.array([0.0, 1.0, 1.99]), values=values, duration_s=2.0))
    return path


def entry(folder, name, records, gpu_mb=(np.nan,) * 3, **more):
    fields = {"against": None, "truth": None, "floor_s": None} | more
    return peer_entry(name, records, [trace(folder, name, gpu_mb) for _ in records], **fields)


def test_figures_by_hand(tmp_path):
    """40 s against 2 s of which reading and writing take 0.5 s and the network alone 0.75 s."""
    case = {"seconds": {"read": 0.25, "networks": 1.0, "write": 0.25}, "windows_run": 3}
    nnunet = entry(tmp_path, NNUNET, [record(41.0), record(40.0, 60.0, 3000.0), record(39.0)], truth=0.9)
    exact = entry(
        tmp_path, EXACT, [record(2.0, 3.0, 50.0, report={"cases": [case]})], against=0.99951, floor_s=0.75
    )
    table = peers_table([nnunet, exact])
    assert "| nnU-Net | 3 | 40.0 | 1.0 | 1.0 | 1.0 | 100 | 1.0 |  |  | 0.25 |  | 0.9000 |" in table
    assert "| LeanSeg exact | 1 | 2.0 | 20.0 | 3.0 | 0.3 | 50 | 2.0 |  |  | 0.25 | 0.99951 |  |" in table
    # 2 s less 1.5 s of stages is the start; the floor is 0.75 + 0.5 s.
    assert "| LeanSeg exact | 0.50 | 0.25 | 1.00 | 0.25 | 2.00 | 1.25 | 1.60 |" in stages_and_floor(
        [nnunet, exact]
    )
    draw_peers([nnunet, exact], tmp_path / "peers.png")
    assert (tmp_path / "peers.png").stat().st_size > 1000


def test_gpu_memory_and_its_time(tmp_path):
    """1024 MiB throughout 2 s are 2 GiB·s."""
    found = entry(tmp_path, "LeanSeg exact, GPU", [record(2.0)], gpu_mb=(1024.0, 1024.0, 1024.0))
    assert found.gpu_peak_mb == 1024.0
    assert found.gpu_gib_s == pytest.approx(2.0, abs=0.01)


def test_the_trained_model_is_found_below(tmp_path):
    deep = model_folder(tmp_path / "Dataset001_A" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    assert trained_model(tmp_path) == deep
    assert trained_model(deep) == deep
    model_folder(tmp_path / "Dataset002_B" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    with pytest.raises(JudgingError, match="must hold one trained model"):
        trained_model(tmp_path)


def even(hu, size_xyz=(9, 8, 7)):
    image = sitk.GetImageFromArray(np.full(size_xyz[::-1], hu, np.int16))
    image.SetSpacing((1.2, 1.2, 1.6))
    return image


@pytest.mark.parametrize(("hu", "label"), [(-900, 0), (-100, 1), (50, 2), (150, 3), (700, 4)])
def test_what_is_even_is_one_tissue(hu, label):
    found = tissues(even(hu))
    assert set(sitk.GetArrayFromImage(found).ravel().tolist()) == {label}
    assert found.GetSpacing() == (1.2, 1.2, 1.6)


def test_cases_are_cts_amid_air_with_their_tissues(tmp_path):
    ct = even(50, (20, 10, 8))
    (tmp_path / "images").mkdir()
    sitk.WriteImage(ct, str(tmp_path / "images/a_0000.nii.gz"))
    write_cases(tmp_path / "images", tmp_path / "data")
    image = sitk.ReadImage(str(tmp_path / "data/imagesTr/a_0000.nii.gz"))
    labels = sitk.ReadImage(str(tmp_path / "data/labelsTr/a.nii.gz"))
    assert image.GetSize() == labels.GetSize() == (20 + 2 * MARGIN, 10 + 2 * MARGIN, 8 + 2 * MARGIN)
    assert image.GetOrigin() == pytest.approx((-MARGIN * 1.2, -MARGIN * 1.2, -MARGIN * 1.6))
    assert image[0, 0, 0] == AIR_HU
    assert labels[0, 0, 0] == 0
    middle = (MARGIN + 10, MARGIN + 5, MARGIN + 4)
    assert (image[middle], labels[middle]) == (50, 2)
    write_truth(tmp_path / "images/a_0000.nii.gz", tmp_path / "truth/a.nii.gz")
    assert sitk.ReadImage(str(tmp_path / "truth/a.nii.gz")).GetSize() == (20, 10, 8)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--repeats", 0), "--repeats 0: must be 1 or more"),
        (("--truth", "truth.nii.gz"), "give that with --image"),
        (("--image", "absent.nii.gz"), "absent.nii.gz: no such file"),
        (("--model", "absent"), "absent: no such folder"),
        (("--python", "absent/python"), "`make peers` sets it up"),
    ],
)
def test_wrong_calls(options, said, capsys, tmp_path):
    assert_refused(capsys, ("benchmark", "peers", "--output", tmp_path / "out", *options), said)
    assert not (tmp_path / "out").exists()


def test_the_listed_contestants_are_all_that_can_be_named():
    assert {EXACT, EXACT_FP32, EXACT_PLAIN, FAST, MONAI, NNUNET, NNUNET_PLAIN} == CONTESTANTS.keys()
