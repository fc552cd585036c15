"""A training run between two steps, and how it is started, stored and taken up again."""

import copy
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path

import torch
from torch import Tensor, nn

from model.bundle import file_sha256
from model.networks.build import build
from training.data.data_hash import are_other_data
from training.distributed.block_costs import layout_of
from training.distributed.cut import Cut, cut_network
from training.distributed.network_placement import Placement, WholePlacement
from training.distributed.ranks import ALONE, Ranks
from training.optimization.optimizers import COUNTS_STEPS, make_optimizer, moments_of
from training.recipes.recipe import Recipe
from training.runs.activations import recompute_activations
from training.runs.channels_last_norm import normalize_channels_last
from training.runs.checkpoints import RunInfo, load_checkpoint, load_weights, save_checkpoint
from training.runs.compilation import compile_network
from training.runs.differences import first_difference
from training.runs.initial_weights import start_from
from training.runs.log import forget_log_after, write_log
from training.runs.run_files import BEST as BEST
from training.runs.run_files import LAST as LAST
from training.runs.run_files import LOG as LOG
from training.runs.run_files import forget_run
from training.runs.sound_convolutions import convolve_soundly
from training.runs.step_times import SILENT, PhaseClock
from training.runs.timetable import Timetable, make_timetable
from training.runs.turned_convolutions import turn_convolutions
from training.training_errors import CheckpointError

logger = logging.getLogger(__name__)

NETWORK, RAW = "network", "raw"
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
COMPARED = ("recipe", "seed", "precision", "cases", "anatomy")


@dataclass(kw_only=True)
class Run:
    """Everything that changes from step to step, and where it is computed and written."""

    info: RunInfo
    network: nn.Module
    """What is trained; where it is cut over processes, with the weights of this one's blocks only."""
    parameters: int
    """Number of the whole network's weights."""
    placement: Placement
    """Where the network is, and how batches go through it."""
    average: nn.Module | None
    """The average of its weights, where the recipe asks for one."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    device: torch.device
    folder: Path
    timetable: Timetable
    updates: int = 0
    """Steps that changed the weights."""
    left_out: int = 0
    """Steps in a row, the last ones, that the gradient scaler left out."""
    ranks: Ranks = ALONE
    phases: PhaseClock = SILENT
    """Measures the parts of a step, where that is asked for."""

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and exported."""
        return self.network if self.average is None else self.average

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which the network runs in the run's precision."""
        return _autocast(self.info.precision, self.device)

    def anneal_from(self, step: int) -> None:
        """Start the decay of the present stage's learning rate in a step."""
        self.info = replace(self.info, anneal_steps=(*self.info.anneal_steps, step))
        self.timetable = timetable_of(self.info)

    def log(self, entry: Mapping[str, object]) -> None:
        """Append a line to the run's log."""
        if self.ranks.is_first:
            write_log(self.folder / LOG, {"step": self.info.step, **entry})

    def save(self, name: str, *, moments: bool) -> None:
        """Write a checkpoint; with the optimizer's moments the run can be taken up from it.

        All processes call it: each hands in what it has of the network.

        Raises:
            WriteError: it cannot be written.
        """
        tensors = _named(NETWORK, self.judged)
        if moments and self.average is not None:
            tensors |= _named(RAW, self.network)
        if moments and self.updates:
            moments_kept = moments_of(self.info.recipe.optimizer)
            for key, parameter in self.network.named_parameters():
                # A level that the loss does not count has no gradient, and nothing to remember.
                state = self.optimizer.state.get(parameter)
                if state:
                    tensors |= {f"{moment}.{key}": state[moment] for moment in moments_kept}
        tensors = self.placement.collected(tensors)
        if self.ranks.is_first:
            save_checkpoint(self.folder / name, tensors, self.info)


def timetable_of(info: RunInfo) -> Timetable:
    """The timetable of a run, as far as it is known."""
    return make_timetable(info.recipe, len(info.cases), info.batch_size, info.anneal_steps)


def start_run(
    info: RunInfo, device: torch.device, folder: Path, init: Path | None = None, ranks: Ranks = ALONE
) -> Run:
    """A run before its first step, with weights drawn from the seed or taken from `init`.

    `init` is a checkpoint, or a bundle's network file (`*.onnx`); heads that it lacks start at logits of 0.

    Checkpoints and a log that an earlier run left in the folder are removed.

    Raises:
        CheckpointError: `init` cannot be read or belongs to another network.
        TrainingError: the recipe asks for `compile`, and there is no compiler.
    """
    network = _drawn(info)
    if init is not None:
        heads = start_from(network, init, info.recipe.channel_names)
        info = replace(info, init_sha256=file_sha256(init))
        if heads and ranks.is_first:
            logger.info(
                "%s: all weights but those of new heads, whose logits start at 0: %s", init, ", ".join(heads)
            )
    run = _new_run(info, device, folder, ranks, network, _average_of(network, info.recipe))
    if ranks.is_first:
        forget_run(folder)
    return run


def trial_run(info: RunInfo, device: torch.device, folder: Path) -> Run:
    """A run in this process alone, to try steps with: what lies in the folder stays there."""
    network = _drawn(info)
    return _new_run(info, device, folder, ALONE, network, _average_of(network, info.recipe))


def resume_run(info: RunInfo, device: torch.device, folder: Path, ranks: Ranks = ALONE) -> Run:
    """The run that `folder` holds, as it was at its last checkpoint.

    Raises:
        CheckpointError: there is no checkpoint, or it belongs to another recipe, seed, precision or data
            set.
        TrainingError: the recipe asks for `compile`, and there is no compiler.
    """
    path = folder / LAST
    tensors, stored = load_checkpoint(path)
    pipeline = info.recipe.pipeline
    # Into how many stages the network is cut changes nothing about it.
    stored = replace(stored, recipe=replace(stored.recipe, pipeline=pipeline))
    apart = [name for name in COMPARED if getattr(stored, name) != getattr(info, name)]
    if are_other_data(stored.data_hash, info.data_hash):
        apart.append("data set")
    if apart:
        raise CheckpointError(
            f"{path}: was written with another {apart[0]}{_how(stored, info, apart[0])}; resume with the "
            "same one, or choose another --output"
        )
    network = _drawn(stored)
    average = _average_of(network, stored.recipe)
    load_weights(network, tensors, path, NETWORK if average is None else RAW)
    if average is not None:
        load_weights(average, tensors, path)
    run = _new_run(stored, device, folder, ranks, network, average)
    run.updates = stored.step if stored.updates is None else stored.updates
    if run.updates:
        _restore_moments(run, tensors, path)
    if stored.scaler:
        # Metadata know floats only, and torch wants its counts as integers.
        run.scaler.load_state_dict(
            {name: type(value)(stored.scaler[name]) for name, value in run.scaler.state_dict().items()}
        )
    if ranks.is_first:
        forget_log_after(folder / LOG, stored.step)
    return run


def _how(stored: RunInfo, info: RunInfo, apart: str) -> str:
    """What differs of a run, in brackets; nothing of what is known by its hash alone."""
    if apart not in ("recipe", "seed", "precision", "cases"):
        return ""
    where = "" if apart == "recipe" else apart
    found = first_difference(getattr(stored, apart), getattr(info, apart), where)
    return f" ({found})" if found else ""


def _drawn(info: RunInfo) -> nn.Module:
    """The network of a run, with weights drawn from its seed."""
    torch.manual_seed(info.seed)
    return build(info.recipe.network)


def _average_of(network: nn.Module, recipe: Recipe) -> nn.Module | None:
    """What the weights' average starts from, where the recipe keeps one."""
    return None if recipe.ema is None else copy.deepcopy(network).requires_grad_(False)


def _new_run(
    info: RunInfo,
    device: torch.device,
    folder: Path,
    ranks: Ranks,
    network: nn.Module,
    average: nn.Module | None,
) -> Run:
    """A run of a network as it is.

    Where the network is cut over processes, each was given the whole of it, in its machine's memory, so that
    the weights are the same for any number of stages, and keeps its own part.
    """
    parameters = sum(parameter.numel() for parameter in network.parameters())
    cut = _cut(info, device, ranks)
    kept = [network] if average is None else [network, average]
    for one in kept:
        if cut is not None:
            cut.keep_own(one)
        one.to(device).to(memory_format=layout_of(device))  # type: ignore[call-overload]
        one.train()
    _change_computation(network, info.recipe, device)
    autocast = partial(_autocast, info.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=info.precision == "fp16")
    placement: Placement
    if cut is None:
        placement = WholePlacement(network, ranks, device, autocast, scaler)
    else:
        # Imported here: torch.distributed.pipelining takes seconds to load, and few cut a network.
        from training.distributed.pipeline import PipelinePlacement

        placement = PipelinePlacement(network, cut, device, autocast, scaler)
    return Run(
        info=info,
        network=network,
        parameters=parameters,
        placement=placement,
        average=average,
        optimizer=make_optimizer(network.parameters(), info.recipe.optimizer),
        scaler=scaler,
        device=device,
        folder=folder,
        timetable=timetable_of(info),
        ranks=ranks,
    )


def _cut(info: RunInfo, device: torch.device, ranks: Ranks) -> Cut | None:
    """How the network is cut over the processes; None where each has the whole of it."""
    recipe = info.recipe
    if recipe.pipeline is None:
        return None
    stages = timetable_of(info).stages
    largest = max(stages, key=lambda stage: prod(stage.recipe.patch_zyx) * stage.batch_size)
    most = recipe.pipeline.micro_batches

    def make() -> nn.Module:
        network = build(recipe.network)
        _change_computation(network, recipe, device)
        return network

    def micro_batch(replicas: int) -> tuple[int, ...]:
        patches = max(1, largest.batch_size // replicas // recipe.optimizer.accumulate_steps)
        return max(1, patches // most), recipe.network.in_channels, *largest.recipe.patch_zyx

    moments = len(moments_of(recipe.optimizer)) + (recipe.ema is not None)
    with torch.random.fork_rng(devices=[]):
        return cut_network(
            recipe.pipeline,
            make,
            ranks,
            device,
            partial(_autocast, info.precision, device),
            shape=micro_batch,
            moments=moments,
        )


def _autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    dtype = AUTOCAST.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def _change_computation(network: nn.Module, recipe: Recipe, device: torch.device) -> None:
    """Let the network compute the same in less memory or time, as the recipe says, and soundly."""
    if device.type == "cpu":
        convolve_soundly(network)
    if device.type == "cpu" and not recipe.compile:
        normalize_channels_last(network)
        turn_convolutions(network)
    if recipe.activation_checkpointing:
        recompute_activations(network)
    if recipe.compile:
        compile_network(network, device)


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
