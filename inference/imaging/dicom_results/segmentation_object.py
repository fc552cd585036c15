"""DICOM Segmentation (SEG): a label map as one binary segment for each structure that was found."""

from collections.abc import Sequence

import highdicom
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode
from pydicom.valuerep import format_number_as_ds

from inference.imaging.dicom_results.completing import complete
from inference.imaging.dicom_results.maker import LO, ST, Maker, as_lo
from inference.imaging.dicom_results.source_series import SourceSeries
from inference.imaging.dicom_results.structures_found import StructuresFound
from model.anatomic_codes import Code, codes_of
from model.arrays import U8
from model.colours import colours_of
from model.labels import LabelSet, look_up

SERIES_NUMBER = 3100
"""Number of the series that results make; high, so as not to be that of an image series."""


def segmentation_object(
    source: SourceSeries, labels: U8, label_set: LabelSet, found: StructuresFound, maker: Maker
) -> Segmentation:
    """A label map as a SEG that refers to the slices it was made from.

    Segments are numbered from 1 in the order of the label set's ids, those not found left out.

    Args:
        source: the series; its slices lie where they say, even if they are uneven.
        labels: (slices, rows, columns).
        label_set: what the labels mean.
        found: which of them are there; at least one, as a SEG needs.
        maker: the bundle.
    """
    table = np.zeros(256, np.uint8)
    for number, label_id in enumerate(found.ids.values(), start=1):
        table[label_id] = number
    made = Segmentation(
        source_images=list(source.headers),
        pixel_array=_frames(source, look_up(table, labels)),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(list(found.ids), label_set, maker),
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=maker.program,
        manufacturer_model_name=as_lo(maker.bundle),
        software_versions=maker.version,
        device_serial_number=maker.manifest_sha256[:64],
        series_description=maker.description("SEG"),
        content_label="SEGMENTATION",
        content_description=maker.remark(LO),
    )
    made.ImageComments = maker.remark(ST)
    complete(made, source, dated=("Content",))
    if len(source.images) > 1:
        # highdicom repeats what the slices say, which may be of before they were resampled.
        measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.SpacingBetweenSlices = format_number_as_ds(_between_slices_mm(source))
    return made


def _between_slices_mm(source: SourceSeries) -> float:
    """Mean distance of neighbouring slices' planes, as they say where they lie."""
    last = len(source.images) - 1
    first_mm, along_row, along_column = source.pixel_to_world(0)
    normal = np.cross(along_row, along_column)
    apart_mm = (source.pixel_to_world(last)[0] - first_mm) @ normal / np.linalg.norm(normal)
    return float(abs(apart_mm)) / last


def _frames(source: SourceSeries, segments: U8) -> U8:
    """Segment numbers in the order of the file's frames, where the slices are frames of one file."""
    if not source.is_one_file:
        return segments
    frames = np.zeros((int(source.first.NumberOfFrames), *segments.shape[1:]), np.uint8)
    frames[[image.frame for image in source.images]] = segments
    return frames


def _descriptions(found: Sequence[str], label_set: LabelSet, maker: Maker) -> list[SegmentDescription]:
    colours = colours_of(label_set)
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=as_lo(maker.bundle),
        family=codes.DCM.ArtificialIntelligence,
        version=as_lo(maker.bundle_version),
        source=maker.program,
        parameters={"manifest_sha256": maker.manifest_sha256},
    )
    descriptions = []
    for number, name in enumerate(found, start=1):
        known = codes_of(name)
        description = SegmentDescription(
            segment_number=number,
            segment_label=as_lo(name),
            segmented_property_category=_coded(known.category),
            segmented_property_type=_coded(known.type),
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            display_color=highdicom.color.CIELabColor.from_string(colours[name]),
        )
        if known.side is not None:
            side = highdicom.sr.CodedConcept.from_code(_coded(known.side))
            description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
                side
            ]
        descriptions.append(description)
    return descriptions


def _coded(code: Code) -> DicomCode:
    return DicomCode(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
