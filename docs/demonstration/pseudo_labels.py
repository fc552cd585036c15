"""Do pseudo-labels raise Dice? A comparison on made-up bodies, by the plan `labelled-or-filled.yaml`.

    python docs/demonstration/pseudo_labels.py --output DIR

Makes 2 complete cases, 24 partially labelled ones and 24 to judge by; carries out the plan for each seed;
lets `predict.py` segment the last 24 with both models, and `eval` score and compare them: the mean over seeds
of each case, as paired samples. Then the models of the seeds label the last 24 as if they were rounds, three
label maps of the second one are spoiled, and `pseudo-label rounds` must leave these out. Call it again and it
goes on.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
IDS = {"liver": 1, "spleen": 2, "right kidney": 3, "left kidney": 4, "aorta": 5, "tumor": 6}
GIVEN = ("liver", "spleen", "tumor")
"""What half of the partially labelled cases annotate; the other half the tumor alone."""
SIZE_ZYX, SPACING_MM = (28, 36, 40), 6.0
CASES = {"labelled": 2, "partial": 24, "test": 24}
MODELS = ("labelled_only", "with_filled")
SPOILED, MOVED_VOXELS = 3, 6
"""Cases whose labels of the second round are moved along x, and how far."""


def body(rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """HU and labels (z, y, x): ellipsoids that vary in all they can, and bowel that looks like organs."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in SIZE_ZYX), indexing="ij")
    labels = np.zeros(SIZE_ZYX, np.uint8)
    hu = np.where((y / 0.85) ** 2 + (x / 0.95) ** 2 < 1, rng.normal(-60, 20), -200.0)

    def ellipsoid(
        centre_zyx: tuple[float, float, float], radius_zyx: tuple[float, float, float]
    ) -> NDArray[np.bool_]:
        at = np.array(centre_zyx) + rng.normal(0, 0.07, 3)
        size = np.array(radius_zyx) * rng.uniform(0.75, 1.25, 3)
        inside: NDArray[np.bool_] = ((z - at[0]) / size[0]) ** 2 + ((y - at[1]) / size[1]) ** 2 + (
            (x - at[2]) / size[2]
        ) ** 2 < 1
        return inside

    for _ in range(4):
        place = (rng.uniform(-0.9, 0), rng.uniform(-0.5, 0.1), rng.uniform(-0.5, 0.6))
        hu[ellipsoid(place, (0.2, 0.16, 0.16))] = rng.normal(80, 40)
    enhanced = rng.uniform(0, 1)  # The phase of the contrast agent.
    for name, centre, radius, brightness in (
        ("liver", (0.3, -0.2, -0.45), (0.5, 0.4, 0.38), 70 + 50 * enhanced),
        ("spleen", (0.4, 0.2, 0.6), (0.3, 0.3, 0.18), 70 + 60 * enhanced),
        ("right kidney", (-0.3, 0.4, -0.45), (0.33, 0.2, 0.17), 60 + 130 * enhanced),
        ("left kidney", (-0.25, 0.4, 0.45), (0.33, 0.2, 0.17), 60 + 130 * enhanced),
        ("aorta", (0.0, 0.35, 0.02), (3.0, 0.1, 0.1), 50 + 200 * enhanced),
    ):
        where = ellipsoid(centre, radius)
        labels[where], hu[where] = IDS[name], rng.normal(brightness, 15)
    where = ellipsoid((0.3, -0.2, -0.45), (0.16, 0.13, 0.13)) & (labels == IDS["liver"])
    labels[where], hu[where] = IDS["tumor"], rng.normal(20, 10)
    return np.rint(hu + rng.normal(0, 25, SIZE_ZYX)).astype(np.int16), labels


def write(array: NDArray[np.generic], path: Path) -> None:
    """Write voxels as an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((SPACING_MM,) * 3)
    sitk.WriteImage(image, str(path), useCompression=True)


def make(folder: Path) -> None:
    """Write the three data sets."""
    for number, (name, count) in enumerate(CASES.items()):
        annotated = {}
        for index in range(count):
            case = f"{name}_{index:02d}"
            hu, labels = body(np.random.default_rng((number, index)))
            if name == "partial":
                annotated[case] = GIVEN if index % 2 else ("tumor",)
                labels[~np.isin(labels, [IDS[one] for one in annotated[case]])] = 0
            write(hu, folder / name / "imagesTr" / f"{case}_0000.nii.gz")
            write(labels, folder / name / "labelsTr" / f"{case}.nii.gz")
        stated = {"name": "phantoms", "labels": IDS, "lesions": ["tumor"]}
        (folder / name / "labels.json").write_text(json.dumps(stated))
        if annotated:
            (folder / name / "annotated.json").write_text(json.dumps(annotated))


def call(*words: object) -> None:
    """Run one of the project's programs."""
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=True)


def judge(folder: Path, data: Path, threads: int) -> None:
    """Segment and score the last cases with both models of a seed."""
    for model in MODELS:
        labels, bundle = folder / f"{model}_labels", folder / f"{model}_bundle"
        images = ("--input", data / "imagesTr", "--output", labels)
        call("predict.py", *images, "--bundle", bundle, "--skip-existing", "--threads", threads)
        truth = ("--truth", data / "labelsTr", "--labels", data / "labels.json")
        call("-m", "eval", "score", "--pred", labels, *truth, "--output", folder / f"{model}.csv", "--force")


def mean_table(tables: list[Path], path: Path) -> None:
    """Write the mean of each case and column over score tables."""
    rows = []
    for table in tables:
        with table.open(newline="", encoding="utf-8") as stream:
            rows.append(list(csv.DictReader(stream)))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0][0]), lineterminator="\n")
        writer.writeheader()
        for same in zip(*rows, strict=True):
            row = dict(same[0])
            for column in row:
                if column.endswith(("_DSC", "_NSD")):
                    row[column] = str(np.nanmean([float(one[column] or "nan") for one in same]))
            writer.writerow(row)


def select(output: Path, folders: list[Path]) -> None:
    """Take the models of the seeds for rounds, spoil labels of the second one, and keep what is stable."""
    rounds = [output / f"round-{number}" for number in range(1, len(folders) + 1)]
    for folder, place in zip(folders, rounds, strict=True):
        bundle = ("--bundle", folder / "with_filled_bundle", "--output", place)
        call("-m", "training", "pseudo-label", "unlabelled", output / "data" / "test", *bundle)
    mark = output / "spoiled.txt"
    if not mark.exists():
        for path in sorted((rounds[1] / "labelsTr").iterdir())[:SPOILED]:
            moved = np.roll(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), MOVED_VOXELS, axis=2)
            write(moved, path)
        mark.touch()
    call("-m", "training", "pseudo-label", "rounds", *rounds, "--output", output / "stable")
    sys.stdout.write((output / "stable" / "stability.csv").read_text(encoding="utf-8"))


def main() -> None:
    """Make, train, judge, compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    output: Path = arguments.output.absolute()
    make(output / "data")
    folders = [output / f"seed-{seed}" for seed in range(1, arguments.seeds + 1)]
    for seed, folder in enumerate(folders, start=1):
        inputs = [f"--input={name}={output / 'data' / name}" for name in ("labelled", "partial")]
        seeds = [f"--set=steps.{model}.seed={seed}" for model in MODELS]
        plan = (HERE / "labelled-or-filled.yaml", *inputs, *seeds, "--output", folder)
        call("-m", "training", "run", *plan, "--device", "cpu", "--threads", arguments.threads)
        judge(folder, output / "data" / "test", arguments.threads)
    for model in MODELS:
        mean_table([folder / f"{model}.csv" for folder in folders], output / f"{model}.csv")
    tables = [output / f"{model}.csv" for model in MODELS]
    call("-m", "eval", "compare", *tables, "--metrics", "DSC", "--labels", output / "data/test/labels.json")
    if len(folders) > 1:
        select(output, folders)


if __name__ == "__main__":
    main()
