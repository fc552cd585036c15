"""What a run does in which step: its stages, epochs and learning rates, worked out before it starts.

A timetable is a function of the recipe, the number of cases and, where a run stops when it has converged, of
the steps in which it found so; a resumed run makes the same one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from training.optimization.schedule import decay, learning_rate, scaled_learning_rate, warm_up_steps
from training.recipes.recipe import Recipe
from training.recipes.running_options import WHOLE, CurriculumStage
from training.recipes.stopping_options import Converged, FixedSteps


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Consecutive steps with one patch size and one batch size."""

    number: int
    """From 0."""
    recipe: Recipe
    """The run's recipe with this stage's sizes, its last step being the stage's."""
    whole: bool
    """Whether the network sees whole volumes instead of patches."""
    first_step: int
    end_step: int
    """The step after its last one."""
    epoch_steps: int
    """Steps of an epoch."""
    peak: float
    """Peak learning rate."""
    most_epochs: int
    """How long it lasts at most."""
    anneal_step: int | None
    """First step of the decay, or of what is left of the warm-up before it, where the run stops when it has
    converged; of a stage that is no longer than the decay, its first one."""

    @property
    def batch_size(self) -> int:
        """Patches of a step."""
        return self.recipe.sampling.patches

    @property
    def anneals_at_once(self) -> bool:
        """Whether the learning rate decays from the first step on: there is nothing to wait for."""
        return self.anneal_step == self.first_step

    def seed_of(self, seed: int) -> int:
        """Where the randomness of its patches comes from; the run's own seed in the first stage.

        Stages count their patches anew, each from its first epoch on.
        """
        return (
            seed
            if self.number == 0
            else int(np.random.SeedSequence((seed, self.number)).generate_state(1)[0])
        )


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """The stages of a run, in order."""

    recipe: Recipe
    stages: tuple[Stage, ...]

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.stages[-1].end_step

    def stage_of(self, step: int) -> Stage:
        """The stage that a step is in, the last one for steps after its end."""
        return next((stage for stage in self.stages if step < stage.end_step), self.stages[-1])

    def rate_of(self, step: int) -> float:
        """Learning rate of a step.

        Warm-up epochs are those of the first stage, and an epoch starts where its stage says: a stage with
        epochs of another length must not count anew what is done.
        """
        stage, schedule = self.stage_of(step), self.recipe.schedule
        if stage.anneal_step is None:
            start = stage.first_step + _whole_epochs(step - stage.first_step, stage)
            return learning_rate(
                step, stage.peak, schedule, self.steps, warm_up=self._warm_up, epoch_start=start
            )
        decays_from = self.decays_from(stage, stage.anneal_step)
        if step < decays_from:
            return stage.peak * min(1.0, (step + 1) / max(1, self._warm_up))
        done, left = step - decays_from, max(1, stage.end_step - decays_from)
        return stage.peak * decay(done, schedule, left, _whole_epochs(done, stage))

    def decays_from(self, stage: Stage, anneal_step: int) -> int:
        """First step in which the learning rate of a stage falls that anneals from a step on.

        What is left of the warm-up comes first: weights that were just drawn do not meet the peak.
        """
        return max(anneal_step, min(self._warm_up, stage.end_step))

    @property
    def _warm_up(self) -> int:
        return warm_up_steps(self.recipe.schedule, self.stages[0].epoch_steps)

    def validates_after(self, done: int) -> bool:
        """Whether held-out cases are looked at when this many steps are done."""
        options, stage = self.recipe.validation, self.stage_of(done - 1)
        if options.every_epochs is None:
            due = done % options.every_steps == 0
        else:
            due = (done - stage.first_step) % (options.every_epochs * stage.epoch_steps) == 0
        return due or done == self.steps


def _whole_epochs(steps: int, stage: Stage) -> int:
    """Steps of the whole epochs of a stage among so many steps."""
    return steps // stage.epoch_steps * stage.epoch_steps


def make_timetable(
    recipe: Recipe, cases: int, batch_size: int | None = None, anneal_steps: Sequence[int] = ()
) -> Timetable:
    """The timetable of a run.

    Args:
        recipe: with its curriculum and when to stop.
        cases: number of training cases.
        batch_size: what stands for `auto`.
        anneal_steps: the first steps of the stages' decays, as far as the run found them; only where it
            stops when it has converged.
    """
    return Timetable(recipe=recipe, stages=tuple(_stages(recipe, cases, batch_size, anneal_steps)))


def _stages(
    recipe: Recipe, cases: int, batch_size: int | None, anneal_steps: Sequence[int]
) -> Iterator[Stage]:
    step, epoch = 0, 0
    for number, part in enumerate(recipe.curriculum or (None,)):
        size = _batch_size(recipe, part, batch_size)
        epoch_steps = max(1, replace(recipe.sampling, batch_size=size).steps_of_epoch(cases))
        steps = _length(recipe, part, step, epoch, epoch_steps)
        if steps <= 0:
            return
        end, anneal = step + steps, None
        if isinstance(recipe.stopping, Converged):
            annealing = recipe.stopping.anneal_epochs * epoch_steps
            anneal = max(step, end - annealing)
            if number < len(anneal_steps):
                anneal = anneal_steps[number]
                end = min(end, anneal + annealing)
        yield Stage(
            number=number,
            recipe=_of_stage(recipe, part, size, end),
            whole=part is not None and part.patch_zyx == WHOLE,
            first_step=step,
            end_step=end,
            epoch_steps=epoch_steps,
            most_epochs=ceil(steps / epoch_steps),
            peak=(part and part.learning_rate) or _peak(recipe, part, size),
            anneal_step=anneal,
        )
        epoch += ceil((end - step) / epoch_steps)
        step = end


def _batch_size(recipe: Recipe, part: CurriculumStage | None, found: int | None) -> int:
    if part is not None:
        return part.batch_size
    stated = recipe.sampling.batch_size
    return (found or 1) if isinstance(stated, str) else stated


def _peak(recipe: Recipe, part: CurriculumStage | None, size: int) -> float:
    """Peak learning rate; it follows a batch size that was found."""
    options = recipe.optimizer
    if part is not None or not isinstance(recipe.sampling.batch_size, str):
        return options.learning_rate
    return scaled_learning_rate(options.learning_rate, options.stated_batch_size, size, options.batch_rule)


def _length(recipe: Recipe, part: CurriculumStage | None, step: int, epoch: int, epoch_steps: int) -> int:
    """Steps of a stage at most; 0 where the run ends before it."""
    stopping = recipe.stopping
    if isinstance(stopping, FixedSteps):
        left = stopping.steps - step
        return left if part is None else min(left, part.epochs * epoch_steps)
    epochs = stopping.epochs - epoch
    return epoch_steps * (epochs if part is None else min(epochs, part.epochs))


def _of_stage(recipe: Recipe, part: CurriculumStage | None, size: int, end: int) -> Recipe:
    patch = recipe.patch_zyx if part is None or isinstance(part.patch_zyx, str) else part.patch_zyx
    return replace(
        recipe,
        patch_zyx=patch,
        sampling=replace(recipe.sampling, batch_size=size),
        stopping=FixedSteps(steps=end),
        curriculum=(),
    )
