"""Which of a model's folds are taken."""

from collections.abc import Sequence

from model.model_errors import RefusedModelError


def check_folds(names: Sequence[str], complete: Sequence[str], checkpoint: str, where: object) -> None:
    """Refuse folds that cannot be taken.

    Args:
        names: of those that are to be taken.
        complete: names of those that have a checkpoint.
        checkpoint: name of that file, for messages.
        where: the model, for messages.

    Raises:
        RefusedModelError: none is to be taken, or one is named twice or has no checkpoint.
    """
    if not names:
        raise RefusedModelError(f"{where}: no fold has a {checkpoint}; choose another file with --checkpoint")
    if len(set(names)) != len(names):
        raise RefusedModelError(f"--folds {' '.join(names)}: names a fold twice")
    for name in names:
        if name not in complete:
            shown = ", ".join(complete) or "none"
            raise RefusedModelError(f"{where}: fold {name} has no {checkpoint}; folds that have one: {shown}")
