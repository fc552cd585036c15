"""A training run between two steps, and how it is started."""

import copy
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from math import prod
from pathlib import Path

import torch
from torch import nn

from model.bundle import file_sha256
from model.networks.build import build
from training.distributed.block_costs import layout_of
from training.distributed.cut import Cut, cut_network
from training.distributed.ending_together import EndTogether
from training.distributed.network_placement import Placement, WholePlacement
from training.distributed.ranks import ALONE, Ranks
from training.optimization.optimizers import make_optimizer, moments_of
from training.recipes.recipe import Recipe
from training.runs.activations import recompute_activations
from training.runs.channels_last_norm import normalize_channels_last
from training.runs.checkpoints import RunInfo
from training.runs.compilation import compile_network
from training.runs.initial_weights import start_from
from training.runs.log import write_log
from training.runs.run_files import LOG, forget_run
from training.runs.sound_convolutions import convolve_soundly
from training.runs.step_times import SILENT, PhaseClock
from training.runs.timetable import Timetable, make_timetable
from training.runs.turned_convolutions import turn_convolutions

logger = logging.getLogger(__name__)

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
    is_between_steps: bool = True
    """Whether weights, optimizer and `info` are of one step, so that the run can be stored."""
    stored: RunInfo | None = None
    """What the last checkpoint says, or what the run began with: the same object as `info` where there is
    nothing to keep."""
    left_out: int = 0
    """Steps in a row, the last ones, that the gradient scaler left out."""
    ranks: Ranks = ALONE
    ending: EndTogether = field(default_factory=EndTogether)
    """Ends the run in all of several processes."""
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
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            write_log(self.folder / LOG, {"step": self.info.step, **entry, "time": now})


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
    network = drawn_network(info)
    if init is not None:
        heads = start_from(network, init, info.recipe.channel_names)
        info = replace(info, init_sha256=file_sha256(init))
        if heads and ranks.is_first:
            logger.info(
                "%s: all weights but those of new heads, whose logits start at 0: %s", init, ", ".join(heads)
            )
    run = new_run(info, device, folder, ranks, network, average_of(network, info.recipe))
    if ranks.is_first:
        forget_run(folder)
    return run


def trial_run(info: RunInfo, device: torch.device, folder: Path) -> Run:
    """A run in this process alone, to try steps with: what lies in the folder stays there."""
    network = drawn_network(info)
    return new_run(info, device, folder, ALONE, network, average_of(network, info.recipe))


def drawn_network(info: RunInfo) -> nn.Module:
    """The network of a run, with weights drawn from its seed."""
    torch.manual_seed(info.seed)
    return build(info.recipe.network)


def average_of(network: nn.Module, recipe: Recipe) -> nn.Module | None:
    """What the weights' average starts from, where the recipe keeps one."""
    return None if recipe.ema is None else copy.deepcopy(network).requires_grad_(False)


def new_run(
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
        ending=EndTogether(ranks),
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
