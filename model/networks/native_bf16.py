"""Whether this processor computes in bf16 itself."""

import torch


def computes_bf16() -> bool:
    """Whether it has the instructions; without them torch emulates bf16, many times slower than fp32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
