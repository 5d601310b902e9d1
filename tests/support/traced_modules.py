"""Networks as people write them, by hand and whole, and ones that no network here is."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import _symbolic_trace
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from .traced_neurons import fire

STEPS = 4
EACH = torch.linspace(0.25, 0.75, 6)
States = tuple[Tensor, ...]


def fires(v: Tensor) -> Tensor:
    return (v > 0).float()


def dendrite(c: Any, i: Tensor, before: States) -> States:
    """TC-LIF: a dendrite and a soma that drive each other."""
    d, v, _, _ = before
    d = c(1.0) * d - c(0.25) * v + i
    v = c(1.0) * v + c(0.5) * d
    s = fires(v - c(1.0))
    return d - c(0.5) * s, v - c(1.0) * s, v, s


def dendrites(c: Any, i: Tensor, before: States) -> States:
    """The same, of constants that differ from neuron to neuron."""
    d, v, _, _ = before
    d = c(EACH + 0.25) * d - c(0.25) * v + i
    v = c(0.75) * v + c(EACH) * d
    s = fires(v - c(1.0))
    return d - c(EACH) * s, v - c(1.0) * s, v, s


def resonating(c: Any, i: Tensor, before: States) -> States:
    """A pair that turns, each of which is of the step before."""
    d, v, _, _ = before
    d, v = c(0.75) * d - c(0.5) * v + i, c(0.75) * v + c(0.5) * d + i
    s = fires(v - c(1.0))
    return d - c(0.25) * s, v - c(1.0) * s, v, s


class Drawn(TorchFunctionMode):
    """Keeps what is drawn while it is entered, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.kept += [found] if func is torch.rand_like else []
        return found


@dataclass(frozen=True)
class Case:
    """A module, how it is run, and, of one that must be refused, what the refusal says."""

    make: Callable[[], Any]
    encoding: str = "direct"
    num_steps: int | None = None
    features: tuple[int, ...] = (5,)
    says: str = ""

    @property
    def sample(self) -> Tensor:
        """Return inputs for it."""
        generator = torch.Generator().manual_seed(1)
        shape = (6, STEPS, *self.features) if self.encoding == "none" else (6, *self.features)
        drawn = torch.rand(shape, generator=generator)
        return (drawn < 0.6).float() if self.encoding == "none" else drawn


def dense(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    torch.manual_seed(inputs + outputs)
    layer = nn.Linear(inputs, outputs, bias)
    layer.weight.data.mul_(4.0)
    return layer


class Net(nn.Module):
    """Layers for functions that say what is done with them."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.fc1, self.fc2, self.rec = dense(5, 6), dense(6, 3), dense(6, 6, bias=False)
        self.skip, self.run, self.state = dense(5, 3, bias=False), run, {}
        self.log_decay = nn.Parameter(torch.linspace(0.5, 2.0, 6))
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def leaky(v: Tensor, x: Tensor, decay: Any = 0.5) -> tuple[Tensor, Tensor]:
    v = decay * v + x
    spike = fire(v - 1.0)
    return spike, v * (1.0 - spike)


def two_layers(net: Net, x: Tensor) -> Tensor:
    one, two, out = torch.zeros(len(x), 6), torch.zeros(len(x), 3), []
    for _ in range(STEPS):
        spike, one = leaky(one, net.fc1(x))
        spike, two = leaky(two, net.fc2(spike))
        out.append(spike)
    return torch.stack(out).mean(0)


def decimal(net: Net, x: Tensor) -> Any:
    v, total = torch.zeros_like(net.fc1(x)), 0.0
    for _ in range(STEPS):
        v = 0.9 * v + net.fc1(x)
        spike = (v > 0.3).to(v)
        v = v.masked_fill(spike.bool(), 0.1)
        total = total + net.fc2(spike)
    return total / STEPS


def layer_by_layer(net: Net, x: Tensor) -> Tensor:
    signal = F.linear(x.flatten(0, 1), net.fc1.weight, net.fc1.bias).view(*x.shape[:2], -1)
    v, out = torch.zeros_like(signal[0]), []
    for current in signal.unbind(0):
        spike, v = leaky(v, current)
        out.append(spike)
    return net.fc2(torch.stack(out)).sum(0)


def functional(net: Net, x: Tensor) -> Tensor:
    v = torch.zeros(len(x), 6)
    out = torch.zeros(STEPS, len(x), 3)
    for step in range(STEPS):
        spike, v = leaky(v, x @ net.fc1.weight.T + net.fc1.bias)
        out[step] = F.linear(spike, net.fc2.weight)
    return F.log_softmax(out.mean(0), dim=-1)


def recurrent(net: Net, x: Tensor) -> Any:
    v, spike, total = torch.zeros(x.shape[1], 6), torch.zeros(x.shape[1], 6), 0
    for t in range(len(x)):
        spike, v = leaky(v, net.fc1(x[t]) + net.rec(spike))
        total = total + net.fc2(spike)
    return total / len(x)


def in_lists(net: Net, x: Tensor) -> list[Tensor]:
    potentials: list[Tensor | None] = [None, None]
    found = []
    for t in range(len(x)):
        signal = x[t]
        for place, layer in enumerate((net.fc1, net.fc2)):
            current = layer(signal)
            before = potentials[place]
            v = current if before is None else 0.5 * before + current
            signal = torch.where(v >= 1.0, 1.0, 0.0)
            potentials[place] = v - signal
        found.append(signal)
    return found


def residual(net: Net, x: Tensor) -> Tensor:
    one, two, out = torch.zeros(len(x), 6), torch.zeros(len(x), 3), []
    for _ in range(STEPS):
        spike, one = leaky(one, net.fc1(x))
        spike, two = leaky(two, net.fc2(spike) + net.skip(x))
        out.append(spike)
    return torch.stack(out, dim=1).mean(1)


def integrating(net: Net, x: Tensor) -> Tensor:
    v, u = torch.zeros(len(x), 6), torch.zeros(len(x), 3)
    for _ in range(STEPS):
        spike, v = leaky(v, net.fc1(x))
        u = 0.75 * u + net.fc2(spike)
    return u


def all_potentials(net: Net, x: Tensor) -> tuple[Tensor, Tensor]:
    v, u, spikes, potentials = torch.zeros(len(x), 6), torch.zeros(len(x), 3), [], []
    for _ in range(STEPS):
        spike, v = leaky(v, net.fc1(x))
        u = u + net.fc2(spike)
        spikes.append(spike)
        potentials.append(u)
    return torch.stack(potentials), torch.stack(spikes)


def learned(net: Net, x: Tensor) -> Any:
    v, total = torch.zeros(len(x), 6), 0
    for _ in range(STEPS):
        spike, v = leaky(v, net.fc1(x), net.log_decay.sigmoid())
        total = total + net.fc2(spike)
    return total / STEPS


def exponential(net: Net, x: Tensor) -> Any:
    decay = torch.exp(-torch.nn.functional.softplus(net.log_decay[0]))
    v, total = torch.zeros(len(x), 6), 0
    for _ in range(STEPS):
        spike, v = leaky(v, (1 - decay) * net.fc1(x) * 8.0, decay)
        total = total + net.fc2(spike)
    return total / STEPS


class Step(Net):
    """One step a call; its states are attributes."""

    def __init__(self) -> None:
        super().__init__(two_layers)
        self.v: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if self.v is None:
            self.v = torch.zeros_like(self.fc1(x))
        spike, self.v = leaky(self.v, self.fc1(x))
        return self.fc2(spike)


class Handed(Net):
    """One step a call; it is handed its state."""

    def __init__(self) -> None:
        super().__init__(two_layers)

    def forward(self, x: Tensor, v: Any = None) -> tuple[Tensor, Tensor]:
        spike, v = leaky(torch.zeros(len(x), 6) if v is None else v, self.fc1(x))
        return self.fc2(spike), v


class Convolutional(nn.Module):
    """Images, functional pools, a batch norm, steps folded into the batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), dense(16, 3)
        self.norm.running_mean.uniform_(-0.1, 0.1)  # pyright: ignore[reportOptionalMemberAccess]
        self.norm.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(0).repeat(STEPS, 1, 1, 1, 1)
        signal = self.norm(self.conv(x.flatten(0, 1)))
        signal = F.max_pool2d(signal, 2).view(STEPS, -1, 4, 4, 4)
        v, out = torch.zeros_like(signal[0]), []
        for t in range(STEPS):
            v = v + (signal[t] - v) / 2.0
            spike = fire(v - 0.5)
            v = torch.where(spike.bool(), torch.zeros(()), v)
            out.append(F.avg_pool2d(spike, 2))
        return self.last(torch.stack(out).flatten(2)).mean(0)


class Pooled(nn.Module):
    """Images, adaptive pools, a mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 3, 3, stride=2)
        self.conv.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Any:
        v, total = 0.0, 0.0
        for _ in range(STEPS):
            v = 0.5 * v + self.conv(x)
            spike = (v > 0.5).float()
            v = v * (spike == 0)
            total = total + F.adaptive_avg_pool2d(spike, 1).flatten(1)
        return total / STEPS


class Enlarging(nn.Module):
    """Images: a pad, a transposed convolution, nearest pixels, a max pool of spikes, a mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.ConvTranspose2d(1, 2, 2, stride=2), nn.Conv2d(2, 3, 3, groups=1, bias=False)
        self.one.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Any:
        v, total = 0.0, 0.0
        for _ in range(STEPS):
            spike, v = leaky(v, self.one(F.pad(x, (1, 0, 0, 1))))  # pyright: ignore[reportArgumentType]
            spike = F.max_pool2d(F.interpolate(spike, scale_factor=2.0), 2)
            total = total + self.two(spike).mean((2, 3))
        return total / STEPS


class Sequences(nn.Module):
    """Sequences: convolutions and pools of one axis."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv1d(2, 3, 3, dilation=2), dense(6, 3)
        self.one.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Any:
        v, total = 0.0, 0.0
        for _ in range(STEPS):
            spike, v = leaky(v, F.avg_pool1d(self.one(x), 2))  # pyright: ignore[reportArgumentType]
            total = total + self.two(F.max_pool1d(spike, 2).flatten(1))
        return total / STEPS


FIRST, LAST = dense(5, 6), dense(6, 3)


def function(x: Tensor) -> Tensor:
    v, total = torch.zeros(len(x), 6), torch.zeros(len(x), 3)
    for _ in range(STEPS):
        spike, v = leaky(v, FIRST(x))
        total += LAST(spike)
    return total


RIGHT: dict[str, Case] = {
    **{
        run.__name__: Case(lambda run=run: Net(run))
        for run in (two_layers, functional, residual, integrating, all_potentials, learned, exponential)
    },
    **{run.__name__: Case(lambda run=run: Net(run), "none") for run in (layer_by_layer, recurrent, in_lists)},
    "attributes": Case(Step, num_steps=STEPS),
    "attributes, events": Case(Step, "none", STEPS),
    "handed states": Case(Handed, num_steps=STEPS),
    "images": Case(Convolutional, features=(1, 8, 8)),
    "adaptive pools": Case(Pooled, features=(1, 7, 7)),
    "enlarging": Case(Enlarging, features=(1, 4, 4)),
    "sequences": Case(Sequences, features=(2, 12)),
    "a function": Case(lambda: function),
    "float64": Case(lambda: Net(decimal).double()),
}


def spoiled(change: Callable[[Net, Tensor, int], Tensor], says: str, **settings: Any) -> Case:
    """Return a network whose current passes through a function, at each step."""

    def run(net: Net, x: Tensor) -> Tensor:
        v, total = torch.zeros(len(x), 6), torch.zeros(len(x), 3)
        for step in range(STEPS):
            spike, v = leaky(v, change(net, net.fc1(x), step))
            total = total + net.fc2(spike)
        return total / STEPS

    return Case(lambda: Net(run), says=says, **settings)


def reading(run: Callable[[Tensor, Tensor], Tensor], says: str) -> Case:
    """Return a network whose output is made of all its spikes and potentials, (T, batch, 6)."""

    def whole(net: Net, x: Tensor) -> Tensor:
        v, spikes, potentials = torch.zeros(len(x), 6), [], []
        for _ in range(STEPS):
            spike, v = leaky(v, net.fc1(x))
            spikes.append(spike)
            potentials.append(v)
        return run(torch.stack(spikes), torch.stack(potentials))

    return Case(lambda: Net(whole), says=says)


def counted(net: Net, x: Tensor, step: int) -> Tensor:
    net.calls += 1
    return x * (1.0 + 2.0**-20) if net.calls > 2 * STEPS else x


def caught(net: Net, x: Tensor, step: int) -> Tensor:
    try:
        return -x if float(x.max()) > 99.0 else x
    except Exception:
        return x


def by_type(net: Net, x: Tensor, step: int) -> Tensor:
    return x if type(x).__name__ == "Tensor" else x * 2.0


def kept_in_place(net: Net, x: Tensor, step: int) -> Tensor:
    net.log_decay.data.add_(1.0)
    return x + net.log_decay


def while_traced(net: Net, x: Tensor, step: int) -> Tensor:
    return x if _symbolic_trace.is_fx_tracing() else x.clamp(max=99.0)


NOISE = torch.Generator().manual_seed(0)
RIGHT["a constant current"] = spoiled(lambda net, x, step: x + 0.125, "")
RIGHT["constant currents"] = spoiled(lambda net, x, step: x + net.log_decay, "")
RIGHT["an input scale"] = spoiled(lambda net, x, step: x * (1.0 + 2.0**-20 * (step == 3)), "")
WRONG: dict[str, Case] = {
    "clamp": spoiled(lambda net, x, step: x.clamp(-5, 5), "clamp: "),
    "relu": spoiled(lambda net, x, step: x.relu(), "relu: a ReLU"),
    "product": spoiled(lambda net, x, step: x * x, "multiplies two signals"),
    "gate": spoiled(lambda net, x, step: x * torch.sigmoid(x), "sigmoid: of a signal it is a graded gate"),
    "layer norm": spoiled(lambda net, x, step: F.layer_norm(x, (6,)), "F.layer_norm: its statistics"),
    "batch statistics": spoiled(lambda net, x, step: F.batch_norm(x, None, None, training=True), "statistics of"),
    "random": spoiled(lambda net, x, step: x + 0.0 * torch.rand_like(x), "draws random numbers"),
    "random from a generator": spoiled(lambda net, x, step: x + torch.rand(6, generator=NOISE), "random|else"),
    "python's random": spoiled(lambda net, x, step: x + random.random(), "something else"),
    "numpy's random": spoiled(lambda net, x, step: x + float(np.random.rand()), "something else"),
    "one random number": spoiled(lambda net, x, step: x * np.random.RandomState().rand(), "something else"),
    "dropout": spoiled(lambda net, x, step: F.dropout(x, 0.1), "draws random numbers"),
    "a branch": spoiled(lambda net, x, step: x if x.sum() > -1e9 else -x, "takes values out of a tensor"),
    "a branch that is caught": spoiled(caught, "takes values out of a tensor"),
    "an item": spoiled(lambda net, x, step: x * x.max().item(), "takes values out of a tensor"),
    "numpy": spoiled(lambda net, x, step: torch.from_numpy(np.clip(x.detach().numpy(), -9, 9)), "takes values"),
    "the mode": spoiled(lambda net, x, step: x if torch.is_grad_enabled() else x * 1.5, "asks torch how"),
    "the batch": spoiled(lambda net, x, step: x if len(x) < 50 else x * 1.5, "computes something else"),
    "one sample": spoiled(lambda net, x, step: x if len(x) != 1 else x * 1.5, "one sample alone"),
    "half": spoiled(lambda net, x, step: x.half().float(), "_to_copy: casts a signal"),
    "int": spoiled(lambda net, x, step: (x * 8).int() / 8.0, "_to_copy: casts a signal"),
    "a type": spoiled(by_type, "something else"),
    "whether it is traced": spoiled(while_traced, "clamp: "),
    "a count of calls": spoiled(counted, "changes calls at each call"),
    "a tensor that it keeps": spoiled(kept_in_place, "in place"),
    "the mean of the batch": spoiled(lambda net, x, step: x - x.mean(0), "mean: sums or averages"),
    "an order": spoiled(lambda net, x, step: x.flip(1), "flip: "),
    "a step with other weights": spoiled(
        lambda net, x, step: x if step != 2 else F.linear(x, torch.eye(6)), "step"
    ),
    "two thresholds": spoiled(lambda net, x, step: (x > -3.0) * 1.0 * x, "signals multiply each other"),
    "steps mixed with samples": reading(lambda s, v: s.reshape(s.shape[1], STEPS, 6).mean(1), "mixes them"),
    "potentials": reading(lambda s, v: v.mean(0), "is the potential of a neuron"),
    "a maximum": reading(lambda s, v: s.amax(0), "largest"),
    "softmax over samples": reading(lambda s, v: F.softmax(s.mean(0), 0), "is over axis 0"),
    "softmax over time": reading(lambda s, v: F.softmax(s, 0).mean(0), "F.softmax: "),
    "no neuron": Case(lambda: nn.Sequential(dense(5, 6), dense(6, 3)), num_steps=3, says="nothing in it fires"),
}
RIGHT |= {
    "a current at one step": spoiled(lambda net, x, step: x + 0.25 * (step == 2), ""),
    "a tiny current at one step": spoiled(lambda net, x, step: x + 2.0**-20 * (step == 2), ""),
    "a current of each step": spoiled(
        lambda net, x, step: x + net.fc2.bias.new_tensor([0.5, -0.25, 0.0, 1.0])[step], ""
    ),
    "a scale of each step and neuron": spoiled(lambda net, x, step: F.linear(x, torch.eye(6) * (step + 1.0)), ""),
}
"""Layers of their own at each step."""
