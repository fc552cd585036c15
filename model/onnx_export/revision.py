"""Which version of this program makes a bundle."""

import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def git_revision() -> str:
    """Commit of the source that is running, or `unknown` where there is no git."""
    call = ["git", "rev-parse", "HEAD"]
    folder = Path(__file__).parent
    try:
        found = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return found.stdout.strip()
