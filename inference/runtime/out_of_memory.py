"""What the libraries say when memory ran out; they have no class of exceptions for it."""

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


def first_line(error: Exception) -> str:
    """The first line of an error that says anything; the name of its class where none does."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
