"""DICOM RT Structure Set (RTSTRUCT): a label map as outlines, slice by slice.

The object is that of PS3.3 A.19.3; highdicom does not make it, so pydicom's elements are put together here.
"""

from collections.abc import Iterable

import numpy as np
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from inference.imaging.dicom_results.completing import complete
from inference.imaging.dicom_results.maker import ST, Maker, as_lo
from inference.imaging.dicom_results.outlines import outlines
from inference.imaging.dicom_results.repeated_elements import OFTEN_LACKING, OPTIONAL
from inference.imaging.dicom_results.source_series import SourceSeries
from inference.imaging.dicom_results.structures_found import StructuresFound
from model.anatomic_codes import ANATOMY, Code, codes_of
from model.arrays import F64, U8
from model.colours import colours_of
from model.labels import LabelSet

SERIES_NUMBER = 3200
STUDY = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management, the class by which PS3.3 C.8.8.5 lets a structure set refer to its study."""
CONTOUR_DATA = Tag("ContourData")
REVISION = "revision "
"""Before what tells releases of the bundle apart, among the versions of software."""
LABEL = 16
"""Characters that the label of an observation holds."""
DECIMALS = 3
"""Of a millimetre: outlines lie between the centres of voxels, far more than that from any."""
COPIED = (
    *OFTEN_LACKING,
    *OPTIONAL,
    *("StudyInstanceUID", "FrameOfReferenceUID", "PositionReferenceIndicator", "SpecificCharacterSet"),
)
"""Of patient, study and frame of reference, all a result says is what its series says."""


def structure_set(
    source: SourceSeries, labels: U8, label_set: LabelSet, found: StructuresFound, maker: Maker
) -> Dataset:
    """A label map as an RTSTRUCT that refers to the slices it was made from.

    ROIs have the numbers of the label set's ids; those not found are left out.

    Args:
        source: the series.
        labels: (slices, rows, columns).
        label_set: what the labels mean.
        found: which of them are there, and in which slices.
        maker: the bundle.
    """
    made = _file(RTStructureSetStorage)
    for name in COPIED:
        if name in source.first:
            made[name] = source.first[name]
    if "PositionReferenceIndicator" not in made:  # The standard asks for it, if only empty.
        made.PositionReferenceIndicator = ""
    made.Modality = "RTSTRUCT"
    made.SeriesInstanceUID, made.SeriesNumber = generate_uid(), SERIES_NUMBER
    made.SeriesDescription = maker.description("RTSTRUCT")
    made.OperatorsName = ""
    made.Manufacturer, made.ManufacturerModelName = maker.program, as_lo(maker.bundle)
    made.SoftwareVersions = [maker.version, as_lo(f"{REVISION}{maker.bundle_version}")]
    made.DeviceSerialNumber = maker.manifest_sha256[:64]
    made.StructureSetLabel = "SEGMENTATION"
    made.StructureSetName = made.SeriesDescription
    made.StructureSetDescription = maker.remark(ST)
    complete(made, source, dated=("StructureSet",))
    made.InstanceNumber, made.ApprovalStatus = 1, "UNAPPROVED"
    made.ReferencedFrameOfReferenceSequence = Items([_referenced_frame(source)])
    colours = colours_of(label_set)
    rois = [(number, name, colours[name]) for name, number in found.ids.items()]
    made.StructureSetROISequence = Items(_roi(number, name, source, maker) for number, name, _ in rois)
    made.ROIContourSequence = Items(
        _contours(number, colour, source, labels, np.flatnonzero(found.in_slices[:, number]).tolist())
        for number, _, colour in rois
    )
    made.RTROIObservationsSequence = Items(_observation(number, name) for number, name, _ in rois)
    return made


def _file(sop_class: UID) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = sop_class, generate_uid()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = sop_class
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    # Explicit VR has 16 bits for the length of numbers: a longer outline (of 64 KiB) would get the type UN,
    # by which readers lose its structure.
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return made


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


def _referenced(source: SourceSeries, z: int) -> Dataset:
    """A slice, as other objects refer to it."""
    header = source.header_of[z]
    item = _item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
    if source.is_one_file:
        item.ReferencedFrameNumber = source.images[z].frame + 1
    return item


def _referenced_frame(source: SourceSeries) -> Dataset:
    first = source.first
    series = _item(
        SeriesInstanceUID=first.SeriesInstanceUID,
        ContourImageSequence=Items(_referenced(source, z) for z in range(len(source.images))),
    )
    study = _item(
        ReferencedSOPClassUID=STUDY,
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=Items([series]),
    )
    return _item(FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=Items([study]))


def _roi(number: int, name: str, source: SourceSeries, maker: Maker) -> Dataset:
    return _item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=source.first.FrameOfReferenceUID,
        ROIName=as_lo(name),
        ROIGenerationAlgorithm="AUTOMATIC",
        ROIGenerationDescription=as_lo(f"{maker.name[:50]} {maker.manifest_sha256[:12]}"),
    )


def _contours(
    number: int, colour: str, source: SourceSeries, labels: U8, in_slices: Iterable[int]
) -> Dataset:
    return _item(
        ReferencedROINumber=number,
        ROIDisplayColor=[int(colour[at : at + 2], 16) for at in (1, 3, 5)],
        ContourSequence=Items(_outlines(number, source, labels, in_slices)),
    )


def _outlines(number: int, source: SourceSeries, labels: U8, in_slices: Iterable[int]) -> Iterable[Dataset]:
    """The outlines of a structure in the slices that hold it."""
    for z in in_slices:
        origin, along_row, along_column = source.pixel_to_world(z)
        for corners in outlines(labels[z] == number):
            world = origin + corners[:, :1] * along_row + corners[:, 1:] * along_column
            outline = _item(
                ContourImageSequence=Items([_referenced(source, z)]),
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(corners),
            )
            outline[CONTOUR_DATA] = _numbers(CONTOUR_DATA, world)
            yield outline


def _numbers(tag: BaseTag, values: F64) -> DataElement:
    """An element of decimal strings, as one text: an object for each number would take a gigabyte."""
    text = "\\".join(f"{value:.{DECIMALS}f}" for value in values.ravel().tolist())
    return DataElement(tag, "DS", text, already_converted=True)


def _observation(number: int, name: str) -> Dataset:
    known = codes_of(name)
    kind = _coded(known.type)
    if known.side is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = Items([_coded(known.side)])  # As PS3.3 C.8.8.8 asks.
    observation = _item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        RTROIInterpretedType="ORGAN" if known.category == ANATOMY else "",
        ROIInterpreter="",
        RTROIIdentificationCodeSequence=Items([kind]),
    )
    if len(name) <= LABEL:  # The name stands in the ROI too, whole.
        observation.ROIObservationLabel = as_lo(name)
    return observation


def _coded(code: Code) -> Dataset:
    return _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme, CodeMeaning=code.meaning)
