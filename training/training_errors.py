"""What can go wrong in training through no fault of the program.

ValueError
 └─ TrainingError     one line for the user; exit code 1
     ├─ RecipeError      a recipe is missing or faulty; exit code 2
     ├─ PlanError        a plan or what it is given is missing or faulty; exit code 2
     ├─ BusyError        another program works in the folder of results; exit code 2
     ├─ DataError        a data-set folder is missing, incomplete or unreadable
     │   └─ NoDataError        nothing is where the call says; exit code 2
     ├─ CheckpointError  a checkpoint is missing, damaged, or belongs to another network or run
     │   └─ NoCheckpointError  nothing is where the call says; exit code 2
     ├─ WriteError       a file of results cannot be written
     └─ ExportError      a network cannot be exported, or its ONNX file disagrees with torch
"""


class TrainingError(ValueError):
    """Base of all errors whose message is one line for the user."""


class RecipeError(TrainingError):
    """A recipe is missing or faulty; the message names the field."""


class PlanError(TrainingError):
    """A plan, or what it is given, is missing or faulty; the message names the field."""


class BusyError(TrainingError):
    """Another program works in the folder of results; the message names it."""


class DataError(TrainingError):
    """A data-set folder is missing, incomplete or unreadable."""


class NoDataError(DataError):
    """There is no data set where the call says."""


class CheckpointError(TrainingError):
    """A checkpoint is missing, damaged, or belongs to another network or run."""


class NoCheckpointError(CheckpointError):
    """There is no checkpoint where the call says."""


class WriteError(TrainingError):
    """A file of results cannot be written; the message names it."""


class ExportError(TrainingError):
    """A network cannot be exported, or its ONNX file disagrees with torch."""
