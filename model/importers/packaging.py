"""What an importer is told beside the model itself."""

from dataclasses import dataclass

from model.manifest.document import Provenance
from model.onnx_export.revision import git_revision

NOT_STATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class Packaging:
    """How a bundle is written, and what nobody but its maker knows."""

    name: str | None = None
    """Name of the bundle; None for the folder's."""
    licence: str | None = None
    """Licence of the weights; None for what the model says of itself."""
    intended_use: str = "Research only; not a medical device."
    """What it is for, and what not."""
    fp16: bool = True
    """Whether each member has a second file that computes in fp16."""
    half_weights: bool = False
    """Whether weights are rounded to half floats, which halves the files and may turn near-ties."""
    any_window: bool = False
    """Whether files take windows of any size, which the manifest then may ask for; members use their own."""
    overwrite: bool = False
    """Replace a bundle that is already there."""

    def provenance(self, recipe: str, *, data: str = NOT_STATED, licence: str | None = None) -> Provenance:
        """Where the model comes from.

        Args:
            recipe: how it was trained, or what it was imported from.
            data: what it was trained on.
            licence: what the model says of itself, which the user's word outweighs.
        """
        return Provenance(
            recipe=recipe,
            git_revision=git_revision(),
            data=data,
            licence=self.licence or licence or NOT_STATED,
            intended_use=self.intended_use,
        )
