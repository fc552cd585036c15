"""The process that unpacks compressed DICOM pixels by GDCM; started by `inference.imaging.formats.unpack`.

It reads paths from its standard input, each after its length, and answers each with a line (`int16 262144`,
or `error` and why) and the values. It ends with its input. Nothing else imports SimpleITK: that takes a
quarter of a second, and hardly a run needs it.
"""

import os
import sys
from typing import Any

import SimpleITK as sitk
from numpy.typing import NDArray

from inference.errors import one_line
from inference.imaging.formats.unpack import LENGTH


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Libraries that print must not write between the answers.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    while length := sys.stdin.buffer.read(LENGTH.size):
        name = sys.stdin.buffer.read(LENGTH.unpack(length)[0])
        try:
            values = _gdcm(os.fsdecode(name))
        except (RuntimeError, ValueError) as error:
            # SimpleITK and ITK put the place in their own source in front.
            told = one_line(error).rpartition("ERROR:")[2].rpartition("): ")[2].strip()[:150]
            answers.write(f"error {told}\n".encode())
        else:
            answers.write(f"{values.dtype.name} {values.size}\n".encode() + values.tobytes())
        answers.flush()


def _gdcm(path: str) -> NDArray[Any]:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(path)
    values: NDArray[Any] = sitk.GetArrayFromImage(reader.Execute())
    return values


if __name__ == "__main__":
    main()
