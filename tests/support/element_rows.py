"""The rows of the table of elements: what comes in, and what is refused. One entry a row."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.encode import PoissonEncoderStep
from spikingjelly.activation_based import encoding, functional
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

from support.elements import (
    LIBRARIES,
    STEPS,
    Around,
    Currents,
    Loop,
    Neuron,
    Row,
    around,
    array,
    box,
    cell,
    chain,
    cuba,
    dense,
    full,
    graph,
    head,
    images,
    leaky,
    nir_conv,
    nir_ends,
    nir_head,
    nir_lif,
    node,
    nodes,
    only,
    paths,
)
from support.state_loops import MISTAKEN, STATE_ROWS, hidden

nir: Any = import_module("nir")
snntorch: Any = import_module("snntorch")
SMALL, PAIR = (1, 6, 6), (1, 8)


def over_time(neuron: Neuron) -> nn.Module:
    """Return a network with a threshold-dependent batch norm, which takes all steps at once."""
    norm = sj.ThresholdDependentBatchNorm2d(1.0, 1.0, 4)
    module = nn.Sequential(sj.Conv2d(1, 4, 3), norm, neuron(), sj.Flatten(), sj.Linear(64, 3))
    functional.set_step_mode(module, "m")
    return module


class Repeating(nn.Module):
    """Repeats its input over time for layers that take all steps at once."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.unsqueeze(0).repeat(STEPS, 1, 1)).mean(0)


def repeated(neuron: Neuron) -> nn.Module:
    """Return a network that repeats its input over time."""
    module = Repeating(nn.Sequential(sj.Linear(5, 8), neuron(), sj.Linear(8, 3)))
    functional.set_step_mode(module, "m")
    return module


def looping(told: Callable[[Tensor, Tensor], Any]) -> Callable[[Neuron], nn.Module]:
    """Return what makes a loop over time that returns what `told` makes of spikes and potentials."""
    return lambda neuron: Loop(snntorch.Leaky(beta=0.9), told)


def between(function: Callable[[Tensor], Tensor]) -> Callable[[Neuron], nn.Module]:
    """Return what makes two dense layers with a function of the spikes between them."""
    return lambda neuron: Around(neuron, nn.Linear(5, 8), nn.Linear(8, 3), None, function)


def pooled(kind: Any) -> list[Any]:
    """Return NIR nodes with a pool."""
    pool = kind(*map(np.array, ((2, 2), (2, 2), (0, 0))))
    return [nir_conv(4, 1, 3, 3), nir_lif(4, 4, 4), pool, *nir_head(4, 2, 2)]


def behind(node_of: Callable[[], Any], *more: Callable[[], Any]) -> list[Any]:
    """Return NIR nodes for vectors: a dense one, one of eight neurons, a dense one, and others."""
    return [
        nir.Affine(array(8, 5, size=2), full(0, 8)),
        node_of(),
        nir.Affine(array(3, 8), full(0, 3)),
        *(m() for m in more),
    ]


def sequences() -> list[Any]:
    """Return NIR nodes for sequences."""
    return [nir.Conv1d(8, array(4, 1, 3), 1, 0, 1, 1, full(0, 4)), nir_lif(4, 6), *nir_head(4, 6)]


def synaptic() -> nn.Module:
    """Return snnTorch's second-order neuron."""
    return snntorch.Synaptic(alpha=0.5, beta=0.9, init_hidden=True)


def recurrent(kind: str, **options: Any) -> Callable[[Neuron], list[nn.Module]]:
    """Return what makes a network of snnTorch's neurons that hear each other."""
    options |= {"beta": 0.9, "linear_features": 8, "init_hidden": True}
    return lambda neuron: [nn.Linear(5, 8), getattr(snntorch, kind)(**options), nn.Linear(8, 3)]


class Encoded(nn.Module):
    """One of Norse's encoders, a layer of neurons, and its recurrent cell behind that."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        fast = norse.LIFParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.3))
        self.encoder, self.cell = encoder(STEPS, fast), norse.LIFRecurrentCell(5, 8, fast)
        self.last = norse.LILinearCell(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        trains, state, integrated, out = self.encoder(x), None, None, []
        for spikes in trains:
            heard, state = self.cell(spikes, state)
            potential, integrated = self.last(heard, integrated)
            out.append(potential)
        return torch.stack(out)


def varied() -> Any:
    """Return NIR's neurons, no two alike."""
    tau = np.linspace(2e-4, 9e-4, 8, dtype=np.float32)
    levels = {**nir_ends(8), "v_threshold": np.linspace(0.5, 1.5, 8, dtype=np.float32)}
    return nir.LIF(tau=tau, r=tau / 1e-4, v_leak=full(0, 8), **levels)


def nodes_of_loop(name: str, own: Callable[[int], Any], size: int = 8) -> Row:
    """Return the row of a NIR graph in which a neuron hears itself through an affine node."""

    def make(neuron: Neuron) -> Any:
        parts = {"in": nir.Input(np.array([5])), "out": nir.Output(np.array([3]))}
        parts |= {"first": nir.Affine(array(size, 5, size=2), full(0, size)), "neuron": own(size)}
        parts |= {"loop": nir.Affine(array(size, size, size=0.3), full(0, size))}
        parts |= {"last": nir.Affine(array(3, size), full(0, 3))}
        edges = [("in", "first"), ("first", "neuron"), ("neuron", "loop"), ("loop", "neuron")]
        return nir.NIRGraph(parts, [*edges, ("neuron", "last"), ("last", "out")], type_check=False)

    return only("NIR", name, (5,), make)


ROWS: tuple[Row, ...] = (
    chain("Linear", (5,), dense, lambda: behind(lambda: nir_lif(8))),
    chain(
        "Linear without bias",
        (5,),
        lambda n: [nn.Linear(5, 8, False), n(), nn.Linear(8, 3, False)],
        lambda: [nir.Linear(array(8, 5, size=2)), nir_lif(8), nir.Linear(array(3, 8))],
    ),
    chain("Conv1d", PAIR, lambda n: images([nn.Conv1d(4, 2, 3, 2, 1)], n, PAIR), sequences),
    chain(
        "Conv2d",
        SMALL,
        lambda n: images([nn.Conv2d(4, 2, 3, 2, 1)], n),
        lambda: [nir_conv(4, 1, 3, 3), nir_lif(4, 4, 4), *nir_head(4, 4, 4)],
    ),
    chain(
        "Conv2d in groups, dilated, padded by reflection",
        SMALL,
        lambda n: images([nn.Conv2d(4, 4, 3, 1, 2, 2, 2, padding_mode="reflect")], n),
    ),
    chain("ConvTranspose1d", PAIR, lambda n: images([nn.ConvTranspose1d(4, 2, 3, 2, 1)], n, PAIR)),
    chain("ConvTranspose2d", SMALL, lambda n: images([nn.ConvTranspose2d(4, 2, 3, 2, 1)], n)),
    chain("AvgPool1d", PAIR, lambda n: images([nn.AvgPool1d(2)], n, PAIR)),
    chain("AvgPool2d", SMALL, lambda n: images([nn.AvgPool2d(2)], n), lambda: pooled(nir.AvgPool2d)),
    only("NIR", "SumPool2d", SMALL, lambda n: graph(pooled(nir.SumPool2d), SMALL)),
    chain("AdaptiveAvgPool2d to a divisor", SMALL, lambda n: images([nn.AdaptiveAvgPool2d(2)], n)),
    chain("AdaptiveAvgPool2d to any size", SMALL, lambda n: images([nn.AdaptiveAvgPool2d((3, 7))], n)),
    chain("AdaptiveAvgPool1d", PAIR, lambda n: images([nn.AdaptiveAvgPool1d(4)], n, PAIR)),
    chain("MaxPool1d of spikes", PAIR, lambda n: images([nn.MaxPool1d(2)], n, PAIR)),
    chain("MaxPool2d of spikes", SMALL, lambda n: images([nn.MaxPool2d(2)], n)),
    chain("MaxPool2d of currents", SMALL, lambda n: [nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), n(), *head(16)]),
    chain("BatchNorm1d", (5,), lambda n: [nn.Linear(5, 8), nn.BatchNorm1d(8), n(), nn.Linear(8, 3)]),
    chain("BatchNorm2d", SMALL, lambda n: [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), n(), *head(64)]),
    only("SpikingJelly", "threshold-dependent batch norm", SMALL, over_time),
    chain("Dropout (evaluation)", (5,), lambda n: [nn.Linear(5, 8), n(), nn.Dropout(0.5), nn.Linear(8, 3)]),
    chain("ZeroPad1d", PAIR, lambda n: images([nn.ZeroPad1d((1, 2))], n, PAIR)),
    chain("ZeroPad2d", SMALL, lambda n: images([nn.ZeroPad2d((1, 0, 2, 0))], n)),
    chain("ConstantPad2d of 0", SMALL, lambda n: images([nn.ConstantPad2d(1, 0.0)], n)),
    chain("Upsample (nearest)", SMALL, lambda n: images([nn.Upsample(scale_factor=2)], n)),
    chain("PixelShuffle", SMALL, lambda n: images([nn.PixelShuffle(2)], n)),
    chain(
        "Unflatten",
        (5,),
        lambda n: [nn.Linear(5, 16), n(), nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 2), *head(18)],
    ),
    around(
        "view, reshape, flatten in code",
        (5,),
        lambda n: Around(
            n, nn.Linear(5, 16), nn.Sequential(nn.Conv2d(1, 2, 2), *head(18)), None, lambda x: x.view(-1, 1, 4, 4)
        ),
    ),
    around(
        "(x − mean)/std in code",
        SMALL,
        lambda n: Around(n, nn.Conv2d(1, 4, 3), nn.Sequential(*head(64)), lambda x: (x - 0.5) / 0.25),
    ),
    around("a factor in code", (5,), between(lambda x: -0.5 * x)),
    paths("skip connection, SEW ADD", torch.add),
    paths("difference of two paths", torch.sub),
    paths("SEW AND", torch.mul),
    paths("SEW IAND", lambda one, other: one * (1.0 - other)),
    around("sums of currents (MS-ResNet)", (5,), Currents),
    leaky("Leaky, delayed subtraction"),
    leaky("Leaky, reset to zero", reset_mechanism="zero"),
    leaky("Leaky without reset", reset_mechanism="none"),
    leaky("Leaky, reset to zero without delay", reset_mechanism="zero", reset_delay=False),
    node("IFNode", sj_neurons.IFNode),
    node("IFNode, soft reset", lambda: sj_neurons.IFNode(v_reset=None)),
    node("LIFNode", lambda: sj_neurons.LIFNode(tau=2.0)),
    node(
        "LIFNode, decay_input=False, v_reset ≠ 0",
        lambda: sj_neurons.LIFNode(tau=1.5, decay_input=False, v_reset=-0.25),
    ),
    node("ParametricLIFNode", lambda: sj_neurons.ParametricLIFNode(2.0)),
    cell("LIFBoxCell", box),
    cell("LIFBoxCell, soft reset", lambda: box(reset_method=reset_subtract)),
    cell("IAFCell", norse.IAFCell),
    cell("LIFCell first", norse.LIFCell),
    cell("LIBoxCell last", box, norse.LIBoxCell),
    cell("LICell last", box, norse.LICell),
    nodes("IF", lambda: behind(lambda: nir.IF(r=full(1e4, 8), **nir_ends(8)))),
    nodes("CubaLIF first", lambda: behind(lambda: cuba(nir.CubaLIF, 8))),
    nodes(
        "LI last",
        lambda: behind(lambda: nir_lif(8), lambda: nir.LI(tau=full(2e-4, 3), r=full(2, 3), v_leak=full(0, 3))),
    ),
    nodes("CubaLI last", lambda: behind(lambda: nir_lif(8), lambda: cuba(nir.CubaLI, 3))),
    only("snnTorch", "snnTorch Synaptic, delayed subtraction", (5,), lambda n: dense(synaptic, last=True)),
    cell("LIFCell behind spikes", norse.LIFCell, norse.LIFCell),
    nodes("Scale", lambda: behind(lambda: nir_lif(8), lambda: nir.Scale(array(3)))),
    nodes("Threshold", lambda: behind(lambda: nir_lif(8), lambda: nir.Threshold(full(0.5, 3)))),
    nodes("I last", lambda: behind(lambda: nir_lif(8), lambda: nir.I(r=full(1e4, 3)))),
    nodes("CubaLIF behind spikes", lambda: behind(lambda: nir_lif(8), lambda: cuba(nir.CubaLIF, 3))),
    nodes("Delay", lambda: behind(lambda: nir_lif(8), lambda: nir.Delay(full(1e-4, 3)), lambda: nir_lif(3))),
    only("SpikingJelly", "constant current, repeated in code", (5,), repeated, num_steps=None),
    leaky("Leaky, one β and θ a neuron", beta=torch.linspace(0.5, 0.9, 8), threshold=torch.linspace(0.5, 1.5, 8)),
    only("snnTorch", "Lapicque, delayed subtraction", (5,), lambda n: dense(hidden)),
    only("snnTorch", "RLeaky", (5,), recurrent("RLeaky")),
    only("snnTorch", "RSynaptic", (5,), recurrent("RSynaptic", alpha=0.5)),
    *STATE_ROWS,
    only(
        "SpikingJelly",
        "LinearRecurrentContainer",
        (5,),
        lambda n: [nn.Linear(5, 8), sj.LinearRecurrentContainer(n(), 8, 8), nn.Linear(8, 3)],
    ),
    cell("LIFRecurrentCell", lambda: norse.LIFRecurrentCell(8, 8)),
    cell("LIFRefracCell", lambda: norse.LIFRefracCell(norse.LIFRefracParameters(rho_reset=torch.tensor(2.0)))),
    cell(
        "LIFRefracRecurrentCell",
        lambda: norse.LIFRefracRecurrentCell(8, 8, norse.LIFRefracParameters(rho_reset=torch.tensor(2.0))),
    ),
    cell("LILinearCell last", box, lambda: norse.LILinearCell(3, 3)),
    only(
        "Norse",
        "ConstantCurrentLIFEncoder",
        (5,),
        lambda n: Encoded(norse.ConstantCurrentLIFEncoder),
        num_steps=None,
    ),
    only("Norse", "SpikeLatencyLIFEncoder", (5,), lambda n: Encoded(norse.SpikeLatencyLIFEncoder), num_steps=None),
    nodes_of_loop("a neuron that hears itself", nir_lif),
    nodes_of_loop("CubaLIF that hears itself", lambda size: cuba(nir.CubaLIF, size)),
    chain("spike counts", (5,), lambda n: dense(n, last=True)),
    only("SpikingJelly", "VotingLayer", (5,), lambda n: [nn.Linear(5, 9), n(), sj.VotingLayer(3)]),
    Row("population code", (5,), dict.fromkeys(LIBRARIES[:3], lambda n: [nn.Linear(5, 9), n()]), {"classes": 3}),
    only(
        "snnTorch",
        "loop over time in code, states by hand",
        (5,),
        looping(lambda spikes, potentials: (spikes, potentials)),
        num_steps=None,
    ),
    only(
        "snnTorch",
        "a dictionary of outputs",
        (5,),
        looping(lambda spikes, potentials: {"spikes": spikes, "potentials": potentials}),
        num_steps=None,
        output="spikes",
    ),
    Row(
        "PoissonEncoder first",
        (5,),
        {
            "SpikingJelly": lambda n: [encoding.PoissonEncoder(), *dense(n)],
            "Norse": lambda n: [PoissonEncoderStep(), *dense(n)],
        },
    ),
)
"""What comes in."""
REFUSALS: tuple[Row, ...] = (
    MISTAKEN,
    leaky("Leaky, subtraction without delay", reset_delay=False),
    leaky("Leaky, inhibition", inhibition=True),
    only(
        "snnTorch",
        "Alpha",
        (5,),
        lambda n: dense(lambda: snntorch.Alpha(0.9, 0.8, reset_mechanism="none", init_hidden=True), last=True),
    ),
    only("snnTorch", "SLSTM", (5,), lambda n: [snntorch.SLSTM(5, 3, init_hidden=True)]),
    node("QIFNode", sj_neurons.QIFNode),
    node("EIFNode", sj_neurons.EIFNode),
    node("IzhikevichNode", sj_neurons.IzhikevichNode),
    chain("ReLU", (5,), lambda n: [nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), n(), nn.Linear(8, 3)]),
    chain("LayerNorm", (5,), lambda n: [nn.Linear(5, 8), nn.LayerNorm(8), n(), nn.Linear(8, 3)]),
    chain("GroupNorm", SMALL, lambda n: [nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), n(), *head(64)]),
    chain("Upsample (bilinear)", SMALL, lambda n: images([nn.Upsample(scale_factor=2, mode="bilinear")], n)),
    chain("ConstantPad2d of ½", SMALL, lambda n: images([nn.ConstantPad2d(1, 0.5)], n)),
    chain("FractionalMaxPool2d", SMALL, lambda n: images([nn.FractionalMaxPool2d(2, 2)], n)),
    around("random numbers in code", (5,), between(lambda x: x + 0.0 * torch.rand_like(x))),
    only(
        "SpikingJelly",
        "PoissonEncoder behind a layer",
        (5,),
        lambda n: [nn.Linear(5, 5), encoding.PoissonEncoder(), *dense(n)],
    ),
    only("SpikingJelly", "LatencyEncoder inside", (5,), lambda n: [encoding.LatencyEncoder(STEPS), *dense(n)]),
    around("a branch on values", (5,), between(lambda x: x if x.sum() > -1 else -x)),
)
"""What does not, and says why."""
