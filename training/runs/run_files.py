"""What the files in a run's folder are called."""

from pathlib import Path

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"
KEPT = "step-{:06d}.safetensors"
"""A checkpoint that is kept for good, by the steps done."""


def of_a_run(folder: Path) -> list[Path]:
    """The checkpoints and the log that a run wrote into a folder."""
    named = [folder / name for name in (BEST, LAST, LOG) if (folder / name).exists()]
    return [*named, *kept_checkpoints(folder)]


def kept_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run that are kept for good, in the order of their steps."""
    return sorted(folder.glob("step-*.safetensors"))


def forget_run(folder: Path) -> None:
    """Remove what an earlier run left in a folder: none of it is a result of the next one.

    Whether it may be removed says `refuse_lost_run`.
    """
    for path in of_a_run(folder):
        path.unlink(missing_ok=True)
