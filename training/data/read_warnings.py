"""What readers found odd about files, gathered over a data set."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)


class ReadWarnings:
    """Warnings by file; safe to use from several threads."""

    def __init__(self) -> None:
        self._said: dict[Path, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def add(self, path: Path, warnings: Sequence[str]) -> None:
        """Take note of a file that was read; the first one with warnings is told at once.

        Args:
            path: the file, which may be read more than once.
            warnings: what its reader said, often nothing.
        """
        if not warnings:
            return
        with self._lock:
            is_first = not self._said
            self._said[path] = tuple(warnings)
        if is_first:
            # A run may take days until it counts the others.
            logger.warning("%s: read with a warning: %s", path, warnings[0])

    def tell(self) -> None:
        """Log how many files have warnings, and the first by its path; of one alone `add` said all."""
        with self._lock:
            said = dict(self._said)
        if len(said) > 1:
            first = min(said)
            logger.warning(
                "%d files were read with warnings, %s first: %s; `python -m training check` lists all",
                len(said),
                first,
                said[first][0],
            )
