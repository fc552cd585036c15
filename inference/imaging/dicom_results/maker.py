"""What made a DICOM result, as it stands in it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Maker:
    """The program and the bundle."""

    program: str
    version: str
    """Of the program."""
    bundle: str
    """Name of the bundle."""
    bundle_version: str
    """What tells releases of the bundle apart."""
    manifest_sha256: str
    """Of the manifest, which holds the hashes of all networks."""

    @property
    def series_description(self) -> str:
        """What a viewer lists: at most 64 characters."""
        return f"{self.program}: {self.bundle}"[:64]
