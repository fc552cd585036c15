"""`train`: which run its words ask for, and what it says on the way."""

import errno
import json
import logging
import os
import shutil
import signal

import numpy as np
import pytest
import torch

from model.labels import FLARE21
from tests.training.run_logs import learned
from tests.training.tiny import recipe_file, write_case
from training.__main__ import main
from training.commands.work import train_work
from training.data.label_agreement import TAKE_OWN
from training.distributed.ranks import Ranks
from training.folder_lock import locked
from training.runs import loop
from training.runs.checkpoints import load_checkpoint
from training.runs.run_files import BEST, LAST, LOG
from training.training_errors import DataError

OWN = {"labels": {"background": 0, "right lung": 3, "left lung": 8}, "lesions": []}


@pytest.fixture
def lungs(tmp_path):
    """Two cases of a user's own label set, which nnU-Net's dataset.json states."""
    folder = tmp_path / "lungs"
    for index in range(2):
        labels = np.zeros((16, 16, 16), np.uint8)
        labels[4:12, 4:12, 2:7], labels[4:12, 4:12, 9 + index : 14] = 3, 8
        write_case(folder, f"case{index}", np.where(labels, -600, 50).astype(np.int16), labels)
    (folder / "dataset.json").write_text(json.dumps({**OWN, "name": "lungs"}))
    return folder


def words(recipe, data, output, *more):
    return ["train", recipe, "--data", str(data), "--output", str(output), "--device", "cpu", *more]


def test_lists_of_a_datalist_that_are_not_read_are_named(lungs, tmp_path, caplog):
    caplog.set_level(logging.INFO, "training")
    entries = [
        {"image": f"imagesTr/case{index}_0000.nii.gz", "label": f"labelsTr/case{index}.nii.gz"}
        for index in range(2)
    ]
    lists = {"training": entries[:1], "validation": entries[1:], "test": []}
    (lungs / "dataset.json").write_text(json.dumps({**OWN, **lists}))
    recipe = recipe_file(tmp_path, label_set="data")
    assert main(words(recipe, lungs, tmp_path / "run", "--validation", "0", "--steps", "1")) == 0
    said = [record.getMessage() for record in caplog.records]
    assert [one for one in said if "is not read" in one] == [
        f"{lungs}: its list `validation` is not read, only `training` is"
    ]


@pytest.mark.parametrize("native", [False, True])
def test_bf16_on_a_processor_that_emulates_it_is_warned_of(lungs, tmp_path, caplog, monkeypatch, native):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    recipe = recipe_file(tmp_path, label_set="data")
    more = ("--validation", "0", "--steps", "1", "--precision", "bf16")
    assert main(words(recipe, lungs, tmp_path / "run", *more)) == 0
    said = [line for line in caplog.messages if line.startswith("bf16: this processor cannot compute in it")]
    assert len(said) == (0 if native else 1)


class Alike(Ranks):
    """One of several processes, which all have the same to say."""

    def gather(self, item):
        return [item] * self.world


@pytest.mark.parametrize(("rank", "code"), [(0, 2), (1, 1)])
def test_what_all_processes_refuse_the_first_one_says(lungs, tmp_path, capsys, monkeypatch, rank, code):
    monkeypatch.setattr(train_work, "join", lambda device: Alike(rank=rank, world=2))
    recipe = recipe_file(tmp_path, label_set="data", sampling={"batch_size": 3})
    (lungs / "labelsTr" / "case0.nii.gz").unlink()  # What data lack is told once batches can be shared.
    assert main(words(recipe, lungs, tmp_path / "run")) == code
    assert ("sampling.batch_size: 3 patches cannot be" in capsys.readouterr().err) == (rank == 0)


def test_what_another_process_refuses_ends_all(lungs, tmp_path, capsys, monkeypatch):
    class OneRefuses(Ranks):
        def gather(self, item):
            return [item, "/data: no data set here"]

    monkeypatch.setattr(train_work, "join", lambda device: OneRefuses(world=2))
    recipe = recipe_file(tmp_path, label_set="data", sampling={"batch_size": 2})
    assert main(words(recipe, lungs, tmp_path / "run")) == 1
    assert capsys.readouterr().err == "error: /data: no data set here\n"


def test_the_processes_of_a_machine_share_the_memory_for_cases(lungs, tmp_path, monkeypatch):
    given = []

    class Noted(train_work.CaseStore):
        def __init__(self, cases, recipe, cache_mb, *more):
            given.append(cache_mb)
            super().__init__(cases, recipe, cache_mb, *more)

    monkeypatch.setattr(train_work, "CaseStore", Noted)
    monkeypatch.setattr(train_work, "join", lambda device: Ranks(local_world=4))
    recipe = recipe_file(tmp_path, label_set="data")
    more = ("--steps", "1", "--validation", "0.5", "--cache-mb", "80")
    assert main(words(recipe, lungs, tmp_path / "run", *more)) == 0
    assert given == [10, 10]  # 80 / 4, half of it for the case that is held out


def test_a_run_that_cannot_see_when_it_has_converged_says_so(lungs, tmp_path, caplog):
    stopping = {"kind": "converged", "epochs": 3, "anneal_epochs": 1, "window_epochs": 8}
    recipe = recipe_file(tmp_path, label_set="data", stopping=stopping, sampling={"batch_size": 1})
    assert main(words(recipe, lungs, tmp_path / "run", "--validation", "0")) == 0
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert (
        "stopping: nothing is held out to tell when the run has converged: it takes all of its 6 steps"
        in said
    )


def test_a_run_whose_other_processes_are_gone_ends_with_a_line(tmp_path):
    gone = RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    line = train_work.line_of(gone, tmp_path)
    assert line == "another process of the run has ended, whose own message says why"
    assert train_work.line_of(RuntimeError("a fault"), tmp_path) is None
    assert train_work.line_of(DataError("a.nii.gz: damaged"), tmp_path) == "a.nii.gz: damaged"


@pytest.mark.parametrize(
    ("ended_in", "number", "step"),
    [
        ("training_step", signal.SIGTERM, 3),
        ("training_step", signal.SIGINT, 4),  # A validation is due after it: the next call makes it up.
        ("validate", signal.SIGHUP, 4),
    ],
)
def test_a_run_that_is_ended_finishes_its_step_and_goes_on_from_it(
    lungs, tmp_path, capsys, monkeypatch, ended_in, number, step
):
    """The recipe writes no checkpoint before its end at step 8, and validates after steps 4 and 8."""
    recipe = recipe_file(tmp_path, label_set="data", checkpoint_every_steps=1000)

    def call(output):
        more = ("--validation", str(lungs), "--precision", "fp32", "--threads", "1")
        return words(recipe, lungs, tmp_path / output, *more)

    assert main(call("whole")) == 0
    does = getattr(loop, ended_in)

    def ends(run, *more):
        if ended_in == "validate" or more[0] == step - 1:
            os.kill(os.getpid(), number)
        return does(run, *more)

    was = signal.signal(number, signal.SIG_DFL)  # What runs in the background may ignore Ctrl-C.
    with monkeypatch.context() as patched:
        patched.setattr(loop, ended_in, ends)
        assert main(call("cut")) == 128 + number
    signal.signal(number, was)
    assert f"; the last checkpoint is of step {step}: go on from it with --resume" in capsys.readouterr().err
    assert load_checkpoint(tmp_path / "cut" / LAST)[1].step == step
    assert main([*call("cut"), "--resume"]) == 0
    for name in (LAST, BEST):
        (expected, whole), (found, resumed) = (
            load_checkpoint(tmp_path / run / name) for run in ("whole", "cut")
        )
        assert resumed == whole
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert learned(tmp_path / "cut") == learned(tmp_path / "whole")


def test_a_users_own_label_set_is_trained_on_and_kept_in_the_checkpoint(lungs, tmp_path):
    recipe = recipe_file(tmp_path, label_set="data")
    call = words(recipe, lungs, tmp_path / "run", "--steps", "2", "--validation", "0", "--precision", "fp32")
    assert main(call) == 0
    _, info = load_checkpoint(tmp_path / "run" / LAST)
    assert info.recipe.labels.ids == {"right lung": 3, "left lung": 8}
    assert info.recipe.channel_names == ("background", "right lung", "left lung")
    assert info.data == "lungs"


def test_a_run_that_found_its_set_beside_the_data_can_be_resumed(lungs, tmp_path):
    recipe = recipe_file(tmp_path, label_set="data")
    more = ("--steps", "2", "--validation", "0", "--precision", "fp32")
    assert main(words(recipe, lungs, tmp_path / "run", *more)) == 0
    assert main(words(recipe, lungs, tmp_path / "run", *more, "--resume")) == 0


def test_a_lesion_that_is_an_organ_by_the_file_is_told(lungs, tmp_path, caplog):
    labels = {"lung": 3, "lung lesion": 8}
    (lungs / "dataset.json").write_text(json.dumps({"labels": labels}))
    call = words(recipe_file(tmp_path, label_set="data"), lungs, tmp_path / "run", "--steps", "1")
    assert main([*call, "--validation", "0", "--precision", "fp32"]) == 0
    (told,) = [line for line in caplog.messages if "lesions" in line]
    assert told.startswith(f"{lungs / 'dataset.json'}: `lesions` does not name lung lesion: ")


def test_a_run_goes_on_with_data_that_were_moved(lungs, tmp_path):
    """A label set without a name has that of its folder, which counts for nothing."""
    recipe, data = recipe_file(tmp_path, label_set="data"), tmp_path / "own"
    more = ("--validation", "0", "--precision", "fp32")
    shutil.copytree(lungs, data)
    (data / "dataset.json").write_text(json.dumps(OWN))
    assert main(words(recipe, data, tmp_path / "run", *more, "--steps", "2")) == 0
    moved = data.rename(tmp_path / "my_cts")
    assert main(words(recipe, moved, tmp_path / "run", *more, "--steps", "2", "--resume")) == 0


def test_a_run_that_cannot_be_resumed_says_what_differs(lungs, tmp_path, capsys):
    recipe = recipe_file(tmp_path, label_set="data")
    more = ("--validation", "0", "--precision", "fp32")
    assert main(words(recipe, lungs, tmp_path / "run", *more, "--steps", "2")) == 0
    assert main(words(recipe, lungs, tmp_path / "run", *more, "--steps", "4", "--resume")) == 1
    last = tmp_path / "run" / LAST
    assert capsys.readouterr().err == (
        f"error: {last}: was written with another recipe (stopping.steps 2, now 4); resume with the same "
        f"one, or choose another --output, with --init {last} to start from its weights\n"
    )


def test_what_all_processes_cannot_resume_the_first_one_says(lungs, tmp_path, capsys, monkeypatch):
    recipe = recipe_file(tmp_path, label_set="data", sampling={"batch_size": 2})
    more = ("--validation", "0", "--precision", "fp32", "--steps", "1")
    assert main(words(recipe, lungs, tmp_path / "run", *more)) == 0
    capsys.readouterr()
    for rank, code in ((0, 1), (1, 1)):
        monkeypatch.setattr(train_work, "join", lambda device, rank=rank: Alike(rank=rank, world=2))
        assert main(words(recipe, lungs, tmp_path / "run", *more, "--seed", "5", "--resume")) == code
        assert ("was written with another seed" in capsys.readouterr().err) == (rank == 0)


def test_a_run_that_is_complete_says_so(lungs, tmp_path, caplog):
    caplog.set_level(logging.INFO, "training")
    recipe = recipe_file(tmp_path, label_set="data")
    call = words(recipe, lungs, tmp_path / "run", "--validation", "0", "--steps", "1")
    assert main(call) == 0
    caplog.clear()
    assert main([*call, "--resume"]) == 0
    said = [record.getMessage() for record in caplog.records]
    assert (
        "tiny: is complete, all 1 steps are done; to train its weights further, start another run with --init"
        in said
    )


def test_labels_that_the_set_does_not_have_end_the_run_in_one_line(lungs, tmp_path, capsys):
    (lungs / "dataset.json").unlink()
    recipe = recipe_file(tmp_path)  # FLARE21 ends at 4.
    assert main(words(recipe, lungs, tmp_path / "run", "--validation", "0")) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "labelsTr/case" in error
    assert "holds id 8, unknown to label set flare21" in error


def test_data_that_state_other_names_than_the_recipe_are_refused(lungs, tmp_path, capsys):
    """They would be trained as the recipe's spleen, and lungs would be missing."""
    assert main(words(recipe_file(tmp_path), lungs, tmp_path / "run")) == 2
    assert capsys.readouterr().err == (
        f"error: {lungs / 'dataset.json'}: says that 3 is right lung, label set flare21 that it is spleen; "
        f"2 ids differ; {TAKE_OWN}\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "call",
    [["train"], ["cross-validate", "--folds", "2", "--dry-run"], ["prepare"], ["check"]],
    ids=lambda call: call[0],
)
def test_data_that_state_an_id_that_the_label_set_lacks_are_refused_at_the_start(
    lungs, tmp_path, capsys, call
):
    """A run would end in the middle, when a patch of the case with a lesion is drawn."""
    (lungs / "dataset.json").write_text(json.dumps({"labels": {**FLARE21.ids, "lesion": 8}}))
    name, recipe = call[0], recipe_file(tmp_path)
    data = (
        [str(lungs), "--recipe", recipe] if name in ("prepare", "check") else [recipe, "--data", str(lungs)]
    )
    output = [] if name == "check" else ["--output", str(tmp_path / "run")]
    assert main([name, *data, *output, *call[1:]]) != 0
    assert f"8 is lesion, an id that label set flare21 lacks; 1 id differs; {TAKE_OWN}" in "".join(
        capsys.readouterr()
    )
    assert not (tmp_path / "run").exists()


def test_data_to_validate_on_must_mean_the_same_by_their_ids(lungs, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(lungs, other)
    (other / "dataset.json").write_text('{"labels": {"left lung": 3, "right lung": 8}}')
    recipe = recipe_file(tmp_path, label_set="data")
    assert main(words(recipe, lungs, tmp_path / "run", "--validation", str(other))) == 2
    assert capsys.readouterr().err == (
        f"error: {other / 'dataset.json'}: says that 3 is left lung, label set lungs that it is right lung; "
        f"2 ids differ; renumber {other} as {lungs}\n"
    )


def test_all_faults_of_a_recipe_are_told_before_data_is_looked_at(tmp_path, capsys):
    recipe = recipe_file(tmp_path, patch_zyx=[7, 8], stopping={"kind": "fixed_steps", "steps": 0})
    assert main(words(recipe, tmp_path / "nowhere", tmp_path / "run")) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: recipe recipe.yaml: ")
    for field in ("patch_zyx: must be a list of 3", "stopping.steps: must be 1"):
        assert field in error
    assert error.count("\n") == 1


def test_a_line_says_what_is_trained_and_another_where_it_ended(cubes, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="training")
    more = ("--steps", "2", "--validation", str(cubes), "--precision", "fp32")
    assert main(words(recipe_file(tmp_path), cubes, tmp_path / "run", *more)) == 0
    assert "tiny: 2 cases, 2 held out, 0.00711 M parameters, 2 steps from 0, cpu in fp32" in caplog.messages
    assert "held out: case0, case1" in caplog.messages
    assert any(message.startswith("step 2/2: loss ") for message in caplog.messages)
    assert any(message.startswith("step 2: validation Dice ") for message in caplog.messages)
    assert caplog.messages[-1] == f"done: {tmp_path / 'run' / BEST}"


@pytest.mark.parametrize("names_them", [False, True])
def test_a_split_beside_the_data_is_told_to_be_left_aside(cubes, tmp_path, caplog, names_them):
    """Unless the held-out cases are named, by whom who has read it."""
    data = tmp_path / "data"
    shutil.copytree(cubes, data)
    (data / "splits_final.json").write_text("[]")
    (tmp_path / "held.txt").write_text("case1\n")
    caplog.set_level(logging.INFO, logger="training")
    more = ("--hold-out", str(tmp_path / "held.txt")) if names_them else ("--validation", "0.5")
    assert main(words(recipe_file(tmp_path), data, tmp_path / "run", "--steps", "1", *more)) == 0
    aside = [message for message in caplog.messages if "splits_final.json" in message]
    assert aside == (
        []
        if names_them
        else [
            f"{data / 'splits_final.json'}: train does not follow a split; cross-validate does, and "
            "--hold-out names the cases"
        ]
    )


def test_the_log_has_a_loss_and_a_rate_for_each_step_and_dice_for_each_validation(cubes, tmp_path):
    more = ("--steps", "4", "--validation", str(cubes), "--precision", "fp32")
    assert main(words(recipe_file(tmp_path), cubes, tmp_path / "run", *more)) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text(encoding="utf-8").splitlines()]
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    # Two steps of warm-up to 0.01, then half a cosine over the other two.
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.005])
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert [line["step"] for line in lines if "mean_dice" in line] == [4]


@pytest.mark.parametrize("file", ["annotated.json", "given.json"])
def test_a_structure_that_is_spelt_wrongly_ends_the_run_before_it_begins(cubes, tmp_path, capsys, file):
    """It would be background in silence, and unlearned."""
    data = tmp_path / "data"
    shutil.copytree(cubes, data)
    (data / file).write_text('{"case1": ["Liver", "spleen"]}')
    assert main(words(recipe_file(tmp_path), data, tmp_path / "run", "--validation", "0")) == 1
    assert capsys.readouterr().err == (
        f"error: {data / file}: case case1 names Liver, which is not in the label set flare21; it has liver, "
        "kidney, spleen, pancreas\n"
    )
    assert not (tmp_path / "run").exists()


def test_several_data_sets_are_one(cubes, lungs, tmp_path):
    recipe = recipe_file(
        tmp_path, label_set={"name": "all", "ids": {"liver": 1, "right lung": 3, "left lung": 8}}
    )
    call = words(recipe, cubes, tmp_path / "run", "--data", str(lungs), "--steps", "1", "--validation", "0")
    assert main(call) == 0  # Both have a case0, of two patients.
    _, info = load_checkpoint(tmp_path / "run" / LAST)
    assert info.cases == ("case0", "case1", "case0", "case1")
    assert info.data == "cubes; lungs"


def case_of_the_cubes(cubes, tmp_path):
    """A data set of one case: it has the name of a case of the cubes, and the files of another."""
    data = tmp_path / "other"
    image, labels = cubes / "imagesTr/case1_0000.nii.gz", cubes / "labelsTr/case1.nii.gz"
    for path, place in ((image, "imagesTr/case0_0000.nii.gz"), (labels, "labelsTr/case0.nii.gz")):
        (data / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, data / place)
    return data


def test_a_case_that_comes_twice_is_not_on_both_sides_of_a_split(cubes, tmp_path, capsys):
    """Of two cases one is trained on and one is held out, and they are the same."""
    one = case_of_the_cubes(cubes, tmp_path)
    shutil.copytree(one, tmp_path / "copy")
    call = words(recipe_file(tmp_path), one, tmp_path / "run", "--data", str(tmp_path / "copy"))
    assert main([*call, "--validation", "0.5"]) == 1
    error = capsys.readouterr().err
    assert "case0_0000.nii.gz: is validated on, and trained on as" in error
    assert error.count("\n") == 1


def test_a_case_that_comes_twice_is_not_held_out_by_one_of_its_names(cubes, tmp_path, capsys):
    data = shutil.copytree(cubes, tmp_path / "data")
    for place in ("imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz"):
        shutil.copy(data / place.format("case0"), data / place.format("copy"))
    (tmp_path / "names.txt").write_text("copy\n")
    call = words(recipe_file(tmp_path), data, tmp_path / "run", "--hold-out", str(tmp_path / "names.txt"))
    assert main(call) == 1
    first, second = (data / f"imagesTr/{name}_0000.nii.gz" for name in ("case0", "copy"))
    assert capsys.readouterr().err == (
        f"error: {second}: is validated on, and trained on as {first}; leave one of them out\n"
    )


def test_a_validation_set_that_holds_a_case_of_the_data_is_refused(cubes, tmp_path, capsys):
    other = case_of_the_cubes(cubes, tmp_path)
    call = words(recipe_file(tmp_path), cubes, tmp_path / "run", "--validation", str(other))
    assert main(call) == 1
    assert capsys.readouterr().err == (
        f"error: {other / 'imagesTr/case0_0000.nii.gz'}: is validated on, and trained on as "
        f"{cubes / 'imagesTr/case1_0000.nii.gz'}; leave one of them out\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_validation_set_of_other_patients_may_have_the_same_names(cubes, lungs, tmp_path):
    recipe = recipe_file(
        tmp_path, label_set={"name": "all", "ids": {"liver": 1, "right lung": 3, "left lung": 8}}
    )
    more = ("--validation", str(lungs), "--steps", "1", "--precision", "fp32")
    assert main(words(recipe, cubes, tmp_path / "run", *more)) == 0


def test_validation_on_the_very_data_is_told_of(cubes, tmp_path, caplog):
    more = ("--validation", str(cubes), "--steps", "1", "--precision", "fp32")
    assert main(words(recipe_file(tmp_path), cubes, tmp_path / "run", *more)) == 0
    assert "cases that are trained on are validated on" in caplog.text


def test_names_of_held_out_cases_must_stand_for_one_case_each(cubes, lungs, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("case0\n")
    recipe = recipe_file(
        tmp_path, label_set={"name": "all", "ids": {"liver": 1, "right lung": 3, "left lung": 8}}
    )
    more = ("--data", str(lungs), "--hold-out", str(tmp_path / "names.txt"))
    assert main(words(recipe, cubes, tmp_path / "run", *more)) == 1
    assert f"error: {lungs}: case case0 is in two data sets; rename one of them" in capsys.readouterr().err


def test_threads_are_the_ones_asked_for(cubes, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    call = words(recipe_file(tmp_path), cubes, tmp_path / "run", "--threads", "3", "--steps", "1")
    assert main([*call, "--validation", "0"]) == 0
    assert asked == [3]


def test_tensorboard_is_written_where_it_is_asked_for(cubes, tmp_path):
    call = words(recipe_file(tmp_path), cubes, tmp_path / "run", "--steps", "2", "--validation", str(cubes))
    assert main([*call, "--tensorboard"]) == 0
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"run.json", "log.csv", "curves.png", LOG, LAST, BEST} <= written


def test_a_run_does_not_start_from_what_it_would_remove(cubes, tmp_path, capsys):
    best = tmp_path / "run" / BEST
    best.parent.mkdir()
    best.write_text("earlier")
    assert main(words(recipe_file(tmp_path), cubes, tmp_path / "run", "--init", str(best))) == 2
    assert "is of an earlier run in --output, which a new one replaces" in capsys.readouterr().err
    assert best.read_text(encoding="utf-8") == "earlier"


@pytest.mark.parametrize("resume", [(), ("--resume",), ("--resume", "auto")], ids=" ".join)
def test_results_of_a_run_that_has_lost_its_last_checkpoint_stay(cubes, tmp_path, capsys, resume):
    run = tmp_path / "run"
    call = words(recipe_file(tmp_path, keep_every_steps=4), cubes, run, "--validation", str(cubes))
    assert main(call) == 0
    (run / LAST).unlink()
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    assert main([*call, *resume]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {run}: holds step-000004.safetensors of a run whose last.safetensors is gone, and a new run "
        "would remove it; choose another --output, move the folder elsewhere, or remove "
        "step-000004.safetensors"
    )
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_a_run_that_was_ended_in_its_last_validation_has_only_that_to_do_again(
    cubes, tmp_path, caplog, monkeypatch
):
    """Of 8 steps, validated after 4 and 8, with checkpoints every 100: each validation has one before it."""
    run = tmp_path / "run"
    recipe = recipe_file(tmp_path, checkpoint_every_steps=100)
    call = words(recipe, cubes, run, "--validation", str(cubes), "--resume", "auto")
    looked = iter([{"liver": 0.9}])
    with monkeypatch.context() as patched:
        patched.setattr(loop, "validate", lambda *_: next(looked))
        with pytest.raises(StopIteration):
            main(call)
    assert [load_checkpoint(run / name)[1].step for name in (BEST, LAST)] == [4, 8]
    caplog.set_level(logging.INFO, logger="training")
    assert main(call) == 0
    assert any(message.startswith("step 8: validation Dice ") for message in caplog.messages)
    assert not any(message.startswith("step 5/8") for message in caplog.messages)
    assert load_checkpoint(run / LAST)[1].dice


def test_a_run_without_a_checkpoint_to_go_on_from_is_begun_anew(cubes, tmp_path, caplog):
    run = tmp_path / "run"
    call = words(recipe_file(tmp_path), cubes, run, "--validation", str(cubes), "--resume", "auto")
    assert main(call) == 0
    for name in (BEST, LAST):
        (run / name).unlink()
    caplog.set_level(logging.INFO, logger="training")
    assert main(call) == 0
    assert f"{run}: begun anew: the run there was ended before its first checkpoint" in caplog.messages
    assert load_checkpoint(run / LAST)[1].step == 8


def test_two_runs_do_not_train_in_one_folder(cubes, tmp_path, capsys):
    """As when cross-validate was killed and called again, while the training that it had started goes on."""
    call = words(recipe_file(tmp_path), cubes, tmp_path / "run", "--steps", "1", "--validation", "0")
    with locked(tmp_path / "run"):
        assert main(call) == 2
    assert "run: another run is at work here" in capsys.readouterr().err
    assert not (tmp_path / "run" / LAST).exists()
    assert main(call) == 0


def test_a_batch_size_that_was_found_is_kept_for_the_whole_run(cubes, tmp_path):
    recipe = recipe_file(tmp_path, sampling={"batch_size": "auto"}, stopping={"kind": "epochs", "epochs": 2})
    call = words(recipe, cubes, tmp_path / "run", "--validation", "0")
    assert main(call) == 0
    _, info = load_checkpoint(tmp_path / "run" / LAST)
    # On a CPU at most four patches, and never more than cases.
    assert (info.batch_size, info.step) == (2, 2)
    assert info.recipe.sampling.batch_size == "auto"
    assert main([*call, "--resume"]) == 0


def test_precision_is_the_recipes_unless_the_call_says_otherwise(cubes, tmp_path):
    recipe = recipe_file(tmp_path, precision="fp32")
    for name, more, expected in (("a", (), "fp32"), ("b", ("--precision", "bf16"), "bf16")):
        call = words(recipe, cubes, tmp_path / name, "--steps", "1", "--validation", "0", *more)
        assert main(call) == 0
        assert load_checkpoint(tmp_path / name / LAST)[1].precision == expected


def test_the_times_of_steps_are_written_where_they_are_asked_for(lungs, tmp_path):
    recipe = recipe_file(tmp_path, label_set="data")
    more = ("--steps", "3", "--validation", "0", "--precision", "fp32", "--times")
    assert main(words(recipe, lungs, tmp_path / "run", *more)) == 0
    times = json.loads((tmp_path / "run" / "times.json").read_text(encoding="utf-8"))
    assert times["precision"] == "fp32"
    assert len(times["steps"]) == 2  # the first has none before it
    for step in times["steps"]:
        assert set(step["parts"]) == {"wait", "augment", "forward", "loss", "backward", "update"}
        assert sum(part["wall_s"] for part in step["parts"].values()) <= step["wall_s"]


def test_cases_are_held_out_by_name(cubes, tmp_path):
    (tmp_path / "names.txt").write_text("case0\n")
    more = ("--steps", "1", "--hold-out", str(tmp_path / "names.txt"), "--precision", "fp32")
    assert main(words(recipe_file(tmp_path), cubes, tmp_path / "run", *more)) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert (record["cases"], record["held_out"]) == (["case1"], ["case0"])


def test_cases_are_made_while_the_network_trains(cubes, tmp_path):
    kinds = {"pool": 1, "patches_per_case": 1000, "anatomy_share": 0, "elsewhere_share": 1}
    more = ("--steps", "1", "--validation", "0", "--precision", "fp32", "--seed", "1")
    losses = []
    for share in (1, 0.001):
        recipe = recipe_file(tmp_path, label_set="flare23", synthesis={"share": share, **kinds})
        run = tmp_path / f"run-{share}"
        assert main(words(recipe, cubes, run, *more)) == 0
        assert load_checkpoint(run / LAST)[1].data == "cubes; synthetic cases"
        losses.append(json.loads((run / LOG).read_text(encoding="utf-8").splitlines()[0])["loss"])
    # The same weights and seed: the first step sees another case.
    assert losses[0] != losses[1]


def test_a_run_goes_on_with_the_same_data_only(cubes, tmp_path, capsys):
    """Labels under the same names may be those of another round."""
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(cubes, data)
    recipe = recipe_file(tmp_path)
    more = ("--steps", "1", "--validation", "0", "--precision", "fp32")
    assert main(words(recipe, data, run, *more)) == 0
    before = json.loads((run / "run.json").read_text(encoding="utf-8"))["data_hash"]
    labels = sorted((data / "labelsTr").iterdir())
    shutil.copy(labels[1], labels[0])
    assert main(words(recipe, data, run, *more, "--resume")) == 1
    assert "was written with another data set; resume with the same one" in capsys.readouterr().err
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["data_hash"] == before


def test_a_run_goes_on_with_the_same_label_maps_only(maps, cubes, tmp_path, capsys):
    kinds = {"share": 0.001, "pool": 1, "patches_per_case": 1000, "elsewhere_share": 1}
    recipe = recipe_file(tmp_path, label_set="flare23", synthesis=kinds)
    more = ("--steps", "1", "--validation", "0", "--precision", "fp32", "--anatomy", str(maps))
    assert main(words(recipe, cubes, tmp_path / "run", *more)) == 0
    (maps / "blocks.nii.gz").rename(maps / "another.nii.gz")
    assert main(words(recipe, cubes, tmp_path / "run", *more, "--resume")) == 1
    assert "was written with another anatomy; resume with the same one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("synthesis", "more", "told"),
    [
        (None, ["--anatomy", "here"], "--anatomy: recipe tiny makes no cases while it trains; add --set"),
        ({}, [], "synthesis.anatomy_share: there are no label maps to paint over; give them with --anatomy"),
        ({}, ["--anatomy", "here"], "here: no such folder; give a folder of label maps with --anatomy"),
        ({"anatomy_share": 0}, ["--case-makers", "0"], "--case-makers: must be 1 or more"),
    ],
)
def test_what_is_amiss_with_synthetic_cases_is_told_before_the_run(
    cubes, tmp_path, capsys, synthesis, more, told
):
    recipe = recipe_file(tmp_path, label_set="flare23", synthesis=synthesis)
    assert main(words(recipe, cubes, tmp_path / "run", *more)) in (1, 2)
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_that_of_the_run(cubes, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")  # Without a name, as from an open file.

    monkeypatch.setattr(train_work, "train", full)
    assert main(words(recipe_file(tmp_path), cubes, tmp_path / "run", "--validation", "0")) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {tmp_path / 'run'}: No space left on device; make room on the disk; no checkpoint was "
        "written yet: start again"
    )
