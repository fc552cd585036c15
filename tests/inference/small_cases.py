"""Small images through small bundles, in one call."""

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.predictor import Predictor
from tests.inference.bundles import make_bundle, member

ISOTROPIC = (1.5, 1.5, 1.5)


def volume_of(array, spacing=ISOTROPIC, further=(), **changes):
    geometry = Geometry(size_zyx=array.shape, spacing_zyx_mm=spacing, **changes)
    return Volume(array=array, geometry=geometry, further=further)


def predict(folder, volume, members=None, **changes):
    members = members or [member(spacing_zyx_mm=ISOTROPIC)]
    predictor = Predictor(make_bundle(folder, members, **changes), device="onnxruntime", threads=1)
    found = predictor.predict(volume)
    predictor.close()
    return found
