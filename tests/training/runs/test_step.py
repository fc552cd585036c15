"""What a step computes does not depend on how it is computed."""

import copy
import logging

import pytest
import torch
from torch import nn

from tests.training.tiny import tiny_recipe
from training.data.batches import Batch
from training.runs import compilation
from training.runs import run as run_module
from training.runs import step as step_module
from training.runs.checkpoints import RunInfo
from training.runs.run import start_run
from training.runs.step import training_step
from training.training_errors import TrainingError

CPU = torch.device("cpu")
NETWORKS = (
    {"kind": "segresnet", "init_filters": 4, "blocks_down": [1, 1, 1], "dsdepth": 2},
    {"kind": "plain_unet", "features": [4, 8], "strides": [[2, 2, 2]], "deep_supervision": 1},
    {"kind": "residual_unet", "features": [4, 8], "strides": [[2, 2, 2]], "encoder_blocks": [1, 2]},
    {"kind": "seunet", "init_filters": 4, "levels": 2, "norm": "batch"},
)
CROSS_ENTROPY = {"terms": [{"kind": "cross_entropy"}]}
SGD = {"kind": "sgd", "learning_rate": 0.1, "momentum": 0.9}


def batch_of(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Batch(
        images=torch.rand(size, 1, 8, 8, 8, generator=generator),
        target=torch.randint(0, 5, (size, 8, 8, 8), generator=generator, dtype=torch.uint8),
        annotated=torch.ones(size, 5, dtype=torch.bool),
    )


def steps_of(tmp_path, count=3, size=4, precision="fp32", **fields):
    """Losses of a few steps on the same patches, and the run after them."""
    recipe = tiny_recipe(**{"patch_zyx": [8, 8, 8], "sampling": {"batch_size": size}} | fields)
    info = RunInfo(recipe=recipe, step=0, seed=3, precision=precision, cases=("a",))
    run = start_run(info, CPU, tmp_path)
    return [training_step(run, step, batch_of(size, step)) for step in range(count)], run


def weights_of(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def assert_same_state(network, other):
    """Weights, and the running means of batch norms."""
    state, expected = network.state_dict(), other.state_dict()
    assert state.keys() == expected.keys()
    assert [name for name, tensor in state.items() if not torch.equal(tensor, expected[name])] == []


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_gradients_are_those_of_the_larger_batch(tmp_path, parts):
    """Where the loss is a mean over patches; sums over a batch, as of Dice, are those of each part."""
    expected, whole = steps_of(tmp_path, loss=CROSS_ENTROPY, optimizer=SGD)
    found, run = steps_of(tmp_path, loss=CROSS_ENTROPY, optimizer={**SGD, "accumulate_steps": parts})
    assert found == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(weights_of(run.network), weights_of(whole.network), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network["kind"])
def test_activations_computed_again_give_the_same_losses(tmp_path, network):
    expected, whole = steps_of(tmp_path, network=network, size=1)
    found, run = steps_of(tmp_path, network=network, size=1, activation_checkpointing=True)
    assert found == expected
    assert_same_state(run.network, whole.network)


@pytest.mark.parametrize("network", NETWORKS[:2], ids=lambda network: network["kind"])
def test_a_copy_computes_activations_again_by_its_own_weights(tmp_path, network):
    _, run = steps_of(tmp_path, count=0, size=1, network=network, activation_checkpointing=True)
    other = copy.deepcopy(run.network)
    other(batch_of(1).images)[0].sum().backward()
    assert all(parameter.grad is None for parameter in run.network.parameters())
    assert any(parameter.grad is not None for parameter in other.parameters())


def test_activations_computed_again_are_fewer(tmp_path):
    def kept(**fields):
        _, run = steps_of(tmp_path, count=0, size=1, network=NETWORKS[1], **fields)
        sizes = []

        def count(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            run.network(batch_of(1).images)
        return sum(sizes)

    assert kept(activation_checkpointing=True) < kept() / 2


def test_gradients_are_clipped_to_the_norm(tmp_path):
    plain_sgd = {"kind": "sgd", "learning_rate": 1.0, "momentum": 0, "nesterov": False, "weight_decay": 0}
    _, start = steps_of(tmp_path, count=0)
    options = {**plain_sgd, "clip_norm": 0.25}
    _, run = steps_of(tmp_path, count=1, optimizer=options, schedule={"kind": "constant"})
    change = weights_of(run.network) - weights_of(start.network)
    assert change.norm().item() == pytest.approx(0.25, rel=1e-3)


def test_the_average_follows_the_weights(tmp_path):
    _, start = steps_of(tmp_path, count=0)
    _, run = steps_of(tmp_path, count=1, ema={"decay": 0.9})
    # The first update keeps a tenth.
    expected = 0.1 * weights_of(start.network) + 0.9 * weights_of(run.network)
    torch.testing.assert_close(weights_of(run.judged), expected)
    assert run.judged is run.average


@pytest.mark.parametrize(("clip_norm", "length"), [(0.5, 0.5), (1000.0, 5.0)])
def test_only_gradients_that_are_too_long_are_shortened(tmp_path, monkeypatch, clip_norm, length):
    _, run = steps_of(tmp_path, count=0, optimizer={**SGD, "clip_norm": clip_norm})
    weights = list(run.network.parameters())
    monkeypatch.setattr(run.optimizer, "step", lambda: None)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    weights[0].grad.view(-1)[:2] = torch.tensor([3.0, 4.0])
    step_module._change_weights(run, 0)
    assert float(weights[0].grad.norm()) == pytest.approx(length)


def test_a_gradient_that_is_not_finite_leaves_the_weights_as_they_are(tmp_path, monkeypatch):
    _, run = steps_of(tmp_path, count=1)
    before = weights_of(run.network).clone()
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda *_: torch.tensor(float("inf")))
    with pytest.raises(TrainingError, match=r"the gradient of step 2 is inf; lower optimizer\.learning_rate"):
        training_step(run, 1, batch_of(4))
    assert torch.equal(weights_of(run.network), before)


class Overflowing(torch.amp.GradScaler):
    """Scales fp32 as fp16 is scaled; gradients overflow in all steps but those of `finite`."""

    finite = ()
    step_of_run = -1

    def __init__(self, device, enabled):
        super().__init__(device)

    def scale(self, loss):
        self.step_of_run += 1
        return super().scale(loss) * (1.0 if self.step_of_run in self.finite else float("inf"))


def test_a_run_in_which_every_gradient_overflows_is_given_up(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "training")
    monkeypatch.setattr(torch.amp, "GradScaler", Overflowing)
    _, run = steps_of(tmp_path, count=19, size=1)
    before = weights_of(run.network).clone()
    with pytest.raises(TrainingError, match=r"gradients of steps 1 to 20 overflow in fp32, and none of them"):
        training_step(run, 19, batch_of(1))
    assert torch.equal(weights_of(run.network), before)
    (said,) = [record.getMessage() for record in caplog.records]  # 65536 / 2
    assert (
        said == "step 1: left out, its gradients overflow in fp32: the scale of the loss is halved to 32768"
    )


def test_steps_left_out_count_only_in_a_row(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "training")
    monkeypatch.setattr(torch.amp, "GradScaler", Overflowing)
    monkeypatch.setattr(Overflowing, "finite", (15,))
    _, run = steps_of(tmp_path, count=30, size=1)
    assert (run.updates, run.left_out) == (1, 14)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["step 1", "step 17"]


def has_compiler():
    try:
        compilation.get_cpp_compiler()
    except compilation.InvalidCxxCompiler:
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_gives_the_same_losses_nearly(tmp_path):
    expected, _ = steps_of(tmp_path, size=1, network=NETWORKS[1])
    found, run = steps_of(tmp_path, size=1, network=NETWORKS[1], compile=True)
    assert found == pytest.approx(expected, rel=1e-4)
    assert all("_orig_mod" not in name for name in run.network.state_dict())


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns_nothing_from_garbage_in_bf16(tmp_path):
    """Of patches of 8 voxels its lowest level has 2, too few for bf16 on some processors."""
    network = {**NETWORKS[0], "init_filters": 16}
    expected, _ = steps_of(tmp_path, size=1, network=network)
    found, _ = steps_of(tmp_path, size=1, network=network, compile=True, precision="bf16")
    assert found == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("compiled", [False, True], ids=["as it is", "compiled"])
def test_convolutions_take_images_too_small_for_bf16_in_fp32(tmp_path, monkeypatch, compiled):
    monkeypatch.setattr(run_module, "compile_network", lambda network, device: None)
    _, run = steps_of(tmp_path, count=0, network=NETWORKS[1], compile=compiled)
    convolutions = [module for module in run.network.modules() if isinstance(module, nn.Conv3d)]
    of_three = [module for module in convolutions if module.kernel_size == (3, 3, 3)]
    assert len(of_three) == 6  # Two of each level on the way down, and two on the way up.
    with torch.autocast("cpu", torch.bfloat16):
        for module in of_three:
            assert module(torch.ones(1, module.in_channels, 2, 4, 4)).dtype is torch.float32


def test_compile_without_a_compiler_is_refused_in_one_line(tmp_path, monkeypatch):
    def nothing():
        raise compilation.InvalidCxxCompiler

    monkeypatch.setattr(compilation, "get_cpp_compiler", nothing)
    with pytest.raises(TrainingError, match=r"compile: torch\.compile needs a C\+\+ compiler here"):
        steps_of(tmp_path, count=0, compile=True)
