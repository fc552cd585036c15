"""Inputs, fusion, restoration and output of every kind, on images small enough to be checked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from model.labels import FLARE23
from model.manifest.document import Input, Preprocessing
from model.manifest.fusion import FirstThenOrgansFusion, MeanFusion
from model.manifest.intensity import DivideIntensity, NoIntensity, ZscoreIntensity
from model.manifest.output import Output, Sigmoid
from model.manifest.resampling import LinearResampling, SeparateAxisResampling, SeparateAxisRestoration
from tests.inference.bundles import CHANNELS, CT, INTENSITY, OUTPUT, abdomen, hu, localization, member
from tests.inference.onnx_files import bands, fixed, regions
from tests.inference.small_cases import ISOTROPIC, predict, volume_of

LIVER = FLARE23.ids["liver"]
MR = Input(name="MR", modality="MR", intensity=NoIntensity())

# Inputs
# ----------------------------------------------------------------------------------------------------


def channels_of(labels):
    """CT and another channel whose inputs add up to what `bundles.bands` wants."""
    number = (hu(labels) - hu(np.zeros((1, 1, 1), np.uint8)).item()) // 100
    second = number // 2
    return (hu(np.zeros_like(labels)) + 100 * (number - second)).astype(np.int16), (2 * second).astype(
        np.int16
    )


OTHER = Input(name="other", modality="other", intensity=DivideIntensity(by=10.0))


@pytest.mark.parametrize("normalize", ["before_resampling", "after_resampling"])
def test_two_channels(normalize, tmp_path):
    truth = abdomen()
    first, second = channels_of(truth)
    found = predict(
        tmp_path / "b",
        volume_of(first, further=(second,)),
        inputs=(CT, OTHER),
        preprocessing=Preprocessing(normalize=normalize),
        localization=localization(),
    )
    np.testing.assert_array_equal(found.labels, truth)
    alone = predict(tmp_path / "c", volume_of(first, further=(second * 0,)), inputs=(CT, OTHER))
    assert (alone.labels != truth).any(), "the second channel must matter"


@pytest.mark.parametrize("inputs", [(CT, OTHER), (OTHER, CT)])
def test_air_is_told_by_the_ct_whichever_channel_it_is(inputs, tmp_path):
    truth = np.pad(abdomen(), ((40, 40), (0, 0), (0, 0)))
    first, second = channels_of(truth)
    both = (first, second) if inputs[0] is CT else (second, first)
    found = predict(tmp_path / "b", volume_of(both[0], further=(both[1],)), inputs=inputs)
    np.testing.assert_array_equal(found.labels, truth)
    assert found.windows.skipped > 0


def test_without_a_ct_no_window_is_air(tmp_path):
    found = predict(tmp_path / "b", volume_of(np.zeros((40, 20, 20), np.int16)), inputs=(MR,))
    assert found.windows.skipped == 0


def test_a_members_own_intensities_go_before_those_of_the_inputs(tmp_path):
    own = member(spacing_zyx_mm=ISOTROPIC, intensities=(INTENSITY,))
    other = replace(CT, intensity=NoIntensity())
    found = predict(tmp_path / "b", volume_of(hu(abdomen())), [own], inputs=(other,))
    np.testing.assert_array_equal(found.labels, abdomen())


def test_figures_of_an_image_are_taken_on_the_grid_that_the_manifest_says(tmp_path):
    """Every second row is 30, and every second row is what the network's grid takes."""
    image = np.zeros((8, 16, 16), np.int16)
    image[:, ::2] = 30
    flat = Input(name="MR", modality="MR", intensity=ZscoreIntensity())
    grid = {"normalize": "after_resampling", "grid": "first_voxel"}
    coarse = member(spacing_zyx_mm=(1.0, 2.0, 1.0), window_zyx=(8, 8, 16), axes="SPL")
    found = {
        on: predict(
            tmp_path / on,
            volume_of(image, spacing=(1.0, 1.0, 1.0)),
            [coarse],
            inputs=(flat,),
            preprocessing=Preprocessing(**grid, figures_on=on),
        ).labels
        for on in ("image", "network")
    }
    # The image's rows have mean 15 and deviation 15, so that a stripe is 1; on the network's grid all is 0.
    assert found["image"].any()
    assert not found["network"].any()


# Fusion, restoration, output
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of", "label"), [("probabilities", 0), ("logits", LIVER)])
@pytest.mark.parametrize("grids", [[ISOTROPIC] * 3, [ISOTROPIC, (3.0, 1.5, 1.5), ISOTROPIC]])
def test_means_of_probabilities_and_of_logits_differ(of, label, grids, tmp_path):
    """Logits of liver 10, -4, -4 have the mean 2/3; their probabilities 1, 0.018, 0.018 the mean 0.35."""
    members = [member(file=f"{i}.onnx", spacing_zyx_mm=grid) for i, grid in enumerate(grids)]
    values = iter((10, -4, -4))
    found = predict(
        tmp_path / "b",
        volume_of(np.full((8, 16, 16), 50, np.int16)),
        members,
        make=lambda shape, _: fixed(shape, [0, next(values), -99, -99, -99]),
        fusion=MeanFusion(of=of),
    )
    assert np.unique(found.labels).tolist() == [label]


@pytest.mark.parametrize("of", ["probabilities", "logits"])
def test_the_first_member_alone_says_where_the_others_look(of, tmp_path):
    """It sees liver in 4 slices of 80; the other, which outvotes it, sees those and 14 on either side."""
    truth = np.zeros((80, 16, 16), np.uint8)
    truth[38:42] = LIVER
    members = [
        member(spacing_zyx_mm=ISOTROPIC, skip_air=False),
        member(file="b.onnx", spacing_zyx_mm=ISOTROPIC, skip_air=False, weight=3.0),
    ]
    networks = iter((bands, lambda shape, _: fixed(shape, [0, 0, 99, 0, 0])))
    labels = {name: number for number, name in enumerate(CHANNELS[1:], start=1)}
    found = predict(
        tmp_path / "b",
        volume_of(hu(truth)),
        members,
        make=lambda shape, thresholds: next(networks)(shape, thresholds),
        fusion=FirstThenOrgansFusion(of=of),
        output=Output(label_set="own", labels=labels, channels=CHANNELS),
    )
    expected = np.zeros(truth.shape, np.uint8)
    expected[38 - 14 : 42 + 14] = labels["kidney"]  # 20 mm are 13.3 slices of 1.5 mm.
    np.testing.assert_array_equal(found.labels, expected)


@pytest.mark.parametrize(
    ("restoration", "blocks"),
    [(LinearResampling(), False), (SeparateAxisRestoration(), True)],
)
def test_labels_follow_the_networks_slices_where_z_is_apart(restoration, blocks, tmp_path):
    """Slices of 4 mm over slices of 1 mm: `nearest` gives the same label to four at a time."""
    truth = np.zeros((32, 16, 16), np.uint8)
    truth[6:19] = LIVER
    found = predict(
        tmp_path / "b",
        volume_of(hu(truth), (1.0, 1.0, 1.0)),
        [member(spacing_zyx_mm=(4.0, 1.0, 1.0))],
        restoration=restoration,
        preprocessing=Preprocessing(resampling=SeparateAxisResampling(in_plane="linear", along="linear")),
    )
    changes = np.flatnonzero(np.diff(found.labels[:, 8, 8].astype(int))) + 1
    assert all(change % 4 == 0 for change in changes) == blocks


REGIONS = {"label_set": "regions", "labels": {"whole": 1, "core": 2}, "channels": ("whole", "core")}


@pytest.mark.parametrize(
    ("priority", "expected"), [(None, [0, 1, 2]), ((0, 1), [0, 1, 2]), ((1, 0), [0, 1, 1])]
)
@pytest.mark.parametrize("of", ["probabilities", "logits"])
def test_regions(priority, expected, of, tmp_path):
    """Three bands of slices: nothing, the whole alone, the whole and its core."""
    image = np.repeat(np.array([-250, 0, 240], np.int16), 4)[:, None, None] * np.ones((1, 16, 16), np.int16)
    found = predict(
        tmp_path / "b",
        volume_of(image),
        thresholds=(0.3, 0.7),
        make=regions,
        output=Output(**REGIONS, activation=Sigmoid(priority=priority)),
        fusion=MeanFusion(of=of),
    )
    assert found.labels[1::4, 8, 8].tolist() == expected


def test_channels_of_other_names(tmp_path):
    """Every channel renamed, the tumor dropped; the kidneys are still known, and split."""
    truth = abdomen()
    written_as = {"hepar": "liver", "ren": "kidney", "vas": "aorta", "nodus": None}
    output = replace(OUTPUT, channels=("background", *written_as), written_as=written_as)
    found = predict(tmp_path / "b", volume_of(hu(truth)), output=output)
    tumor = FLARE23.ids["tumor"]
    np.testing.assert_array_equal(found.labels, np.where(truth == tumor, 0, truth))
