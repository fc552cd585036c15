"""What a cohort leaves behind: a label map and an outcome for every case, and a table of all outcomes.

    OUTPUT/patient_7/ct.nii.gz          the label map
    OUTPUT/patient_7/ct.seg.dcm         the same as a DICOM object, where that is asked for; written before it
    OUTPUT/patient_7/ct.outcome.json    what became of the case; written after the label map, and whole
    OUTPUT/outcomes.csv                 all of them, written at the end

A case has met its fate when its outcome is there. Two of the same case are impossible: they have one name.
What is done once more keeps the outcome that it had until it has another, in one step: so no figures are
lost, whoever is killed when.
"""

import csv
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path

from inference.cohort.cluster.fates import Fate, Task
from inference.cohort.cluster.storage import FAILURES, Storage, open_storage
from inference.errors import OutputError, reason
from inference.imaging.writing import LABELS_SUFFIX, holds_whole_labels, try_folder
from leanseg.atomic_files import TEMPORARY, sweep
from model.case_names import as_cell, printable

OUTCOME_SUFFIX = ".outcome.json"
TABLE = "outcomes.csv"
READ_AT_ONCE = 32
"""Outcomes that are read at a time for the table: behind URLs each takes a round trip."""
CHUNK = 1024
COLUMNS = ("case", "status", "reason", "tries", "worker", "seconds", "stages", "size_zyx", "spacing_zyx_mm")


@dataclass(frozen=True, kw_only=True)
class CohortResults:
    """The output folder of a cohort, local or behind a URL."""

    storage: Storage

    def check(self) -> None:
        """Make sure that results can be written, from where this runs.

        Raises:
            OutputError: they cannot.
        """
        try:
            if self.storage.is_local:
                folder = Path(self.storage.root)
                folder.mkdir(parents=True, exist_ok=True)
                try_folder(folder)
            else:
                name = f"{TEMPORARY}trial.tmp"
                self.storage.write(name, b"x")
                self.storage.files.rm_file(self.storage.at(name))
        except FAILURES as error:
            raise OutputError(
                f"{self.storage.location('')}: cannot be written ({reason(error)}); make it writable or give "
                "another folder with --output"
            ) from error

    def label_map(self, case: str) -> Path:
        """The local path of a case's label map, its folder made.

        Raises:
            OutputError: the folder cannot be made.
        """
        path = Path(self.storage.at(case + LABELS_SUFFIX))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path.parent}: cannot be made ({reason(error)})") from error
        return path

    def no_name_for(self, case: str) -> str:
        """Why no outcome can stand under a case's name, which is too long for files; empty if one can.

        The names of its other files are no longer than that of its outcome.
        """
        if self.longest_name_bytes is None:
            return ""
        *folders, last = (case + OUTCOME_SUFFIX).split("/")
        longest = max((*folders, last), key=lambda name: len(os.fsencode(name)))
        taken = len(os.fsencode(longest))
        if taken <= self.longest_name_bytes:
            return ""
        what = f"its outcome (*{OUTCOME_SUFFIX})" if longest == last else "its folder"
        return (
            f"{case}: the name of {what} would take {taken} bytes, and files here may take "
            f"{self.longest_name_bytes}; give the case a shorter name"
        )

    @cached_property
    def longest_name_bytes(self) -> int | None:
        """Bytes that the name of a file or a folder may take in the output folder, which is there.

        None where that is not known, as behind URLs.
        """
        if not self.storage.is_local:
            return None
        try:
            return os.pathconf(self.storage.root, "PC_NAME_MAX")
        except OSError:
            return None

    def put(self, case: str, label_map: Path, objects: Iterable[Path]) -> list[str]:
        """Bring what was written of a case on this machine into storage, the label map last.

        Args:
            case: its name.
            label_map: nothing is done where it was not written.
            objects: where they lie beside it, if they were written. Those of an earlier run go where they
                were not.

        Returns:
            The names of those that went.

        Raises:
            OSError, RuntimeError, ValueError, ImportError: the storage failed.
        """
        removed: list[str] = []
        if not label_map.exists():
            return removed
        for path in objects:
            name = case + path.name.removeprefix(label_map.name.removesuffix(LABELS_SUFFIX))
            if path.exists():
                self.storage.put(path, name)
            elif self.storage.files.exists(self.storage.at(name)):
                self.storage.files.rm_file(self.storage.at(name))
                removed.append(name.rpartition("/")[2])
        self.storage.put(label_map, case + LABELS_SUFFIX)
        return removed

    def record(self, fate: Fate) -> None:
        """Write a case's outcome beside its result.

        Raises:
            OutputError: it cannot be written.
        """
        name = fate.case + OUTCOME_SUFFIX
        try:
            self.storage.write(name, fate.to_json().encode())
        except FAILURES as error:
            raise self._refusal(name, error) from error

    def _refusal(self, name: str, error: Exception) -> OutputError:
        return OutputError(f"{self.storage.location(name)}: cannot be written ({reason(error)})")

    def fate_of(self, case: str) -> Fate | None:
        """A case's outcome; None where there is none that is whole."""
        try:
            return Fate.from_json(self.storage.read_text(case + OUTCOME_SUFFIX))
        except FAILURES:
            return None

    def standing(self, task: Task) -> Fate | None:
        """The outcome that a case has; None where there is none, or one that is to be replaced."""
        known = self.fate_of(task.case)
        return None if known is None or known.ended_unix_s == task.replaces_unix_s else known

    def settle(self, fate: Fate, task: Task) -> Fate:
        """Record a fate unless the case has one that stands: what was recorded first stands.

        A worker may outlive a driver that was killed for a while, and go on with what it has in hand. The
        reason of a failure says whether the label map of an earlier run is still there.

        Args:
            fate: what became of the case.
            task: the case as it was handed out.

        Returns:
            The one that stands.

        Raises:
            OutputError: it cannot be written.
        """
        known = self.standing(task)
        if known is None:
            fate = self.with_what_is_left(fate, task)
            self.record(fate)
        return known or fate

    def with_what_is_left(self, fate: Fate, task: Task) -> Fate:
        """The same; without a label map of its own, with the figures of one that is still there.

        A failure says that it is. It is not taken away: a whole label map is worth more than the try that
        failed after it.
        """
        label_map = fate.case + LABELS_SUFFIX
        if fate.status == "segmented" or fate.volumes_ml or not self._is_there(label_map):
            return fate
        before = None if task.replaces_unix_s is None else self.fate_of(task.case)
        if before is not None and before.volumes_ml:
            fate = fate.with_figures_of(before)
        if fate.status != "failed":
            return fate
        name = printable(label_map.rpartition("/")[2])
        return replace(fate, reason=f"{fate.reason}; {name} of an earlier run is still there")

    def _is_there(self, name: str) -> bool:
        try:
            return bool(self.storage.files.exists(self.storage.at(name)))
        except FAILURES:
            return False

    def earlier(self, beside: Sequence[str] = ()) -> "Earlier":
        """What earlier runs left.

        Args:
            beside: how the names of the files end that a case has beside its label map.
        """
        names = self.storage.names()

        def with_file(suffix: str) -> set[str]:
            return {name.removesuffix(suffix) for name in names if name.endswith(suffix)}

        label_maps = with_file(LABELS_SUFFIX)
        return Earlier(
            fates=with_file(OUTCOME_SUFFIX),
            label_maps=label_maps,
            complete=label_maps.intersection(*map(with_file, beside)),
            unfinished={
                name.rpartition("/")[0] for name in names if name.rpartition("/")[2].startswith(TEMPORARY)
            },
        )

    def sweep(self, folders: Iterable[str]) -> None:
        """Remove the unfinished files that killed runs left in folders."""
        for folder in folders:
            if self.storage.is_local:
                sweep(Path(self.storage.at(folder)))

    def has_whole_labels(self, case: str) -> bool:
        """Whether a case's label map, which is there, was written to its end; behind a URL it always was."""
        return not self.storage.is_local or holds_whole_labels(Path(self.storage.at(case + LABELS_SUFFIX)))

    def fates(self, cases: Sequence[str]) -> Iterator[Fate]:
        """The outcomes of cases, in their order; those that have none are left out."""
        waiting = iter(cases)
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            while chunk := list(islice(waiting, CHUNK)):
                read = map(self.fate_of, chunk) if self.storage.is_local else pool.map(self.fate_of, chunk)
                yield from (fate for fate in read if fate is not None)

    def write_table(self, fates: Iterable[Fate], structures: Sequence[str], name: str) -> None:
        """Write the table of all outcomes.

        Raises:
            OutputError: it cannot be written.
        """
        heads = (*COLUMNS, *(as_cell(f"{each}_ml") for each in structures), "doubts", "warnings", "images")
        with tempfile.TemporaryDirectory(prefix="leanseg-") as scratch:
            local = Path(scratch) / TABLE  # Not in memory: a million cases are 300 MB.
            with local.open("w", encoding="utf-8", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(heads)
                table.writerows(_row(fate, structures) for fate in fates)
            try:
                self.storage.put(local, name)
            except FAILURES as error:
                raise self._refusal(name, error) from error


def _row(fate: Fate, structures: Sequence[str]) -> tuple[object, ...]:
    """A line of the table, in the order of `COLUMNS`, volumes, doubts, warnings, images."""
    return (
        *(as_cell(fate.case), fate.status, as_cell(fate.reason)),
        *(fate.tries, as_cell(fate.worker), f"{fate.total_s:.2f}"),
        " ".join(f"{stage}={taken:.2f}" for stage, taken in fate.seconds.items()),
        "×".join(map(str, fate.size_zyx)),
        "×".join(f"{each:g}" for each in fate.spacing_zyx_mm),
        *(_ml(fate.volumes_ml.get(structure)) for structure in structures),
        *(as_cell("; ".join(fate.doubts)), as_cell("; ".join(fate.warnings)), as_cell(" ".join(fate.images))),
    )


def _ml(volume: float | None) -> str:
    return "" if volume is None else f"{volume:.2f}"


def table_name(part: tuple[int, int] | None) -> str:
    """`outcomes.csv`, or `outcomes-3-of-8.csv`."""
    return TABLE if part is None else TABLE.replace(".csv", f"-{part[0]}-of-{part[1]}.csv")


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """What earlier runs left in an output folder."""

    fates: set[str]
    """Cases that have an outcome."""
    label_maps: set[str]
    """Cases that have a label map."""
    complete: set[str]
    """Of these, cases that have all files that are asked for."""
    unfinished: set[str]
    """Folders with unfinished files."""

    def holds_results_of(self, fate: Fate) -> bool:
        """Whether all files are there that a case of this fate has; there are no DICOM objects of nothing."""
        if fate.status == "failed":
            return True
        found_nothing = fate.status == "segmented" and not any(fate.volumes_ml.values())
        return fate.case in (self.label_maps if found_nothing else self.complete)


def open_results(location: str) -> CohortResults:
    """The output folder at a local path or a URL.

    Raises:
        UsageError: the protocol is not known, or its package is not installed.
    """
    return CohortResults(storage=open_storage(location))
