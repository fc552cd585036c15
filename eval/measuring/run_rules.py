"""How each challenge runs a container: labels, memory, time limit.

Source: the organisers' programs and rules of FLARE21 to FLARE24; a container that does not end is stopped
after an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from model.labels import FLARE21, FLARE22, FLARE23, FLARE24_LESION, LabelSet


@dataclass(frozen=True, kw_only=True)
class RunRules:
    """How the containers of a challenge are run."""

    labels: LabelSet
    """Labels that a label map may hold."""
    ranking: str
    """Name of the challenge's ranking rules, which hold its tolerances."""
    memory: str = "28g"
    """Memory limit in docker's notation."""
    limit_s: float = 3600.0
    """Seconds after which a case is stopped."""
    stable_gpu_peak: bool = False
    """Whether a peak of GPU memory must be stable, as in FLARE22."""


RUN_RULES: Mapping[str, RunRules] = MappingProxyType(
    {
        "flare21": RunRules(labels=FLARE21, ranking="flare21"),
        "flare22": RunRules(labels=FLARE22, ranking="flare22", stable_gpu_peak=True),
        "flare23": RunRules(labels=FLARE23, ranking="flare23"),
        "flare24-lesion": RunRules(labels=FLARE24_LESION, ranking="flare24-lesion"),
        "flare24-laptop": RunRules(labels=FLARE22, ranking="flare24-laptop", memory="8g"),
    }
)
"""Challenge to how it runs containers."""
