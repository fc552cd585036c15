"""Which DICOM objects stand beside a label map that is written next."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ObjectsWritten:
    """What became of the objects of a label map."""

    kinds: tuple[str, ...] = ()
    """`dicom-seg` or `rtstruct`; none where there is nothing to write."""
    warnings: tuple[str, ...] = ()
