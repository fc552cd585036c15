"""DICOM series with complete headers, lying in the world as a test asks."""

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SPACING_XYZ_MM = (0.75, 1.5, 4.0)
STRAIGHT = np.eye(3)
ORIGIN_MM = (-12.5, 30.0, -100.25)


def write_series(folder, size_zyx, axes=STRAIGHT, leave_out=()):
    """Slices of zeros.

    Args:
        folder: made for them.
        size_zyx: slices, rows, columns.
        axes: columns are the directions of a row (x), of a column (y), and from slice to slice (z).
        leave_out: elements that the headers lack.
    """
    folder.mkdir(parents=True)
    shared = {
        name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    }
    for z in range(size_zyx[0]):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, generate_uid()
        image.Modality, image.PatientID, image.PatientName = "CT", "p1", "Doe^Jane"
        image.PatientBirthDate = image.PatientSex = image.StudyID = image.AccessionNumber = ""
        image.StudyDate = image.StudyTime = image.ReferringPhysicianName = image.Manufacturer = ""
        image.SeriesNumber, image.InstanceNumber = 2, z + 1
        for name, uid in shared.items():
            setattr(image, name, uid)
        image.ImagePositionPatient = list(np.array(ORIGIN_MM) + axes[:, 2] * SPACING_XYZ_MM[2] * z)
        image.ImageOrientationPatient = [*axes[:, 0], *axes[:, 1]]
        image.PixelSpacing = [SPACING_XYZ_MM[1], SPACING_XYZ_MM[0]]
        image.SliceThickness = SPACING_XYZ_MM[2]
        image.Rows, image.Columns = size_zyx[1:]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation = 15, 1
        image.RescaleIntercept, image.RescaleSlope = 0, 1
        image.PixelData = np.zeros(size_zyx[1:], np.int16).tobytes()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for name in leave_out:
            if name in image:
                del image[name]
        # Named against the order of the slices, in which nothing may depend on.
        image.save_as(folder / f"{size_zyx[0] - z:03}.dcm", enforce_file_format="SOPInstanceUID" in image)
    return folder
