"""A training run between two steps, and how it is started, stored and taken up again."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from model.bundle import file_sha256
from model.networks.build import build
from training.optimization.optimizers import make_optimizer
from training.runs.checkpoints import RunInfo, load_checkpoint, load_weights, save_checkpoint
from training.training_errors import CheckpointError

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"
MOMENTS = ("exp_avg", "exp_avg_sq")
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(kw_only=True)
class Run:
    """Everything that changes from step to step, and where it is computed and written."""

    info: RunInfo
    network: nn.Module
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    device: torch.device
    folder: Path

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which the network runs in the run's precision."""
        dtype = AUTOCAST.get(self.info.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    @property
    def updates(self) -> int:
        """Steps that changed the weights, as AdamW counts them."""
        return max((int(state["step"]) for state in self.optimizer.state.values()), default=0)

    def log(self, entry: Mapping[str, object]) -> None:
        """Append a line to the run's log."""
        with (self.folder / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": self.info.step, **entry}) + "\n")

    def save(self, name: str, *, moments: bool) -> None:
        """Write a checkpoint; with AdamW's moments the run can be taken up from it."""
        tensors: dict[str, Tensor] = {
            f"network.{key}": tensor for key, tensor in self.network.state_dict().items()
        }
        if moments and self.optimizer.state:
            for key, parameter in self.network.named_parameters():
                tensors.update(
                    {f"{moment}.{key}": self.optimizer.state[parameter][moment] for moment in MOMENTS}
                )
        save_checkpoint(self.folder / name, tensors, self.info)


def start_run(info: RunInfo, device: torch.device, folder: Path, init: Path | None = None) -> Run:
    """A run before its first step, with weights drawn from the seed or taken from the checkpoint `init`.

    Raises:
        CheckpointError: `init` cannot be read or belongs to another network.
    """
    torch.manual_seed(info.seed)
    network = build(info.recipe.network)
    if init is not None:
        load_weights(network, load_checkpoint(init)[0], init)
        info = replace(info, init_sha256=file_sha256(init))
    network = network.to(device)
    if device.type == "cpu":
        # Measured: a step is up to a third faster so. On GPUs instance norm gets slower.
        network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimizer = make_optimizer(network.parameters(), info.recipe.optimizer)
    scaler = torch.amp.GradScaler(device.type, enabled=info.precision == "fp16")
    return Run(
        info=info, network=network.train(), optimizer=optimizer, scaler=scaler, device=device, folder=folder
    )


def resume_run(info: RunInfo, device: torch.device, folder: Path) -> Run:
    """The run that `folder` holds, as it was at its last checkpoint.

    Raises:
        CheckpointError: there is no checkpoint, or it belongs to another recipe, seed, precision or set of
            cases.
    """
    path = folder / LAST
    tensors, stored = load_checkpoint(path)
    for name in ("recipe", "seed", "precision", "cases"):
        if getattr(stored, name) != getattr(info, name):
            raise CheckpointError(
                f"{path}: was written with another {name}; resume with the same one, or choose another "
                "--output"
            )
    run = start_run(stored, device, folder)
    load_weights(run.network, tensors, path)
    updates = stored.step if stored.updates is None else stored.updates
    if updates:
        _restore_moments(run, tensors, updates, path)
    if stored.scaler:
        # Metadata know floats only, and torch wants its counts as integers.
        run.scaler.load_state_dict(
            {name: type(value)(stored.scaler[name]) for name, value in run.scaler.state_dict().items()}
        )
    _forget_log_after(folder / LOG, stored.step)
    return run


def _restore_moments(run: Run, tensors: Mapping[str, Tensor], updates: int, path: Path) -> None:
    for name, parameter in run.network.named_parameters():
        try:
            moments = {moment: tensors[f"{moment}.{name}"].to(run.device) for moment in MOMENTS}
        except KeyError as error:
            raise CheckpointError(f"{path}: damaged ({error.args[0]} is missing)") from error
        run.optimizer.state[parameter] = {"step": torch.tensor(float(updates)), **moments}


def _forget_log_after(path: Path, step: int) -> None:
    """Drop the lines of steps that will be done again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
