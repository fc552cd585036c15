"""Where a run's batches come from: patches or whole volumes, of cases that are there or are made for it."""

from collections.abc import Callable, Generator
from functools import partial

from training.data.batches import Batch, batches, make_batch
from training.data.fresh_cases import FreshCases
from training.data.store import CaseStore
from training.data.whole_volumes import whole_batch
from training.recipes.recipe import Recipe
from training.runs.run import Run
from training.runs.timetable import Stage


def source_of(
    run: Run, stage: Stage, store: CaseStore, workers: int, fresh: FreshCases | None
) -> Generator[tuple[int, Batch], None, None]:
    """Steps of a stage, from where the run is to the last of the stage's recipe, and their batches.

    Args:
        run: says the seed, and which processes share a batch.
        stage: that the run is in.
        store: training cases.
        workers: threads that prepare batches.
        fresh: cases that are made while the network trains, if any are.
    """
    replicas = run.placement.replicas
    make: Callable[[CaseStore, Recipe, int, int], Batch] = partial(
        whole_batch if stage.whole else partial(make_batch, fresh=fresh),
        rank=replicas.rank,
        world=replicas.world,
    )
    return batches(
        store,
        stage.recipe,
        stage.seed_of(run.info.seed),
        run.info.step,
        workers,
        make,
        fresh,
        counted_from=stage.first_step,
    )
