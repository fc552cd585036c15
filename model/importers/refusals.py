"""What importers refuse."""


class RefusedModelError(ValueError):
    """A model cannot become a bundle that gives the same labels. The message is one line for the user."""
