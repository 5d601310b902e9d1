"""Signals side by side: sums of what parts of a layer's weights make of each, in any place of a network."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikecert import LInf, convert, verify
from support.comparing import is_refused_or_equal, share_that_differs

STEPS = 4


def fired(current: Tensor, v: Tensor | float) -> tuple[Tensor, Tensor]:
    v = 0.5 * v + current
    s = (v >= 0.5).float()
    return v * (1 - s), s


class Vectors(nn.Module):
    """Dense layers, and a way through them a step."""

    def __init__(self, step: Callable[..., tuple[Tensor, tuple[Tensor | float, ...]]]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.step = step
        self.a, self.b, self.c = nn.Linear(5, 6), nn.Linear(6, 4), nn.Linear(4, 3)
        self.both, self.given, self.old, self.loop = (
            nn.Linear(n, m) for n, m in ((10, 4), (11, 4), (12, 4), (11, 6))
        )
        self.norm, self.head = nn.BatchNorm1d(10), nn.Linear(4, 2)
        self.norm.running_mean.uniform_(-0.5, 0.0)  # pyright: ignore
        for weight in self.parameters():
            weight.data.mul_(2.0)
        self.norm.bias.data.fill_(0.5)

    def forward(self, x: Tensor) -> Tensor:
        state, total = (0.0, 0.0, 0.0, torch.zeros(len(x), 6)), 0.0
        for t in range(STEPS):
            out, state = self.step(self, x, state, t)
            total = total + out
        return total / STEPS  # pyright: ignore


def input_and_spikes(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(net.given(torch.cat([x, z], 1)), state[1])
    return net.c(y), (v, w, 0.0, z)


def two_layers(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(net.b(z), state[1])
    u, q = fired(net.both(torch.cat([z, y], -1)), state[2])
    return net.c(q), (v, w, u, z)


def norm_behind(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(net.b(z), state[1])
    u, q = fired(net.both(net.norm(torch.cat([z, y], -1))), state[2])
    return net.c(q), (v, w, u, z)


def branches(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(F.linear(x, net.loop.weight[:4, :5]), state[1])
    u, q = fired(net.both(torch.cat([z, y], -1)), state[2])
    return net.c(q), (v, w, u, z)


def two_inputs(net, x, state, t):
    v, z = fired(F.linear(x[:, :3], net.a.weight[:, :3], net.a.bias), state[0])
    w, y = fired(F.linear(x[:, 3:], net.a.weight[:, 3:]), state[1])
    u, q = fired(net.old(torch.cat([z, y], 1)), state[2])
    return net.c(q), (v, w, u, z)


def spikes_of_two_steps(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(net.old(torch.cat([z, state[3]], 1)), state[1])
    return net.c(y), (v, w, 0.0, z)


def heard_beside_the_input(net, x, state, t):
    v, z = fired(net.loop(torch.cat([x, state[3]], 1)), state[0])
    return net.c(net.b(z)), (v, 0.0, 0.0, z)


def heads_side_by_side(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(net.b(z), state[1])
    return torch.cat([net.c(y), net.head(y)], 1), (v, w, 0.0, z)


def currents_side_by_side(net, x, state, t):
    current = torch.cat([net.a(x), F.linear(x, net.loop.weight[:4, :5])], 1)
    v, z = fired(current, state[0])
    return net.c(net.both(z)), (v, 0.0, 0.0, state[3])


def turned_at_a_step(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(net.b(z), state[1])
    u, q = fired(net.both(torch.cat([y, z] if t == 2 else [z, y], -1)), state[2])
    return net.c(q), (v, w, u, z)


def late_at_a_step(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(net.old(torch.cat([z, z if t == 2 else state[3]], 1)), state[1])
    return net.c(y), (v, w, 0.0, z)


def scaled_at_a_step(net, x, state, t):
    v, z = fired(net.a(x), state[0])
    w, y = fired(net.given(torch.cat([x * (1 + 2**-12) if t == 2 else x, z], 1)), state[1])
    return net.c(y), (v, w, 0.0, z)


IN = (
    *(input_and_spikes, two_layers, norm_behind, branches, two_inputs, spikes_of_two_steps),
    *(heard_beside_the_input, heads_side_by_side, currents_side_by_side),
)
MISSES = (turned_at_a_step, late_at_a_step, scaled_at_a_step)


def inputs(count: int, seed: int) -> Tensor:
    return torch.rand(count, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("step", IN)
def test_vectors_side_by_side_are_sums(step):
    module = Vectors(step).eval()
    found = convert(module, inputs(8, 1))
    for scale in (1.0, 4.0, -3.0):
        assert share_that_differs(module, found.network, inputs(600, 2) * scale) < 2e-3
    assert sum(rate > 0 for rate in found.check.rates) * 2 > len(found.check.rates)


@pytest.mark.parametrize("step", MISSES)
def test_what_is_side_by_side_otherwise_at_a_step_is_no_such_sum(step):
    assert is_refused_or_equal(Vectors(step).eval(), inputs(8, 1), torch.cat([inputs(600, 2), inputs(600, 3) * 4]))


class Heads(Vectors):
    """Two heads, of which one is chosen."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:  # pyright: ignore
        state, total, other = (0.0, 0.0, 0.0, 0.0), 0.0, 0.0
        for _ in range(STEPS):
            v, z = fired(self.a(x), state[0])
            w, y = fired(self.b(z), state[1])
            state = v, w, 0.0, z
            total, other = total + self.c(y), other + self.head(y)
        return {"classes": total, "side": other}  # pyright: ignore


class Chosen(nn.Module):
    """One output of a module."""

    def __init__(self, inner: nn.Module, name: str) -> None:
        super().__init__()
        self.inner, self.name = inner, name

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[self.name]


@pytest.mark.parametrize(("output", "size"), [("classes", 3), ("side", 2), (None, 3)])
def test_a_head_is_chosen(output, size):
    module = Heads(two_layers).eval()
    found = convert(module, inputs(8, 1), output=output)
    assert found.network(inputs(4, 2)).shape == (4, size)
    chosen = Chosen(module, output or "classes")
    assert share_that_differs(chosen, found.network, torch.cat([inputs(300, 2), inputs(300, 3) * 4])) < 2e-3


class Images(nn.Module):
    """Images side by side by channels."""

    def __init__(self, between: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.between, self.norm = between, nn.BatchNorm2d(5)
        self.a, self.b, self.c = (nn.Conv2d(n, m, 3, padding=1) for n, m in ((1, 3), (3, 2), (5, 4)))
        self.last = nn.Linear(64, 3)
        for weight in self.parameters():
            weight.data.mul_(2.0)

    def forward(self, x: Tensor) -> Tensor:
        v, w, u, total = 0.0, 0.0, 0.0, 0.0
        for _ in range(STEPS):
            v, z = fired(self.a(x), v)
            w, y = fired(self.b(z), w)
            u, q = fired(self.c(self.between(self, torch.cat([z, y], 1))), u)
            total = total + self.last(q.flatten(1))
        return total / STEPS  # pyright: ignore


BETWEEN = {
    "nothing": lambda net, x: x,
    "a batch norm": lambda net, x: net.norm(x),
    "a max pool and its inverse": lambda net, x: F.interpolate(F.max_pool2d(x, 2), scale_factor=2),
    "channels in another order": lambda net, x: x[:, [4, 0, 1, 2, 3]],
}


@pytest.mark.parametrize("between", BETWEEN)
def test_images_side_by_side_are_sums(between):
    module = Images(BETWEEN[between]).eval()
    given = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    found = convert(module, given)
    others = torch.rand(300, 1, 4, 4, generator=torch.Generator().manual_seed(2)) * 3 - 1
    assert share_that_differs(module, found.network, others) < 2e-3
    labels = found.network(given[:2]).argmax(1)
    assert len(verify(found.network, given[:2], labels, LInf(1e-5))) == 2
