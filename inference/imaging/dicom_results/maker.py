"""What made a DICOM result, and what is to be known of it, as it stands in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.case_names import printable

LO, ST = 64, 1024
"""Characters that a short and a long text of DICOM hold."""
CUT = "..."
USE = "research, not for diagnosis"
DOUBTFUL, DOUBTFUL_IMAGE = "DOUBTFUL", "DOUBTFUL IMAGE"
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
class Told:
    """What the user is told of a case, and whoever reads an object of it is to know as well."""

    doubts: tuple[str, ...] = ()
    """What makes the result doubtful."""
    image_doubts: tuple[str, ...] = ()
    """What makes the image doubtful that it was made from."""
    warnings: tuple[str, ...] = ()
    """All warnings; those of `image_doubts` may be among them."""


NOTHING = Told()


@dataclass(frozen=True, kw_only=True)
class Maker:
    """The program and the bundle, and what they say of the result at hand."""

    program: str
    version: str
    """Of the program."""
    bundle: str
    """Name of the bundle."""
    bundle_version: str
    """What tells releases of the bundle apart."""
    manifest_sha256: str
    """Of the manifest, which holds the hashes of all networks."""
    told: Told = NOTHING
    """Of the result at hand."""

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
        mark = DOUBTFUL if self.told.doubts else DOUBTFUL_IMAGE if self.told.image_doubts else ""
        said = f"{self.program} {kind}{mark and f', {mark}'}, {USE}"
        full = f"{said}: {self.bundle}"
        return as_lo(full if len(full) <= LO else said)

    def remark(self, length: int) -> str:
        """What it is for, what makes it doubtful and what was warned of, in so many characters."""
        told = self.told
        others = [warning for warning in told.warnings if warning not in told.image_doubts]
        doubts = [*_part(DOUBTFUL, told.doubts), *_part(DOUBTFUL_IMAGE, told.image_doubts)]
        # Where there is room for little, the doubts are what the reader does not know.
        parts = doubts if length <= LO else [*doubts, *_part("Warned of", others)]
        if not parts:
            return f"{USE.capitalize()}."
        said = ". ".join(parts if length <= LO else [USE.capitalize(), *parts])
        return said if len(said) <= length else said[: length - len(CUT)] + CUT


def _part(heading: str, sentences: Sequence[str]) -> list[str]:
    """Sentences behind a heading; nothing where there are none."""
    return [f"{heading}: {printable('; '.join(sentences)).translate(SPELLED)}"] if sentences else []
