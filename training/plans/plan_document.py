"""Plans: whole methods as steps, each a command of `python -m training` with what it takes and gives.

A plan is a YAML file. `training.plans.plan_loading` reads it, strictly: all faults are told at once. A field
that takes the result of another step, or an input that the caller names, reads `${name}`; anything else there
is a path. A new kind of step is a new class, joined to `Step`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.checks import check
from model.schema import SchemaError
from training.plans.phantom_steps import LesionsStep, PhantomStep
from training.plans.pseudo_label_steps import (
    PseudoLabelMissingStep,
    PseudoLabelRoundsStep,
    PseudoLabelUnlabelledStep,
)
from training.plans.step_parts import What, reference_of
from training.plans.training_steps import CrossValidateStep, EnsembleStep, ExportStep, TrainStep

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Step = (
    TrainStep
    | CrossValidateStep
    | ExportStep
    | EnsembleStep
    | PseudoLabelMissingStep
    | PseudoLabelUnlabelledStep
    | PseudoLabelRoundsStep
    | PhantomStep
    | LesionsStep
)
"""One step of a plan."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A whole method: what it starts from, and its steps."""

    name: str
    """Short name."""
    description: str
    """One sentence on what it is for and where it comes from."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What the caller gives with `--input NAME=FOLDER`: name to a few words on what it is."""
    steps: Mapping[str, Step]
    """Name to step, in any order; the name is that of the step's folder in `--output`."""

    def __post_init__(self) -> None:
        check(bool(self.steps), "steps: must have at least one")
        faults = [
            f"{where}.{name}: must be a name of letters, digits, _ and -"
            for where, names in (("inputs", self.inputs), ("steps", self.steps))
            for name in names
            if not NAME.fullmatch(name)
        ]
        faults += [
            f"steps.{name}: is the name of an input, too" for name in self.steps if name in self.inputs
        ]
        faults += [fault for name in self.steps for fault in self._faults_of_references(name)]
        if not faults:
            faults += self._faults_of_order()
        if faults:
            raise SchemaError(*faults)

    def taken_by(self, name: str) -> tuple[str, ...]:
        """The steps and inputs from which a step takes something, each once."""
        named = [reference_of(text) for _, text, _ in wanted(self.steps[name])]
        return tuple(dict.fromkeys(one for one in named if one is not None))

    @property
    def order(self) -> tuple[str, ...]:
        """The steps, each after those that it names, else as they are listed."""
        done: list[str] = []
        while len(done) < len(self.steps):
            ready = [name for name in self.steps if name not in done and self._is_ready(name, done)]
            if not ready:
                break
            done.append(ready[0])
        return tuple(done)

    def _is_ready(self, name: str, done: Sequence[str]) -> bool:
        return all(one in done or one in self.inputs for one in self._waits_for(name))

    def _waits_for(self, name: str) -> tuple[str, ...]:
        return (*self.taken_by(name), *self.steps[name].after)

    def _faults_of_references(self, name: str) -> list[str]:
        step = self.steps[name]
        faults = [
            f"steps.{name}.after: there is no step {one}" for one in step.after if one not in self.steps
        ]
        for where, text, what in wanted(step):
            place, taken = f"steps.{name}.{where}", reference_of(text)
            if taken is None:
                if "${" in text:
                    faults.append(f"{place}: must be ${{NAME}} and nothing else, or a path, is {text}")
            elif taken in self.steps:
                gives = self.steps[taken].GIVES
                if what not in gives:
                    shown = " or ".join(sorted(gives))
                    faults.append(f"{place}: takes {what}, and step {taken} gives {shown}")
            elif taken not in self.inputs:
                faults.append(f"{place}: there is no step or input {taken}")
        return faults

    def _faults_of_order(self) -> list[str]:
        left = [name for name in self.steps if name not in self.order]
        if not left:
            return []
        circle = [left[0]]
        while circle.count(circle[-1]) < 2:
            circle.append(next(one for one in self._waits_for(circle[-1]) if one in left))
        shown = " → ".join(reversed(circle[circle.index(circle[-1]) :]))
        return [f"steps: {shown}: each waits for the one before it, in a circle"]


def wanted(step: Step) -> list[tuple[str, str, What]]:
    """Field, text and kind of everything that a step takes; fields that are not given are left out."""
    found = []
    for name, what in step.WANTS.items():
        value: Any = getattr(step, name)
        if isinstance(value, str):
            found.append((name, value, what))
        elif isinstance(value, tuple):
            found += [(f"{name}[{index}]", text, what) for index, text in enumerate(value)]
    return found
