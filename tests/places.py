"""Where things lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
"""Real images, beside the project; tests that need them skip where they are not."""
