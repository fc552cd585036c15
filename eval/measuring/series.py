"""Many cases in new containers of one or several images: their order, what is done already, what is written.

Several images are run in a shuffled order of image and case, so that a disk cache that the run before has
warmed favours none of them. A run that was interrupted goes on where it stopped, if it is still the same run.
"""

import hashlib
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eval.eval_errors import JudgingError
from eval.files import file_sha256, read_csv
from eval.measuring.container_process import ContainerOptions
from eval.measuring.container_run import ContainerCase, output_name, run_case
from eval.measuring.docker_client import PREFIX, hides_exit_codes, remove_containers
from eval.measuring.efficiency import CaseEfficiency, Status, of_runs
from eval.measuring.efficiency_table import CT_SHA256, STATUS, efficiency_row, write_rows
from eval.measuring.trace import write_trace
from eval.provenance import beside, provenance, read_provenance, write_provenance
from eval.scoring.columns import NAME

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
SHUFFLE_SEED = 20220101
IMAGE_MARK = "{image}"
"""Stands for an image's name in the paths of several images."""
NEWER_SETTINGS = ("max_gpu", "input", CT_SHA256, "disk_limit_mb")
"""What older tables do not have beside them."""
REPEATS = "repeats"


def short_name(image: str) -> str:
    """Name of an image without its registry and tag.

    >>> short_name("registry.org:5000/flare/team:latest")
    'team'
    """
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def drop_disk_cache(path: Path = DROP_CACHES) -> str:
    """Empty the system's disk cache, so that an image is read from disk; returns why it could not be done."""
    try:
        os.sync()
        path.write_text("3", encoding="ascii")
    except OSError as error:
        return f"the disk cache cannot be emptied here ({error.strerror})"
    return ""


@dataclass
class Series:
    """The containers of one image."""

    options: ContainerOptions
    """Options of its containers."""
    images: Sequence[Path]
    """The CTs."""
    output: Path
    """Folder of the label maps."""
    results: Path
    """The efficiency table."""
    repeats: int = 1
    """How often each case is run."""
    rows: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Name of a label map to its row, of the cases that have been run."""
    digest: str = ""
    """Id of the image, as soon as docker was asked."""
    resumed: bool = False
    """Whether an interrupted run goes on, so that what it has left is kept."""
    changed: list[Path] = field(default_factory=list)
    """CTs that are others than those that the interrupted run has run, and are run anew."""
    _ct_sha256: dict[str, str] = field(default_factory=dict)
    """Name of a label map to the SHA-256 of the CT that it is of."""
    _origin: dict[str, Any] = field(default_factory=dict)
    """What stands beside the table."""

    @property
    def folder(self) -> Path:
        """Where the logs and traces of the cases are."""
        return self.results.with_name(f"{self.results.stem}_cases")

    @property
    def written(self) -> list[Path]:
        """The files that must not exist, unless they may be replaced."""
        return [
            self.results,
            beside(self.results),
            *(self.output / output_name(image) for image in self.images),
        ]

    @property
    def _settings(self) -> dict[str, Any]:
        options = self.options
        return {
            "image": options.image,
            "digest": self.digest,
            "memory": options.memory,
            "memory_swap": options.memory_swap,
            "cpus": options.cpus,
            "gpu": options.gpu,
            "official_command": options.official,
            "limit_s": options.limit_s,
            "disk_limit_mb": options.disk_limit_mb,
            "labels": options.labels.name,
            "max_gpu": "stable" if options.stable_gpu_peak else "highest",
            "input": self._input,
            REPEATS: self.repeats,
        }

    @property
    def _input(self) -> str:
        """Folder of the CTs as seen from the table, so that it is the same from any working folder."""
        return Path(
            os.path.relpath(self.images[0].parent.resolve(), self.results.parent.resolve())
        ).as_posix()

    @property
    def _prefix(self) -> str:
        """What the names of its containers begin with, in all runs that write the same table."""
        return f"{PREFIX}-{hashlib.sha256(bytes(self.results.resolve())).hexdigest()[:12]}"

    def remove_left(self) -> list[str]:
        """Remove containers that a run that was killed has left behind; returns their names.

        Raises:
            JudgingError: docker does not remove one.
        """
        return remove_containers(self._prefix)

    def meet(self, digest: str) -> None:
        """Take note of what docker says of the image."""
        self.digest = digest
        if self.options.official and hides_exit_codes(self.options.image):
            self.options = replace(self.options, hides_exit_codes=True)

    def begin(self) -> None:
        """Make the folders and write where the table comes from; a new run removes the old one's files.

        The row of a CT that has changed goes before the new CT's checksum comes.
        """
        self.folder.mkdir(exist_ok=True)
        if not self.resumed:
            self._remove_old()
        elif self.changed:
            self._write_table()
        self._origin = provenance(**self._settings, **{CT_SHA256: self._ct_sha256})
        write_provenance(self.results, self._origin)

    def _remove_old(self) -> None:
        """Remove what an earlier run left of these cases, so that `--resume` cannot take it for this run's.

        The table goes first, and the new provenance comes last: wherever this is interrupted, the old
        provenance stands beside no row at all.
        """
        self.results.unlink(missing_ok=True)
        for output in (self.output / output_name(image) for image in self.images):
            for path in (output, self._log(output), self._trace(output)):
                path.unlink(missing_ok=True)

    def _log(self, output: Path) -> Path:
        return self.folder / f"{output.name.removesuffix('.nii.gz')}.log"

    def _trace(self, output: Path) -> Path:
        return self.folder / f"{output.name.removesuffix('.nii.gz')}.trace.csv"

    def go_on(self) -> list[str]:
        """Take over the cases that an interrupted run has finished.

        Returns:
            Names of settings that the interrupted run, of an older version, did not write down; they are
            taken to be the same. Cases of which the CT has changed are in `changed`.

        Raises:
            JudgingError: that was another run, or its table cannot be read.
        """
        self.resumed = True
        before = read_provenance(self.results)
        if before is None:
            if self.results.exists():
                raise JudgingError(
                    f"{self.results}: nothing beside it says how it was made; run without --resume"
                )
            return []
        before.setdefault(REPEATS, 1)  # Older tables, which do not say so, are of one run each.
        unsaid = [name for name in NEWER_SETTINGS if name not in before]
        for name, value in self._settings.items():
            if name not in unsaid and before.get(name) != value:
                raise JudgingError(
                    f"{self.results}: was made with {name} {before.get(name)}, not {value}; --resume goes "
                    "on with the same run, another one needs another table"
                )
        if self.results.exists():
            _, rows = read_csv(self.results)
            self.rows = {row[NAME]: row for row in rows if self._is_whole(row)}
        self._compare_cts(before.get(CT_SHA256))
        return unsaid

    def _compare_cts(self, before: Mapping[str, str] | None) -> None:
        """Take over the cases only of which the CTs are still the same; without checksums all are taken."""
        self._ct_sha256 = dict(before or {})
        for image in self.images:
            name = output_name(image)
            if name not in self.rows:
                continue
            now = file_sha256(image)
            if before is not None and before.get(name) != now:
                self.changed.append(image)
                del self.rows[name]
            self._ct_sha256[name] = now

    def _is_whole(self, row: Mapping[str, str]) -> bool:
        return row[STATUS] != Status.OK or (self.output / row[NAME]).is_file()

    def left(self) -> list[Path]:
        """The CTs that have not been run."""
        return [image for image in self.images if output_name(image) not in self.rows]

    def run(self, image: Path, make_ready: Callable[[], None]) -> CaseEfficiency:
        """Run a case as often as it is to be run, and write the table again.

        Kept are the label map and the log of the last run, and the trace of the one that the row is of. No
        further run comes after one that failed, or whose container may still be running.

        Args:
            image: its CT.
            make_ready: called before each run.
        """
        output = self.output / output_name(image)
        self._ct_sha256[output.name] = file_sha256(image)
        write_provenance(self.results, self._origin)
        case = ContainerCase(image=image, output=output, log=self._log(output))
        runs: list[CaseEfficiency] = []
        while len(runs) < self.repeats:
            output.unlink(missing_ok=True)
            make_ready()
            runs.append(run_case(case, replace(self.options, prefix=self._prefix)))
            if runs[-1].status is not Status.OK or runs[-1].left_container:
                break
        result = of_runs(runs)
        write_trace(self._trace(output), result.trace)
        self.rows[result.name] = efficiency_row(result)
        self._write_table()
        return result

    def _write_table(self) -> None:
        names = [output_name(each) for each in self.images]
        write_rows(self.results, [self.rows[name] for name in names if name in self.rows])


def in_order(series: Sequence[Series]) -> list[tuple[Series, Path]]:
    """What is to be run, one after the other: shuffled, if there are several images."""
    pairs = [(each, image) for each in series for image in each.left()]
    if len(series) > 1:
        random.Random(SHUFFLE_SEED).shuffle(pairs)
    return pairs
