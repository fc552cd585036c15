"""What a user asks for.

Imports nothing heavy: `predict.py` needs it before it knows that there is anything to do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.limits import MOST_GPU_MB

EMBEDDED_BUNDLE = Path(__file__).resolve().parents[1] / "bundles" / "default"
"""The bundle that is used where none is named."""
WRONG_CALL = 2
"""Exit code where nothing can be run or written; see `inference.errors`."""
DicomFormat = Literal["dicom-seg", "rtstruct"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of `predict.py`; each field is the option of the same name."""

    input: Path
    output: Path
    bundle: Path
    device: str = "auto"
    threads: int = 0
    """0: as many as can run at a time, see `inference.limits`."""
    precision: Literal["auto", "fp32"] = "auto"
    host_memory_mb: int | None = None
    """None: what there is, see `inference.limits`."""
    gpu_memory_mb: int = MOST_GPU_MB
    case_timeout_s: float | None = None
    """Seconds after which a case has failed; None: never."""
    plan: bool = False
    """Print what would be done, and stop."""
    skip_existing: bool = False
    format: tuple[DicomFormat, ...] = ()
    """What is written beside the label map."""
    template: Path | None = None
    """The DICOM series that these refer to, where the input is none."""
    series: str | None = None
    """The DICOM series to take in a folder of several, by UID or number; with a template: in its folder.
    None: the longest original of the modality that the bundle expects."""
    report: Path | None = None
    statistics: Path | None = None
    strict_input: bool = False
    debug: bool = False
