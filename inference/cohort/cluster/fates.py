"""A case on its way through a cohort, and what became of it: plain values that travel between machines."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

FateStatus = Literal["segmented", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A case that is to be segmented."""

    case: str
    """Its name, which is also where its result lies in the output: `patient_7/2026-03/ct`."""
    images: tuple[str, ...]
    """Local path or URL of each channel, in order: a file, or a folder with a DICOM series."""
    series: str | None = None
    """The DICOM series to take in the folder of the first channel, by UID or number, where one is named."""
    size_bytes: int = 0
    """Of its files as stored, which says how long it takes compared with others; 0 where it is not known."""
    problem: str | None = None
    """Why it cannot be segmented, known before it is read."""
    tries: int = 0
    """How often it was given to a worker."""
    kills: int = 0
    """How many workers died while they had it in hand."""
    replaces_unix_s: float | None = None
    """`Fate.ended_unix_s` of the outcome of an earlier run that is there and is to be replaced."""


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of a case, once and for all."""

    case: str
    images: tuple[str, ...]
    status: FateStatus
    series: str | None = None
    """As in `Task`; None in outcomes of releases that did not record it."""
    reason: str = ""
    """Why it failed or was skipped, on one printable line."""
    trace: str = ""
    """The traceback of a failure that is a fault of the program; empty for others."""
    tries: int = 0
    worker: str = ""
    """Who did it: host and process."""
    bundle_sha256: str = ""
    """`ModelBundle.sha256` of the worker's bundle; empty where no worker had the case, and in outcomes of
    releases that did not record it."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Of each stage."""
    ended_unix_s: float = 0.0
    size_zyx: tuple[int, ...] = ()
    """Empty where the header was not read."""
    spacing_zyx_mm: tuple[float, ...] = ()
    volumes_ml: Mapping[str, float] = field(default_factory=dict)
    """Of every structure of the label set, 0 for one that was not found; empty without a label map."""
    crumbs: tuple[str, ...] = ()
    """Structures of which there is too little to count as found."""
    parts: tuple[str, ...] = ()
    """Those of the crumbs of which the scan's edge may cut off the rest."""
    warnings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    """What makes the result doubtful."""
    larger_windows_mb: tuple[int, int] | None = None
    """As in `inference.cohort.outcome.Outcome`."""
    organs: tuple[Mapping[str, Any], ...] | None = None
    """Figures of each organ that was found, as `inference.cohort.outcome` rounds them; None where they were
    not asked for."""

    @property
    def total_s(self) -> float:
        """Seconds of all stages together."""
        return sum(self.seconds.values())

    def with_figures_of(self, other: "Fate") -> "Fate":
        """The same with the figures of the label map of another fate of the case."""
        return replace(
            self,
            size_zyx=other.size_zyx,
            spacing_zyx_mm=other.spacing_zyx_mm,
            volumes_ml=other.volumes_ml,
            crumbs=other.crumbs,
            parts=other.parts,
            doubts=other.doubts,
            larger_windows_mb=other.larger_windows_mb,
            organs=other.organs,
        )

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Fate":
        """The fate that `to_json` wrote.

        Raises:
            ValueError: it is another kind of document, or was cut off.
        """
        try:
            fields = json.loads(text)
            for name in ("images", "size_zyx", "spacing_zyx_mm", "warnings", "doubts"):
                fields[name] = tuple(fields[name])
            for name in ("crumbs", "parts"):
                fields[name] = tuple(fields.get(name, ()))
            for name in ("organs", "larger_windows_mb"):
                if fields.get(name) is not None:
                    fields[name] = tuple(fields[name])
            return cls(**fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"is no outcome of a case ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a worker says of a case that it was given."""

    fate: Fate
    is_final: bool = True
    """The fate is recorded; else the case failed of what another try may not meet again."""
    segmenting_s: float = 0.0
    """Seconds for which the case held the worker's device."""


def failed_fate(task: Task, reason: str, ended_unix_s: float) -> Fate:
    """The fate of a case that no worker could bring to an end."""
    return Fate(
        case=task.case,
        images=task.images,
        series=task.series,
        status="failed",
        reason=reason,
        tries=task.tries,
        ended_unix_s=ended_unix_s,
    )
