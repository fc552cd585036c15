"""File systems that are small, or can no longer be written."""

import subprocess
from contextlib import contextmanager

import pytest

from tests.end_to_end.calls import open_folder


@contextmanager
def mounted_disk(size):
    """A file system of this size, e.g. `24k`, in memory; only root may make one."""
    with open_folder() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        if mounted.returncode != 0:
            pytest.skip("no file system can be mounted here")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder, how):
    """Change a mounted file system, e.g. `ro` or `size=1m`; 0 where that was possible."""
    return subprocess.run(
        ["mount", "-o", f"remount,{how}", str(folder)], capture_output=True, check=False
    ).returncode
