"""The contract between training and inference: a folder with `manifest.json` and ONNX files.

Reading a bundle executes nothing: JSON is parsed against a schema, ONNX files are opened only after their
SHA-256 has been found right. Writing builds the folder beside its destination and renames it, so that a
half-written bundle is never seen.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from model.manifest import Manifest, Network
from model.schema import SchemaError, dump, parse

MANIFEST = "manifest.json"


class BundleError(ValueError):
    """A bundle is missing, its manifest is faulty, or a file was altered.

    The message is one line for the user.
    """


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

    @property
    def sha256(self) -> str:
        """One hash for the whole bundle: of the manifest, which holds those of all files."""
        return file_sha256(self.folder / MANIFEST)


def load_bundle(folder: Path) -> ModelBundle:
    """Read and verify a bundle.

    Raises:
        BundleError: no such folder, no or invalid `manifest.json` (the faulty field is named), or a file that
            is missing or does not have the hash stated.
    """
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder}: no bundle here ({MANIFEST} is missing); give its folder with --bundle"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: cannot be read as JSON ({error})") from error
    try:
        manifest = parse(Manifest, document)
    except SchemaError as error:
        raise BundleError(f"{path}: {error}") from error
    for file, digest in manifest.files.items():
        verify_file(folder / file, digest)
    return ModelBundle(folder=folder, manifest=manifest)


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
        OSError: the folder cannot be written, and a bundle that was there is still there; or it was, and the
            old one cannot be removed.
    """
    if folder.exists() and not (overwrite and (folder / MANIFEST).exists()):
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
        (staged / MANIFEST).write_text(
            json.dumps(dump(manifest), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
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
