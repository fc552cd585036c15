"""Measure training: a recipe beside its accelerated form, its steps, or how fast patches are varied.

See `benchmark accelerated --help`, `benchmark step --help` and `benchmark augmentation --help`.

exit codes: 0 measured; 1 data or a checkpoint are not usable; 2 wrong call or recipe
"""

from training.commands import benchmark_accelerated, benchmark_augmentation, benchmark_step

PARTS = {"accelerated": benchmark_accelerated, "step": benchmark_step, "augmentation": benchmark_augmentation}
