"""What is written of a run: table, curves, pictures, TensorBoard's events, `run.json`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from model.labels import FLARE23
from tests.training.tiny import grid_case, tiny_recipe, write_dataset
from training.data.folders import labelled_cases
from training.data.quick_hash import data_sha256
from training.runs.checkpoints import RunInfo
from training.runs.log import forget_log_after, read_log, write_log
from training.runs.loss_curves import draw_curves, figure_of, smoothed, write_table
from training.runs.overlay import Middle, overlay
from training.runs.record import RECORD, write_record
from training.runs.run import start_run
from training.runs.tensorboard_log import TensorBoard
from training.runs.watching import Seen, StepDone, Validated, Watcher, Watchers

ENTRIES = [
    {"step": 1, "loss": 2.0, "learning_rate": 0.1},
    {"step": 2, "loss": 1.0, "learning_rate": 0.05},
    {"step": 2, "dice": {"liver": 0.5, "left kidney": 0.25}, "mean_dice": 0.375},
]
SEEN = Seen(
    name="case0",
    image=np.array([[0.0, 1.0]], np.float32),
    truth=np.array([[0, 1]], np.uint8),
    prediction=np.array([[0, 0]], np.uint8),
)


def test_a_row_for_each_step(tmp_path):
    write_table(ENTRIES, tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_text(encoding="utf-8") == (
        "step,learning_rate,loss,mean_dice,dice liver,dice left kidney\n"
        "1,0.1,2.0,,,\n"
        "2,0.05,1.0,0.375,0.5,0.25\n"
    )


@pytest.mark.parametrize("entries", [ENTRIES, ENTRIES[:2], []], ids=["all", "no validation", "nothing"])
def test_curves_are_drawn_whatever_there_is(tmp_path, entries):
    draw_curves(entries, "tiny", FLARE23, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 500


def test_structures_have_the_colours_of_every_picture():
    """Eleven curves: matplotlib's own ten colours begin anew at the last."""
    names = [*FLARE23.names[:9], "kidney", "tumor"]
    entries = [*ENTRIES[:2], {"step": 2, "dice": dict.fromkeys(names, 0.5), "mean_dice": 0.5}]
    _, dice, _ = figure_of(entries, "tiny", FLARE23).axes
    drawn = {line.get_label(): line.get_color() for line in dice.get_lines()}
    assert (drawn["liver"], drawn["tumor"], drawn["kidney"]) == ("#c04b4b", "#f8e700", "#f08c21")
    assert len(set(drawn.values())) == len(drawn) == 12


def test_a_network_of_one_foreground_has_a_curve_too():
    entries = [*ENTRIES[:2], {"step": 2, "dice": {"foreground": 0.5}, "mean_dice": 0.5}]
    _, dice, _ = figure_of(entries, "tiny", FLARE23).axes
    assert [line.get_label() for line in dice.get_lines()] == ["foreground", "mean"]


@pytest.mark.parametrize(
    ("steps", "curves"), [(4, ["each step"]), (60, ["each step", "mean of 3 steps"])], ids=str
)
def test_short_runs_have_whole_steps_and_no_mean_of_one(steps, curves):
    entries = [{"step": step, "loss": 1.0, "learning_rate": 0.1} for step in range(1, steps + 1)]
    loss, _ = figure_of(entries, "tiny", FLARE23).axes
    assert [line.get_label() for line in loss.get_lines()] == curves
    assert all(tick == round(tick) for tick in loss.get_xticks())
    legend = loss.get_legend()
    loss.figure.canvas.draw()
    assert legend.get_window_extent().y0 >= loss.get_window_extent().y1, "the legend lies on the curve"


def test_a_mean_of_the_values_before():
    assert smoothed(np.array([1.0, 2.0, 3.0]), 2).tolist() == [1.0, 1.5, 2.5]


def test_the_log_forgets_steps_that_will_be_done_again_and_lines_that_were_cut_off(tmp_path):
    path = tmp_path / "log.jsonl"
    for step in (1, 2, 3):
        write_log(path, {"step": step, "dice": {"liver": 0.5}})
    path.write_text(path.read_text(encoding="utf-8") + '{"step": 2, "dice": {"liver": 0.5}', encoding="utf-8")
    forget_log_after(path, 2)
    assert [entry["step"] for entry in read_log(path)] == [1, 2]


def test_the_log_forgets_a_validation_that_will_be_done_again(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [{"step": step, **said} for step in (1, 2) for said in ({"loss": 1.0}, {"dice": {"liver": 0.5}})]
    for line in lines:
        write_log(path, line)
    forget_log_after(path, 2, validates=True)
    assert read_log(path) == lines[:3]


def test_truth_and_prediction_lie_over_the_image():
    picture = overlay(SEEN)
    assert picture.shape == (1, 4, 3)
    black, tinted, _, white = picture[0].tolist()
    assert (black, white) == ([0, 0, 0], [255, 255, 255])
    assert len(set(tinted)) > 1


def test_the_slice_with_most_structures_is_shown():
    channels = np.zeros((3, 4, 4), np.uint8)
    channels[1, 0, 0], channels[2, :2, :2] = 1, 2
    middle = Middle()
    for index in (0, 1):
        middle.look(index, grid_case(channels), channels + index)
    assert middle.seen.truth.tolist() == channels[2].tolist()
    assert middle.seen.prediction.tolist() == channels[2].tolist()


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    board = TensorBoard(tmp_path, first=0)
    board.step(StepDone(step=1, steps=1, loss=2.0, learning_rate=0.1, patches=1, waited_s=0.5))
    board.validation(Validated(step=1, dice={"liver": 0.5}, mean_dice=0.5, is_best=True, seen=SEEN))
    board.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
    assert found == pytest.approx(
        {
            "training/loss": 2.0,
            "training/learning rate": 0.1,
            "training/waited for data (s)": 0.5,
            "Dice/mean": 0.5,
            "Dice/liver": 0.5,
        }
    )
    assert events.Tags()["images"] == ["truth and prediction/case0"]


def test_all_watchers_are_told_and_closed():
    told = []

    class Writing(Watcher):
        def close(self):
            told.append("closed")

    class Failing(Watcher):
        def close(self):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        Watchers([Writing(), Failing(), Writing()]).close()
    assert told == ["closed", "closed"]


def record_of(cubes, folder, step=0):
    cases = labelled_cases(cubes)
    info = RunInfo(
        recipe=tiny_recipe(),
        step=step,
        seed=5,
        precision="fp32",
        cases=("case0",),
        data="cubes",
        data_hash="files 1f3a",
    )
    folder.mkdir(exist_ok=True)
    run = start_run(info, torch.device("cpu"), folder)
    write_record(run, cases[1:], ["train", "tiny"])
    return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def test_run_json_says_what_a_run_was_made_from(cubes, tmp_path):
    record = record_of(cubes, tmp_path)
    assert (record["seed"], record["steps"], record["parameters"]) == (5, 8, 7109)
    assert (record["cases"], record["held_out"], record["data"]) == (["case0"], ["case1"], "cubes")
    assert record["data_hash"] == "files 1f3a"
    assert record["versions"]["torch"] == torch.__version__
    assert record["recipe"]["name"] == "tiny"
    assert record["hardware"]["cores"] >= 1
    assert len(record["git_revision"]) == 40 or record["git_revision"] == "unknown"
    assert [start["step"] for start in record["starts"]] == [0]
    assert [start["step"] for start in record_of(cubes, tmp_path, step=4)["starts"]] == [0, 4]


def test_the_hash_of_the_data_finds_a_changed_file(tmp_path):
    (case, *_) = labelled_cases(write_dataset(tmp_path))
    before = data_sha256([case])
    assert before == data_sha256([case])
    contents = case.labels.read_bytes()
    case.labels.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
    assert data_sha256([case]) != before
