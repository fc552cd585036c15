"""How a network is to run."""

from dataclasses import dataclass

from model.manifest.network import Precision


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is to run."""

    input_shape: tuple[int, ...]
    """Shape of what it will be given: (1, channels, *window in the network's own axis order)."""
    threads: int = 0
    """CPU threads; 0 leaves the number to the library."""
    precision: Precision = "fp32"
    """Lowest precision that the result allows (`Network.precision`)."""
    gpu: int = 0
    """Number of the GPU, where it runs on one."""
    gpu_limit_mb: int = 0
    """Most GPU memory in MiB that this network's arena may take, the CUDA context not counted; 0 for no
    limit."""
    tight: bool = False
    """Take convolutions that need little working memory rather than the fastest."""
