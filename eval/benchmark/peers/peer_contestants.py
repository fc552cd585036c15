"""Who takes part in the benchmark of peers: LeanSeg, nnU-Net v2 and MONAI, with the same weights."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.benchmark.contestants import ROOT
from eval.eval_errors import JudgingError
from eval.files import case_of
from eval.verification.contenders import NNUNET_PROGRAM

CHECKPOINT = "checkpoint_final.pth"
NNUNET, NNUNET_PLAIN, MONAI = "nnU-Net", "nnU-Net, not mirrored", "MONAI"
EXACT_FP32, EXACT = "LeanSeg exact, fp32", "LeanSeg exact"
EXACT_PLAIN, FAST = "LeanSeg exact, not mirrored", "LeanSeg fast"
CONTESTANTS = {
    NNUNET: "nnU-Net's predictor as nnUNetv2_predict runs it",
    NNUNET_PLAIN: "the same without mirroring",
    MONAI: "MONAI's sliding_window_inference and transforms, without mirroring",
    EXACT_FP32: "predict.py with the imported bundle, --precision fp32",
    EXACT: "predict.py as users call it",
    EXACT_PLAIN: "the same without mirroring",
    FAST: "predict.py with a bundle that `model tune` was told to run faster",
}
OURS = (EXACT_FP32, EXACT, EXACT_PLAIN, FAST)
GPU_ENDING = ", GPU"


@dataclass(frozen=True, kw_only=True)
class Subjects:
    """What all contestants are given."""

    python: Path
    """An interpreter that has nnunetv2 and monai."""
    model: Path
    """nnU-Net's trained-model folder."""
    exact: Path
    """The bundle that was imported from it."""
    plain: Path
    """The same, told not to mirror."""
    fast: Path
    """The same, told to run faster."""
    image: Path
    """The CT."""

    @property
    def folds(self) -> list[str]:
        """Of the ensemble: those that `model import nnunet` takes, numbered ones where there are any.

        Raises:
            JudgingError: there is no checkpoint.
        """
        found = sorted(self.model.glob(f"fold_*/{CHECKPOINT}"))
        if not found:
            raise JudgingError(f"{self.model}: holds no fold_*/{CHECKPOINT}; give nnU-Net's results folder")
        names = [path.parent.name.removeprefix("fold_") for path in found]
        return [name for name in names if name.isdecimal()] or names

    def bundle_of(self, what: str) -> Path:
        """The bundle that LeanSeg runs as this contestant; for peers that which was made of their model."""
        return {EXACT_PLAIN: self.plain, FAST: self.fast}.get(what, self.exact)


@dataclass(frozen=True)
class Contestant:
    """One program on one device."""

    what: str
    """One of `CONTESTANTS`."""
    device: str
    """cpu or cuda."""

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"{self.what}{GPU_ENDING if self.device == 'cuda' else ''}"

    @property
    def file_name(self) -> str:
        """Name in file names."""
        return self.name.replace(",", "").replace(" ", "-").casefold()

    def command(self, subjects: Subjects, target: Path, threads: int) -> Sequence[str]:
        """Its command line; it writes `labels_of(target)`, and LeanSeg also `report_of(target)`."""
        if self.what in OURS:
            return self._our_command(subjects, target, threads)
        words = ["--model", str(subjects.model), "--folds", *subjects.folds, "--checkpoint", CHECKPOINT]
        words += ["--device", self.device]
        if self.what == MONAI:
            module = ["-m", "eval.benchmark.peers.monai_peer"]
            output = ["--image", str(subjects.image), "--output", str(self.labels_of(subjects, target))]
        else:
            module = [str(NNUNET_PROGRAM)]
            output = ["--images", str(subjects.image), "--output", str(target / self._case(subjects))]
            words += ["--no-mirroring"] if self.what == NNUNET_PLAIN else []
        return [str(subjects.python), *module, *words, *output]

    def _our_command(self, subjects: Subjects, target: Path, threads: int) -> Sequence[str]:
        words = ["--input", str(subjects.image), "--output", str(target)]
        words += ["--bundle", str(subjects.bundle_of(self.what))]
        words += ["--device", self.device, "--report", str(report_of(target))]
        words += ["--precision", "fp32"] if self.what == EXACT_FP32 else []
        words += ["--threads", str(threads)] if threads else []
        return [sys.executable, str(ROOT / "predict.py"), *words]

    def _case(self, subjects: Subjects) -> str:
        return case_of(subjects.image.name)

    def labels_of(self, subjects: Subjects, target: Path) -> Path:
        """The label map that it writes."""
        return target / f"{self._case(subjects)}.nii.gz"


def report_of(target: Path) -> Path:
    """The report that LeanSeg writes."""
    return target.with_name(f"{target.name}-report.json")
