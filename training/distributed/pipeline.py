"""Pipeline parallelism: each process has consecutive blocks of the network, and micro-batches flow through.

The schedule is GPipe's (Huang et al. 2019) in `torch.distributed.pipelining`; the cut, and the skips that
cross it, are LAMP's (Zhu et al., MICCAI 2020). Replicas of the pipeline share each batch, and average their
gradients in one exchange after the schedule's step.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.pipelining import PipelineStage, ScheduleGPipe

from model.arrays import U8
from model.units import MIB
from training.distributed.batch_loss import BatchLoss, Loss
from training.distributed.block_costs import (
    Shape,
    Traced,
    bubble_share,
    layout_of,
    micro_batches_of,
)
from training.distributed.blocks import Autocast, Part
from training.distributed.cut import Cut
from training.distributed.network_placement import Placement
from training.distributed.stage_meter import StageMeter, beside_plan

S = TypeVar("S", bound=PipelineStage)


class _MeteredStage(PipelineStage):
    """A stage whose computing is measured."""

    meter: StageMeter

    def forward_one_chunk(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as torch has it
        """Compute a micro-batch."""
        with self.meter.computing():
            return super().forward_one_chunk(*args, **kwargs)

    def backward_one_chunk(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Compute a micro-batch's gradients."""
        with self.meter.computing():
            super().backward_one_chunk(*args, **kwargs)


@dataclass(frozen=True, kw_only=True)
class _Flow:
    """A schedule for batches of one shape."""

    shape: Shape
    micro_batches: int
    schedule: ScheduleGPipe
    planned_mb: float = 0.0
    """What a training step takes in this stage, MiB."""


class PipelinePlacement(Placement):
    """Every process has some blocks of the network, and its replica's share of each batch.

    Args:
        network: with at least this process's blocks, on the device.
        cut: which those are.
        device: of this process.
        autocast: in which precision the network computes.
        scaler: of the loss.
    """

    def __init__(
        self,
        network: nn.Module,
        cut: Cut,
        device: torch.device,
        autocast: Autocast,
        scaler: torch.amp.GradScaler,
    ) -> None:
        super().__init__(replicas=cut.grid.replicas, stages=cut.grid.stages)
        self._cut, self._device, self._autocast, self._scaler = cut, device, autocast, scaler
        self.windows_at_a_time = cut.micro_batches
        self._part, self._weights = self._part_of(network), list(network.parameters())
        self._meter = StageMeter(device)
        self._flow: _Flow | None = None
        self._loss: BatchLoss | None = None
        self._planned_mb = 0.0
        self._counts: set[int] = set()

    def add_gradients(self, images: Tensor, loss: Loss, *, complete: bool) -> Tensor:
        """Add the gradients of a loss to those that the parameters have."""
        flow = self._flow_for(images)
        self._counts.add(flow.micro_batches)
        self._planned_mb = max(self._planned_mb, flow.planned_mb)
        self._loss = BatchLoss(loss, flow.micro_batches, self._scaler.scale)
        is_last = self.stages.rank == self.stages.world - 1
        with self._meter.step():
            flow.schedule.step(
                *((images,) if self.stages.is_first else ()),
                target=torch.arange(flow.micro_batches) if is_last else None,
                return_outputs=False,
            )
        if complete:
            self.replicas.average_([weight.grad for weight in self._weights if weight.grad is not None])
            if self._scaler.is_enabled():
                self._share_what_is_not_finite()
        value, self._loss = self._loss.value, None
        return self.stages.from_last(torch.zeros((), device=self._device) if value is None else value)

    def for_windows(self, network: nn.Module) -> nn.Module:
        """What gives the logits of windows in the last stage, and zeros of one channel in the others."""
        return _PipelinedWindows(self._part_of(network), self._cut)

    def agreed(self, prediction: U8) -> U8:
        """The prediction of the last stage."""
        found: U8 = self.stages.from_last(torch.from_numpy(prediction)).numpy()
        return found

    def plan(self) -> list[str]:
        """The cut, and the bubble by the formula."""
        stages, most = self.stages.world, self._cut.micro_batches
        parts = [f"{self._cut.name(k)} ({self._cut.share(k):.0%} of the cost)" for k in range(stages)]
        return [
            f"pipeline of {stages} stages, {self.replicas.world} of it: {'; '.join(parts)}",
            f"expected bubble (K - 1) / (M + K - 1): {bubble_share(stages, most):.0%} with M = {most} "
            f"micro-batches; {bubble_share(stages, 1):.0%} with one, as for whole volumes, of which nothing "
            "overlaps",
        ]

    def report(self) -> list[str]:
        """Memory and time of each stage since the last report, beside what was expected."""
        counts, planned_mb = sorted(self._counts), self._planned_mb
        self._counts, self._planned_mb = set(), 0.0
        found = self.stages.gather((self._meter.take(), planned_mb, self._cut.held_bytes / MIB))
        # The first stage begins first and ends last: its step is that of the pipeline.
        lasted_s = found[0][0].lasted_s
        lines = [
            f"stage {k + 1} of {len(found)}, {self._cut.name(k)}: a step takes {cost.step_mb:.0f} MiB "
            f"({beside_plan(cost.step_mb, planned_mb)}) beside {held_mb:.0f} of weights, and computes "
            f"{cost.computed_s:.3g} s of {lasted_s:.3g} s"
            for k, (cost, planned_mb, held_mb) in enumerate(found)
        ]
        expected = ", ".join(f"{bubble_share(len(found), count):.0%} with M = {count}" for count in counts)
        idle = 1 - statistics.mean(cost.computed_s for cost, *_ in found) / lasted_s
        return [*lines, f"bubble measured {idle:.0%}, by the formula {expected}"]

    def _part_of(self, network: nn.Module) -> Part:
        blocks = self._cut.skeleton.blocks
        return Part(network, blocks, self._cut.own, self._autocast, layout_of(self._device))

    def _flow_for(self, images: Tensor) -> _Flow:
        """The schedule for a batch: the last one, where its shape is the same."""
        shape, flow = tuple(images.shape), self._flow
        if flow is None or flow.shape != shape:
            self._flow = None  # Its buffers make room first.
            count = micro_batches_of(len(images), self._cut.micro_batches)
            traced = self._cut.skeleton.trace((len(images) // count, *shape[1:]), training=True)
            of_one = images[: len(images) // count]
            stage = _stage_of(_MeteredStage, self._part, self._cut, of_one, traced)
            stage.meter = self._meter
            schedule = ScheduleGPipe(stage, count, loss_fn=self._loss_of_one, scale_grads=False)
            planned_mb = self._cut.planned_bytes(traced, count) / MIB
            flow = _Flow(shape=shape, micro_batches=count, schedule=schedule, planned_mb=planned_mb)
            self._flow = flow
        return flow

    def _loss_of_one(self, levels: tuple[Tensor, ...], _: Tensor) -> Tensor:
        assert self._loss is not None
        with self._meter.computing():
            return self._loss(levels)

    def _share_what_is_not_finite(self) -> None:
        """Let every stage find a gradient that is not finite where one does, so that all leave the step out.

        Each has a scaler of its own, which also makes its scale when first asked, and only the last is.
        """
        self._scaler.scale(torch.zeros((), device=self._device))
        if not torch.isfinite(self.gradient_norm(self._weights)):
            self._weights[0].grad = torch.full_like(self._weights[0], torch.inf)


class _PipelinedWindows(nn.Module):
    """Windows through a pipeline, each a micro-batch: (windows, channels, z, y, x) to logits.

    Only the last stage has logits: in the others they are zeros of one channel, which cost little.
    """

    def __init__(self, part: Part, cut: Cut) -> None:
        super().__init__()
        self._part, self._cut = part, cut
        self._flow: _Flow | None = None

    def forward(self, windows: Tensor) -> Tensor:
        """Logits of windows."""
        stages, shape = self._cut.grid.stages, tuple(windows.shape)
        if self._flow is None or self._flow.shape != shape:
            traced = self._cut.skeleton.trace((1, *shape[1:]), training=False)
            stage = _stage_of(PipelineStage, self._part, self._cut, windows[:1], traced)
            schedule = ScheduleGPipe(stage, len(windows))
            self._flow = _Flow(shape=shape, micro_batches=len(windows), schedule=schedule)
        leaving = self._flow.schedule.step(*((windows,) if stages.is_first else ()))
        if leaving is None:
            return windows.new_zeros(len(windows), 1, *shape[2:])
        logits: Tensor = leaving[0]  # What leaves a part is a tuple; full resolution comes first.
        return logits


def _stage_of(kind: type[S], part: Part, cut: Cut, micro_batch: Tensor, traced: Sequence[Traced]) -> S:
    """This process's stage, for micro-batches of one shape.

    It is told the shapes of all that flows, for else torch finds them by running it once, which would count
    for the running means of batch norm.
    """
    own, stages = cut.own, cut.grid.stages
    entering = (micro_batch.to("meta"),) if stages.is_first else traced[own.start - 1].leaving
    return kind(
        part,
        stages.rank,
        stages.world,
        micro_batch.device,
        input_args=entering,
        output_args=traced[own.stop - 1].leaving,
        group=stages.group,
    )
