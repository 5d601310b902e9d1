"""Networks in the idioms of public repositories, written from memory in a few lines each, and near-misses of them.

Each asks `at` for its constants, step by step: a near-miss is the same code with one of them other at one step.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEPS, STEP, LITTLE, FAR = 6, 3, 2.0**-12, 64.0
KINDS = ("threshold", "decay", "reset", "rest", "clamp", "channel")


@dataclass
class At:
    """Gives constants; one kind of them is other at one step (of "channel" a threshold, of one neuron)."""

    kind: str = ""
    asked: set[str] = field(default_factory=set)

    def _little(self, t: int, kind: str) -> float:
        self.asked.add(kind)
        return LITTLE if (t, kind) == (STEP, self.kind) else 0.0

    def threshold(self, t: int, value: Any) -> Any:
        own = value + self._little(t, "threshold")
        other = self._little(t, "channel")
        return own + F.one_hot(torch.tensor(0), 6) * other if other else own

    def decay(self, t: int, value: Any) -> Any:
        return value - self._little(t, "decay")

    def reset(self, t: int, value: Any) -> Any:
        return value + self._little(t, "reset")

    def rest(self, t: int, value: float) -> float:
        return value - bool(self._little(t, "rest"))

    def potential(self, t: int, value: Tensor) -> Tensor:
        return value.clamp(max=FAR) if self._little(t, "clamp") else value


class Net(nn.Module):
    """Dense layers 5-6-3, and what the idioms learn besides."""

    def __init__(self, idiom: Callable[..., Any], at: At) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.idiom, self.at = idiom, at
        self.fc1, self.fc2, self.rec = nn.Linear(5, 6), nn.Linear(6, 3), nn.Linear(6, 6, bias=False)
        self.fc1.weight.data.mul_(5.0)
        self.conv, self.bn, self.bn2 = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.BatchNorm1d(6)
        self.bns = nn.ModuleList(nn.BatchNorm1d(6) for _ in range(STEPS))
        norms: tuple[Any, ...] = (self.bn, self.bn2, *self.bns)
        for norm in norms:
            norm.running_mean.uniform_(-0.5, 0.5)
            norm.running_var.uniform_(0.5, 2.0)
            norm.bias.data.uniform_(0.0, 0.5)
        self.w = nn.Parameter(torch.tensor(0.25))
        self.each = nn.Parameter(torch.linspace(0.5, 2.0, 6))
        self.scale = nn.Parameter(torch.linspace(0.75, 1.25, STEPS))
        self.mix = nn.Parameter(torch.rand(STEPS, STEPS))

    def forward(self, x: Tensor) -> Any:
        return self.idiom(self, x, self.at)


class Surrogate(torch.autograd.Function):
    """A Heaviside step with a window for its gradient."""

    @staticmethod
    def forward(ctx: Any, given: Tensor) -> Tensor:
        ctx.save_for_backward(given)
        return given.gt(0.0).to(given)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (given,) = ctx.saved_tensors
        return grads[0] * (given.abs() < 0.5).to(given)


fire: Callable[[Tensor], Tensor] = Surrogate.apply  # pyright: ignore


def zeros(x: Tensor, size: int = 6) -> Tensor:
    return torch.zeros(x.shape[0], size)


def stbp(net: Net, x: Tensor, at: At) -> Tensor:
    """mem_update of STBP: the spike of the step before gates what is kept."""
    mem, spike, summed = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, mem * at.decay(t, 0.2) * (1.0 - spike) + net.fc1(x))
        spike = fire(mem - at.threshold(t, 0.5))
        summed += net.fc2(spike)
    return summed / STEPS


def tdbn(net: Net, x: Tensor, at: At) -> Tensor:
    """STBP-tdBN: time as the last axis, outputs written in place."""
    current = torch.stack([net.bn2(net.fc1(x)) for _ in range(STEPS)], dim=-1)
    u, out = torch.zeros(current.shape[:-1]), torch.zeros(current.shape)
    for t in range(STEPS):
        u = at.decay(t, 0.25) * u * (1 - out[..., max(t - 1, 0)]) + current[..., t]
        u = at.potential(t, u)
        out[..., t] = fire(u - at.threshold(t, 0.5))
    return sum(net.fc2(out[..., t]) for t in range(STEPS)) / STEPS  # pyright: ignore


def tet(net: Net, x: Tensor, at: At) -> Tensor:
    """TET: (batch, T, …), layers on merged axes, LIFSpike."""
    x = x.unsqueeze(1).repeat(1, STEPS, 1)
    x = net.bn2(net.fc1(x.flatten(0, 1))).view(-1, STEPS, 6)
    mem, pot = 0, []
    for t in range(STEPS):
        mem = at.potential(t, mem * at.decay(t, 0.5) + x[:, t, ...])
        spike = fire(mem - at.threshold(t, 1.0))
        mem = (1 - spike) * mem
        pot.append(spike)
    return net.fc2(torch.stack(pot, dim=1).flatten(0, 1)).view(-1, STEPS, 3).mean(1)


def tebn(net: Net, x: Tensor, at: At) -> Tensor:
    """TEBN: a batch norm, times a learned scale of each step."""
    x = x.repeat(STEPS, 1, 1)
    y = net.bn2(net.fc1(x.flatten(0, 1))).view(STEPS, -1, 6) * net.scale.view(-1, 1, 1)
    mem, out = 0.0, []
    for t in range(STEPS):
        mem = at.potential(t, mem * at.decay(t, 0.5) + y[t])
        out.append(fire(mem - at.threshold(t, 1.0)))
        mem = mem * (1 - out[-1])
    return net.fc2(torch.stack(out)).mean(0)


def bntt(net: Net, x: Tensor, at: At) -> Tensor:
    """BNTT: a batch norm of its own for each step, soft reset through a mask."""
    mem, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, at.decay(t, 0.75) * mem + net.bns[t](net.fc1(x)))
        over = mem / at.threshold(t, 1.0) - 1.0
        out = fire(over)
        rst = torch.zeros_like(mem)
        rst[over > 0] = at.reset(t, 1.0)
        mem = mem - rst
        total = total + net.fc2(out)
    return total / STEPS


def diet(net: Net, x: Tensor, at: At) -> Tensor:
    """DIET-SNN: learned leak and threshold, soft reset by the threshold."""
    mem, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        limit = at.threshold(t, net.each[0] + 0.5)
        mem = at.potential(t, at.decay(t, net.each[0]) * mem + net.fc1(x))
        out = fire(mem / limit - 1.0)
        mem = mem - at.reset(t, net.each[0] + 0.5) * (mem / limit - 1.0 > 0).float()
        total = total + net.fc2(out)
    return total


def calibration(net: Net, x: Tensor, at: At) -> Any:
    """SNN calibration: an IF neuron in units of a scale, that starts half full."""
    mem, total = 0.5, 0.0
    for t in range(STEPS):
        mem = at.potential(t, mem + net.fc1(x) / 2.0)
        spike = (mem >= at.threshold(t, 1.0)).float()
        mem = mem - at.reset(t, 1.0) * spike
        total = total + net.fc2(spike * 2.0)
    return total / STEPS


def rmp(net: Net, x: Tensor, at: At) -> Tensor:
    """RMP-SNN: an IF neuron that keeps its residue."""
    mem, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, mem + net.fc1(x))
        spike = mem.gt(at.threshold(t, 0.75)).float()
        mem -= at.reset(t, 0.75) * spike
        total += net.fc2(spike)
    return total / STEPS


def ltmd(net: Net, x: Tensor, at: At) -> Tensor:
    """LTMD: a threshold learned through tanh."""
    limit, mem, spike, total = torch.tanh(net.w + 1.0), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, at.decay(t, 0.25) * mem * (1 - spike) + net.fc1(x))
        spike = fire(mem - at.threshold(t, limit))
        total = total + net.fc2(spike)
    return total / STEPS


def glif(net: Net, x: Tensor, at: At) -> Tensor:
    """GLIF with hard gates: each is 0 or 1 by the sign of what is learned."""
    alpha, beta = (net.w > 0).float(), (net.w < 1).float()
    u, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        u = at.potential(t, (1 - alpha * (1 - at.decay(t, 0.5))) * u + beta * net.fc1(x))
        spike = fire(u - at.threshold(t, 1.0))
        u = u - beta * spike * at.reset(t, 1.0)
        total = total + net.fc2(spike)
    return total / STEPS


def plif(net: Net, x: Tensor, at: At) -> Tensor:
    """PLIF: 1/τ is a sigmoid of what is learned."""
    v, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, v + (net.fc1(x) - v) * (net.w.sigmoid() + 1.0 - at.decay(t, 1.0)))
        spike = fire(v - at.threshold(t, 1.0))
        v = torch.where(spike.bool(), at.reset(t, 0.0), v)
        total = total + net.fc2(spike)
    return total / STEPS


def plif_each(net: Net, x: Tensor, at: At) -> Tensor:
    """PLIF with a decay of each neuron."""
    v, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, torch.exp(-1.0 / net.each)) * v + net.fc1(x))
        spike = fire(v - at.threshold(t, 1.0))
        v = v * (1.0 - spike)
        total = total + net.fc2(spike)
    return total / STEPS


def spikformer_mlp(net: Net, x: Tensor, at: At) -> Tensor:
    """The MLP of Spikformer: dense, batch norm, LIF with τ = 2, on merged axes."""
    x = net.bn2(net.fc1(x.repeat(STEPS, 1, 1).flatten(0, 1))).reshape(STEPS, -1, 6).contiguous()
    v, out = torch.zeros_like(x[0]), torch.empty_like(x)
    for t in range(STEPS):
        v = at.potential(t, v + (x[t] - v) / 2.0 * at.decay(t, 1.0))
        out[t] = (v - at.threshold(t, 1.0) >= 0).to(v)
        v = (1.0 - out[t]) * v
    return net.fc2(out).mean(0)


def tutorial_3(net: Net, x: Tensor, at: At) -> Tensor:
    """snnTorch's leaky_integrate_and_fire: the spike is of the potential before, reset by subtraction."""
    mem, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        spk = (mem > at.threshold(t, 1.0)).float()
        mem = at.potential(t, at.decay(t, 0.8) * mem + net.fc1(x) - spk * at.reset(t, 1.0))
        total = total + net.fc2(spk)
    return total / STEPS


def lapicque(net: Net, x: Tensor, at: At) -> Tensor:
    """snnTorch's tutorial 2: an RC circuit by Euler's rule."""
    dt, r, c, mem, total = 1e-3, 5.0, 1e-3, zeros(x), zeros(x, 3)
    for t in range(STEPS):
        mem = at.potential(t, at.decay(t, 1.0) * mem + (dt / (r * c)) * (-mem + net.fc1(x) * r))
        spk = (mem > at.threshold(t, 1.0)).float()
        mem = mem - spk * at.reset(t, 1.0)
        total = total + net.fc2(spk)
    return total / STEPS


def spytorch(net: Net, x: Tensor, at: At) -> Tensor:
    """SpyTorch: synapses, spikes that act a step later, written into lists, an integrating readout."""
    syn, mem, spk = zeros(x), zeros(x), []
    for t in range(STEPS):
        mthr = mem - at.threshold(t, 1.0)
        out = fire(mthr)
        rst = torch.zeros_like(mem)
        rst[mthr > 0] = at.reset(t, 1.0)
        new_syn = 0.5 * syn + net.fc1(x)
        mem = at.potential(t, at.decay(t, 0.75) * mem + syn - rst)
        syn = new_syn
        spk.append(out)
    total = zeros(x, 3)
    for out in spk:
        total = 0.75 * total + net.fc2(out)
    return total


def sparch(net: Net, x: Tensor, at: At) -> Tensor:
    """sparch's LIF: what a spike took is leaked, and currents are shares."""
    alpha, u, s, total = torch.exp(torch.tensor(-0.25)), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        u = at.potential(t, at.decay(t, alpha) * (u - at.reset(t, 1.0) * s) + (1 - alpha) * net.fc1(x))
        s = fire(u - at.threshold(t, 1.0))
        total = total + net.fc2(s)
    return total / STEPS


def softmax_sum(net: Net, x: Tensor, at: At) -> Tensor:
    """sparch's readout: a softmax of each step's potential, summed over time."""
    u, v, total = zeros(x), zeros(x, 3), zeros(x, 3)
    for t in range(STEPS):
        u = at.potential(t, at.decay(t, 0.5) * u + net.fc1(x))
        s = fire(u - at.threshold(t, 1.0))
        u = u * (1 - s)
        v = 0.5 * v + net.fc2(s)
        total = total + F.softmax(v, dim=1)
    return total


def adlif(net: Net, x: Tensor, at: At) -> Tensor:
    """sparch's adLIF: a second state takes from the potential."""
    u, w, s, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        w = 0.5 * w + 0.25 * u + 0.5 * s
        u = at.potential(t, at.decay(t, 0.75) * (u - s) + 0.25 * (net.fc1(x) - w))
        s = fire(u - at.threshold(t, 1.0))
        total = total + net.fc2(s)
    return total / STEPS


def alif_long(net: Net, x: Tensor, at: At) -> Tensor:
    """LSNN: a threshold that rises by spikes, a reset by the base threshold."""
    v, a, z, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        a = 0.75 * a + z
        v = at.potential(t, at.decay(t, 0.5) * v + net.fc1(x) - z * at.reset(t, 0.5))
        z = fire(v - (at.threshold(t, 1.0) + 0.25 * a))
        total = total + net.fc2(z)
    return total / STEPS


def alif_yin(net: Net, x: Tensor, at: At) -> Tensor:
    """Adaptive neurons of Yin's networks: the raised threshold itself is taken away."""
    mem, b, spike, total = zeros(x), zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        b = 0.75 * b + 0.25 * spike
        limit = at.threshold(t, 1.0) + 1.5 * b
        mem = at.potential(t, mem * at.decay(t, 0.5) + 0.5 * net.fc1(x) - limit * spike)
        spike = fire(mem - limit)
        total = total + net.fc2(spike)
    return total / STEPS


def ottt(net: Net, x: Tensor, at: At) -> Tensor:
    """OTTT: λ·(u − θ·s) + x."""
    u, s, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        u = at.potential(t, at.decay(t, 0.5) * (u - at.reset(t, 1.0) * s.detach()) + net.fc1(x))
        s = fire(u - at.threshold(t, 1.0))
        total = total + net.fc2(s)
    return total / STEPS


def to_a_level(net: Net, x: Tensor, at: At) -> Tensor:
    """A membrane that rests, and is reset, at −¼."""
    v, total = torch.full((len(x), 6), -0.25), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, v + (net.fc1(x) - (v + 0.25)) / 2.0 * at.decay(t, 1.0))
        s = (v >= at.threshold(t, 1.0)).float()
        v = v.masked_fill(s.bool(), at.reset(t, -0.25))
        total = total + net.fc2(s)
    return total / STEPS


def recurrent(net: Net, x: Tensor, at: At) -> Tensor:
    """A loop through dense feedback, as RLIF and RSynaptic have."""
    v, s, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v * (1 - s) + net.fc1(x) + net.rec(s))
        s = fire(v - at.threshold(t, 1.0))
        total = total + net.fc2(s)
    return total / STEPS


def two_state(net: Net, x: Tensor, at: At) -> Tensor:
    """A current-based LIF: a synapse that fades, in front of the membrane."""
    i, v, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        i = 0.5 * i + net.fc1(x)
        v = at.potential(t, at.decay(t, 0.75) * v + i)
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        total = total + net.fc2(s)
    return total / STEPS


def lava(net: Net, x: Tensor, at: At) -> Tensor:
    """SLAYER's CUBA: a soft reset behind a synapse."""
    i, v, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        i = 0.75 * i + net.fc1(x)
        v = at.potential(t, at.decay(t, 0.5) * v + i)
        s = (v >= at.threshold(t, 1.25)).to(v)
        v = v - s * at.reset(t, 1.25)
        total = total + net.fc2(s)
    return total / STEPS


def resting(net: Net, x: Tensor, at: At) -> Tensor:
    """A neuron that hears nothing for a step behind its spike."""
    v, s, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, (at.decay(t, 0.5) * v + net.fc1(x)) * (1 - s))
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        total = total + net.fc2(s)
    return total / STEPS


def convolutional(net: Net, x: Tensor, at: At) -> Tensor:
    """Images by functional layers: convolution, batch norm, LIF, average pool, the mean over positions."""
    image, v, out = F.pad(x, (0, 4)).view(-1, 1, 3, 3), torch.zeros(len(x), 6, 3, 3), []
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + 4.0 * net.bn(net.conv(image)))
        s = fire(v - (at.threshold(t, 1.0)))
        v = v * (1 - s)
        out.append(net.fc2(F.avg_pool2d(s, 3).flatten(1)))
    return torch.stack(out).mean(0)


def standardised(net: Net, x: Tensor, at: At) -> Tensor:
    """Weights standardised, masked and rounded in each run."""
    w = net.fc1.weight
    w = (w - w.mean(1, keepdim=True)) / w.std(1, keepdim=True) * (w.abs() > 0.1)
    w = torch.round(w * 64) / 64
    v, total = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + F.linear(x, w, net.fc1.bias))
        s = fire(v - at.threshold(t, 1.0))
        v = v - s * at.reset(t, 1.0)
        total = total + net.fc2(s)
    return total / STEPS


def sew(net: Net, x: Tensor, at: At) -> Tensor:
    """SEW: spikes of a block are added to those that it hears."""
    one, two, total = zeros(x), zeros(x), zeros(x, 3)
    for t in range(STEPS):
        one = at.potential(t, at.decay(t, 0.5) * one + net.fc1(x))
        s = fire(one - at.threshold(t, 1.0))
        one = one * (1 - s)
        two = 0.5 * two + net.rec(s)
        out = fire(two - 0.25)
        two = two * (1 - out)
        total = total + net.fc2(out + s)
    return total / STEPS


def beside(net: Net, x: Tensor, at: At) -> Tensor:
    """Two groups of neurons side by side, one of them without memory."""
    v, total = torch.zeros(len(x), 6), zeros(x, 3)
    for t in range(STEPS):
        current = net.fc1(x)
        v = at.potential(t, at.decay(t, 0.5) * v + current)
        s = fire(v - at.threshold(t, 1.0))
        v = v - s * at.reset(t, 1.0)
        both = torch.cat([s, (current > 0.5).float()], dim=1)
        total = total + both[:, :6] @ net.fc2.weight.T + F.linear(both[:, 6:], net.fc2.weight)
    return total / STEPS


def by_maximum(net: Net, x: Tensor, at: At) -> Tensor:
    """Norse's decoder: the largest potential over time, and log_softmax."""
    v, u, out = zeros(x), zeros(x, 3), []
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + net.fc1(x))
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        u = 0.75 * u + net.fc2(s)
        out.append(u)
    largest, _ = torch.max(torch.stack(out), 0)
    return F.log_softmax(largest, dim=1)


def of_last_step(net: Net, x: Tensor, at: At) -> Tensor:
    """A membrane that never fires, read at the end, behind dropout."""
    v, u = zeros(x), zeros(x, 3)
    for t in range(STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + F.dropout(net.fc1(x), 0.5, net.training))
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        u = u + (net.fc2(s) - u) * 0.25
    return u


def first_step_apart(net: Net, x: Tensor, at: At) -> Tensor:
    """A first step in code of its own, where nothing is kept yet."""
    current = net.fc1(x)
    s = fire(current - at.threshold(0, 1.0))
    v, total = current * (1 - s), net.fc2(s)
    for t in range(1, STEPS):
        v = at.potential(t, at.decay(t, 0.5) * v + current)
        s = fire(v - at.threshold(t, 1.0))
        v = v * (1 - s)
        total = total + net.fc2(s)
    return total / STEPS


def per_step(net: Net, x: Tensor, middle: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Return the mean of a network whose neurons are given as a function of potential and current."""
    v, total = zeros(x), zeros(x, 3)
    for _ in range(STEPS):
        s, v = middle(v, net.fc1(x))
        total = total + net.fc2(s)
    return total / STEPS


def klif(net: Net, x: Tensor, at: At) -> Tensor:
    """KLIF: a ReLU of the potential."""
    return per_step(net, x, lambda v, i: _hard(F.relu(0.5 * v + i)))


def clif(net: Net, x: Tensor, at: At) -> Tensor:
    """CLIF's complementary potential: a sigmoid of the state."""
    return per_step(net, x, lambda v, i: _hard(0.5 * v * torch.sigmoid(v) + i))


def attention(net: Net, x: Tensor, at: At) -> Tensor:
    """Spikformer's attention: products of what layers make of spikes."""

    def middle(v: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        s, v = _hard(0.5 * v + i)
        mixed = torch.bmm(s.unsqueeze(2), net.rec(s).unsqueeze(1)).sum(1)
        return (mixed > 0.125).float(), v

    return per_step(net, x, middle)


def parallel(net: Net, x: Tensor, at: At) -> Tensor:
    """PSN: a learned matrix over time in the place of a membrane."""
    current = net.fc1(x).expand(STEPS, len(x), 6) * torch.linspace(0.5, 1.0, STEPS).view(-1, 1, 1)
    h = torch.addmm(torch.ones(STEPS, 1), net.mix, current.flatten(1)).view_as(current)
    return net.fc2((h > 0).float()).mean(0)


def whole_numbers(net: Net, x: Tensor, at: At) -> Tensor:
    """ILIF: several spikes a step."""
    return per_step(net, x, lambda v, i: _rounded(0.5 * v + i))


def ternary(net: Net, x: Tensor, at: At) -> Tensor:
    """Spikes of two signs."""

    def middle(v: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        v = 0.5 * v + i
        s = (v > 1.0).float() - (v < -1.0).float()
        return s, v * (1.0 - s.abs())

    return per_step(net, x, middle)


def izhikevich(net: Net, x: Tensor, at: At) -> Tensor:
    """A square of the potential."""
    return per_step(net, x, lambda v, i: _hard(v + 0.04 * v * v + i))


def exponential(net: Net, x: Tensor, at: At) -> Tensor:
    """An exponential of the potential."""
    return per_step(net, x, lambda v, i: _hard(0.5 * v + 0.25 * torch.exp(v - 1.0) + i))


def soft_gates(net: Net, x: Tensor, at: At) -> Tensor:
    """A gate that the current opens."""
    return per_step(net, x, lambda v, i: _hard(torch.sigmoid(i) * v + i))


def normalised(net: Net, x: Tensor, at: At) -> Tensor:
    """Layer normalisation of the current."""
    return per_step(net, x, lambda v, i: _hard(0.5 * v + F.layer_norm(i, (6,))))


def bounded(net: Net, x: Tensor, at: At) -> Tensor:
    """A membrane that does not fall below −1."""
    return per_step(net, x, lambda v, i: _hard((0.5 * v + i).clamp(min=-1.0)))


def noisy(net: Net, x: Tensor, at: At) -> Tensor:
    """Noise on the membrane."""
    return per_step(net, x, lambda v, i: _hard(0.5 * v + i + 0.1 * torch.randn_like(i)))


def gradual(net: Net, x: Tensor, at: At) -> Tensor:
    """A reset by a share: what is left is a quarter of the potential."""

    def middle(v: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        v = 0.5 * v + i
        s = fire(v - 1.0)
        return s, v * (1.0 - 0.75 * s)

    return per_step(net, x, middle)


def _hard(v: Tensor) -> tuple[Tensor, Tensor]:
    s = fire(v - 1.0)
    return s, v * (1.0 - s)


def _rounded(v: Tensor) -> tuple[Tensor, Tensor]:
    s = torch.round(v.clamp(0, 4))
    return s, v - s


NEURONS = (
    *(
        stbp,
        tdbn,
        tet,
        tebn,
        bntt,
        diet,
        calibration,
        rmp,
        ltmd,
        glif,
        plif,
        plif_each,
        spikformer_mlp,
        tutorial_3,
    ),
    *(
        lapicque,
        spytorch,
        sparch,
        adlif,
        alif_long,
        alif_yin,
        ottt,
        to_a_level,
        recurrent,
        two_state,
        lava,
        resting,
    ),
    *(convolutional, standardised, sew, beside, by_maximum, of_last_step, first_step_apart, softmax_sum),
)
OTHERS = (
    *(klif, clif, attention, parallel, whole_numbers, ternary, izhikevich, exponential, soft_gates, normalised),
    *(bounded, noisy, gradual),
)


def made(idiom: Callable[..., Any], kind: str = "") -> Net:
    """Return a network of an idiom, or a near-miss of it."""
    return Net(idiom, At(kind)).eval()


def sample(count: int = 6, seed: int = 0) -> Tensor:
    """Return inputs."""
    return torch.rand(count, 5, generator=torch.Generator().manual_seed(seed))


def kinds_of(idiom: Callable[..., Any]) -> tuple[str, ...]:
    """Return which constants an idiom asks for."""
    net = made(idiom)
    with torch.no_grad():
        net(sample())
    return tuple(kind for kind in KINDS if kind in net.at.asked)
