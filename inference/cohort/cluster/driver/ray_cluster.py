"""Workers as actors of a Ray cluster, one or more on every machine that has room.

Ray holds the places: each actor asks for its processors, GPUs and memory, on the machine it was planned for.
Only tasks and reports pass through it, some hundred bytes each, and never more calls at a time than cases in
hand, so that neither the driver nor the object store grows with the cohort. Actors are not restarted by Ray:
what a worker that died had in hand is for the queue to judge.
"""

import importlib
import itertools
import os
import pickle
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.cohort.cluster.driver.case_queue import IN_HAND
from inference.cohort.cluster.driver.cohort_call import CohortCall
from inference.cohort.cluster.driver.seats import Machine, Room, no_room, room_on
from inference.cohort.cluster.fates import Task
from inference.cohort.cluster.worker.warm_worker import WorkerSetup
from inference.cohort.cluster.worker.worker_engine import SECONDS_TO_END, Broken, Event, Lost, Opened
from inference.errors import UsageError, fault_of, one_line
from leanseg.ending import TERMINATED

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Nothing is reported to anybody.
    "RAY_BACKEND_LOG_LEVEL": "error",  # Its warnings go to stderr, where cases are complained of.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's coming default; without it, it warns.
}
OBJECT_STORE_MB = 80
"""About the least that Ray accepts: nothing of size passes through it."""
NOT_TRUSTED = "references to the actor were removed"
"""What Ray says where the cluster cannot speak to a driver, which asks it for a token that it has not."""
CONNECTS_S = 5.0
"""Seconds within which the head of a cluster must answer."""
PROGRAMS = Path(__file__).resolve().parents[3]
"""The folder from which `inference` is imported, here and on every machine of the cluster."""


def connect(address: str) -> str:
    """Connect to a Ray cluster, or start one of this machine alone.

    Args:
        address: `local`, `auto` (the cluster that this machine is part of) or `HOST:PORT` of its head.

    Returns:
        Where its dashboard is; empty where it has none.

    Raises:
        UsageError: there is none, it does not answer, or it runs another version of Ray or Python.
    """
    check_address(address)
    os.environ.update(ENVIRONMENT)
    if address not in ("local", "auto") and has_token():
        # As `ray start` does, and Ray itself for `auto`: both sides must ask for tokens, or neither.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    # Ray tells of every worker that dies in a paragraph on stdout; no public setting has it be quiet.
    ray._private.worker._worker_logs_enabled = False
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_MB << 20}
    sigterm = signal.getsignal(signal.SIGTERM)
    try:
        context = ray.init(address=address, **options)
    except SystemExit as end:
        raise SystemExit(TERMINATED) from end  # Ray's own handler, with a code of its own.
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        hint = "start one with ray start --head, or give --address local"
        if address == "local":
            hint = "give --address none, which needs no Ray"
        if "ersion mismatch" in str(error):
            hint = "install the cluster's versions here, or LeanSeg's (requirements/cohort.txt) there"
        elif address != "local" and not has_token():
            hint += "; where the cluster asks for a token, put it into ~/.ray/auth_token"
        raise UsageError(
            f"--address {address}: no Ray cluster can be used ({one_line(error)}); {hint}"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, sigterm)
    return str(getattr(context, "dashboard_url", "") or "")


def has_token() -> bool:
    """Whether this user has a token for Ray clusters, which Ray makes with the first one of this machine."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def check_address(address: str) -> None:
    """Find out whether anybody answers at an address, before anything else is done.

    Ray itself waits for minutes, and may then abort the process.

    Raises:
        UsageError: nobody does, or it is no address.
    """
    if address in ("none", "local", "auto"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--address {address}: give none, local, auto or HOST:PORT of a Ray head")
    try:
        socket.create_connection((host, int(port)), CONNECTS_S).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--address {address}: does not answer ({one_line(error)}); give HOST:PORT of a Ray head, as "
            "ray start --head prints it"
        ) from error


@dataclass(kw_only=True)
class _Worker:
    actor: Any
    node: str
    is_open: bool = False


class RayCluster:
    """Workers on the machines of the cluster that `connect` found.

    Args:
        call: says how much a worker takes.
        setup_for: what the workers of a machine with this room are told.

    Raises:
        DeviceError: no machine has room for a worker.
    """

    def __init__(self, call: CohortCall, setup_for: Callable[[Room], WorkerSetup]) -> None:
        import ray

        self._ray = ray
        self._call = call
        self._setup_for = setup_for
        self._workers: dict[str, _Worker] = {}
        self._calls: dict[Any, str] = {}
        self._taken: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        machines = [_machine_of(node) for node in self._nodes().values()]
        self.rooms = [room_on(machine, call) for machine in machines]
        if not any(room.workers for room in self.rooms):
            self.close()
            raise no_room(machines, call)

    @property
    def described(self) -> str:
        """How many workers there is room for, on each kind of machine."""
        alike = Counter(room.described for room in self.rooms if room.workers)
        return "; ".join(f"{count} × {text}" if count > 1 else text for text, count in alike.items())

    def _nodes(self) -> dict[str, dict[str, Any]]:
        return {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}

    def grow(self) -> list[str]:
        """Start a worker wherever there is room, machines in turn, those with GPUs first."""
        nodes = self._nodes()
        rooms = {node: room_on(_machine_of(about), self._call) for node, about in nodes.items()}
        order = sorted(nodes, key=lambda node: -rooms[node].gpus)
        names: list[str] = []
        while True:
            are_enough = self._call.workers is not None and len(self._workers) >= self._call.workers
            free = [node for node in order if self._taken[node] < rooms[node].workers]
            if are_enough or not free:
                return names
            node = min(free, key=lambda node: self._taken[node])
            names.append(self._start(node, nodes[node]["NodeManagerAddress"], rooms[node]))

    def _start(self, node: str, address: str, room: Room) -> str:
        name = f"{address} worker {next(self._numbers)}"
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        actor = (
            self._ray.remote(_actor_class())
            .options(
                num_cpus=room.cpus,
                num_gpus=room.gpus,
                memory=room.memory_mb << 20,
                max_concurrency=IN_HAND + 1,
                max_restarts=0,
                scheduling_strategy=strategy,
            )
            .remote(str(PROGRAMS))
        )
        self._taken[node] += 1
        self._workers[name] = _Worker(actor=actor, node=node)
        self._calls[actor.open.remote(name, pickle.dumps(self._setup_for(room)))] = name
        return name

    def send(self, worker: str, task: Task) -> None:
        """Hand a case to a worker."""
        self._calls[self._workers[worker].actor.segment.remote(task)] = worker

    def wait(self, timeout_s: float) -> list[Event]:
        """What workers said, and which are gone."""
        if not self._calls:
            threading.Event().wait(timeout_s)
            return []
        self._ray.wait(list(self._calls), num_returns=1, timeout=timeout_s)
        ready, _ = self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        return [event for call in ready if (event := self._hear(call)) is not None]

    def _hear(self, call: Any) -> Event | None:  # noqa: ANN401 - Ray's references are not typed
        name = self._calls.pop(call, None)
        if name is None:
            return None  # Another call of the same worker said that it is gone.
        worker = self._workers[name]
        try:
            event: Event = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            event = Broken(worker=name, message=f"{name}: {_cause(error)}")
        except self._ray.exceptions.RayError as error:
            has_gone = worker.node not in self._nodes()
            self._dismiss(name)
            if worker.is_open or has_gone:
                self._taken[worker.node] -= 1
                return Lost(worker=name, blame=not has_gone)
            message = f"{name}: died while it loaded its networks ({one_line(error)})"
            remedy = "give a worker more memory, or run fewer"
            if NOT_TRUSTED in str(error) and has_token():
                remedy = "if the cluster was started without a token, set RAY_AUTH_MODE=disabled"
            return Broken(worker=name, message=f"{message}; {remedy}")
        worker.is_open |= isinstance(event, Opened)
        if isinstance(event, Broken):
            self._dismiss(name)
        return event

    def _dismiss(self, name: str) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._workers.pop(name).actor)
        self._calls = {call: worker for call, worker in self._calls.items() if worker != name}

    def close(self) -> None:
        """End all workers, and leave the cluster, which ends where it is of this machine alone."""
        calls = [worker.actor.close.remote() for worker in self._workers.values() if worker.is_open]
        if calls:
            self._ray.wait(calls, num_returns=len(calls), timeout=SECONDS_TO_END)
        for name in list(self._workers):
            self._dismiss(name)
        self._ray.shutdown()


def _machine_of(node: dict[str, Any]) -> Machine:
    resources = node["Resources"]
    return Machine(
        cpus=int(resources.get("CPU", 0)),
        memory_mb=int(resources.get("memory", 0)) >> 20,
        gpus=float(resources.get("GPU", 0)),
    )


def _cause(error: Exception) -> str:
    cause = getattr(error, "cause", error)
    if isinstance(cause, ModuleNotFoundError):
        return f"{cause}; LeanSeg must be at {PROGRAMS} with its packages on every machine of the cluster"
    return fault_of(cause)


def _actor_class() -> type:
    """The class of the actors: it travels by value, since it is what makes `inference` importable."""

    class Worker:
        def __init__(self, programs: str) -> None:
            sys.path.insert(0, programs)
            self._engine = importlib.import_module("inference.cohort.cluster.worker.worker_engine")
            self._worker: Any = None
            self._name = ""

        def open(self, name: str, pickled_setup: bytes) -> Any:  # noqa: ANN401 - the type is not imported yet
            self._name = name
            self._worker, event = self._engine.open_worker(name, pickle.loads(pickled_setup))
            return event

        def segment(self, task: Any) -> Any:  # noqa: ANN401
            return self._engine.answer(self._worker, self._name, task)

        def close(self) -> None:
            if self._worker is not None:
                self._worker.close()

    return Worker
