"""Plans are read strictly: all faults at once, each named by its place."""

import pytest
import yaml

from tests.training.plans.made_plans import ORDER, STEPS, write_plan
from training.plans.plan_loading import PUBLISHED, find_plan, load_plan
from training.training_errors import PlanError


def faults_of(folder, **fields):
    with pytest.raises(PlanError) as refused:
        load_plan(write_plan(folder, **fields))
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_steps_come_after_what_they_take(tmp_path):
    assert load_plan(write_plan(tmp_path)).order == ORDER


def test_after_orders_steps_that_take_nothing_from_each_other(tmp_path):
    train = {"kind": "train", "recipe": "tiny.yaml", "data": ["${labelled}"]}
    steps = {"a": {**train, "after": ["c"]}, "b": train, "c": train}
    assert load_plan(write_plan(tmp_path, steps=steps)).order == ("b", "c", "a")


def changed(name, **fields):
    return {**STEPS, name: {**STEPS[name], **fields}}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (changed("first", kind="trian"), "steps.first.kind: must be one of train, "),
        (changed("first", data=["${nothing}"]), "steps.first.data[0]: there is no step or input nothing"),
        (changed("first", after=["nothing"]), "steps.first.after: there is no step nothing"),
        (changed("first", data=["x/${labelled}"]), "steps.first.data[0]: must be ${NAME} and nothing else"),
        (changed("first", data=["${teacher}"]), "first.data[0]: takes data, and step teacher gives bundle"),
        (
            changed("filled", bundle="${first}"),
            "filled.bundle: takes bundle, and step first gives run or runs",
        ),
        (changed("first", data=[]), "steps.first.data: must have at least one"),
        (changed("first", step=1), "steps.first.step: unknown field"),
        (changed("first", seed=-1), "steps.first.seed: must be 0 or more"),
        (changed("first", validation=1.5), "steps.first.validation: must be 0 to 0.9"),
        ({"a/b": STEPS["first"]}, "steps.a/b: must be a name of letters"),
        ({"labelled": STEPS["first"]}, "steps.labelled: is the name of an input, too"),
        ({}, "steps: must have at least one"),
        ({"all": {"kind": "ensemble", "bundles": ["one"]}}, "steps.all.bundles: must be two or more"),
        ({"all": {"kind": "pseudo_label_rounds", "rounds": ["one"]}}, "all.rounds: must be two or more"),
        (
            {"all": {"kind": "pseudo_label_rounds", "rounds": ["a", "b"], "most_unstable": -1}},
            "steps.all.most_unstable: must be 0 or more",
        ),
        (
            {"all": {"kind": "cross_validate", "recipe": "tiny.yaml", "data": ["x"], "folds": 1}},
            "steps.all.folds: must be 2 or more",
        ),
    ],
)
def test_a_faulty_step_is_named(tmp_path, steps, message):
    assert message in faults_of(tmp_path, steps=steps)


def test_all_faults_are_told_at_once(tmp_path):
    steps = {
        **STEPS,
        "first": {**STEPS["first"], "data": ["${here}"]},
        "second": {**STEPS["second"], "data": ["${there}"]},
    }
    message = faults_of(tmp_path, steps=steps)
    assert "steps.first.data[0]: there is no step or input here; steps.second.data[0]: there is no" in message


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        ({"data": ["${filled}"]}, "first → teacher → filled → first"),
        ({"after": ["first"]}, "first → first"),
    ],
)
def test_a_circle_is_shown(tmp_path, first, shown):
    told = faults_of(tmp_path, steps=changed("first", **first))
    names = (
        told.partition("steps: ")[2]
        .partition(": each waits for the one before it, in a circle")[0]
        .split(" → ")
    )
    wanted = shown.split(" → ")
    turns = [wanted[i:-1] + wanted[:i] for i in range(len(wanted) - 1)]
    assert names[0] == names[-1]
    assert names[:-1] in turns


def test_fields_are_replaced(tmp_path):
    plan = load_plan(write_plan(tmp_path), ["steps.first.seed=7", "name=other"])
    assert (plan.steps["first"].seed, plan.name) == (7, "other")
    with pytest.raises(PlanError, match=r"plan plan.yaml: steps.first.sed: unknown field"):
        load_plan(write_plan(tmp_path), ["steps.first.sed=7"])


def test_a_plan_stands_on_another(tmp_path):
    write_plan(tmp_path, "below.yaml")
    upper = tmp_path / "upper.yaml"
    upper.write_text(yaml.safe_dump({"extends": "below", "name": "upper", "steps": {"first": {"seed": 3}}}))
    plan = load_plan(upper)
    assert (plan.name, plan.order, plan.steps["first"].seed) == ("upper", ORDER, 3)
    upper.write_text("extends: upper")
    with pytest.raises(PlanError, match=r"extends itself \(upper → upper\)"):
        load_plan(upper)


def test_a_file_that_a_plan_extends_lies_beside_it(tmp_path):
    write_plan(tmp_path, "below.yaml")
    (tmp_path / "upper.yaml").write_text("extends: below.yaml\nname: upper")
    assert load_plan(tmp_path / "upper.yaml").order == ORDER


def test_a_plan_that_is_not_there_is_told_with_the_one_that_may_be_meant():
    with pytest.raises(PlanError, match=r"^plan metod-a: no such file or plan; did you mean method-a\?$"):
        find_plan("metod-a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [", "cannot be read as YAML"),
        ("- a", "must be a mapping of fields"),
        ("extends: {a: b}", "extends: must be the name of a plan, or a list of names"),
        (
            "extends: nothing",
            "plan plan.yaml: extends: plan nothing: no such file or plan, and not one of embedded-bundle, ",
        ),
    ],
)
def test_files_that_are_no_plans(tmp_path, text, message):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(PlanError, match=message):
        load_plan(path)


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.yaml")), ids=lambda path: path.stem)
def test_published_plans_read(path):
    assert find_plan(path.stem) == path
    plan = load_plan(path)
    assert plan.name == path.stem
    assert plan.order[-1] == "bundle"


@pytest.mark.parametrize("method", ["method-a", "method-b"])
def test_tiny_plans_differ_in_recipes_and_folds_alone(method):
    whole, tiny = (load_plan(find_plan(name)) for name in (method, f"{method}-tiny"))
    assert tiny.order == whole.order
    for name, step in whole.steps.items():
        mine = vars(tiny.steps[name])
        apart = {field for field, value in vars(step).items() if mine[field] != value}
        assert apart <= {"recipe", "folds"}
        if "recipe" in mine:
            assert mine["recipe"] == f"{step.recipe}-tiny"
