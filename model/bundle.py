"""The contract between training and inference: a folder with `manifest.json` and ONNX files.

Reading a bundle executes nothing: JSON is parsed against a schema, ONNX files are opened only after their
SHA-256 has been found right. Writing builds the folder beside its destination and renames it, so that a
half-written bundle is never seen.
"""

import hashlib
import json
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

from leanseg.full_disk import REMEDY, is_full
from model.arrays import Zyx
from model.manifest.document import FORMAT_VERSION, Manifest
from model.manifest.network import Member, Network
from model.manifest.window import AnyWindow
from model.model_errors import BundleError, FullDiskError, NoBundleError
from model.onnx_header import FLOAT, OnnxFileError, OnnxHeader, OnnxValue, read_onnx_header
from model.schema import SchemaError, dump, parse

MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 16 << 20
FLOW = {"If", "Loop", "Scan", "SequenceMap"}
"""Operators that run parts of a graph as often as they like: a network without them ends."""
OPSETS = range(9, 25)
"""Versions of ONNX's operators that onnxruntime and OpenVINO both run."""


@dataclass(frozen=True, kw_only=True)
class ModelBundle:
    """A bundle whose manifest is valid and whose files have the hashes that it states."""

    folder: Path
    manifest: Manifest

    def path_of(self, network: Network) -> Path:
        """Path of a network's ONNX file."""
        return self.folder / network.file

    def fp16_path_of(self, network: Network) -> Path | None:
        """Path of the ONNX file that computes the network in fp16, if there is one."""
        return self.folder / network.fp16_file if network.fp16_file else None

    def read(self, path: Path) -> bytes:
        """The bytes of one of its files, with the hash that the manifest states at the time of reading.

        Raises:
            BundleError: the file was altered since the bundle was loaded, or is gone.
        """
        digest = self.manifest.files[path.relative_to(self.folder).as_posix()]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BundleError(f"{path}: cannot be read any more ({error.strerror})") from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise BundleError(f"{path}: was altered since the run began; start it again")
        return data

    @property
    def sha256(self) -> str:
        """One hash for the whole bundle: of the manifest, which holds those of all files."""
        return file_sha256(self.folder / MANIFEST)


def load_bundle(folder: str | PathLike[str]) -> ModelBundle:
    """Read and verify a bundle.

    Args:
        folder: with `manifest.json`.

    Raises:
        BundleError: no such folder, no or invalid `manifest.json` (the faulty field is named), or a file that
            is missing or does not have the hash stated.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    document = _document(folder, path)
    if isinstance(document, dict) and document.get("format_version") != FORMAT_VERSION:
        found = document.get("format_version", "missing")
        wanted = f"this release reads {FORMAT_VERSION}, is {found}"
        newer = isinstance(found, int) and found > FORMAT_VERSION
        remedy = "update LeanSeg" if newer else "make the bundle anew from its checkpoints"
        raise BundleError(f"{path}: format_version: {wanted}; {remedy}")
    try:
        manifest = parse(Manifest, document)
    except SchemaError as error:
        raise BundleError(f"{path}: {error}") from error
    return _verified(ModelBundle(folder=folder, manifest=manifest))


def replace_manifest(bundle: ModelBundle, manifest: Manifest) -> ModelBundle:
    """Give a bundle another manifest for the same files; the old one is there until the new one is.

    Raises:
        BundleError: the files are not what it says.
        OSError: it cannot be written.
    """
    changed = _verified(replace(bundle, manifest=manifest))
    partial = bundle.folder / f".{MANIFEST}.partial"
    partial.write_text(_text_of(manifest), encoding="utf-8")
    partial.replace(bundle.folder / MANIFEST)
    return changed


def _verified(bundle: ModelBundle) -> ModelBundle:
    for file, digest in bundle.manifest.files.items():
        _refuse_linked_folders(bundle.folder, file)
        verify_file(bundle.folder / file, digest)
    for where, network in bundle.manifest.networks().items():
        for file in network.files.values():
            verify_network(bundle.folder / file, where, network, bundle.manifest)
    return bundle


def _text_of(manifest: Manifest) -> str:
    return json.dumps(dump(manifest), indent=2, ensure_ascii=False) + "\n"


def _document(folder: Path, path: Path) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """The JSON of a manifest.

    Raises:
        BundleError: it is not there, is no regular file, is too large, or is no JSON.
    """
    try:
        if not stat.S_ISREG((status := path.stat()).st_mode):
            raise BundleError(f"{path}: is no regular file; fetch the bundle again")
        if status.st_size > MOST_MANIFEST_BYTES:
            raise BundleError(f"{path}: is larger than any manifest; fetch the bundle again")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoBundleError(
            f"{folder}: no bundle here ({MANIFEST} is missing); give the folder of a bundle"
        ) from error
    except NotADirectoryError as error:
        raise NoBundleError(f"{folder}: is a file; give the folder of a bundle") from error
    except BundleError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: cannot be read as JSON ({error})") from error


def verify_network(path: Path, where: str, network: Network, manifest: Manifest) -> None:
    """Hold what an ONNX file says of itself against the manifest.

    Args:
        path: of the file.
        where: place of the network in the manifest, e.g. `members[0]`.
        network: what the manifest says of it.
        manifest: says how many channels go in and come out.

    Raises:
        BundleError: inputs, outputs, shapes, types or opset are not what the manifest and the engine want.
    """
    try:
        header = read_onnx_header(path)
    except (OnnxFileError, OSError) as error:
        raise BundleError(f"{path}: {error}; fetch the bundle again") from error
    if header.external_data:
        raise BundleError(
            f"{path}: keeps weights in another file, which has no hash; save it as a single file"
        )
    check_graph(path, header)
    channels = len(manifest.inputs)
    _check_value(path, "input", header.inputs[0], channels, network.input_shape, where)
    classes = len(manifest.output.channels) if isinstance(network, Member) else None
    _check_value(path, "output", header.outputs[0], classes, network.input_shape, where)
    if isinstance(network.window, AnyWindow):
        _check_open(path, (header.inputs[0], header.outputs[0]), where)


def check_graph(path: Path, header: OnnxHeader) -> None:
    """Refuse a graph that no bundle can hold, whatever its manifest says.

    Raises:
        BundleError: its operators are of another version, or it has not one input and one output.
    """
    if header.opset not in OPSETS:
        known = f"{OPSETS.start} to {OPSETS.stop - 1}"
        raise BundleError(f"{path}: uses opset {header.opset}, this release runs {known}; export it again")
    if header.functions:
        raise BundleError(
            f"{path}: defines operators of its own ({', '.join(sorted(header.functions))}), which no network "
            "of a bundle needs; export it again with its functions inlined"
        )
    if foreign := sorted(op for op in header.operators if op in FLOW or "." in op):
        raise BundleError(
            f"{path}: uses {', '.join(foreign)}, which no network of a bundle needs; export it again"
        )
    if len(header.inputs) != 1 or len(header.outputs) != 1:
        found = f"{len(header.inputs)} inputs and {len(header.outputs)} outputs"
        raise BundleError(f"{path}: has {found}, a network of a bundle has one of each")


def _check_value(
    path: Path, what: str, value: OnnxValue, channels: int | None, window: Zyx, where: str
) -> None:
    """Refuse an input or output whose shape or type is not what the manifest says.

    None stands for any channels.
    """
    wanted = (1, channels, *window)
    fits = len(value.shape) == len(wanted) and all(
        side is None or want is None or side == want for side, want in zip(value.shape, wanted, strict=True)
    )
    if not fits:
        found = _by(value.shape)
        fields = "window_zyx, axes and inputs" if what == "input" else "window_zyx and output.channels"
        said = f"{where} in {MANIFEST} says {_by(wanted)}"
        raise BundleError(f"{path}: its {what} is {found}, {said}; set {fields} as the file has them")
    if value.element_type != FLOAT:
        raise BundleError(f"{path}: its {what} is not float32; export it again")


def _check_open(path: Path, values: tuple[OnnxValue, ...], where: str) -> None:
    """Refuse inputs or outputs of one window only where the manifest says that there are others."""
    for value in values:
        if any(side is not None for side in value.shape[2:]):
            raise BundleError(
                f"{path}: is for windows of {_by(value.shape[2:])}, {where}.window in {MANIFEST} says any; "
                "export it again, or leave out window"
            )


def _by(shape: tuple[int | None, ...]) -> str:
    return "×".join("any" if side is None else str(side) for side in shape)


def _refuse_linked_folders(folder: Path, file: str) -> None:
    """Refuse a file that a link among the folders on the way to it takes out of the bundle."""
    for part in (folder / parent for parent in PurePosixPath(file).parents):
        if part != folder and part.is_symlink():
            raise BundleError(
                f"{part}: is a link, on the way to a file of {MANIFEST}; fetch the bundle again"
            )


def verify_file(path: Path, digest: str) -> None:
    """Check one file of a bundle against its SHA-256.

    Raises:
        BundleError: the file is missing or has another hash.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise BundleError(f"{path}: named in {MANIFEST} but is no regular file; fetch the bundle again")
    try:
        found = file_sha256(path)
    except OSError as error:
        raise BundleError(
            f"{path}: named in {MANIFEST} but cannot be read ({error.strerror}); fetch the bundle again"
        ) from error
    if found != digest:
        raise BundleError(
            f"{path}: was altered (SHA-256 {found[:12]}…, {MANIFEST} says {digest[:12]}…); fetch the bundle "
            "again"
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_bundle(
    folder: Path,
    write_files: Callable[[Path], None],
    make_manifest: Callable[[Mapping[str, str]], Manifest],
    *,
    overwrite: bool = False,
) -> ModelBundle:
    """Write a bundle atomically.

    Args:
        folder: where the bundle shall lie.
        write_files: writes the bundle's ONNX files into the folder that it is given.
        make_manifest: makes the manifest, given each file's SHA-256 by its path in the bundle.
        overwrite: replace a bundle that is already there.

    Raises:
        BundleError: `folder` exists and `overwrite` is false, or exists and is not a bundle; or manifest and
            files do not fit together.
        FullDiskError: there is no room for it; a bundle that was there is still there.
        OSError: the folder cannot be written, and a bundle that was there is still there; or it was, and the
            old one cannot be removed.
    """
    try:
        return _written(folder, write_files, make_manifest, overwrite=overwrite)
    except OSError as error:
        if not is_full(error):
            raise
        full = folder if error.filename is None else error.filename
        raise FullDiskError(f"{full}: cannot be written ({error.strerror}); {REMEDY}") from error


def _written(
    folder: Path,
    write_files: Callable[[Path], None],
    make_manifest: Callable[[Mapping[str, str]], Manifest],
    *,
    overwrite: bool,
) -> ModelBundle:
    if folder.exists() and not (folder / MANIFEST).exists():
        raise BundleError(f"{folder}: is no bundle, so it is not replaced; choose another folder")
    if folder.exists() and not overwrite:
        raise BundleError(
            f"{folder}: already exists; choose another folder, or add --overwrite to replace a bundle"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        staged = Path(scratch) / folder.name
        staged.mkdir()
        write_files(staged)
        files = {
            path.relative_to(staged).as_posix(): file_sha256(path)
            for path in sorted(staged.rglob("*"))
            if path.is_file()
        }
        manifest = make_manifest(files)
        (staged / MANIFEST).write_text(_text_of(manifest), encoding="utf-8")
        bundle = load_bundle(staged)
        _put_in_place(staged, folder)
    return replace(bundle, folder=folder)


def _put_in_place(staged: Path, folder: Path) -> None:
    """Rename a folder to its destination.

    What lies there goes only when the new one is in its place, else it comes back.
    """
    if not folder.exists():
        staged.rename(folder)
        return
    # Beside the scratch folder and not in it, which is emptied on every way out.
    aside = staged.parent.with_name(f"{staged.parent.name}.replaced")
    folder.rename(aside)
    try:
        staged.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside)
