"""A cross-validation on disk, and which of its steps are done.

    OUTPUT/cross-validation.json       recipe, seed and folds: what a later call must ask for, too
    OUTPUT/fold-0/held-out.txt         names of the cases that the fold holds out
    OUTPUT/fold-0/last.safetensors …   the training run, as `train` writes it
    OUTPUT/fold-0/bundle               its best checkpoint, exported
    OUTPUT/fold-0/images, labels       links to the held-out images, and what the engine made of them
    OUTPUT/fold-0/scores.csv           Dice and HD95 of each case and structure; the fold is done

Every step looks for its own result first, so that a call that was interrupted goes on where it was.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from leanseg.atomic_files import sweep
from model.bundle import ModelBundle, file_sha256, load_bundle
from model.labels import LabelSet
from model.model_errors import BundleError
from model.schema import dump, parse
from training.bundling.description import Statement
from training.bundling.ensemble import write_ensemble
from training.bundling.trained import check_localization, load_ensemble, load_trained
from training.case_scores import Score
from training.child_programs import Job
from training.data.data_hash import are_other_data, data_hash
from training.data.doubled_cases import refuse_common_images_of_folds
from training.data.found_cases import CaseFiles
from training.data.image_links import link_images, refuse_detached
from training.engine import EngineOptions, predict_words
from training.folds.fold_scores import raw_files, read_scores, score_labels, write_scores
from training.folds.fold_splits import Split
from training.recipes.recipe import FOREGROUND, Recipe
from training.runs.checkpoints import load_checkpoint
from training.runs.differences import first_difference
from training.runs.lost_runs import refuse_lost_run
from training.runs.run import timetable_of
from training.runs.run_files import BEST, LAST
from training.training_errors import CheckpointError, RecipeError, TrainingError
from training.whole_files import read_json, write_json, write_text

STATE, SCORES, HELD_OUT = "cross-validation.json", "scores.csv", "held-out.txt"
RECIPE = "recipe.yaml"
"""The recipe with what it takes from the data, which every fold is trained by."""
LOG = "fold.log"


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The whole of `cross-validation.json`: what must be the same in all calls."""

    recipe: Recipe
    seed: int
    folds: tuple[tuple[str, ...], ...]
    """Names of the cases that each fold holds out."""
    localization: str | None = None
    """SHA-256 of the localization network's checkpoint."""
    data_hash: str | None = None
    """`data_hash` of all cases; none in older files."""

    def other_than(self, wanted: "Begun") -> list[str]:
        """What differs from what is wanted, in words such as `another seed (0, now 1)`; empty for nothing."""
        held, names = (sorted(name for fold in one.folds for name in fold) for one in (self, wanted))
        told = {
            "another recipe": first_difference(self.recipe, wanted.recipe, ""),
            "another seed": first_difference(self.seed, wanted.seed, ""),
            "other cases held out": first_difference(held, names, ""),
        }
        if held == names:  # Other cases are dealt out to other folds, of which more need not be said.
            told["other folds"] = first_difference(self.folds, wanted.folds, "")
        apart = [f"{what} ({how})" for what, how in told.items() if how]
        if self.localization != wanted.localization:
            apart.append("another localization network")
        if are_other_data(self.data_hash, wanted.data_hash):
            apart.append("another data set")
        return apart


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """The folds of one recipe on one data set."""

    folder: Path
    recipe: Recipe
    """Complete: with what it takes from the data's fingerprint."""
    seed: int
    split: Split
    cases: Mapping[str, CaseFiles]
    """By name."""
    localization: Path | None
    """Checkpoint that every fold's bundle finds the region of interest with."""

    @property
    def recipe_file(self) -> Path:
        """The complete recipe, so that no fold takes figures from the data again."""
        return self.folder / RECIPE

    def fold_folder(self, fold: int) -> Path:
        """Where a fold's run and results lie."""
        return self.folder / f"fold-{fold}"

    def hold_out_file(self, fold: int) -> Path:
        """The names of a fold's held-out cases."""
        return self.fold_folder(fold) / HELD_OUT

    def check(self, wanted: Sequence[int]) -> None:
        """Refuse what could not be judged once it is trained, before anything is.

        Args:
            wanted: the folds that are asked for; of those that are scored already nothing is needed.

        Raises:
            RecipeError: the recipe finds the foreground only.
            CheckpointError: the localization network's checkpoint is missing or not usable; or a fold's run
                has lost its last checkpoint.
            ExportError: it names organs, or sees other images than the recipe's.
            DataError: a held-out case's images are gone, or keep their voxels in other files; or a fold, of
                whichever, would be judged on images that it trains on.
        """
        if self.recipe.channels == FOREGROUND:
            raise RecipeError(
                f"recipe {self.recipe.name}: finds the foreground only, which makes no bundle that labels; "
                "cross-validate one that names structures, and give this one's network with --localization"
            )
        if self.localization is not None:
            check_localization(load_trained(self.localization), self.recipe)
        for fold in wanted:
            # Also where it is scored: scores go with the run that they are of.
            refuse_lost_run(self.fold_folder(fold))
            for case in [] if self.scored(fold) else self.held_out_cases(fold):
                for image in case.images:
                    refuse_detached(image)
        folds = [[self.cases[name] for name in names] for names in self.split.held_out]
        held_out = {case.name for fold in folds for case in fold}
        refuse_common_images_of_folds(
            [case for case in self.cases.values() if case.name not in held_out], folds
        )

    def begin(self) -> None:
        """Write down what is asked for, or compare it with what an earlier call asked for.

        Raises:
            CheckpointError: another recipe, seed, split, localization network or data set.
        """
        path, network = self.folder / STATE, self.localization
        wanted = Begun(
            recipe=self.recipe,
            seed=self.seed,
            folds=self.split.held_out,
            localization=None if network is None else file_sha256(network),
            data_hash=str(data_hash(self.cases[name] for name in sorted(self.cases))),
        )
        sweep(self.folder)
        begun = _read_state(path)
        if begun is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(path, wanted)
            begun = wanted
        apart = begun.other_than(wanted)
        if apart:
            raise CheckpointError(
                f"{path}: was begun with {' and '.join(apart)}; go on with the same, or choose another "
                "--output"
            )
        if not self.recipe_file.exists():
            write_text(self.recipe_file, yaml.safe_dump(dump(self.recipe), sort_keys=False))
        for fold, held_out in enumerate(self.split.held_out):
            self.fold_folder(fold).mkdir(exist_ok=True)
            if not self.hold_out_file(fold).exists():
                write_text(self.hold_out_file(fold), "".join(f"{name}\n" for name in held_out))

    def trained(self, fold: int) -> bool:
        """Whether a fold's run has come to its end."""
        path = self.fold_folder(fold) / LAST
        if not path.exists():
            return False
        info = load_checkpoint(path)[1]
        return info.step >= timetable_of(info).steps

    def scored(self, fold: int) -> bool:
        """Whether nothing is left to do for a fold."""
        return (self.fold_folder(fold) / SCORES).exists()

    def forget_results(self, fold: int) -> None:
        """Remove what was made of an earlier checkpoint of a fold that is trained on."""
        folder = self.fold_folder(fold)
        (folder / SCORES).unlink(missing_ok=True)
        for name in ("labels", "bundle"):
            shutil.rmtree(folder / name, ignore_errors=True)

    def export(self, fold: int, *, fp16: bool) -> ModelBundle:
        """A fold's bundle, of its best checkpoint; made if it is not there.

        Raises:
            TrainingError: the fold cannot be exported.
        """
        folder = self.fold_folder(fold)
        try:
            return load_bundle(folder / "bundle")
        except BundleError:
            self.forget_results(fold)
        checkpoint = folder / BEST if (folder / BEST).exists() else folder / LAST
        members, region = load_ensemble([checkpoint], self.localization)
        statement = Statement(
            name=f"{self.recipe.name}, fold {fold}",
            licence="not stated",
            intended_use="Research only; not a medical device.",
        )
        return write_ensemble(folder / "bundle", members, region, statement, fp16=fp16)

    def held_out_cases(self, fold: int) -> list[CaseFiles]:
        """The cases that a fold is judged by, with the files of their images: those that people annotated.

        Raises:
            DataError: a prepared case's images are gone.
        """
        cases = [self.cases[name] for name in self.split.held_out[fold]]
        return [raw_files(case) for case in cases if case.is_judged]

    def predict_job(self, fold: int, options: EngineOptions) -> Job:
        """The engine on a fold's held-out cases; it leaves out those that it did before.

        Args:
            fold: its number.
            options: of the engine.

        Raises:
            DataError: a prepared case's images are gone.
        """
        folder = self.fold_folder(fold)
        shutil.rmtree(folder / "images", ignore_errors=True)
        for case in self.held_out_cases(fold):
            link_images(case.name, case.images, folder / "images")
        words = predict_words(folder / "images", folder / "labels", folder / "bundle", options)
        return Job(name=f"fold {fold}", words=words, log=folder / LOG)

    def score(self, fold: int, labels: LabelSet) -> None:
        """Score what the engine wrote for a fold, by the label set of its bundle, and keep the scores.

        Raises:
            DataError: a label map is missing, or a truth is not usable.
        """
        folder = self.fold_folder(fold)
        write_scores(folder / SCORES, score_labels(self.held_out_cases(fold), folder / "labels", labels))

    def scores(self) -> list[list[Score]]:
        """Scores of all folds, which must be done.

        Raises:
            DataError: a file is damaged.
        """
        return [read_scores(self.fold_folder(fold) / SCORES) for fold in range(len(self.split.held_out))]


def _read_state(path: Path) -> Begun | None:
    """What an earlier call wrote; None where there was none."""
    try:
        return parse(Begun, read_json(path))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise CheckpointError(f"{path}: is damaged ({said}); choose another --output") from error


def refuse_failed(codes: Mapping[str, int], did: str, logs: str) -> None:
    """Nothing if all programs ended well.

    Args:
        codes: name to exit code.
        did: what they did, e.g. `training`.
        logs: where their messages are.

    Raises:
        TrainingError: naming those that failed.
    """
    failed = [f"{name} (exit code {code})" for name, code in sorted(codes.items()) if code]
    if failed:
        raise TrainingError(
            f"{did} failed: {', '.join(failed)}; see {logs}, then call this again: it goes on"
        )
