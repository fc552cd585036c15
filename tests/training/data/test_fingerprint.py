"""Fingerprints: figures that can be counted by hand, what recipes take from them, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure

from model.labels import FLARE21, FLARE23
from model.manifest.intensity import ClipZscoreIntensity, WindowIntensity, WindowSigmoidIntensity
from tests.training.tiny import tiny_recipe, write_case, write_dataset
from training.__main__ import main
from training.data.fingerprint import (
    Tally,
    channel_figures,
    proposed_spacing,
    read_fingerprint,
    take_fingerprint,
)
from training.data.fingerprint_report import plot, table, volumes_of
from training.data.folders import labelled_cases
from training.data.resolving import resolved
from training.training_errors import DataError, RecipeError


def respaced(folder, name, spacing_xyz):
    for place in (f"imagesTr/{name}_0000.nii.gz", f"labelsTr/{name}.nii.gz"):
        image = sitk.ReadImage(str(folder / place))
        image.SetSpacing(spacing_xyz)
        sitk.WriteImage(image, str(folder / place))


@pytest.fixture
def two(tmp_path):
    """Case a: a liver of 200 voxels with 1 to 200 HU. Case b: a liver of 20 voxels of 300 HU, a spleen of 80
    of 100 HU."""
    hu, labels = np.full((10, 10, 10), -500, np.int16), np.zeros((10, 10, 10), np.uint8)
    hu[:2], labels[:2] = np.arange(1, 201).reshape(2, 10, 10), 1
    write_case(tmp_path, "a", hu, labels)
    hu, labels = np.full((10, 10, 10), -500, np.int16), np.zeros((10, 10, 10), np.uint8)
    hu[0, :2], labels[0, :2] = 300, 1
    hu[0, 2:], labels[0, 2:] = 100, 3
    write_case(tmp_path, "b", hu, labels)
    respaced(tmp_path, "b", (1.0, 1.0, 4.0))
    (tmp_path / "labels.json").write_text(json.dumps({"labels": {"liver": 1, "kidney": 2, "spleen": 3}}))
    return tmp_path


def test_intensities_weigh_each_case_alike(two):
    (figures,) = take_fingerprint(labelled_cases(two), FLARE21).channels
    # Half of the weight lies on 1 to 200, 0.0025 each; 0.4 on 100 and 0.1 on 300.
    assert figures.percentile_00_5 == 2  # 0.0025 · 2
    assert figures.percentile_99_5 == 300
    assert figures.median == 100  # 0.25 up to 100 of a, and 0.4 of b
    assert (figures.min, figures.max) == (1, 300)
    mean = 0.5 * 100.5 + 0.4 * 100 + 0.1 * 300
    assert figures.mean == pytest.approx(mean)
    square = (
        0.5 * (201 * 401 / 6) + 0.4 * 100**2 + 0.1 * 300**2
    )  # the mean of squares up to n is (n+1)(2n+1)/6
    assert figures.std == pytest.approx((square - mean**2) ** 0.5)
    assert sum(figures.histogram) == pytest.approx(1 - 0.0025, abs=1e-4)  # all but the voxel of 1 HU


def test_sizes_spacings_volumes_and_groups(two):
    found = take_fingerprint(labelled_cases(two), FLARE21)
    a, b = found.cases
    assert (a.size_zyx, a.spacing_zyx_mm) == ((10, 10, 10), (2, 2, 2))
    assert b.spacing_zyx_mm == (4, 1, 1)
    assert a.volumes_ml == {"liver": 1.6}  # 200 · 8 mm³
    assert b.volumes_ml == {"liver": 0.08, "spleen": 0.32}  # 20 and 80 voxels of 4 mm³
    assert found.spacing_zyx_mm == (3, 1.5, 1.5)
    assert [(group.structures, group.cases) for group in found.groups] == [
        (("liver",), ("a",)),
        (("liver", "spleen"), ("b",)),
    ]


@pytest.mark.parametrize(
    ("spacings", "sizes", "expected"),
    [
        # Not coarse enough: 3 times is not more than 3 times.
        ([(3, 1, 1)] * 3, [(30, 400, 400)] * 3, (3, 1, 1)),
        # Coarse, and few slices: the 10th percentile of 4, 5, 6 is 4.2.
        ([(4, 1, 1), (5, 1, 1), (6, 1, 1)], [(30, 400, 400)] * 3, (4.2, 1, 1)),
        # Coarse, but as many slices as voxels in plane: the median stays.
        ([(4, 1, 1), (5, 1, 1), (6, 1, 1)], [(300, 400, 400)] * 3, (5, 1, 1)),
        # The 10th percentile (0.9) would be finer than the other axes: kept just above them.
        ([(0.5, 1, 1), (5, 1, 1), (5, 1, 1)], [(30, 400, 400)] * 3, (1.40, 1, 1)),
        ([(0.5, 1, 1), (0.5, 1, 1), (5, 1, 1), (5, 1, 1), (5, 1, 1)], [(30, 400, 400)] * 5, (1.00001, 1, 1)),
    ],
)
def test_the_proposed_spacing_follows_nnunets_rule(spacings, sizes, expected):
    assert proposed_spacing(spacings, sizes)[0] == pytest.approx(expected, abs=1e-9)


def test_a_foreground_of_one_value_has_figures():
    figures = channel_figures([Tally(values=np.array([7.0]), shares=np.array([1.0]))])
    assert (figures.percentile_00_5, figures.median, figures.percentile_99_5) == (7, 7, 7)
    assert (figures.mean, figures.std) == (7, 0)


def test_the_command_writes_figures_a_picture_and_a_table(two, capsys):
    assert main(["fingerprint", str(two), "--workers", "2"]) == 0
    out = capsys.readouterr().out
    assert "2 cases, 1 channel, label set" in out
    assert (
        "foreground         0.5 %    median    99.5 %      mean deviation     least      most  HU of a CT"
        in out
    )
    assert "proposed spacing (z, y, x): 3, 1.5, 1.5 mm, the median of all cases along each axis" in out
    assert any(line.split() == ["liver", "2", "0.08", "0.84", "1.6"] for line in out.splitlines())
    assert read_fingerprint(two / "fingerprint.json") == take_fingerprint(
        labelled_cases(two), read_label_set(two)
    )
    assert (two / "fingerprint.png").read_bytes().startswith(b"\x89PNG")
    assert not (two / "annotated.json").exists()


def groups_in(fingerprint, labels):
    """Lines of the table's last part: how many cases hold what."""
    _, _, groups = table(fingerprint, labels).rpartition("fingerprint.json):\n")
    return [line.strip() for line in groups.splitlines()]


def test_groups_that_differ_read_differently(tmp_path, monkeypatch):
    """Of 14 structures the first case holds all, the second no tumor, the third no gallbladder."""
    for name, missing in (("a", ()), ("b", (14,)), ("c", (9,))):
        labels = np.zeros((14, 4, 4), np.uint8)
        for label in set(range(1, 15)) - set(missing):
            labels[label - 1] = label
        write_case(tmp_path, name, labels.astype(np.int16), labels)
    found = take_fingerprint(labelled_cases(tmp_path), FLARE23)
    assert groups_in(found, FLARE23) == ["1  all 14", "1  all but tumor", "1  all but gallbladder"]
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: figures.append(figure))
    plot(found, FLARE23, tmp_path / "fingerprint.png")
    bars = figures[0].axes[-1].get_yticklabels()
    assert [bar.get_text() for bar in bars] == ["all 14", "all but tumor", "all but gallbladder"]


def test_groups_of_few_structures_are_named(two):
    found = take_fingerprint(labelled_cases(two), FLARE21)
    assert groups_in(found, FLARE21) == ["1  liver", "1  liver, spleen"]


def test_structures_stand_in_the_order_of_the_label_set(tmp_path):
    """The spleen (3) occurs in the second case alone, the tumor (14) in the first: 14 comes last."""
    for name, label in (("a", 14), ("b", 3)):
        write_case(tmp_path, name, np.zeros((4, 4, 4), np.int16), np.full((4, 4, 4), label, np.uint8))
    found = take_fingerprint(labelled_cases(tmp_path), FLARE23)
    assert volumes_of(found, FLARE23) == {"spleen": [0.512], "tumor": [0.512]}  # 64 voxels of 8 mm³


def read_label_set(folder):
    from model.label_files import find_label_set

    return find_label_set(folder)


def test_a_proposal_of_what_is_annotated_is_kept_by_the_user(two, capsys):
    assert main(["fingerprint", str(two), "--write-annotated"]) == 0
    assert [case.annotated for case in labelled_cases(two)] == [("liver",), ("liver", "spleen")]
    capsys.readouterr()
    assert main(["fingerprint", str(two), "--write-annotated"]) == 1
    assert "annotated.json: is there already" in capsys.readouterr().err
    assert main(["check", str(two)]) == 0


def test_recipes_take_spacing_and_intensity_from_it(two):
    main(["fingerprint", str(two)])
    recipe = tiny_recipe(spacing_zyx_mm="fingerprint", intensity={"kind": "from_fingerprint"})
    assert recipe.takes_from_fingerprint
    made = resolved(recipe, [two])
    assert made.spacing_zyx_mm == (3, 1.5, 1.5)
    assert isinstance(made.intensity, ClipZscoreIntensity)
    assert (made.intensity.lower, made.intensity.upper) == (2, 300)
    assert made.intensity.mean == pytest.approx(120.25)
    for scheme, cls in (("window", WindowIntensity), ("window_sigmoid", WindowSigmoidIntensity)):
        recipe = tiny_recipe(intensity={"kind": "from_fingerprint", "scheme": scheme})
        assert resolved(recipe, [two]).intensity == cls(lower=2, upper=300)
    assert resolved(tiny_recipe(), [two]) == tiny_recipe()


def test_without_a_file_the_cases_are_looked_at(two):
    recipe = tiny_recipe(spacing_zyx_mm="fingerprint")
    assert resolved(recipe, [two]).spacing_zyx_mm == (3, 1.5, 1.5)
    assert not (two / "fingerprint.json").exists()
    assert resolved(recipe, [two, two]).spacing_zyx_mm == (3, 1.5, 1.5)


def test_two_jobs_may_keep_the_same_fingerprint_at_a_time(two, tmp_path, monkeypatch):
    """The second begins and ends between the first one's last byte and its file's own name."""
    kept, recipe = tmp_path / "out" / "fingerprint.json", tiny_recipe(spacing_zyx_mm="fingerprint")
    replace, found = Path.replace, []

    def delayed(path, target):
        if not found:
            found.append(None)
            found.append(resolved(recipe, [two], kept=kept))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", delayed)
    first = resolved(recipe, [two], kept=kept)
    assert first == found[1]
    assert [path.name for path in kept.parent.iterdir()] == ["fingerprint.json"]


def test_a_fingerprint_of_other_cases_is_refused(two):
    main(["fingerprint", str(two)])
    (two / "imagesTr/b_0000.nii.gz").unlink()
    (two / "labelsTr/b.nii.gz").unlink()
    with pytest.raises(DataError, match=r"fingerprint\.json: is of other cases than the folder holds now"):
        resolved(tiny_recipe(spacing_zyx_mm="fingerprint"), [two])


@pytest.mark.parametrize("place", ["imagesTr/b_0000.nii.gz", "labelsTr/b.nii.gz"])
def test_a_fingerprint_of_other_files_of_the_same_names_is_refused(two, place):
    """As when images were rewritten in other units: normalization would be that of the old ones."""
    main(["fingerprint", str(two)])
    image = sitk.ReadImage(str(two / place))
    sitk.WriteImage(sitk.Cast(image == 0, sitk.sitkUInt8), str(two / place))
    recipe = tiny_recipe(spacing_zyx_mm="fingerprint")
    with pytest.raises(DataError, match=r"fingerprint\.json: images or labels have changed since it was tak"):
        resolved(recipe, [two])
    main(["fingerprint", str(two)])
    assert resolved(recipe, [two]).spacing_zyx_mm == (3, 1.5, 1.5)


def test_a_fingerprint_of_an_older_release_is_taken(two):
    main(["fingerprint", str(two)])
    document = json.loads((two / "fingerprint.json").read_text(encoding="utf-8"))
    del document["files_sha256"]
    (two / "fingerprint.json").write_text(json.dumps(document))
    assert resolved(tiny_recipe(spacing_zyx_mm="fingerprint"), [two]).spacing_zyx_mm == (3, 1.5, 1.5)


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_faulty_fingerprint_is_refused(two, text):
    (two / "fingerprint.json").write_text(text)
    with pytest.raises(DataError, match=r"fingerprint\.json: is no fingerprint"):
        resolved(tiny_recipe(spacing_zyx_mm="fingerprint"), [two])


def test_channels_must_be_as_many(two):
    inputs = [{"name": name, "intensity": {"kind": "from_fingerprint"}} for name in ("CT", "PET")]
    with pytest.raises(RecipeError, match=r"sees 2 channel\(s\), the fingerprint has 1"):
        resolved(tiny_recipe(inputs=inputs), [two])


def test_a_recipe_without_its_figures_says_so():
    recipe = tiny_recipe(spacing_zyx_mm="fingerprint", intensity={"kind": "from_fingerprint"})
    with pytest.raises(ValueError, match="spacing_zyx_mm: fingerprint is no spacing without training data"):
        _ = recipe.voxel_zyx_mm
    with pytest.raises(ValueError, match="from_fingerprint has no figures without training data"):
        _ = recipe.case_inputs


@pytest.mark.parametrize(
    ("spoil", "more", "code", "message"),
    [
        (lambda folder: (folder / "labelsTr/a.nii.gz").unlink(), (), 1, "labelsTr/a.nii.gz: missing"),
        (
            lambda folder: (folder / "labels.json").unlink(),
            (),
            2,
            "would state a label set; give --label-set",
        ),
        (lambda folder: respaced(folder, "a", (9.0, 1.0, 1.0)), ("--workers", "0"), 2, "--workers"),
    ],
)
def test_bad_input_is_one_line(two, capsys, spoil, more, code, message):
    spoil(two)
    assert main(["fingerprint", str(two), *more]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_data_set_without_any_structure_has_no_fingerprint(tmp_path, capsys):
    write_case(tmp_path, "case", np.zeros((4, 4, 4), np.int16), np.zeros((4, 4, 4), np.uint8))
    assert main(["fingerprint", str(tmp_path), "--label-set", "flare21"]) == 1
    assert "no case holds any structure of flare21" in capsys.readouterr().err


def test_ids_outside_the_set_are_refused(tmp_path, capsys):
    write_dataset(tmp_path, side=18)
    (tmp_path / "labels.json").write_text('{"labels": {"liver": 1}}')
    assert main(["fingerprint", str(tmp_path)]) == 1
    assert "holds id 3, unknown to label set" in capsys.readouterr().err
