"""Surface area in each 2×2×2 neighbourhood of a mask: the table behind the normalized surface Dice.

The surface of a mask is described at the corners of its voxels. Eight voxels meet at a corner, and any of
them may belong to the mask: that makes 256 neighbourhoods, each with a number, its *neighbour code*. Marching
cubes puts up to four triangles, *surface elements* or *surfels*, into each neighbourhood. Only their areas
are needed here, and a triangle's area follows from the absolute components of its normal. Nine such normals
occur. One letter stands for each of them, and a word of letters for the triangles of a neighbourhood. A
neighbourhood and its complement have the same triangles, so 128 words describe all 256 codes.

    code   voxels of the neighbourhood in the mask     word    area with 1 mm voxels
    0      none                                        -       0, no surface passes
    1      one: a corner of the mask                   a       √3/8 = 0.217 mm²
    3      two that share a face: an edge              rr      2·√8/8 = 0.707 mm²
    15     the four on one side: a flat face           xx      1 mm²

Arrays are (z, y, x), but the bits of a code count x first, as in the organisers' programs with their
(x, y, z) arrays.

Source: the table of the `surface-distance` package (google-deepmind, Apache-2.0), which the FLARE organisers
use.
"""

import numpy as np

from model.arrays import F64, U8, Mask, ZyxMm

_NORMALS_XYZ = {
    "a": (0.125, 0.125, 0.125),
    "b": (0.250, 0.250, 0.250),
    "c": (0.375, 0.375, 0.375),
    "x": (0.500, 0.000, 0.000),
    "y": (0.000, 0.500, 0.000),
    "z": (0.000, 0.000, 0.500),
    "p": (0.000, 0.250, 0.250),
    "q": (0.250, 0.000, 0.250),
    "r": (0.250, 0.250, 0.000),
}
_WORDS_OF_FIRST_128 = (
    "- a a rr a qq aa abx a aa qq abx rr abx abx xx "
    "a pp aa aby aa abz aaa aabb aa app aqq acpq arr acpr aabx abx "
    "a aa pp aby aa aqq app acpq aa aaa abz aabb arr aabx acpr abx "
    "rr aby aby yy arr acqr aaby aby arr aaby acqr aby rrrr arr arr rr "
    "a aa aa arr pp abz app acpr aa aaa aqq aabx aby aabb acpq abx "
    "qq abz aqq acqr abz zz aabz abz aqq aabz qqqq aqq acqr abz aqq qq "
    "aa aaa app aaby app aabz pppp app aaa aaaa aabz aaa aaby aaa app aa "
    "abx aabb acpq aby acpr abz app pp aabx aaa aqq aa arr aa aa a"
)


def surfel_areas_mm2(spacing_zyx_mm: ZyxMm) -> F64:
    """Surface area in mm² of each neighbour code; shape (256,), 0 for codes 0 and 255 (outside and inside).

    Args:
        spacing_zyx_mm: voxel size, each above 0.
    """
    size_z, size_y, size_x = spacing_zyx_mm
    faces_mm2 = np.array((size_y * size_z, size_x * size_z, size_x * size_y))
    area_of = {letter: float(np.linalg.norm(normal * faces_mm2)) for letter, normal in _NORMALS_XYZ.items()}
    half = [sum(area_of[letter] for letter in word if letter != "-") for word in _WORDS_OF_FIRST_128.split()]
    return np.array(half + half[::-1])


def neighbour_codes(mask: Mask) -> U8:
    """Neighbour code of each voxel corner of a mask of shape (z, y, x); shape (z+2, y+2, x+2), contiguous.

    What lies outside the array is outside the mask. Along each axis there is one corner more than voxels; the
    last entry along each axis is no corner and always 0. An empty mask gives zeros.

    Example with one voxel: each of its eight corners sees it in another place, so each bit occurs once.

        neighbour_codes([[[True]]])[:2, :2, :2] == [[[1, 16], [4, 64]], [[2, 32], [8, 128]]]
    """
    padded = np.zeros([size + 2 for size in mask.shape], np.uint8)
    padded[1:-1, 1:-1, 1:-1] = mask
    row, plane = padded.shape[2], padded.shape[1] * padded.shape[2]
    # Shifts along one flat line of voxels are fast; what wraps around to the next row or plane is only
    # padding.
    voxels = padded.ravel()
    along_x = np.left_shift(voxels[:-1], 4, dtype=np.uint8)
    along_x |= voxels[1:]
    along_y = np.left_shift(along_x[:-row], 2, dtype=np.uint8)
    along_y |= along_x[row:]
    codes = np.zeros(voxels.size, np.uint8)
    inner = codes[: along_y.size - plane]
    np.left_shift(along_y[:-plane], 1, out=inner)
    inner |= along_y[plane:]
    return codes.reshape(padded.shape)
