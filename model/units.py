"""Units that all programs count in; numpy, which `model.arrays` needs, is not loaded for them."""

MIB = 1 << 20
"""Bytes of a MiB, the unit of every `_mb`."""
