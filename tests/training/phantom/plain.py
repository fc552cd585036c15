"""A patient who lies straight: scanner millimetres are canonical millimetres."""

import numpy as np

from training.phantom.canvas import Canvas
from training.phantom.frame import Frame, Pose


def plain_pose(**fields) -> Pose:
    """No rotation, no warp, the canonical size."""
    nothing = np.zeros((1, 3))
    return Pose(
        **{
            "size_xyz": (1.0, 1.0, 1.0),
            "rotation": np.eye(3),
            "waves": nothing,
            "phases": nothing,
            "amplitudes_mm": nothing,
        }
        | fields
    )


def plain_frame(half_mm: float = 40.0, step_mm: float = 2.0, pose: Pose | None = None) -> Frame:
    """A cube around the canonical origin; its middle point is the origin."""
    count = int(2 * half_mm / step_mm) + 1
    origin = np.full(3, -half_mm)
    shape = (count, count, count)
    return Frame(pose=pose or plain_pose(), origin_xyz_mm=origin, step_mm=step_mm, shape=shape)


def plain_canvas(half_mm: float = 40.0, spacing_mm: float = 2.0) -> Canvas:
    """Voxels that lie on the points of `plain_frame`."""
    frame = plain_frame(half_mm, spacing_mm)
    spacing = (spacing_mm,) * 3
    return Canvas(
        frame=frame,
        shape=frame.shape,
        spacing_zyx_mm=spacing,
        blur_zyx_mm=spacing,
        offset_zyx_mm=(0.0, 0.0, 0.0),
    )
