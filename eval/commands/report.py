"""Make a report to look at: a folder whose index.html opens in any browser, without a network.

It shows headline figures, box plots of each structure and a table of cases, worst first; efficiency, a
ranking and a comparison, if their tables are given; and, if folders of images or label maps are given, each
case in three planes with prediction, truth and errors, with its lesions if the scores were made with
`--lesions`, and in 3D if `make viewer` has fetched the viewer. Files are found in the folders by the names of
the cases in the score table: CASE_0000.nii.gz or CASE.nii.gz.

Without `--scores`, where no truth is known, it shows what was found: the label maps of `--pred`, also those
in folders below it, as a cohort writes them, with the volume of each structure, and all slices of each scan,
as far as its size allows.

exit codes: 0 all went well; 1 the report was made, but some cases or their images could not be shown and are
named; 2 wrong input
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.label_sets import LABEL_SETS_HELP
from eval.machine import processors
from eval.report.box_plots import FORMATS, write_plots
from eval.report.case_files import EmbedOptions, Folders, embed_all, find_files
from eval.report.case_script import CaseFiles
from eval.report.page import atomic_folder, check_folder, write_page
from eval.report.page_data import Json, Tables, copy_sources, page_data
from eval.report.result_accounts import images_of_run
from eval.report.unscored import unscored_page
from eval.scoring.lesion_tables import read_lesions
from eval.scoring.own_labels import find_challenge
from eval.scoring.score_table import read_scores
from model.labels import FLARE23


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    _add_inputs(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder to make; open its index.html"
    )
    parser.add_argument(
        "--title",
        help="heading (default: name of the score table, for scores.csv of its folder; the only case, or the "
        "folder of label maps)",
    )
    parser.add_argument(
        "--plots",
        nargs="+",
        choices=FORMATS,
        default=[],
        metavar="KIND",
        help="also write the box plots as files for papers: pdf, png, svg",
    )
    parser.add_argument(
        "--detail-mm",
        type=float,
        default=2.0,
        metavar="MM",
        help="average voxels up to about this size (default: 2)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=processors(),
        metavar="N",
        help="cases prepared at the same time (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing report")


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name tables, folders and their label set."""
    parser.add_argument(
        "--scores",
        type=Path,
        metavar="CSV",
        help="table written by `python -m eval score` (default: none, volumes are shown)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="folder of CTs, CASE_0000.nii.gz; of an only case also its CT, a file or a DICOM folder",
    )
    parser.add_argument(
        "--pred", type=Path, metavar="DIR", help="folder of predicted label maps, CASE.nii.gz"
    )
    parser.add_argument("--truth", type=Path, metavar="DIR", help="folder of true label maps, CASE.nii.gz")
    parser.add_argument(
        "--run",
        type=Path,
        metavar="JSON",
        help="without --scores: written by `predict.py --report`; its warnings and doubts are shown",
    )
    parser.add_argument(
        "--efficiency",
        type=Path,
        metavar="CSV",
        help="table written by `python -m eval container`, or the organisers'; "
        "curves are drawn from the traces beside it",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="CSV",
        help="score table of another submission, to show paired differences",
    )
    parser.add_argument("--ranking", type=Path, metavar="CSV", help="table written by `python -m eval rank`")
    parser.add_argument(
        "--labels",
        metavar="SET",
        help=f"label set of the scores and label maps: {LABEL_SETS_HELP} "
        f"(default: found by the table's columns; {FLARE23.name} without a table)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Read the tables, write the report, name the cases that cannot be shown."""
    output: Path = arguments.output
    check_folder(output, arguments.force)
    if arguments.jobs < 1:
        raise JudgingError(f"--jobs is {arguments.jobs}, must be 1 or more")
    if not 0.1 <= arguments.detail_mm <= 20:
        raise JudgingError(f"--detail-mm is {arguments.detail_mm:g}, must be 0.1 to 20")
    challenge = find_challenge(arguments.labels) if arguments.labels else None
    tables = None
    if arguments.scores:
        if arguments.run:
            raise JudgingError("--run is for a page without --scores; leave one of them out")
        tables = Tables(
            scores=read_scores(arguments.scores, challenge),
            efficiency=arguments.efficiency,
            compare=read_scores(arguments.compare, challenge) if arguments.compare else None,
            ranking=arguments.ranking,
        )
        challenge = tables.scores.challenge
        data = page_data(tables, arguments.title or _name_of(arguments.scores))
        if data["comparison"]:
            sys.stderr.writelines(f"{line}\n" for line in data["comparison"]["differently"])
    else:
        _check_unscored(arguments)
        challenge = challenge or find_challenge(FLARE23.name)
        data = unscored_page(arguments.pred, arguments.run, challenge, arguments.title)
    folders = Folders(images=arguments.images, predictions=arguments.pred, truths=arguments.truth)
    # What was missed may be anywhere, and without a truth only a reader finds it.
    options = EmbedOptions(labels=challenge.labels, detail_mm=arguments.detail_mm, whole=not arguments.scores)
    with atomic_folder(output) as folder:
        lesions = read_lesions(arguments.scores) if arguments.scores else {}
        of_run = images_of_run(arguments.run) if arguments.run and arguments.images else {}
        files = find_files([case["stem"] for case in data["cases"]], folders, lesions, of_run)
        failed = _embed(data["cases"], files, folder, options, arguments.jobs)
        failed += _tell_imageless(data["cases"], files, arguments.images)
        if tables:
            copy_sources(tables, data["cases"], folder)
        write_page(folder, data)
        if arguments.plots:
            write_plots(data, folder, arguments.plots)
    if folders != Folders(images=None, predictions=None, truths=None) and not data["viewer"]:
        sys.stderr.write("no 3D view: run `make viewer` once to fetch it; slices are shown without it\n")
    sys.stdout.write(f"{output / 'index.html'}\n")
    return 1 if failed else 0


def _name_of(scores: Path) -> str:
    """What a score table is called, after its folder where its own name says only what it is."""
    return scores.resolve().parent.name if scores.stem == "scores" else scores.stem


def _check_unscored(arguments: argparse.Namespace) -> None:
    """Refuse a call without scores that has no label maps, or options that are about scores."""
    if not arguments.pred:
        raise JudgingError("neither --scores nor --pred is given; give the scores, the label maps or both")
    for option in ("truth", "efficiency", "compare", "ranking", "plots"):
        if getattr(arguments, option):
            raise JudgingError(f"--{option} needs --scores; score the label maps with `python -m eval score`")


def _embed(
    cases: Sequence[Json], files: Sequence[CaseFiles], folder: Path, options: EmbedOptions, jobs: int
) -> int:
    """Write the volumes of all cases that have files and enter them in the cases; returns how many failed."""
    if not files:
        return 0
    (folder / "cases").mkdir()
    case_of_stem = {case["stem"]: case for case in cases}
    failed = 0
    for done, result in enumerate(embed_all(files, folder / "cases", options, jobs), start=1):
        case = case_of_stem[result.stem]
        case["volume"] = None if result.error else result.key
        case["volume_error"] = result.error
        failed += bool(result.error)
        remark = f": not shown: {result.error}" if result.error else ""
        sys.stderr.write(f"[{done}/{len(files)}] {case['name']}{remark}\n")
    return failed


def _tell_imageless(cases: Sequence[Json], files: Sequence[CaseFiles], images: Path | None) -> int:
    """Name the cases that are shown without the image that was given; returns how many."""
    if images is None:
        return 0
    name_of = {case["stem"]: case["name"] for case in cases}
    lacking = [name_of[each.name] for each in files if each.image is None]
    for name in lacking:
        sys.stderr.write(f"{name}: no image of this name in {images}\n")
    return len(lacking)
