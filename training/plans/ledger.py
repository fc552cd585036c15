"""Which steps of a plan are done: `steps/NAME.json` in the folder of the plan's results.

A step is noted before it begins and when it is done, with what it depends on. What was begun goes on, what is
done is left alone, and what depends on something else than it did then is stale.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from model.schema import SchemaError, parse
from training.plans.step_hashes import Parts
from training.pseudo_labels.whole_folder import unfinished
from training.training_errors import PlanError
from training.whole_files import read_json, write_json

NOTES = "steps"


@dataclass(frozen=True, kw_only=True)
class Note:
    """The whole of a step's file."""

    done: bool
    parts: Parts
    """What it depends on."""
    command: tuple[str, ...] = ()
    """What follows `python`."""
    seconds: float | None = None
    """How long the call took that completed it."""


@dataclass(frozen=True, kw_only=True)
class StepState:
    """How far a step is."""

    word: str
    """`done`, `begun`, `to do` or `stale`."""
    why: str = ""
    """What has changed, where it is stale."""

    def __str__(self) -> str:
        return f"{self.word} ({self.why})" if self.why else self.word


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The notes on the steps of a plan."""

    folder: Path
    """Of the plan's results; a step's own lie in a folder of its name in it."""

    def result(self, name: str) -> Path:
        """Where the results of a step lie."""
        return self.folder / name

    def state(self, name: str, parts: Parts) -> StepState:
        """How far a step is.

        Args:
            name: of the step.
            parts: what it depends on now.
        """
        note = self._read(name)
        if note is None:
            if self.result(name).exists():
                return StepState(word="stale", why="made by something else")
            return StepState(word="to do")
        changed = [part for part in {**note.parts, **parts} if note.parts.get(part) != parts.get(part)]
        if changed and not note.done and not self._has_written(name):
            return StepState(word="to do")  # It failed at once, e.g. for a fault of its recipe, now mended.
        if changed:
            return StepState(word="stale", why=f"{', '.join(changed)} changed")
        if not note.done:
            return StepState(word="begun")
        return StepState(word="done") if self.result(name).exists() else StepState(word="to do")

    def note(self, name: str, note: Note) -> None:
        """Write a note, in the place of the one that was there, at once."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, note)

    def forget(self, name: str) -> None:
        """Remove the results of a step, and take it for one that was never begun."""
        for path in [self.result(name), *self.folder.glob(f".{name}.*")]:
            shutil.rmtree(path, ignore_errors=True)
        self._path(name).unlink(missing_ok=True)

    def clear_scratch(self, name: str) -> None:
        """Remove what a killed call left beside a step's results, but not what the next call goes on with."""
        for path in self.folder.glob(f".{name}.*"):
            if path.name != unfinished(self.result(name)).name:
                shutil.rmtree(path, ignore_errors=True)

    def _has_written(self, name: str) -> bool:
        return self.result(name).exists() or any(self.folder.glob(f".{name}.*"))

    def _read(self, name: str) -> Note | None:
        path = self._path(name)
        if not path.is_file():
            return None
        try:
            return parse(Note, read_json(path))
        except (OSError, ValueError, SchemaError) as error:
            raise PlanError(f"{path}: is damaged ({' '.join(str(error).split())}); delete it") from error

    def _path(self, name: str) -> Path:
        return self.folder / NOTES / f"{name}.json"
