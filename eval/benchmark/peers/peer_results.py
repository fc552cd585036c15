"""What the peers took, from the records of their runs: medians, a table and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eval.benchmark.cold_runs import Json
from eval.benchmark.results import stages_of
from eval.benchmark.stage_plots import DPI
from eval.measuring.trace import GPU, OWN_GPU, Trace, read_trace
from eval.paper_table import markdown

MIB_IN_GIB = 1024
OUR_COLOUR, PEER_COLOUR = "#0072b2", "#999999"
OURS = "LeanSeg"
READ_AND_WRITE = ("read", "write")


@dataclass(frozen=True, kw_only=True)
class PeerEntry:
    """A contestant; times and memory are medians over its runs."""

    name: str
    runs: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Peak of resident memory, all its processes, MiB."""
    gpu_peak_mb: float | None
    """Peak of GPU memory, MiB; None without a GPU."""
    gpu_gib_s: float | None
    """GPU memory × time, GiB·s; None without a GPU."""
    others: float
    """Number of processors that other programs kept busy meanwhile."""
    against: float | None
    """Mean Dice with the reference's labels."""
    truth: float | None
    """Mean Dice with the truth, where it is known."""
    stages_s: Mapping[str, float]
    """Seconds of LeanSeg's stages; empty for peers."""
    floor_s: float | None
    """Seconds of the network alone for the windows that ran, and of reading and writing; None for peers."""


def peer_entry(
    name: str,
    records: Sequence[Json],
    traces: Sequence[Path],
    *,
    against: float | None,
    truth: float | None,
    floor_s: float | None,
) -> PeerEntry:
    """The entry of a contestant.

    Args:
        name: in the table.
        records: of its runs that ended well, one at least.
        traces: files of their samples.
        against: mean Dice with the reference.
        truth: mean Dice with the truth.
        floor_s: seconds of the network alone for the windows that ran.
    """
    stages = [stages_of(record) for record in records]
    seconds = {stage: median(each.get(stage, 0.0) for each in stages) for stage in stages[0]}
    watched = [read_trace(path) for path in traces]
    on_gpu = all(trace.has(GPU) or trace.has(OWN_GPU) for trace in watched)
    io_s = sum(seconds.get(stage, 0.0) for stage in READ_AND_WRITE)
    return PeerEntry(
        name=name,
        runs=len(records),
        wall_s=median(record["wall_s"] for record in records),
        cpu_s=median(record["cpu_s"] for record in records),
        peak_mb=median(record["peak_mb"] for record in records),
        gpu_peak_mb=median(_gpu_peak_mb(trace) for trace in watched) if on_gpu else None,
        gpu_gib_s=median(_gpu_gib_s(trace) for trace in watched) if on_gpu else None,
        others=median(record["others"] for record in records),
        against=against,
        truth=truth,
        stages_s=seconds,
        floor_s=None if floor_s is None else floor_s + io_s,
    )


def _gpu_peak_mb(trace: Trace) -> float:
    """What the program held at most; what the whole GPU held more than before, where that is not known."""
    if trace.has(OWN_GPU):
        return trace.peak(OWN_GPU)
    return trace.peak(GPU) - trace.baseline(GPU)


def _gpu_gib_s(trace: Trace) -> float:
    if trace.has(OWN_GPU):
        return trace.integral(OWN_GPU) / MIB_IN_GIB
    return trace.integral(GPU, trace.baseline(GPU)) / MIB_IN_GIB


def peers_table(entries: Sequence[PeerEntry]) -> str:
    """Medians, each with how many times less than the first contestant (÷), agreement; Markdown."""
    header = ["contestant", "runs", "wall s", "÷", "CPU s", "÷", "peak MiB", "÷"]
    header += ["GPU MiB", "GPU GiB·s", "others", "Dice with nnU-Net", "Dice with truth"]
    first = entries[0]
    rows = [
        [
            entry.name,
            str(entry.runs),
            *(f"{entry.wall_s:.1f}", f"{first.wall_s / entry.wall_s:.1f}"),
            *(f"{entry.cpu_s:.1f}", f"{first.cpu_s / entry.cpu_s:.1f}"),
            *(f"{entry.peak_mb:.0f}", f"{first.peak_mb / entry.peak_mb:.1f}"),
            "" if entry.gpu_peak_mb is None else f"{entry.gpu_peak_mb:.0f}",
            "" if entry.gpu_gib_s is None else f"{entry.gpu_gib_s:.1f}",
            f"{entry.others:.2f}",
            "" if entry.against is None else f"{entry.against:.5f}",
            "" if entry.truth is None else f"{entry.truth:.4f}",
        ]
        for entry in entries
    ]
    return markdown(header, rows)


def stages_and_floor(entries: Sequence[PeerEntry]) -> str:
    """Seconds of LeanSeg's stages, and its wall time beside the network's alone; Markdown."""
    ours = [entry for entry in entries if entry.stages_s]
    names = list(dict.fromkeys(name for entry in ours for name in entry.stages_s))
    header = ["contestant", *(f"{name} s" for name in names), "wall s", "floor s", "wall / floor"]
    rows = [
        [
            entry.name,
            *(f"{entry.stages_s.get(name, 0.0):.2f}" for name in names),
            f"{entry.wall_s:.2f}",
            *(
                ("", "")
                if entry.floor_s is None
                else (f"{entry.floor_s:.2f}", f"{entry.wall_s / entry.floor_s:.2f}")
            ),
        ]
        for entry in ours
    ]
    return markdown(header, rows)


def draw_peers(entries: Sequence[PeerEntry], path: Path) -> None:
    """Bars of wall time, CPU time and memory, from 0 on, a bar for each contestant."""
    panels = (
        ("wall time (s)", [entry.wall_s for entry in entries]),
        ("CPU time (s)", [entry.cpu_s for entry in entries]),
        ("peak memory (MiB)", [entry.peak_mb for entry in entries]),
    )
    figure = Figure(figsize=(11, 0.8 + 0.4 * len(entries)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True)
    colours = [OUR_COLOUR if entry.name.startswith(OURS) else PEER_COLOUR for entry in entries]
    for axis, (title, values) in zip(axes, panels, strict=True):
        axis.barh(range(len(entries)), values, color=colours, height=0.7)
        axis.set_xlim(0, max(values) * 1.15)
        for place, value in enumerate(values):
            axis.text(value + max(values) * 0.02, place, f"{value:.0f}", va="center", fontsize=8)
        axis.set_title(title, loc="left", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(entries)), [entry.name for entry in entries], fontsize=8)
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=DPI)
