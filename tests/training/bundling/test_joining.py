"""Bundles become one: the result is a plain mean of what each gives, and what cannot be joined is named."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from scipy import ndimage

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.predictor import Predictor
from inference.restoration.interpolation import interpolate
from model.bundle import file_sha256, load_bundle
from model.manifest.clean_up import LargestComponent
from model.manifest.document import Preprocessing
from model.manifest.fusion import (
    CleanedGroupsFusion,
    FirstThenOrgansFusion,
    MeanFusion,
    RestoredEnsemblesFusion,
)
from model.manifest.intensity import WindowIntensity
from model.onnx_export import memory
from tests.inference.bundles import CT, OUTPUT, localization, make_bundle, member
from tests.places import FAKE_MEMORY_PROGRAM
from tests.training.checkpoints import write_checkpoint
from training.__main__ import main
from training.bundling.description import Statement
from training.bundling.joining import join_bundles, shares_of
from training.training_errors import ExportError

STATEMENT = Statement(name="both", licence="CC0-1.0", intended_use="tests")
SIDE = 16
LOWER, UPPER = -250, 250


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Bundles of two and of one untrained network, as `export` writes them, all of one grid and window."""
    folder = tmp_path_factory.mktemp("untrained")
    steps = {"clean_up": [{"kind": "largest_component", "structures": ["organs"]}]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "PROGRAM", FAKE_MEMORY_PROGRAM)
        for name, seeds in (("one", (0, 1)), ("two", (2,))):
            paths = [
                write_checkpoint(folder / f"{name}-{seed}", seed=seed, inference=steps) for seed in seeds
            ]
            words = ["export", *map(str, paths), "--output", str(folder / name), "--no-fp16"]
            assert main([*words, "--licence", "CC0-1.0"]) == 0
    return folder / "one", folder / "two"


def image():
    """Smooth noise, over which untrained networks have many opinions."""
    noise = ndimage.gaussian_filter(np.random.default_rng(5).normal(0, 1, (SIDE,) * 3), 1.5)
    return (noise / noise.std() * 150).astype(np.int16)


def plain_probabilities(folder, hu):
    """Mean softmax of a bundle's networks, whose window is the whole image, from onnxruntime's logits."""
    window = ((np.clip(hu.astype(float), LOWER, UPPER) - LOWER) / (UPPER - LOWER)).astype(np.float32)
    found = []
    for each in load_bundle(folder).manifest.members:
        session = onnxruntime.InferenceSession(str(folder / each.file), providers=["CPUExecutionProvider"])
        logits = session.run(None, {session.get_inputs()[0].name: window[None, None]})[0][0].astype(float)
        odds = np.exp(logits - logits.max(0))
        found.append(odds / odds.sum(0))
    return np.mean(found, axis=0)


def plainly_cleaned(probabilities):
    """Of each channel that wins somewhere, all parts but the largest become background."""
    winners, cleaned = probabilities.argmax(0), probabilities.copy()
    for channel in range(1, len(probabilities)):
        mask = winners == channel
        parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
        if count:
            removed = mask & (parts != np.bincount(parts[mask]).argmax())
            cleaned[0][removed] += cleaned[channel][removed]
            cleaned[channel][removed] = 0
    return cleaned


def segmented(folder, hu):
    geometry = Geometry(size_zyx=hu.shape, spacing_zyx_mm=(2.0, 2.0, 2.0))
    predictor = Predictor(load_bundle(folder), device="onnxruntime", threads=1, precision="fp32")
    return predictor.predict(Volume(array=hu, geometry=geometry)).labels


@pytest.mark.parametrize("weights", [None, (3.0, 1.0)])
def test_a_joined_bundle_gives_the_plain_mean_of_both_after_clean_up(untrained, tmp_path, weights):
    words = ["ensemble", *map(str, untrained), "--output", str(tmp_path / "both")]
    assert main([*words, *(["--weights", *map(str, weights)] if weights else [])]) == 0
    hu = image()
    each = [plainly_cleaned(plain_probabilities(folder, hu)) for folder in untrained]
    fused = np.average(each, axis=0, weights=weights)
    best, second = np.sort(fused, axis=0)[[-1, -2]]
    clear = best - second > 1e-5  # Elsewhere the order of float32 sums decides.
    assert clear.mean() > 0.98
    found = segmented(tmp_path / "both", hu)
    np.testing.assert_array_equal(found[clear], fused.argmax(0)[clear])
    # Clean-up before the fusion matters here, or this would prove nothing.
    unclean = np.mean([plain_probabilities(folder, hu) for folder in untrained], axis=0).argmax(0)
    assert (found != unclean).any()


def test_all_members_are_fused_as_if_they_had_been_exported_together(untrained, tmp_path):
    words = ["ensemble", *map(str, untrained), "--output", str(tmp_path / "b"), "--fuse", "members"]
    assert main([*words, "--weights", "2", "1"]) == 0
    hu = image()
    mean = np.average([plain_probabilities(folder, hu) for folder in untrained], axis=0, weights=(2, 1))
    best, second = np.sort(mean, axis=0)[[-1, -2]]
    expected = plainly_cleaned(mean).argmax(0)
    found = segmented(tmp_path / "b", hu)
    clear = (best - second > 1e-5) & (expected > 0)
    np.testing.assert_array_equal(found[clear], expected[clear])


LOGITS = MeanFusion(of="logits")


def logits_of(folder, hu):
    (only,) = load_bundle(folder).manifest.members
    window = ((np.clip(hu.astype(float), LOWER, UPPER) - LOWER) / (UPPER - LOWER)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(folder / only.file), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: window[None, None]})[0][0]


def softmax(logits):
    odds = np.exp(logits - logits.max(0))
    return odds / odds.sum(0)


def test_bundles_of_logits_are_restored_each_and_then_averaged(tmp_path):
    """One on the image's grid, one on twice the spacing, over an image of blocks of 2 · 2 · 2 voxels."""
    stated = {"fusion": LOGITS, "preprocessing": Preprocessing(orientation="stored")}
    fine = member(spacing_zyx_mm=(2, 2, 2), window_zyx=(SIDE,) * 3)
    coarse = member(spacing_zyx_mm=(4, 4, 4), window_zyx=(SIDE // 2,) * 3)
    for name, each in (("fine", fine), ("coarse", coarse)):
        make_bundle(tmp_path / name, [each], name=name, **stated)
    words = ["ensemble", str(tmp_path / "fine"), str(tmp_path / "coarse"), "--weights", "1", "2"]
    assert main([*words, "--output", str(tmp_path / "both")]) == 0
    joined = load_bundle(tmp_path / "both").manifest
    assert (joined.fusion, joined.preprocessing.orientation) == (RestoredEnsemblesFusion(), "stored")
    blocks = np.random.default_rng(3).integers(LOWER, UPPER, (SIDE // 2,) * 3).astype(np.int16)
    hu = np.kron(blocks, np.ones((2, 2, 2), np.int16))
    logits = logits_of(tmp_path / "fine", hu)
    restored = interpolate(logits_of(tmp_path / "coarse", blocks), (SIDE,) * 3)
    expected = softmax(logits) + 2 * softmax(restored)
    best, second = np.sort(expected, axis=0)[[-1, -2]]
    clear = best - second > 1e-5  # Elsewhere the order of float32 sums decides.
    assert clear.mean() > 0.9
    numbers = np.array([0, *(OUTPUT.labels[name] for name in ("liver", "left kidney", "aorta", "tumor"))])
    found = segmented(tmp_path / "both", hu)
    found[found == OUTPUT.labels["right kidney"]] = OUTPUT.labels["left kidney"]
    np.testing.assert_array_equal(found[clear], numbers[expected.argmax(0)][clear])
    # The mean of logits, and that on the network's grid, are others, or this would prove nothing.
    assert (numbers[(logits + 2 * restored).argmax(0)] != found).any()
    before = softmax(logits) + 2 * interpolate(softmax(logits_of(tmp_path / "coarse", blocks)), (SIDE,) * 3)
    assert (numbers[before.argmax(0)] != found).any()


def test_clean_up_before_the_fusion_needs_canonical_axes(tmp_path, capsys):
    steps = Preprocessing(orientation="stored")
    for name in ("one", "two"):
        cleaned = {"fusion": LOGITS, "preprocessing": steps, "postprocessing": (KEPT,)}
        make_bundle(tmp_path / name, name=name, **cleaned)
    words = ["ensemble", str(tmp_path / "one"), str(tmp_path / "two"), "--output", str(tmp_path / "both")]
    assert main(words) == 1
    assert "join with --fuse members, which averages all members as one" in capsys.readouterr().err
    assert main([*words, "--fuse", "members"]) == 0


def test_the_manifest_says_what_it_is_made_of(untrained, tmp_path):
    one, two = (load_bundle(folder) for folder in untrained)
    joined = join_bundles(tmp_path / "both", [one, two], STATEMENT, fuse="cleaned", weights=(3, 1))
    manifest = joined.manifest
    assert manifest.fusion == CleanedGroupsFusion()
    assert [(each.file, each.ensemble, each.weight) for each in manifest.members] == [
        ("1/member-1.onnx", "1", 1.5),
        ("1/member-2.onnx", "1", 1.5),
        ("2/member-1.onnx", "2", 1),
    ]
    assert manifest.provenance.recipe == (
        f"one (bundle sha256:{one.sha256}): tiny (seed 0, 8 steps), tiny (seed 1, 8 steps); "
        f"two (bundle sha256:{two.sha256}): tiny (seed 2, 8 steps)"
    )
    assert (manifest.provenance.data, manifest.provenance.licence) == ("cubes", "CC0-1.0")
    for number, folder in enumerate(untrained, start=1):
        assert file_sha256(joined.folder / f"{number}/member-1.onnx") == file_sha256(folder / "member-1.onnx")


def test_bundles_count_the_same_however_many_members_they_have(tmp_path):
    one = make_bundle(tmp_path / "one", [member(), member(file="b.onnx"), member(file="c.onnx", weight=2)])
    two = make_bundle(tmp_path / "two", name="two")
    assert shares_of([one, two], None) == [0.25, 1]
    assert shares_of([one, two], [1, 3]) == [0.25, 3]
    assert shares_of([two, two], None) == [1, 1]
    with pytest.raises(ExportError, match="--weights: 1 given for 2 bundles"):
        shares_of([one, two], [1])


def test_what_differs_between_members_is_said_by_each(tmp_path):
    soft = WindowIntensity(lower=-100, upper=300)
    one = make_bundle(tmp_path / "one")
    two = make_bundle(tmp_path / "two", inputs=(replace(CT, intensity=soft),))
    first, second = join_bundles(tmp_path / "b", [one, two], STATEMENT, fuse="cleaned").manifest.members
    assert (first.intensities, second.intensities) == (None, (soft,))


def test_joined_bundles_can_be_joined_again(tmp_path):
    one, two, three = (make_bundle(tmp_path / name, name=name) for name in ("one", "two", "three"))
    pair = join_bundles(tmp_path / "pair", [one, two], STATEMENT, fuse="cleaned")
    every = join_bundles(tmp_path / "every", [pair, three], STATEMENT, fuse="cleaned")
    assert [(each.ensemble, each.weight) for each in every.manifest.members] == [
        ("1.1", 0.5),
        ("1.2", 0.5),
        ("2", 1),
    ]


def test_the_network_that_finds_the_region_is_kept_once(tmp_path):
    """Measured memory may differ from export to export; that is no other network."""
    one = make_bundle(tmp_path / "one", localization=localization(memory_mb={"onnxruntime-fp32": 100}))
    two = make_bundle(
        tmp_path / "two", name="two", localization=localization(memory_mb={"onnxruntime-fp32": 101})
    )
    joined = join_bundles(tmp_path / "b", [one, two], STATEMENT, fuse="cleaned")
    assert joined.manifest.localization.file == "1/roi.onnx"
    assert set(joined.manifest.files) == {"1/member.onnx", "1/roi.onnx", "2/member.onnx"}


def test_each_bundle_is_cleaned_up_as_it_says(tmp_path):
    one = make_bundle(tmp_path / "one")
    two = make_bundle(tmp_path / "two", postprocessing=(KEPT,))
    three = make_bundle(tmp_path / "three", name="three", postprocessing=(KEPT,))
    apart = join_bundles(tmp_path / "a", [one, two], STATEMENT, fuse="cleaned").manifest
    assert apart.postprocessing == ()
    assert apart.fusion == CleanedGroupsFusion(clean_up={"1": (), "2": (KEPT,)})
    alike = join_bundles(tmp_path / "b", [two, three], STATEMENT, fuse="cleaned").manifest
    assert (alike.fusion, alike.postprocessing) == (CleanedGroupsFusion(), (KEPT,))


def test_the_name_of_the_label_set_may_differ(tmp_path):
    """It may be that of a data folder, which was renamed between two trainings."""
    one = make_bundle(tmp_path / "one")
    two = make_bundle(tmp_path / "two", output=replace(OUTPUT, label_set="mine"))
    joined = join_bundles(tmp_path / "a", [one, two], STATEMENT, fuse="cleaned")
    assert joined.manifest.output.label_set == OUTPUT.label_set != "mine"


KEPT = LargestComponent(structures=("liver",))
OTHER_IDS = replace(OUTPUT, labels={**OUTPUT.labels, "liver": 50})
TWO_GRIDS = [member(), member(file="b.onnx", window_zyx=(8, 8, 8))]


@pytest.mark.parametrize(
    ("changes", "fuse", "message"),
    [
        ({"output": OTHER_IDS}, "cleaned", "output.labels not as in"),
        ({"inputs": (replace(CT, modality="MR"),)}, "cleaned", "inputs not as in"),
        ({"postprocessing": (KEPT,)}, "members", "postprocessing not as in"),
        ({"localization": localization()}, "members", "localization not as in"),
        ({"fusion": MeanFusion(of="logits")}, "members", "fusion not as in"),
        ({"members": TWO_GRIDS, "fusion": FirstThenOrgansFusion()}, "cleaned", "join with --fuse members"),
        ({"members": TWO_GRIDS, "fusion": CleanedGroupsFusion()}, "cleaned", "join all"),
        ({}, "cleaned", "is there a second time"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_line_with_the_file(tmp_path, capsys, changes, fuse, message):
    make_bundle(tmp_path / "one")
    make_bundle(tmp_path / "two", **changes)
    words = ["ensemble", str(tmp_path / "one"), str(tmp_path / "two"), "--output", str(tmp_path / "both")]
    assert main([*words, "--fuse", fuse]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'two' / 'manifest.json'}: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "both").exists()


def test_a_manifest_of_another_version_is_refused_with_its_file(tmp_path, capsys):
    make_bundle(tmp_path / "one")
    two = make_bundle(tmp_path / "two", name="two").folder / "manifest.json"
    two.write_text(two.read_text(encoding="utf-8").replace('"format_version": 2', '"format_version": 1'))
    words = ["ensemble", str(tmp_path / "one"), str(tmp_path / "two"), "--output", str(tmp_path / "both")]
    assert main(words) == 1
    assert f"{two}: format_version: this release reads 2, is 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "is one bundle alone; give two or more"),
        (("two", "--weights", "1", "0"), "--weights: must be above 0, is 0"),
        (("two", "--weights", "1", "nan"), "--weights: must be above 0, is nan"),
    ],
)
def test_a_wrong_call_ends_with_2(tmp_path, capsys, more, message):
    assert main(["ensemble", "one", *more, "--output", str(tmp_path / "both")]) == 2
    assert message in capsys.readouterr().err
