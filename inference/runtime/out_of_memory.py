"""What the libraries say when memory ran out or a network is faulty, made out from their messages."""

import re

OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate memory",
    "available memory of",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
)
"""In messages of CUDA, onnxruntime's arena, cuDNN and cuBLAS, the C++ library."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of one of the libraries says that memory ran out; they have no class for it."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY)


SOURCE_LINE = re.compile(r"(Exception from|Check '.*' failed at) \S+\.(cpp|hpp|cc|h):\d+:?\s*")
"""What OpenVINO puts in front of its reasons: where in its own source they arose."""


def first_line(error: Exception) -> str:
    """The first line of an error that says anything to a user; the name of its class where none does."""
    lines = (SOURCE_LINE.sub("", line).strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
