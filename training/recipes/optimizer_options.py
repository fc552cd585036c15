"""How gradients become changes of the weights; `training.optimization.optimizers` builds it."""

from dataclasses import dataclass
from typing import Literal

from model.checks import check_between


@dataclass(frozen=True, kw_only=True)
class AdamWOptimizer:
    """AdamW (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: float = 2e-4
    """Peak learning rate; the schedule says when it is reached."""
    weight_decay: float = 1e-5
    """Decoupled weight decay."""
    clip_norm: float = 1.0
    """Gradients with a larger norm than this are scaled down to it."""

    def __post_init__(self) -> None:
        check_between("learning_rate", self.learning_rate, 1e-8, 1)
        check_between("weight_decay", self.weight_decay, 0, 1)
        check_between("clip_norm", self.clip_norm, 1e-6, 1e6)


Optimizer = AdamWOptimizer
"""Any of the optimizers."""
