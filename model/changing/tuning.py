"""How a bundle is run, changed after it was made: fields of its manifest that no network depends on."""

import json
from collections.abc import Sequence
from typing import Any

from model.manifest.document import Manifest
from model.manifest.window import FixedWindow
from model.model_errors import BundleError
from model.schema import SchemaError, dump, parse

OF_MEMBERS = ("tiling", "window")
"""Fields of every member that may change."""
OF_ALL = ("preprocessing", "restoration", "postprocessing", "fusion")
"""Fields of the whole manifest that may change."""


def tuned(manifest: Manifest, overrides: Sequence[str]) -> Manifest:
    """The manifest with some fields replaced.

    Args:
        manifest: left as it is.
        overrides: `field=value` with a value in JSON, e.g. `tiling.overlap=0.25`, for every member, or
            `preprocessing.resampling={"kind": "linear"}`.

    Raises:
        BundleError: a field may not change, or a value is faulty.
    """
    document = dump(manifest)
    for override in overrides:
        name, equals, text = override.partition("=")
        root = name.partition(".")[0]
        if not equals or root not in (*OF_MEMBERS, *OF_ALL):
            may = ", ".join((*OF_MEMBERS, *OF_ALL))
            raise BundleError(f"--set {override}: must read field=value with a field of {may}")
        if root == "window":
            _check_free(manifest, override)
        for part in document["members"] if root in OF_MEMBERS else [document]:
            _put(part, name.split("."), _value(text), override)
    try:
        return parse(Manifest, document)
    except SchemaError as error:
        raise BundleError(f"--set: {error}") from error


def _check_free(manifest: Manifest, override: str) -> None:
    """Refuse to choose windows of networks that take one alone."""
    for member in manifest.members:
        if isinstance(member.window, FixedWindow):
            size = "×".join(map(str, member.window_zyx))
            raise BundleError(
                f"--set {override}: {member.file} was made for windows of {size} voxels alone, so there is "
                "none to choose; make it again for any: `import nnunet --any-window`, or "
                "inference.any_window in the recipe that it is exported by"
            )


def _put(document: dict[str, Any], path: Sequence[str], value: object, override: str) -> None:
    *parents, last = path
    for parent in parents:
        below = document.setdefault(parent, {})
        if not isinstance(below, dict):
            raise BundleError(f"--set {override}: {parent} has no fields")
        document = below
    document[last] = value


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
