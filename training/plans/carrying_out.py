"""Carry out a plan: its steps, one after another, each a program of its own."""

import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.child_programs import Programs, torchrun_words
from training.data.folders import find_cases
from training.data.found_cases import refuse
from training.data.unlabelled import unlabelled_cases
from training.plans.ledger import Ledger, Note, StepState
from training.plans.plan_document import Plan, wanted
from training.plans.pseudo_label_steps import PseudoLabelMissingStep
from training.plans.step_hashes import Parts, parts_of_steps
from training.plans.step_parts import Machine, What, reference_of
from training.recipes.extending import find_recipe
from training.recipes.recipe_names import FOLDERS
from training.runs.run_files import BEST, LAST
from training.training_errors import PlanError, TrainingError

PROGRAM: Sequence[str] = ("-m", "training")
"""What follows `python` before the words of a step."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Work:
    """A plan with all that it is given."""

    plan: Plan
    folder: Path
    """Of the plan's file."""
    inputs: Mapping[str, Path]
    """Name to path; those that the plan states, and no others."""
    ledger: Ledger
    machine: Machine

    def of(self, text: str, what: What) -> list[Path]:
        """The paths of what a field of a step names; of runs, their checkpoints."""
        name = reference_of(text)
        if name is None or name in self.inputs:
            path = Path(text) if name is None else self.inputs[name]
            return [checkpoint_in(path)] if what in ("run", "runs") else [path]
        step, folder = self.plan.steps[name], self.ledger.result(name)
        if what in ("run", "runs"):
            return [checkpoint_in(run, validated=step.validates) for run in step.runs_in(folder)]
        return [folder / step.GIVES[what]]

    def recipe(self, name: str) -> str:
        """A recipe as `train` finds it."""
        path = find_recipe(name, self.folder)
        return path.stem if path.parent in FOLDERS else str(path)

    def gpus(self, name: str) -> tuple[int, ...]:
        """The GPUs of a step: a network of its own is trained on some of them, all else may use all."""
        gpus = self.machine.gpus
        return gpus[: self.machine.gpus_per_run] if self.plan.steps[name].TRAINS_ONE else gpus

    def words(self, name: str) -> list[str]:
        """What follows `python` to do a step; training on several GPUs is torchrun's."""
        step, gpus = self.plan.steps[name], len(self.gpus(name))
        words = [*PROGRAM, *step.words(self.ledger.result(name), self)]
        return list(torchrun_words(words, gpus if step.TRAINS_ONE else 1))

    @property
    def parts(self) -> dict[str, Parts]:
        """Step to what it depends on.

        Raises:
            PlanError: a file that a step names is not there.
            RecipeError: a recipe is missing or cannot be read.
        """
        return parts_of_steps(self.plan, self.inputs, self.folder)

    def states(self) -> dict[str, StepState]:
        """Step to how far it is.

        Raises:
            PlanError: a note is damaged, or a file that a step names is not there.
            RecipeError: a recipe is missing or cannot be read.
        """
        return {name: self.ledger.state(name, parts) for name, parts in self.parts.items()}


def checkpoint_in(path: Path, *, validated: bool = True) -> Path:
    """The checkpoint of a run that others take: the best, or the last where there is no best one.

    Args:
        path: folder of the run; a file stands for itself.
        validated: whether a run that is not there yet will have a best one.
    """
    if path.is_file():
        return path
    found = next((path / name for name in (BEST, LAST) if (path / name).is_file()), None)
    return found or path / (BEST if validated else LAST)


def given_inputs(plan: Plan, given: Sequence[str]) -> dict[str, Path]:
    """The inputs of a plan, from words that read `NAME=FOLDER`.

    Raises:
        PlanError: one reads otherwise, is not an input of the plan, is missing, or is not there.
    """
    found: dict[str, Path] = {}
    for word in given:
        name, equals, text = word.partition("=")
        if not equals or not text:
            raise PlanError(f"--input {word}: must read NAME=FOLDER")
        if name not in plan.inputs:
            known = ", ".join(plan.inputs) or "none"
            raise PlanError(f"--input {word}: plan {plan.name} has no such input; it has {known}")
        found[name] = Path(text)
    missing = [name for name in plan.inputs if name not in found]
    if missing:
        told = "; ".join(f"--input {name}=FOLDER ({plan.inputs[name]})" for name in missing)
        raise PlanError(f"plan {plan.name}: is not given all its inputs; add {told}")
    for name, path in found.items():
        if not path.exists():
            raise PlanError(f"--input {name}={path}: no such folder")
    return found


def input_lines(work: Work) -> list[str]:
    """A line for each input: what the names of its files tell.

    Raises:
        DataError: it is no data set, or not complete.
        PlanError: no case of it is partially labelled, though its missing organs are to be filled in.
    """
    lines = []
    for name, path in work.inputs.items():
        used = {
            (what, type(step))
            for step in work.plan.steps.values()
            for _, text, what in wanted(step)
            if reference_of(text) == name
        }
        kinds = {what for what, _ in used}
        told = ""
        if "data" in kinds:
            found = find_cases(path)
            refuse(found.faults, path)
            partial = sum(case.annotated is not None for case in found.cases)
            told = f"{len(found.cases)} cases, {partial} of them partially labelled"
            if not partial and ("data", PseudoLabelMissingStep) in used:
                raise PlanError(
                    f"--input {name}={path}: no case is partially labelled; say in {path / 'annotated.json'} "
                    "which structures a case annotates"
                )
        elif "images" in kinds:
            told = f"{len(unlabelled_cases(path, 1))} images"
        elif "anatomy" in kinds:
            told = f"{len(list(path.glob('*.nii.gz')))} label maps"
        lines.append(f"input {name}: {path}{', ' if told else ''}{told}")
    return lines


def carry_out(work: Work, lock: int, *, redo: bool = False) -> None:
    """Do what is left of a plan.

    Args:
        work: the plan with all that it is given.
        lock: descriptor of the lock, which steps inherit.
        redo: do stale steps anew, in the place of what they made.

    Raises:
        PlanError: a step is stale, and `redo` is false.
        TrainingError: a step failed; what is done stays.
    """
    parts = work.parts
    states = {name: work.ledger.state(name, parts[name]) for name in work.plan.order}
    stale = [name for name, state in states.items() if state.word == "stale"]
    if stale and not redo:
        raise PlanError(
            f"step {stale[0]}: is {states[stale[0]]}; undo that, or replace its results and "
            "those of all that stands on it with --redo"
        )
    for name in reversed(stale):
        work.ledger.forget(name)
    for number, (name, state) in enumerate(states.items(), start=1):
        where = f"step {number} of {len(states)}, {name}"
        if state.word == "done":
            logger.info("%s: is done", where)
            continue
        words = work.words(name)
        logger.info("%s: python %s", where, shlex.join(words))
        note = Note(done=False, parts=parts[name], command=tuple(words))
        work.ledger.note(name, note)
        work.ledger.clear_scratch(name)
        started = time.monotonic()
        code = run_step(words, lock, work.gpus(name))
        if code:
            raise TrainingError(
                f"step {name}: ended with exit code {code}, for the reason told above; mend it and run the "
                "plan again, it goes on here"
            )
        seconds = round(time.monotonic() - started, 1)
        work.ledger.note(name, replace(note, done=True, seconds=seconds))


def run_step(words: Sequence[str], lock: int, gpus: Sequence[int]) -> int:
    """Run a step to its end; its exit code. Whatever ends this program ends the step, too.

    Args:
        words: what follows `python`.
        lock: descriptor that it inherits.
        gpus: numbers of the GPUs that it may use; none: all.
    """
    with Programs() as programs:
        return programs.start(words, tuple(gpus) or None, inherited=(lock,)).wait()
