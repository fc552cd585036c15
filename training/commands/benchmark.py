"""Measure training: a recipe beside its accelerated form, or how fast patches are varied.

See `benchmark accelerated --help` and `benchmark augmentation --help`.

exit codes: 0 measured; 1 data or a checkpoint are not usable; 2 wrong call or recipe
"""

from training.commands import benchmark_accelerated, benchmark_augmentation

PARTS = {"accelerated": benchmark_accelerated, "augmentation": benchmark_augmentation}
