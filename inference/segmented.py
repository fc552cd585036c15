"""What comes out of one case."""

from dataclasses import dataclass, field

from inference.geometry import Box
from inference.planning.plan import InferencePlan
from inference.sliding_window.order import WindowCount
from inference.timing import Timings
from inference.trust.organ_figures import OrganFigures
from model.arrays import U8


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """What came out of one case."""

    labels: U8 = field(repr=False)
    """Label ids (z, y, x) on the volume's own grid, in its stored axis order."""
    plan: InferencePlan
    """How it was run."""
    region: Box
    """What the members looked at, in the orientation in which they did."""
    timings: Timings
    """Seconds of each step."""
    windows: WindowCount
    """Windows run and skipped."""
    host_peak_mb: float
    """Most memory of the whole process since it began, reading included."""
    warnings: tuple[str, ...] = ()
    """What the user should know."""
    organs: tuple[OrganFigures, ...] = ()
    """What was found, structure by structure."""
    is_noise: bool = False
    """Labels are scattered like noise, as a warning says: organs were not looked for in them."""
    doubts: tuple[str, ...] = ()
    """What makes the result doubtful, see `inference.trust.result_doubts`."""
    image_doubts: tuple[str, ...] = ()
    """Those of the warnings that make the image doubtful, see `inference.trust.input_doubts`."""
