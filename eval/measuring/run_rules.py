"""How each challenge runs a container: labels, memory, time limit.

Source: the organisers' programs and rules of FLARE21 to FLARE24; a container that does not end is stopped
after an hour.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from eval.measuring.efficiency_table import LENIENT_MB, LENIENT_S
from model.labels import FLARE21, FLARE22, FLARE23, FLARE24_LESION, LabelSet


@dataclass(frozen=True, kw_only=True)
class RunRules:
    """How the containers of a challenge are run."""

    labels: LabelSet
    """Labels that a label map may hold."""
    lenient_s: float = 0.0
    """Seconds that cost nothing in the ranking."""
    lenient_mb: float = math.inf
    """GPU memory in MiB that costs nothing."""
    memory: str = "28g"
    """Memory limit in docker's notation."""
    limit_s: float = 3600.0
    """Seconds after which a case is stopped."""
    stable_gpu_peak: bool = False
    """Whether a peak of GPU memory must be stable, as in FLARE22."""


_FREE_MB_2022, _FREE_MB_2023 = LENIENT_MB
RUN_RULES: Mapping[str, RunRules] = MappingProxyType(
    {
        "flare21": RunRules(labels=FLARE21),
        "flare22": RunRules(labels=FLARE22, lenient_mb=_FREE_MB_2022, stable_gpu_peak=True),
        "flare23": RunRules(labels=FLARE23, lenient_s=LENIENT_S, lenient_mb=_FREE_MB_2023),
        "flare24-lesion": RunRules(labels=FLARE24_LESION, lenient_s=LENIENT_S, lenient_mb=_FREE_MB_2023),
        "flare24-laptop": RunRules(labels=FLARE22, lenient_s=LENIENT_S, memory="8g"),
    }
)
"""Challenge to how it runs containers."""
