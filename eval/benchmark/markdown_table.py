"""The tables of the benchmark in Markdown: contestants side by side, distance from the floor, stages."""

import math
from collections.abc import Sequence

from eval.benchmark.cold_runs import Json
from eval.benchmark.contestants import CONTESTANTS, EVEN, PLAIN
from eval.benchmark.results import Entry, ratio
from eval.paper_table import markdown


def contestants_table(entries: Sequence[Entry]) -> str:
    """Medians of wall time, CPU time and peak memory, each with its ratio to that of `predict.py` (×).

    `others` is the number of processors that other programs kept busy meanwhile.
    """
    figures = ("wall s", "×", "CPU s", "×", "peak MiB", "×", "windows", "others")
    header = ("network", "CT", "contestant", "runs", *figures, f"Dice with {PLAIN}", f"Dice with {EVEN}")
    return markdown(header, [_row(entries, entry) for entry in ordered(entries)])


def _row(entries: Sequence[Entry], entry: Entry) -> list[str]:
    who = [entry.network, entry.scan, entry.contestant, str(entry.runs)]
    if entry.stopped:
        return [*who, entry.stopped, *[""] * 9]
    figures: list[str] = []
    for what, digits in (("wall_s", 1), ("cpu_s", 1), ("peak_mb", 0)):
        figures += [f"{getattr(entry, what):.{digits}f}", _times(ratio(entries, entry, what))]
    agreed = [
        f"{a.dice:.4f} ({a.labels} labels)" if (a := entry.agreement.get(other)) else ""
        for other in (PLAIN, EVEN)
    ]
    return [*who, *figures, str(entry.windows), f"{entry.others:.2f}", *agreed]


def floor_table(entries: Sequence[Entry]) -> str:
    """Time of `predict.py` beside its floor: networks, reading and writing alone."""
    rows = []
    for entry in ordered(entries):
        if not math.isnan(entry.floor_s) and not entry.stopped:
            io_s = entry.seconds.get("read", 0.0) + entry.seconds.get("write", 0.0)
            rows.append(
                [
                    entry.network,
                    entry.scan,
                    entry.contestant,
                    str(entry.windows),
                    f"{entry.floor_s - io_s:.2f}",
                    f"{io_s:.2f}",
                    f"{entry.floor_s:.2f}",
                    f"{entry.wall_s:.2f}",
                    f"{entry.wall_s / entry.floor_s:.2f}",
                ]
            )
    header = (
        "network",
        "CT",
        "contestant",
        "windows",
        "network s",
        "read + write s",
        "floor s",
        "wall s",
        "wall / floor",
    )
    return markdown(header, rows)


def stages_table(entries: Sequence[Entry]) -> str:
    """Seconds of each stage."""
    names = [name for name in dict.fromkeys(name for entry in entries for name in entry.seconds)]
    rows = [
        [
            entry.network,
            entry.scan,
            entry.contestant,
            *(f"{entry.seconds[name]:.2f}" if name in entry.seconds else "" for name in names),
        ]
        for entry in ordered(entries)
        if not entry.stopped
    ]
    return markdown(("network", "CT", "contestant", *(f"{name} s" for name in names)), rows)


def extras_text(extras: Json) -> str:
    """Start-up and folders, if they were measured."""
    lines = []
    if start := extras.get("startup"):
        lines.append(
            f"- `predict.py --help`: {start['help_wall_s']:.2f} s on the clock (median of {start['runs']}), "
            f"imports {start['help_import_s']:.3f} s (`-X importtime`); imports of a whole run "
            f"{start['run_import_s']:.2f} s"
        )
    for folder in extras.get("folders", []):
        cold_s = folder["cases"] * folder["cold_wall_s"]
        lines.append(
            f"- a folder of {folder['cases']} × {folder['scan']} with {folder['network']}: "
            f"{folder['wall_s']:.1f} s, "
            f"{folder['wall_s'] / cold_s:.2f} of {folder['cases']} cold runs ({folder['cases']} × "
            f"{folder['cold_wall_s']:.1f} s)"
        )
    return "\n".join(lines)


def ordered(entries: Sequence[Entry]) -> list[Entry]:
    """Entries sorted by network and scan, in the order given, and by contestant, in the order listed."""
    scans = list(dict.fromkeys(entry.scan for entry in entries))
    networks = list(dict.fromkeys(entry.network for entry in entries))
    who = list(CONTESTANTS)
    return sorted(
        entries,
        key=lambda entry: (
            networks.index(entry.network),
            scans.index(entry.scan),
            who.index(entry.contestant),
        ),
    )


def _times(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"
