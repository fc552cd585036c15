"""How many workers a machine has room for: memory plans, processors and GPUs admit them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, modf
from pathlib import Path
from typing import Literal

from inference.call import Call
from inference.cohort.cluster.driver.cohort_call import CohortCall
from inference.cohort.cluster.worker.warm_worker import BundleTools, WorkerSetup
from inference.errors import DeviceError
from inference.limits import MOST_HOST_MB, memory_at_hand, processors_within_quota
from inference.runtime.backends import select_backend
from inference.runtime.cuda_devices import visible_gpus

MOST_CPUS = 4
"""Processors of a worker on a cluster, unless asked for."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a machine offers."""

    cpus: int
    memory_mb: int
    gpus: float = 0


def this_machine() -> Machine:
    """What this machine, and the container around it, let a run have.

    GPUs are counted as the driver lists them, or as `CUDA_VISIBLE_DEVICES` leaves them.
    """
    return Machine(
        cpus=processors_within_quota(), memory_mb=memory_at_hand(1 << 40).mb, gpus=len(gpu_names())
    )


def gpu_names() -> list[str]:
    """Names of this machine's GPUs for `CUDA_VISIBLE_DEVICES`; none where CUDA does not work."""
    if select_backend("auto") != "cuda":
        return []
    count, chosen = len(visible_gpus()), os.environ.get("CUDA_VISIBLE_DEVICES")
    names = map(str, range(count)) if chosen is None else map(str.strip, chosen.split(","))
    return list(names)[:count]  # After a name that means no GPU, CUDA sees no other.


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many workers a machine has room for, and what each of them takes."""

    workers: int
    cpus: int
    memory_mb: int
    gpus: float
    device: Literal["cpu", "cuda"]
    limit: str
    """What leaves no more room, e.g. `memory`."""

    @property
    def described(self) -> str:
        """`2 workers on cuda (4 processors, 8192 MiB each; limited by memory)`."""
        each = f"{self.cpus} processor{'s' * (self.cpus != 1)}, {self.memory_mb} MiB each"
        workers = f"{self.workers} worker{'s' * (self.workers != 1)} on {self.device}"
        return f"{workers} ({each}; limited by {self.limit})"


def room_on(machine: Machine, call: CohortCall) -> Room:
    """How many workers a machine has room for, by the scarcest of memory, processors and GPUs.

    A worker keeps within its memory whatever its case is, since each case is planned before it is read; so a
    machine that has the memory of all its workers never runs out of it.
    """
    on_gpu = call.device == "cuda" or (call.device == "auto" and machine.gpus >= call.gpus_per_worker)
    memory_mb = call.host_memory_mb or min(MOST_HOST_MB, machine.memory_mb)
    counts = {"memory": machine.memory_mb // max(memory_mb, 1)}
    if on_gpu:
        counts["GPUs"] = workers_on(machine.gpus, call.gpus_per_worker)
    cpus = call.cpus_per_worker
    if cpus is None:
        share = machine.cpus // max(1, min(counts.values())) if on_gpu else machine.cpus
        cpus = max(1, min(MOST_CPUS, share))
    counts["processors"] = machine.cpus // cpus
    limit = min(counts, key=lambda name: counts[name])
    return Room(
        workers=counts[limit],
        cpus=cpus,
        memory_mb=memory_mb,
        gpus=call.gpus_per_worker if on_gpu else 0.0,
        device="cuda" if on_gpu else "cpu",
        limit=limit,
    )


def workers_on(gpus: float, share: float) -> int:
    """How many workers GPUs have room for, each of which takes a share of one, or several whole ones.

    A share lies on one GPU: three of them have room for three workers of 0.7, not for four.

    >>> workers_on(3, 0.7), workers_on(3, 0.5), workers_on(3, 2), workers_on(0.5, 0.25)
    (3, 6, 1, 2)
    """
    if share > 1:
        return floor(gpus / share)
    rest, whole = modf(gpus)
    return int(whole) * floor(1 / share + 1e-9) + floor(rest / share + 1e-9)


def setup_for(call: CohortCall, room: Room) -> WorkerSetup:
    """What the workers of a machine are told."""
    each = Call(
        input=Path(call.input),
        output=Path(call.output),
        bundle=call.bundle,
        device=room.device,
        threads=room.cpus,
        precision=call.precision,
        host_memory_mb=room.memory_mb,
        gpu_memory_mb=call.gpu_memory_mb,
        format=call.format,
        statistics=call.statistics,
    )
    return WorkerSetup(tools=BundleTools(call=each), output=call.output)


def no_room(machines: Sequence[Machine], call: CohortCall) -> DeviceError:
    """That no machine has room for a worker, and for want of what."""
    if not machines:
        return DeviceError("the cluster has no machines; start one with ray start")
    wanting = sorted({room_on(machine, call).limit for machine in machines})
    return DeviceError(
        f"no machine has room for a worker, for want of {' and '.join(wanting)}; lower --host-memory-mb, "
        "--cpus-per-worker or --gpus-per-worker"
    )
