"""Batches of patches, prepared in the background, each a function of (seed, step, index) alone."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.arrays import Zyx
from training.augmentation.draws import Key
from training.augmentation.patches import needed_crop, network_input
from training.data.fresh_cases import FreshCases
from training.data.sampling import GridCase, draw_patch
from training.data.store import CaseStore
from training.random_streams import Stream
from training.recipes.recipe import Recipe
from training.recipes.sampling_options import CasesEpoch
from training.recipes.stopping_options import FixedSteps

T = TypeVar("T", bound=np.generic)
Crop = NDArray[np.floating] | NDArray[np.int16]


@dataclass(frozen=True)
class Unvaried:
    """What turns a batch of crops into one of patches, on the training device."""

    keys: tuple[Key, ...]
    """Of each patch: the seed, and its number in the run over all processes."""
    patch_zyx: Zyx
    """Size of a patch."""


@dataclass(frozen=True)
class Batch:
    """What the network sees in a step, what it should find, and what is known about that."""

    images: Tensor
    """Network input, (batch, channels, z, y, x) float32; crops are of the type that they are kept in."""
    target: Tensor
    """Output channel of each voxel, (batch, z, y, x) uint8."""
    annotated: Tensor
    """Whether the case annotates what each output channel stands for, (batch, classes) bool; the background's
    column is always true. A class that is not annotated may be anywhere that the target calls background."""
    unvaried: Unvaried | None = None
    """Where images and target are crops that are still to be augmented; None: they are patches."""


def case_of(position: int, cases: int, seed: int) -> int:
    """Which case the patch at this position of the run comes from.

    Every epoch shows each case once, in an order of its own.
    """
    epoch, place = divmod(position, cases)
    return int(np.random.default_rng((seed, Stream.EPOCH_ORDER, epoch)).permutation(cases)[place])


def any_case(position: int, cases: int, seed: int) -> int:
    """Which case the patch at this position of the run comes from, each as likely at any time."""
    return int(np.random.default_rng((seed, Stream.ANY_CASE, position)).integers(cases))


def load_case(store: CaseStore, fresh: FreshCases | None, position: int, number: int) -> GridCase:
    """The case that the patch at this position of the run comes from.

    It is one that is made while the network trains, where it is the turn of one; else case `number` of the
    data.
    """
    case = None if fresh is None else fresh.case_at(position)
    return store.load(number) if case is None else case


def make_batch(
    store: CaseStore,
    recipe: Recipe,
    seed: int,
    step: int,
    *,
    rank: int = 0,
    world: int = 1,
    fresh: FreshCases | None = None,
) -> Batch:
    """The batch of step `step`, counted from 0, or a process's part of it.

    Args:
        store: the cases.
        recipe: says how patches are drawn, and how many.
        seed: of the run.
        step: counted from 0.
        rank: number of the process.
        world: count of processes. Process `rank` takes patches rank, rank + world, … of the batch: all
            together are the same for any count.
        fresh: cases that are made while the network trains, if any are.
    """
    images, targets, annotated = [], [], []
    keys: list[Key] = []
    size, by_epoch = recipe.sampling.patches, isinstance(recipe.sampling.epoch, CasesEpoch)
    for index in range(rank, size, world):
        position = step * size + index
        number = (case_of if by_epoch else any_case)(position, len(store), seed)
        case = load_case(store, fresh, position, number)
        rng = np.random.default_rng((seed, Stream.PATCH, step, index))
        keys.append((seed, position))
        crop_zyx = needed_crop(recipe.augmentation, keys[-1], recipe.patch_zyx)
        image, channels = draw_patch(case, recipe, rng, index, crop_zyx)
        images.append(image)
        targets.append(channels)
        annotated.append(case.annotated or (True,) * len(recipe.channel_names))
    return Batch(
        images=torch.from_numpy(stack_about_middle(of_one_kind(images, recipe))),
        target=torch.from_numpy(stack_about_middle(targets)),
        annotated=torch.tensor(annotated),
        unvaried=Unvaried(keys=tuple(keys), patch_zyx=recipe.patch_zyx),
    )


def stack_about_middle(arrays: Sequence[NDArray[T]]) -> NDArray[T]:
    """Arrays as one, the smaller ones with zeros around them."""
    largest = np.max([array.shape for array in arrays], axis=0)
    around = [[(int(more) // 2,) * 2 for more in largest - array.shape] for array in arrays]
    return np.stack([np.pad(array, edges) for array, edges in zip(arrays, around, strict=True)])


def of_one_kind(images: Sequence[Crop], recipe: Recipe) -> Sequence[Crop]:
    """Crops that are all normalized, or all still to be: those that are not are, where others are.

    A prepared store gives crops as it holds them; raw cases, and those made for the run, are network input.
    """
    if len({image.dtype == np.int16 for image in images}) < 2:
        return images
    intensities = [one.intensity for one in recipe.case_inputs]
    return [
        network_input(torch.from_numpy(image), intensities).numpy() if image.dtype == np.int16 else image
        for image in images
    ]


def batches(
    store: CaseStore,
    recipe: Recipe,
    seed: int,
    first_step: int,
    workers: int,
    make: Callable[[CaseStore, Recipe, int, int], Batch] = make_batch,
    fresh: FreshCases | None = None,
    *,
    counted_from: int = 0,
) -> Generator[tuple[int, Batch], None, None]:
    """Steps from `first_step` to the recipe's last and their batches.

    They are made ahead by threads, since numpy and scipy release Python's lock.

    Args:
        store: training cases.
        recipe: with a number of steps.
        seed: of the run, or of its stage.
        first_step: counted from 0.
        workers: threads.
        make: makes the batch of a step from all of these.
        fresh: the cases that batches may wait for while they are made, if any are.
        counted_from: the step whose batch is the first of the seed's: that with which a stage begins.
    """
    assert isinstance(recipe.stopping, FixedSteps)
    steps = iter(range(first_step, recipe.stopping.steps))
    waiting: deque[tuple[int, Future[Batch]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="patches")
    try:
        if fresh is not None:
            fresh.take_up(first_step * recipe.sampling.patches)
        for step in steps:
            waiting.append((step, pool.submit(make, store, recipe, seed, step - counted_from)))
            if len(waiting) > 2 * workers:
                ready, future = waiting.popleft()
                yield ready, future.result()
        while waiting:
            ready, future = waiting.popleft()
            yield ready, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        if fresh is not None:
            fresh.let_go()
        pool.shutdown(wait=True)
