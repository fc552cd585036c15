"""What the peers are given: nnU-Net's trained model, found or trained here, and the bundles made of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from eval.benchmark.cold_runs import write_json
from eval.benchmark.contestants import ROOT
from eval.benchmark.peers.tissues import write_cases
from eval.benchmark.scans import TRAINING_PACKAGES
from eval.eval_errors import JudgingError

CASES, SEED = 3, 1
"""Phantoms that the small network learns from."""
SPACING_ZYX_MM = ("1.6", "1.2", "1.2")
"""Of these phantoms and of the network's grid."""
DEPTH = 3
"""How many folders deep a trained model is looked for."""
UNMIRRORED = ["tiling.mirror_axes=[]"]
"""What the bundle that does not mirror is told."""
Say = Callable[[str], None]


def trained_model(given: Path) -> Path:
    """The trained-model folder of nnU-Net that is meant.

    Raises:
        JudgingError: there is none, or there are several.
    """
    found = sorted(
        path.parent
        for depth in range(DEPTH + 1)
        for path in given.glob("/".join(["*"] * depth + ["plans.json"]))
        if (path.parent / "dataset.json").is_file() and list(path.parent.glob("fold_*"))
    )
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(given)) for path in found) or "none"
        raise JudgingError(f"{given}: must hold one trained model of nnU-Net (plans.json), holds {names}")
    return found[0].resolve()


def train_small(python: Path, steps: int, folder: Path, say: Say) -> Path:
    """The trained-model folder of a small network that nnU-Net trains on phantoms, unless it is there.

    Raises:
        JudgingError: it cannot be trained.
    """
    results = folder / "work" / "nnUNet_results"
    if list(results.glob("*/*/fold_*/checkpoint_final.pth")):
        return trained_model(results)
    phantoms, data = folder / "phantoms", folder / "data"
    if not (phantoms / "dataset.json").is_file():
        say(f"drawing {CASES} phantoms")
        words = ["training", "phantom", "--cases", str(CASES), "--seed", str(SEED), "--output", str(phantoms)]
        words += ["--coverage", "abdomen", "--spacing-zyx-mm", *SPACING_ZYX_MM]
        call([sys.executable, "-m", *words], f"phantoms cannot be drawn; {TRAINING_PACKAGES}")
    write_cases(phantoms / "imagesTr", data)
    say(f"nnU-Net trains for {steps} steps")
    module = "eval.benchmark.peers.small_nnunet"
    words = ["--data", str(data), "--work", str(folder / "work"), "--steps", str(steps)]
    call([str(python), "-m", module, *words], "nnU-Net cannot train the small network")
    return trained_model(results)


def import_model(
    model: Path, faster: Sequence[str], folder: Path, say: Say, *, fp16: bool
) -> tuple[Path, Path, Path]:
    """The model as a bundle, a copy that does not mirror, and one that is told to run faster.

    What is there already is taken.

    Args:
        model: nnU-Net's trained-model folder.
        faster: what `model tune --set` is told.
        folder: for both.
        say: called with each line of progress.
        fp16: whether there is a GPU, for which a second file is written.

    Raises:
        JudgingError: it cannot be imported, or a field of `faster` is none.
    """
    exact, plain, fast = bundles = (folder / "exact", folder / "plain", folder / "fast")
    about = {"model": str(model), "unmirrored": UNMIRRORED, "faster": list(faster), "fp16": fp16}
    made = folder / "made.json"
    if made.is_file() and json.loads(made.read_text(encoding="utf-8")) == about:
        return bundles
    folder.mkdir(parents=True, exist_ok=True)
    say("importing the model")
    program = [sys.executable, "-m", "model"]
    options = ["--output", str(exact), "--overwrite", *([] if fp16 else ["--no-fp16"])]
    call([*program, "import", "nnunet", str(model), *options], "the model cannot be imported")
    for copy, fields in {plain: UNMIRRORED, fast: faster}.items():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(exact, copy)
        told = [word for field in fields for word in ("--set", field)]
        if told:
            call([*program, "tune", str(copy), *told], "the bundle cannot be told to run faster")
    write_json(made, about)
    return bundles


def check_peers(python: Path) -> None:
    """Refuse an interpreter that lacks a peer.

    Raises:
        JudgingError: it cannot be started, or has no nnU-Net or no MONAI.
    """
    remedy = "`make peers` sets it up, then --python .venv-peers/bin/python"
    call([str(python), "-c", "import nnunetv2, monai"], f"{python}: lacks nnunetv2 or monai; {remedy}")


def call(command: Sequence[str], complaint: str) -> None:
    """Run a program that prepares something.

    Raises:
        JudgingError: it cannot be started, or fails.
    """
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        raise JudgingError(f"{complaint} ({error.strerror})") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise JudgingError(f"{complaint} ({last})")
