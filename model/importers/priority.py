"""Which channel is written where several are on: what a network with sigmoids does not say."""

import shlex
from collections.abc import Sequence

from model.manifest.output import Activation, Sigmoid, Softmax
from model.model_errors import RefusedModelError


def with_priority(
    activation: Activation, names: Sequence[str], priority: Sequence[str], where: str
) -> Activation:
    """How channels become classes, with an order that the model does not state.

    Args:
        activation: what the model says.
        names: of the channels.
        priority: the same names in rising priority, the last one that is on wins; empty where nobody said.
        where: the model, for messages.

    Raises:
        RefusedModelError: channels may overlap and nobody said which is written; or `priority` does not name
            each of them once, or they are classes of which only one is on.
    """
    if isinstance(activation, Softmax):
        if priority:
            raise RefusedModelError(
                f"{where}: --priority is for channels that are on or off by themselves (sigmoid), these are "
                "classes of which one wins (softmax, argmax); leave it out"
            )
        return activation
    quoted = " ".join(shlex.quote(name) for name in names)
    if not priority and len(names) > 1:
        raise RefusedModelError(
            f"{where}: channels are on or off by themselves, and nothing says which is written where several "
            f"are on; give --priority with their names, the one that wins last (regions from the outermost "
            f"to the innermost): {quoted}, in your order"
        )
    if priority and sorted(priority) != sorted(names):
        raise RefusedModelError(f"{where}: --priority must name each channel once: {quoted}")
    return Sigmoid(priority=tuple(names.index(name) for name in priority) or None)
