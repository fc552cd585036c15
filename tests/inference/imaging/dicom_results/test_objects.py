"""DICOM results read back: the same voxels at the same places, however the series lies."""

import resource
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from inference.errors import OutputError, ResultNameError
from inference.imaging.dicom_results.dicom_file_writing import write_objects
from inference.imaging.dicom_results.maker import Maker, Told
from inference.imaging.formats.dicom import open_series
from inference.imaging.writing import write_labels
from model.labels import FLARE23, LabelSet
from tests.inference.dicom_files import enhanced
from tests.inference.imaging.dicom_results.series_files import write_series
from tests.inference.imaging.dicom_results.test_outlines import filled

MAKER = Maker(
    program="LeanSeg", version="1.2", bundle="b", bundle_version="abc", manifest_sha256="0123456789abcdef" * 4
)
SIZE_ZYX = (3, 6, 7)


def marked(size_zyx=SIZE_ZYX):
    """A label map without any symmetry: liver, a kidney and a tumor, of which no two slices are alike."""
    labels = np.zeros(size_zyx, np.uint8)
    labels[0, 1:5, 1:3] = FLARE23.ids["liver"]
    labels[1, 1:3, 1:6] = FLARE23.ids["liver"]
    labels[1, 4, 5] = FLARE23.ids["left kidney"]
    labels[2, 5, 0:2] = FLARE23.ids["tumor"]
    return labels


def written(tmp_path, folder, labels, label_set=FLARE23, maker=MAKER):
    """Both objects, and the label map as SimpleITK reads it: where each voxel lies in the world."""
    series = open_series(folder)
    paths = {"dicom-seg": tmp_path / "x.seg.dcm", "rtstruct": tmp_path / "x.rtstruct.dcm"}
    warnings = write_objects(paths, series, labels, label_set, maker).warnings
    write_labels(tmp_path / "x.nii.gz", labels, series.geometry)
    image = sitk.ReadImage(str(tmp_path / "x.nii.gz"))
    return pydicom.dcmread(paths["dicom-seg"]), pydicom.dcmread(paths["rtstruct"]), image, warnings


def labels_of_seg(seg, image, ids=FLARE23.ids):
    """The label map that a SEG states, frame by frame at its place."""
    labels = np.zeros(image.GetSize()[::-1], np.uint8)
    names = {segment.SegmentNumber: segment.SegmentLabel for segment in seg.SegmentSequence}
    turned = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    assert np.allclose([*turned], np.array(image.GetDirection()).reshape(3, 3)[:, :2].T.ravel(), atol=1e-6)
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        place = [float(value) for value in groups.PlanePositionSequence[0].ImagePositionPatient]
        i, j, k = image.TransformPhysicalPointToIndex(place)
        assert (i, j) == (0, 0)
        name = names[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        labels[k][frame > 0] = ids[name]
    return labels


def labels_of_rtstruct(rtstruct, image):
    """The label map that an RTSTRUCT states, outline by outline at its place."""
    labels = np.zeros(image.GetSize()[::-1], np.uint8)
    for roi in rtstruct.ROIContourSequence:
        for contour in roi.ContourSequence:
            assert contour.NumberOfContourPoints * 3 == len(contour.ContourData)
            world = np.array(contour.ContourData, float).reshape(-1, 3)
            index = np.array(
                [image.TransformPhysicalPointToContinuousIndex(point) for point in world.tolist()]
            )
            inside = filled([index[:, :2]], labels.shape[1:])
            labels[round(index[0, 2])][inside] = roi.ReferencedROINumber
    return labels


TURNS = [
    np.array(
        [[sign * (axis == row) for axis, sign in zip(axes, signs, strict=True)] for row in range(3)], float
    )
    for axes in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
"""All 48 ways to lie along the world's axes; 24 of them are mirrored, whose slices come in falling order."""


@pytest.mark.parametrize("axes", TURNS, ids=lambda axes: "".join(f"{int(v):+d}" for v in axes.ravel()))
def test_voxels_come_back_at_their_places(tmp_path, axes):
    labels = marked()
    seg, rtstruct, image, warnings = written(tmp_path, write_series(tmp_path / "s", SIZE_ZYX, axes), labels)
    assert warnings == ()
    assert (labels_of_seg(seg, image) == labels).all()
    assert (labels_of_rtstruct(rtstruct, image) == labels).all()


def test_an_oblique_series_comes_back(tmp_path):
    turn, tilt = np.radians((20, 10))
    around_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    around_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    folder = write_series(tmp_path / "s", SIZE_ZYX, around_z @ around_x)
    seg, rtstruct, image, _ = written(tmp_path, folder, marked())
    assert (labels_of_seg(seg, image) == marked()).all()
    assert (labels_of_rtstruct(rtstruct, image) == marked()).all()


def test_an_object_names_its_slices_its_patient_and_its_maker(tmp_path):
    folder = write_series(tmp_path / "s", SIZE_ZYX)
    seg, rtstruct, _, _ = written(tmp_path, folder, marked())
    slices = {pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()}
    (series,) = seg.ReferencedSeriesSequence
    assert {each.ReferencedSOPInstanceUID for each in series.ReferencedInstanceSequence} == slices
    study = rtstruct.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    (of_study,) = study.RTReferencedSeriesSequence
    assert {each.ReferencedSOPInstanceUID for each in of_study.ContourImageSequence} == slices
    source = pydicom.dcmread(folder / "001.dcm")
    for made in (seg, rtstruct):
        assert (made.PatientID, made.StudyInstanceUID) == ("p1", source.StudyInstanceUID)
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
        assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
        assert made.Manufacturer == "LeanSeg"
    assert (seg.SoftwareVersions, rtstruct.SoftwareVersions) == ("1.2", ["1.2", "revision abc"])
    algorithm = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("b", "abc")
    assert algorithm.AlgorithmParameters == f"manifest_sha256={MAKER.manifest_sha256}"


def test_a_structure_set_holds_no_label_that_is_cut(tmp_path):
    """17 characters are one too many."""
    own = LabelSet(name="own", ids={"a" * 16: 1, "b" * 17: 2})
    labels = np.zeros(SIZE_ZYX, np.uint8)
    labels[0, 0, :2] = 1, 2
    _, rtstruct, _, _ = written(tmp_path, write_series(tmp_path / "s", SIZE_ZYX), labels, own)
    assert [roi.ROIName for roi in rtstruct.StructureSetROISequence] == ["a" * 16, "b" * 17]
    said = [each.get("ROIObservationLabel") for each in rtstruct.RTROIObservationsSequence]
    assert said == ["a" * 16, None]


@pytest.mark.parametrize("said", [{}, {"PositionReferenceIndicator": "SN", "IssuerOfPatientID": "Haus A"}])
def test_what_tells_patients_and_places_apart_is_repeated(tmp_path, said):
    folder = write_series(tmp_path / "series", SIZE_ZYX)
    for path in folder.iterdir():
        slice_of = pydicom.dcmread(path)
        for name, value in said.items():
            setattr(slice_of, name, value)
        slice_of.save_as(path)
    seg, rtstruct, *_ = written(tmp_path, folder, marked())
    assert rtstruct["PositionReferenceIndicator"].value == said.get("PositionReferenceIndicator", "")
    assert {one.get("IssuerOfPatientID") for one in (seg, rtstruct)} == {said.get("IssuerOfPatientID")}


def test_objects_say_what_they_are_and_what_is_doubted(tmp_path):
    """With DOUBTFUL and a colon before them 51 characters and three dots go into 64."""
    doubts = ("gantry tilted by 18.4°", "no spleen", "liver is larger than any")
    folder = write_series(tmp_path / "s", SIZE_ZYX)
    seg, rtstruct, _, _ = written(tmp_path, folder, marked(), maker=replace(MAKER, told=Told(doubts=doubts)))
    assert seg.SeriesDescription == "LeanSeg SEG, DOUBTFUL, research, not for diagnosis: b"
    assert rtstruct.SeriesDescription == "LeanSeg RTSTRUCT, DOUBTFUL, research, not for diagnosis: b"
    assert rtstruct.StructureSetName == rtstruct.SeriesDescription
    all_of_it = "gantry tilted by 18.4 degrees; no spleen; liver is larger than any"
    assert seg.ImageComments == f"Research, not for diagnosis. DOUBTFUL: {all_of_it}"
    assert rtstruct.StructureSetDescription == seg.ImageComments
    assert seg.ContentDescription == f"DOUBTFUL: {all_of_it[:51]}..."


def test_objects_say_what_is_doubted_and_warned_of_the_image(tmp_path):
    """Of the gap once, though it is a warning too."""
    gap, left = "slices are 2.00 to 8.00 mm apart", "1 DICOM file without an image was left out"
    maker = replace(MAKER, told=Told(image_doubts=(gap,), warnings=(left, gap)))
    seg, rtstruct, _, _ = written(tmp_path, write_series(tmp_path / "s", SIZE_ZYX), marked(), maker=maker)
    assert seg.SeriesDescription == "LeanSeg SEG, DOUBTFUL IMAGE, research, not for diagnosis: b"
    assert rtstruct.SeriesDescription == "LeanSeg RTSTRUCT, DOUBTFUL IMAGE, research, not for diagnosis: b"
    assert seg.ImageComments == f"Research, not for diagnosis. DOUBTFUL IMAGE: {gap}. Warned of: {left}"
    assert rtstruct.StructureSetDescription == seg.ImageComments
    assert seg.ContentDescription == f"DOUBTFUL IMAGE: {gap}"


def test_a_doubtful_result_of_a_doubtful_image_is_doubtful():
    maker = replace(MAKER, told=Told(doubts=("no spleen",), image_doubts=("has only 7 slices",)))
    assert maker.description("SEG") == "LeanSeg SEG, DOUBTFUL, research, not for diagnosis: b"
    said = "DOUBTFUL: no spleen. DOUBTFUL IMAGE: has only 7 slices"
    assert maker.remark(64) == said
    assert maker.remark(1024) == f"Research, not for diagnosis. {said}"


def test_warnings_alone_mark_nothing():
    maker = replace(MAKER, told=Told(warnings=("values were cut",)))
    assert maker.description("SEG") == "LeanSeg SEG, research, not for diagnosis: b"
    assert maker.remark(64) == "Research, not for diagnosis."
    assert maker.remark(1024) == "Research, not for diagnosis. Warned of: values were cut"


def test_objects_without_doubts_are_for_research_too(tmp_path):
    seg, rtstruct, _, _ = written(tmp_path, write_series(tmp_path / "s", SIZE_ZYX), marked())
    assert seg.SeriesDescription == "LeanSeg SEG, research, not for diagnosis: b"
    assert rtstruct.SeriesDescription == "LeanSeg RTSTRUCT, research, not for diagnosis: b"
    said = {seg.ContentDescription, seg.ImageComments, rtstruct.StructureSetDescription}
    assert said == {"Research, not for diagnosis."}


@pytest.mark.parametrize(
    ("length", "said"),
    [(64, f"DOUBTFUL: {'x' * 51}..."), (1024, f"Research, not for diagnosis. DOUBTFUL: {'x' * 982}...")],
)
def test_doubts_are_cut_to_the_room_there_is(length, said):
    assert replace(MAKER, told=Told(doubts=("x" * 2000,))).remark(length) == said
    assert len(said) == length


def test_a_bundle_is_named_where_there_is_room():
    """40 characters say the rest; a colon, a blank and 22 of a name make 64 of them."""
    said = "LeanSeg SEG, research, not for diagnosis"
    room = 64 - len(said) - 2
    assert replace(MAKER, bundle="b" * room).description("SEG") == f"{said}: {'b' * room}"
    assert replace(MAKER, bundle="b" * (room + 1)).description("SEG") == said


def test_structures_have_codes_sides_and_colours(tmp_path):
    folder = write_series(tmp_path / "s", SIZE_ZYX)
    seg, rtstruct, _, _ = written(tmp_path, folder, marked())
    liver, kidney, tumor = seg.SegmentSequence
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["liver", "left kidney", "tumor"]
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeValue == "10200004"
    (kind,) = kidney.SegmentedPropertyTypeCodeSequence
    assert kind.CodeMeaning == "Kidney"
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert tumor.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    # Liver is #c04b4b: L* 48.0, of 65535 for 100; red by a* 46.3, of which 0 is in the middle of 255 steps.
    light, red, _ = liver.RecommendedDisplayCIELabValue
    assert light / 655.35 == pytest.approx(48, abs=1)
    assert red / 257 - 128 == pytest.approx(46, abs=2)
    assert list(rtstruct.ROIContourSequence[0].ROIDisplayColor) == [0xC0, 0x4B, 0x4B]
    of_roi = [each.RTROIIdentificationCodeSequence[0] for each in rtstruct.RTROIObservationsSequence]
    assert [code.CodeMeaning for code in of_roi][1] == "Kidney"
    assert of_roi[1].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert [("SegmentedPropertyTypeModifierCodeSequence" in code) for code in of_roi] == [False, True, False]
    assert [roi.ROINumber for roi in rtstruct.StructureSetROISequence] == [1, 13, 14]
    assert [each.RTROIInterpretedType for each in rtstruct.RTROIObservationsSequence] == [
        "ORGAN",
        "ORGAN",
        "",
    ]


def test_a_structure_without_a_code_has_one_of_this_project(tmp_path):
    own = LabelSet(name="own", ids={"thing of mine": 1})
    labels = np.zeros(SIZE_ZYX, np.uint8)
    labels[0, 0, 0] = 1
    seg, _, _, _ = written(tmp_path, write_series(tmp_path / "s", SIZE_ZYX), labels, own)
    (code,) = seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("thing of mine", "99LEANSEG")
    assert code.CodeMeaning == "thing of mine"


def test_a_backslash_begins_no_other_value_and_long_names_are_cut(tmp_path):
    long = "b" * 70
    own = LabelSet(name="own", ids={"a\\b": 1, long: 2})
    labels = np.zeros(SIZE_ZYX, np.uint8)
    labels[0, 0, :2] = 1, 2
    maker = replace(MAKER, bundle="c\\d")
    seg, rtstruct, _, _ = written(tmp_path, write_series(tmp_path / "s", SIZE_ZYX), labels, own, maker)
    assert [segment.SegmentLabel for segment in seg.SegmentSequence] == ["a/b", "b" * 64]
    assert seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue == "a/b"
    assert [roi.ROIName for roi in rtstruct.StructureSetROISequence] == ["a/b", "b" * 64]
    assert rtstruct.RTROIObservationsSequence[0].ROIObservationLabel == "a/b"
    assert seg.ManufacturerModelName == rtstruct.ManufacturerModelName == "c/d"


def test_what_anonymizing_took_is_made_up_and_said(tmp_path):
    lost = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "StudyDate")
    folder = write_series(tmp_path / "s", SIZE_ZYX, leave_out=lost)
    seg, rtstruct, image, warnings = written(tmp_path, folder, marked())
    assert warnings == (
        "its slices have no StudyInstanceUID, SeriesInstanceUID: made up, so that an archive will not find "
        "them",
    )
    assert seg.StudyInstanceUID == rtstruct.StudyInstanceUID != ""
    assert seg.PatientID == ""
    assert (labels_of_seg(seg, image) == marked()).all()


def test_the_distance_of_slices_is_that_of_their_places(tmp_path):
    """4 mm, though the slices say 1."""
    folder = write_series(tmp_path / "series", SIZE_ZYX)
    for path in folder.iterdir():
        slice_of = pydicom.dcmread(path)
        slice_of.SpacingBetweenSlices = 1
        slice_of.save_as(path)
    seg, *_ = written(tmp_path, folder, marked())
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices == 4


def test_frames_of_one_file_are_referred_to_by_number(tmp_path):
    """Of an enhanced CT whose frames are stored out of order: frame 2 is the lowest slice."""
    folder = tmp_path / "s"
    folder.mkdir()
    file = enhanced(np.zeros((3, 6, 7), np.int16), zs=[10, 0, 5])
    (folder / "all.dcm").write_bytes(file)
    seg, rtstruct, image, _ = written(tmp_path, folder, marked())
    assert (labels_of_seg(seg, image) == marked()).all()
    assert (labels_of_rtstruct(rtstruct, image) == marked()).all()
    contour = rtstruct.ROIContourSequence[0].ContourSequence[0]
    assert contour.ContourImageSequence[0].ReferencedFrameNumber == 2


def test_an_outline_of_more_than_64_kib_keeps_its_type(tmp_path):
    """900 holes, each of four corners and a cut: in the file all have types that readers know (no UN)."""
    labels = np.ones((1, 61, 61), np.uint8)
    labels[0, 1:60:2, 1:60:2] = 0
    _, rtstruct, image, _ = written(tmp_path, write_series(tmp_path / "s", labels.shape), labels)
    (contour,) = rtstruct.ROIContourSequence[0].ContourSequence
    assert contour.NumberOfContourPoints > 900 * 4
    assert (labels_of_rtstruct(rtstruct, image) == labels).all()
    read = pydicom.dcmread(tmp_path / "x.rtstruct.dcm")
    types = {element.VR for element in read.iterall()}
    assert "DS" in types
    assert "UN" not in types


def test_a_full_disk_is_told_in_one_line(tmp_path):
    """Files may not grow beyond 20,000 bytes, within the pixels of a Segmentation of 3×300×400."""
    labels = np.ones((3, 300, 400), np.uint8)
    series = open_series(write_series(tmp_path / "s", labels.shape))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutputError) as full:
            write_objects({"dicom-seg": tmp_path / "x.seg.dcm"}, series, labels, FLARE23, MAKER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = "cannot be written (File too large); nothing was left behind"
    assert str(full.value) == f"{tmp_path}/x.seg.dcm: {said}"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("blocked", ["x.seg.dcm", "x.rtstruct.dcm"])
def test_both_objects_are_written_or_none(tmp_path, blocked):
    """Whichever of them gets its name first: in the place of the other is a folder."""
    (tmp_path / blocked / "inside").mkdir(parents=True)
    with pytest.raises(ResultNameError, match="Is a directory"):
        written(tmp_path, write_series(tmp_path / "s", SIZE_ZYX), marked())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", blocked]
