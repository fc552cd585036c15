import torch

from model.bundle import load_bundle
from model.networks.build import build
from model.networks.unet_specs import PlainUNetSpec
from training.__main__ import main
from training.commands.work import untrained_work
from training.commands.work.untrained_work import FLARE22_SMALL, WINDOW_ZYX, random_network, write_untrained

TINY = PlainUNetSpec(out_channels=3, features=(2, 4, 8), strides=((1, 2, 2), (2, 2, 2)))


def test_the_published_small_network():
    FLARE22_SMALL.check_window(WINDOW_ZYX)
    with torch.device("meta"):
        network = build(FLARE22_SMALL)
    assert sum(parameter.numel() for parameter in network.parameters()) == 5_646_030


def test_the_command_writes_it(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(
        untrained_work, "write_untrained", lambda *args, **more: called.append((args, more)) or Bundle
    )
    arguments = ["--output", str(tmp_path / "bundle"), "--seed", "3"]
    assert main(["untrained", *arguments]) == 0
    assert called == [((tmp_path / "bundle", FLARE22_SMALL, WINDOW_ZYX), {"seed": 3, "overwrite": False})]


class Bundle:
    folder = "bundle"


def test_a_seed_is_a_network():
    one, same, other = (random_network(TINY, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in one.values())


def test_the_bundle_is_whole(tmp_path):
    write_untrained(tmp_path / "bundle", TINY, (8, 16, 16), seed=0)
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert manifest.output.channels == ("background", "liver", "right kidney")
    assert manifest.members[0].window_zyx == (8, 16, 16)
    assert min(manifest.members[0].memory_mb.values()) > 0
