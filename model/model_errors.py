"""What a user can put right about a model: the message is one line that names the file and the remedy.

ValueError
├── BundleError      a bundle that cannot be used
└── LabelSetError    a label set that is not known, or a file that states none
"""


class BundleError(ValueError):
    """A bundle is missing, its manifest is faulty, or a file was altered."""


class LabelSetError(ValueError):
    """A label set is not known, or its file is faulty."""
