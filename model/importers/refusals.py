"""What importers refuse."""

from model.model_errors import ModelError


class RefusedModelError(ModelError):
    """A model cannot become a bundle that gives the same labels. The message is one line for the user."""
