"""DICOM's classes of objects (SOP classes, PS3.4 and PS3.6): which of them hold no image to be read."""

_STORAGE = "1.2.840.10008.5.1.4.1.1"
_DIRECTORY = "1.2.840.10008.1.3.10"
"""A `DICOMDIR`, which lists the files of a disc."""
_WITHOUT_IMAGE = {
    "9",  # waveforms
    "11",  # presentation states
    "66",  # raw data, registrations, segmentations (SEG), surfaces, tracts
    "67",  # real world values
    "68",  # scans of a surface
    "88",  # reports (SR), key objects (KO)
    "104",  # encapsulated documents
    "481",  # radiotherapy: plans, structure sets (RTSTRUCT), doses (RTDOSE)
}
"""Families of storage classes. A segmentation's or a dose's pixels are laid over an image, and are none."""
_IMAGES_OF_RADIOTHERAPY = {"481.1", "481.23", "481.24"}
_SECONDARY_CAPTURE = "7"
"""Family of pictures that a workstation made, as of a volume that it turns."""


def is_without_image(sop_class: str) -> bool:
    """Whether objects of a class hold no image; an unknown one, or none at all, may.

    >>> is_without_image("1.2.840.10008.5.1.4.1.1.66.4"), is_without_image("1.2.840.10008.5.1.4.1.1.2")
    (True, False)
    """
    if sop_class == _DIRECTORY:
        return True
    kind = sop_class.removeprefix(f"{_STORAGE}.")
    return kind != sop_class and kind.split(".")[0] in _WITHOUT_IMAGE and kind not in _IMAGES_OF_RADIOTHERAPY


def is_secondary_capture(sop_class: str) -> bool:
    """Whether objects of a class are pictures of images.

    >>> is_secondary_capture("1.2.840.10008.5.1.4.1.1.7.3"), is_secondary_capture("1.2.840.10008.5.1.4.1.1.2")
    (True, False)
    """
    kind = sop_class.removeprefix(f"{_STORAGE}.")
    return kind != sop_class and kind.split(".")[0] == _SECONDARY_CAPTURE
