"""Second-order neurons and delays of other libraries become a synapse before the neuron, or are refused."""

from importlib import import_module
from typing import Any

import norse.torch as norse
import numpy as np
import pytest
import torch
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

from spikecert import (
    DLIF,
    LIF,
    ConversionRefused,
    CoupledLIF,
    LInf,
    SpikingNetwork,
    Synapse,
    from_nir,
    from_norse,
    from_snntorch,
    from_spikingjelly,
    to_nir,
    verify,
)
from spikecert.models import check_conversion

nir: Any = import_module("nir")
snntorch: Any = import_module("snntorch")
STEPS = 8


def deep(strong, neuron) -> nn.Sequential:
    return nn.Sequential(strong(16, 12), neuron(), strong(12, 8), neuron(), strong(8, 3))


def kinds(network: SpikingNetwork) -> list[type]:
    return [type(layer) for layer in network.layers]


def fires(network: SpikingNetwork, sample: Tensor) -> bool:
    with torch.no_grad():
        return all(bool(spikes.any()) for spikes in network.trace(sample).spikes)


def test_a_reset_that_nothing_else_carries_over_is_a_number_of_its_own(strong, sample):
    module = deep(strong, lambda: snntorch.Synaptic(0.7, 0.0, init_hidden=True))
    network = from_snntorch(module, sample, STEPS)
    assert kinds(network) == [nn.Linear, Synapse, CoupledLIF, nn.Linear, Synapse, CoupledLIF, nn.Linear]
    assert check_conversion(module, network, 4.0 * torch.randn(200, 16), STEPS).matches


@pytest.mark.parametrize("reset", ["subtract", "none", "zero"])
def test_synaptic_comes_in(reset: str, strong, sample):
    module = deep(
        strong,
        lambda: snntorch.Synaptic(
            alpha=0.7, beta=0.8, reset_mechanism=reset, reset_delay=reset != "zero", init_hidden=True
        ),
    )
    network = from_snntorch(module, sample, STEPS)
    assert kinds(network) == [nn.Linear, DLIF, nn.Linear, Synapse, LIF, nn.Linear]
    assert fires(network, sample)
    synapse = network.layers[3]
    assert isinstance(synapse, Synapse)
    assert (synapse.decay, synapse.delay) == (pytest.approx(0.7), 0)
    events = (torch.rand(16, STEPS, 16, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    timed = from_snntorch(module, events, STEPS, "none")
    assert kinds(timed) == [nn.Linear, Synapse, LIF, nn.Linear, Synapse, LIF, nn.Linear]


@pytest.mark.parametrize(
    ("neuron", "reason"),
    [
        (
            lambda: snntorch.Synaptic(0.7, 0.8, reset_delay=False, init_hidden=True),
            "fires at 2 of 8 steps, by one equation; expected all",
        ),
        (lambda: snntorch.Alpha(0.8, 0.5, init_hidden=True), "fires at 6 of 8 steps, by one equation"),
        (
            lambda: snntorch.Alpha(0.8, 0.5, reset_mechanism="subtract", init_hidden=True),
            "reads its potential of step",
        ),
    ],
)
def test_resets_that_reach_into_the_synapse_are_refused(neuron, reason: str, strong, sample):
    with pytest.raises(ConversionRefused, match=reason) as caught:
        from_snntorch(deep(strong, neuron), sample, STEPS)
    assert "\n" not in str(caught.value)


def test_alpha_currents_without_a_reset_pay_for_what_cancels(strong, sample):
    """Of the two currents the newest input cancels, but for what it rounds."""
    neuron = lambda: snntorch.Alpha(0.8, 0.5, reset_mechanism="none", threshold=0.3, init_hidden=True)  # noqa: E731
    network = from_snntorch(deep(strong, neuron), sample, STEPS)
    assert kinds(network) == [nn.Linear, DLIF, nn.Linear, Synapse, LIF, nn.Linear]
    assert network.source is not None
    assert network.source.boxes[0].stray > 0


@pytest.mark.parametrize("over_time", [False, True])
def test_norse_cells_behind_spikes_come_in(over_time: bool, strong, sample):
    cell = norse.LIF if over_time else norse.LIFCell
    layers = [strong(16, 12), cell(), strong(12, 8), cell(), strong(8, 3)]
    for layer in layers[::2]:
        layer.weight.data.mul_(4.0)  # pyright: ignore[reportOperatorIssue]
    module = norse.SequentialState(
        *(norse.Lift(layer) if over_time and isinstance(layer, nn.Linear) else layer for layer in layers)
    )
    network = from_norse(module, sample, STEPS)
    assert kinds(network) == [nn.Linear, DLIF, nn.Linear, Synapse, LIF, nn.Linear]
    assert fires(network, sample)


def test_a_synapse_filter_that_depends_on_spikes_is_a_sum_of_their_products(sample):
    module = nn.Sequential(sj.Linear(16, 4), sj_neurons.LIFNode(), sj.SynapseFilter(), sj.Linear(4, 3))
    network = from_spikingjelly(module, sample, 3)
    assert check_conversion(module, network, 9.0 * torch.randn(40, 16), 3).matches
    assert len(network.neurons) > 4


def full(value: float, size: int) -> np.ndarray:
    return np.full(size, value)


def graph_of(*middle: Any, size: int = 12) -> Any:
    """Return a graph with CubaLIF nodes, of λ = ½ and κ = 0.6, and what is given between them."""
    generator = np.random.default_rng(0)

    def cuba(count: int) -> Any:
        return nir.CubaLIF(
            tau_syn=full(1e-4 / 0.4, count),
            tau_mem=full(2e-4, count),
            r=full(2.0, count),
            v_leak=full(0.0, count),
            v_threshold=full(0.5, count),
            v_reset=full(0.0, count),
            w_in=full(2.5, count),
            metadata={"reset": "zero"},
        )

    def dense(rows: int, columns: int) -> Any:
        return nir.Linear(weight=generator.normal(size=(rows, columns)))

    nodes = nir.Input(np.array([6])), dense(size, 6), cuba(size), *middle, dense(5, size), cuba(5), dense(3, 5)
    return nir.NIRGraph.from_list(*nodes, nir.Output(np.array([3])), type_check=False)


def test_a_graph_of_cuba_nodes_comes_in_and_goes_out_again():
    sample = torch.rand(16, 6, generator=torch.Generator().manual_seed(0)).double()
    network = from_nir(graph_of(), sample, STEPS)
    assert kinds(network) == [nn.Linear, DLIF, nn.Linear, Synapse, LIF, nn.Linear]
    assert fires(network, sample)
    events = (torch.rand(16, STEPS, 6, generator=torch.Generator().manual_seed(0)) < 0.5).double()
    timed = from_nir(graph_of(), events, STEPS, encoding="none")
    again = from_nir(to_nir(timed, events), events, encoding="none")
    with torch.no_grad():
        ours, theirs = timed.trace(events).spikes, again.trace(events).spikes
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("steps", [1, 3])
def test_a_delay_comes_in_and_goes_out_again(steps: int):
    sample = torch.rand(16, 6, generator=torch.Generator().manual_seed(0)).double()
    graph = graph_of(nir.Delay(full(steps * 1e-4, 12)))
    network = from_nir(graph, sample, STEPS)
    assert kinds(network) == [nn.Linear, DLIF, Synapse, nn.Linear, Synapse, LIF, nn.Linear]
    delay = network.layers[2]
    assert isinstance(delay, Synapse)
    assert (delay.decay, delay.delay) == (0.0, steps)
    written = to_nir(SpikingNetwork(nn.Linear(2, 2), Synapse(0.0, steps), LIF(0.5), num_steps=4), torch.rand(1, 2))
    assert ("delay" in written.nodes) == (steps > 0)


def test_a_delayed_input_is_not_constant():
    """Of a constant input a delay makes one that begins later, for the synapse behind it."""
    graph = graph_of()
    graph.nodes["late"] = nir.Delay(full(2e-4, 12))
    first, cuba = graph.edges[1]
    graph.edges = [*(edge for edge in graph.edges if edge != (first, cuba)), (first, "late"), ("late", cuba)]
    network = from_nir(graph, torch.rand(16, 6, generator=torch.Generator().manual_seed(0)).double(), STEPS)
    assert kinds(network)[:2] == [nn.Linear, DLIF]
    first = network.layers[1]
    assert isinstance(first, DLIF)
    assert [bool(each > 0) for each in first.input_scale] == [False, False, *[True] * (STEPS - 2)]


def test_delays_that_are_no_steps_are_refused():
    sample = torch.rand(4, 6).double()
    for delay in (full(1.5e-4, 12), np.linspace(0, 1.1e-3, 12)):
        with pytest.raises(ConversionRefused, match="steps of dt, expected one whole number"):
            from_nir(graph_of(nir.Delay(delay)), sample, STEPS)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((nn.Linear(2, 2), Synapse(0.5), nn.Linear(2, 2), LIF(0.5)), "in front of no neuron"),
        ((nn.Linear(2, 2), Synapse(1.0), LIF(0.5)), "keeps all of its current"),
        ((nn.Linear(2, 2), Synapse(0.5), LIF(1.0)), "integrates without a leak behind a synapse"),
    ],
)
def test_synapses_that_nir_has_not_are_refused(layers: tuple[nn.Module, ...], reason: str):
    with pytest.raises(ConversionRefused, match=reason):
        to_nir(SpikingNetwork(*layers, num_steps=3), torch.rand(1, 2))


def test_what_comes_in_is_certified(strong, sample):
    module = deep(strong, lambda: snntorch.Synaptic(alpha=0.7, beta=0.8, init_hidden=True))
    network = from_snntorch(module, sample, STEPS)
    with torch.no_grad():
        labels = network(sample).argmax(1)
    verdicts = verify(network, sample, labels, LInf(1e-4), "trains")
    assert sum(verdict.status == "verified" for verdict in verdicts) > len(sample) / 2
