"""Reading every format as SimpleITK does, and writing label maps with the header of their image."""

import ast
import errno
import gzip
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from inference.errors import InputError, OutputError, ResultNameError
from inference.geometry import Geometry
from inference.imaging.reading import open_image, read_volume
from inference.imaging.writing import whole_file, write_labels
from tests.inference.images import nifti_header, voxels, write_nifti, write_nifti2, write_series
from tests.places import real_data, whole_data

REAL = [
    "ct_abdomen/ct_0000.nii.gz", "ct_3slice/ct_0000.nii.gz", "ct_sarcoma/STS_002/ct_0000.nii.gz",
    "ct_sarcoma/STS_003/ct_0000.nii.gz",
    "mr_abdomen/mr_0000.nii.gz", "ct_slab_dicom/labels.nii.gz", "label_maps/ts_s0327_label13.nii.gz",
]  # fmt: skip
HEADER = ("GetSize", "GetSpacing", "GetOrigin", "GetDirection")


def assert_same_as_simpleitk(path, image=None):
    image = image or sitk.ReadImage(str(path))
    volume = read_volume(path)
    assert np.array_equal(volume.array, sitk.GetArrayViewFromImage(image))
    assert volume.geometry == open_image(path).geometry
    assert volume.geometry.size_zyx == image.GetSize()[::-1]
    assert volume.geometry.spacing_zyx_mm == pytest.approx(image.GetSpacing()[::-1])
    assert volume.geometry.origin_xyz_mm == pytest.approx(image.GetOrigin())
    assert volume.geometry.direction == pytest.approx(image.GetDirection(), abs=1e-7)
    return volume


def header_of(path):
    image = sitk.ReadImage(str(path))
    return [getattr(image, what)() for what in HEADER]


def grid_image(direction, dtype=np.int16):
    image = sitk.GetImageFromArray((np.arange(24, dtype=np.int64) - 5).clip(0).reshape(2, 3, 4).astype(dtype))
    image.SetSpacing((0.7, 0.8, 5.0))
    image.SetOrigin((10.5, -20.25, 30.125))
    image.SetDirection(direction)
    return image


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("data", [real_data, whole_data])
def test_real_images_are_read_as_simpleitk_reads_them(data, name):
    assert assert_same_as_simpleitk(data(name)).warnings == ()


@pytest.mark.parametrize("name", REAL)
def test_labels_have_the_very_header_of_their_image(name, tmp_path):
    geometry = open_image(real_data(name)).geometry
    path = tmp_path / "labels.nii.gz"
    write_labels(path, np.full(geometry.size_zyx, 3, np.uint8), geometry)
    assert header_of(path) == header_of(real_data(name))
    result = sitk.ReadImage(str(path))
    assert (result.GetPixelIDTypeAsString(), result.GetDimension()) == ("8-bit unsigned integer", 3)
    assert set(np.unique(sitk.GetArrayViewFromImage(result)).tolist()) == {3}


@pytest.mark.parametrize("data", [real_data, whole_data])
def test_a_dicom_series_is_read_as_simpleitk_reads_it(data):
    folder = data("ct_slab_dicom") / "series"
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    volume = assert_same_as_simpleitk(folder, reader.Execute())
    assert volume.array.dtype == np.int16
    assert read_volume(folder.parent).geometry == volume.geometry, "one level further up is fine"


def test_dicom_and_its_labels_lie_at_the_same_place():
    """The labels are stored with flipped rows; in the world both grids cover the same voxels."""
    ct, labels = (
        open_image(real_data("ct_slab_dicom") / name).geometry for name in ("series", "labels.nii.gz")
    )
    slices, last, right = (size - 1 for size in ct.size_zyx)
    assert np.allclose(ct.to_world((0, 0, 0)), labels.to_world((0, last, 0)))
    assert np.allclose(ct.to_world((slices, last, right)), labels.to_world((slices, 0, right)))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("packed", [False, True])
def test_formats_and_types(tmp_path, oblique, suffix, packed):
    path = tmp_path / f"image{suffix}"
    for dtype in ("u1", "i2", "u2", "i4", "i8", "f4", "f8"):
        sitk.WriteImage(grid_image(oblique, dtype), str(path), packed)
        volume = assert_same_as_simpleitk(path)
        assert volume.array.dtype == (np.int16 if dtype[0] in "ui" else np.float32)


def test_orientations_of_every_format_survive_the_way_through(tmp_path, direction48):
    result = tmp_path / "labels.nii.gz"
    for suffix in (".nii", ".mha", ".nrrd"):
        path = tmp_path / f"image{suffix}"
        sitk.WriteImage(grid_image(direction48), str(path))
        volume = assert_same_as_simpleitk(path)
        write_labels(result, volume.array.astype(np.uint8), volume.geometry)
        # MetaImage and NRRD hold doubles, NIfTI single precision.
        for mine, theirs in zip(header_of(result), header_of(path), strict=True):
            assert mine == pytest.approx(theirs, rel=1e-6)
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(result))), volume.array)


def test_labels_without_a_nifti_header_are_on_the_same_grid(tmp_path, oblique):
    geometry = Geometry(
        size_zyx=(2, 3, 4), spacing_zyx_mm=(5.0, 0.8, 0.7), origin_xyz_mm=(1.0, 2.0, 3.0), direction=oblique
    )
    write_labels(tmp_path / "labels.nii.gz", np.zeros((2, 3, 4), np.uint8), geometry)
    size, spacing, origin, direction = header_of(tmp_path / "labels.nii.gz")
    assert size == (4, 3, 2)
    assert spacing == pytest.approx((0.7, 0.8, 5.0), rel=1e-7)
    assert origin == (1.0, 2.0, 3.0)
    assert direction == pytest.approx(oblique, abs=1e-7)
    assert open_image(tmp_path / "labels.nii.gz").geometry.direction == pytest.approx(oblique, abs=1e-7)


@pytest.mark.parametrize("codes", [(q, s) for q in range(3) for s in range(3)])
def test_sform_and_qform_are_chosen_as_in_itk(tmp_path, codes):
    """The sform swaps x and y against the qform, so a wrong choice shows."""
    path = write_nifti(
        tmp_path / "image.nii",
        qform_code=codes[0],
        sform_code=codes[1],
        spacing=(2, 2, 4),
        srow=(0, -2, 0, 1, -2, 0, 0, 2, 0, 0, 4, 3),
    )
    volume = assert_same_as_simpleitk(path)
    disagree = ["disagree" in warning for warning in volume.warnings]
    assert any(disagree) == (0 not in codes)
    assert any("no orientation" in warning for warning in volume.warnings) == (codes == (0, 0))


@pytest.mark.parametrize("quatern", [(0, 0, 1), (1, 0, 0), (0, 0, 0), (0.5, 0.5, 0.5), (0.1, -0.7, 0.2)])
@pytest.mark.parametrize("hand", [1, -1])
def test_quaternions(tmp_path, quatern, hand):
    assert_same_as_simpleitk(
        write_nifti(tmp_path / "image.nii", sform_code=0, quatern=quatern, pixdim=(hand, 2, 3, 4, 0, 0, 0, 0))
    )


def test_voxel_values_by_hand(tmp_path):
    volume = read_volume(write_nifti(tmp_path / "image.nii", voxels((2, 1, 3)), slope=2, intercept=-1024))
    assert volume.array.tolist() == [[[-1024, -1022]], [[-1020, -1018]], [[-1016, -1014]]]
    assert volume.array.dtype == np.int16
    assert volume.geometry.spacing_zyx_mm == (4.0, 3.0, 2.0)
    assert volume.geometry.origin_xyz_mm == (-10.0, -20.0, 30.0)


@pytest.mark.parametrize(
    "array",
    [np.full((1, 1, 2), 40_000, "u2"), np.full((1, 1, 2), -40_000, "i4"), np.full((1, 1, 2), 2**40, "i8")],
)
def test_whole_numbers_that_do_not_fit_become_float(tmp_path, array):
    read = read_volume(write_nifti(tmp_path / "image.nii", array)).array
    assert read.dtype == np.float32
    assert np.array_equal(read, array)


def test_a_late_large_value_does_not_spoil_the_earlier_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("inference.imaging.formats.voxels.CHUNK_VOXELS", 4)
    array = np.array([[[1, 2, 3, 4, 5, 6, 70_000, 8, 9]]], "i4")
    assert read_volume(write_nifti(tmp_path / "image.nii.gz", array)).array.tolist() == array.tolist()


def test_gzip_members_that_follow_one_another_are_one_file(tmp_path):
    data = nifti_header() + bytes(4) + voxels().tobytes()
    path = tmp_path / "image.nii.gz"
    path.write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]))
    assert np.array_equal(read_volume(path).array, voxels())


def test_writing_the_same_labels_gives_the_same_bytes(tmp_path):
    geometry = Geometry(size_zyx=(20, 3, 4), spacing_zyx_mm=(1.0, 1.0, 1.0))
    labels = np.arange(240, dtype=np.uint8).reshape(20, 3, 4)
    write_labels(tmp_path / "a.nii.gz", labels, geometry)
    write_labels(tmp_path / "b.nii.gz", np.asfortranarray(labels), geometry)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").array, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.zeros((2, 3, 4), np.int16), "int16"), (np.zeros((2, 3, 5), np.uint8), r"\(2, 3, 5\)")],
)
def test_labels_that_do_not_belong_to_the_grid_are_refused(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        write_labels(
            tmp_path / "a.nii.gz", labels, Geometry(size_zyx=(2, 3, 4), spacing_zyx_mm=(1.0, 1.0, 1.0))
        )


def test_an_older_result_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    geometry = Geometry(size_zyx=(40, 3, 4), spacing_zyx_mm=(1.0, 1.0, 1.0))
    path = tmp_path / "a.nii.gz"
    path.write_bytes(b"old")

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inference.imaging.writing.GzipSink.write", full)
    with pytest.raises(OutputError, match=r"a\.nii\.gz: cannot be written \(No space left on device\)"):
        write_labels(path, np.zeros((40, 3, 4), np.uint8), geometry)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.nii.gz"]
    assert path.read_bytes() == b"old"


def test_results_are_as_readable_as_the_umask_says(tmp_path):
    old = os.umask(0o022)
    try:
        write_labels(
            tmp_path / "a.nii.gz",
            np.zeros((1, 1, 1), np.uint8),
            Geometry(size_zyx=(1, 1, 1), spacing_zyx_mm=(1.0, 1.0, 1.0)),
        )
    finally:
        os.umask(old)
    assert (tmp_path / "a.nii.gz").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("number", "said", "kind"),
    [
        (errno.ENOSPC, "No space left on device", OutputError),
        (errno.EISDIR, "Is a directory", ResultNameError),
    ],
)
def test_what_a_library_has_raised_anew_is_told_as_the_system_said_it(tmp_path, number, said, kind):
    """As pydicom does: the text of an error, its traceback below, without its number."""
    anew = OSError(f"With tag (7FE0,0010) got exception: {said}\nTraceback …")
    anew.__cause__ = OSError(number, said)
    with pytest.raises(OutputError) as caught, whole_file(tmp_path / "a.seg.dcm"):
        raise anew
    assert str(caught.value) == f"{tmp_path}/a.seg.dcm: cannot be written ({said}); nothing was left behind"
    assert type(caught.value) is kind
    assert list(tmp_path.iterdir()) == []


def test_a_field_of_view_that_no_scanner_has(tmp_path):
    """7 slices of 428 mm are 2.996 m, of 429 mm 3.003 m; one slice may be as thick as it says."""
    whole = write_nifti(tmp_path / "whole.nii", spacing=(1.0, 1.0, 428.0))
    assert open_image(whole).geometry.spacing_zyx_mm[0] == 428.0
    long = write_nifti(tmp_path / "long.nii", spacing=(1.0, 1.0, 429.0))
    said = rf"{long}: .* 0\.005 × 0\.006 × 3 m, which no scanner has \(3 m at most\); set the right spacing"
    with pytest.raises(InputError, match=said):
        open_image(long)


@pytest.mark.parametrize("spacing", [np.nan, np.inf, 0.0])
def test_a_spacing_that_was_mended_is_what_is_written(tmp_path, spacing):
    """ITK reads 1 mm where the header has none; the sform says 2 mm."""
    path = write_nifti(tmp_path / "image.nii", pixdim=(1, spacing, 3.2, 8, 0, 0, 0, 0))
    volume = read_volume(path)
    write_labels(tmp_path / "labels.nii.gz", np.zeros(volume.geometry.size_zyx, np.uint8), volume.geometry)
    written = sitk.ReadImage(str(tmp_path / "labels.nii.gz"))
    assert written.GetSpacing()[::-1] == pytest.approx(volume.geometry.spacing_zyx_mm)
    assert any("that of the sform was taken: 2 × 3 × 4 mm" in warning for warning in volume.warnings)


def test_what_people_write_into_headers_is_not_handed_on(tmp_path):
    path = write_nifti(tmp_path / "image.nii")
    raw = bytearray(path.read_bytes())
    for start, size in ((4, 10), (14, 18), (148, 80), (228, 24), (328, 16)):
        raw[start : start + size] = b"JANE DOE".ljust(size, b"\0")
    raw[68:70] = b"\xe9\x03"  # intent: an estimate
    path.write_bytes(raw)
    geometry = open_image(path).geometry
    write_labels(tmp_path / "labels.nii.gz", np.zeros(geometry.size_zyx, np.uint8), geometry)
    written = gzip.decompress((tmp_path / "labels.nii.gz").read_bytes())
    assert b"JANE" not in written
    assert written[68:70] == b"\0\0"
    assert header_of(tmp_path / "labels.nii.gz") == header_of(path)


def test_a_big_endian_header_is_kept_big_endian(tmp_path):
    path = write_nifti(tmp_path / "image.nii", order=">")
    volume = assert_same_as_simpleitk(path)
    write_labels(tmp_path / "labels.nii.gz", np.ones((7, 6, 5), np.uint8), volume.geometry)
    assert header_of(tmp_path / "labels.nii.gz") == header_of(path)
    assert read_volume(tmp_path / "labels.nii.gz").array.min() == 1


def test_a_grid_that_was_changed_forgets_the_files_header(tmp_path):
    """A crop keeps its own size and origin, not those of the file it was cut from."""
    geometry = open_image(write_nifti(tmp_path / "image.nii")).geometry
    part = replace(geometry, size_zyx=(1, 2, 3), nifti_header=None)
    write_labels(tmp_path / "labels.nii.gz", np.zeros((1, 2, 3), np.uint8), part)
    assert header_of(tmp_path / "labels.nii.gz")[0] == (3, 2, 1)


def test_reading_leaves_the_folder_of_the_input_alone(tmp_path):
    folder = tmp_path / "inputs"
    folder.mkdir()
    shutil.copy(real_data("mr_abdomen/mr_0000.nii.gz"), folder)
    before = {entry: entry.stat().st_mtime_ns for entry in folder.iterdir()}
    read_volume(folder / "mr_0000.nii.gz")
    assert {entry: entry.stat().st_mtime_ns for entry in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("dtype", "changes", "bytes_each"),
    [
        ("i2", {}, 2),
        ("u1", {}, 2),
        ("i2", {"intercept": -1024}, 2),
        ("i2", {"slope": 0.5}, 4),
        ("f4", {}, 4),
        ("f8", {}, 4),
        ("i4", {}, 4),
    ],
)
def test_the_header_tells_what_a_voxel_will_take(tmp_path, dtype, changes, bytes_each):
    path = write_nifti(tmp_path / "image.nii", voxels(dtype=dtype), **changes)
    assert open_image(path).voxel_bytes == bytes_each
    assert read_volume(path).array.itemsize <= bytes_each


@pytest.mark.parametrize("name", ["image.nii", "image.mha", "image.nrrd"])
def test_no_more_voxels_along_an_axis_than_a_label_map_can_have(tmp_path, name):
    """NIfTI-1, which label maps are, counts to 32 767."""
    for count in (32767, 32768):
        array = voxels((count, 1, 1))
        if name == "image.nii":
            write_nifti2(tmp_path / name, array, spacing=(0.05, 0.05, 0.05))
        else:
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((0.05, 0.05, 0.05))
            sitk.WriteImage(image, str(tmp_path / name))
        if count == 32767:
            write_labels(
                tmp_path / "labels.nii.gz",
                np.zeros(array.shape, np.uint8),
                read_volume(tmp_path / name).geometry,
            )
            assert sitk.ReadImage(str(tmp_path / "labels.nii.gz")).GetSize() == (32767, 1, 1)
        else:
            with pytest.raises(InputError, match=r"its header is damaged .*32768"):
                read_volume(tmp_path / name)


def test_the_header_of_a_series_tells_what_a_voxel_will_take(tmp_path):
    write_series(tmp_path, [(0, 0, 0), (0, 0, 3)])
    assert open_image(tmp_path).voxel_bytes == read_volume(tmp_path).array.itemsize == 2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("codes", [(0, 1), (1, 0)])
def test_nifti_2_is_read_as_nifti_1_is(tmp_path, order, codes):
    """Checked against nibabel too, which is not among the test packages: 40 headers, equal to 1e-12 mm."""
    form = {"qform_code": codes[0], "sform_code": codes[1]}
    one = read_volume(write_nifti(tmp_path / "1.nii.gz", order=order, quatern=(0.5, 0.5, 0.5), **form))
    two = read_volume(
        write_nifti2(tmp_path / "2.nii.gz", voxels(), order, quatern=(0.5, 0.5, 0.5), codes=codes)
    )
    np.testing.assert_array_equal(two.array, one.array)
    assert two.geometry == one.geometry
    write_labels(tmp_path / "labels.nii.gz", two.array.astype(np.uint8), two.geometry)
    labels = sitk.ReadImage(str(tmp_path / "labels.nii.gz"))
    assert labels.GetSpacing() == (2.0, 3.0, 4.0)
    assert labels.GetOrigin() == (-10, -20, 30)


def test_headers_are_read_without_pythons_parser(tmp_path, monkeypatch):
    """Python 3.11's parser fails now and then in threads that use it at the same time."""
    one, two = tmp_path / "one.nii", tmp_path / "two.nii"
    write_nifti(one)
    write_nifti2(two, voxels().astype(np.int16))

    def refuse(text):
        raise AssertionError(f"parsed: {text}")

    monkeypatch.setattr(ast, "literal_eval", refuse)
    assert read_volume(one).geometry.size_zyx == voxels().shape
    assert read_volume(two).geometry.size_zyx == voxels().shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw[:400], "holds no whole NIfTI header"),
        (lambda raw: raw[:4] + b"ni2\0" + raw[8:], "two-file image"),
        (lambda raw: raw[:4] + b"junk" + raw[8:], "is not a NIfTI image"),
        (lambda raw: raw[:24] + b"\x7f" * 8 + raw[32:], "header is damaged"),
    ],
)
def test_damaged_nifti_2(tmp_path, change, message):
    path = write_nifti2(tmp_path / "a.nii", voxels())
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        read_volume(path)
