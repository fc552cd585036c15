"""Which batches the processes of a run can share, and what is said of the others."""

import re

import pytest
import torch

from tests.places import ROOT
from tests.training.tiny import tiny_recipe
from training.distributed.ranks import Ranks
from training.recipes.loading import load_recipe
from training.runs.batch_shares import check_first_shares, check_shares, norm_parts
from training.runs.timetable import make_timetable
from training.training_errors import RecipeError

CURRICULUM = [
    {"patch_zyx": [16, 16, 16], "batch_size": 4, "epochs": 1},
    {"patch_zyx": [32, 32, 32], "batch_size": 2, "epochs": 1},
    {"patch_zyx": "whole", "epochs": 1},
]


def checked(world, **fields):
    recipe, ranks = tiny_recipe(**fields), Ranks(world=world)
    check_first_shares(recipe, ranks)
    check_shares(make_timetable(recipe, 2), ranks)


def test_one_process_takes_all():
    checked(1, curriculum=CURRICULUM, stopping={"kind": "epochs", "epochs": 3})


@pytest.mark.parametrize(
    ("world", "fields", "said"),
    [
        (
            4,
            {"sampling": {"batch_size": 2}},
            "sampling.batch_size: 2 patches cannot be shared evenly among 4 proc",
        ),
        (4, {}, "curriculum[1].batch_size: 2 patches cannot be shared evenly among 4 processes"),
        (
            2,
            {},
            "curriculum[2].patch_zyx: whole volumes, one a step, cannot be shared among 2 processes; train w",
        ),
        (
            4,
            {"pipeline": {"stages": 2}},
            "curriculum[2].patch_zyx: whole volumes, one a step, cannot be shared among 2 replicas; "
            "train with 2 processes, the stages of one replica",
        ),
        (
            2,
            {
                "sampling": {"batch_size": 4},
                "optimizer": {"kind": "adamw", "learning_rate": 1, "accumulate_steps": 4},
            },
            "optimizer.accumulate_steps: 2 patches of a process cannot be split into 4 equal parts; make "
            "sampling.batch_size a multiple of 8",
        ),
    ],
)
def test_refusals_name_the_field_at_fault(world, fields, said):
    if "sampling" not in fields:
        fields = {"curriculum": CURRICULUM, "stopping": {"kind": "epochs", "epochs": 3}, **fields}
    with pytest.raises(RecipeError, match=re.escape(said)):
        checked(world, **fields)


def test_micro_batches_are_cut_from_what_is_accumulated_at_a_time():
    """Six patches in two steps are three at a time, which are no two equal micro-batches."""
    fields = {"sampling": {"batch_size": 6}, "curriculum": [], "pipeline": {"stages": 2, "micro_batches": 2}}
    optimizer = {"kind": "adamw", "learning_rate": 1}
    checked(2, **fields, optimizer=optimizer)
    with pytest.raises(RecipeError, match=r"pipeline\.micro_batches: 3 patches"):
        checked(2, **fields, optimizer={**optimizer, "accumulate_steps": 2})


def test_a_network_of_two_levels_has_blocks_for_three_stages_and_more():
    """Down and up again: a block each way for a halving, and one between."""
    pipeline = {"stages": 3, "micro_batches": 4}
    checked(3, sampling={"batch_size": 4}, curriculum=[], pipeline=pipeline)


def test_stages_that_a_run_does_not_come_to_are_no_hindrance():
    checked(2, curriculum=CURRICULUM, stopping={"kind": "epochs", "epochs": 2})


def test_the_example_for_slurm_can_share_the_batches_of_the_recipe_it_is_shown_with():
    script = (ROOT / "docs/slurm/train.sbatch").read_text(encoding="utf-8")
    (nodes,) = re.findall(r"^#SBATCH --nodes=(\d+)$", script, re.MULTILINE)
    (gpus,) = re.findall(r"--nproc-per-node (\d+)", script)
    (name,) = re.findall(
        r"^sbatch docs/slurm/train.sbatch (\S+)",
        (ROOT / "docs/training.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    check_first_shares(load_recipe(name), Ranks(world=int(nodes) * int(gpus)))


def test_batch_norm_sees_the_micro_batches_of_each_replica():
    """Of four processes, two stages make two replicas, each of three micro-batches; GPUs look at all."""
    network = {"kind": "seunet", "init_filters": 4, "levels": 2}
    whole = tiny_recipe(network=network)
    cut = tiny_recipe(network=network, pipeline={"stages": 2, "micro_batches": 3})
    cpu, gpu, four = torch.device("cpu"), torch.device("cuda"), Ranks(world=4)
    assert [norm_parts(recipe, four, cpu) for recipe in (cut, whole)] == [6, 4]
    assert [norm_parts(recipe, four, gpu) for recipe in (cut, whole)] == [6, 1]
    assert norm_parts(tiny_recipe(), four, cpu) is None
