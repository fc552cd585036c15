"""The contestants of the benchmark, their command lines, and the networks that they run."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eval.benchmark.cold_runs import Json, write_json
from eval.benchmark.scans import TRAINING_PACKAGES, Scan
from eval.eval_errors import JudgingError
from eval.files import case_of

ROOT = Path(__file__).resolve().parents[2]
OURS, BARE, PLAIN, PLAIN_BF16, EVEN = (
    "predict.py",
    "predict.py-bare",
    "plain-fp32",
    "plain-bf16",
    "plain-same-windows",
)
CONTESTANTS = {
    OURS: "predict.py as users call it",
    BARE: "predict.py without localization and clean-up, as the plain pipeline",
    PLAIN: "PyTorch and MONAI, fp32",
    PLAIN_BF16: "PyTorch and MONAI, bf16 autocast",
    EVEN: "PyTorch and MONAI, fp32, windows where predict.py has them, to compare labels",
}
MODES = {
    PLAIN: ("--precision", "fp32"),
    PLAIN_BF16: ("--precision", "bf16"),
    EVEN: ("--precision", "fp32", "--even"),
}
SMALL, EMBEDDED = "small", "embedded"
EXTRAS = ("localization", "postprocessing")
"""Parts of a manifest that the plain pipeline knows nothing of."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A bundle to run."""

    name: str
    """Name in tables and file names."""
    bundle: Path
    """Folder of the bundle."""
    bare: Path | None
    """Folder of a copy without localization and clean-up; None if the bundle has neither."""
    weights: Path
    """Folder of the weights for the plain pipeline, which `prepare_weights` fills."""

    @property
    def sha256(self) -> str:
        """Hash of the manifest, which itself holds the hashes of all files."""
        return hashlib.sha256((self.bundle / "manifest.json").read_bytes()).hexdigest()


def prepare_network(name: str, folder: Path) -> Network:
    """Prepare a network: its bundle, and the bundle without localization and clean-up.

    Args:
        name: `small`, `embedded`, or the folder of a bundle.
        folder: for the files that are made; those that exist already are used again.

    Raises:
        JudgingError: there is no such bundle, or the small network cannot be made.
    """
    made = folder / Path(name).name
    made.mkdir(parents=True, exist_ok=True)
    if name == SMALL:
        bundle = made / "bundle"
        if not bundle.exists():
            _run_tool(["training", "untrained", "--output", str(bundle)], "the small network cannot be made")
    else:
        bundle = ROOT / "bundles/default" if name == EMBEDDED else Path(name).resolve()
    if not (bundle / "manifest.json").is_file():
        raise JudgingError(f"{bundle}: no bundle here; --networks takes small, embedded or a bundle's folder")
    return Network(
        name=Path(name).name,
        bundle=bundle,
        bare=_without_extras(bundle, made / "bare"),
        weights=made / "weights",
    )


def prepare_weights(network: Network) -> None:
    """Convert the networks to torch, unless that was done before.

    Raises:
        JudgingError: torch is not installed, or does not give the results of onnxruntime.
    """
    done = network.weights / "done.json"
    if done.exists() and json.loads(done.read_text(encoding="utf-8")) == {"sha256": network.sha256}:
        return
    command = ["eval.benchmark.convert", "--bundle", str(network.bundle), "--output", str(network.weights)]
    _run_tool(command, "the networks cannot be converted to torch")
    write_json(done, {"sha256": network.sha256})


def command_of(contestant: str, network: Network, scan: Scan, target: Path, threads: int) -> list[str]:
    """The command line of a contestant.

    Args:
        contestant: one of `CONTESTANTS`.
        network: the network that it runs.
        scan: the CT that it segments; for `predict.py` also a folder of CTs.
        target: path of the label map without suffix; `predict.py` writes into a folder of this name.
        threads: number of threads of the networks; 0 leaves it to the library.
    """
    report = ["--report", str(report_of(target))]
    if contestant in (OURS, BARE):
        bundle = network.bare if contestant == BARE and network.bare else network.bundle
        words = [
            "predict.py",
            "--input",
            str(scan.path),
            "--output",
            str(target),
            "--bundle",
            str(bundle),
            "--device",
            "cpu",
        ]
    else:
        words = [
            "-m",
            "eval.benchmark.plain",
            "--image",
            str(scan.path),
            "--output",
            str(labels_of(contestant, target, scan)),
        ]
        words += ["--bundle", str(network.bundle), "--weights", str(network.weights), *MODES[contestant]]
    return [sys.executable, *words, *report, *(["--threads", str(threads)] if threads else [])]


def labels_of(contestant: str, target: Path, scan: Scan) -> Path:
    """The label map that a contestant writes."""
    if contestant in (OURS, BARE):
        return target / f"{case_of(scan.path.name)}.nii.gz"
    return target.with_name(f"{target.name}.nii.gz")


def report_of(target: Path) -> Path:
    """The report that a contestant writes."""
    return target.with_name(f"{target.name}-report.json")


def _without_extras(bundle: Path, folder: Path) -> Path | None:
    manifest: Json = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    if not any(manifest.get(name) for name in EXTRAS):
        return None
    return changed_copy(
        bundle,
        folder,
        lambda said: {name: value for name, value in said.items() if name not in EXTRAS},
    )


def changed_copy(bundle: Path, folder: Path, change: Callable[[Json], Json]) -> Path:
    """Copy a bundle to a folder, whose old content goes, with another manifest; returns the folder."""
    manifest: Json = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bundle, folder)
    write_json(folder / "manifest.json", change(manifest))
    return folder


def _run_tool(words: list[str], complaint: str) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise JudgingError(
            f"{complaint} ({(done.stderr.strip().splitlines() or ['no message'])[-1]}); {TRAINING_PACKAGES}"
        )
