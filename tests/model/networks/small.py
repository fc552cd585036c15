"""One small network of each kind; sides of a window are multiples of 8, depth is shrunk once less."""

from model.networks.spec import NetworkSpec, SegResNetSpec
from model.networks.unet_specs import PlainUNetSpec, ResidualUNetSpec, SEUNetSpec

STRIDES = ((1, 2, 2), (2, 2, 2), (2, 2, 2))
SMALL: tuple[NetworkSpec, ...] = (
    SegResNetSpec(out_channels=3, init_filters=4, blocks_down=(1, 1, 1), dsdepth=2),
    PlainUNetSpec(
        out_channels=3,
        features=(4, 6, 8, 8),
        strides=STRIDES,
        kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
        encoder_convolutions=(1, 2, 3, 1),
        decoder_convolutions=(3, 2, 1),
        deep_supervision=3,
    ),
    ResidualUNetSpec(
        out_channels=3,
        features=(4, 6, 8, 8),
        strides=STRIDES,
        encoder_blocks=(1, 2, 1, 1),
        deep_supervision=2,
    ),
    SEUNetSpec(out_channels=3, init_filters=2, levels=3, deep_supervision=2, stem_stride=(2, 2, 2)),
)
WINDOW = (8, 16, 24)
