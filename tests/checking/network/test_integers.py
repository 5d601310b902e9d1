"""What the checker reads of a network of whole numbers, and what it refuses by name."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, Delay, IntegerLIF, SpikingNetwork, WholeInput, quantize
from spikecert.checking import Refused
from spikecert.checking.kernel.network import KernelNodes, Sizes
from spikecert.checking.network.files import Content
from spikecert.checking.network.integers import WHOLE, IntegerNeuron
from spikecert.checking.network.model import Network, _network, _of, parse_network
from spikecert.checking.numbers.exact import whole
from spikecert.models import WholeDecay
from spikecert.models.files import storage as checkpoints
from support.chips import CHIPS, Case


def content(network: SpikingNetwork) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the description and the tensors of a network's file."""
    raw = checkpoints.to_bytes(network)
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    state = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    return json.loads(header["__metadata__"]["text"]), state


def read(text: dict[str, Any], tensors: dict[str, np.ndarray]) -> Network:
    return _network(Content(text, dict(tensors), "0" * 64, 1000))


def made(last: nn.Module | None = None, readout: str = "potential", *between: nn.Module) -> SpikingNetwork:
    torch.manual_seed(0)
    neurons = IntegerLIF(WholeDecay("shift", 3), 9)
    last = LIF(1.0, reset="none") if last is None else last
    network = SpikingNetwork(
        WholeInput(0, 7), nn.Linear(3, 4), neurons, *between, nn.Linear(4, 2), last, num_steps=3, readout=readout
    ).double()
    for parameter in network.parameters():
        parameter.data = (parameter.data * 9).round()
    return network


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_each_chip_s_constants_are_read_as_they_are(chip):
    network = Case.drawn(chip, 0).network
    found = parse_network(checkpoints.to_bytes(network), "network")
    assert found.arithmetic == WHOLE
    assert found.whole is not None
    assert found.whole.ends == (0, chip.most_input)
    rules = [layer.stepped for layer in network.layers if isinstance(layer, IntegerLIF)]
    own = [layer for layer in found.layers if isinstance(layer, IntegerNeuron)]
    assert len(own) == len(rules) > 1
    for one, rule in zip(own, rules, strict=True):
        assert (one.threshold, one.first, one.reset, one.most) == (
            rule.threshold, rule.first_firing, rule.reset, rule.most,
        )  # fmt: skip
        assert (one.top, one.bottom, one.current_top) == (rule.top, rule.bottom, rule.current_top)
        assert (one.wraps, one.ordered, one.towards, one.decays_last) == (
            rule.overflow == "refuse", rule.saturating_sums, rule.towards, rule.decays_last,
        )  # fmt: skip
        assert one.rest == min(rule.rest, network.num_steps)
        assert (one.leak.cut, one.leak.shift, one.leak.factor) == (
            rule.leak.cut, rule.leak.shift, rule.leak.factor,
        )  # fmt: skip
        assert (one.synapse is None) == (rule.synapse is None)


WRONG: dict[str, tuple[Any, str]] = {
    "leak": (["root", 3, 0], "a decay cut by 'root'"),
    "threshold": (0, "threshold: got '0', expected a whole number from 1 to"),
    "reset": ("half", "reset 'half'"),
    "fires_at": ("=", "fires_at '='"),
    "bits": (33, "bits: got '33'"),
    "overflow": ("wrap", "overflow 'wrap'"),
    "symmetric": (1, "symmetric: got '1', expected true or false"),
    "most": (2, "most: got '2', expected a whole number from 1 to 1"),
    "synapse": (["shift", 17, 0], "n: got '17'"),
    "decays_last": (None, "decays_last: got 'None'"),
    "current_bits": (1.0, "current_bits: got '1.0'"),
    "saturating_sums": ("no", "saturating_sums: got 'no'"),
    "towards": (0, "towards: got '0'"),
    "rest": (-1, "rest: got '-1'"),
    "noise": (0, "described otherwise"),
}


@pytest.mark.parametrize("field", WRONG)
def test_an_option_that_is_not_known_is_refused(field):
    text, tensors = content(made())
    assert read(text, tensors).whole
    value, told = WRONG[field]
    text["layers"][2][field] = value
    with pytest.raises(Refused, match=told):
        read(text, tensors)
    if field != "noise":
        del text["layers"][2][field]
        with pytest.raises(Refused, match="described otherwise"):
            read(text, tensors)


@pytest.mark.parametrize(
    ("factor", "told"),
    [(["floor", 3, 9], "factor 9 of 2"), (["dash", 3, 1], "factor 1 of 2"), (["floor", 3], None)],
)
def test_a_decay_s_factor_fits(factor, told):
    text, tensors = content(made())
    text["layers"][2]["leak"] = factor
    with pytest.raises((Refused, ValueError), match=told):
        read(text, tensors)


def test_networks_that_are_whole_in_part_are_refused():
    text, tensors = content(made())
    real = text | {"layers": [{"type": "Flatten", "start_dim": 1, "end_dim": -1}, *text["layers"][1:]]}
    with pytest.raises(Refused, match="integer neurons without a WholeInput"):
        read(real, tensors)
    later = text | {"layers": [*text["layers"][:3], text["layers"][0], *text["layers"][3:]]}
    with pytest.raises(Refused, match="a WholeInput layer"):
        read(later, tensors)
    lif = {"type": "LIF", "decay": 0.5, "threshold": 9.0, "reset": "zero", "fires_at": ">=", "surrogate": None}
    mixed = text | {"layers": [*text["layers"][:2], lif, *text["layers"][3:]]}
    with pytest.raises(Refused, match="a Described in a network of whole numbers"):
        read(mixed, tensors)
    for layer in (
        {"type": "MaxPool1d", "kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1, "ceil_mode": False},
        {"type": "Synapse", "decay": 0.5, "delay": 0},
    ):
        other = text | {"layers": [*text["layers"][:4], layer, *text["layers"][4:]]}
        with pytest.raises(Refused, match="in a network of whole numbers"):
            read(other, tensors)
    leaking = text | {"layers": [*text["layers"][:4], text["layers"][4] | {"decay": 0.5}]}
    with pytest.raises(Refused, match="no sums of whole numbers"):
        read(leaking, tensors)
    with pytest.raises(Refused, match="rates or means"):
        read(text | {"readout": "mean", "layers": text["layers"][:4]}, tensors)
    with pytest.raises(Refused, match="expected a whole number from 7 to"):
        read(text | {"layers": [{"type": "WholeInput", "least": 7, "most": 0}, *text["layers"][1:]]}, tensors)
    with pytest.raises(Refused, match="WholeInput that is described otherwise"):
        read(text | {"layers": [text["layers"][0] | {"cut": 1}, *text["layers"][1:]]}, tensors)


def test_several_spikes_are_no_classes_and_leaking_potentials_no_readout():
    text, tensors = content(made(IntegerLIF(WholeDecay("shift", 2), 3, reset="subtract"), "spikes"))
    assert read(text, tensors).whole
    text["layers"][-1]["most"] = 3
    with pytest.raises(Refused, match="fire several times"):
        read(text, tensors)
    text["layers"][-1] |= {"most": 1, "reset": "none"}
    with pytest.raises(Refused, match="readout 'potential' behind such a layer"):
        read(text | {"readout": "potential"}, tensors)


@pytest.mark.parametrize("value", [0.5, 2.0**31 + 1, np.nan, np.inf])
def test_weights_that_are_not_whole_are_refused(value):
    text, tensors = content(made())
    weight = tensors["layers.1.weight"].copy()
    weight[0, 0] = value
    with pytest.raises(Refused, match="not whole, or above"):
        read(text, tensors | {"layers.1.weight": weight})


def test_weights_in_float32_are_refused():
    text, tensors = content(made())
    with pytest.raises(Refused, match="expected float64"):
        read(text, {name: part.astype(np.float32) for name, part in tensors.items()})


def test_sums_beyond_2_to_51_are_refused():
    text, tensors = content(made())
    text["layers"][0]["most"] = 2**40
    sample, radius = np.full(3, 2.0**40), np.array([0.0])

    def errors(times: float) -> list[int]:
        network = read(text, {name: part * times for name, part in tensors.items()})
        nodes = KernelNodes.over(network, network.inputs(sample, radius, 0.0, 2.0**40))
        return Sizes(nodes, lambda place: whole(np.ones((4, 3), dtype=int))).errors(2)

    assert errors(1.0) == [0] * 4
    with pytest.raises(Refused, match="may overflow"):
        errors(2.0**20)


def test_sets_are_whole_and_what_the_chip_takes():
    network = parse_network(checkpoints.to_bytes(made()), "network")
    sample = np.array([1.0, 6.0, 3.0])
    found = network.inputs(sample, np.array([1.5]), 0.25, 7.0)
    assert (found.low.ints.ravel().tolist(), found.high.ints.ravel().tolist()) == ([1, 5, 2], [2, 7, 4])
    with pytest.raises(Refused, match="the whole ones from 0 to 7"):
        network.inputs(sample, np.array([2.0]), -5.0, 7.0)
    with pytest.raises(Refused, match="the whole ones from 0 to 7"):
        network.inputs(sample, np.array([2.0]), 0.0, 8.0)
    with pytest.raises(Refused, match="no whole input at all"):
        network.inputs(sample + 0.5, np.array([0.25]), 0.0, 7.0)
    with pytest.raises(Refused, match="norm 'l2' of whole inputs"):
        network.inputs(sample, np.array([1.0]), 0.0, 7.0, "l2")


@pytest.mark.parametrize("target", ["loihi", "spinnaker", "q8.8"])
def test_builds_are_read(target):
    source = SpikingNetwork(nn.Linear(3, 4), LIF(0.5), nn.Linear(4, 2), num_steps=3)
    assert parse_network(checkpoints.to_bytes(quantize(source, target)), "network").whole


def test_delays_are_read():
    assert parse_network(checkpoints.to_bytes(made(None, "potential", Delay(1))), "network").whole


def test_a_mean_of_counts_is_divided_by_floats():
    """1/3 is no float: of all that a network of whole numbers does, this rounds."""
    text, tensors = content(made(IntegerLIF(WholeDecay("shift", 2), 3, reset="subtract"), "spikes"))
    network = read(text, tensors)
    nodes = KernelNodes.over(network, network.inputs(np.full(3, 2.0), np.array([1.0]), 0.0, 7.0))
    widths = {place: nodes.graph.widths[place] for place in nodes.graph.spiking}
    sizes = Sizes(nodes, lambda place: whole(np.ones((widths[place], 3), dtype=int)))
    errors = [sizes.of(place)[1].max().fraction() for place in range(len(nodes.nodes))]
    assert not any(errors[:-1])
    assert 0 < errors[-1] < 1e-14


@pytest.mark.parametrize("layers", [[], {}, [[]], [None], None, "", [{"type": []}], [{}]])
def test_layers_that_are_none_are_one_line(layers):
    text, tensors = content(made())
    with pytest.raises(Refused, match=r"^a file: ") as caught:
        _of(Content(text | {"layers": layers}, tensors, "", 1), "a file", 1.0)
    assert "\n" not in str(caught.value)
