"""Recipes are read strictly, and every refusal names the field."""

import subprocess
import sys

import pytest

from model.labels import FLARE23, merged_channels
from model.manifest.clean_up import LargestComponent, LongestRun, MinVoxels
from model.manifest.fusion import MeanFusion
from model.manifest.intensity import WindowIntensity
from model.manifest.resampling import AreaResampling, LinearResampling
from model.manifest.tiling import AllWindows, GaussianImportance
from model.schema import dump
from tests.places import ROOT
from tests.training.tiny import DOCUMENT, NETWORK, tiny_recipe
from training.recipes.loading import load_recipe, recipe_from
from training.recipes.recipe_names import RECIPES
from training.training_errors import RecipeError

ZSCORE = {"kind": "clip_zscore", "lower": 0, "upper": 1, "mean": 0, "std": 1}
UNET = {"kind": "plain_unet", "features": [4, 8], "strides": [[1, 2, 2]]}


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_published_recipe_is_valid_and_bears_its_file_name(path):
    assert load_recipe(path.stem).name == path.stem


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_survives_the_way_into_a_checkpoint_and_back(path):
    recipe = load_recipe(path.stem)
    assert recipe_from(dump(recipe)) == recipe


def test_demo_has_the_merged_channels_of_flare23_and_does_not_mirror():
    demo = load_recipe("demo")
    assert demo.channel_names == merged_channels(FLARE23)
    assert demo.network.out_channels == 13
    assert demo.augmentation.flips is None


def test_demo_fine_can_start_from_demo():
    assert load_recipe("demo-fine").network == load_recipe("demo").network


def test_demo_roi_is_binary():
    assert load_recipe("demo-roi").channel_names == ("background", "foreground")


def test_defaults_are_those_of_the_demo():
    recipe = tiny_recipe()
    assert recipe.intensity == WindowIntensity(lower=-250, upper=250)
    assert (recipe.resampling, recipe.normalize) == (AreaResampling(), "after_resampling")
    assert [term.kind for term in recipe.loss.terms] == ["dice", "focal"]
    assert recipe.loss.weights_of(3) == (1, 0.5, 0.25)
    assert recipe.window_zyx == recipe.patch_zyx


def test_default_inference_is_what_export_always_wrote():
    inference = load_recipe("demo").inference
    tiling = inference.tiling
    assert (tiling.overlap, tiling.importance, tiling.order) == (0.5, GaussianImportance(), AllWindows())
    assert (tiling.mirror_axes, tiling.skip_air) == ((), True)
    assert (inference.fusion, inference.restoration) == (MeanFusion(of="probabilities"), LinearResampling())
    assert inference.clean_up_of(FLARE23) == (
        LongestRun(structures=("liver", "right kidney", "left kidney", "spleen", "pancreas", "aorta")),
        MinVoxels(structures=("tumor",), voxels=100),
    )


def test_clean_up_can_name_all_organs_and_all_lesions():
    steps = [
        {"kind": "largest_component", "structures": ["organs"]},
        {"kind": "min_voxels", "structures": ["lesions"], "voxels": 5},
    ]
    of_flare23 = tiny_recipe(label_set="flare23", inference={"clean_up": steps})
    assert of_flare23.inference.clean_up_of(FLARE23) == (
        LargestComponent(structures=FLARE23.organs),
        MinVoxels(structures=("tumor",), voxels=5),
    )
    without_lesions = tiny_recipe(inference={"clean_up": steps})
    assert [step.kind for step in without_lesions.inference.clean_up_of(without_lesions.labels)] == [
        "largest_component"
    ]


def test_no_clean_up_is_a_choice_too():
    assert tiny_recipe(inference={"clean_up": []}).inference.clean_up_of(FLARE23) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimiser": {}}, "optimiser: unknown field; known are name, description"),
        ({"stopping": {"kind": "fixed_steps", "steps": 0}}, "stopping.steps: must be 1 to 1e+07, is 0"),
        ({"stopping": {"kind": "fixed_steps"}}, "stopping.steps: missing"),
        ({"stopping": {"kind": "bored", "steps": 1}}, "stopping.kind: must be one of fixed_steps"),
        (
            {"optimizer": {"kind": "adamw", "learning_rate": "fast"}},
            "optimizer.learning_rate: must be float, is str 'fast'",
        ),
        (
            {"optimizer": {"kind": "adamw", "learning_rate": 2}},
            "optimizer.learning_rate: must be 1e-08 to 1, is 2",
        ),
        (
            {"optimizer": {"kind": "adamw", "weight_decay": -1}},
            "optimizer.weight_decay: must be 0 to 1, is -1",
        ),
        (
            {"optimizer": {"kind": "adamw", "clip_norm": 0}},
            "optimizer.clip_norm: must be 1e-06 to 1e+06, is 0",
        ),
        ({"optimizer": {"kind": "adam"}}, "optimizer.kind: must be one of adamw, sgd, rmsprop, is 'adam'"),
        ({"optimizer": {"kind": "sgd", "momentum": 1}}, "optimizer.momentum: must be 0 to 0.9999, is 1"),
        ({"optimizer": {"kind": "sgd", "momentum": 0}}, "optimizer.nesterov: needs a momentum above 0"),
        (
            {"optimizer": {"kind": "sgd", "accumulate_steps": 2}},
            "sampling.batch_size: must be a multiple of optimizer.accumulate_steps (2), is 1",
        ),
        (
            {
                "optimizer": {"kind": "sgd", "accumulate_steps": 2},
                "sampling": {"batch_size": "auto"},
            },
            "optimizer.accumulate_steps: must be 1 where sampling.batch_size is auto, is 2",
        ),
        (
            # Two levels: two blocks of the encoder, one of the decoder.
            {"pipeline": {"stages": 4}},
            "pipeline.stages: must be at most 3, the blocks of this network, is 4",
        ),
        (
            {"pipeline": {}, "sampling": {"batch_size": "auto"}},
            "sampling.batch_size: must be a number with pipeline",
        ),
        (
            {"pipeline": {}, "compile": True},
            "compile: must be false with pipeline, whose stages run block by block",
        ),
        (
            {
                "network": {"kind": "seunet", "init_filters": 4, "levels": 2, "norm": "batch"},
                "activation_checkpointing": True,
                "compile": True,
            },
            "compile: must be false with activation_checkpointing for networks with batch norm",
        ),
        (
            {
                "loss": {
                    "terms": [{"kind": "dice", "mean_over": "all"}],
                    "class_weights": {"kind": "adaptive"},
                }
            },
            "loss.class_weights: adaptive needs mean_over present, which weighs no absent structure",
        ),
        ({"pipeline": {"micro_batches": 0}}, "pipeline.micro_batches: must be 1 to 4096, is 0"),
        ({"schedule": {"kind": "polynomial", "power": 0}}, "schedule.power: must be 0.01 to 10, is 0"),
        (
            {"schedule": {"kind": "warmup_cosine", "warmup_steps": 1, "warmup_epochs": 1}},
            "schedule.warmup_epochs: warmup_steps is stated, too",
        ),
        ({"stopping": {"kind": "epochs", "epochs": 0}}, "stopping.epochs: must be 1 to 1e+06, is 0"),
        (
            {"stopping": {"kind": "converged", "epochs": 20}},
            "stopping.anneal_epochs: must be fewer than epochs",
        ),
        ({"ema": {"decay": 1}}, "ema.decay: must be 0 to 0.999999, is 1"),
        ({"keep_every_steps": 0}, "keep_every_steps: must be 1 to 1e+07, is 0"),
        (
            {"curriculum": [{"patch_zyx": [8, 8, 7], "epochs": 1}]},
            "curriculum[0].patch_zyx: must be multiples of [2, 2, 2], is [8, 8, 7]",
        ),
        (
            {"curriculum": [{"patch_zyx": "whole", "epochs": 1, "batch_size": 2}]},
            "curriculum[0].batch_size: must be 1 to 1, is 2",
        ),
        ({"validation": {"every_epochs": 0}}, "validation.every_epochs: must be 1 to 1e+06, is 0"),
        (
            {"schedule": {"kind": "warmup_cosine", "warmup_steps": -1}},
            "schedule.warmup_steps: must be 0 to 1e+06, is -1",
        ),
        ({"sampling": {"batch_size": 0}}, "sampling.batch_size: must be 1 to 4096, is 0"),
        ({"sampling": {"background_share": 2}}, "sampling.background_share: must be 0 to 1, is 2"),
        ({"label_set": "flare99"}, "label_set: flare99: no label set of this name and no file; known are"),
        ({"channels": "some"}, "channels: must be one of merged, plain, foreground"),
        ({"modality": "US"}, "modality: must be one of CT, MR, PET, other"),
        (
            {"patch_zyx": [2, 2, 2], "inference": {"window_zyx": [16, 16, 16]}},
            "patch_zyx: must be larger than the network's stride [2, 2, 2] along an axis at least",
        ),
        (
            {"curriculum": [{"patch_zyx": [2, 2, 2], "epochs": 1}]},
            "curriculum[0].patch_zyx: must be larger than the network's stride [2, 2, 2] along an axis",
        ),
        ({"patch_zyx": [16, 16, 15]}, "patch_zyx: must be multiples of [2, 2, 2], is [16, 16, 15]"),
        ({"network": {**NETWORK, "kind": "unet"}}, "network.kind: must be one of segresnet, plain_unet"),
        ({"network": {"init_filters": 4}}, "network.kind: missing; known are segresnet"),
        (
            {"network": {**NETWORK, "out_channels": 4}},
            "network.out_channels: must be 5 for plain flare21, is 4",
        ),
        (
            {"network": {**NETWORK, "in_channels": 2}},
            "network.in_channels: must be 1, one for each of inputs, is 2",
        ),
        (
            {"intensity": {"kind": "window", "lower": 250, "upper": -250}},
            "intensity.upper: must be above lower (250.0), is -250.0",
        ),
        ({"intensity": {"kind": "bright"}}, "intensity.kind: must be one of window, window_sigmoid"),
        (
            {"intensity": {"kind": "zscore", "over": "nonzero_filled"}},
            "normalize: must be before_resampling for zscore over nonzero_filled",
        ),
        ({"resampling": {"kind": "lanczos"}}, "resampling.kind: must be one of linear, area, cubic, sep"),
        ({"spacing_zyx_mm": [2, 2]}, "spacing_zyx_mm: must be a list of 3, has 2"),
        ({"spacing_zyx_mm": [2, 2, 50]}, "spacing_zyx_mm: must be 0.1 to 20, is [2.0, 2.0, 50.0]"),
        ({"loss": {"terms": []}}, "loss.terms: must have at least one"),
        (
            {"loss": {"terms": [{"kind": "hinge"}]}},
            "loss.terms[0].kind: must be one of dice, cross_entropy, focal",
        ),
        (
            {"loss": {"terms": [{"kind": "dice"}, {"kind": "focal", "gamma": -1}]}},
            "loss.terms[1].gamma: must be 0 to 5, is -1",
        ),
        ({"loss": {"terms": [{"kind": "dice", "weight": -1}]}}, "loss.terms[0].weight: must be 0 to 100"),
        ({"loss": {"level_weights": [1, 1]}}, "loss.level_weights: must be 1 for this network, are 2"),
        ({"loss": {"level_weights": [-1]}}, "loss.level_weights[0]: must be 0 to 100, is -1"),
        ({"validation": {"overlap": 1.0}}, "validation.overlap: must be 0 to 0.9, is 1"),
        ({"validation": {"every_steps": 0}}, "validation.every_steps: must be 1 to 1e+07, is 0"),
        ({"checkpoint_every_steps": 0}, "checkpoint_every_steps: must be 1 to 1e+07, is 0"),
        (
            {"inference": {"any_window": True, "tiling": {"order": {"kind": "centre_first"}}}},
            "inference.any_window: needs tiling.order all, is centre_first",
        ),
        (
            {"channels": "foreground", "inference": {"any_window": True}},
            "inference.any_window: is not for recipes with channels: foreground",
        ),
        ({"inference": {"tiling": {"overlap": 1}}}, "inference.tiling.overlap: must be 0 to 0.9, is 1"),
        ({"inference": {"tiling": {"order": {"kind": "spiral"}}}}, "inference.tiling.order.kind: must be"),
        (
            {"inference": {"tiling": {"order": {"kind": "centre_first", "passing_through": ["aorta"]}}}},
            "inference.tiling.order.passing_through: aorta is not among the channels",
        ),
        ({"inference": {"fusion": {"kind": "vote"}}}, "inference.fusion.kind: must be one of mean"),
        (
            {"inference": {"restoration": {"kind": "separate_axis", "in_plane": "cubic"}}},
            "inference.restoration.in_plane: must be one of linear, nearest, is 'cubic'",
        ),
        (
            {"inference": {"clean_up": [{"kind": "longest_run", "structures": ["lever"]}]}},
            "inference.clean_up[0].structures: lever is not in label set flare21",
        ),
        (
            {"synthesis": {}},
            "synthesis: makes cases of flare23's structures; label set flare21 has others",
        ),
        (
            {"label_set": "flare23", "modality": "MR", "synthesis": {}},
            "synthesis: makes CTs, for networks whose",
        ),
        ({"label_set": "flare23", "synthesis": {"pool": 0}}, "synthesis.pool: must be 1 to 10000, is 0"),
        ({"inference": {"localization": {}}}, "inference.localization: is for recipes with channels: foregr"),
        (
            {"channels": "foreground", "inference": {"localization": {"margin_mm": -1}}},
            "inference.localization.margin_mm: must be 0 to 500, is -1",
        ),
        (
            {
                "channels": "foreground",
                "inference": {"localization": {"skip_outside": True, "more_looks": 1}},
            },
            "inference.localization.skip_outside: not together with more_looks",
        ),
        (
            {"channels": "foreground", "inference": {"localization": {"crop_axes": ["y", "y"]}}},
            "inference.localization.crop_axes: names an axis twice",
        ),
        (
            {"inference": {"window_zyx": [16, 16, 3]}},
            "inference.window_zyx: must be multiples of [2, 2, 2], is [16, 16, 3]",
        ),
    ],
)
def test_a_faulty_field_is_named_and_nothing_else(changes, message):
    with pytest.raises(RecipeError) as error:
        recipe_from({**DOCUMENT, **changes})
    assert message in str(error.value)
    assert "; " not in str(error.value).replace("; known", "").replace("; label set", "").replace(
        "; training reads", ""
    )


def test_all_faults_are_told_at_once():
    changes = {
        "optimizer": {"kind": "adamw", "learning_rate": 5, "momentum": 1},
        "stopping": {"kind": "fixed_steps", "steps": 0},
        "loss": {"terms": [{"kind": "dice"}, {"kind": "hinge"}]},
        "inference": {"tiling": {"overlap": 2}, "clean_up": [{"kind": "longest_run", "structures": []}]},
    }
    with pytest.raises(RecipeError) as error:
        recipe_from({**DOCUMENT, **changes})
    for field in (
        "optimizer.momentum",
        "stopping.steps",
        "loss.terms[1].kind",
        "inference.tiling.overlap",
        "inference.clean_up[0].structures",
    ):
        assert field in str(error.value)


def test_faults_between_sections_are_told_at_once():
    changes = {
        "patch_zyx": [15, 16, 16],
        "spacing_zyx_mm": [50, 2, 2],
        "network": {**NETWORK, "out_channels": 3},
        "checkpoint_every_steps": 0,
    }
    with pytest.raises(RecipeError) as error:
        recipe_from({**DOCUMENT, **changes})
    for field in ("patch_zyx", "spacing_zyx_mm", "network.out_channels", "checkpoint_every_steps"):
        assert f"{field}: must be" in str(error.value)


@pytest.mark.parametrize(
    ("intensity", "limits"),
    [({"kind": "window", "lower": 0, "upper": 9}, (0, 1)), (ZSCORE, None), ({"kind": "zscore"}, None)],
)
def test_only_a_window_has_ends(intensity, limits):
    assert tiny_recipe(intensity=intensity).values_limits == limits


def test_a_network_takes_its_output_channels_from_the_label_set_unless_it_states_them():
    assert tiny_recipe().network.out_channels == 5
    assert tiny_recipe(channels="foreground").network.out_channels == 2
    assert tiny_recipe(label_set="flare23", channels="merged").network.out_channels == 13


def test_the_embedded_recipe_serves_for_a_few_organs():
    """Of seven steps about organs those remain that name the liver or the spleen."""
    recipe = load_recipe("default", ["label_set={name: own, ids: {liver: 1, spleen: 2}}"])
    assert recipe.network.out_channels == 3
    steps = recipe.inference.clean_up_of(recipe.labels)
    assert [(step.kind, step.structures) for step in steps] == [
        ("largest_component", ("liver", "spleen")),
        ("min_whole_volume", ("liver",)),
        ("min_whole_volume", ("spleen",)),
    ]
    assert recipe.inference.passed_over(recipe.labels)[:3] == ["right kidney", "left kidney", "stomach"]
    assert load_recipe("default").inference.passed_over(load_recipe("default").labels) == []


def test_any_network_can_stand_in_a_recipe():
    recipe = tiny_recipe(network=UNET)
    assert recipe.network.kind == "plain_unet"
    with pytest.raises(RecipeError, match=r"patch_zyx: must be multiples of \[1, 2, 2\], is \[15, 15, 16\]"):
        tiny_recipe(network=UNET, patch_zyx=[15, 15, 16])


def test_recipes_need_no_torch():
    source = (
        "import sys\nfrom training.recipes.loading import load_recipe\nload_recipe('demo')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", source], check=False, cwd=ROOT).returncode == 0


WINDOW = {"kind": "window", "lower": -250, "upper": 250}
TWO_INPUTS = [
    {"name": "CT", "intensity": WINDOW},
    {"name": "PET", "modality": "PET", "intensity": {"kind": "divide", "by": 10}},
]


def test_a_recipe_without_inputs_sees_one_channel_of_its_modality():
    recipe = tiny_recipe(modality="MR", intensity={"kind": "zscore"})
    (channel,) = recipe.case_inputs
    assert (channel.name, channel.modality, channel.intensity.kind) == ("MR", "MR", "zscore")
    assert recipe.network.in_channels == 1


def test_inputs_say_how_many_channels_the_network_has():
    recipe = tiny_recipe(inputs=TWO_INPUTS)
    assert recipe.network.in_channels == 2
    assert [channel.modality for channel in recipe.case_inputs] == ["CT", "PET"]
    assert recipe.values_limits is None
    assert recipe_from(dump(recipe)) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"inputs": TWO_INPUTS, "network": {**NETWORK, "in_channels": 1}},
            "must be 2, one for each of inputs",
        ),
        ({"inputs": []}, "inputs: must have at least one"),
        ({"inputs": [{"name": "CT"}]}, "inputs[0].intensity: missing"),
        ({"spacing_zyx_mm": "fingerprnt"}, "spacing_zyx_mm: must be one of fingerprint, is 'fingerprnt'"),
        ({"intensity": {"kind": "from_fingerprint", "scheme": "zscore"}}, "intensity.scheme: must be one of"),
        ({"sampling": {"batch_size": "all"}}, "sampling.batch_size: must be one of auto, is 'all'"),
        ({"sampling": {"epoch": {"kind": "iterations", "iterations": 0}}}, "iterations: must be 1 to 1e+06"),
        ({"sampling": {"centre": {"kind": "foreground_share", "share": 2}}}, "share: must be 0 to 1, is 2"),
        (
            {"sampling": {"background_share": 0.5, "centre": {"kind": "foreground_share"}}},
            "sampling.background_share: says the same as centre",
        ),
    ],
)
def test_faults_of_inputs_and_sampling(changes, message):
    with pytest.raises(RecipeError) as error:
        recipe_from({**DOCUMENT, **changes})
    assert message in str(error.value)
