"""The entry point on grand-challenge.org: one case from `/input`, its label map into `/output`.

The platform writes `/input/inputs.json`, a list with an entry for each input socket, of which an image lies
in the folder that the socket names; it expects the result in the folder of the output's socket, which nothing
in the container says: `--result` does. A model that was uploaded apart from the image lies in
`/opt/ml/model`.
"""

from leanseg.ending import end_at_once

if __name__ == "__main__":
    end_at_once()

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from inference.call import EMBEDDED_BUNDLE, Call
from inference.command import run
from inference.errors import UsageError, one_line, reason
from inference.imaging.metaimage_writing import write_metaimage
from inference.imaging.reading import image_suffix, read_volume
from leanseg.ending import is_ended, until_ended
from model.bundle import MANIFEST
from model.case_names import channel_stem
from model.model_errors import LeanSegError

RESULT = os.environ.get("LEANSEG_RESULT", "images/abdominal-organ-segmentation")
"""Folder of the output's socket; the image is built for one."""
SOCKETS = os.environ.get("LEANSEG_SOCKETS", "").split()
"""Sockets of the channels, in order, where there are several; the image is built for them."""
CASE = "case"
Socket = Mapping[str, str]
"""What the platform says of an input: `slug`, `super_kind`, `relative_path` and more."""


def main(argv: Sequence[str] | None = None) -> int:
    """Segment the case; the value is the exit code: 0 done, 1 the case failed, 2 the call is wrong."""
    arguments = _parse(argv)
    return until_ended(lambda: _told(arguments), told="error: {}")


def _told(arguments: argparse.Namespace) -> int:
    try:
        return _run(arguments)
    except LeanSegError as error:
        if is_ended():
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)  # noqa: T201 - no console exists here
        return error.exit_code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m inference.grand_challenge", description=__doc__)
    add = parser.add_argument
    add("--input", type=Path, default=Path("/input"), metavar="DIR")
    add("--output", type=Path, default=Path("/output"), metavar="DIR")
    add("--model", type=Path, default=Path("/opt/ml/model"), metavar="DIR", help="a bundle, if one is there")
    add(
        "--result", default=RESULT, metavar="FOLDER", help="the output socket's folder (default: %(default)s)"
    )
    add(
        "--socket",
        action="append",
        metavar="SLUG",
        help="of each channel, where there are several (default: those that the image was built for)",
    )
    return parser.parse_args(argv)


def _run(arguments: argparse.Namespace) -> int:
    images = [
        arguments.input / folder for folder in _image_folders(arguments.input, arguments.socket or SOCKETS)
    ]
    bundle = _bundle(arguments.model)
    with tempfile.TemporaryDirectory() as name:
        cases, results = Path(name) / "cases", Path(name) / "results"
        cases.mkdir()
        for channel, folder in enumerate(images):
            image = _image_in(folder)
            stem = channel_stem(CASE, channel)
            (cases / f"{stem}{image_suffix(image.name)}").symlink_to(image.resolve())
        code = run(Call(input=cases, output=results, bundle=bundle))
        if code:
            return code
        labels = read_volume(results / f"{CASE}.nii.gz")
        place = arguments.output / arguments.result
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{place}: cannot be made ({reason(error)}); make /output writable") from error
        write_metaimage(place / "output.mha", labels.array.astype("u1"), labels.geometry)
    return 0


def _image_folders(folder: Path, wanted: Sequence[str]) -> list[str]:
    """Folders of the sockets that are images, one for each channel.

    Raises:
        UsageError: the list cannot be read, or the sockets are not those that are wanted.
    """
    path = folder / "inputs.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        sockets = [_socket(entry) for entry in document]
        images = {each["slug"]: each["relative_path"] for each in sockets if _is_image(each)}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        said = reason(error) if isinstance(error, OSError) else one_line(error)
        raise UsageError(f"{path}: is not the platform's list of inputs ({said})") from error
    known = ", ".join(images) or "none"
    if not wanted and len(images) != 1:
        raise UsageError(
            f"{path}: has {len(images)} image sockets ({known}); name those to take with --socket"
        )
    missing = [slug for slug in wanted if slug not in images]
    if missing:
        raise UsageError(f"{path}: has no image socket {missing[0]}; it has {known}")
    return [images[slug] for slug in wanted or images]


def _socket(entry: Mapping[str, Socket]) -> Socket:
    """What an entry says of its socket, which was called interface before."""
    return entry["socket"] if "socket" in entry else entry["interface"]


def _is_image(socket: Socket) -> bool:
    """Whether a socket is an image: by its kind, or by its folder where the kind is not stated."""
    kind = socket.get("super_kind")
    return kind == "Image" or (kind is None and socket["relative_path"].startswith("images/"))


def _image_in(folder: Path) -> Path:
    """The one image in a socket's folder.

    Raises:
        UsageError: there is none, or there are several.
    """
    found = sorted(path for path in folder.glob("*") if image_suffix(path.name))
    if len(found) != 1:
        raise UsageError(f"{folder}: must hold one .mha image, holds {len(found)}")
    return found[0]


def _bundle(model: Path) -> Path:
    """The uploaded bundle, which may lie one folder down, as archives often have it; else the embedded one.

    Raises:
        UsageError: something was uploaded, but no bundle.
    """
    inside = (
        sorted(path for path in model.glob("*") if not path.name.startswith(".")) if model.is_dir() else []
    )
    if not inside:
        return EMBEDDED_BUNDLE
    for folder in (model, *inside):
        if (folder / MANIFEST).is_file():
            return folder
    raise UsageError(f"{model}: holds {inside[0].name}, but no {MANIFEST}; upload a bundle as a .tar.gz")


if __name__ == "__main__":
    sys.exit(main())
