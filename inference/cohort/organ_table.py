"""Figures of every organ of every case, as a table for whoever has to count with them: CSV and JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

from inference.cohort.asked_files import ORGANS_CSV, ORGANS_JSON, check_asked_file
from inference.cohort.outcome import Outcome, organ_figures
from inference.errors import UsageError
from inference.imaging.writing import LABELS_SUFFIX, whole_file
from model.case_names import as_cell, printable

KINDS = (".csv", ".json")


def table_paths(path: Path) -> tuple[Path, Path]:
    """The CSV and the JSON that are written for what the user named, with either ending or without.

    >>> table_paths(Path("out/volumes.csv"))
    (PosixPath('out/volumes.csv'), PosixPath('out/volumes.json'))
    """
    stem = path.name[: -len(path.suffix)] if path.suffix.lower() in KINDS else path.name
    return path.with_name(stem + ".csv"), path.with_name(stem + ".json")


def check_tables(path: Path, report: Path | None = None, output: Path | None = None) -> None:
    """Make sure that the tables can be written, before there is anything to write.

    Args:
        path: names both, see `table_paths`.
        report: another file that is written.
        output: the folder of results, which need not be there yet.

    Raises:
        OutputError: they cannot.
        UsageError: the name has no stem or is that of another kind of file, or one of them is the report or
            another file that is there.
    """
    if not path.name or path.name.lower() in KINDS:
        raise UsageError(f"{path}: has no name; give one with --statistics, such as volumes.csv")
    if path.suffix[1:].isalpha() and path.suffix.lower() not in KINDS:
        raise UsageError(f"{path}: must end in .csv or .json; give another name with --statistics")
    for each, kind in zip(table_paths(path), (ORGANS_CSV, ORGANS_JSON), strict=True):
        check_asked_file(each, kind, "--statistics", output)
        if report is not None and each.resolve() == report.resolve():
            raise UsageError(f"{report}: is written by --statistics too; give another name with --report")


@dataclass(frozen=True, kw_only=True)
class OrgansOfCase:
    """What stands in the tables of one case."""

    case: str
    status: str
    doubts: Sequence[str]
    organs: Sequence[Mapping[str, Any]]
    """As `organ_figures` gives them."""


def write_tables(path: Path, outcomes: Sequence[Outcome], unit: str) -> None:
    """Write one row for each organ of each case that has a label map, and the same as JSON with all cases.

    Args:
        path: names both, see `table_paths`.
        outcomes: of all cases, in order.
        unit: of the image's values, `hu` for a CT; it ends the names of their columns.

    Raises:
        OutputError: they cannot be written.
    """
    with organ_tables(path, unit) as add:
        for outcome in outcomes:
            name = printable(outcome.case.output_name.removesuffix(LABELS_SUFFIX))
            organs = [*organ_figures(outcome.organs, unit)]
            add(OrgansOfCase(case=name, status=outcome.status, doubts=outcome.doubts, organs=organs))


@contextmanager
def organ_tables(path: Path, unit: str) -> Iterator[Callable[[OrgansOfCase], None]]:
    """Both tables, to which cases are added one by one; they appear when the block ends well.

    Args:
        path: names both, see `table_paths`.
        unit: as for `write_tables`.

    Raises:
        OutputError: they cannot be written.
    """
    csv_path, json_path = table_paths(path)
    with whole_file(csv_path) as table, whole_file(json_path) as document:
        table.write(_line(_columns(unit)))
        between = b'{\n  "cases": ['

        def add(case: OrgansOfCase) -> None:
            nonlocal between
            for figures in case.organs:
                row = _row(case.case, figures)
                table.write(_line([row.get(column) for column in _columns(unit)]))
            text = json.dumps(asdict(case), indent=2, ensure_ascii=False)
            document.write(between + b"\n" + indent(text, "    ").encode())
            between = b","

        yield add
        document.write(b"\n  ]\n}\n" if between == b"," else between + b"]\n}\n")


def _columns(unit: str) -> tuple[str, ...]:
    ending = f"_{unit}" if unit else ""
    return (
        *("case", "organ", "label", "volume_ml", "touches_edge", "crumb", "pieces", "agreement"),
        *(f"mean{ending}", f"sd{ending}", "extent_z_mm", "extent_y_mm", "extent_x_mm"),
    )


def _row(case: str, figures: Mapping[str, Any]) -> dict[str, object]:
    extent = zip("zyx", figures["extent_zyx_mm"], strict=True)
    return {
        "case": as_cell(case),
        **{name: as_cell(value) if isinstance(value, str) else value for name, value in figures.items()},
        **{f"extent_{axis}_mm": length for axis, length in extent},
    }


def _line(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
