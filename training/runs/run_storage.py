"""How a training run is stored, and taken up again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from training.data.data_hash import are_other_data
from training.distributed.ranks import ALONE, Ranks
from training.optimization.optimizers import COUNTS_STEPS, moments_of
from training.runs.checkpoints import RunInfo, load_checkpoint, load_info, load_weights, save_checkpoint
from training.runs.differences import first_difference
from training.runs.log import forget_log_after
from training.runs.run import Run, average_of, drawn_network, new_run
from training.runs.run_files import LAST, LOG
from training.training_errors import CheckpointError

NETWORK, RAW = "network", "raw"
CASES = "cases"
COMPARED = (CASES, "recipe", "seed", "precision", "anatomy")
"""Cases first: a recipe may take figures from them, which differ with them."""


def save_run(run: Run, name: str, *, moments: bool) -> None:
    """Write a checkpoint; with the optimizer's moments the run can be taken up from it.

    All processes call it: each hands in what it has of the network.

    Raises:
        WriteError: it cannot be written.
    """
    tensors = _named(NETWORK, run.judged)
    if moments and run.average is not None:
        tensors |= _named(RAW, run.network)
    if moments and run.updates:
        moments_kept = moments_of(run.info.recipe.optimizer)
        for key, parameter in run.network.named_parameters():
            # A level that the loss does not count has no gradient, and nothing to remember.
            state = run.optimizer.state.get(parameter)
            if state:
                tensors |= {f"{moment}.{key}": state[moment] for moment in moments_kept}
    tensors = run.placement.collected(tensors)
    if run.ranks.is_first:
        save_checkpoint(run.folder / name, tensors, run.info)


def check_resume(info: RunInfo, folder: Path) -> None:
    """Nothing if the run that `folder` holds is the one that is asked for.

    Raises:
        CheckpointError: there is no checkpoint, or it belongs to another recipe, seed, precision or data set,
            or to another split of batches that batch norm takes its statistics over.
    """
    path = folder / LAST
    _refuse_other(load_info(path), info, path)


def resume_run(info: RunInfo, device: torch.device, folder: Path, ranks: Ranks = ALONE) -> Run:
    """The run that `folder` holds, as it was at its last checkpoint.

    Raises:
        CheckpointError: as of `check_resume`.
        TrainingError: the recipe asks for `compile`, and there is no compiler.
    """
    path = folder / LAST
    tensors, stored = load_checkpoint(path)
    _refuse_other(stored, info, path)
    stored = replace(
        stored,
        recipe=replace(stored.recipe, pipeline=info.recipe.pipeline),
        norm_parts=info.norm_parts,
    )
    network = drawn_network(stored)
    average = average_of(network, stored.recipe)
    load_weights(network, tensors, path, NETWORK if average is None else RAW)
    if average is not None:
        load_weights(average, tensors, path)
    run = new_run(stored, device, folder, ranks, network, average)
    run.updates = stored.step if stored.updates is None else stored.updates
    if run.updates:
        _restore_moments(run, tensors, path)
    if stored.scaler:
        # Metadata know floats only, and torch wants its counts as integers.
        run.scaler.load_state_dict(
            {name: type(value)(stored.scaler[name]) for name, value in run.scaler.state_dict().items()}
        )
    if ranks.is_first:
        forget_log_after(folder / LOG, stored.step, validates=not stored.dice)
    return run


def _refuse_other(stored: RunInfo, info: RunInfo, path: Path) -> None:
    # How the network is cut changes nothing about it but the parts of batches that batch norm looks at.
    stored = replace(stored, recipe=replace(stored.recipe, pipeline=info.recipe.pipeline))
    apart = [name for name in COMPARED if getattr(stored, name) != getattr(info, name)]
    if are_other_data(stored.data_hash, info.data_hash):
        apart.append("data set")
    if apart:
        raise CheckpointError(
            f"{path}: was written with {_how(stored, info, apart[0])}; resume with the "
            f"same{'' if apart[0] == CASES else ' one'}, or choose another --output, with --init {path} to "
            "start from its weights"
        )
    if stored.norm_parts is not None and stored.norm_parts != info.norm_parts:
        raise CheckpointError(
            f"{path}: batch norm took its statistics over batches in {stored.norm_parts} parts, now "
            f"{info.norm_parts}; resume with the same number of processes, pipeline.stages and "
            "pipeline.micro_batches"
        )


def _how(stored: RunInfo, info: RunInfo, apart: str) -> str:
    """What differs of a run, with both values in brackets; no values of what is known by its hash alone."""
    other = f"other {CASES}" if apart == CASES else f"another {apart}"
    if apart not in ("recipe", "seed", "precision", CASES):
        return other
    where = apart if apart in ("seed", "precision") else ""
    return f"{other} ({first_difference(getattr(stored, apart), getattr(info, apart), where)})"


def _named(prefix: str, network: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{key}": tensor for key, tensor in network.state_dict().items()}


def _restore_moments(run: Run, tensors: Mapping[str, Tensor], path: Path) -> None:
    options = run.info.recipe.optimizer
    moments = moments_of(options)
    for moment in moments:
        if not any(name.startswith(f"{moment}.") for name in tensors):
            raise CheckpointError(f"{path}: damaged ({moment}.… is missing)")
    for name, parameter in run.network.named_parameters():
        if all(f"{moment}.{name}" in tensors for moment in moments):
            # In the layout of the weight: fused optimizers go through the memory of both side by side.
            state = {
                moment: torch.empty_like(parameter).copy_(tensors[f"{moment}.{name}"]) for moment in moments
            }
            if options.kind in COUNTS_STEPS:
                state["step"] = torch.tensor(float(run.updates))
            run.optimizer.state[parameter] = state
