"""What crops hold on their way to the training device."""

BEYOND = -32768
"""What int16 crops hold beyond the image, where network input is 0."""
