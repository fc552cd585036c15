"""Calls of the entry point, in this process or in one of its own, and what they leave behind."""

import hashlib
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import predict
from tests.inference.bundles import abdomen, hu
from tests.inference.images import write_nifti

SPACING = (1.0, 1.5, 2.5)
OF_SMALL_IMAGES = ("from feet to head", "look at the result", "where a CT has", "as a label")
"""What is also said of the images of these tests, which show a body of a few centimetres."""


@contextmanager
def open_folder():
    """A temporary folder where every user may go, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def write_case(path):
    return write_nifti(path, hu(abdomen()), spacing=SPACING)


def told(err):
    """The lines on stderr, without those that any small image is told of."""
    return [line for line in err.splitlines() if not any(words in line for words in OF_SMALL_IMAGES)]


def call(bench, bundle, *options):
    output = () if "--output" in options else ("--output", str(bench / "outputs"))
    return predict.main(["--input", str(bench / "inputs"), *output, "--bundle", str(bundle), *options])


def start(command, cwd, **options):
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **options,
    )


def run(command, cwd, **options):
    process = start(command, cwd, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def listing(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
