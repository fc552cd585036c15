"""Spine, ribs, sternum, pelvis, and the muscles that lie along the spine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.phantom.canvas import Canvas, Field
from training.phantom.frame import FloatArray, Region
from training.phantom.shapes import (
    curve,
    ellipsoid,
    path_bounds,
    profile,
    smooth_max,
    smooth_min,
    superellipse,
    tube,
)
from training.phantom.tissue import Tissues
from training.phantom.torso import CENTRE_Y_MM, HALF_DEPTH_MM, HALF_WIDTH_MM, Torso

# Centres of the vertebral bodies from L5 up to T1, mm
LEVELS_MM = (
    -147.0,
    -111.0,
    -73.0,
    -36.0,
    0.0,
    33.0,
    64.0,
    93.0,
    121.0,
    148.0,
    174.0,
    199.0,
    223.0,
    246.0,
    268.0,
    290.0,
    311.0,
)
_T12 = 5


def spine_block(region: Region) -> FloatArray:
    """Vertebral bodies and psoas as one smooth column: what abdominal organs must go around."""
    bodies = np.hypot(region.x, region.y - np.float32(2)) - np.float32(25)
    return smooth_min(bodies, psoas(region), 8)


def psoas(region: Region) -> FloatArray:
    """Both psoas muscles, from the first lumbar vertebra down into the pelvis."""
    x = profile(region.z, ((-290, 66), (-220, 58), (-130, 42), (-60, 32), (10, 23)))
    y = profile(region.z, ((-290, -62), (-220, -42), (-150, -16), (-60, 2), (10, 6)))
    r = profile(region.z, ((-290, 12), (-220, 17), (-120, 20), (-60, 15), (0, 7), (25, -8)))
    result: FloatArray = np.hypot(np.abs(region.x) - x, (region.y - y) * np.float32(0.9)) - r
    return result


def paint_back(canvas: Canvas, torso: Torso, tissues: Tissues, rng: np.random.Generator) -> None:
    """Psoas, quadratus lumborum, crura of the diaphragm, and the fat planes between the back muscles."""
    frame = canvas.frame
    region = frame.region((-100, -70, -290), (100, 80, 40))
    if not region.empty:
        bulk = np.float32(4 * (torso.habitus.muscle - 1))
        canvas.paint(Field(region, psoas(region) - bulk), tissues["muscle"] + 2)
        x = profile(region.z, ((-140, 70), (10, 46)))
        quadratus = superellipse(
            np.abs(region.x) - x, region.y - np.float32(30), np.full_like(x, 20), np.full_like(x, 9), 2.2
        )
        quadratus = np.maximum(quadratus - bulk, np.maximum(-125 - region.z, region.z - 12))
        canvas.paint(Field(region, quadratus), tissues["muscle"])
        lateral = np.abs(region.x)
        plane = np.abs(region.y - np.float32(38) - lateral * np.float32(0.05)) - np.float32(1.1)
        plane = np.maximum(plane, np.abs(lateral - 52) - 20)
        canvas.paint(Field(region, plane), tissues["fat"] + 20)
    for side in (-1, 1):
        path = curve(
            [
                (side * 6, -30, 78, 3.0),
                (side * 15, -24, 50, 4.5),
                (side * 17, -21, 10, 4.5),
                (side * 13, -21, -45, 2.5),
            ],
            2.0,
        )
        crus = frame.region(*path_bounds(path))
        canvas.paint(Field(crus, tube(frame, crus, path)), tissues["muscle"])
    del rng


def paint_spine(canvas: Canvas, tissues: Tissues, rng: np.random.Generator) -> None:
    """Vertebral bodies with cortex and marrow, discs, canal, arches with their processes, and the sacrum."""
    frame = canvas.frame
    region = frame.region((-48, -28, -200), (48, 82, 325))
    if region.empty:
        return
    index = np.interp(region.z, LEVELS_MM, np.arange(len(LEVELS_MM))).astype(np.float32)
    nearest = np.round(index)
    pitch = profile(region.z, ((-147, 37), (0, 35), (64, 30), (311, 21)))
    offset = (index - nearest) * pitch
    size = profile(region.z, ((-147, 1.12), (0, 1.0), (120, 0.85), (311, 0.62)))
    waist = 1 - np.float32(0.09) * np.clip(1 - (offset / (np.float32(0.36) * pitch)) ** 2, 0, 1)
    column = superellipse(region.x, region.y - np.float32(0), 25 * size, 18.5 * size, 2.3)
    column = np.maximum(column, -165 - region.z)
    canvas.paint(Field(region, column), tissues["disc"])
    radial = superellipse(region.x, region.y, 25 * size * waist, 18.5 * size * waist, 2.3)
    bodies = smooth_max(radial, np.abs(offset) - np.float32(0.385) * pitch, 3)
    bodies = np.maximum(bodies, -166 - region.z)
    arches, canal = _arches(region, offset, pitch, size)
    grain = np.float32(tissues["marrow"]) + np.float32(32) * frame.noise(region, 5, rng)
    canvas.paint(Field(region, arches), tissues["cortical bone"] * 0.9)
    canvas.paint(Field(region, arches + np.float32(2.4)), grain + np.float32(60))
    canvas.paint(Field(region, bodies), tissues["cortical bone"] * 0.75)
    canvas.paint(Field(region, bodies + np.float32(1.5)), grain)
    canvas.paint(Field(region, canal), tissues["fat"] + 70)
    canvas.paint(Field(region, canal + np.float32(2.0)), tissues["canal"])
    _paint_sacrum(canvas, tissues, grain_rng=rng)


def _arches(
    region: Region, offset: FloatArray, pitch: FloatArray, size: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Neural arches with spinous and transverse processes, and the spinal canal."""
    x, y = region.x, region.y
    canal = np.hypot(x * np.float32(0.85), y - 27 * size) - np.float32(8.5)
    side = np.abs(x)
    ring = np.maximum(np.abs(canal - np.float32(3)) - np.float32(2.8), np.float32(16) * size - y)
    ring = np.maximum(ring, np.abs(offset + 4) - np.float32(0.33) * pitch)
    pedicle = np.maximum(
        np.hypot(side - 13 * size, (offset - 5) * np.float32(0.8)) - np.float32(5),
        np.abs(y - 22 * size) - 9 * size,
    )
    spinous = np.maximum(side - np.float32(3.2), np.abs(y - 50 * size) - 17 * size)
    spinous = np.maximum(spinous, np.abs(offset + 9 + (y - 40) * np.float32(0.25)) - np.float32(9))
    transverse = np.hypot(y - (24 + side * np.float32(0.12)), offset - 2) - np.float32(4.2)
    transverse = np.maximum(transverse, np.abs(side - 24) - np.float32(16))
    facet = np.hypot(
        np.hypot(side - 16, y - np.float32(36)), np.maximum(np.abs(np.abs(offset) - 0.5 * pitch) - 6, 0)
    ) - np.float32(6.5)
    bone = smooth_min(smooth_min(ring, pedicle, 3), smooth_min(spinous, transverse, 3), 3)
    bone = np.maximum(np.minimum(bone, facet), -160 - region.z)
    return bone, np.maximum(canal, -250 - region.z)


def _paint_sacrum(canvas: Canvas, tissues: Tissues, grain_rng: np.random.Generator) -> None:
    frame = canvas.frame
    region = frame.region((-65, -20, -290), (65, 85, -150))
    if region.empty:
        return
    depth = profile(region.z, ((-290, 62), (-250, 58), (-200, 34), (-165, 8)))
    width = profile(region.z, ((-290, 10), (-240, 30), (-190, 54), (-165, 50), (-158, 32)))
    sacrum = superellipse(
        region.x, region.y - depth - 6, width, profile(region.z, ((-290, 7), (-200, 17), (-165, 22))), 2.2
    )
    sacrum = smooth_max(sacrum, region.z + 166 + (region.y - depth) * np.float32(0.3), 4)
    canvas.paint(Field(region, sacrum), tissues["cortical bone"] * 0.85)
    canvas.paint(
        Field(region, sacrum + np.float32(2)),
        np.float32(tissues["marrow"]) * 0.8 + 25 * frame.noise(region, 6, grain_rng),
    )


def paint_ribs(canvas: Canvas, tissues: Tissues, rng: np.random.Generator) -> None:
    """Ribs 3 to 12 of both sides, in the wall just outside the cavity, their cartilages and the sternum."""
    frame = canvas.frame
    lengths = {0: 0.36, 1: 0.5}
    slope = float(rng.normal(112, 10))
    for number, start_z in enumerate(LEVELS_MM[_T12 : _T12 + 11]):
        share = lengths.get(number, 0.98)
        drop = slope * (1.0 if number > 1 else 0.8)
        for side in (-1, 1):
            path = _rib_path(side, start_z + 6, share, drop)
            bony = path if number < 2 else path[: int(len(path) * 0.78)]
            for part, tissue in ((path, "cartilage"), (bony, "rib")):
                region = frame.region(*path_bounds(part, (1, 1, 1.5)))
                if region.empty:
                    continue
                field = tube(frame, region, part, (0.85, 0.85, 1.35))
                canvas.paint(
                    Field(region, field),
                    tissues["cartilage"] if tissue == "cartilage" else tissues["cortical bone"] * 0.8,
                )
                if tissue == "rib":
                    canvas.paint(Field(region, field + np.float32(1.7)), tissues["marrow"] * 1.2)
    region = frame.region((-22, -150, 85), (22, -100, 260))
    if not region.empty:
        front = profile(region.z, CENTRE_Y_MM) - profile(region.z, HALF_DEPTH_MM) - 6
        sternum = superellipse(
            region.x, region.y - front, np.full_like(front, 17), np.full_like(front, 6), 2.5
        )
        sternum = np.maximum(sternum, np.maximum(92 - region.z, region.z - 250))
        canvas.paint(Field(region, sternum), tissues["cortical bone"] * 0.6)
        canvas.paint(Field(region, sternum + np.float32(1.6)), tissues["marrow"])


def _rib_path(side: int, start_z: float, share: float, drop: float) -> npt.NDArray[np.float64]:
    """From the vertebra around the chest; rows (x, y, z, radius) in mm."""
    turn = np.linspace(0.0, share, 26)
    angle = np.pi * (0.40 - 0.86 * turn)
    along = np.clip(turn, 0, 1)
    z = start_z - drop * along**0.8 + np.where(turn > 0.78, (turn - 0.78) * 130, 0)
    half_x, half_y, centre = (
        profile(z, HALF_WIDTH_MM) + 6,
        profile(z, HALF_DEPTH_MM) + 6,
        profile(z, CENTRE_Y_MM),
    )
    x = side * half_x * np.abs(np.cos(angle)) ** 0.85
    y = centre + half_y * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.9
    ring = np.stack([x, y, z, np.full_like(x, 5.2)], axis=1)
    head = np.array([[side * 20.0, 14.0, start_z + 14, 4.0], [side * 32.0, 30.0, start_z + 10, 4.0]])
    return curve(np.concatenate([head, ring]), 2.0)


def paint_pelvis(canvas: Canvas, torso: Torso, tissues: Tissues) -> None:
    """Iliac wings along the pelvic wall, and the heads of the femurs."""
    frame = canvas.frame
    region = frame.region((-150, -130, -300), (150, 75, -90))
    if region.empty:
        return
    cavity = torso.cavity[region.slices]
    crest = -106 - ((region.y + np.float32(12)) / 66) ** 2 * 42
    wing = np.abs(cavity - np.float32(11)) - profile(region.y, ((-100, 3.2), (20, 4.5), (50, 7)))
    wing = smooth_max(wing, region.z - crest, 4)
    wing = smooth_max(wing, np.float32(42) - np.abs(region.x), 4)
    wing = smooth_max(
        wing, np.maximum(-(region.y + 98) - np.clip((region.z + 240), -60, 0), -290 - region.z), 4
    )
    canvas.paint(Field(region, wing), tissues["cortical bone"])
    canvas.paint(Field(region, wing + np.float32(1.8)), tissues["marrow"] * 1.1)
    for side in (-1, 1):
        head = ellipsoid(region, (side * 96, -40, -268), (24, 24, 24))
        neck = curve([(side * 96, -40, -268, 15), (side * 125, -22, -285, 15), (side * 138, -8, -310, 18)], 4)
        femur = smooth_min(head, tube(frame, region, neck), 6)
        ring = curve(
            [
                (side * 8, -112, -292, 7),
                (side * 45, -98, -278, 8),
                (side * 74, -66, -262, 13),
                (side * 78, -20, -262, 13),
            ],
            3,
        )
        for bone in (tube(frame, region, ring), femur):
            canvas.paint(Field(region, bone), tissues["cortical bone"])
            canvas.paint(Field(region, bone + np.float32(2)), tissues["marrow"] * 1.4)


def paint_hip_planes(canvas: Canvas, torso: Torso, tissues: Tissues, rng: np.random.Generator) -> None:
    """Fat between the layers of the buttock muscles."""
    region = canvas.frame.region((-175, -70, -310), (175, 110, -125))
    if region.empty:
        return
    depth = torso.cavity[region.slices] + np.float32(6) * canvas.frame.noise(region, 60, rng)
    planes = np.minimum(
        np.abs(depth - np.float32(27)) - np.float32(1.0), np.abs(depth - np.float32(40)) - np.float32(1.2)
    )
    planes = smooth_max(
        planes, np.maximum(-40 - region.y - np.abs(region.x) * np.float32(0.2), region.z + 130), 3
    )
    planes = np.maximum(
        planes, np.maximum(np.float32(28) - np.abs(region.x), torso.muscle[region.slices] + 3)
    )
    gaps = np.float32(3) * (np.float32(rng.normal(0, 0.5)) - canvas.frame.noise(region, 50, rng))
    canvas.paint(Field(region, np.maximum(planes, gaps)), tissues["fat"])
