"""Which processor this is: the order of sums depends on it, and golden numbers on that."""

from pathlib import Path

_CPU = Path("/proc/cpuinfo")
_INFO = _CPU.read_text(encoding="utf-8") if _CPU.exists() else ""

AS_GOLDEN = " avx512f " in _INFO and "GenuineIntel" in _INFO
"""Whether it sums as the one that made the golden files: libraries go by instructions, and by the maker."""
