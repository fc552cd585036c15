"""LeanSeg from Python, in four lines and a look at what is doubtful.

    bundle = load_bundle(EMBEDDED_BUNDLE)
    volume = read_volume("ct_0000.nii.gz")
    segmented = Predictor(bundle).predict(volume)
    write_labels("ct.nii.gz", segmented.labels, volume.geometry)
    print(segmented.doubts, volume.warnings, segmented.warnings)

A case of several channels is a file or a folder for each, on one grid, in the order of the bundle's inputs:

    volume = read_volume("t1.nii.gz", "t2.nii.gz", bundle=bundle)

Arrays in memory are (z, y, x), their further channels stand in `Volume.further`. Where they lie is said in
LPS: millimetres towards the patient's left, posterior and superior. SimpleITK has both so:

    image = SimpleITK.ReadImage("ct_0000.nii.gz")
    volume = Volume(
        array=SimpleITK.GetArrayFromImage(image),
        geometry=Geometry(
            size_zyx=image.GetSize()[::-1],
            spacing_zyx_mm=image.GetSpacing()[::-1],
            origin_xyz_mm=image.GetOrigin(),
            direction=image.GetDirection(),
        ),
    )

nibabel's arrays are (x, y, z) and its world is RAS (right, anterior, superior):

    image = nibabel.load("ct_0000.nii.gz")
    affine = numpy.diag([-1, -1, 1, 1]) @ image.affine
    spacing_xyz_mm = numpy.linalg.norm(affine[:3, :3], axis=0)
    array = numpy.asarray(image.dataobj).T
    geometry = Geometry(
        size_zyx=array.shape,
        spacing_zyx_mm=tuple(spacing_xyz_mm[::-1]),
        origin_xyz_mm=tuple(affine[:3, 3]),
        direction=tuple((affine[:3, :3] / spacing_xyz_mm).ravel()),
    )
    volume = Volume(array=array, geometry=geometry)

The labels are (z, y, x) on the same grid. A run stays within a budget, that of the host in MiB and that of
the GPU, or is refused (without one, within what the machine has free, 8192 MiB at most); images that wait
for their turn are not counted:

    predictor = Predictor(bundle, budget=Budget(host_mb=4000, gpu_mb=4096))

One `Predictor` keeps its networks from case to case, and threads may share it: its calls wait for each other,
and each has all the processor's threads for itself. The end of the block gives the networks' memory back:

    with Predictor(bundle) as predictor, ThreadPoolExecutor(2) as threads:
        first, second = threads.map(predictor.predict, [volume, other])

What is given as `progress` is told of each window, and ends the case by an exception of its own:

    def progress(done: int, most: int) -> None:
        print(f"{done} of {most} windows")
        if user_has_cancelled():
            raise Cancelled  # an exception of yours

    predictor.predict(volume, progress=progress)

What a user can mend is raised as one of these; the message is one line for them:

    LeanSegError        the next five; itself: predict, where a network gave no usable numbers
    ├── InputError      read_volume: the image cannot be read; predict: it is doubtful, with `strict_input`
    ├── BudgetError     predict: the memory budget is too small, and what would do
    ├── DeviceError     Predictor, predict: the device is not there, does not work, or has too little memory
    ├── OutputError     write_labels: the file cannot be written
    └── BundleError     load_bundle: no bundle there, or a faulty or altered one; a `ValueError` too

Any other exception is a fault of the call (such as labels that do not lie on the grid, a `ValueError`) or of
the program.

Importing this module puts the folder of the programs first on `sys.path`, once.
"""

import sys

from leanseg.programs import importable

sys.path.insert(0, importable())

from inference.call import EMBEDDED_BUNDLE
from inference.errors import BudgetError, DeviceError, InputError, OutputError
from inference.geometry import Geometry
from inference.imaging.reading import read_volume
from inference.imaging.volume import Volume
from inference.imaging.writing import write_labels
from inference.planning.plan import Budget
from inference.predictor import Predictor
from model.bundle import load_bundle
from model.model_errors import BundleError, LeanSegError

__all__ = [
    "EMBEDDED_BUNDLE",
    "Budget",
    "BudgetError",
    "BundleError",
    "DeviceError",
    "Geometry",
    "InputError",
    "LeanSegError",
    "OutputError",
    "Predictor",
    "Volume",
    "load_bundle",
    "read_volume",
    "write_labels",
]
