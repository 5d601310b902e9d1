"""Every primitive of the nir package's own list comes in or is refused; what goes out comes back."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, ConversionRefused, Share, SpikingNetwork, convert, from_nir, to_nir
from spikecert.models import Synapse
from spikecert.models.conversion.nir.nir_modules import executable
from support.element_rows import behind, pooled, sequences
from support.elements import array, cuba, full, graph, nir_conv, nir_ends, nir_head, nir_lif

nir: Any = import_module("nir")
STEPS, SMALL = 4, (1, 6, 6)
Nodes = Callable[[], list[Any]]
COMES_IN: dict[str, tuple[tuple[int, ...], Nodes]] = {
    "Affine": ((5,), lambda: behind(lambda: nir_lif(8))),
    "Linear": ((5,), lambda: [nir.Linear(array(8, 5, size=2)), nir_lif(8), nir.Linear(array(3, 8))]),
    "Conv1d": ((1, 8), sequences),
    "Conv2d": (SMALL, lambda: [nir_conv(4, 1, 3, 3), nir_lif(4, 4, 4), *nir_head(4, 4, 4)]),
    "AvgPool2d": (SMALL, lambda: pooled(nir.AvgPool2d)),
    "SumPool2d": (SMALL, lambda: pooled(nir.SumPool2d)),
    "Flatten": (SMALL, lambda: pooled(nir.AvgPool2d)),
    "Scale": ((5,), lambda: behind(lambda: nir_lif(8), lambda: nir.Scale(array(3)))),
    "Threshold": ((5,), lambda: behind(lambda: nir_lif(8), lambda: nir.Threshold(full(0.5, 3)))),
    "I": ((5,), lambda: behind(lambda: nir_lif(8), lambda: nir.I(r=full(1e4, 3)))),
    "IF": ((5,), lambda: behind(lambda: nir.IF(r=full(1e4, 8), **nir_ends(8)))),
    "LIF": ((5,), lambda: behind(lambda: nir_lif(8))),
    "LI": ((5,), lambda: behind(lambda: nir_lif(8), lambda: nir.LI(full(2e-4, 3), full(2, 3), full(0, 3)))),
    "CubaLIF": ((5,), lambda: behind(lambda: nir_lif(8), lambda: cuba(nir.CubaLIF, 3))),
    "CubaLI": ((5,), lambda: behind(lambda: nir_lif(8), lambda: cuba(nir.CubaLI, 3))),
    "Delay": ((5,), lambda: behind(lambda: nir_lif(8), lambda: nir.Delay(full(1e-4, 3)), lambda: nir_lif(3))),
    "Input": ((5,), lambda: behind(lambda: nir_lif(8))),
    "Output": ((5,), lambda: behind(lambda: nir_lif(8))),
}
BASES = ("NIRNode", "NIRGraph")
"""What the list holds besides primitives; a graph within a graph is refused below."""


def primitives() -> set[str]:
    """Return the node types that the package exports."""
    found = {name for name, kind in vars(nir).items() if inspect.isclass(kind) and issubclass(kind, nir.NIRNode)}
    return found - set(BASES)


def made(name: str) -> tuple[Any, torch.Tensor]:
    """Return a graph with the primitive, and a sample."""
    torch.manual_seed(0)
    shape, nodes = COMES_IN[name]
    return graph(nodes(), shape), torch.rand(6, *shape)


def test_the_list_is_the_packages_own():
    assert primitives() == set(COMES_IN)


@pytest.mark.parametrize("name", COMES_IN)
def test_a_primitive_comes_in_and_runs_alike(name: str):
    source, sample = made(name)
    assert name in {type(node).__name__ for node in source.nodes.values()}
    assert convert(source, sample, num_steps=STEPS).check.matches


def test_a_graph_within_a_graph_is_its_nodes():
    nodes = behind(lambda: graph([nir_lif(8)], (8,)))
    flat = behind(lambda: nir_lif(8))
    nodes[0], nodes[2] = flat[0], flat[2]
    sample = torch.rand(4, 5)
    made = [convert(graph(parts, (5,)), sample, num_steps=STEPS).network for parts in (nodes, flat)]
    assert torch.equal(made[0](sample), made[1](sample))


def test_the_step_of_a_threshold_is_strict():
    source = graph([nir.Affine(np.eye(3, dtype=np.float32), full(0, 3)), nir.Threshold(full(0.5, 3))], (3,))
    sample = torch.tensor([[0.25, 0.5, 0.75]])
    assert executable(source, 1e-4)(sample).tolist() == [[0.0, 0.0, 1.0]]
    network = from_nir(source, sample, num_steps=2)
    assert network(sample).tolist() == [[0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    "scale", [full(-0.5, 4, 4, 4), array(4, 1, 1) * full(1, 4, 4, 4)], ids=["one", "a channel"]
)
def test_factors_of_images(scale: np.ndarray):
    torch.manual_seed(0)
    nodes = [nir_conv(4, 1, 3, 3), nir_lif(4, 4, 4), nir.Scale(scale), *nir_head(4, 4, 4)]
    assert convert(graph(nodes, SMALL), torch.rand(4, *SMALL), num_steps=STEPS).check.matches


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (
            lambda: nir.Scale(array(4, 4, 4)),
            "has several factors or constants in a channel",
        ),
        (lambda: nir.Scale(full(float("nan"), 4, 4, 4)), "no finite real numbers"),
        (lambda: nir.Threshold(full(-1, 4, 4, 4)), "a signal is constant, and hears no input"),
    ],
)
def test_what_has_no_equal_is_refused(node: Callable[[], Any], reason: str):
    torch.manual_seed(0)
    nodes = [nir_conv(4, 1, 3, 3), nir_lif(4, 4, 4), node(), *nir_head(4, 4, 4)]
    with pytest.raises(ConversionRefused, match=reason):
        convert(graph(nodes, SMALL), torch.rand(4, *SMALL), num_steps=STEPS)


def test_an_integrator_between_layers_is_a_sum_of_delays():
    torch.manual_seed(0)
    nodes = [nir_conv(4, 1, 3, 3), nir_lif(4, 4, 4), nir.I(full(1, 4, 4, 4)), *nir_head(4, 4, 4)]
    found = convert(graph(nodes, SMALL), torch.rand(4, *SMALL), num_steps=STEPS)
    assert found.check.matches
    assert sum(isinstance(layer, Synapse) for layer in found.network.modules()) == STEPS - 1


def test_what_goes_out_comes_back():
    torch.manual_seed(0)
    first = [nn.Conv1d(1, 4, 3, 2, 1), LIF(0.9, 0.3, fires_at=">"), nn.Conv1d(4, 2, 2, bias=False), Share(0.5)]
    network = SpikingNetwork(*first, nn.Flatten(), nn.Linear(6, 3), num_steps=STEPS).eval()
    sample = torch.rand(8, 1, 8)
    written = to_nir(network, sample)
    kinds = {type(node).__name__ for node in written.nodes.values()}
    assert {"Conv1d", "Scale", "Flatten", "LIF", "Affine"} <= kinds
    again = from_nir(written, sample)
    assert torch.allclose(again(sample), network(sample), atol=1e-6)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in network.layers]
