"""Figures of every organ of every case, as a table for whoever has to count with them: CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inference.cohort.outcome import Outcome, organ_figures
from inference.cohort.run_report import check_report
from inference.errors import UsageError, printable
from inference.imaging.writing import whole_file
from model.case_names import as_cell

KINDS = (".csv", ".json")


def table_paths(path: Path) -> tuple[Path, Path]:
    """The CSV and the JSON that are written for what the user named, with either ending or without.

    >>> table_paths(Path("out/volumes.csv"))
    (PosixPath('out/volumes.csv'), PosixPath('out/volumes.json'))
    """
    stem = path.name[: -len(path.suffix)] if path.suffix.lower() in KINDS else path.name
    return path.with_name(stem + ".csv"), path.with_name(stem + ".json")


def check_tables(path: Path, report: Path | None = None) -> None:
    """Make sure that the tables can be written, before there is anything to write.

    Args:
        path: names both, see `table_paths`.
        report: another file that is written.

    Raises:
        OutputError: they cannot.
        UsageError: the name has no stem, or one of them is the report.
    """
    if not path.name or path.name.lower() in KINDS:
        raise UsageError(f"{path}: has no name; give one with --statistics, such as volumes.csv")
    for each in table_paths(path):
        check_report(each, "--statistics")
        if report is not None and each.resolve() == report.resolve():
            raise UsageError(f"{report}: is written by --statistics too; give another name with --report")


def write_tables(path: Path, outcomes: Sequence[Outcome], unit: str) -> None:
    """Write one row for each organ of each case that was segmented, and the same as JSON with all cases.

    Args:
        path: names both, see `table_paths`.
        outcomes: of all cases, in order.
        unit: of the image's values, `hu` for a CT; it ends the names of their columns.

    Raises:
        OutputError: they cannot be written.
    """
    csv_path, json_path = table_paths(path)
    with whole_file(csv_path) as file:
        file.write(_csv(list(_rows(outcomes, unit))).encode())
    cases = [
        {
            "case": _name(outcome),
            "status": outcome.status,
            "doubts": [*outcome.doubts],
            "organs": [*organ_figures(outcome.organs, unit)],
        }
        for outcome in outcomes
    ]
    with whole_file(json_path) as file:
        file.write((json.dumps({"cases": cases}, indent=2, ensure_ascii=False) + "\n").encode())


def _name(outcome: Outcome) -> str:
    return printable(outcome.case.output_name.removesuffix(".nii.gz"))


def _rows(outcomes: Sequence[Outcome], unit: str) -> Iterator[dict[str, object]]:
    for outcome in outcomes:
        for figures in organ_figures(outcome.organs, unit):
            extent = dict(zip("zyx", figures.pop("extent_zyx_mm"), strict=True))
            yield {
                "case": as_cell(_name(outcome)),
                **figures,
                **{f"extent_{axis}_mm": length for axis, length in extent.items()},
            }


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    columns = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, columns or ["case", "organ"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
