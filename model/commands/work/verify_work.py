"""What `python -m model verify` does."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from eval.benchmark.cold_runs import write_json
from eval.eval_errors import JudgingError
from eval.verification.comparison import Agreement, Contest, agreement, run_all, translate
from eval.verification.contenders import (
    Case,
    Contender,
    cases_in,
    check_label_maps,
    check_nifti,
    leanseg,
    monai,
    nnunet,
)
from eval.verification.findings import draw_worst, left_out_in_words, record, structures_table, table
from model.bundle import MANIFEST, ModelBundle, load_bundle, replace_manifest
from model.changing.tuning import tuned
from model.commands.show import VERIFICATION
from model.importers.monai.found_model import NETWORK
from model.importers.nnunet_folder import DEFAULT_CHECKPOINT, find_folds, find_model
from model.importers.nnunet_recipe import read_recipe
from model.importers.nnunet_source import nnunet_source
from model.importers.own_ids import own_ids
from model.labels import LabelSet
from model.manifest.document import Manifest
from model.manifest.output import Sigmoid
from model.manifest.window import AnyWindow
from model.model_errors import BundleError

FP32, ALLOWED, REFERENCE = "LeanSeg fp32", "LeanSeg as allowed", "labels given"
LEAST_BF16_DICE = 0.995
"""Agreement with the labels of fp32 below which bf16 is not allowed any more. The reference has no say: where
it is a truth, fp32 itself agrees less."""
FASTER = {
    "linear resampling": ('preprocessing.resampling={"kind": "linear"}',),
    "overlap 0.25": ("tiling.overlap=0.25",),
    "no mirroring": ("tiling.mirror_axes=[]",),
    "no windows of air": ("tiling.skip_air=true",),
}
"""What `--explore` tries, each by itself and then all together."""
OTHER_WINDOWS = {
    "windows as large as memory allows": ('window.use="largest"',),
    "windows fitted to short scans": ('window.use="fitted"',),
}
"""What it tries besides, where every network takes windows of any size."""


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """Runs contenders on the same cases and compares each with the reference."""

    cases: Sequence[Case]
    labels: LabelSet
    work: Path
    """Folder of everything that is made."""
    reference: Path
    """Folder of the reference's label maps."""
    truth: Path | None

    def folder_of(self, contender: str) -> Path:
        """Where the label maps of a contender lie."""
        return self.work / contender.replace(" ", "-").replace(",", "")

    def contest(self, contender: Contender) -> Contest:
        """Run a contender and compare its labels."""
        folder = self.folder_of(contender.name)
        runs = run_all(contender, self.cases, folder)
        return Contest(
            contender=contender.name,
            runs=runs,
            against=self.compared(folder, self.reference),
            truth=self.scored(folder),
        )

    def compared(self, folder: Path, other: Path) -> dict[str, Agreement]:
        """Agreement of two folders of label maps, case by case."""
        return {case.name: agreement(case, folder, other, self.labels) for case in self.cases}

    def scored(self, folder: Path) -> dict[str, Agreement]:
        """Agreement with the truth; empty where there is none."""
        return {} if self.truth is None else self.compared(folder, self.truth)


@dataclass(frozen=True, kw_only=True)
class _Peer:
    """The program that the bundle is held against."""

    contender: Contender
    ids: Mapping[int, int]
    """Id of its labels to that of the bundle's; 0 where the bundle drops the structure."""


def run(arguments: argparse.Namespace) -> int:
    """Compare, print the tables, write the record.

    Raises:
        BundleError: it is no bundle, a program fails, or label maps do not fit.
        RefusedModelError: there is no model of nnU-Net.
    """
    try:
        _verify(arguments)
    except JudgingError as error:
        raise BundleError(str(error)) from error
    return 0


def _verify(arguments: argparse.Namespace) -> None:
    bundle = load_bundle(arguments.bundle)
    cases = cases_in(arguments.images, len(bundle.manifest.inputs))
    kind, path = arguments.against[0], Path(arguments.against[1])
    if kind == "labels":
        check_label_maps(cases, path, "--against labels")
    if kind == "monai":
        check_nifti(cases)
    if arguments.truth is not None:
        check_label_maps(cases, arguments.truth, "--truth")
    with tempfile.TemporaryDirectory(prefix="leanseg-verify-") as work:
        peer = _peer(kind, path, arguments, bundle.manifest, Path(work))
        reference = path if peer is None else Path(work) / "reference"
        runs = {} if peer is None else run_all(peer.contender, cases, reference)
        if peer is not None:
            translate(cases, reference, peer.ids)
        judge = _Judge(
            cases=cases,
            labels=bundle.manifest.output.as_label_set(),
            work=Path(work),
            reference=reference,
            truth=arguments.truth,
        )
        first = Contest(
            contender=REFERENCE if peer is None else peer.contender.name,
            runs=runs,
            truth=judge.scored(reference),
        )
        contests = [first, judge.contest(leanseg(FP32, bundle.folder, fp32=True))]
        if any(network.precision == "bf16" for network in bundle.manifest.networks().values()):
            contests.append(judge.contest(leanseg(ALLOWED, bundle.folder, fp32=False)))
            bundle = _demoted(bundle, judge)
        if arguments.explore:
            contests += _explored(judge, bundle)
        sys.stdout.write(f"{table(contests)}\n{structures_table(contests[1])}")
        sys.stdout.write(left_out_in_words(contests[1].against.values(), "the reference"))
        sys.stdout.write(left_out_in_words(contests[1].truth.values(), "the truth"))
        _keep(contests, judge, bundle, f"{kind} {path.resolve().name}")


def _peer(
    kind: str, path: Path, arguments: argparse.Namespace, manifest: Manifest, work: Path
) -> _Peer | None:
    """The program that the bundle is held against; None where its label maps are given."""
    if kind == "labels":
        return None
    folds = [Path(member.file).stem.removeprefix("fold-") for member in manifest.members]
    if kind == "monai":
        # A network of the model zoo is no fold.
        return _monai(path, [] if folds == [NETWORK] else folds, arguments, manifest, work)
    if kind != "nnunet":
        raise JudgingError(f"--against {kind}: unknown; known are nnunet, monai and labels")
    recipe = read_recipe(manifest.provenance.recipe)
    configuration = arguments.configuration or (None if recipe is None else recipe.configuration)
    model = find_model(path, configuration)
    if not isinstance(model, Path):
        raise JudgingError(f"{path}: nnU-Net itself does not run from a zip; unzip it and give the folder")
    ids = own_ids(nnunet_source(model, configuration, recipe), manifest)
    checkpoint = arguments.checkpoint or DEFAULT_CHECKPOINT
    find_folds(model, folds, checkpoint)
    contender = nnunet(
        arguments.python, model.resolve(), folds, checkpoint, float32_sums=arguments.float32_sums
    )
    return _Peer(contender=contender, ids=ids)


def _monai(
    path: Path, folds: Sequence[str], arguments: argparse.Namespace, manifest: Manifest, work: Path
) -> _Peer:
    """MONAI with a configuration that is written here, which alone needs torch and MONAI.

    Raises:
        JudgingError: they are not installed.
    """
    try:
        from model.importers.monai.importing import write_monai_config
        from model.importers.monai.monai_source import monai_source
    except ModuleNotFoundError as error:
        absent = f"{error.name} is not installed for {sys.executable}"
        raise JudgingError(f"--against monai: {absent}; run `make training`") from error
    ids = own_ids(monai_source(path, folds, arguments.checkpoint, manifest.output), manifest)
    activation = manifest.output.activation
    # MONAI writes a map a channel; both programs make one map of them in the order of the bundle.
    priority = activation.priority if isinstance(activation, Sigmoid) else None
    config = write_monai_config(path, folds, arguments.checkpoint, work, priority)
    return _Peer(contender=monai(arguments.python, config), ids=ids)


def _demoted(bundle: ModelBundle, judge: _Judge) -> ModelBundle:
    """The bundle with fp32 alone where bf16 turned out to give other labels."""
    agreements = judge.compared(judge.folder_of(ALLOWED), judge.folder_of(FP32))
    dice = mean(each.mean_dice for each in agreements.values())
    if dice >= LEAST_BF16_DICE:
        sys.stdout.write(f"bf16 agrees with fp32 by {dice:.4f}: the bundle goes on to allow it\n")
        return bundle
    sys.stdout.write(f"bf16 agrees with fp32 only by {dice:.4f}: the bundle now says fp32\n")
    manifest = bundle.manifest
    members = tuple(replace(member, precision="fp32") for member in manifest.members)
    region = manifest.localization and replace(manifest.localization, precision="fp32")
    return replace_manifest(bundle, replace(manifest, members=members, localization=region))


def _explored(judge: _Judge, bundle: ModelBundle) -> list[Contest]:
    """Contests of changed copies of the bundle; changes that leave it as it is are left out."""
    every = tuple(override for overrides in FASTER.values() for override in overrides)
    found: list[Contest] = []
    free = all(isinstance(member.window, AnyWindow) for member in bundle.manifest.members)
    for name, overrides in {**FASTER, "all of these": every, **(OTHER_WINDOWS if free else {})}.items():
        manifest = tuned(bundle.manifest, overrides)
        if manifest == bundle.manifest:
            continue
        folder = judge.work / f"bundle-{len(found)}"
        folder.mkdir()
        for file in bundle.manifest.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(bundle.folder / file, folder / file)
        shutil.copy(bundle.folder / MANIFEST, folder / MANIFEST)
        replace_manifest(load_bundle(folder), manifest)
        found.append(judge.contest(leanseg(name, folder, fp32=False)))
    return found


def _keep(contests: Sequence[Contest], judge: _Judge, bundle: ModelBundle, against: str) -> None:
    """Write the record and the picture into the bundle."""
    compared = contests[1]
    worst = min(judge.cases, key=lambda case: compared.against[case.name].mean_dice)
    picture = bundle.folder / "verification.png"
    draw_worst(worst, judge.folder_of(FP32), judge.reference, judge.labels, picture)
    write_json(bundle.folder / VERIFICATION, record(contests, against, bundle.sha256))
    sys.stdout.write(f"\n{bundle.folder / VERIFICATION}\n{picture}\n")
