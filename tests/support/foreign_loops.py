"""Random networks of other libraries whose neurons hear themselves, by seed; some of them must be refused."""

import operator
import random
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import layer as sj
from spikingjelly.activation_based import neuron as sj_neurons
from torch import Tensor, nn

from support.foreign import Foreign, affine, array, inputs

nir: Any = import_module("nir")  # whose annotations say less than it takes
norse: Any = import_module("norse.torch")
snntorch: Any = import_module("snntorch")


class Heard(nn.Module):
    """The usual snnTorch module with a loop of its own: fc(x) + rec(spk), spk of the step before.

    Args:
        layers: first, feedback, last.
        neuron: in the middle.
        steps: T.
        order: "last": spikes of the step before; "older": of two before; "minus": subtracted; "after": added at
            the next step, without a bias at the first; "first": always those of the first step; "stale": what
            the first step heard, at all.
    """

    def __init__(self, layers: list[nn.Module], neuron: nn.Module, steps: int, order: str = "last") -> None:
        super().__init__()
        self.first, self.feedback, self.last = layers
        self.neuron, self.steps, self.order = neuron, steps, order

    def forward(self, x: Tensor) -> Tensor:
        state: Tensor = self.neuron.reset_mem()  # type: ignore[operator]
        spikes = older = frozen = x.new_zeros(len(x), self.last.in_features)  # type: ignore[arg-type]
        heard, stale, made = 0.0, None, []
        for _ in range(self.steps):
            if self.order == "after":
                current = self.first(x) + heard
            elif self.order == "minus":
                current = self.first(x) - self.feedback(spikes)
            else:
                echo = self.feedback({"older": older, "first": frozen}.get(self.order, spikes))
                stale = echo if self.order != "stale" or stale is None else stale
                current = self.first(x) + stale
            older = spikes
            spikes, state = self.neuron(current, state)
            frozen = spikes if not made else frozen
            heard = self.feedback(spikes) if self.order == "after" else heard
            made.append(self.last(spikes))
        return torch.stack(made)


def _start(seed: int) -> tuple[random.Random, int, int, str]:
    torch.manual_seed(seed)
    draw = random.Random(seed)
    return draw, draw.randint(2, 10), draw.randint(4, 16), draw.choice(["direct", "direct", "none"])


def _dense(draw: random.Random, size: int, count: int) -> nn.Linear:
    layer = nn.Linear(size, count, bias=draw.random() < 0.8)
    layer.weight.data.mul_(draw.uniform(2.0, 5.0))
    return layer


def from_snntorch(seed: int) -> Foreign:
    """Return RLeaky or RSynaptic, dense, by convolution or one to one, or a loop written out around Leaky."""
    draw, steps, width, encoding = _start(seed)
    options: dict[str, Any] = {
        "beta": draw.choice([0.5, 0.9, draw.uniform(0.3, 1.0)]),
        "threshold": draw.choice([1.0, draw.uniform(0.5, 1.5)]),
        "reset_mechanism": draw.choice(["subtract", "subtract", "zero", "none"]),
    }
    delayed = options["reset_mechanism"] != "zero" or draw.random() < 0.3
    kind = draw.choice(["dense", "dense", "number", "vector", "image", "loop"])
    last = _dense(draw, width, 3)
    if kind == "loop":
        order = draw.choice(["last", "last", "last", "older", "minus", "after"])
        layers: list[nn.Module] = [_dense(draw, 6, width), _dense(draw, width, width), last]
        module: nn.Module = Heard(layers, snntorch.Leaky(**options), steps, order)
        return Foreign(module, inputs(draw, (6,), steps, "direct"), None, "direct", _refusal(order, steps))
    refusal = "loses its input with its potential" if options["reset_mechanism"] == "zero" and delayed else None
    options |= {"reset_delay": delayed, "init_hidden": True}
    made = snntorch.RLeaky
    if draw.random() < 0.4:
        made = snntorch.RSynaptic
        refusal = "takes away the current" if options["reset_mechanism"] == "zero" else None
        options |= {"alpha": draw.choice([0.5, 0.9, draw.uniform(0.1, 1.0)]), "reset_delay": True}
    if kind == "image":
        loud = made(**options, conv2d_channels=2, kernel_size=3)
        modules = [nn.Conv2d(1, 2, 3, padding=1), loud, nn.Flatten(), nn.Linear(2 * 16, 3)]
        modules[0].weight.data.mul_(4.0)  # type: ignore[union-attr, operator]
        return Foreign(nn.Sequential(*modules), inputs(draw, (1, 4, 4), steps, encoding), steps, encoding, refusal)
    weights = {"number": 0.7, "vector": torch.rand(width)}
    own = {"linear_features": width} if kind == "dense" else {"all_to_all": False, "V": weights[kind]}
    neuron = made(**options, **own)
    for parameter in neuron.recurrent.parameters():
        parameter.data.mul_(draw.uniform(1.0, 4.0))
    module = nn.Sequential(_dense(draw, 6, width), neuron, last)
    return Foreign(module, inputs(draw, (6,), steps, encoding), steps, encoding, refusal)


def _refusal(order: str, steps: int) -> str | None:
    """Return what must be said of a loop of another order."""
    return None if order == "last" else "not given|does not reach|cross"


def from_spikingjelly(seed: int) -> Foreign:
    """Return a recurrent container around a node, in either step mode."""
    draw, steps, width, encoding = _start(seed)
    mode, kind = draw.choice("sm"), draw.choice(["IFNode", "LIFNode", "ParametricLIFNode"])
    node = getattr(sj_neurons, kind)(v_reset=draw.choice([0.0, None]))
    refusal = None
    if draw.random() < 0.5:
        loud: nn.Module = sj.LinearRecurrentContainer(node, width, width, draw.random() < 0.7, step_mode=mode)
        loud.rc.weight.data.mul_(draw.uniform(2.0, 5.0))  # type: ignore[union-attr, operator]
    else:
        sums = [operator.add, torch.add, lambda one, other: other + one]
        function: Callable = draw.choice(sums)
        if draw.random() < 0.25:
            function, refusal = draw.choice([torch.mul, torch.maximum, lambda y, x: x + 2 * y]), "is no sum of its"
            refusal = "nothing in it fires" if function is torch.mul else refusal  # with silence at first
        loud = sj.ElementWiseRecurrentContainer(node, function, step_mode=mode)
    ends = [_dense(draw, 6, width), _dense(draw, width, 3)]
    stepped = [sj.Linear(end.in_features, end.out_features, end.bias is not None, step_mode=mode) for end in ends]
    for made, end in zip(stepped, ends, strict=True):
        made.load_state_dict(end.state_dict())
    module = nn.Sequential(stepped[0], loud, stepped[1])
    return Foreign(module, inputs(draw, (6,), steps, encoding), steps, encoding, refusal)


def from_nir(seed: int) -> Foreign:
    """Return a graph with a loop, in a graph of its own or not; one in five goes through two nodes."""
    draw, steps, width, encoding = _start(seed)
    full: Callable[[float], np.ndarray] = lambda value: np.full(width, value)  # noqa: E731
    share = draw.choice([1.0, draw.uniform(0.05, 0.6)])
    tau, level = 1e-4 / share, draw.uniform(0.3, 1.2)
    told: Any = {"metadata": {"reset": "subtract" if seed % 2 else "zero"}}
    lif = nir.LIF(full(tau), full(draw.uniform(0.5, 2.0) / share), full(0.0), full(level), full(0.0), **told)
    slow = {"tau_syn": full(1e-4 / draw.uniform(0.1, 0.9)), "w_in": full(draw.uniform(0.5, 2.0))}
    resets = {"v_leak": full(0.0), "v_threshold": full(level), "v_reset": full(0.0), **told}
    cuba = nir.CubaLIF(tau_mem=full(tau), r=full(1.0 / share), **slow, **resets)
    node = draw.choice([lif, nir.IF(full(1e4), full(level), full(0.0), **told), cuba])
    first, back, last = _dense(draw, 6, width), _dense(draw, width, width), _dense(draw, width, 3)
    loop = [("lif", "back"), ("back", "lif")]
    parts = {"lif": node, "back": affine(back)}
    ends = {"input": nir.Input(np.array([6])), "output": nir.Output(np.array([3]))}
    layers = {"first": affine(first), "last": affine(last)}
    outer = [("input", "first"), ("first", "lif"), ("lif", "last"), ("last", "output")]
    refusal = None
    if draw.random() < 0.2:
        parts["more"] = nir.Linear(weight=array(back.weight))
        loop, refusal = [("lif", "back"), ("back", "more"), ("more", "lif")], "is recurrent"
    elif draw.random() < 0.5:
        inside = {"in": nir.Input(np.array([width])), **parts, "out": nir.Output(np.array([width]))}
        edges = [("in", "lif"), *loop, ("lif", "out")]
        parts, loop = {"lif": nir.NIRGraph(inside, edges, type_check=False)}, []
    graph = nir.NIRGraph({**ends, **layers, **parts}, [*outer, *loop], type_check=False)
    return Foreign(graph, inputs(draw, (6,), steps, encoding), steps, encoding, refusal)


class Steps(nn.Module):
    """Norse's usual module: a recurrent cell and a readout, with states by hand.

    Args:
        cell: the first layer; it is given its state, or with `forgets` none at every other step.
        last: the readout, an integrator with a matrix of its own, or a plain layer.
        encoder: what makes all steps of an input; None: each step is the input.
        steps: T.
        forgets: whether states are dropped.
    """

    def __init__(
        self, cell: nn.Module, last: nn.Module, encoder: nn.Module | None, steps: int, forgets: bool = False
    ) -> None:
        super().__init__()
        self.cell, self.last, self.encoder, self.steps, self.forgets = cell, last, encoder, steps, forgets

    def forward(self, x: Tensor) -> Tensor:
        trains = None if self.encoder is None else self.encoder(x)
        state, integrated, made = None, None, []
        for t in range(self.steps):
            spikes, state = self.cell(x if trains is None else trains[t], state)
            if isinstance(self.last, nn.Linear):
                out = self.last(spikes)
            else:
                out, integrated = self.last(spikes, integrated)
            state = None if self.forgets and t % 2 else state
            made.append(out)
        return torch.stack(made)


def from_norse(seed: int) -> Foreign:
    """Return LIFRecurrentCell in a loop of its own, behind an encoder or not, or LIFRecurrent in a sequence."""
    draw, steps, width, encoding = _start(seed)
    steps = max(steps, 2)
    p = norse.LIFParameters(
        tau_syn_inv=torch.tensor(draw.choice([200.0, draw.uniform(50, 900)])),
        tau_mem_inv=torch.tensor(draw.choice([100.0, draw.uniform(50, 900)])),
        v_th=torch.tensor(draw.uniform(0.1, 0.4)),
    )
    if draw.random() < 0.3:
        layers = [norse.LIFRecurrent(6, width, p), _dense(draw, width, 3)]
        return Foreign(norse.SequentialState(*layers), inputs(draw, (6,), steps, encoding), steps, encoding, None)
    forgets = steps > 2 and draw.random() < 0.2
    last = draw.choice([norse.LILinearCell(width, 3), _dense(draw, width, 3)])
    fast = norse.LIFParameters(tau_mem_inv=torch.tensor(500.0), v_th=torch.tensor(0.25))
    encoder = draw.choice([None, norse.ConstantCurrentLIFEncoder(steps, fast)])
    module = Steps(norse.LIFRecurrentCell(6, width, p), last, encoder, steps, forgets)
    refusal = "gets a state that it did not give|starts from another" if forgets else None
    return Foreign(module, inputs(draw, (6,), steps, "direct"), None, "direct", refusal)


LOOPS: dict[str, Callable[[int], Foreign]] = {
    "snntorch, recurrent": from_snntorch,
    "spikingjelly, recurrent": from_spikingjelly,
    "norse, recurrent": from_norse,
    "nir, recurrent": from_nir,
}
