"""The engine labels images: `predict.py`, started as a program, or as one for each GPU.

    python predict.py --input IMAGES --output LABELS --bundle B --skip-existing

It loads the networks once for all of its images. Cases whose label map is there are left out, so that a call
after an interruption goes on where the last one ended; a label map is whole or not there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.child_programs import ROOT, Programs
from training.training_errors import TrainingError
from training.whole_files import read_json


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Options of `predict.py`; None: its default."""

    device: str | None = None
    threads: int | None = None
    host_memory_mb: int | None = None
    gpu_memory_mb: int | None = None

    @property
    def words(self) -> list[str]:
        """The options as they stand on its command line."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def predict_words(
    images: Path, output: Path, bundle: Path, options: EngineOptions, *more: str
) -> tuple[str, ...]:
    """What follows `python` to label the images of a folder that have no label map yet.

    Args:
        images: folder of `CASE_0000.nii.gz` and so on.
        output: folder for `CASE.nii.gz`.
        bundle: what labels them.
        options: of the engine.
        more: further words.
    """
    places = ("--input", str(images), "--output", str(output), "--bundle", str(bundle))
    return (str(ROOT / "predict.py"), *places, "--skip-existing", *more, *options.words)


def label_images(
    shares: Sequence[Path], output: Path, bundle: Path, options: EngineOptions, gpus: Sequence[int] = ()
) -> None:
    """Label the images of folders that have no label map yet, a program for each folder, all at a time.

    Args:
        shares: folders of `CASE_0000.nii.gz` and so on, no case in two of them.
        output: folder for `CASE.nii.gz`; made if missing.
        bundle: what labels them.
        options: of the engine.
        gpus: one for each folder, which must work unless the options name the processor; none: the choice
            is the engine's.

    Raises:
        TrainingError: a case could not be labelled, which is named, or the engine could not be run.
    """
    if gpus and options.device in (None, "auto"):
        options = replace(options, device="cuda")  # Who names GPUs does not want the processor.
    reports = [share.with_name(f"{share.name}.json") for share in shares]
    running = []
    with Programs() as programs:
        for number, (share, report) in enumerate(zip(shares, reports, strict=True)):
            report.unlink(missing_ok=True)
            words = predict_words(share, output, bundle, options, "--report", str(report))
            running.append(programs.start(words, (gpus[number],) if gpus else None))
        codes = [program.wait() for program in running]
    _refuse_failed(codes, reports)


def _refuse_failed(codes: Sequence[int], reports: Sequence[Path]) -> None:
    if not any(codes):
        return
    failures = [failure for report in reports for failure in _failures(report)]
    if not failures:
        raise TrainingError(
            f"predict.py ended with exit code {max(codes, key=abs)}, for the reason that it told; mend it "
            "and call again"
        )
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    raise TrainingError(
        f"{failures[0]}{more}: cannot be labelled; mend or remove what is named and call again, it goes on"
    )


def _failures(report: Path) -> list[str]:
    """Why cases failed, by the engine's report; empty where it wrote none."""
    try:
        cases = read_json(report)["cases"]
    except (OSError, ValueError):
        return []
    return [str(case["error"]) for case in cases if case["status"] == "failed"]
