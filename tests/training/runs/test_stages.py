"""Curricula, epochs, averaged weights and convergence: whole runs, interrupted anywhere and resumed."""

from dataclasses import replace

import pytest
import torch

from model.networks.spec import SegResNetSpec
from tests.training.run_logs import learned
from tests.training.tiny import tiny_recipe, write_dataset
from training.data.folders import labelled_cases
from training.data.store import CaseStore
from training.data.whole_volumes import padded_zyx
from training.runs import batch_source, loop
from training.runs.checkpoints import RunInfo, load_checkpoint
from training.runs.loop import train
from training.runs.lost_runs import refuse_lost_run
from training.runs.run import start_run
from training.runs.run_files import BEST, LAST
from training.runs.run_storage import resume_run
from training.training_errors import WriteError

CPU = torch.device("cpu")
CURRICULUM = [
    {"patch_zyx": [8, 8, 8], "batch_size": 2, "epochs": 2},
    {"patch_zyx": [16, 16, 16], "batch_size": 1, "epochs": 1, "learning_rate": 0.005},
    {"patch_zyx": "whole", "epochs": 1},
]
STAGED = {"curriculum": CURRICULUM, "stopping": {"kind": "epochs", "epochs": 4}}
SGD = {"kind": "sgd", "learning_rate": 0.01}
RMSPROP = {"kind": "rmsprop", "momentum": 0.5}


def info_of(cubes, **fields):
    fields = {"checkpoint_every_steps": 1, "validation": {"every_steps": 2, "cases": 1}} | fields
    cases = tuple(case.name for case in labelled_cases(cubes))
    return RunInfo(recipe=tiny_recipe(**fields), step=0, seed=1, precision="fp32", cases=cases)


def finish(run, cubes):
    run.folder.mkdir(exist_ok=True)
    cases = labelled_cases(cubes)
    stores = [CaseStore(cases, run.info.recipe, cache_mb=10) for _ in range(2)]
    train(run, stores[0], stores[1], workers=1)
    return load_checkpoint(run.folder / LAST)


def finish_in_two(info, cubes, folder, monkeypatch, stop):
    """The end of a run that is interrupted in step `stop` and resumed."""
    step_as_it_is = loop.training_step

    def interrupted(run, step, batch):
        if step == stop:
            raise KeyboardInterrupt
        return step_as_it_is(run, step, batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            finish(start_run(info, CPU, folder), cubes)
    return finish(resume_run(info, CPU, folder), cubes)


def test_every_stage_draws_patches_of_its_own(cubes, tmp_path, monkeypatch):
    """Counted from 0 in each, with another seed: none varies a case as an earlier one did."""
    drawn, as_it_is = [], batch_source.batches

    def recorded(store, recipe, seed, first_step, *more, counted_from):
        drawn.append((seed, first_step, counted_from))
        return as_it_is(store, recipe, seed, first_step, *more, counted_from=counted_from)

    monkeypatch.setattr(batch_source, "batches", recorded)
    finish(start_run(info_of(cubes, **STAGED), CPU, tmp_path / "run"), cubes)
    seeds, first_steps, counted_from = zip(*drawn, strict=True)
    # Two cases in batches of 2, 1 and 1: two steps of two epochs, two of one, two of one.
    assert first_steps == counted_from == (0, 2, 4)
    assert seeds[0] == 1
    assert len(set(seeds)) == 3


@pytest.mark.parametrize(
    ("fields", "stops"),
    [
        (STAGED, (1, 2, 3, 5)),
        ({**STAGED, "optimizer": SGD, "ema": {"decay": 0.9}}, (3,)),
        ({"optimizer": RMSPROP, "ema": {"decay": 0.9}, "schedule": {"kind": "polynomial"}}, (3,)),
        ({"optimizer": {**SGD, "momentum": 0, "nesterov": False}}, (3,)),
    ],
    ids=["stages", "sgd and average", "rmsprop and average", "sgd without momentum"],
)
def test_a_run_interrupted_in_any_stage_ends_in_the_same_bits(cubes, tmp_path, monkeypatch, fields, stops):
    info = info_of(cubes, **fields)
    tensors, expected = finish(start_run(info, CPU, tmp_path / "whole"), cubes)
    best = load_checkpoint(tmp_path / "whole" / BEST)[0]
    for stop in stops:
        folder = tmp_path / f"cut{stop}"
        found, resumed = finish_in_two(info, cubes, folder, monkeypatch, stop)
        assert resumed == expected
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensors[name]) for name in tensors)
        assert learned(folder) == learned(tmp_path / "whole")
        assert all(torch.equal(load_checkpoint(folder / BEST)[0][name], best[name]) for name in best)


def test_each_stage_has_its_own_sizes(cubes, tmp_path, monkeypatch):
    seen = []
    step_as_it_is = loop.training_step

    def watched(run, step, batch):
        seen.append(tuple(batch.images.shape))
        return step_as_it_is(run, step, batch)

    monkeypatch.setattr(loop, "training_step", watched)
    finish(start_run(info_of(cubes, **STAGED, augmentation={}), CPU, tmp_path), cubes)
    # Two cases: epochs of one step, of two, and of two whole volumes of 20 voxels a side.
    small, large, whole = (2, 1, 8, 8, 8), (1, 1, 16, 16, 16), (1, 1, 20, 20, 20)
    assert seen == [small, small, large, large, whole, whole]


def of_stride_8(norm="instance"):
    return SegResNetSpec(out_channels=2, init_filters=8, blocks_down=(1, 1, 1, 1), dsdepth=1, norm=norm)


def test_a_whole_volume_is_padded_to_the_networks_stride():
    assert padded_zyx((17, 16, 1), of_stride_8()) == (24, 16, 8)


@pytest.mark.parametrize(("norm", "depth"), [("instance", 16), ("batch", 16), ("group", 8)])
def test_a_whole_volume_no_larger_than_the_stride_is_padded_to_two(norm, depth):
    """Of 8 × 8 × 8 voxels a single one is left on the coarsest level; group norm has channels beside it."""
    assert padded_zyx((3, 8, 2), of_stride_8(norm)) == (depth, 8, 8)


def test_a_volume_no_larger_than_the_stride_is_learned_from_and_validated(tmp_path):
    """Cubes of 8 voxels a side, of which a network of stride 8 leaves one."""
    network = {
        "kind": "segresnet",
        "init_filters": 4,
        "norm": "instance",
        "blocks_down": [1, 1, 1, 1],
        "dsdepth": 1,
    }
    cubes = write_dataset(tmp_path / "cubes", side=8)
    fields = {"network": network, "curriculum": [{"patch_zyx": "whole", "epochs": 1}]}
    stopping = {"kind": "epochs", "epochs": 1}
    run = start_run(info_of(cubes, **fields, stopping=stopping), CPU, tmp_path / "run")
    assert finish(run, cubes)[1].step == 2


def test_averaged_weights_are_the_ones_that_are_validated_and_exported(cubes, tmp_path, monkeypatch):
    judged = []
    monkeypatch.setattr(loop, "validate", lambda network, *_: judged.append(network) or {"liver": 0.5})
    run = start_run(info_of(cubes, ema={"decay": 0.9}), CPU, tmp_path)
    tensors, _ = finish(run, cubes)
    assert set(judged) == {run.average}
    for name, weight in run.average.state_dict().items():
        assert torch.equal(tensors[f"network.{name}"], weight)
    for name, weight in run.network.state_dict().items():
        assert torch.equal(tensors[f"raw.{name}"], weight)
    assert not any(name.startswith("raw.") for name in load_checkpoint(tmp_path / BEST)[0])


def test_checkpoints_that_are_kept_for_good(cubes, tmp_path):
    finish(start_run(info_of(cubes, keep_every_steps=3), CPU, tmp_path), cubes)
    kept = sorted(path.name for path in tmp_path.glob("step-*"))
    assert kept == ["step-000003.safetensors", "step-000006.safetensors"]
    assert load_checkpoint(tmp_path / kept[0])[1].step == 3


def test_what_is_kept_for_good_has_a_checkpoint_to_go_on_from_beside_it(cubes, tmp_path, monkeypatch):
    """Also before the first one is due: else the run could not be told from one that has lost it."""
    info = info_of(cubes, keep_every_steps=3, checkpoint_every_steps=100)
    _, expected = finish(start_run(info, CPU, tmp_path / "whole"), cubes)
    _, resumed = finish_in_two(info, cubes, tmp_path / "cut", monkeypatch, stop=4)
    assert resumed == expected
    assert learned(tmp_path / "cut") == learned(tmp_path / "whole")


@pytest.mark.parametrize("every", [3, 100])
def test_a_run_that_ends_at_what_it_keeps_first_can_begin_again(cubes, tmp_path, monkeypatch, every):
    """As where the disk is full: the checkpoint to go on from, which is larger, is written before."""
    run = start_run(info_of(cubes, keep_every_steps=3, checkpoint_every_steps=every), CPU, tmp_path)
    save = loop.save_run

    def full(run, name, *, moments):
        if name == LAST:
            raise WriteError(f"{name}: no space")
        save(run, name, moments=moments)

    monkeypatch.setattr(loop, "save_run", full)
    with pytest.raises(WriteError):
        finish(run, cubes)
    assert list(tmp_path.glob("step-*")) == []
    refuse_lost_run(tmp_path)


CONVERGING = {
    "stopping": {"kind": "converged", "epochs": 60, "window_epochs": 8, "anneal_epochs": 2},
    "sampling": {"batch_size": 2},
    "validation": {"every_epochs": 1, "cases": 1},
    "schedule": {"kind": "polynomial"},
}


def test_a_flat_curve_ends_the_run_after_its_annealing(cubes, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", logger="training")
    monkeypatch.setattr(loop, "validate", lambda *_: {"liver": 0.5})
    monkeypatch.setattr(loop, "training_step", lambda run, step, batch: 1.0)
    _, info = finish(start_run(info_of(cubes, **CONVERGING), CPU, tmp_path), cubes)
    # One step an epoch; eight flat validations are enough, then come two epochs of decay.
    assert (info.anneal_steps, info.step) == ((8,), 10)
    rates = [line["learning_rate"] for line in learned(tmp_path) if "loss" in line]
    assert rates == pytest.approx([0.01] * 9 + [0.01 * 0.5**0.9])
    (said,) = (message for message in caplog.messages if "the learning rate decays" in message)
    assert said.startswith("step 8: the learning rate decays from here to step 10: epoch 8: over the last 8")


def test_each_stage_may_converge_and_give_way_to_the_next(cubes, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "validate", lambda *_: {"liver": 0.5})
    monkeypatch.setattr(loop, "training_step", lambda run, step, batch: 1.0)
    stages = [
        {"patch_zyx": [8, 8, 8], "batch_size": 2, "epochs": 20},
        {"patch_zyx": [16, 16, 16], "batch_size": 2, "epochs": 12},
    ]
    info = info_of(cubes, **CONVERGING, curriculum=stages)
    _, whole = finish(start_run(info, CPU, tmp_path / "whole"), cubes)
    assert (whole.anneal_steps, whole.step) == ((8, 18), 20)
    _, resumed = finish_in_two(info, cubes, tmp_path / "cut", monkeypatch, 13)
    assert resumed == whole


@pytest.mark.parametrize("every_epochs", [1, 8], ids=["validated", "not validated"])
def test_short_stages_anneal_from_their_first_step(cubes, tmp_path, monkeypatch, caplog, every_epochs):
    """Of 20, 2 and 1 epochs, where the decay takes two: one step an epoch."""
    caplog.set_level("INFO", logger="training")
    monkeypatch.setattr(loop, "validate", lambda *_: {"liver": 0.5})
    monkeypatch.setattr(loop, "training_step", lambda run, step, batch: 1.0)
    stages = [{"patch_zyx": [8, 8, 8], "batch_size": 2, "epochs": epochs} for epochs in (20, 2, 1)]
    validation = {"every_epochs": every_epochs, "cases": 1}
    info = info_of(cubes, **{**CONVERGING, "validation": validation}, curriculum=stages)
    _, whole = finish(start_run(info, CPU, tmp_path / "whole"), cubes)
    # Eight flat validations end the first stage; where there are but two, its time does.
    first = 8 if every_epochs == 1 else 18
    assert (whole.anneal_steps, whole.step) == ((first, first + 2, first + 4), first + 5)
    rates = [line["learning_rate"] for line in learned(tmp_path / "whole") if "loss" in line]
    decay = [0.01, 0.01 * 0.5**0.9]
    assert rates == pytest.approx([0.01] * first + decay + decay + [0.01])
    said, *_, last = (message for message in caplog.messages if "the learning rate decays" in message)
    assert said.startswith(f"step {first}: the learning rate decays from here to step {first + 2}: ")
    # Of validations after 8 and 16 epochs the last one's reason would be that they are too few.
    time_is_over = "epoch 18: 20 epochs at most, of which the last 2 are for the decay of the learning rate"
    assert ("epoch 8: over the last 8" if every_epochs == 1 else time_is_over) in said
    assert last.startswith(f"step {first + 4}: the learning rate decays from here to step {first + 5}: ")
    assert last.endswith("the stage is no longer than that takes")
    for stop in (first + 2, first + 3, first + 4):
        _, resumed = finish_in_two(info, cubes, tmp_path / f"cut{stop}", monkeypatch, stop)
        assert resumed == whole


def test_a_short_first_stage_says_when_its_warm_up_is_over(cubes, tmp_path, monkeypatch, caplog):
    """One step an epoch: three of warm-up, then two of decay, for which five were meant."""
    caplog.set_level("INFO", logger="training")
    monkeypatch.setattr(loop, "validate", lambda *_: {"liver": 0.5})
    monkeypatch.setattr(loop, "training_step", lambda run, step, batch: 1.0)
    fields = {
        "stopping": {**CONVERGING["stopping"], "anneal_epochs": 5},
        "schedule": {"kind": "warmup_cosine", "warmup_epochs": 3},
        "curriculum": [{"patch_zyx": [8, 8, 8], "batch_size": 2, "epochs": 5}],
    }
    info = info_of(cubes, **{**CONVERGING, **fields})
    _, whole = finish(start_run(info, CPU, tmp_path / "whole"), cubes)
    rates = [line["learning_rate"] for line in learned(tmp_path / "whole") if "loss" in line]
    assert rates == pytest.approx([0.01 / 3, 0.02 / 3, 0.01, 0.01, 0.005])
    (said,) = (message for message in caplog.messages if "the learning rate decays" in message)
    assert said.startswith("step 3: the learning rate decays from here to step 5: ")
    _, resumed = finish_in_two(info, cubes, tmp_path / "cut", monkeypatch, 2)
    assert resumed == whole


def test_a_run_is_not_resumed_as_another_kind_of_run(cubes, tmp_path):
    info = info_of(cubes)
    finish(start_run(info, CPU, tmp_path), cubes)
    other = replace(info, recipe=tiny_recipe(ema={"decay": 0.9}))
    with pytest.raises(ValueError, match="written with another recipe"):
        resume_run(other, CPU, tmp_path)
