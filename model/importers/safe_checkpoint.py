"""Checkpoints of other programs, read without running what they hold.

A checkpoint of torch is a pickle, which can name any function of any package. torch's weights-only reader
builds tensors and plain containers and refuses all else but what is listed here: numbers as numpy stores
them, which nnU-Net's training logs hold.
"""

import io
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.importers.foreign_fields import Place
from model.model_errors import RefusedModelError

_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined] # Private, but what every pickle names.
_NUMBERS = (np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8, np.bool_)
FORBIDDEN = re.compile(r"GLOBAL (\S+)")
"""Where torch's refusal says what the checkpoint names."""
HARMLESS = [
    np.dtype,
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),  # as numpy 1 wrote it
    *(type(np.dtype(number)) for number in _NUMBERS),
]
"""What a checkpoint may name beside torch's own: numpy's numbers. None of them runs anything."""


def read_checkpoint(place: Place) -> Mapping[str, Any]:
    """What a checkpoint holds, tensors on the CPU.

    Raises:
        RefusedModelError: it is missing or damaged, or would have to run code to be read.
    """
    try:
        # A zip's entry cannot be mapped, nor sought in cheaply.
        source: Any = place if isinstance(place, Path) else io.BytesIO(place.read_bytes())
        with torch.serialization.safe_globals(HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about how old files were written
            found = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RefusedModelError(f"{place}: is missing") from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise RefusedModelError(
                f"{place}: is TorchScript, a program that would have to be run; give the checkpoint that it "
                "was made of, or export it to ONNX and use `import onnx`"
            ) from error
        raise RefusedModelError(f"{place}: damaged, or no checkpoint of torch") from error
    except pickle.UnpicklingError as error:
        raise RefusedModelError(f"{place}: {_why(error)}") from error
    except Exception as error:  # What torch's unpickler raises on foreign bytes is no closed set.
        raise RefusedModelError(f"{place}: damaged, or no checkpoint of torch") from error
    if not isinstance(found, Mapping):
        raise RefusedModelError(f"{place}: holds no mapping, so no checkpoint that is known here")
    return found


def _why(error: pickle.UnpicklingError) -> str:
    """E.g. `names os.system, which … `; torch says which in the middle of a page of advice."""
    found = FORBIDDEN.search(str(error))
    if found is None:
        return "damaged, or no checkpoint of torch"
    return f"names {found.group(1)}, which is code that would run; save the weights alone and try again"
