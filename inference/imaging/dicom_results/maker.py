"""What made a DICOM result, and what is to be known of it, as it stands in it."""

from collections.abc import Mapping
from dataclasses import dataclass

from model.case_names import printable

LO, ST = 64, 1024
"""Characters that a short and a long text of DICOM hold."""
CUT = "..."
USE = "research, not for diagnosis"
DOUBTFUL = "DOUBTFUL"
SPELLED: Mapping[int, str] = str.maketrans(
    {"°": " degrees", "×": "x", "−": "-", "–": "-", "…": CUT, "\\": "/"}
)
"""What stands for what a text may not hold, or would hold in UTF-8 alone."""


def as_lo(text: str) -> str:
    r"""A name as a short text of DICOM may hold it: 64 characters, without what would begin another value.

    >>> as_lo("liver\\lesion")
    'liver/lesion'
    """
    return text.replace("\\", "/")[:LO]


@dataclass(frozen=True, kw_only=True)
class Maker:
    """The program and the bundle, and what they doubt."""

    program: str
    version: str
    """Of the program."""
    bundle: str
    """Name of the bundle."""
    bundle_version: str
    """What tells releases of the bundle apart."""
    manifest_sha256: str
    """Of the manifest, which holds the hashes of all networks."""
    doubts: tuple[str, ...] = ()
    """What makes the result at hand doubtful."""

    @property
    def name(self) -> str:
        """Program and bundle."""
        return f"{self.program}: {self.bundle}"

    @property
    def texts(self) -> tuple[str, ...]:
        """All that may have letters beyond ASCII."""
        return self.bundle, self.bundle_version, self.remark(ST)

    def description(self, kind: str) -> str:
        """What a viewer lists, in 64 characters; with the bundle, where there is room.

        Args:
            kind: of object, `SEG` or `RTSTRUCT`.
        """
        said = f"{self.program} {kind}{f', {DOUBTFUL}' if self.doubts else ''}, {USE}"
        full = f"{said}: {self.bundle}"
        return as_lo(full if len(full) <= LO else said)

    def remark(self, length: int) -> str:
        """What it is for and what makes it doubtful, in so many characters."""
        if not self.doubts:
            return f"{USE.capitalize()}."
        text = printable("; ".join(self.doubts).translate(SPELLED))
        # Where there is room for little, the doubts are what the reader does not know.
        said = f"{DOUBTFUL}: {text}" if length <= LO else f"{USE.capitalize()}. {DOUBTFUL}: {text}"
        return said if len(said) <= length else said[: length - len(CUT)] + CUT
