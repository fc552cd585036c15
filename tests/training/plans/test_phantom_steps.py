"""Drawing phantoms, and lesions into cases, as steps of a plan."""

from pathlib import Path

import pytest

from training.plans.carrying_out import Work
from training.plans.ledger import Ledger
from training.plans.phantom_steps import LesionsStep, PhantomStep
from training.plans.plan_document import Plan
from training.plans.plan_loading import PUBLISHED, load_plan
from training.plans.step_parts import Machine
from training.plans.training_steps import TrainStep


def work_of(plan, tmp_path, machine=None, **inputs):
    ledger = Ledger(folder=tmp_path / "out")
    return Work(plan=plan, folder=tmp_path, inputs=inputs, ledger=ledger, machine=machine or Machine())


def test_a_step_is_a_command_and_gives_a_data_set(tmp_path):
    steps = {
        "cases": PhantomStep(cases=3, seed=5, anatomy="${maps}", anatomy_share=1.0, elsewhere_share=0.1),
        "train": TrainStep(recipe="demo", data=("${cases}",), validation=0, anatomy="${maps}"),
    }
    plan = Plan(name="p", description="d", inputs={"maps": "label maps"}, steps=steps)
    work = work_of(plan, tmp_path, maps=Path("m"))
    cases = str(work.ledger.result("cases"))
    assert work.words("cases")[2:] == [
        *("phantom", "--cases", "3", "--seed", "5", "--output", cases, "--anatomy", "m"),
        *("--anatomy-share", "1.0", "--elsewhere-share", "0.1"),
    ]
    train = work.words("train")
    assert train[train.index("--data") + 1] == cases
    assert train[train.index("--anatomy") + 1] == "m"


def test_lesions_are_painted_into_the_cases_of_another_step(tmp_path):
    steps = {
        "cases": PhantomStep(cases=3, seed=5),
        "lesions": LesionsStep(data="${cases}", seed=7, copies=2),
        "train": TrainStep(recipe="demo", data=("${lesions}",), validation=0),
    }
    work = work_of(Plan(name="p", description="d", steps=steps), tmp_path, machine=Machine(case_makers=3))
    cases, lesions = (str(work.ledger.result(name)) for name in ("cases", "lesions"))
    assert work.words("lesions")[2:] == [
        *("lesions", cases, "--seed", "7", "--copies", "2", "--output", lesions, "--workers", "3")
    ]
    train = work.words("train")
    assert train[train.index("--data") + 1] == lesions


@pytest.mark.parametrize(
    ("fields", "message"), [({"seed": -1}, "seed: must be 0 or more"), ({"copies": 0}, "copies: must be 1")]
)
def test_lesions_that_cannot_be_painted_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        LesionsStep(**{"data": "d", "seed": 0} | fields)


def test_as_many_processes_draw_cases_in_a_step_as_beside_a_training(tmp_path):
    steps = {
        "cases": PhantomStep(cases=3, seed=5),
        "train": TrainStep(recipe="demo", data=("${cases}",), validation=0),
    }
    plan = Plan(name="p", description="d", inputs={}, steps=steps)
    work = work_of(plan, tmp_path, machine=Machine(case_makers=14))
    assert work.words("cases")[-2:] == ["--workers", "14"]
    assert work.words("train")[-2:] == ["--case-makers", "14"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cases": 0}, "cases: must be 1 or more"),
        ({"seed": -1}, "seed: must be 0 or more"),
        ({"anatomy_share": 2.0}, "anatomy_share: must be 0 to 1"),
        ({"elsewhere_share": -1.0}, "elsewhere_share: must be 0 to 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PhantomStep(**{"cases": 1, "seed": 0} | fields)


def test_the_embedded_bundle_is_made_of_synthetic_cases_alone():
    plan = load_plan(PUBLISHED / "embedded-bundle.yaml")
    assert set(plan.inputs) == {"organs", "bodies"}
    assert plan.order[-1] == "bundle"
    for name in ("region", "member"):
        assert {"cases", "phantoms", "held_out"} <= set(plan.taken_by(name))
