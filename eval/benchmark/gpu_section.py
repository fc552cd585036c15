"""The GPU section of docs/benchmarks.md, from what `eval.benchmark.gpu_runs` collected."""

from collections.abc import Mapping, Sequence
from textwrap import fill

from eval.benchmark.cold_runs import Json
from eval.benchmark.page_markers import WIDTH
from eval.paper_table import markdown

PARTS = ("wait", "augment", "forward", "loss", "backward", "update")


def section(found: Json) -> str:
    """The section in markdown: machine, training steps, a run, the engine."""
    training = found["training"]
    run, export = training["run"], training["export"]
    trained = (
        f"`{training['recipe']}`, {training['steps']} steps from cold start to checkpoint: {_took(run)}; "
        f"export to a bundle: {_took(export)}."
    )
    steps = "Training steps, means in seconds; after each part the device finishes what it was given:"
    engine = (
        "`predict.py`, each run a cold process, medians; peak GPU memory is that of its own processes, its "
        "integral over the run that of the whole device:"
    )
    parts = [
        fill(_machine(found), WIDTH),
        fill(steps, WIDTH),
        _steps_table(found["steps"]).strip(),
        fill(trained, WIDTH),
        fill(engine, WIDTH),
        _engine_table(found["engine"]).strip(),
    ]
    return "\n\n".join(parts)


def failures(found: Json) -> list[str]:
    """What failed, one line each."""
    training = found["training"]
    named = {
        **{f"steps of {entry['recipe']}": entry for entry in found["steps"]},
        "training": training["run"],
        "export": training["export"],
        **{f"engine, {entry['bundle']}": entry for entry in found["engine"]},
    }
    return [f"{name}: {entry['failed']}" for name, entry in named.items() if entry["failed"]]


def _machine(found: Json) -> str:
    hardware: Mapping[str, object] = next(
        (entry["hardware"] for entry in found["steps"] if "hardware" in entry), {}
    )
    gpu = "no GPU, to try the program"
    if found["gpu_measured"]:
        name, memory_mb = hardware.get("gpu", "an NVIDIA GPU"), hardware.get("gpu_memory_mb", "?")
        gpu = f"{name}, {memory_mb} MiB, CUDA {hardware.get('cuda', '?')}"
    processor = f"{hardware.get('cores', '?')} cores of {hardware.get('processor', 'a processor')}"
    return f"{gpu}; {processor}; revision {found['revision'] or 'unknown'}; `make gpu-benchmark`."


def _took(outcome: Json) -> str:
    return f"failed ({outcome['failed']})" if outcome["failed"] else f"{outcome['wall_s']:.1f} s"


def _steps_table(entries: Sequence[Json]) -> str:
    figures = ("M parameters", "patch", "batch", "precision", "patches/s", "a step", *PARTS)
    header = ("recipe", *figures, "peak GPU MiB", "peak host MiB")
    rows = []
    for entry in entries:
        if entry["failed"]:
            rows.append([entry["recipe"], entry["failed"], *[""] * (len(header) - 2)])
            continue
        rows.append(
            [
                entry["recipe"],
                f"{entry['parameters'] / 1e6:.2f}",
                "×".join(str(n) for n in entry["patch_zyx"]),
                str(entry["batch_size"]),
                entry["precision"],
                f"{entry['patches_per_s']:.3g}",
                f"{entry['step_s']:.3f}",
                *(f"{entry['seconds'][part]:.3f}" for part in PARTS),
                _mib(entry["gpu_peak_mb"]),
                _mib(entry["host_peak_mb"]),
            ]
        )
    return markdown(header, rows)


def _engine_table(entries: Sequence[Json]) -> str:
    figures = ("runs", "library", "precision", "wall s", "peak GPU MiB", "GPU MB·s", "peak host MiB")
    header = ("bundle", "CT", *figures)
    rows = []
    for entry in entries:
        if entry["failed"]:
            rows.append([entry["bundle"], entry["scan"], entry["failed"], *[""] * (len(header) - 3)])
            continue
        rows.append(
            [
                entry["bundle"],
                entry["scan"],
                str(entry["runs"]),
                entry["backend"],
                ", ".join(entry["precisions"]),
                f"{entry['wall_s']:.1f}",
                _mib(entry["gpu_peak_mb"]),
                _mib(entry["gpu_mb_s"]),
                _mib(entry["host_peak_mb"]),
            ]
        )
    return markdown(header, rows)


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
