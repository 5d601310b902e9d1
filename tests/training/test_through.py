"""Training through a chip's weights: losses are of what the build holds, and the real weights move."""

from typing import Any

import pytest
import torch
from torch import nn

from spikecert import LIF, CertifiedLoss, CrossEntropy, Settings, SpikingNetwork, Synapse, dataset, fit, mlp
from spikecert.models import ChipWeights, quantization

TARGETS = ("loihi", "xylo", "spinnaker", "q8.8")


def network(target: str, seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    if target != "xylo":
        return mlp((64, 16, 10), num_steps=4, neuron=LIF(0.875, 1.0))
    layers: list[nn.Module] = []
    for fan_in, fan_out in ((64, 16), (16, 10)):
        layers += [nn.Linear(fan_in, fan_out, bias=False), Synapse(0.5), LIF(0.875, 1.0, "subtract")]
    return SpikingNetwork(*layers, num_steps=4, readout="spikes")


def weights(made: SpikingNetwork) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in made.parameters()]


def failing(made: SpikingNetwork, chip: ChipWeights) -> None:
    with chip.of(made):
        raise RuntimeError("within")


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("target", TARGETS)
def test_the_values_are_those_of_the_build(target: str, bits: int):
    """Their own build has the same whole numbers; the network's weights come back, also after an error."""
    made = network(target)
    before, built = weights(made), quantization(made, target, bits).network
    with ChipWeights(target, bits).of(made):
        again = quantization(made, target, bits).network
        layers = [layer for layer in made.layers if isinstance(layer, nn.Linear)]
        assert all(map(torch.equal, built.parameters(), again.parameters()))
        assert all(len(layer.weight.unique()) < 2**bits for layer in layers)
    assert all(torch.equal(a, b) for a, b in zip(weights(made), before, strict=True))
    with pytest.raises(RuntimeError, match="within"):
        failing(made, ChipWeights(target, bits))
    assert all(torch.equal(a, b) for a, b in zip(weights(made), before, strict=True))


def test_the_loss_is_of_the_values_and_the_real_weights_move():
    """One step of plain gradient descent, against the same by hand."""
    data, made, chip = dataset("digits"), network("loihi"), ChipWeights("loihi", 3)
    one = {"epochs": 1, "batch_size": len(data.train), "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    ended = fit(made, data, CertifiedLoss(0.01), schedule="constant", through=chip, **one).last
    with chip.of(made):
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
        batch = data.train.take(order)
        made.train()
        CertifiedLoss(0.01).at(0.0).loss(made, batch.inputs, batch.labels, torch.Generator()).total.backward()
    for before, after in zip(made.parameters(), ended.parameters(), strict=True):
        assert before.grad is not None
        torch.testing.assert_close(after.detach(), before.detach() - 0.1 * before.grad)
        assert bool((before.grad != 0).any())


def test_few_bits_keep_the_class():
    found = {}
    for through in (None, ChipWeights("loihi", 2)):
        data = dataset("digits")
        chosen: dict[str, Any] = {"epochs": 8, "optimizer": "adam", "learning_rate": 0.01, "through": through}
        run = fit(network("loihi"), data, CrossEntropy(), **chosen)
        built = quantization(run.network, "loihi", 2)
        right = built.network(built.whole(data.test.inputs)).argmax(1) == data.test.labels
        found[through is None] = float(right.double().mean())
    assert found[False] > found[True] + 0.1, found


def test_a_run_of_other_weights_does_not_go_on(tmp_path: Any):
    data = dataset("digits")
    fit(network("loihi"), data, epochs=1, folder=tmp_path, through=ChipWeights("loihi", 4))
    with pytest.raises(ValueError, match="through"):
        fit(network("loihi"), data, epochs=1, folder=tmp_path)


@pytest.mark.parametrize(
    ("made", "through", "told"),
    [
        (network("loihi"), "loihi", "through: got str, expected ChipWeights or None"),
        (network("loihi"), ChipWeights("xylo"), "network: layers.1 has reset 'zero', expected \"subtract\""),
        (
            SpikingNetwork(nn.Linear(64, 10), nn.BatchNorm1d(10), num_steps=2),
            ChipWeights("loihi"),
            "network: layers.1 is a BatchNorm1d, expected none to train through a chip's weights",
        ),
    ],
)
def test_what_a_chip_has_no_weights_for_is_refused(made: SpikingNetwork, through: Any, told: str):
    with pytest.raises((TypeError, ValueError), match=told):
        fit(made, dataset("digits"), epochs=1, through=through)


def test_no_other_target_and_bits():
    with pytest.raises(ValueError, match="target: got 'mars'"):
        ChipWeights("mars")
    for bits in (1, 9):
        with pytest.raises(ValueError, match=f"bits: got {bits}"):
            ChipWeights("q8.8", bits)
    with pytest.raises(TypeError, match="bits: got float"):
        ChipWeights("loihi", 2.5)  # type: ignore[arg-type]
    assert Settings(through=ChipWeights("loihi")).through == ChipWeights("loihi", 8)
