"""Images of two voxels whose header names the file that holds them."""

HEADERS = {
    ".mhd": (
        "NDims = 3\nDimSize = 2 1 1\nElementSpacing = 1 1 1\nElementType = MET_UCHAR\nElementDataFile = {}\n"
    ),
    ".nhdr": (
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 1 1\nencoding: raw\nspacings: 1 1 1\ndata file: {}\n\n"
    ),
}


def write_detached(header, voxels, name="voxels.raw"):
    """Write a header (.mhd or .nhdr) and its two voxels beside it; the header's path."""
    header.parent.mkdir(parents=True, exist_ok=True)
    header.write_text(HEADERS[header.suffix].format(name))
    (header.parent / name).write_bytes(voxels)
    return header
