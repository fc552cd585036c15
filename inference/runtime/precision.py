"""In which precision a network is computed, judged by the processor alone, before any library is loaded."""

from functools import cache
from pathlib import Path

from inference.runtime.backends import Backend
from model.manifest.network import Precision


def effective_precision(backend: Backend, allowed: Precision) -> Precision:
    """The precision that a backend computes an fp32 file in, where results allow `allowed`.

    It is judged without loading the backend.
    """
    return "bf16" if backend == "openvino" and allowed == "bf16" and _bf16_pays(_processor()) else "fp32"


@cache
def _processor() -> str:
    """What Linux says about the processor; nothing elsewhere, where networks then run in fp32."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _bf16_pays(processor: str) -> bool:
    """Whether bf16 is faster than fp32: with AMX tiles, or AMD's AVX-512.

    Intel's AVX-512 alone has bf16 too, but multiplies no faster with it: an Emerald Rapids whose AMX is
    hidden, as in many virtual machines, took 1.65 times as long in bf16 for three networks.
    """
    words = set(processor.split())
    return "amx_bf16" in words or {"AuthenticAMD", "avx512_bf16"} <= words
