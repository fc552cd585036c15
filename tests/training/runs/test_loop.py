"""A run learns, watches itself, and goes on after an interruption as if there had been none."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import torch

from inference.runtime.process_memory import peak_mb
from model.bundle import file_sha256
from tests.training.run_logs import learned
from tests.training.tiny import tiny_recipe
from training.data.batches import Batch
from training.data.folders import labelled_cases
from training.data.store import CaseStore
from training.distributed.ranks import ALONE, Ranks
from training.runs import loop
from training.runs.batch_size import largest_batch
from training.runs.checkpoints import RunInfo, load_checkpoint
from training.runs.log import read_log
from training.runs.loop import train
from training.runs.run import start_run
from training.runs.run_files import BEST, LAST, LOG
from training.runs.run_storage import resume_run
from training.training_errors import CheckpointError, DataError, TrainingError, WriteError

CPU = torch.device("cpu")


def info_of(cubes, recipe=None, **fields):
    cases = tuple(case.name for case in labelled_cases(cubes))
    return RunInfo(
        **{"recipe": recipe or tiny_recipe(), "step": 0, "seed": 1, "precision": "fp32", "cases": cases}
        | fields
    )


def run_to_end(run, cubes, held_out=False):
    run.folder.mkdir(exist_ok=True)
    cases = labelled_cases(cubes)
    stores = [CaseStore(cases, run.info.recipe, cache_mb=10) for _ in range(2)]
    train(run, stores[0], stores[1] if held_out else None, workers=1)
    return load_checkpoint(run.folder / LAST)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_interrupted_and_resumed_equals_uninterrupted_to_the_bit(cubes, tmp_path, monkeypatch, precision):
    info = info_of(cubes, precision=precision)
    expected = run_to_end(start_run(info, CPU, tmp_path / "whole"), cubes, held_out=True)

    step_as_it_is = loop.training_step

    def interrupted(run, step, batch):
        if step == 6:  # two steps after the last checkpoint
            raise KeyboardInterrupt
        return step_as_it_is(run, step, batch)

    monkeypatch.setattr(loop, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_to_end(start_run(info, CPU, tmp_path / "cut"), cubes, held_out=True)
    monkeypatch.setattr(loop, "training_step", step_as_it_is)
    torch.manual_seed(99)  # what other code draws must not matter
    tensors, resumed = run_to_end(resume_run(info, CPU, tmp_path / "cut"), cubes, held_out=True)

    assert same(tensors, expected[0])
    assert resumed == expected[1]
    assert learned(tmp_path / "cut") == learned(tmp_path / "whole")
    assert same(load_checkpoint(tmp_path / "cut" / BEST)[0], load_checkpoint(tmp_path / "whole" / BEST)[0])


class Overflowing(torch.amp.GradScaler):
    """Scales gradients in fp32 as those in fp16 are.

    In the first and the fifth step they overflow, so that these are left out.
    """

    def __init__(self, device, enabled):
        super().__init__(device, init_scale=1024.0, growth_interval=2)
        self.step_of_run = 0

    def scale(self, loss):
        return super().scale(loss) * (float("inf") if self.step_of_run in (0, 4) else 1.0)


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_steps_that_the_gradient_scaler_left_out_stay_left_out(cubes, tmp_path, monkeypatch, stop):
    step_as_it_is = loop.training_step

    def scaled(run, step, batch):
        run.scaler.step_of_run = step
        return step_as_it_is(run, step, batch)

    def interrupted(run, step, batch):
        if step == stop:
            raise KeyboardInterrupt
        return scaled(run, step, batch)

    monkeypatch.setattr(torch.amp, "GradScaler", Overflowing)
    monkeypatch.setattr(loop, "training_step", scaled)
    info = info_of(cubes, tiny_recipe(checkpoint_every_steps=stop))
    whole, expected = run_to_end(start_run(info, CPU, tmp_path / "whole"), cubes)
    monkeypatch.setattr(loop, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_to_end(start_run(info, CPU, tmp_path / "cut"), cubes)
    assert load_checkpoint(tmp_path / "cut" / LAST)[1].updates == {1: 0, 3: 2, 6: 4}[stop]
    monkeypatch.setattr(loop, "training_step", scaled)
    tensors, resumed = run_to_end(resume_run(info, CPU, tmp_path / "cut"), cubes)
    assert (expected.step, expected.updates) == (8, 6)
    assert resumed == expected
    assert same(tensors, whole)


def test_it_learns_one_case_by_heart(cubes, tmp_path):
    recipe = tiny_recipe(
        stopping={"kind": "fixed_steps", "steps": 60},
        optimizer={"kind": "adamw", "learning_rate": 0.02},
        augmentation={},
    )
    run_to_end(start_run(info_of(cubes, recipe), CPU, tmp_path), cubes, held_out=True)
    losses = [line["loss"] for line in learned(tmp_path) if "loss" in line]
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    assert learned(tmp_path)[-1]["dice"].keys() == {"liver", "spleen"}
    assert learned(tmp_path)[-1]["mean_dice"] > 0.9


def test_the_log_says_when_how_fast_and_in_what_memory(cubes, tmp_path):
    """The clock moves on by 1 s whenever it is read: a second of waiting and one of work for each batch."""
    run = start_run(info_of(cubes, tiny_recipe(sampling={"batch_size": 4})), CPU, tmp_path)
    store = CaseStore(labelled_cases(cubes), run.info.recipe, cache_mb=10)
    before = datetime.now(UTC)
    train(run, store, store, workers=1, clock=map(float, count()).__next__)
    entries = read_log(tmp_path / LOG)
    steps = [entry for entry in entries if "loss" in entry]
    assert [entry["patches_per_s"] for entry in steps] == [2.0] * 8
    # The kernel's figure is good to some pages: it may fall a little from one reading to the next.
    assert [entry["host_peak_mb"] for entry in steps] == [pytest.approx(peak_mb(), rel=0.2)] * 8
    assert not any("gpu_peak_mb" in entry for entry in steps)
    times = [datetime.fromisoformat(entry["time"]) for entry in entries]
    assert len(times) > 8, "validations say when they were, too"
    assert before - timedelta(milliseconds=1) <= times[0] <= times[-1] <= datetime.now(UTC)


def test_the_best_checkpoint_is_the_one_with_the_best_dice(cubes, tmp_path, monkeypatch):
    scores = iter([{"liver": 0.7}, {"liver": 0.4}])
    monkeypatch.setattr(loop, "validate", lambda *_: next(scores))
    run_to_end(start_run(info_of(cubes), CPU, tmp_path), cubes, held_out=True)
    _, best = load_checkpoint(tmp_path / BEST)
    _, last = load_checkpoint(tmp_path / LAST)
    assert (best.step, best.best_dice, best.dice) == (4, 0.7, {"liver": 0.7})
    assert (last.step, last.best_dice, last.dice) == (8, 0.7, {"liver": 0.4})


def test_a_run_that_dies_in_a_validation_goes_on_from_its_step(cubes, tmp_path, monkeypatch):
    """Whatever ends it has no time to keep anything: no checkpoint is due before the end at step 8."""
    info = info_of(cubes, tiny_recipe(checkpoint_every_steps=1000))
    found = []
    monkeypatch.setattr(loop, "validate", lambda *_: found.append(load_checkpoint(tmp_path / LAST)[1]) or {})
    run_to_end(start_run(info, CPU, tmp_path), cubes, held_out=True)
    assert [(one.step, one.dice) for one in found] == [(4, {}), (8, {})]


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("a case maker has ended")])
def test_an_error_between_two_steps_loses_none(cubes, tmp_path, monkeypatch, error):
    def failing(source, clock):
        for number, item in enumerate(timed(source, clock)):
            if number == 3:
                raise error
            yield item

    timed = loop.timed
    monkeypatch.setattr(loop, "timed", failing)
    with pytest.raises(type(error), match=str(error)):
        run_to_end(start_run(info_of(cubes), CPU, tmp_path), cubes)
    assert load_checkpoint(tmp_path / LAST)[1].step == 3


def test_what_ended_a_run_is_told_where_its_last_step_cannot_be_kept(cubes, tmp_path, monkeypatch, caplog):
    def unwritable(*_, **__):
        raise WriteError("full")

    def failing(source, clock):
        yield next(timed(source, clock))
        raise DataError("truncated")

    timed = loop.timed
    monkeypatch.setattr(loop, "timed", failing)
    monkeypatch.setattr(loop, "save_run", unwritable)
    with pytest.raises(DataError, match="truncated"):
        run_to_end(start_run(info_of(cubes), CPU, tmp_path), cubes)
    assert "step 1 could not be kept: full" in caplog.text


def test_an_error_within_a_step_keeps_nothing_of_it(cubes, tmp_path, monkeypatch):
    step_as_it_is = loop.training_step

    def failing(run, step, batch):
        loss = step_as_it_is(run, step, batch)
        if step == 5:
            raise RuntimeError("out of memory")
        return loss

    monkeypatch.setattr(loop, "training_step", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        run_to_end(start_run(info_of(cubes), CPU, tmp_path), cubes)
    assert load_checkpoint(tmp_path / LAST)[1].step == 4


def test_init_takes_the_weights_and_nothing_else(cubes, tmp_path):
    info = info_of(cubes)
    tensors, _ = run_to_end(start_run(info, CPU, tmp_path / "first"), cubes)
    second = start_run(replace(info, seed=2), CPU, tmp_path / "second", tmp_path / "first" / LAST)
    assert second.info.step == 0
    assert second.info.init_sha256 == file_sha256(tmp_path / "first" / LAST)
    assert all(
        torch.equal(tensor, tensors[f"network.{name}"])
        for name, tensor in second.network.state_dict().items()
    )
    assert run_to_end(second, cubes)[1].init_sha256 == second.info.init_sha256


def test_a_new_run_has_no_checkpoint_of_an_earlier_one(cubes, tmp_path):
    """Nothing is held out, so that this run writes no best checkpoint; it is told of in the end."""
    for name in (BEST, LAST, LOG, "step-000300.safetensors", "recipe.yaml"):
        (tmp_path / name).write_text("earlier")
    start_run(
        info_of(cubes), CPU, tmp_path, ranks=Ranks(rank=1, world=1)
    )  # The first process alone removes them.
    assert len(list(tmp_path.iterdir())) == 5
    run = start_run(info_of(cubes), CPU, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]
    run_to_end(run, cubes)
    assert sorted(path.name for path in tmp_path.iterdir()) == [LAST, LOG, "recipe.yaml"]


def test_a_search_for_the_batch_size_leaves_the_folder_alone(cubes, tmp_path):
    (tmp_path / LOG).write_text("earlier")
    (tmp_path / BEST).write_text("earlier")
    info = info_of(cubes, tiny_recipe(sampling={"batch_size": "auto"}))
    # On a CPU as many as there are cases, up to four.
    assert largest_batch(info, CPU, tmp_path, ALONE) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, LOG]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 2}, "another seed (seed 1, now 2); resume with the same one, or"),
        ({"cases": ("case0",)}, "other cases (now 1 fewer: case1); resume with the same, or"),
        ({"precision": "bf16"}, "another precision (precision fp32, now bf16); resume"),
        ({"recipe": tiny_recipe(name="other")}, "another recipe (name tiny, now other); resume"),
        # A case that is left out may change the figures that a recipe takes from the data.
        ({"cases": ("case0",), "recipe": tiny_recipe(name="other")}, "other cases (now 1 fewer: case1); "),
    ],
)
def test_another_run_is_not_resumed(cubes, tmp_path, changed, said):
    info = info_of(cubes)
    run_to_end(start_run(info, CPU, tmp_path), cubes)
    with pytest.raises(CheckpointError, match=re.escape(f"written with {said}")):
        resume_run(replace(info, **changed), CPU, tmp_path)


def test_batches_in_other_parts_are_another_training_with_batch_norm(cubes, tmp_path):
    info = replace(info_of(cubes), norm_parts=1)
    run_to_end(start_run(info, CPU, tmp_path), cubes)
    resume_run(info, CPU, tmp_path)
    with pytest.raises(CheckpointError, match="over batches in 1 parts, now 4; resume with the same number"):
        resume_run(replace(info, norm_parts=4), CPU, tmp_path)


def test_a_run_without_checkpoint_is_not_resumed(cubes, tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        resume_run(info_of(cubes), CPU, tmp_path)


def test_a_checkpoint_without_moments_is_not_resumed(cubes, tmp_path):
    info = info_of(cubes)
    run_to_end(start_run(info, CPU, tmp_path), cubes, held_out=True)
    (tmp_path / BEST).replace(tmp_path / LAST)
    with pytest.raises(CheckpointError, match=r"damaged \(exp_avg\."):
        resume_run(info, CPU, tmp_path)


def test_a_loss_that_is_not_a_number_ends_the_run_before_the_weights_do(cubes, tmp_path):
    run = start_run(info_of(cubes), CPU, tmp_path)
    before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    images = torch.full((1, 1, 16, 16, 16), float("nan"))
    target = torch.zeros(1, 16, 16, 16, dtype=torch.uint8)
    batch = Batch(images, target, torch.ones(1, 5, dtype=torch.bool))
    with pytest.raises(TrainingError, match="loss of step 1 is nan"):
        loop.training_step(run, 0, batch)
    assert same(run.network.state_dict(), before)
