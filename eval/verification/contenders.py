"""What is compared: LeanSeg with a bundle, another program with its model, and cases that both are given."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import ANY_SUFFIX, NIFTI, SUFFIXES, case_of, check_is_folder, is_image_name, stem_of
from model.case_names import channel_stem, split_channel

ROOT = Path(__file__).resolve().parents[2]
NNUNET_PROGRAM = Path(__file__).with_name("nnunet_program.py")
MONAI_PROGRAM = Path(__file__).with_name("monai_program.py")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case."""

    name: str
    channels: tuple[Path, ...]
    """Its images, in the order of their numbers."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A program that labels a case."""

    name: str
    command: Callable[[Case, Path], Sequence[str]]
    """Its command line for a case and a folder, into which it writes `CASE.nii.gz`."""


def cases_in(folder: Path, channels: int | None = None) -> tuple[Case, ...]:
    """The cases of a folder, by whole paths, since programs run elsewhere.

    Args:
        folder: of images, `CASE_0000.nii.gz`, `CASE_0001.nii.gz` …
        channels: files that make a case; None: as many as there are. Where one does, `CASE_0001.nii.gz` is a
            case of that name unless `CASE_0000.nii.gz` lies beside it.

    Raises:
        JudgingError: there is none, or one has more or fewer channels.
    """
    if not folder.is_dir():
        raise JudgingError(f"{folder}: no such folder; give one that holds CASE_0000.nii.gz with --images")
    paths = [path for path in sorted(folder.absolute().iterdir()) if is_image_name(path.name)]
    if not paths:
        raise JudgingError(f"{folder}: holds no {ANY_SUFFIX} file")
    stems = {stem_of(path.name) for path in paths}
    found: dict[str, list[Path]] = {}
    for path in paths:
        stem = stem_of(path.name)
        name, _ = split_channel(stem)
        alone = channels == 1 and not {name, channel_stem(name, 0)} & stems
        found.setdefault(stem if alone else name, []).append(path)
    for name, those in found.items():
        if channels is not None:
            _check_channels(folder, name, those, channels)
    return tuple(Case(name=name, channels=tuple(those)) for name, those in found.items())


def check_nifti(cases: Sequence[Case]) -> None:
    """Refuse images of other formats than NIfTI, the only one that `monai_program` reads.

    Raises:
        JudgingError: an image is of another.
    """
    for path in (path for case in cases for path in case.channels):
        if not path.name.lower().endswith(NIFTI):
            raise JudgingError(f"{path}: MONAI reads images with nibabel here; convert it to {NIFTI[0]}")


def _check_channels(folder: Path, name: str, paths: Sequence[Path], channels: int) -> None:
    """Refuse a case of more or fewer channels: programs would fail on it one after the other."""
    stems = [stem_of(path.name) for path in paths]
    if channels == 1 and stems == [name]:
        return
    takes = f"the bundle takes {channels} channel{'s' * (channels > 1)}"
    lacking = [stem for index in range(channels) if (stem := channel_stem(name, index)) not in stems]
    if lacking:
        raise JudgingError(f"{folder}: case {name} lacks {', '.join(lacking)}; {takes}")
    if len(paths) > channels:
        files = ", ".join(path.name for path in paths)
        raise JudgingError(f"{folder}: case {name} has {len(paths)} files, {files}; {takes}")


def leanseg(name: str, bundle: Path, *, fp32: bool) -> Contender:
    """This project's program with a bundle, on the CPU."""

    def command(case: Case, folder: Path) -> list[str]:
        given = folder.with_name(f"{folder.name}-images") / case.name
        given.mkdir(parents=True)
        for path in case.channels:
            (given / path.name).symlink_to(path.resolve())
        words = ["--input", str(given), "--output", str(folder), "--bundle", str(bundle.absolute())]
        words += ["--device", "cpu"]
        return [sys.executable, str(ROOT / "predict.py"), *words, *(["--precision", "fp32"] if fp32 else [])]

    return Contender(name=name, command=command)


def nnunet(
    python: Path,
    model: Path,
    folds: Sequence[str],
    checkpoint: str,
    *,
    mirrored: bool = True,
    float32_sums: bool = False,
) -> Contender:
    """nnU-Net's predictor on the CPU, by a Python that has it.

    Args:
        python: the interpreter.
        model: trained-model folder.
        folds: of the ensemble.
        checkpoint: name of the file in each fold's folder.
        mirrored: whether predictions are mirrored along the axes that the checkpoint names.
        float32_sums: whether windows are summed in float32, not in half floats as nnU-Net does: what differs
            then is not due to its rounding.
    """

    def command(case: Case, folder: Path) -> list[str]:
        images = ["--images", *map(str, case.channels), "--output", str(folder / case.name)]
        given = ["--model", str(model), "--folds", *folds, "--checkpoint", checkpoint]
        flags = [*([] if mirrored else ["--no-mirroring"]), *(["--float32-sums"] if float32_sums else [])]
        return [_whole(python), str(NNUNET_PROGRAM), *given, *images, *flags]

    return Contender(name="nnU-Net, float32 sums" if float32_sums else "nnU-Net", command=command)


def monai(python: Path, config: Path) -> Contender:
    """MONAI's transforms, network and windows on the CPU, by a Python that has it.

    Args:
        python: the interpreter.
        config: what they are to do, with weights beside it (`model.importers.monai`).
    """

    def command(case: Case, folder: Path) -> list[str]:
        images = ["--images", *map(str, case.channels)]
        output = ["--output", str(folder / f"{case.name}{SUFFIXES[0]}")]
        return [_whole(python), str(MONAI_PROGRAM), "--config", str(config), *images, *output]

    return Contender(name="MONAI", command=command)


def _whole(python: Path) -> str:
    """An interpreter's whole path; not resolved: that of a virtual environment is a link to another's.

    What is no file here is looked for where programs are.
    """
    return str(python.absolute() if python.is_file() else python)


def label_map_of(case: Case, folder: Path) -> Path:
    """The label map of a case in a folder of label maps."""
    return next(
        (path for suffix in SUFFIXES if (path := folder / f"{case.name}{suffix}").is_file()),
        folder / f"{case_of(case.name)}{SUFFIXES[0]}",
    )


def check_label_maps(cases: Sequence[Case], folder: Path, option: str) -> None:
    """Refuse a folder without a label map for each case: it would be noticed once all programs had run.

    Args:
        cases: that are compared.
        folder: of label maps.
        option: that named it.

    Raises:
        JudgingError: there is no such folder, or a label map is missing.
    """
    check_is_folder(folder, f"CASE{SUFFIXES[0]} with {option}")
    missing = [case.name for case in cases if not label_map_of(case, folder).is_file()]
    if missing:
        others = f", nor those of {len(missing) - 1} more" if len(missing) > 1 else ""
        raise JudgingError(
            f"{folder}: does not hold {missing[0]}{SUFFIXES[0]}{others}; {option} needs the label maps of "
            "all cases in --images"
        )
