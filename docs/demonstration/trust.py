"""Does LeanSeg say when not to trust it? Failures and good cases, and how often each is warned of.

    python docs/demonstration/trust.py --real DIR --phantoms DIR --output DIR

Makes failures out of real CTs and phantoms, lets `predict.py` segment them and the good cases, and counts the
cases with a warning or a doubt. Good are phantoms whose mean organ Dice is at least 0.8 and the one whole
real abdomen; phantoms below that are listed apart. It also counts the good cases of which all that is said
is that an organ is missing which their truth lacks, too. Writes `trust.md`, a table. Call it again and it
goes on.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = Path(__file__).resolve().parents[2]
GOOD_DICE = 0.8
MISSING = re.compile("no (.+), though what lies beside is whole")
Change = Callable[[sitk.Image], sitk.Image]


def values(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """A change of voxel values alone."""

    def changed(image: sitk.Image) -> sitk.Image:
        made = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image).astype(np.float32)))
        made.CopyInformation(image)
        return made

    return changed


def reordered(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Voxels in another order under the same header, as a wrong converter leaves them."""
    return values(lambda array: np.ascontiguousarray(change(array)))


def part(x: tuple[float, float] = (0, 1), z: tuple[float, float] = (0, 1)) -> Change:
    """A share of the image along x and along z, at its place."""

    def cut(image: sitk.Image) -> sitk.Image:
        width, height, depth = image.GetSize()
        return image[
            round(x[0] * width) : round(x[1] * width), 0:height, round(z[0] * depth) : round(z[1] * depth)
        ]

    return cut


def apart(mm: float) -> Change:
    """Only every n-th slice, so that they lie about so far apart."""

    def thinned(image: sitk.Image) -> sitk.Image:
        return image[:, :, :: max(1, round(mm / image.GetSpacing()[2]))]

    return thinned


def spaced(factor: float) -> Change:
    """A header that states voxels of another size."""

    def changed(image: sitk.Image) -> sitk.Image:
        made = sitk.Image(image)
        made.SetSpacing([side * factor for side in image.GetSpacing()])
        return made

    return changed


def whole(image: sitk.Image) -> sitk.Image:
    """The image as it is."""
    return image


ABDOMEN, TORSO, PHANTOM = "ct_abdomen", "ct_torso", "phantom"
FAILURES: Sequence[tuple[str, str, Change]] = (
    ("MR", "mr_abdomen", whole),
    ("label map of 13 organs", "label_maps/ts_s0327_label13.nii.gz", whole),
    ("label map of 117 structures", "anatomy/ts_s0328.nii.gz", whole),
    ("head and neck", "ct_head_neck", whole),
    ("thigh, sarcoma 2", "ct_sarcoma/STS_002", whole),
    ("thigh, sarcoma 3", "ct_sarcoma/STS_003", whole),
    ("three slices", "ct_3slice", whole),
    ("slab of 40 mm", "ct_slab_dicom/series", whole),
    ("stored values, 1024 too high", ABDOMEN, values(lambda hu: hu + 1024)),
    ("intercept applied twice", TORSO, values(lambda hu: hu - 1024)),
    ("slope halved", ABDOMEN, values(lambda hu: hu / 2)),
    ("8-bit window", TORSO, values(lambda hu: np.clip((hu + 160) / 400 * 255, 0, 255).round())),
    ("scaled to 0 to 1", ABDOMEN, values(lambda hu: (np.clip(hu, -1000, 1000) + 1000) / 2000)),
    ("inverted", TORSO, values(lambda hu: -hu)),
    ("slices 12 mm apart", ABDOMEN, apart(12)),
    ("five slices", TORSO, part(z=(0.6, 0.65))),
    ("left and right exchanged", ABDOMEN, reordered(lambda array: array[:, :, ::-1])),
    ("head and feet exchanged", ABDOMEN, reordered(lambda array: array[::-1])),
    ("front and back exchanged", ABDOMEN, reordered(lambda array: array[:, ::-1])),
    ("left and right exchanged, phantom", PHANTOM, reordered(lambda array: array[:, :, ::-1])),
    ("right half", ABDOMEN, part(x=(0, 0.5))),
    ("left half, phantom", PHANTOM, part(x=(0.5, 1))),
    ("pelvis alone", TORSO, part(z=(0, 0.3))),
    ("voxels stated half as large", ABDOMEN, spaced(0.5)),
)
"""What is wrong, the real data or phantom that it is made from, and how."""


def read(path: Path) -> sitk.Image:
    """An image file, the image of a case folder, or a DICOM series."""
    if path.is_file():
        return sitk.ReadImage(str(path))
    images = sorted(path.glob("*_0000.nii.gz"))
    if images:
        return sitk.ReadImage(str(images[0]))
    return sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path)))


def make_failures(real: Path, phantom: Path, folder: Path) -> None:
    """Write every failure as `NUMBER_0000.nii.gz`, so that the order of the table is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, source, change) in enumerate(FAILURES):
        path = folder / f"failure-{number:02d}_0000.nii.gz"
        if not path.is_file():
            sitk.WriteImage(change(read(phantom if source == PHANTOM else real / source)), str(path))


def run(*arguments: object) -> None:
    """A program of this repository; the codes of `predict.py` and `eval` for cases that failed are no end."""
    command = [sys.executable, *map(str, arguments)]
    if subprocess.run(command, cwd=ROOT, check=False).returncode not in (0, 1):
        sys.exit(f"failed: {' '.join(command)}")


def predict(images: Path, folder: Path) -> dict[str, dict[str, object]]:
    """Segment a folder; each case's entry of the report by the name of its result, those kept included."""
    report = folder / "report.json"
    if not report.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        run("predict.py", "--input", images, "--output", folder, "--report", report)
    cases = json.loads(report.read_text(encoding="utf-8"))["cases"]
    return {case["output"].removesuffix(".nii.gz"): case for case in cases}


def said(case: dict[str, object]) -> list[str]:
    """Warnings and doubts of a case, those of its file left out, which no case here has."""
    return [str(each) for name in ("warnings", "doubts") for each in case[name]]  # type: ignore[attr-defined]


def names_what_is_missing(doubts: Sequence[str], truth: Path, ids: Mapping[str, int]) -> bool:
    """Whether all that is said of a case is that organs are missing which its truth lacks, too."""
    labels = np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(truth))))
    missing = {name for name, label in ids.items() if label not in labels}
    clauses = [MISSING.fullmatch(doubt) for doubt in doubts]
    return all(clause and missing.issuperset(re.split(", | and ", clause[1])) for clause in clauses)


def dice_of(scores: Path) -> Iterator[tuple[str, float]]:
    """Each case and the mean Dice of the organs that its truth holds."""
    with scores.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found = [
                float(value)
                for name, value in row.items()
                if name.endswith("_DSC")
                and value
                and "tumor" not in name.lower()
                and "mean" not in name.lower()
            ]
            yield row["Name"].removesuffix(".nii.gz"), float(np.mean(found)) if found else float("nan")


def main() -> None:
    """Make, segment, judge, write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", type=Path, required=True, help="folder of real CTs, one a folder")
    parser.add_argument(
        "--phantoms", type=Path, required=True, help="data set of `python -m training phantom`"
    )
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    output, images = arguments.output, arguments.phantoms / "imagesTr"
    make_failures(arguments.real, min(images.iterdir()), output / "failures")
    failures = predict(output / "failures", output / "failures-segmented")
    phantoms = predict(images, output / "phantoms-segmented")
    abdomen = predict(arguments.real / ABDOMEN / "ct_0000.nii.gz", output / "abdomen-segmented")
    scores = output / "scores.csv"
    truth, labels = arguments.phantoms / "labelsTr", output / "phantoms-segmented"
    options = ("--labels", "flare23", "--rules", "partial", "--output", scores, "--force")
    run("-m", "eval", "score", "--pred", labels, "--truth", truth, *options)
    dice = dict(dice_of(scores))
    rows = ["| failure | what was said |", "|---|---|"]
    caught = 0
    for (name, _, _), case in zip(FAILURES, (failures[key] for key in sorted(failures)), strict=True):
        caught += bool(said(case))
        rows.append(f"| {name} | {'; '.join(said(case)) or '**nothing**'} |")
    good = {name: case for name, case in phantoms.items() if dice[name] >= GOOD_DICE} | abdomen
    poor = {name: case for name, case in phantoms.items() if dice[name] < GOOD_DICE}
    rows += ["", "| good case | mean organ Dice | what was said |", "|---|---|---|"]
    rows += [
        f"| {name} | {dice.get(name, float('nan')):.2f} | {'; '.join(said(case))} |"
        for name, case in good.items()
        if said(case)
    ]
    rows += ["", "| phantom below 0.8 | mean organ Dice | what was said |", "|---|---|---|"]
    rows += [
        f"| {name} | {dice[name]:.2f} | {'; '.join(said(case)) or 'nothing'} |" for name, case in poor.items()
    ]
    ids = json.loads((arguments.phantoms / "dataset.json").read_text(encoding="utf-8"))["labels"]
    doubted = {name: said(case) for name, case in good.items() if said(case)}
    truths = {name: truth / f"{name}.nii.gz" for name in doubted if name in dice}
    right = sum(names_what_is_missing(doubted[name], path, ids) for name, path in truths.items())
    heads = (
        f"Warned of {caught} of {len(FAILURES)} failures, {len(doubted)} of {len(good)} good cases; in "
        f"{right} of these all it said is that an organ is missing, and it is."
    )
    (output / "trust.md").write_text("\n".join([heads, "", *rows]) + "\n", encoding="utf-8")
    sys.stdout.write(f"{heads}\n{output / 'trust.md'}\n")


if __name__ == "__main__":
    main()
