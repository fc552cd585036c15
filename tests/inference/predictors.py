"""A predictor that is fast and foolish, and what it hands back."""

import numpy as np

from inference.geometry import Box
from inference.planning.plan import Budget, InferencePlan
from inference.segmented import Segmented
from inference.sliding_window.order import WindowCount
from inference.timing import Timings

HOST_MB = 1000


def plan_with_room(spare_mb=1000.0):
    """A plan that leaves so many MiB of the host's budget to others."""
    return InferencePlan(
        backend="onnxruntime",
        precisions={},
        groups=(),
        at_once=1,
        tight=False,
        ahead=False,
        keep=False,
        host={"networks": {"all": HOST_MB}},
        gpu={},
        budget=Budget(host_mb=HOST_MB + spare_mb),
    )


def segmented(labels, **changes):
    """What a predictor makes of a case, with these labels."""
    common = {
        "labels": labels,
        "plan": plan_with_room(),
        "region": Box(start_zyx=(0, 0, 0), stop_zyx=labels.shape),
        "timings": Timings(),
        "windows": WindowCount(),
        "host_peak_mb": 1.0,
    }
    return Segmented(**(common | changes))


class Threshold:
    """Labels voxels above 100 with 1; fails on request."""

    def __init__(self, fail=None, warnings=()):
        self.fail = fail or {}
        self.warnings = warnings
        self.seen = []
        self.plans = []
        self.reserved_mb = []
        self.closed = False

    def predict(self, volume, plan=None, timings=None, reserved_mb=0.0):
        self.seen.append(volume.geometry.size_zyx)
        self.reserved_mb.append(reserved_mb)
        self.plans.append(plan)
        if error := self.fail.get(len(self.seen)):
            raise error
        timings = timings or Timings()
        with timings.stage("networks"):
            labels = (volume.array > 100).astype(np.uint8)
        count = WindowCount(run=len(self.seen))
        return segmented(labels, timings=timings, windows=count, warnings=self.warnings)

    def close(self):
        self.closed = True
