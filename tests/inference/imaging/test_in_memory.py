"""Arrays of other programs, taken as files of the same values are."""

from dataclasses import replace

import numpy as np
import pytest

from inference.imaging.in_memory import as_read
from inference.imaging.reading import read_volume
from inference.predictor import Predictor
from tests.inference.bundles import abdomen, hu, make_bundle
from tests.inference.images import write_nifti
from tests.inference.small_cases import volume_of

ONES = np.ones((2, 3, 4), np.int16)


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_what_is_as_read_is_left_alone(dtype):
    volume = volume_of(ONES.astype(dtype), further=(ONES,))
    assert as_read(volume) == (volume, ())


@pytest.mark.parametrize(
    ("dtype", "becomes"),
    [
        *(("u1", "i2"), ("u2", "i2"), ("i4", "i2"), ("i8", "i2"), (">i2", "i2")),
        *(("f2", "f4"), ("f8", "f4"), (">f4", "f4"), ("?", "f4")),
    ],
)
def test_other_numbers_become_int16_or_float32(dtype, becomes, tmp_path):
    array = ONES.astype(dtype)
    made, warnings = as_read(volume_of(array))
    assert (made.array.dtype, made.array.tolist(), warnings) == (np.dtype(becomes), ONES.tolist(), ())
    if array.dtype.str[1:] in ("u1", "u2", "i4", "i8", "f8"):
        read = read_volume(write_nifti(tmp_path / "a.nii", array))
        assert (read.array.dtype, read.array.tolist()) == (np.dtype(becomes), ONES.tolist())


def test_whole_numbers_that_do_not_fit_become_float32():
    made, _ = as_read(volume_of(ONES.astype(np.int32) * 40000))
    assert (made.array.dtype, made.array.max()) == (np.float32, 40000)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_what_is_not_finite_is_replaced_in_a_copy_with_a_warning(dtype):
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4) - 5
    array[0, 0, 1], array[1, 2, 3] = np.nan, np.inf
    made, warnings = as_read(volume_of(ONES, further=(array,)))
    assert warnings == ("2 of 24 voxels (8.3 %) are NaN or infinite; they were taken as -5 (+inf as 17)",)
    assert (made.further[0][0, 0, 1], made.further[0][1, 2, 3]) == (-5, 17)
    assert np.isnan(array[0, 0, 1])


def test_the_predictor_warns_of_what_is_not_finite(tmp_path):
    """A row of NaN in the air before the body is taken as air."""
    truth = abdomen()
    array = hu(truth).astype(np.float32)
    array[:, 0] = np.nan
    predictor = Predictor(make_bundle(tmp_path / "b"), device="cpu", threads=1)
    segmented = predictor.predict(volume_of(array, (2.5, 1.5, 1.0)))
    told = f"576 of {array.size:,} voxels ({57600 / array.size:.1f} %) are NaN or infinite"
    assert segmented.warnings[0] == f"{told}; they were taken as -250 (+inf as 150)"
    assert segmented.image_doubts[0] == segmented.warnings[0]
    np.testing.assert_array_equal(segmented.labels, truth)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("ct.nii.gz", "volume: must be a Volume .*, is str$"),
        (ONES, "volume: must be a Volume .*, is ndarray of int16$"),
        (volume_of(ONES.astype("c8")), "array: must be .* real numbers, is ndarray of complex64"),
        (volume_of(ONES.astype("U1")), "array: must be .* real numbers, is ndarray of <U1"),
        (replace(volume_of(ONES), further=(memoryview(ONES),)), "array: must be .*, is memoryview"),
    ],
)
def test_what_is_no_image_is_refused(given, named, tmp_path):
    predictor = Predictor(make_bundle(tmp_path / "b"), device="cpu", threads=1)
    with pytest.raises(TypeError, match=named):
        predictor.predict(given)
