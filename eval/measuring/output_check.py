"""Whether what a container has written is a label map of its image, and what lies there if it is not."""

from pathlib import Path

from eval.eval_errors import JudgingError
from eval.label_sets import foreign_label
from eval.measuring.efficiency import Status
from eval.scoring.metrics import label_boxes
from eval.volumes import grid_difference, read_image, read_labels
from model.labels import LabelSet


def judge_output(output: Path, image: Path, labels: LabelSet) -> tuple[Status, str]:
    """Check that a label map exists, lies on its image's grid and holds only labels of the set."""
    if output.is_symlink() or not output.is_file():
        return Status.NO_OUTPUT, f"there is no outputs/{output.name}"
    try:
        written = read_labels(output)
        difference = grid_difference(written.grid, read_image(image))
    except JudgingError as error:
        return Status.INVALID_OUTPUT, str(error).replace(f"{output}", f"outputs/{output.name}")
    if difference:
        return Status.INVALID_OUTPUT, f"the label map is not on the image's grid: {difference}"
    wrong = foreign_label(label_boxes(written.labels), labels)
    return (Status.INVALID_OUTPUT, wrong) if wrong else (Status.OK, "")
