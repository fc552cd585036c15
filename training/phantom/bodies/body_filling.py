"""Hounsfield units for every voxel of a deformed body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.phantom.bodies.body import Body
from training.phantom.bodies.shape import Shape
from training.phantom.bodies.structures import BONE_SHELL, hu_of
from training.phantom.frame import FloatArray, Frame
from training.phantom.tissue import Tissues

_GAS_HU = -970.0
_SKIN_MM = 2.0
_FOLDS_MM = 2.0
"""By how much fat under the skin gets thicker and thinner within some centimetres, about."""
_NOISE_SCALES_MM = (8.0, 15.0, 26.0, 50.0)


@dataclass(frozen=True)
class Deformed:
    """A body on the frame of a scan. Arrays are (z, y, x)."""

    structures: npt.NDArray[np.uint8]
    """Structure ids of the body."""
    depth_mm: FloatArray
    """How deep a voxel lies in its structure."""
    hull_mm: FloatArray
    """Signed distance to the trunk that the structures span."""
    canonical_z_mm: FloatArray
    """Height over the first lumbar vertebra, in the body's own millimetres."""


class Painter:
    """Fills one patient; methods are called in order, later ones cover earlier ones."""

    def __init__(
        self,
        frame: Frame,
        body: Body,
        deformed: Deformed,
        shape: Shape,
        tissues: Tissues,
        rng: np.random.Generator,
        *,
        stomach_is_empty: bool = False,
    ) -> None:
        self.stomach_is_empty = stomach_is_empty
        self.frame, self.body, self.deformed = frame, body, deformed
        self.shape, self.tissues, self.rng = shape, tissues, rng
        self.image = np.full(frame.shape, -1000.0, dtype=np.float32)
        self._whole = frame.whole()
        self._fields: dict[float, list[Any]] = {}

    def paint(self) -> FloatArray:
        """The patient in HU, without table, noise and blur."""
        self._trunk()
        table = np.zeros(256, dtype=np.float32)
        for structure, index in self.body.ids.items():
            table[index] = hu_of(structure, self.tissues)
        inside = self.deformed.structures > 0
        self.image[inside] = table[self.deformed.structures[inside]]
        self._muscles()
        self._bones()
        self._lungs()
        self._vessels_and_heart()
        self._parenchyma()
        self._hollow_organs()
        return self.image

    def _noise(self, wavelength_mm: float) -> FloatArray:
        """A smooth random field, with features of about that size.

        Drawing fields takes most of a case's time: one of each scale is drawn and then mirrored, another way
        each time.
        """
        scale = min(_NOISE_SCALES_MM, key=lambda s: abs(s - wavelength_mm))
        if scale not in self._fields:
            self._fields[scale] = [0, self.frame.noise(self._whole, scale, self.rng)]
        turn, field = self._fields[scale]
        self._fields[scale][0] = turn + 1
        mirror = tuple(slice(None, None, -1 if turn >> axis & 1 else 1) for axis in range(3))
        return np.asarray(field[mirror])

    def _mask(self, *starts: str) -> npt.NDArray[np.bool_]:
        return np.isin(self.deformed.structures, self.body.of(*starts))

    def _trunk(self) -> None:
        """Skin, fat, the muscle wall, and what lies between structures."""
        shape, tissues, rng = self.shape, self.tissues, self.rng
        hull, z = self.deformed.hull_mm, self.deformed.canonical_z_mm
        coarse, fine, medium = self._noise(60), self._noise(8), self._noise(22)
        # Fat is thicker at the back and on the hips than over the ribs.
        y = self._whole.y
        fat = np.float32(shape.fat_mm) * np.interp(z, [-250, -60, 60, 200], [1.3, 1.1, 0.7, 0.6]).astype("f4")
        folds = np.float32(min(0.25, _FOLDS_MM / shape.fat_mm))
        fat *= np.clip(1 + folds * coarse + np.float32(0.3) * np.clip(y / 90, -1, 1), 0.3, 2.2)
        wall = np.float32(shape.wall_mm) * np.clip(1 + np.float32(0.35) * medium, 0.3, 2)
        # Where muscle is thin there is more fat: the skin is smooth.
        skin = hull - np.float32(shape.wall_mm) - fat - np.float32(_SKIN_MM)
        self.skin_mm = skin
        fat_hu = np.float32(tissues["fat"]) + np.float32(5) * fine
        muscle_hu = np.float32(tissues["muscle"]) - np.clip(np.float32(rng.uniform(3, 14)) * fine, -4, 50)
        image = self.image
        image[skin < 0] = tissues["skin"]
        under = skin < -_SKIN_MM
        image[under] = fat_hu[under]
        muscle = (hull < wall) & under
        image[muscle] = muscle_hu[muscle]
        # The flank's muscles are layers with seams of fat.
        seam = muscle & (np.abs(hull - wall / 2) < 1.0) & (coarse > rng.normal(0.2, 0.5))
        image[seam] = tissues["fat"] + 20
        # Between the structures: fat, crossed by mesentery and fascia, and in the thighs and buttocks muscle.
        cavity = hull < -np.float32(rng.uniform(2, 7))
        image[cavity] = fat_hu[cavity]
        low, high = np.quantile(medium, [0.02, 0.98])
        soft_below = low + (high - low) * (0.15 + 0.7 * shape.soft_share)
        soft = cavity & (medium + np.float32(0.5) * fine < soft_below)
        soft_hu = np.float32(rng.uniform(10, 45)) + np.float32(14) * fine
        image[soft] = soft_hu[soft]
        legs = (z < -170 - np.float32(20) * coarse) & (hull < wall) & (np.abs(self._whole.x) > 62)
        legs |= (z < -235) & (hull < wall)
        legs &= medium + fine * np.float32(0.4) < rng.uniform(0.7, 1.3)
        image[legs] = muscle_hu[legs]
        strands = (fine > 1.2) & cavity
        image[strands] += np.float32(rng.uniform(15, 50))
        # Vessels of the mesentery: tubes of 1 to 2 mm, where two fields cross zero.
        vessels = np.hypot(self._noise(26), self._noise(26)) < np.float32(rng.uniform(0.1, 0.3))
        vessels &= cavity
        image[vessels] = tissues["portal vein"]

    def _muscles(self) -> None:
        muscles = self._mask("autochthon", "diaphragm", "gluteus", "iliopsoas", "quadratus")
        marbling = np.clip(np.float32(self.rng.uniform(4, 20)) * (self._noise(9) - np.float32(0.4)), -4, 90)
        self.image[muscles] = np.float32(self.tissues["muscle"]) - marbling[muscles]

    def _bones(self) -> None:
        """A dense shell around spongy marrow."""
        depth = self.deformed.depth_mm
        shell = np.clip(1 - (depth - np.float32(0.6)) / np.float32(1.8), 0, 1)
        texture = np.float32(25) * self._noise(7)
        for start, density in BONE_SHELL.items():
            bone = self._mask(start)
            if not bone.any():
                continue
            long_bone = start in ("femur", "humerus")
            core = np.float32(self.tissues["marrow"] * (0.4 if long_bone else 1.0)) + texture[bone]
            cortex = np.float32(self.tissues["cortical bone"] * density)
            self.image[bone] = core + shell[bone] * (cortex - core)

    def _lungs(self) -> None:
        lungs = self._mask("lung")
        if not lungs.any():
            return
        hu = np.float32(self.tissues["lung"]) + np.float32(22) * self._noise(35)
        hu += np.clip(self._whole.y, -90, 60) * np.float32(self.rng.uniform(0.1, 0.9))
        self.image[lungs] = hu[lungs]
        branches = np.hypot(self._noise(26), self._noise(26)) < np.float32(self.rng.uniform(0.08, 0.17))
        branches &= lungs & (self.deformed.depth_mm > 3)
        self.image[branches] = self.tissues["portal vein"] * 0.9

    def _vessels_and_heart(self) -> None:
        depth, rng = self.deformed.depth_mm, self.rng
        chambers = self._mask("heart") & (depth + np.float32(4) * self._noise(40) > rng.uniform(6, 12))
        self.image[chambers] = self.tissues["heart"]
        cava = self._mask("inferior_vena_cava")
        # Below the kidneys the vein fills late.
        late = np.clip((-5 - self.deformed.canonical_z_mm) / 40, 0, 1) * np.float32(rng.uniform(0, 55))
        if self.tissues.phase != "unenhanced":
            mixed = np.float32(self.tissues["cava"]) - late + np.float32(rng.uniform(0, 14)) * self._noise(14)
            self.image[cava] = mixed[cava]
        if rng.random() < 0.35:
            plaque = (
                self._mask("aorta", "iliac_artery") & (depth < 1.6) & (self._noise(9) > rng.uniform(1.3, 2))
            )
            self.image[plaque] = rng.uniform(350, 900)

    def _parenchyma(self) -> None:
        """Mottle of all organs, vessels in the liver, medulla in the kidneys, clefts in the pancreas."""
        depth, rng, image, tissues = self.deformed.depth_mm, self.rng, self.image, self.tissues
        fine, patchy = self._noise(14), self._noise(45)
        soft = self._mask("liver", "spleen", "pancreas", "adrenal", "kidney", "thyroid", "prostate")
        image[soft] += (
            np.float32(rng.uniform(1, 4)) * fine[soft] + np.float32(rng.uniform(0, 6)) * patchy[soft]
        )
        liver = self._mask("liver")
        twigs = np.hypot(self._noise(34), self._noise(34)) < np.float32(rng.uniform(0.07, 0.16))
        twigs &= liver & (depth > 5)
        image[twigs] = tissues["portal vein"] * 0.8 + tissues["liver"] * 0.2
        small = np.hypot(self._noise(18), self._noise(18)) < np.float32(0.07)
        small &= liver & (depth > 4)
        image[small] = tissues["portal vein"] * 0.4 + tissues["liver"] * 0.6
        if tissues.phase == "arterial":
            spleen = self._mask("spleen")
            image[spleen] += np.float32(rng.uniform(5, 28)) * fine[spleen]
        kidney = self._mask("kidney_left", "kidney_right")
        medulla = kidney & (depth > 5) & (self._noise(16) > rng.uniform(-0.5, 0.3))
        image[medulla] = tissues["renal medulla"]
        pelvis = kidney & (depth > rng.uniform(9, 14))
        image[pelvis] = rng.choice([tissues["fat"] + 30, tissues["renal pelvis"]])
        pancreas = self._mask("pancreas")
        clefts = pancreas & (self._noise(7) > 0.9)
        image[clefts] -= np.float32(rng.uniform(5, 80))
        # Lobules with fat between them.
        uneven = np.float32(0.3 * max(0.0, tissues["muscle"] - tissues["pancreas"])) * self._noise(8)
        image[pancreas] += uneven[pancreas]

    def _hollow_organs(self) -> None:
        """Wall and content of the bowel, which differs from stretch to stretch; gas lies in front."""
        rng, tissues = self.rng, self.tissues
        oral = float(rng.uniform(120, 420)) if rng.random() < 0.2 else None
        for structure, wall_mm, gas, stool in (
            ("colon", 2.0, rng.uniform(0.2, 0.6), 0.6),
            ("small_bowel", 1.8, rng.uniform(0.0, 0.15), 0.0),
            ("stomach", rng.uniform(2.5, 5), rng.uniform(0.0, 0.7), rng.uniform(0, 1)),
            ("duodenum", 2.4, rng.uniform(0.0, 0.25), 0.0),
        ):
            self._fill(structure, wall_mm, gas, stool, oral if rng.random() < 0.7 else None)
        if self.stomach_is_empty:
            self._folds_of_stomach()
        esophagus = self._mask("esophagus") & (self.deformed.depth_mm > 3)
        esophagus &= self._noise(30) > rng.uniform(-0.5, 1.5)
        self.image[esophagus] = _GAS_HU
        wall = self._mask("gallbladder") & (self.deformed.depth_mm < 1.2)
        self.image[wall] = tissues["gallbladder wall"]
        bladder = self._mask("urinary_bladder") & (self.deformed.depth_mm < 2.5)
        self.image[bladder] = tissues["bowel wall"]

    def _fill(self, structure: str, wall_mm: float, gas: float, stool: float, oral_hu: float | None) -> None:
        organ = self._mask(structure)
        if not organ.any():
            return
        depth, rng, image = self.deformed.depth_mm, self.rng, self.image
        folds = wall_mm * np.clip(1 + np.float32(0.4) * self._noise(10), 0.3, 2)
        lumen = organ & (depth > folds)
        long_wave, texture = self._noise(55), self._noise(7)
        fluid = np.float32(self.tissues["fluid"] + rng.normal(6, 10)) + np.float32(3) * texture
        image[lumen] = fluid[lumen]
        collapsed = lumen & (long_wave < np.float32(-0.4 if structure != "stomach" else -2))
        image[collapsed] = self.tissues["bowel wall"] - 8
        if structure == "small_bowel":
            self._loops(organ, lumen)
        if oral_hu is not None:
            held = lumen & (long_wave > rng.normal(0, 0.5)) & ~collapsed
            image[held] = oral_hu + (30 * texture)[held]
        if rng.random() < stool:
            held = lumen & (self._noise(55) > rng.normal(-0.3, 0.3))
            food = np.where(texture > 0.8, np.float32(rng.uniform(-700, -150)), 30 + np.float32(28) * texture)
            image[held] = food[held]
        if gas > 0:
            # The level of gas is flat over a stretch of bowel: the front part of it, or all.
            y = self._whole.y
            front, rear = np.quantile(y[lumen], [0.02, 0.98]) if lumen.any() else (0.0, 0.0)
            level = front + (rear - front) * gas + 25 * long_wave
            held = lumen & (y < level) & (depth > wall_mm)
            image[held] = _GAS_HU

    def _folds_of_stomach(self) -> None:
        """Folds of mucosa in an empty stomach, with some fluid between them, and gas in front."""
        rng, texture = self.rng, self._noise(9)
        stomach = self._mask("stomach")
        folds = np.float32(self.tissues["stomach wall"]) + np.float32(rng.uniform(4, 22)) * texture
        shown = stomach & (self.image > _GAS_HU / 2)
        self.image[shown] = folds[shown]
        between = shown & (self.deformed.depth_mm > 4) & (self._noise(14) > np.float32(rng.uniform(0.3, 1.5)))
        self.image[between] = self.tissues["fluid"]

    def _loops(self, organ: npt.NDArray[np.bool_], lumen: npt.NDArray[np.bool_]) -> None:
        """Loops of 20 to 30 mm in what the map holds as one mass: some empty, with feathery folds."""
        rng, wall_hu = self.rng, np.float32(self.tissues["bowel wall"])
        loops = self._noise(26)
        empty = lumen & (loops > np.float32(rng.normal(0, 0.4)))
        folds = wall_hu + np.float32(rng.uniform(-12, 25)) + np.float32(rng.uniform(4, 16)) * self._noise(8)
        self.image[empty] = folds[empty]
        between = organ & (np.abs(loops) < np.float32(rng.uniform(0.08, 0.2)))
        self.image[between] = wall_hu
        # Fat of the mesentery reaches between some loops.
        cleft = organ & (np.abs(self._noise(26)) < np.float32(rng.uniform(0, 0.1)))
        self.image[cleft] = self.tissues["fat"] + 30
