"""Which version of this program makes a bundle."""

import subprocess
from functools import cache
from pathlib import Path

UNKNOWN = "unknown"


@cache
def git_revision() -> str:
    """Commit of the source that is running, or `unknown` where there is no git.

    Git is asked once: what is running does not change, and a manifest is made twice, before the export and
    after it.
    """
    call = ["git", "rev-parse", "HEAD"]
    folder = Path(__file__).parent
    try:
        found = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return found.stdout.strip()
