"""Which channel is written where several are on."""

import pytest

from model.importers.priority import with_priority
from model.manifest.output import Sigmoid, Softmax
from model.model_errors import RefusedModelError

BRATS = ("tumor core", "whole tumor", "enhancing tumor")
"""Regions in the order of the model zoo, of which the second holds the first."""


@pytest.mark.parametrize(
    ("names", "said", "priority"),
    [
        (BRATS, ("whole tumor", "tumor core", "enhancing tumor"), (1, 0, 2)),
        (BRATS, BRATS, (0, 1, 2)),
        (("tumor",), (), None),
        (("tumor",), ("tumor",), (0,)),
    ],
)
def test_the_order_that_is_said_is_the_manifests(names, said, priority):
    assert with_priority(Sigmoid(), names, said, "here") == Sigmoid(priority=priority)


def test_classes_have_none():
    assert with_priority(Softmax(), ("background", "liver"), (), "here") == Softmax()
    with pytest.raises(RefusedModelError, match=r"^here: --priority is for channels that are on or off"):
        with_priority(Softmax(), ("background", "liver"), ("liver",), "here")


def test_nobody_said_and_faulty_names():
    with pytest.raises(
        RefusedModelError, match="'tumor core' 'whole tumor' 'enhancing tumor', in your order"
    ):
        with_priority(Sigmoid(), BRATS, (), "here")
    with pytest.raises(RefusedModelError, match="must name each channel once"):
        with_priority(Sigmoid(), BRATS, BRATS[:2], "here")
