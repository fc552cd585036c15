"""Which processor this is: the order of sums depends on it, and golden numbers on that."""

from pathlib import Path

_CPU = Path("/proc/cpuinfo")
_INFO = _CPU.read_text(encoding="utf-8") if _CPU.exists() else ""

MAKERS = ("GenuineIntel", "AuthenticAMD")
MAKER = next((maker for maker in MAKERS if maker in _INFO), "")
"""Maker of this processor; empty for others."""
AS_GOLDEN = " avx512f " in _INFO and MAKER == "GenuineIntel"
"""Whether it sums as the one that made the golden labels: libraries go by instructions, and by the maker."""
