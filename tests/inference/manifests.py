"""Manifests without files, for tests that need nothing else of a bundle."""

from model.manifest.document import Manifest
from tests.inference.bundles import CT, OUTPUT, PROVENANCE, member


def manifest(**changes):
    common = {
        "name": "none",
        "inputs": (CT,),
        "output": OUTPUT,
        "members": (member(),),
        "provenance": PROVENANCE,
    }
    return Manifest(**(common | {"files": {"member.onnx": "0" * 64}} | changes))
