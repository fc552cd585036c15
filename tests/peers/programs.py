"""The Python that has nnU-Net and MONAI, and how the tests start programs."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.places import ROOT

PEERS = Path(os.environ.get("LEANSEG_PEERS_PYTHON", ROOT / ".venv-peers/bin/python"))
NEED_PEERS = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not PEERS.exists(), reason="nnU-Net is not installed (make peers does it)"),
]


def call(*words):
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
