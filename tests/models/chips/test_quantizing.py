"""What a network becomes on a chip: each number by the chip's own mapping, and the class that it had."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikecert import (
    DLIF,
    LIF,
    IntegerLIF,
    LInf,
    SpikingNetwork,
    Synapse,
    WholeInput,
    circuit,
    load,
    mlp,
    quantize,
    save,
    verify,
)
from spikecert.models import quantization, whole_inputs
from spikecert.models.merging import merged
from support.chips import around, failing, fixed, loihi, margins, spinnaker, xylo

ALL = ("loihi", "xylo", "spinnaker", "q8.8", "q4.12")
RESETS = {"xylo": "subtract"}


def network(target: str = "loihi", seed: int = 0, sizes: tuple[int, ...] = (8, 12, 10, 3)) -> SpikingNetwork:
    torch.manual_seed(seed)
    made = mlp(sizes, num_steps=6, neuron=LIF(0.875, 0.8, RESETS.get(target, "zero")))
    if target == "xylo":
        made = _with_synapses(sizes)
    for module in made.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.6)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
    return made


def _with_synapses(sizes: tuple[int, ...]) -> SpikingNetwork:
    """Return what Xylo has: a synapse and neurons that subtract behind each layer, and no bias."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out, bias=False), Synapse(0.5), LIF(0.875, 2.0, "subtract")]
    return SpikingNetwork(*layers, num_steps=6, readout="spikes")


def inputs(count: int = 200, features: int = 8) -> Tensor:
    return torch.rand(count, features, generator=torch.Generator().manual_seed(1))


def dense(made: SpikingNetwork) -> list[nn.Linear]:
    return [layer for layer in made.layers if isinstance(layer, nn.Linear)]


def neurons(made: SpikingNetwork) -> list[IntegerLIF]:
    return [layer for layer in made.layers if isinstance(layer, IntegerLIF)]


@pytest.mark.parametrize("target", ALL)
def test_a_build_is_whole_and_has_the_class_of_its_source(target: str):
    built = quantization(network(target), target)
    assert circuit(built.network).whole
    told = built.compare(inputs())
    assert told.samples == 200
    assert told.same_class >= (0.65 if target == "xylo" else 0.85)  # which fires several times a step
    assert told.without_number == 0.0
    assert len(told.spikes) == (3 if target == "xylo" else 2)
    assert max(told.spikes) <= (0.4 if target == "xylo" else 0.15)
    assert all(
        np.array_equal(layer.weight.detach(), layer.weight.detach().round()) for layer in dense(built.network)
    )


@pytest.mark.parametrize("target", ["loihi", "spinnaker", "q8.8"])
def test_fewer_bits_are_less_like_it(target: str):
    source = network(target)
    spikes = [sum(quantization(source, target, bits).compare(inputs()).spikes) for bits in (8, 5, 3)]
    assert spikes == sorted(spikes)
    assert spikes[0] < spikes[2]


def test_loihi_s_numbers():
    source = network()
    built = quantization(source, "loihi")
    for real, made, part in zip(dense(source), dense(built.network), built.layers, strict=True):
        scale = 127 / float(real.weight.detach().abs().max())
        assert torch.equal(made.weight, (real.weight.double() * scale).round() * part.unit)
        entering = 255 if real is dense(source)[0] else 1
        assert part.scale == pytest.approx(scale * part.unit * entering)
        assert part.clipped == 0
        reach = made.weight.detach().abs().sum(1) * entering + made.bias.detach().abs()
        assert float(reach.max()) <= 2**23 - 1
    hidden = neurons(built.network)[0].stepped
    assert hidden.threshold == round(built.layers[0].scale * 0.8 / 64) * 64
    assert (hidden.leak.cut, hidden.leak.factor, hidden.leak.shift) == ("truncate", 3584, 12)
    assert (hidden.fires_at, hidden.reset, hidden.bits, hidden.symmetric) == (">", "zero", 24, True)


def test_xylo_s_numbers():
    source = network("xylo")
    built = quantization(source, "xylo")
    first = built.layers[0]
    scale = 127 / float(dense(source)[0].weight.detach().abs().max())
    assert torch.equal(first.weight, (dense(source)[0].weight.detach().double() * scale).round())
    assert first.threshold == round(scale * 15 * 0.5 * 2.0)
    rules = [layer.stepped for layer in neurons(built.network)]
    assert [rule.most for rule in rules] == [31, 31, 1]
    assert all((rule.leak.cut, rule.leak.shift) == ("dash", 3) for rule in rules)
    assert all(rule.synapse is not None and rule.synapse.shift == 1 and rule.decays_last for rule in rules)
    assert built.network.num_steps == 8
    assert [layer.delay for layer in built.network.layers if isinstance(layer, Synapse)] == [1, 1]


def test_fixed_point_numbers():
    source = network("q8.8")
    built = quantization(source, "q8.8")
    _, second, _ = built.layers
    assert second.scale == 256
    real = dense(source)[1].weight.detach().double() * 256
    assert second.unit == 2 ** int(np.ceil(np.log2(float(real.abs().max()) / 127)))
    assert torch.equal(second.weight, (real / second.unit).round().clamp(-127, 127) * second.unit)
    assert second.threshold == round(0.8 * 256)
    assert built.layers[0].scale == 2**16
    assert (second.neuron.stepped.leak.factor, second.neuron.stepped.leak.shift) == (224, 8)


def test_spinnaker_s_neurons_go_towards_their_drive():
    built = quantization(network("spinnaker"), "spinnaker")
    rule = neurons(built.network)[0].stepped
    assert rule.towards
    assert (rule.leak.cut, rule.leak.shift, rule.leak.factor) == ("nearest", 15, 28672)
    assert rule.threshold == round(0.8 * 2**15)


def stepped_by(target: str, made: SpikingNetwork, whole: np.ndarray) -> np.ndarray:
    """Return the sums of the last layer by the other program."""
    signal = [whole] * made.num_steps
    layers = dense(made)
    for index, (layer, neuron) in enumerate(zip(layers, neurons(made), strict=True)):
        weight, bias = (part.detach().numpy().astype(np.int64) for part in (layer.weight, layer.bias))
        rule, last = neuron.stepped, index == len(layers) - 1
        if last and target != "xylo":
            return np.sum([x @ weight.T + bias for x in signal], axis=0)
        step = {
            "loihi": lambda rule=rule: loihi(4095, 4096 - rule.leak.factor, rule.threshold >> 6),
            "xylo": lambda rule=rule: xylo(1, rule.leak.shift, rule.threshold, rule.most),
            "spinnaker": lambda rule=rule: spinnaker(rule.leak.factor, rule.threshold, 0),
            "q8.8": lambda rule=rule: fixed(
                lambda v: (v * rule.leak.factor + 128) >> 8, rule.threshold, False, rule.bits
            ),
        }[target]()
        state, found = None, []
        for x in signal:
            state, spikes = step(state, weight, bias, x)
            found.append(spikes)
        signal = [np.zeros_like(found[0]), *found[:-1]] if target == "xylo" and not last else found
    return np.sum(signal, axis=0)


@pytest.mark.parametrize("target", ["loihi", "spinnaker", "q8.8", "xylo"])
def test_a_build_runs_as_the_other_program_in_integers(target: str):
    made = quantize(network(target), target)
    whole = whole_inputs(made, inputs())
    with torch.no_grad():
        found = (made(whole) * (made.num_steps if target == "xylo" else 1)).round().numpy().astype(np.int64)
    assert np.array_equal(found, stepped_by(target, made, whole.numpy().astype(np.int64)))


@pytest.mark.parametrize("target", ["loihi", "spinnaker", "q8.8", "xylo"])
def test_what_is_proven_of_a_build_holds_for_all_whole_inputs(target: str):
    """Of three layers, behind whose first one windows count; margins are no greater than the least of all."""
    proved = 0
    for seed in range(6):
        source = network(target, seed, (4, 6, 6, 3))
        made = quantize(source, target)
        whole = whole_inputs(made, inputs(8, 4))
        labels = made(whole).argmax(1)
        radius = 1 if target == "xylo" else 2
        found = verify(made, whole, labels, LInf(radius), "trains")
        for sample, label, verdict in zip(whole, labels.tolist(), found, strict=True):
            outputs = stepped_by(
                target, made, around(sample.numpy().astype(np.int64), radius, 15 if target == "xylo" else 255)
            )
            assert verdict.status != "verified" or not failing(outputs, label, verdict.ties).any()
            steps = made.num_steps if target == "xylo" else 1
            assert verdict.margin is None or verdict.margin <= margins(outputs, label).min() / steps + 1e-9
            proved += verdict.status == "verified"
    assert proved >= (1 if target == "xylo" else 16)


def test_no_input_makes_loihi_s_sums_wrap():
    source = network()
    for layer in dense(source):
        nn.init.constant_(layer.weight, 3.0)
    made = quantize(source, "loihi")
    assert not bool(made(torch.full((1, 8), 255.0, dtype=torch.float64)).isnan().any())


def test_weights_beyond_the_share_that_is_kept_are_clipped():
    source = network()
    with torch.no_grad():
        dense(source)[0].weight[0, 0] = 50.0
    kept = quantization(source, "loihi", 4, keep=0.98)
    assert kept.layers[0].clipped >= 1
    assert quantization(source, "loihi", 4).layers[0].clipped == 0
    assert "clipped" in kept.text
    assert kept.text.count("\n") == 3


def test_a_synapse_is_the_chip_s_own(tmp_path):
    layers = [nn.Linear(4, 5, bias=False), Synapse(0.5), LIF(0.9), nn.Linear(5, 3)]
    built = quantization(SpikingNetwork(*layers, num_steps=5), "loihi")
    rule = neurons(built.network)[0].stepped
    assert rule.synapse is not None
    assert (rule.synapse.factor, rule.synapse.shift) == (2048, 12)
    assert not any(isinstance(layer, Synapse) for layer in built.network.layers)
    save(built.network, tmp_path / "chip.safetensors")
    whole = built.whole(inputs(20, 4))
    assert torch.equal(load(tmp_path / "chip.safetensors")(whole), built.network(whole))


def test_events_are_events():
    source = SpikingNetwork(*network().layers, num_steps=6, encoding="none")
    made = quantize(source, "loihi")
    assert isinstance(made.layers[0], WholeInput)
    assert made.layers[0].most == 1
    events = (torch.rand(20, 6, 8, generator=torch.Generator().manual_seed(2)) < 0.4).float()
    told = quantization(source, "loihi").compare(events)
    assert told.same_class >= 0.85


@pytest.mark.parametrize(
    ("made", "asked", "told"),
    [
        (
            network(),
            {"target": "brainscales"},
            "target: got 'brainscales', expected loihi, xylo, spinnaker or qM.N",
        ),
        (network(), {"target": 3}, "target: got int"),
        (network(), {"target": "q30.8"}, "at most 24 in all"),
        (network(), {"target": "q8.16"}, "1 to 15 bits"),
        (network(), {"bits": 9}, "bits: got 9"),
        (network(), {"bits": 1}, "bits: got 1"),
        (network(), {"keep": 0.0}, "keep: got 0.0"),
        (network(), {"levels": 256}, "levels: got 256, expected at most 255 on loihi"),
        (network("xylo"), {}, "layers.2 has reset 'subtract', expected \"zero\", which loihi has"),
        (network(), {"target": "xylo"}, "layers.1 has reset 'zero', expected \"subtract\", which xylo has"),
        (
            SpikingNetwork(nn.Linear(2, 2), LIF(0.9, 1.0, "subtract"), num_steps=3, readout="spikes"),
            {"target": "xylo"},
            "layers.0 has no such neurons, expected a Synapse and LIF",
        ),
        (network("xylo"), {"target": "spinnaker"}, 'expected "zero", which spinnaker has'),
        (SpikingNetwork(nn.Linear(2, 2), DLIF(3), nn.Linear(2, 2), num_steps=3), {}, "layers.1 is a DLIF"),
        (
            SpikingNetwork(
                nn.Linear(2, 2), nn.Unflatten(1, (2,)), nn.Flatten(), LIF(), nn.Linear(2, 2), num_steps=3
            ),
            {},
            "layers.1 is a Unflatten, expected LIF behind each weighted layer",
        ),
        (
            SpikingNetwork(nn.Linear(2, 2), Synapse(0.5), LIF(), nn.Linear(2, 2), num_steps=3),
            {},
            "layers.0 has a bias in front of a synapse",
        ),
        (SpikingNetwork(*network().layers, num_steps=6, readout="largest"), {}, "readout 'largest'"),
        (SpikingNetwork(*network().layers, num_steps=6, encoding="rate"), {}, "encoding 'rate'"),
        (
            SpikingNetwork(nn.Linear(2, 2), LIF(1.0), nn.Linear(2, 2), num_steps=3),
            {"target": "spinnaker"},
            "layers.1 has decay 1",
        ),
        (quantize(network()), {}, "got one of whole numbers"),
    ],
)
def test_what_a_chip_has_not_is_refused_in_one_line(made: SpikingNetwork, asked: dict, told: str):
    with pytest.raises((TypeError, ValueError)) as raised:
        quantize(made, **asked)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_whole_inputs_are_of_networks_that_take_them():
    made = quantize(network(), levels=15)
    assert whole_inputs(made, torch.tensor([[0.52, 1.0, 0.0, 0.12, 0.2, 0.34, 0.4, 0.9]])).tolist() == [
        [8.0, 15.0, 0.0, 2.0, 3.0, 5.0, 6.0, 13.0]
    ]
    with pytest.raises(ValueError, match="without a WholeInput"):
        whole_inputs(network(), inputs())


def test_norms_are_folded_first():
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(6)
    norm.running_mean, norm.running_var = torch.randn(6), torch.rand(6) + 0.5
    norm.weight.data, norm.bias.data = torch.randn(6), torch.randn(6)
    source = SpikingNetwork(nn.Linear(4, 6), norm, LIF(0.9), nn.Linear(6, 3), num_steps=4).eval()
    found, expected = quantize(source, "loihi"), quantize(merged(source), "loihi")
    x = whole_inputs(found, inputs(8, 4))
    assert torch.equal(found(x), expected(x))
    assert [type(layer).__name__ for layer in found.layers] == [type(layer).__name__ for layer in expected.layers]
    lonely = SpikingNetwork(nn.BatchNorm1d(4), nn.Linear(4, 6), LIF(0.9), nn.Linear(6, 3), num_steps=4).eval()
    with pytest.raises((ValueError, TypeError), match=r"^network: "):
        quantize(lonely, "loihi")
