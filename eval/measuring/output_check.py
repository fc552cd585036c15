"""Whether what a container has written is a label map of its image, and what lies there if it is not."""

from pathlib import Path

from eval.eval_errors import JudgingError
from eval.image_files import read_image, stored_size
from eval.label_sets import foreign_label
from eval.measuring.efficiency import Status
from eval.scoring.metrics import label_boxes
from eval.volumes import grid_difference, read_labels, size_difference
from model.labels import LabelSet
from model.organ_counts import listed

MOST_NAMED = 3
"""Files that are named where a label map is missing."""


def judge_output(output: Path, image: Path, labels: LabelSet) -> tuple[Status, str]:
    """Check that a label map exists, lies on its image's grid and holds only labels of the set."""
    if output.is_symlink() or not output.is_file():
        return Status.NO_OUTPUT, _what_is_there(output)
    try:
        grid = read_image(image)
        # Of a submission's file no voxel is read before its size fits: its header may state any.
        difference = size_difference(stored_size(output), grid.GetSize())
        if not difference:
            written = read_labels(output)
            difference = grid_difference(written.grid, grid)
    except JudgingError as error:
        return Status.INVALID_OUTPUT, str(error).replace(f"{output}", f"outputs/{output.name}")
    if difference:
        return Status.INVALID_OUTPUT, f"the label map is not on the image's grid: {difference}"
    wrong = foreign_label(label_boxes(written.labels), labels)
    return (Status.INVALID_OUTPUT, wrong) if wrong else (Status.OK, "")


def _what_is_there(output: Path) -> str:
    """That a label map is missing, and what lies in its place or beside it."""
    place = f"outputs/{output.name}"
    if output.is_symlink():
        return f"{place} is a link, must be a file"
    if output.exists():
        return f"{place} is {'a folder' if output.is_dir() else 'a special file'}, must be a file"
    others = sorted(path.name for path in output.parent.iterdir())
    return f"there is no {place}" + (f", but {listed(others, MOST_NAMED)}" if others else "")
