"""What a user can put right about a model: the message is one line that names the file and the remedy.

LeanSegError             what any part of LeanSeg says of what a user can mend (`inference.errors` has more)
└── ModelError           a ValueError too; its message is printable, whatever a file wrote into it
    ├── FullDiskError    there is no room for a bundle
    ├── BundleError      a bundle that cannot be used
    │   └── NoBundleError   nothing is where the call says
    ├── LabelSetError    a label set that is not known, or a file that states none
    │   ├── NoLabelsError   the file says nothing of labels
    │   └── RegionsError    it states regions, where the ids of label maps are asked for
    └── RefusedModelError   a model that cannot be imported
"""

from model.case_names import printable


class LeanSegError(Exception):
    """Something that the user can mend; the message is one line for them."""

    exit_code = 2
    """Of `predict.py`, where nothing catches it on the way."""


class ModelError(LeanSegError, ValueError):
    """Something is wrong with what the user gave."""

    def __str__(self) -> str:
        """The message; what a file wrote into it, as the name of a field, makes no line of its own."""
        return printable(super().__str__())


class FullDiskError(ModelError):
    """There is no room on a disk; the message names the folder."""


class BundleError(ModelError):
    """A bundle is missing, its manifest is faulty, or a file was altered."""


class NoBundleError(BundleError):
    """There is no bundle where the call says."""


class RefusedModelError(ModelError):
    """A model cannot become a bundle that gives the same labels."""


class LabelSetError(ModelError):
    """A label set is not known, or its file is faulty."""


class NoLabelsError(LabelSetError):
    """A file says nothing of labels, as `dataset.json` may that only lists cases."""


class RegionsError(LabelSetError):
    """A file states regions, where the ids that label maps hold are asked for."""
