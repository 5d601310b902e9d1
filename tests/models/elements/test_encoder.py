"""A spiking encoder: it fires where thresholds are reached, at each step; every reader knows it; it absorbs ε."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    LIF,
    CertifiedLoss,
    Encoder,
    LInf,
    SpikingNetwork,
    architecture,
    attack,
    bounds,
    dataset,
    fit,
    gain,
    load,
    output,
    output_range,
    quantize,
    save,
    verify,
)
from spikecert.training import start_firing
from spikecert.training.bounds.interval_bounds import worst_logits

LEVELS = st.lists(st.floats(-1, 2, width=32), min_size=1, max_size=3)


def behind(encoder: Encoder, classes: int = 3, num_steps: int = 3, seed: int = 0) -> SpikingNetwork:
    torch.manual_seed(seed)
    flat = [] if len(encoder.shape) == 1 else [nn.Flatten()]
    width = torch.Size(encoder.shape).numel()
    layers = (nn.Linear(width, 6), LIF(1.0, 1.0, reset="subtract"), nn.Linear(6, classes))
    network = SpikingNetwork(encoder, *flat, *layers, num_steps=num_steps)
    start_firing(network, torch.rand(64, *shape_before(encoder)))
    return network.eval()


def shape_before(encoder: Encoder) -> tuple[int, ...]:
    spread = next(layer for layer in encoder if isinstance(layer, nn.Conv1d | nn.Conv2d))
    count = spread.out_channels // spread.in_channels
    first, *others = encoder.shape
    return (first // count, *others)


@given(levels=LEVELS, shape=st.sampled_from([(4,), (2, 3), (2, 2, 3)]), seed=st.integers(0, 99))
def test_it_fires_where_thresholds_are_reached(levels: list[float], shape: tuple[int, ...], seed: int) -> None:
    sizes: list[int] = [*shape]
    encoder, x = Encoder(levels, shape), torch.rand(5, *sizes, generator=torch.Generator().manual_seed(seed))
    network = SpikingNetwork(encoder, *([nn.Flatten()] if len(shape) > 1 else []), num_steps=2, readout="mean")
    spikes = network(x)
    channels = x if len(shape) > 1 else x[:, None]
    biases = [torch.tensor(1.0 - float(level)) for level in levels]
    expected = torch.stack([(channels + bias >= 1).float() for bias in biases], 2)
    assert torch.equal(spikes, expected.flatten(1))
    assert encoder.shape == (len(levels) * sizes[0], *sizes[1:])


def test_thresholds_of_each_channel() -> None:
    encoder = Encoder(torch.tensor([[0.2, 0.4], [0.6, 0.8]]), (2, 1, 1))
    spread = encoder[0]
    assert isinstance(spread, nn.Conv2d)
    assert spread.bias is not None
    assert torch.allclose(1 - spread.bias, torch.tensor([0.2, 0.4, 0.6, 0.8]))


@pytest.mark.parametrize(
    ("thresholds", "shape", "told"),
    [
        (float("nan"), (3,), "thresholds: got nan"),
        ("a", (3,), "thresholds: got"),
        ((), (3,), "thresholds: got"),
        (((0.1,), (0.2,)), (3, 4), r"thresholds: got \[1, 1\] numbers, expected as many for each of 3 channels"),
        (((0.1,), (0.2, 0.3)), (2, 4), r"thresholds: got \[1, 2\] numbers"),
        (0.5, (), r"shape: got \(\), expected 1 to 3 sizes above 0"),
        (0.5, (1, 0), "shape: got"),
        (0.5, (1, 2, 3, 4), "shape: got"),
    ],
)
def test_what_is_no_encoder_is_one_line(thresholds: object, shape: tuple[int, ...], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told) as refused:
        Encoder(thresholds, shape)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["encoder:+mlp:4", "encoder:a+mlp:4", "encoder:.5", "encoder:.5+encoder:.5+mlp:4"]
)
def test_an_architecture_with_no_encoder_is_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="architecture: got"):
        architecture(text, (4,), 2)


def enumerated(network: SpikingNetwork, inputs: Tensor, labels: Tensor, epsilon: float) -> list[bool]:
    """Return whether each pattern of the first layer that the box allows keeps the class: all of them are run."""
    spread = next(layer for layer in network.layers if isinstance(layer, nn.Conv2d))
    assert spread.bias is not None
    biases = spread.bias.detach()
    found = []
    for x, label in zip(inputs, labels, strict=True):
        cuts = [1 - bias for bias in biases]
        spots = [
            sorted(
                {float(v) for v in ((x[i] - epsilon).clamp(0, 1), x[i], (x[i] + epsilon).clamp(0, 1))}
                | {float(c) for c in cuts if abs(c - x[i]) <= epsilon and 0 <= c <= 1}
            )
            for i in range(len(x))
        ]
        runs = torch.cartesian_prod(*(torch.tensor(each) for each in spots)).view(-1, len(x))
        found.append(bool((network(runs).argmax(1) == label).all()))
    return found


@pytest.mark.parametrize("verifier", ["interval", "trains", "complete", "milp", "auto"])
def test_verdicts_are_those_of_all_patterns(verifier: str) -> None:
    moving = 0
    for seed in range(6):
        network = behind(Encoder((0.3, 0.6), (3,)), seed=seed)
        inputs = torch.rand(6, 3, generator=torch.Generator().manual_seed(seed))
        labels = network(inputs).argmax(1)
        for epsilon in (0.05, 0.15):
            kept = enumerated(network, inputs, labels, epsilon)
            found = [verdict.status for verdict in verify(network, inputs, labels, LInf(epsilon), verifier)]
            assert not [1 for one, true in zip(found, kept, strict=True) if one == "verified" and not true]
            assert not [1 for one, true in zip(found, kept, strict=True) if one == "falsified" and true]
            if verifier in ("complete", "auto"):
                assert "unknown" not in found
            moving += kept.count(False)
    assert moving > 5


def test_what_crosses_no_threshold_changes_nothing() -> None:
    network = behind(Encoder((0.5,), (4,)))
    inputs = torch.tensor([[0.1, 0.9, 0.2, 0.8]])
    found = bounds(network, inputs, LInf(0.2), "interval")
    assert torch.allclose(found.lower.float(), network(inputs), atol=1e-5)
    assert torch.allclose(found.upper.float(), network(inputs), atol=1e-5)
    assert verify(network, inputs, network(inputs).argmax(1), LInf(0.2), "interval")[0].status == "verified"
    assert not attack(network, inputs, network(inputs).argmax(1), LInf(0.2)).success.any()
    for place in range(3):
        (ranged,) = output_range(network, inputs, LInf(0.2), output[place])
        assert abs(ranged.upper - ranged.lower) < 1e-4


def test_training_keeps_it_unless_thresholds_are_learned() -> None:
    data, kept = dataset("digits"), []
    for learned in (False, True):
        encoder = Encoder((0.3, 0.6), (64,), learned)
        network = SpikingNetwork(
            encoder, nn.Linear(128, 16), LIF(1.0, reset="subtract"), nn.Linear(16, 10), num_steps=2
        )
        trained = fit(network, data, CertifiedLoss(0.05, bounds="prefix"), epochs=2, optimizer="adam").network
        after, before = dict(trained.named_parameters()), dict(network.named_parameters())
        assert torch.equal(after["layers.1.weight"], before["layers.1.weight"])
        kept.append(torch.equal(after["layers.1.bias"], before["layers.1.bias"]))
        assert not torch.equal(after["layers.4.weight"], before["layers.4.weight"])
    assert kept == [True, False]


@pytest.mark.parametrize("how", ["prefix", "interval"])
def test_bounds_of_training_hold_all_runs(how: str) -> None:
    for seed in range(5):
        network, inputs = behind(Encoder((0.3, 0.6), (4,)), seed=seed), torch.rand(8, 4)
        labels = network(inputs).argmax(1)
        worst = worst_logits(network, (inputs - 0.1).clamp(0, 1), (inputs + 0.1).clamp(0, 1), labels, how)
        runs = (inputs + 0.2 * torch.rand(200, 8, 4) - 0.1).clamp(0, 1)
        logits = network(runs.flatten(0, 1)).view(200, 8, 3)
        lead = logits.gather(2, labels.expand(200, 8)[..., None]) - logits
        assert (lead.amin(0) >= -worst - 1e-5).all()


def test_gains_files_and_chips_know_it(tmp_path) -> None:
    network = behind(Encoder((0.3, 0.6), (4,)))
    first = gain(network).layers[0]
    assert first.gain == pytest.approx(2**0.5, rel=1e-6), "each entry is copied twice, and neurons have no memory"
    save(network, tmp_path / "net.safetensors")
    again, x = load(tmp_path / "net.safetensors"), torch.rand(9, 4)
    assert torch.equal(again(x), network(x))
    built = quantize(network, "q8.8")
    whole = torch.tensor([[10.0, 100.0, 200.0, 250.0]], dtype=torch.float64)
    assert built(whole).shape == (1, 3)
    assert verify(built, whole, built(whole).argmax(1), LInf(1.0), "trains")[0].status == "verified"
