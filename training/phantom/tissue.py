"""Hounsfield units of tissues for each contrast phase, and their variation between patients."""

from __future__ import annotations

import numpy as np

PHASES = ("unenhanced", "arterial", "portal")

# unenhanced, arterial, portal; then the standard deviation between patients, all HU
_TABLE: dict[str, tuple[float, float, float, float]] = {
    "liver": (55, 68, 108, 9),
    "spleen": (46, 115, 122, 9),
    "pancreas": (38, 95, 90, 12),
    "renal cortex": (33, 175, 185, 14),
    "renal medulla": (30, 75, 165, 12),
    "renal pelvis": (8, 10, 15, 5),
    "adrenal": (25, 65, 68, 10),
    "gallbladder": (8, 8, 9, 5),
    "gallbladder wall": (30, 45, 60, 8),
    "esophagus": (38, 52, 68, 8),
    "stomach wall": (40, 68, 82, 9),
    "bowel wall": (38, 65, 82, 9),
    "aorta": (42, 290, 150, 15),
    "cava": (40, 90, 138, 12),
    "portal vein": (41, 95, 160, 12),
    "hepatic vein": (41, 70, 152, 12),
    "heart": (42, 230, 140, 15),
    "myocardium": (46, 95, 110, 9),
    "muscle": (52, 57, 62, 6),
    "fat": (-105, -104, -102, 6),
    "skin": (20, 25, 30, 10),
    "lung": (-850, -845, -845, 35),
    "disc": (85, 88, 92, 12),
    "marrow": (170, 175, 185, 45),
    "cortical bone": (620, 620, 620, 120),
    "cartilage": (110, 112, 115, 18),
    "canal": (25, 28, 30, 8),
    "fluid": (12, 12, 12, 8),
    "urine": (6, 7, 9, 5),
    "tumor": (38, 55, 65, 16),
    "tumor rim": (42, 110, 105, 18),
    "necrosis": (18, 20, 22, 7),
    "thyroid": (100, 160, 150, 12),
}


class Tissues:
    """The HU of one patient: `tissues["liver"]`."""

    def __init__(self, values: dict[str, float], phase: str) -> None:
        self._values = values
        self.phase = phase

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def changed(self, **values: float) -> Tissues:
        """The same patient with other HU of some tissues."""
        return Tissues({**self._values, **values}, self.phase)


def random_tissues(rng: np.random.Generator, phase: str | None = None) -> Tissues:
    """Draw a phase (unless given), each tissue's HU, and in some patients fatty organs or odd timing.

    Raises:
        ValueError: there is no such phase.
    """
    if phase is not None and phase not in PHASES:
        raise ValueError(f"unknown phase {phase!r}; known: {', '.join(PHASES)}")
    draw = str(rng.choice(PHASES, p=[0.3, 0.2, 0.5]))
    phase = phase or draw
    column = PHASES.index(phase)
    # Injections differ: part of the patients lie between this phase and an earlier one.
    toward = int(rng.integers(0, 3))
    share = float(rng.uniform(0.0, 0.5)) if column > 0 and rng.random() < 0.4 else 0.0
    values = {}
    for name, row in _TABLE.items():
        mean = row[column] * (1 - share) + row[toward] * share
        values[name] = mean + float(rng.normal()) * row[3]
    if rng.random() < 0.15:
        values["liver"] -= float(rng.uniform(15, 45))
    if rng.random() < 0.3:
        values["pancreas"] -= float(rng.uniform(10, 40))
    if rng.random() < 0.12:
        _randomise(values, rng)
    return Tissues(values, phase)


def with_fatty_pancreas(tissues: Tissues, rng: np.random.Generator) -> Tissues:
    """The same patient with fat between the lobules of the pancreas, 20 to 70 % of it.

    One in three adults has some, more with age and weight (Singh et al., Metabolism 2017; 69: 1-13).
    """
    fat = float(rng.uniform(0.2, 0.7))
    return tissues.changed(pancreas=(1 - fat) * tissues["pancreas"] + fat * tissues["fat"])


def _randomise(values: dict[str, float], rng: np.random.Generator) -> None:
    """Shift soft tissues far beyond what patients show, so that no organ is known by its HU alone."""
    for name in values:
        if name not in ("lung", "fat", "cortical bone", "marrow"):
            values[name] += float(rng.normal(0, 25))
