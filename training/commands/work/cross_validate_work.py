"""What `python -m training cross-validate` does."""

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

from model.bundle import MANIFEST, ModelBundle
from training.bundling.description import Statement
from training.bundling.joining import join_bundles
from training.child_programs import TRAIN, Gpus, Job, run_jobs, torchrun_words
from training.commands.options import (
    gpu_numbers,
    run_words,
    wanted_overrides,
)
from training.data.checking import annotated_cases
from training.data.data_hash import data_hash
from training.data.label_agreement import refuse_other_names
from training.data.resolving import resolved
from training.engine import EngineOptions
from training.folds.cross_validation import LOG, CrossValidation, refuse_failed
from training.folds.fold_splits import find_split
from training.folds.fold_table import draw_folds, fold_markdown, fold_rows, write_fold_table
from training.recipes.loading import load_recipe
from training.runs.run_files import LAST
from training.training_errors import RecipeError

logger = logging.getLogger(__name__)

KEPT = "fingerprint-{}.json"
"""Fingerprint of the data, by the hash of their files."""


def run(arguments: argparse.Namespace) -> int:
    """Cross-validate as the command line says.

    Raises:
        RecipeError: the recipe or the call is faulty.
        CheckpointError: the localization network is missing or not usable.
        TrainingError: data or split are not usable, or a fold failed; the others went on.
    """
    places = places_of(gpu_numbers(arguments), arguments.gpus_per_fold)
    recipe = load_recipe(
        arguments.recipe, wanted_overrides(arguments.overrides, arguments.steps), data=arguments.data[0]
    )
    refuse_other_names(arguments.data, recipe.labels, recipe.channels)
    cases = [case for folder in arguments.data for case in annotated_cases(folder, recipe.labels)]
    split = find_split(arguments.data, cases, arguments.folds, arguments.seed, arguments.splits)
    wanted = _wanted_folds(arguments.fold, len(split.held_out))
    logger.info(
        "%s: %d folds, of %s cases held out, split %s",
        recipe.name,
        len(split.held_out),
        ", ".join(str(len(names)) for names in split.held_out),
        split.origin,
    )
    whole = CrossValidation(
        folder=arguments.output,
        recipe=recipe,
        seed=arguments.seed,
        split=split,
        cases={case.name: case for case in cases},
        localization=arguments.localization,
    )
    whole.check(wanted)
    if arguments.dry_run:
        _say_plan(whole, arguments, places)
        return 0
    if recipe.takes_from_fingerprint:
        # Of these data alone: what is kept of an earlier call may be of others.
        kept = arguments.output / KEPT.format(data_hash(cases).sha256[:12])
        workers = min(4, os.cpu_count() or 1)
        whole = replace(whole, recipe=resolved(recipe, arguments.data, kept=kept, workers=workers))
    whole.begin()
    _train(whole, wanted, arguments, places)
    bundles = _judge(whole, wanted, arguments, places)
    if arguments.fold is not None:
        logger.info("done: %s; call this without --fold when all folds are", whole.fold_folder(wanted[0]))
        return 0
    _report(whole, bundles)
    return 0


def places_of(numbers: Sequence[int], per_fold: int) -> list[Gpus | None]:
    """The GPUs on which folds run at a time: 0, 1, 2, 3 for two each gives (0, 1) and (2, 3).

    Raises:
        RecipeError: they cannot be shared out evenly.
    """
    if not numbers:
        if per_fold != 1:
            raise RecipeError("--gpus-per-fold: say which with --gpus")
        return [None]
    if per_fold < 1 or len(numbers) % per_fold:
        raise RecipeError(f"--gpus-per-fold: {len(numbers)} GPUs cannot be shared out by {per_fold}")
    return [tuple(numbers[start : start + per_fold]) for start in range(0, len(numbers), per_fold)]


def _wanted_folds(fold: int | None, folds: int) -> Sequence[int]:
    if fold is None:
        return range(folds)
    if not 0 <= fold < folds:
        raise RecipeError(f"--fold: must be 0 to {folds - 1}, is {fold}")
    return [fold]


def _train_job(whole: CrossValidation, fold: int, arguments: argparse.Namespace) -> Job:
    folder = whole.fold_folder(fold)
    data = [word for path in arguments.data for word in ("--data", str(path))]
    # The complete recipe is written when the first call begins: a dry run names the one that was given.
    recipe = arguments.recipe if arguments.dry_run else str(whole.recipe_file)
    words = [recipe, *data, "--output", str(folder), "--hold-out", str(whole.hold_out_file(fold))]
    words += ["--resume", "auto", *run_words(arguments, arguments.overrides if arguments.dry_run else ())]
    whole_words = torchrun_words([*TRAIN, *words], arguments.gpus_per_fold)
    return Job(name=f"fold {fold}", words=whole_words, log=folder / LOG)


def _train(
    whole: CrossValidation,
    wanted: Sequence[int],
    arguments: argparse.Namespace,
    places: Sequence[Gpus | None],
) -> None:
    """Train what is not trained yet."""
    left = [fold for fold in wanted if not whole.trained(fold)]
    for fold in left:
        whole.forget_results(fold)
    logger.info("%d of %d folds to train", len(left), len(wanted))
    codes = run_jobs([_train_job(whole, fold, arguments) for fold in left], places)
    refuse_failed(codes, "training", _where_messages_are(whole, places))


def _judge(
    whole: CrossValidation,
    wanted: Sequence[int],
    arguments: argparse.Namespace,
    places: Sequence[Gpus | None],
) -> list[ModelBundle]:
    """Export, segment and score what is not scored yet; the bundles of all wanted folds."""
    bundles = [whole.export(fold, fp16=not arguments.no_fp16) for fold in wanted]
    left = [fold for fold in wanted if not whole.scored(fold)]
    options = EngineOptions(
        device=arguments.device, threads=arguments.threads, host_memory_mb=arguments.host_memory_mb
    )
    jobs = [whole.predict_job(fold, options) for fold in left if whole.held_out_cases(fold)]
    codes = run_jobs(jobs, places)
    refuse_failed(codes, "segmenting held-out cases", _where_messages_are(whole, places))
    for fold in left:
        logger.info("scoring fold %d", fold)
        whole.score(fold, bundles[0].manifest.output.as_label_set())
    return bundles


def _report(whole: CrossValidation, bundles: Sequence[ModelBundle]) -> None:
    """Write table, picture and the bundle of all folds, and print the table."""
    rows = fold_rows(whole.scores(), bundles[0].manifest.output.as_label_set().names)
    write_fold_table(whole.folder / "folds.csv", rows)
    draw_folds(rows, whole.recipe.name, whole.folder / "folds.png")
    bundle = _joined(whole, bundles)
    sys.stdout.write(fold_markdown(rows) + "\n")
    logger.info("done: %s", bundle.folder)


def _joined(whole: CrossValidation, bundles: Sequence[ModelBundle]) -> ModelBundle:
    stated = bundles[0].manifest.provenance
    statement = Statement(
        name=f"{whole.recipe.name}, {len(bundles)} folds",
        licence=stated.licence,
        intended_use=stated.intended_use,
    )
    target = whole.folder / "bundle"
    there = (target / MANIFEST).exists()
    return join_bundles(target, bundles, statement, fuse="members", overwrite=there)


def _where_messages_are(whole: CrossValidation, places: Sequence[Gpus | None]) -> str:
    return "the messages above" if len(places) == 1 else str(whole.folder / "fold-*" / LOG)


def _say_plan(whole: CrossValidation, arguments: argparse.Namespace, places: Sequence[Gpus | None]) -> None:
    """What would be done, fold by fold."""
    lines = []
    for fold, names in enumerate(whole.split.held_out):
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        begun = "begun" if (whole.fold_folder(fold) / LAST).exists() else "not begun"
        state = "scored" if whole.scored(fold) else begun
        trained_on = len(whole.cases) - len(names)
        lines.append(f"fold {fold}: {state}; trains on {trained_on} cases, holds out {len(names)}: {shown}")
        lines.append("  " + shlex.join(["python", *_train_job(whole, fold, arguments).words]))
    lines.append(f"{len(places)} fold{'s' * (len(places) > 1)} at a time")
    sys.stdout.write("\n".join(lines) + "\n")
