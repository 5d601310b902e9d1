"""Recurrent layers of each library: how each is expressed, and what is refused."""

import operator
import re
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

from spikecert import (
    ConversionRefused,
    LInf,
    convert,
    from_nir,
    from_norse,
    from_snntorch,
    from_spikingjelly,
    to_nir,
    verify,
)
from spikecert.models import LIF, Recurrent, RefractoryLIF, Share, SpikingNetwork, Synapse
from support.examples import THOROUGH
from support.foreign import Foreign, nir, snntorch
from support.foreign_loops import LOOPS, Heard, Steps, norse

COUNT = 40 if THOROUGH else 12
OTHERWISE = (
    r"no neuron|hears more of itself|hear each other|fires at|not the same function|maximum|is recurrent|cross"
)
"""What refusals of other loops say."""
TOO_SHORT = "with so few steps what a synapse keeps and what a membrane keeps show as one sum"
"""Two steps show the sum of a leak and a synapse alone."""
LOST = "loses its input with its potential"
"""What a neuron hears of itself a step later is lost with all other input: it computes what a resting one does."""


def wrong(seed: int, made: Foreign) -> str | None:
    """Return what is wrong with a conversion: a match that is none, or a refusal of what must come in."""
    try:
        silent: dict[str, Any] = {} if isinstance(made.source, nn.Module) else {"silent": True}
        found = convert(made.source, made.sample, made.num_steps, made.encoding, **silent)
    except ConversionRefused as error:
        reasons = ["within rounding", *([f"{OTHERWISE}|{made.refusal}"] if made.refusal is not None else [])]
        reasons += [TOO_SHORT] if made.num_steps == 2 else []
        named = any(re.search(reason, str(error)) for reason in reasons) and "\n" not in str(error)
        return None if named else f"{seed}: {error}"
    assert sum(found.check.mismatches) == 0
    kinds = (RefractoryLIF,) if made.refusal == LOST else (Recurrent, LIF)  # an own spike one to one is a reset
    return None if any(isinstance(layer, kinds) for layer in found.network.layers) else f"{seed}: {found.network}"


@pytest.mark.parametrize("library", LOOPS)
def test_random_loops_match_or_are_refused_with_the_reason(library: str):
    made = [LOOPS[library](seed) for seed in range(COUNT)]
    assert [text for seed, foreign in enumerate(made) if (text := wrong(seed, foreign))] == []
    assert 0.5 * COUNT < sum(foreign.refusal is None for foreign in made) < COUNT


def test_rleaky_is_leaky_and_its_feedback(strong, sample):
    neuron = snntorch.RLeaky(beta=0.5, linear_features=12, init_hidden=True)
    network = from_snntorch(nn.Sequential(strong(16, 12), neuron, strong(12, 3)), sample, num_steps=8)
    layer = network.layers[1]
    assert isinstance(layer, Recurrent)
    d = layer.dynamics
    assert (d.decay, d.threshold, d.reset, d.drop, d.fires_at) == (0.5, 1.0, "subtract", 2.0, ">")
    assert isinstance(layer.feedback, nn.Linear)
    assert torch.equal(layer.feedback.weight, neuron.recurrent.weight)
    with torch.no_grad():
        labels = network(sample).argmax(1)
    assert all(verdict.status == "verified" for verdict in verify(network, sample, labels, LInf(1e-4), "trains"))


def test_a_container_of_a_matrix_is_two_matrices(sample):
    container = sj.LinearRecurrentContainer(sj_neurons.IFNode(v_reset=None), 16, 16)
    network = from_spikingjelly(nn.Sequential(container, nn.Linear(16, 3)), sample, num_steps=5)
    first, layer = network.layers[:2]
    assert isinstance(first, nn.Linear)
    assert isinstance(layer, Recurrent)
    assert isinstance(layer.feedback, nn.Linear)
    assert torch.equal(torch.cat((first.weight, layer.feedback.weight), 1), container.rc.weight)
    assert layer.feedback.bias is None


def test_a_sum_is_a_share_of_one(sample):
    container = sj.ElementWiseRecurrentContainer(sj_neurons.LIFNode(), operator.add)
    network = from_spikingjelly(nn.Sequential(nn.Linear(16, 8), container, nn.Linear(8, 3)), sample, num_steps=5)
    layer = network.layers[1]
    assert isinstance(layer, Recurrent)
    assert isinstance(layer.feedback, Share)
    assert layer.feedback.share.item() == 1.0


def test_a_reset_that_rsynaptic_only_says_is_refused(strong, sample):
    options = {"linear_features": 12, "init_hidden": True, "reset_delay": False}
    neuron = snntorch.RSynaptic(alpha=0.5, beta=0.5, **options)
    with pytest.raises(ConversionRefused, match="module: can't run on inputs of shape"):
        from_snntorch(nn.Sequential(strong(16, 12), neuron, strong(12, 3)), sample, num_steps=8)


class Stepped(nn.Module):
    """RLeaky with states passed by hand; `change` makes the spikes that it is given."""

    def __init__(self, change=lambda spikes: spikes, start: float = 0.0) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 8), nn.Linear(8, 3)
        self.first.weight.data.mul_(4.0)
        self.neuron, self.change = snntorch.RLeaky(beta=0.9, linear_features=8), change
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        spikes, potential = self.neuron.init_rleaky()
        spikes = torch.full((len(x), 8), self.start)
        made = []
        for _ in range(6):
            spikes, potential = self.neuron(self.first(x), self.change(spikes), potential)
            made.append(self.last(spikes))
        return torch.stack(made)


def test_spikes_are_a_state(sample):
    assert isinstance(from_snntorch(Stepped(), sample).layers[1], Recurrent)
    forgetting = Stepped(torch.zeros_like)
    assert is_the_same(forgetting, from_snntorch(forgetting, sample))
    torch.manual_seed(1)
    told = "step 1 takes in another current than step 6, and it hears its own spikes"
    with pytest.raises(ConversionRefused, match=told):
        from_snntorch(Stepped(start=1.0), sample)


def is_the_same(module: nn.Module, network: SpikingNetwork) -> bool:
    """Return whether a module that returns each step gives what a network does, far from all that was compared."""
    far = 9.0 * torch.randn(40, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return torch.allclose(module(far).mean(0), network(far), atol=1e-5)


def heard(order: str = "last", steps: int = 6, change=lambda layer: layer) -> Heard:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, 3)]
    for layer in layers:
        layer.weight.data.mul_(4.0)  # type: ignore[union-attr, operator]
    return Heard([layers[0], change(layers[1]), layers[2]], snntorch.Leaky(beta=0.9), steps, order)


def test_a_loop_that_is_written_out_is_one(sample):
    module = heard()
    network = from_snntorch(module, sample)
    layer = network.layers[1]
    assert isinstance(layer, Recurrent)
    assert isinstance(layer.feedback, nn.Linear)
    assert torch.equal(layer.feedback.weight, module.feedback.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["older", "minus", "after", "first", "stale"])
def test_other_loops_are_refused_even_where_nothing_fires(sample, order):
    module = heard(order)
    module.neuron = snntorch.Leaky(beta=0.9, threshold=1e6)
    try:
        network = from_snntorch(module, sample)
    except ConversionRefused as error:
        network, told = None, str(error)
        assert re.search("no neuron|hears more of itself|is not the same function", told), told
    assert network is None or order in ("stale", "after")  # no bias at the first step: another threshold of each
    assert network is None or is_the_same(heard(order), from_snntorch(heard(order), sample))
    assert isinstance(from_snntorch(_quiet(heard()), sample).layers[1], Recurrent)


def _quiet(module: Heard) -> Heard:
    module.neuron = snntorch.Leaky(beta=0.9, threshold=1e6)
    return module


class Started(Heard):
    """Its first spikes are what is made of the input, of which nobody knows that it is 0 for all."""

    def forward(self, x: Tensor) -> Tensor:
        state: Tensor = self.neuron.reset_mem()  # type: ignore[operator]
        spikes, made = x.new_zeros(len(x), 8), []
        spikes.add_(x[:, :1] * 0)
        for _ in range(self.steps):
            spikes, state = self.neuron(self.first(x) + self.feedback(spikes), state)
            made.append(self.last(spikes))
        return torch.stack(made)


def test_zeros_that_inputs_were_added_to_are_no_start(sample):
    made = heard()
    layers: list[nn.Module] = [made.first, made.feedback, made.last]
    with pytest.raises(ConversionRefused):
        from_snntorch(Started(layers, made.neuron, 6), sample)


class Twice(Heard):
    """Its feedback is read by its output, too."""

    def forward(self, x: Tensor) -> Tensor:
        state: Tensor = self.neuron.reset_mem()  # type: ignore[operator]
        spikes, made = x.new_zeros(len(x), 8), []
        for _ in range(self.steps):
            echo = self.feedback(spikes)
            spikes, state = self.neuron(self.first(x) + echo, state)
            made.append(self.last(spikes + echo))
        return torch.stack(made)


def test_a_feedback_that_others_read_is_a_layer_of_theirs_too(sample):
    made = heard()
    layers: list[nn.Module] = [made.first, made.feedback, made.last]
    twice = Twice(layers, made.neuron, 6)
    assert is_the_same(twice, from_snntorch(twice, sample))


def test_a_loop_through_what_is_not_affine_is_refused(sample):
    with pytest.raises(ConversionRefused):
        from_snntorch(heard(change=lambda layer: nn.Sequential(layer, nn.ReLU())), sample)


def hooked(module: Any) -> Any:
    module[1].recurrent.register_forward_hook(lambda layer, given, gave: gave.clamp(max=1e6))
    return module


def replaced(module: Any) -> Any:
    module[1].recurrent.forward = lambda x: 2 * x
    return module


def test_a_feedback_is_what_runs(strong, sample):
    neuron = snntorch.RLeaky(beta=0.5, linear_features=12, init_hidden=True)
    module = nn.Sequential(strong(16, 12), neuron, strong(12, 3))
    network = from_snntorch(replaced(module), sample, num_steps=8)
    (layer,) = (layer for layer in network.layers if isinstance(layer, Recurrent))
    assert isinstance(layer.feedback, Share)
    assert layer.feedback.share.item() == 1.0  # 2, less the reset that comes a step late
    neuron = snntorch.RLeaky(beta=0.5, linear_features=12, init_hidden=True)
    with pytest.raises(
        ConversionRefused, match=r"test_recurrent\.py:\d+: clamp: bends spikes of factors that differ"
    ):
        from_snntorch(hooked(nn.Sequential(strong(16, 12), neuron, strong(12, 3))), sample, num_steps=8)


def test_a_container_of_more_than_a_neuron_is_refused(sample):
    inner = nn.Sequential(nn.Linear(8, 8), sj_neurons.IFNode())
    module = nn.Sequential(nn.Linear(16, 8), sj.LinearRecurrentContainer(inner, 8, 8), nn.Linear(8, 3))
    with pytest.raises(ConversionRefused, match="hears more of itself than its spikes of one step before"):
        from_spikingjelly(module, sample, num_steps=5)


def test_a_last_potential_of_a_loop_is_refused(strong, sample):
    neuron = snntorch.RLeaky(beta=0.5, linear_features=3, init_hidden=True, reset_mechanism="none", output=True)
    with pytest.raises(ConversionRefused, match=r"needs a final neuron with reset=.none."):
        from_snntorch(nn.Sequential(strong(16, 3), neuron), sample, num_steps=5, readout="potential")


@pytest.mark.parametrize("synapse", [None, Synapse(0.6)], ids=["none", "synapse"])
def test_graphs_go_out_and_come_in_again(sample, synapse: Synapse | None):
    torch.manual_seed(1)
    layer = Recurrent(LIF(0.8, reset="zero"), nn.Linear(8, 8), synapse)
    network = SpikingNetwork(nn.Linear(16, 8), layer, nn.Linear(8, 3), num_steps=6).eval()
    graph = to_nir(network, sample)
    again = from_nir(graph, sample)
    assert torch.equal(again(sample), network(sample))
    found = again.layers[1]
    assert isinstance(found, Recurrent)
    assert (found.synapse is None) == (synapse is None)


@pytest.mark.parametrize(("synapse", "told"), [(Synapse(0.5, 1), "late by 2 steps"), (Synapse(1.0), "keeps all")])
def test_loops_that_nir_has_not_are_not_written(sample, synapse: Synapse, told: str):
    layer = Recurrent(LIF(0.8), nn.Linear(8, 8), synapse)
    with pytest.raises(ConversionRefused, match=told):
        to_nir(SpikingNetwork(nn.Linear(16, 8), layer, nn.Linear(8, 3), num_steps=6), sample)


def cell(**options: Any) -> Any:
    """Return Norse's recurrent cell, of λ = .9 and κ = .8."""
    torch.manual_seed(0)
    return norse.LIFRecurrentCell(16, 8, norse.LIFParameters(**options))


@pytest.mark.parametrize("readout", ["potential", "summed", "largest"])
def test_norse_filters_what_it_hears(sample, readout: str):
    module = Steps(cell(v_th=torch.tensor(0.1)), norse.LILinearCell(8, 3), None, 6)
    network = from_norse(module, sample, readout=readout)
    first, layer = network.layers[:2]
    assert isinstance(first, nn.Linear)
    assert isinstance(layer, Recurrent)
    assert isinstance(layer.feedback, nn.Linear)
    assert torch.equal(first.weight, module.cell.input_weights)  # type: ignore[arg-type]
    assert torch.equal(layer.feedback.weight, module.cell.recurrent_weights)  # type: ignore[arg-type]
    assert layer.synapse is not None
    assert (round(layer.dynamics.decay, 6), round(layer.synapse.decay, 6)) == (0.9, 0.8)
    labels = network(sample).argmax(1)
    found = verify(network, sample, labels, LInf(1e-5), "trains")
    assert sum(verdict.status == "verified" for verdict in found) > len(sample) / 2


@pytest.mark.parametrize("case", ["forgets", "activation", "late"])
def test_other_norse_modules_are_refused_even_where_nothing_fires(sample, case: str):
    neuron = cell(v_th=torch.tensor(1e6))
    encoder = norse.ConstantCurrentLIFEncoder(6, norse.LIFParameters(v_th=torch.tensor(1e6)))
    module = Steps(neuron, nn.Linear(8, 3), encoder if case == "late" else None, 6, forgets=case == "forgets")
    if case == "activation":
        step = neuron.activation
        neuron.activation = lambda *given: step(*given)
    if case == "late":
        encoder.register_forward_hook(lambda layer, given, gave: gave.flip(0))
    if case == "activation":
        assert any(isinstance(layer, Recurrent) for layer in from_norse(module, sample).layers)
        return
    told = {
        "forgets": "fires at 2 of 6 steps, by one equation",
        "late": r"test_recurrent\.py:\d+: flip: turns an axis around",
    }[case]
    with pytest.raises(ConversionRefused, match=told):
        from_norse(module, sample)


def test_an_encoder_is_a_neuron(sample):
    encoder = norse.ConstantCurrentLIFEncoder(6, norse.LIFParameters(v_th=torch.tensor(0.2)))
    network = from_norse(Steps(cell(v_th=torch.tensor(0.1)), norse.LILinearCell(8, 3), encoder, 6), sample)
    first = network.layers[0]
    assert isinstance(first, LIF)
    assert round(first.dynamics.threshold, 5) == 2.0


def test_a_loop_of_another_shape_is_refused():
    graph = LOOPS["nir, recurrent"](3).source
    name = next(key for key, node in graph.nodes.items() if key == "back" or isinstance(node, nir.NIRGraph))
    nodes = graph.nodes if name == "back" else graph.nodes[name].nodes
    nodes["back"] = nir.Linear(weight=nodes["back"].weight[:1])
    with pytest.raises(ConversionRefused):
        from_nir(graph, torch.rand(4, 6), num_steps=4)


class Late(nn.Module):
    """Gives the second layer the first one's spikes of one step before, which never come."""

    def __init__(self, product: bool) -> None:
        super().__init__()
        self.product = product
        self.one, self.first = nn.Linear(4, 5), snntorch.Leaky(beta=0.9)
        self.two, self.second = nn.Linear(5, 3), snntorch.Leaky(beta=0.9)
        self.one.weight.data.mul_(1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        states, spikes = [self.first.reset_mem(), self.second.reset_mem()], []
        before = None
        for _ in range(4):
            spike, states[0] = self.first(self.one(x), states[0])
            before = spike if before is None else before
            given, before = (before * spike if self.product else before), spike
            out, states[1] = self.second(self.two(given) + 2.0, states[1])
            spikes.append(out)
        return torch.stack(spikes)


@pytest.mark.parametrize("product", [False, True])
def test_spikes_of_an_earlier_step_are_refused_even_where_none_come(product: bool):
    with pytest.raises(ConversionRefused, match=r"test_recurrent\.py:\d+: .* in another current than step 4"):
        from_snntorch(Late(product), torch.rand(6, 4))
