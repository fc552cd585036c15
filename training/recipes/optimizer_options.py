"""How gradients become changes of the weights; `training.optimization.optimizers` builds it."""

from dataclasses import dataclass
from typing import Literal

from model.checks import check, check_between


@dataclass(frozen=True, kw_only=True)
class _Optimizer:
    learning_rate: float
    """Peak learning rate; the schedule says when it is reached."""
    batch_rule: Literal["none", "linear", "square_root"] = "none"
    """How the learning rate follows the batch size where `sampling.batch_size` is `auto`: not, in proportion
    (SGD; Goyal et al. 2017), or by the square root (Adam; Malladi et al. 2022)."""
    stated_batch_size: int = 1
    """The batch size that `learning_rate` is stated for; a file must say it where `batch_rule` follows one
    that is found."""
    weight_decay: float
    """Decay of the weights towards zero."""
    clip_norm: float
    """Gradients with a larger norm than this are scaled down to it."""
    accumulate_steps: int = 1
    """Parts in which a batch goes through the network, one after another, to save memory; their gradients
    are averaged, and the weights change once. `sampling.batch_size` must be a multiple of it. Sums over the
    batch, as of a Dice term, run over each part alone."""

    def __post_init__(self) -> None:
        check_between("learning_rate", self.learning_rate, 1e-8, 1)
        check_between("weight_decay", self.weight_decay, 0, 1)
        check_between("clip_norm", self.clip_norm, 1e-6, 1e6)
        check_between("stated_batch_size", self.stated_batch_size, 1, 4096)
        check_between("accumulate_steps", self.accumulate_steps, 1, 1024)


@dataclass(frozen=True, kw_only=True)
class AdamWOptimizer(_Optimizer):
    """AdamW (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: float = 2e-4
    """Peak learning rate; the schedule says when it is reached."""
    weight_decay: float = 1e-5
    """Decoupled weight decay."""
    clip_norm: float = 1.0
    """Gradients with a larger norm than this are scaled down to it."""


@dataclass(frozen=True, kw_only=True)
class SGDOptimizer(_Optimizer):
    """Stochastic gradient descent with momentum; the defaults are nnU-Net's (Isensee et al. 2021)."""

    kind: Literal["sgd"] = "sgd"
    learning_rate: float = 0.01
    """Peak learning rate; the schedule says when it is reached."""
    momentum: float = 0.99
    """Share of the last change that the next one keeps."""
    nesterov: bool = True
    """Whether the gradient counts as if it were taken after that change."""
    weight_decay: float = 3e-5
    """Weight decay, added to the gradient."""
    clip_norm: float = 12.0
    """Gradients with a larger norm than this are scaled down to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("momentum", self.momentum, 0, 0.9999)
        check(not self.nesterov or self.momentum > 0, "nesterov: needs a momentum above 0")


@dataclass(frozen=True, kw_only=True)
class RMSPropOptimizer(_Optimizer):
    """RMSProp (Hinton 2012), as LAMP trains; what LAMP leaves open has torch's defaults."""

    kind: Literal["rmsprop"] = "rmsprop"
    learning_rate: float = 1e-3
    """Peak learning rate; the schedule says when it is reached."""
    smoothing: float = 0.99
    """Share of the mean squared gradient that a step keeps."""
    momentum: float = 0.0
    """Share of the last change that the next one keeps."""
    weight_decay: float = 0.0
    """Weight decay, added to the gradient."""
    clip_norm: float = 12.0
    """Gradients with a larger norm than this are scaled down to it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("smoothing", self.smoothing, 0, 0.9999)
        check_between("momentum", self.momentum, 0, 0.9999)


Optimizer = AdamWOptimizer | SGDOptimizer | RMSPropOptimizer
"""Any of the optimizers."""
