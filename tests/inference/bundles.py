"""Bundles whose network tells structures by their HU alone, and images that show each in its own HU."""

import numpy as np

from model.bundle import write_bundle
from model.labels import FLARE23
from model.manifest.document import Input, Manifest, Provenance
from model.manifest.intensity import WindowIntensity
from model.manifest.network import Localization, Member
from model.manifest.output import Output
from model.manifest.window import AnyWindow
from tests.inference.fakes import with_tiling
from tests.inference.onnx_files import bands, write

CHANNELS = ("background", "liver", "kidney", "aorta", "tumor")
"""Channel c shows at LOWER_HU + 100 * c HU."""
LOWER_HU, UPPER_HU = -250.0, 250.0
WINDOW = (8, 16, 16)
INTENSITY = WindowIntensity(lower=LOWER_HU, upper=UPPER_HU)
CT = Input(name="CT", modality="CT", intensity=INTENSITY)
THRESHOLDS = np.array([0.1, 0.3, 0.5, 0.7], np.float32)
OUTPUT = Output(
    label_set="flare23",
    labels=dict(FLARE23.ids),
    channels=CHANNELS,
    pairs=FLARE23.pairs,
    lesions=FLARE23.lesions,
)
PROVENANCE = Provenance(recipe="none", git_revision="none", data="none", licence="none", intended_use="tests")


def hu(labels):
    """Image (int16) of a FLARE23 label map."""
    channel = {"liver": 1, "right kidney": 2, "left kidney": 2, "aorta": 3, "tumor": 4}
    table = np.full(256, LOWER_HU, np.int16)
    for structure, index in channel.items():
        table[FLARE23.ids[structure]] = LOWER_HU + 100 * index
    return table[labels]


def member(**changes):
    """A member; fields of its tiling may be given like its own."""
    common = {
        "file": "member.onnx",
        "spacing_zyx_mm": (2.5, 1.5, 1.0),
        "window_zyx": WINDOW,
    }
    return Member(**(common | with_tiling(changes)))


def localization(**changes):
    common = {
        "file": "roi.onnx",
        "spacing_zyx_mm": (4.0, 4.0, 4.0),
        "window_zyx": WINDOW,
        "margin_mm": 5.0,
    }
    return Localization(**(common | changes))


def make_bundle(folder, members=None, thresholds=THRESHOLDS, make=bands, **changes):
    """A bundle of bands networks; every network's file is written for its own window and axes, or for any.

    `make` gives the members' networks from shape and thresholds.
    """
    members = tuple(members or [member()])
    channels = len(changes.get("inputs", (CT,)))

    def write_files(staged):
        for network in (*members, *filter(None, [changes.get("localization")])):
            any_window = isinstance(network.window, AnyWindow)
            shape = (1, channels, *(("first", "second", "third") if any_window else network.input_shape))
            localizes = isinstance(network, Localization)
            model = bands(shape, thresholds[:1]) if localizes else make(shape, thresholds)
            for file in network.files.values():
                write(model, staged, file)

    def make_manifest(files):
        common = {
            "name": "bands",
            "inputs": (CT,),
            "output": OUTPUT,
            "members": members,
            "provenance": PROVENANCE,
            "files": files,
        }
        return Manifest(**(common | changes))

    return write_bundle(folder, write_files, make_manifest)


def abdomen(size=(12, 40, 48)):
    """A canonical label map (z, y, x): liver with a tumor on the right, two kidneys, aorta in the middle."""
    labels = np.zeros(size, np.uint8)
    depth, height, width = size
    for structure, (y0, y1), (x0, x1), (z0, z1) in (
        ("liver", (0.2, 0.5), (0.1, 0.45), (0.3, 0.9)),
        ("right kidney", (0.6, 0.8), (0.15, 0.3), (0.1, 0.6)),
        ("left kidney", (0.6, 0.8), (0.7, 0.85), (0.2, 0.7)),
        ("aorta", (0.6, 0.72), (0.47, 0.55), (0.0, 1.0)),
        ("tumor", (0.3, 0.4), (0.2, 0.3), (0.5, 0.7)),
    ):
        where = (
            slice(int(z0 * depth), max(int(z0 * depth) + 1, round(z1 * depth))),
            slice(round(y0 * height), round(y1 * height)),
            slice(round(x0 * width), round(x1 * width)),
        )
        labels[where] = FLARE23.ids[structure]
    return labels
