"""Score predicted label maps against true ones; files of the same name belong together.

Writes one row per case to OUTPUT (NAME.csv), and to NAME_summary.csv beside it the mean, standard deviation,
median and 95 % confidence interval of each structure; prints the summary. NAME_run.json says where the scores
come from. A cell is empty where there is no figure: for a structure that is not scored, or the spread of a
single case. In the row `organ mean`, mean and interval belong to the mean of the organs' means. SD and median
(and the mean that `compare` shows) belong to the cases' own means, which differ from it if not every case has
every organ.

A case is a file of the truth. A prediction without a truth is named and left out. A truth that cannot be
read, or holds labels outside the set, ends the run before anything is scored: no submission is to blame.
Distances are infinite where only one of the maps holds a structure; in means, the length of the image's
diagonal takes their place.

A prediction on another grid is an error; with --resample it is brought onto the truth's grid, and the truth
stays as it is. What the prediction does not cover is missed; labels that lie outside the truth's image are an
error.

rules:
  strict    (default) a case whose prediction is missing, unreadable, on another grid or holds labels outside
            the set is an error, is named, and scores 0
  official  what the organisers' programs compute, to 4 decimals and with their column names; a case in error
            has no scores
  partial   strict, but structures that a truth does not hold are not scored: for truths in which only some
            structures are annotated

label sets of your own:
  --labels takes a labels.json, nnU-Net's dataset.json, or a folder that holds one of them. Every structure is
  then scored by plain DSC and by NSD with a tolerance of 2 mm; "tolerances_mm": {"liver": 5} in the file
  states others. Rules are strict or partial.

exit codes: 0 all cases scored; 1 some are in error, or there are predictions without a truth, all named; 2
wrong input or a faulty truth, nothing written
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval.eval_errors import JudgingError
from eval.files import check_writable, read_csv, stem_of, write_json
from eval.label_sets import LABEL_SETS_HELP
from eval.machine import free_memory_bytes
from eval.paper_table import add_table_option, table_paths, write_table
from eval.provenance import beside, provenance, write_provenance
from eval.scoring.challenges import CHALLENGES, Rules, mean_scores
from eval.scoring.columns import metrics_of
from eval.scoring.confusion import TRUTH_ML, confusion_path, mistaken, write_confusion
from eval.scoring.json_summaries import (
    GRAND_CHALLENGE,
    NNUNET,
    grand_challenge_metrics,
    nnunet_summary,
)
from eval.scoring.lesion_tables import CASE_COLUMNS, LESION_COLUMNS, lesion_paths, lesions_text, write_lesions
from eval.scoring.lesions import LesionRule
from eval.scoring.own_labels import find_challenge
from eval.scoring.pairing import Pairs, pair_files, why_extra
from eval.scoring.pairs import CaseScores, ScoreOptions, affordable_jobs, check_truths, judge_all
from eval.scoring.score_rules import file_hashes, scoring_rules
from eval.scoring.score_table import write_scores
from eval.scoring.structure_scores import ON_REQUEST
from eval.scoring.summary import summarize
from eval.scoring.summary_table import summary_path, summary_rows, summary_text, write_summary
from model.case_names import printable
from model.labels import LabelSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    _add_what_is_scored(parser)
    _add_what_is_measured(parser)
    _add_how_it_is_done(parser)
    add_table_option(parser)


def _add_what_is_scored(parser: argparse.ArgumentParser) -> None:
    """Label maps, by whose rules, and where their scores go."""
    add = parser.add_argument
    add("--pred", type=Path, required=True, metavar="DIR", help="folder of predicted label maps, CASE.nii.gz")
    add(
        "--truth", type=Path, required=True, metavar="DIR", help="folder of true label maps of the same names"
    )
    add(
        "--labels",
        metavar="SET",
        required=True,
        help=f"label set, scored with its challenge's tolerances: {LABEL_SETS_HELP}",
    )
    add(
        "--rules",
        choices=[str(r) for r in Rules],
        default=str(Rules.STRICT),
        help="see above (default: strict)",
    )
    add("--output", type=Path, required=True, metavar="CSV", help="table to write, one row per case")
    add(
        "--resample",
        "--resample-truth",
        action="store_true",
        help="compare in physical space: a prediction on another grid is resampled onto the truth's, each "
        "voxel taking the nearest label (--resample-truth is the earlier name)",
    )


def _add_what_is_measured(parser: argparse.ArgumentParser) -> None:
    """Metrics and tables beside the usual ones."""
    add = parser.add_argument
    add(
        "--no-hd95",
        action="store_true",
        help="leave out the 95th percentile of surface distances, which is faster",
    )
    add(
        "--also",
        nargs="+",
        choices=list(ON_REQUEST),
        metavar="METRIC",
        default=[],
        help="more metrics: HD, the largest distance, which a stray voxel decides (Metrics Reloaded: only "
        "where every outlier matters); ASSD, the mean one (where boundaries matter and outliers do not); "
        "clDice, overlap of centre lines (beside DSC, for vessels)",
    )
    add(
        "--json",
        type=Path,
        metavar="DIR",
        help="also write summary.json, nnU-Net's figures by its own rules (Dice and IoU of the whole image, "
        "none where neither map holds a structure), and metrics.json, these scores as grand-challenge.org "
        "reads them",
    )
    add(
        "--lesions",
        action="store_true",
        help="also match lesions one by one: NAME_lesions.csv and NAME_lesion_cases.csv (Metrics Reloaded: "
        "where there are many small ones, detection says what DSC cannot)",
    )
    add(
        "--lesion-iou",
        type=float,
        default=0.1,
        metavar="IOU",
        help="overlap from which on a lesion is found (default: 0.1)",
    )
    add(
        "--lesion-ml",
        type=float,
        default=0.0,
        metavar="ML",
        help="leave out smaller lesions, true or predicted (default: 0)",
    )
    add(
        "--confusion",
        action="store_true",
        help="also write NAME_confusion.csv: ml of each true structure by the label it was given, which "
        "shows swapped sides as swapped",
    )


def _add_how_it_is_done(parser: argparse.ArgumentParser) -> None:
    """How many cases at a time, and over which files."""
    add = parser.add_argument
    add(
        "--jobs",
        type=int,
        metavar="N",
        help="cases scored at the same time (default: as many as processors and memory allow)",
    )
    add(
        "--force",
        action="store_true",
        help="replace existing output files; the tables of lesions and confusion beside them are removed "
        "where this run does not write them again",
    )


def run(arguments: argparse.Namespace) -> int:
    """Score all cases and write the tables."""
    check_writable([*_outputs(arguments), *_left_over(arguments)], arguments.force)
    if arguments.jobs is not None and arguments.jobs < 1:
        raise JudgingError(f"--jobs is {arguments.jobs}, must be 1 or more")
    options = _options(arguments)
    pairs = pair_files(arguments.pred, arguments.truth)
    jobs = arguments.jobs or affordable_jobs(pairs.cases, free_memory_bytes(), options.resample)
    _refuse_faulty_truths(pairs, options, jobs)
    results = []
    for result in judge_all(pairs.cases, options, jobs):
        results.append(result)
        labels = options.challenge.labels
        sys.stderr.write(_progress(len(results), len(pairs.cases), result, labels) + "\n")
    results.sort(key=lambda result: stem_of(result.name))
    _write(arguments, options, pairs, results)
    for path in pairs.extras:
        sys.stderr.write(f"left out: {printable(why_extra(path, pairs))}\n")
    errors = [result for result in results if result.error]
    if errors:
        sys.stderr.write(
            f"{len(errors)} of {len(results)} cases in error, the last: {errors[-1].name}: "
            f"{errors[-1].error}\n"
        )
    return 1 if errors or pairs.extras else 0


def _outputs(arguments: argparse.Namespace) -> list[Path]:
    """The files that will be written."""
    output: Path = arguments.output
    files = [output, summary_path(output), beside(output), *table_paths(arguments.table)]
    if arguments.json:
        if not arguments.json.is_dir():
            raise JudgingError(f"{arguments.json}: no such folder; create it first")
        files += [arguments.json / NNUNET, arguments.json / GRAND_CHALLENGE]
    files += [*lesion_paths(output)] if arguments.lesions else []
    files += [confusion_path(output)] if arguments.confusion else []
    return files


def _left_over(arguments: argparse.Namespace) -> list[Path]:
    """Tables of an earlier run that this one does not write again, so that readers would take them for its.

    A file of such a name that is another table, as scores of lesions in NAME_lesions.csv, is none of them.
    """
    output: Path = arguments.output
    by_lesion, by_case = lesion_paths(output)
    kinds = {by_lesion: LESION_COLUMNS, by_case: CASE_COLUMNS, confusion_path(output): (TRUTH_ML,)}
    written = _outputs(arguments)
    return [path for path, columns in kinds.items() if path not in written and _begins_with(path, columns)]


def _begins_with(table: Path, columns: Sequence[str]) -> bool:
    try:
        found, _ = read_csv(table)
    except JudgingError:
        return False
    return found[: len(columns)] == list(columns)


def _options(arguments: argparse.Namespace) -> ScoreOptions:
    rules, challenge = Rules(arguments.rules), find_challenge(arguments.labels)
    if rules is Rules.OFFICIAL and arguments.labels not in CHALLENGES:
        raise JudgingError(
            "--rules official repeats the organisers' programs, which know no label set of your own; choose "
            "strict or partial"
        )
    if arguments.lesions and not challenge.labels.lesions:
        raise JudgingError(f"--lesions: {challenge.labels.name} has no lesions; leave it out")
    return ScoreOptions(
        challenge=challenge,
        rules=rules,
        with_hd95=not arguments.no_hd95,
        resample=arguments.resample,
        lesion_rule=_lesion_rule(arguments) if arguments.lesions else None,
        with_confusion=arguments.confusion,
        with_counts=arguments.json is not None,
        with_cl_dice="clDice" in arguments.also,
    )


def _write(
    arguments: argparse.Namespace, options: ScoreOptions, pairs: Pairs, results: Sequence[CaseScores]
) -> None:
    """Write all tables and print the summary."""
    output: Path = arguments.output
    rules, challenge = options.rules, options.challenge
    metrics = metrics_of(rules, options.with_hd95, [ON_REQUEST[name] for name in arguments.also])
    for path in _left_over(arguments):
        path.unlink()
    write_scores(output, results, challenge, metrics, rules)
    write_provenance(
        output,
        provenance(
            **scoring_rules(challenge, rules, options.resample),
            labels=arguments.labels,
            predictions=str(arguments.pred),
            truths=str(arguments.truth),
            left_out=[path.name for path in pairs.extras],
            **file_hashes(pairs.cases),
        ),
    )
    rows = summarize(results, challenge, metrics, rules)
    write_summary(output, rows)
    write_table(arguments.table, *summary_rows(rows))
    sys.stdout.write(summary_text(rows, rules))
    if arguments.json:
        write_json(arguments.json / NNUNET, nnunet_summary(results, challenge, pairs.cases))
        write_json(arguments.json / GRAND_CHALLENGE, grand_challenge_metrics(rows, results, metrics))
    if options.lesion_rule:
        write_lesions(output, results)
        sys.stdout.write(lesions_text(results, options.lesion_rule))
    if options.with_confusion:
        matrix = np.sum([each.confusion_ml for each in results if each.confusion_ml is not None], axis=0)
        write_confusion(output, matrix, challenge.labels)
        sys.stdout.writelines(f"{line}\n" for line in mistaken(matrix, challenge.labels))


def _lesion_rule(arguments: argparse.Namespace) -> LesionRule:
    try:
        return LesionRule(least_iou=arguments.lesion_iou, least_ml=arguments.lesion_ml)
    except ValueError as error:
        raise JudgingError(f"--lesions: {error}") from error


def _refuse_faulty_truths(pairs: Pairs, options: ScoreOptions, jobs: int) -> None:
    faults = check_truths(pairs.cases, options, jobs)
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    if faults:
        raise JudgingError(
            f"{len(faults)} of {len(pairs.cases)} truths cannot be used and are named above; mend them "
            "first, nothing was scored"
        )


def _progress(done: int, total: int, result: CaseScores, labels: LabelSet) -> str:
    means = mean_scores({name: score.dice for name, score in result.scores.items()}, labels)
    scores = ", ".join(
        f"{what} DSC {mean:.4f}"
        for what, mean in zip(("organ", "lesion"), means, strict=True)
        if not math.isnan(mean)
    )
    error = f"; ERROR: {result.error}" if result.error else ""
    return f"[{done}/{total}] {result.name}: {scores or 'not scored'}{error}"
