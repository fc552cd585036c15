"""The archive of a submission, as `docker save` writes it: whether it is whole, and what docker loads."""

import gzip
import re
import tarfile
import zlib
from pathlib import Path

from eval.measuring.container_log import complaint
from eval.measuring.docker_client import docker

LOAD_S = 1800.0
"""Longest wait for docker to load an archive."""
LOADED = re.compile(r"^Loaded image(?: ID|\(s\))?:(.+)$", re.MULTILINE)
"""Docker says it once for each name, some Podman once for all of them, with commas."""
REGISTRIES = ("localhost/", "docker.io/library/")
"""What Podman puts before a name that the user gave without a registry."""
GZIP = b"\x1f\x8b"
TAR, TAR_AT = b"ustar", 257
"""What stands in a tar's first block, and where."""
BLOCK = 512
CHUNK_BYTES = 1 << 20


def is_whole(archive: Path) -> bool:
    """Whether a tar, packed with gzip or not, reaches its own end; other files are docker's to judge.

    A tar ends with a block of zeros, without which a copy that broke off between two files looks complete.

    Raises:
        OSError: the file cannot be read.
    """
    with archive.open("rb") as raw:
        start = raw.read(BLOCK)
        packed = start.startswith(GZIP)
        if start and not packed and start[TAR_AT:].find(TAR) != 0:
            return True
        raw.seek(0)
        try:
            with (
                gzip.GzipFile(fileobj=raw) if packed else raw as stream,
                tarfile.open(fileobj=stream, mode="r:") as tar,
            ):
                for _ in tar:
                    pass
                stream.seek(tar.offset)
                ended = stream.read(BLOCK) == bytes(BLOCK)
                while stream.read(CHUNK_BYTES):  # To gzip's own checksum.
                    pass
        except (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError):
            return False
    return ended


def load(archive: Path) -> tuple[list[str], str]:
    """Let docker load an archive: the names that it gives to what it has loaded, or else why it has not.

    Raises:
        JudgingError: docker does not work.
    """
    loaded = docker("load", "-i", str(archive), patience_s=LOAD_S)
    names = [name.strip() for line in LOADED.findall(loaded.stdout) for name in line.split(",")]
    if loaded.returncode != 0 or not names:
        return [], complaint(loaded.stderr or loaded.stdout)
    return list(dict.fromkeys(names)), ""


def plain_name(name: str) -> str:
    """The name of an image as its user gave it.

    >>> [plain_name(name) for name in ("localhost/team:latest", "docker.io/library/team:v1", "lab/team:v1")]
    ['team:latest', 'team:v1', 'lab/team:v1']
    """
    return next((name.removeprefix(each) for each in REGISTRIES if name.startswith(each)), name)


def image_ids(names: list[str]) -> set[str]:
    """The images that some names stand for: several may be one image's.

    A name that docker does not know stands for itself.

    Raises:
        JudgingError: docker does not work.
    """
    told = {name: docker("image", "inspect", "--format", "{{.Id}}", name).stdout.strip() for name in names}
    return {found or name for name, found in told.items()}
