"""Measure LeanSeg beside nnU-Net v2's predictor and MONAI's sliding-window inference: same CT, same weights.

The model is a trained-model folder of nnU-Net (--model; one channel of CT, 3d), or a small network with
windows of 96×160×160 that nnU-Net's own trainer trains here to tell tissues apart. The CT is given (--image),
or drawn, 512×512×120 voxels. Each contestant runs as a new process, all in turn, on
the CPU, and on the first GPU where there is one. Tables are written to peers.md, the picture to peers.png in
the output folder. Every run is recorded there: a call that was interrupted continues where it stopped.

nnU-Net and MONAI run under an interpreter of their own, which `make peers` sets up.

exit codes: 0 measured; 1 a run failed; 2 wrong input
"""

import argparse
import sys
from pathlib import Path

from eval.benchmark.contestants import ROOT
from eval.benchmark.peers.peer_contest import PeerContest
from eval.benchmark.peers.peer_contestants import CONTESTANTS, NNUNET, Contestant, Subjects
from eval.benchmark.peers.peer_preparation import check_peers, import_model, train_small, trained_model
from eval.benchmark.peers.peer_results import draw_peers, peers_table, stages_and_floor
from eval.benchmark.peers.tissues import write_truth
from eval.benchmark.pipelines import provenance
from eval.benchmark.scans import phantom_scans
from eval.commands.benchmark_options import add_run_options, output_folder, say
from eval.eval_errors import JudgingError
from eval.files import atomic_path
from eval.measuring.sampler import why_no_gpu

PEERS_PYTHON = ROOT / ".venv-peers/bin/python"
FASTER = ("tiling.overlap=0.25", "tiling.mirror_axes=[]", "tiling.skip_air=true")
"""What the fast bundle is told by default; `model verify --explore` says what each costs a given model."""
DEVICES = ("cpu", "cuda")
SLICES = 120
STEPS = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR", help="folder for all files, made if need be")
    add("--model", type=Path, metavar="DIR", help="nnU-Net's trained-model folder, or one that holds it")
    add("--image", type=Path, metavar="CT", help="the CT, .nii.gz (default: one that is drawn)")
    add("--truth", type=Path, metavar="FILE", help="its true label map, to score all against")
    add("--steps", type=int, default=STEPS, metavar="N", help="of the small network (default: %(default)s)")
    add(
        "--python",
        type=Path,
        default=PEERS_PYTHON,
        metavar="FILE",
        help="the Python that has nnunetv2 and monai (default: .venv-peers/bin/python)",
    )
    add(
        "--fast",
        nargs="+",
        default=FASTER,
        metavar="FIELD=VALUE",
        help=f"what `model tune --set` tells the fast bundle (default: {' '.join(FASTER)})",
    )
    add(
        "--contestants",
        nargs="+",
        choices=list(CONTESTANTS),
        default=list(CONTESTANTS),
        metavar="NAME",
        help="; ".join(f"{name!r}: {what}" for name, what in CONTESTANTS.items()) + " (default: all)",
    )
    add_run_options(parser, "runs of each contestant")


def run(arguments: argparse.Namespace) -> int:
    """Prepare, make the runs that are missing, compare labels, print the tables.

    Raises:
        JudgingError: the call is wrong, or what all contestants need cannot be made.
    """
    _check(arguments)
    output = output_folder(arguments.output)
    # Not resolved: a virtual environment's interpreter is a link to another's.
    python = arguments.python.absolute()
    check_peers(python)
    output.mkdir(parents=True, exist_ok=True)
    image: Path = arguments.image or phantom_scans([SLICES], output / "scans")[0].path
    truth: Path | None = arguments.truth
    if arguments.model is not None:
        model = trained_model(arguments.model)
    else:
        model = train_small(python, arguments.steps, output / "trained", say)
        truth = truth or output / "scans" / f"tissues-{image.name}"
        write_truth(image, truth)
    gpu = why_no_gpu("0") is None
    exact, plain, fast = import_model(model, arguments.fast, output / "bundles", say, fp16=gpu)
    contest = PeerContest(
        output=output,
        subjects=Subjects(
            python=python, model=model, exact=exact, plain=plain, fast=fast, image=image.resolve()
        ),
        truth=truth,
        contestants=[
            Contestant(what, device) for device in DEVICES[: 1 + gpu] for what in arguments.contestants
        ],
        repeats=arguments.repeats,
        threads=arguments.threads,
        timeout_s=arguments.timeout,
        say=say,
    )
    well = contest.run_all()
    entries = contest.entries(reference=Contestant(NNUNET, "cpu"))
    if entries:
        text = f"{peers_table(entries)}\n{stages_and_floor(entries)}\n{provenance(output)}\n"
        with atomic_path(output / "peers.md") as temporary:
            temporary.write_text(text, encoding="utf-8")
        draw_peers(entries, output / "peers.png")
        sys.stdout.write(text)
    return 0 if well else 1


def _check(arguments: argparse.Namespace) -> None:
    """Refuse a wrong call before anything is made."""
    for name in ("repeats", "steps"):
        if getattr(arguments, name) < 1:
            raise JudgingError(f"--{name} {getattr(arguments, name)}: must be 1 or more")
    if arguments.truth is not None and arguments.image is None:
        raise JudgingError("--truth: belongs to a CT; give that with --image")
    for name in ("image", "truth"):
        path: Path | None = getattr(arguments, name)
        if path is not None and not path.is_file():
            raise JudgingError(f"--{name} {path}: no such file")
    if arguments.model is not None and not arguments.model.is_dir():
        raise JudgingError(f"--model {arguments.model}: no such folder")
