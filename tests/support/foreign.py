"""Random networks of other libraries, by seed: what conversions are tried on, some of which must be refused."""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_subtract
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

nir: Any = import_module("nir")  # whose annotations say less than it takes
snntorch: Any = import_module("snntorch")


@dataclass(frozen=True)
class Foreign:
    """A source with a sample.

    Attributes:
        refusal: what its refusal must say, None for one that must convert.
    """

    source: Any
    sample: Tensor
    num_steps: int | None
    encoding: str
    refusal: str | None = None


class Looping(nn.Module):
    """The usual snnTorch module: it loops over time, passes states by hand, and returns spikes and potentials."""

    def __init__(self, layers: list[nn.Module], neurons: list[nn.Module], steps: int) -> None:
        super().__init__()
        self.layers, self.neurons, self.steps = nn.ModuleList(layers), nn.ModuleList(neurons), steps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        states = [_states(neuron.reset_mem()) for neuron in self.neurons]  # type: ignore[operator]
        spikes, potentials = [], []
        for _ in range(self.steps):
            signal = x
            for k, (layer, neuron) in enumerate(zip(self.layers, self.neurons, strict=True)):
                signal, *states[k] = neuron(layer(signal), *states[k])
            spikes.append(signal)
            potentials.append(states[-1][-1])
        return torch.stack(spikes), torch.stack(potentials)


def _states(first: Any) -> list[Tensor]:
    """Return the states of a neuron: one, or several."""
    return [*first] if isinstance(first, tuple) else [first]


def dense(draw: random.Random) -> list[nn.Linear]:
    """Return two or three layers whose neurons both fire and stay silent."""
    sizes = [draw.randint(4, 20) for _ in range(draw.randint(2, 3))] + [draw.randint(2, 6)]
    layers = [nn.Linear(m, n, bias=draw.random() < 0.8) for m, n in itertools.pairwise(sizes)]
    for layer in layers:
        layer.weight.data.mul_(draw.uniform(2.0, 5.0))
    return layers


def convolutional(draw: random.Random, first: Callable[[], nn.Module]) -> list[nn.Module]:
    """Return convolution, perhaps batch norm, a neuron, pooling and a dense layer, for 1 × 6 × 6 images.

    A max pool stands behind the neuron or, as often in snnTorch's networks, in front of it.
    """
    channels = draw.randint(2, 4)
    conv = nn.Conv2d(1, channels, 3, padding=draw.choice([0, 1]))
    conv.weight.data.mul_(draw.uniform(2.0, 5.0))
    size = channels * (4 + 2 * conv.padding[0]) ** 2 // 4  # type: ignore[operator]
    norm = nn.BatchNorm2d(channels)
    assert norm.running_var is not None
    norm.running_var.uniform_(0.3, 1.0)
    between = [norm] if draw.random() < 0.5 else []
    orders = [first(), nn.AvgPool2d(2)], [first(), nn.MaxPool2d(2)], [nn.MaxPool2d(2), first()]
    return [conv, *between, *draw.choice(orders), nn.Flatten(), nn.Linear(size, 3)]


def inputs(draw: random.Random, shape: tuple[int, ...], steps: int, encoding: str) -> Tensor:
    """Return four inputs, events over time with encoding "none"."""
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    if encoding == "none":
        return (torch.rand(4, steps, *shape, generator=generator) < 0.5).float()
    return torch.rand(4, *shape, generator=generator)


def _start(seed: int) -> tuple[random.Random, int, str]:
    torch.manual_seed(seed)
    draw = random.Random(seed)
    return draw, draw.randint(2, 12), draw.choice(["direct", "direct", "none"])


def from_snntorch(seed: int) -> Foreign:
    """Return a network of `Leaky` or `Synaptic`; one in eight has something that no conversion takes."""
    draw, steps, encoding = _start(seed)
    options: dict[str, Any] = {
        "beta": draw.choice([0.5, 0.9, draw.uniform(0.3, 1.0)]),
        "threshold": draw.choice([1.0, draw.uniform(0.5, 1.5)]),
        "reset_mechanism": draw.choice(["subtract", "subtract", "zero", "none"]),
        "reset_delay": draw.random() < 0.75,
    }
    refusal, kind = None, draw.choice(["Leaky", "Leaky", "Synaptic", "Synaptic"])
    odd = draw.randrange(8)
    if odd == 0 and kind == "Leaky":
        refusal, options = draw.choice(
            [
                ("has inhibition", {**options, "inhibition": True}),
                ("graded spikes", {**options, "graded_spikes_factor": 0.5}),
                ("beta 0 and a delayed reset", {"beta": 0.0, "reset_mechanism": "subtract"}),
                ("state_quant", {**options, "state_quant": lambda value: value}),
            ]
        )
    if kind != "Leaky":
        refusal = _second_order(draw, options)
    if refusal is None and options["reset_mechanism"] == "subtract" and not options.get("reset_delay", True):
        refusal = "passes 2θ"
    make = getattr(snntorch, kind)
    if draw.random() < 0.4 and encoding == "direct":
        layers = dense(draw)
        neurons: list[nn.Module] = [make(**options) for _ in layers]
        sample = inputs(draw, (layers[0].in_features,), steps, encoding)
        return Foreign(Looping([*layers], neurons, steps), sample, None, encoding, refusal)

    def neuron() -> nn.Module:
        return make(**options, init_hidden=True)

    modules, shape = _sequence(draw, neuron)
    return Foreign(nn.Sequential(*modules), inputs(draw, shape, steps, encoding), steps, encoding, refusal)


def _second_order(draw: random.Random, options: dict[str, Any]) -> str | None:
    """Change options to those of a neuron with a synapse; return what its refusal must say, None for none."""
    options["alpha"] = draw.choice([0.9, draw.uniform(0.2, 1.0)])
    late = options["reset_mechanism"] == "zero" and options["reset_delay"]
    return "resets to zero one step late" if late else None


def _sequence(draw: random.Random, neuron: Callable[[], nn.Module]) -> tuple[list[nn.Module], tuple[int, ...]]:
    if draw.random() < 0.4:
        return convolutional(draw, neuron), (1, 6, 6)
    layers = dense(draw)
    modules = [part for layer in layers for part in (layer, neuron())]
    return modules[: len(modules) - draw.randint(0, 1)], (layers[0].in_features,)


def from_spikingjelly(seed: int) -> Foreign:
    """Return a network of IF, LIF or parametric LIF nodes, in either step mode."""
    draw, steps, encoding = _start(seed)
    mode, kind = draw.choice("sm"), draw.choice(["IFNode", "LIFNode", "LIFNode", "ParametricLIFNode"])
    options: dict[str, Any] = {
        "v_threshold": draw.choice([1.0, draw.uniform(0.5, 1.5)]),
        "v_reset": draw.choice([0.0, 0.0, None, draw.uniform(-0.4, 0.3)]),
    }
    if kind != "IFNode":
        options["decay_input"] = draw.random() < 0.5
        options["tau" if kind == "LIFNode" else "init_tau"] = draw.choice([2.0, draw.uniform(1.2, 8.0)])

    def node() -> nn.Module:
        return getattr(sj_neurons, kind)(**options, step_mode=mode)

    modules, shape = _sequence(draw, node)
    modules = [_stepped(module, mode) for module in modules]
    refusal = None
    if draw.randrange(8) == 0:
        refusal, extra = draw.choice(
            [
                ("dynamics of its own", sj_neurons.QIFNode(step_mode=mode)),
                ("is no linear filter", sj.SynapseFilter(step_mode=mode)),
            ]
        )
        modules.append(extra)
    return Foreign(nn.Sequential(*modules), inputs(draw, shape, steps, encoding), steps, encoding, refusal)


def _stepped(module: nn.Module, mode: str) -> nn.Module:
    """Return torch's layer as SpikingJelly's, with the same weights."""
    if isinstance(module, nn.Linear):
        made: nn.Module = sj.Linear(
            module.in_features, module.out_features, module.bias is not None, step_mode=mode
        )
    elif isinstance(module, nn.Conv2d):
        made = sj.Conv2d(
            module.in_channels,
            module.out_channels,
            3,
            padding=module.padding,  # type: ignore[arg-type]
            step_mode=mode,  # type: ignore[arg-type]
        )
    elif isinstance(module, nn.BatchNorm2d):
        made = sj.BatchNorm2d(module.num_features, step_mode=mode)
    elif isinstance(module, nn.AvgPool2d):
        return sj.AvgPool2d(2, step_mode=mode)
    elif isinstance(module, nn.MaxPool2d):
        return sj.MaxPool2d(2, step_mode=mode)
    elif isinstance(module, nn.Flatten):
        return sj.Flatten(step_mode=mode)
    else:
        return module
    made.load_state_dict(module.state_dict())
    return made


MOST_AT_ONCE = 875.0
"""1/τ of a cell that keeps an eighth in a step of 1 ms."""


def from_norse(seed: int) -> Foreign:
    """Return a network of box, integrate-and-fire or second-order cells, perhaps read by LI."""
    draw, steps, encoding = _start(seed)
    rest, number = draw.choice([0.0, 0.0, draw.uniform(-0.3, 0.3)]), torch.as_tensor
    share = number(draw.choice([100.0, draw.uniform(50.0, 600.0)]))
    threshold = number(draw.choice([1.0, draw.uniform(0.5, 1.5)]))
    soft = {"reset_method": reset_subtract} if draw.random() < 0.3 else {}
    box = norse.LIFBoxParameters(share, number(rest), threshold, number(rest), **soft)  # type: ignore[arg-type]
    second = norse.LIFParameters(number(draw.uniform(100.0, 1000.0)), share, number(rest), threshold, number(rest))
    elsewhere = draw.randrange(8) == 0
    if elsewhere:
        box = norse.LIFBoxParameters(share, number(0.25), threshold, number(0.0))
        second = second._replace(v_leak=number(0.25), v_reset=number(0.0))
    kind = draw.choice(["box", "box", "integrate", "second"])
    if elsewhere and kind == "integrate":
        kind = "box"
    refusal = "has both a synapse and a leak" if elsewhere and kind == "second" else None
    if kind == "second" and float(second.tau_syn_inv) > MOST_AT_ONCE:
        refusal = "goes almost all the way to its current, which rounds more than a step pays"

    def cell() -> nn.Module:
        if kind == "second":
            return norse.LIFCell(second)
        return norse.IAFCell() if kind == "integrate" else norse.LIFBoxCell(box)

    modules, shape = _sequence(draw, cell)
    _strengthen(modules, 1.0 if kind == "integrate" else 1.0 / float(share * 1e-3))
    if isinstance(modules[-1], nn.Linear):
        modules += draw.choice([[], [norse.LIBoxCell()], [norse.LICell()]])
    return Foreign(norse.SequentialState(*modules), inputs(draw, shape, steps, encoding), steps, encoding, refusal)


def _strengthen(modules: list[nn.Module], factor: float) -> None:
    """Make up for the share of its input that a leaky cell takes."""
    for module in modules:
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.weight.data.mul_(factor * 0.5)


def from_nir(seed: int) -> Foreign:
    """Return a NIR graph of LIF, IF or CubaLIF nodes, dense or convolutional, perhaps with delays behind them."""
    draw, steps, encoding = _start(seed)
    kind = draw.choice(["LIF", "LIF", "IF", "CubaLIF"])
    share, rest = draw.uniform(0.1, 0.9), draw.choice([0.0, draw.uniform(-0.3, 0.3)])
    taken = draw.choice([1.0, draw.uniform(0.2, 0.9)])
    elsewhere = draw.randrange(8) == 0
    level = rest + 0.25 * elsewhere
    refusal = "has both a synapse and a leak" if elsewhere and kind == "CubaLIF" and taken < 1 else None

    def full(value: float, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, value, dtype=np.float32)

    def node(shape: tuple[int, ...]) -> Any:
        returns = 0.25 * elsewhere if kind == "IF" else level
        told = {"reset": "subtract" if returns == 0.0 and seed % 2 else "zero"}
        ends: dict[str, Any] = {"v_threshold": full(1.0, shape), "v_reset": full(returns, shape), "metadata": told}
        if kind == "IF":
            return nir.IF(r=full(1e4, shape), **ends)
        leak = full(rest, shape)
        if kind == "LIF":
            return nir.LIF(tau=full(1e-4 / share, shape), r=full(1 / share, shape), v_leak=leak, **ends)
        taus = {"tau_syn": full(1e-4 / taken, shape), "tau_mem": full(1e-4 / share, shape)}
        return nir.CubaLIF(**taus, r=full(1 / share, shape), v_leak=leak, **ends)

    nodes, shape = _nodes(draw, node)
    graph = nir.NIRGraph.from_list(*nodes, type_check=False)
    return Foreign(graph, inputs(draw, shape, steps, encoding), steps, encoding, refusal)


def _nodes(draw: random.Random, node: Callable[[tuple[int, ...]], Any]) -> tuple[list[Any], tuple[int, ...]]:
    if draw.random() < 0.4:
        conv, *_, last = convolutional(draw, nn.Identity)
        assert isinstance(conv, nn.Conv2d)
        side = 4 + 2 * conv.padding[0]  # type: ignore[operator]
        shape = (conv.out_channels, side, side)
        pool = draw.choice([nir.AvgPool2d, nir.SumPool2d])(*(np.array(pair) for pair in ((2, 2), (2, 2), (0, 0))))
        bias = np.zeros(shape[0], dtype=np.float32)
        first = nir.Conv2d((6, 6), array(conv.weight), 1, conv.padding[0], 1, 1, bias)  # type: ignore[arg-type]
        flat = nir.Flatten({"input": np.array((shape[0], side // 2, side // 2))}, 0, -1)
        ends = nir.Input(np.array((1, 6, 6))), nir.Output(np.array([3]))
        return [ends[0], first, node(shape), pool, flat, affine(last), ends[1]], (1, 6, 6)
    layers = dense(draw)
    nodes = [part for layer in layers for part in (affine(layer), node((layer.out_features,)))]
    nodes = nodes[: len(nodes) - draw.randint(0, 1)]
    if draw.random() < 0.3:
        nodes.insert(2, nir.Delay(np.full(layers[0].out_features, draw.randint(0, 3) * 1e-4)))
    return nodes, (layers[0].in_features,)


def affine(layer: Any) -> Any:
    """Return a dense layer as a node."""
    if layer.bias is None:
        return nir.Linear(weight=array(layer.weight))
    return nir.Affine(weight=array(layer.weight), bias=array(layer.bias))


def array(tensor: Tensor) -> np.ndarray:
    """Return a parameter as an array."""
    return tensor.detach().numpy()


FOREIGN: dict[str, Callable[[int], Foreign]] = {
    "snntorch": from_snntorch,
    "spikingjelly": from_spikingjelly,
    "norse": from_norse,
    "nir": from_nir,
}
