"""Specifications are plain values: read from documents, refused by field, clear about windows."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from model.networks.spec import NetworkSpec, SegResNetSpec
from model.networks.unet_specs import PlainUNetSpec, SEUNetSpec
from model.schema import SchemaError, dump, parse
from tests.model.networks.small import SMALL
from tests.places import ROOT

SEGRESNET, PLAIN, RESIDUAL, SE = (
    next(spec for spec in SMALL if spec.kind == kind)
    for kind in ("segresnet", "plain_unet", "residual_unet", "seunet")
)


def read(document):
    """What a recipe with this network section would hold."""
    from dataclasses import make_dataclass

    holder = make_dataclass("Holder", [("network", NetworkSpec)], frozen=True, kw_only=True)
    return parse(holder, {"network": document}).network


@pytest.mark.parametrize("spec", SMALL, ids=lambda spec: spec.kind)
def test_a_specification_survives_the_way_to_json_and_back(spec):
    assert read(dump(spec)) == spec


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        (SEGRESNET, {"kind": "transformer"}, "network.kind: must be one of segresnet, plain_unet, residual"),
        (SEGRESNET, {"out_channels": 0}, "network.out_channels: must be 1 to 4096, is 0"),
        (SEGRESNET, {"in_channels": 0}, "network.in_channels: must be 1 to 4096, is 0"),
        (SEGRESNET, {"blocks_down": [1]}, "network.blocks_down: must be of 2 to 8 levels"),
        (SEGRESNET, {"blocks_down": [1, 0]}, r"network.blocks_down\[1\]: must be 1 to 16, is 0"),
        (SEGRESNET, {"dsdepth": 3}, "network.dsdepth: must be 1 to 2, is 3"),
        (SEGRESNET, {"init_filters": 2.5}, "network.init_filters: must be int, is float 2.5"),
        (SEGRESNET, {"norm": "layer"}, "network.norm: must be one of instance, group, batch"),
        (
            SEGRESNET,
            {"norm": "group"},
            "network.init_filters: must be a multiple of 8 under group norm, is 4",
        ),
        (PLAIN, {"features": [4]}, "network.features: must be of 2 to 12 levels, are 1"),
        (PLAIN, {"features": [4, 0, 8, 8]}, r"network.features\[1\]: must be 1 to 4096, is 0"),
        (PLAIN, {"strides": [[2, 2, 2]]}, "network.strides: must be one fewer than the 4 levels, are 1"),
        (PLAIN, {"strides": [[2, 2, 2], [0, 2, 2], [2, 2, 2]]}, r"network.strides\[1\]\[0\]: must be"),
        (PLAIN, {"kernels": [[3, 3, 3]]}, "network.kernels: must be a list of 4, has 1"),
        (
            PLAIN,
            {"kernels": [[3, 3, 3], [2, 3, 3], [3, 3, 3], [3, 3, 3]]},
            r"network.kernels\[1\]: must be o",
        ),
        (PLAIN, {"encoder_convolutions": [1, 1]}, "network.encoder_convolutions: must be a list of 4, has 2"),
        (PLAIN, {"decoder_convolutions": [1, 1, 0]}, r"network.decoder_convolutions\[2\]: must be 1 to 32"),
        (PLAIN, {"deep_supervision": 4}, "network.deep_supervision: must be 1 to 3, is 4"),
        (RESIDUAL, {"encoder_blocks": [1]}, "network.encoder_blocks: must be a list of 4, has 1"),
        (RESIDUAL, {"decoder_convolutions": [1]}, "network.decoder_convolutions: must be a list of 3, has 1"),
        (SE, {"levels": 1}, "network.levels: must be 2 to 8, is 1"),
        (SE, {"reduction": 0}, "network.reduction: must be 1 to 256, is 0"),
        (SE, {"stem_stride": [0, 2, 2]}, r"network.stem_stride\[0\]: must be 1 to 8, is 0"),
        (SE, {"norm": "group"}, "network.init_filters: must be a multiple of 8 under group norm, is 2"),
    ],
)
def test_a_faulty_field_is_named(spec, changes, message):
    with pytest.raises(SchemaError, match=f"^{message}"):
        read({**dump(spec), **changes})


def test_nothing_is_guessed_where_no_kind_is_stated():
    with pytest.raises(SchemaError, match=r"network\.kind: missing"):
        read({"out_channels": 3})


def test_windows_must_shrink_evenly_along_each_axis():
    assert SEGRESNET.stride_zyx == (4, 4, 4)
    SEGRESNET.check_window((8, 4, 12))
    assert PLAIN.stride_zyx == (4, 8, 8)
    PLAIN.check_window((4, 8, 8))
    with pytest.raises(ValueError, match=r"must be multiples of \[4, 8, 8\], is \[4, 4, 8\]"):
        PLAIN.check_window((4, 4, 8))
    with pytest.raises(ValueError, match="must be multiples of"):
        PLAIN.check_window((0, 8, 8))


def test_a_patch_leaves_more_than_one_voxel_on_the_coarsest_level():
    """A second stride along one axis leaves two voxels; under group norm one will do."""
    PLAIN.check_patch((4, 8, 16))
    grouped = replace(SEGRESNET, norm="group", init_filters=8)
    grouped.check_patch((4, 4, 4))
    single = "norm finds a single voxel on the coarsest level"
    for spec, norm in ((PLAIN, "instance"), (SEGRESNET, "instance"), (SE, "batch")):
        stride = list(spec.stride_zyx)
        told = f"must be larger than the network's stride {stride} along an axis at least: {norm} {single}"
        with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
            spec.check_patch(spec.stride_zyx)


def test_outputs_follow_the_networks_own_strides():
    assert SEGRESNET.output_strides_zyx == ((1, 1, 1), (2, 2, 2))
    assert PLAIN.output_strides_zyx == ((1, 1, 1), (1, 2, 2), (2, 4, 4))


def test_a_coarser_stem_counts_in_windows_and_in_all_outputs_but_the_first():
    # Three levels behind a stem of 2: 2 · 2 · 2. The second output is the second level's, 2 · 2.
    assert SE.stride_zyx == (8, 8, 8)
    assert SE.output_strides_zyx == ((1, 1, 1), (4, 4, 4))


def test_defaults_of_the_unets():
    spec = PlainUNetSpec(out_channels=2, features=(8, 16, 32), strides=((2, 2, 2), (2, 2, 2)))
    assert (spec.in_encoder, spec.in_decoder) == ((2, 2, 2), (2, 2))
    assert spec.kernels_zyx == ((3, 3, 3),) * 3
    assert spec.outputs == 1
    assert SEUNetSpec(out_channels=2).features == (32, 64, 128, 256, 512)


def test_specifications_need_no_torch():
    source = "import sys, model.networks.spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], check=False, cwd=ROOT).returncode == 0


def test_the_default_segresnet_is_the_papers():
    assert SegResNetSpec(out_channels=13).blocks_down == (1, 2, 2, 4, 4)
