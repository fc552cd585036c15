"""Where a data set's own files lie: it is given as a folder, or as a datalist (JSON) in one."""

from pathlib import Path

DATASET = "dataset.json"
"""Name of a datalist, of what nnU-Net says of a data set, or of both in one."""
STORE = "store.json"
"""What a folder holds that is a prepared store."""
SPLITS = "splits_final.json"
"""nnU-Net's split into folds, where it lies beside the data."""


def folder_of(data: Path) -> Path:
    """The folder in which label set, annotations, split and fingerprint of a data set lie.

    Args:
        data: a folder, or a datalist in it; need not be there.
    """
    return data.parent if data.is_file() else data


def document_of(data: Path) -> Path:
    """The file that may say what a data set is called and lists: the datalist given, or `dataset.json`.

    Args:
        data: a folder, or a datalist.
    """
    return data if data.is_file() else data / DATASET
