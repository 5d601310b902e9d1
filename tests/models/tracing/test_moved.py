"""Features that are moved, summed and repeated, convolutions over time, what cancels: and near-misses of each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from spikecert import ConversionRefused, convert, into
from spikecert.models import check_conversion
from support.comparing import is_refused_or_equal, share_that_differs

STEPS = 4


class Stepped(nn.Module):
    """Spikes (T, batch, 2, 3, 4), what a function makes of them, and a dense layer."""

    def __init__(self, middle, features: int, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.middle, self.a, self.b = middle, nn.Linear(5, 24), nn.Linear(5, 24)
        self.last = nn.Linear(features, 3)
        self.a.weight.data.mul_(3.0)
        self.b.weight.data.mul_(3.0)

    def spikes(self, layer: nn.Module, x: Tensor) -> Tensor:
        v, found = torch.zeros(len(x), 24), []
        for _ in range(STEPS):
            v = 0.5 * v + layer(x)
            s = (v >= 0.5).float()
            v = v * (1 - s)
            found.append(s)
        return torch.stack(found).reshape(STEPS, len(x), 2, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        made = self.middle(self.spikes(self.a, x), self.spikes(self.b, x))
        return self.last(made.flatten(2)).mean(0)


def sample(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, 5, generator=torch.Generator().manual_seed(seed))


MOVED = {
    "turned": (lambda p, q: p.transpose(2, 4), 24),
    "turned twice": (lambda p, q: p.transpose(2, 3).reshape(STEPS, -1, 4, 6).transpose(2, 3), 24),
    "in another order": (lambda p, q: p.permute(0, 1, 4, 2, 3), 24),
    "a sum over an axis": (lambda p, q: p.sum(3), 8),
    "a mean over two, kept": (lambda p, q: p.mean((2, 4), keepdim=True), 3),
    "a product": (lambda p, q: p.transpose(2, 3) * q.transpose(2, 3), 24),
    "a product of what is moved otherwise": (lambda p, q: p.transpose(2, 3) * q.reshape(STEPS, -1, 3, 2, 4), 24),
    "a product with what is repeated": (lambda p, q: p * q[:, :, :, :, 1:2].reshape(STEPS, -1, 2, 3, 1), 24),
    "what is left of a product": (lambda p, q: p.transpose(2, 3) * (1 - q.transpose(2, 3)), 24),
}


@pytest.mark.parametrize("name", MOVED)
def test_features_that_are_moved_come_in_as_what_they_are(name):
    """Or they are refused; those that transformers have come in."""
    middle, features = MOVED[name]
    module = Stepped(middle, features)
    try:
        found = convert(module, sample(8))
    except ConversionRefused:
        assert name in ("a product with what is repeated", "what is left of a product")
        return
    assert share_that_differs(module, found.network, torch.cat([sample(400, 2), sample(400, 3) * 6 - 3])) < 2e-3


@given(st.permutations(range(3)), st.integers(0, 2), st.booleans(), st.integers(0, 9))
@settings(max_examples=8, deadline=None)
def test_no_order_of_features_comes_in_as_another(order, axis, product, seed):
    def middle(p: Tensor, q: Tensor) -> Tensor:
        moved = p.permute(0, 1, *(2 + place for place in order))
        moved = moved * q.permute(0, 1, *(2 + place for place in order)) if product else moved
        return moved.sum(2 + axis)

    sizes = [(2, 3, 4)[place] for place in order]
    del sizes[axis]
    module = Stepped(middle, sizes[0] * sizes[1], seed)
    found = convert(module, sample(8))
    assert share_that_differs(module, found.network, torch.cat([sample(300, 2), sample(300, 3) * 6 - 3])) < 2e-3


class OverTime(nn.Module):
    """A convolution over time in front of neurons."""

    def __init__(self, size: int, padding: int, stride: int, dilation: int, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv1d(3, 4, size, stride, padding, dilation)
        self.last = nn.Linear(4, 2)
        self.conv.weight.data.mul_(3.0)

    def forward(self, x: Tensor) -> Tensor:
        current = self.conv(x.permute(1, 2, 0))
        v, found = torch.zeros_like(current[..., 0]), []
        for t in range(current.shape[-1]):
            v = 0.75 * v + current[..., t]
            s = (v >= 0.75).float()
            v = v - s * 0.75
            found.append(self.last(s))
        return torch.stack(found)


@given(st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), st.integers(0, 9))
@settings(max_examples=8, deadline=None)
def test_a_convolution_over_time_is_a_sum_of_delays_or_refused(size, padding, stride, dilation, seed):
    """It comes in where each step hears of itself and those before alone, as a causal one does."""
    module, steps = OverTime(size, padding, stride, dilation, seed), 6
    given = torch.rand(7, steps, 3, generator=torch.Generator().manual_seed(1))
    try:
        found = convert(module, given, encoding="none")
    except (ConversionRefused, RuntimeError):
        assert (size, padding) != (1, 0) or stride > 1
        return
    others = torch.randn(200, steps, 3, generator=torch.Generator().manual_seed(2)) * 2
    with torch.no_grad():
        theirs, ours = module(others.transpose(0, 1)), found.network(others)
    assert theirs.shape[0] == found.network.num_steps
    assert torch.allclose(theirs.mean(0), ours, atol=1e-4)


class Dense(nn.Module):
    """Two dense layers whose neurons a function makes fire, and whose outputs another one ends."""

    def __init__(self, fire=None, end=None, reset=None) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.fire, self.end, self.reset = fire, end, reset
        self.a, self.b = nn.Linear(5, 6), nn.Linear(6, 3)
        self.a.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        v, w, total = torch.zeros(len(x), 6), torch.zeros(len(x), 3), torch.zeros(len(x), 3)
        for t in range(STEPS):
            v = 0.5 * v + self.a(x)
            s = self.fire(v - 0.5, t) if self.fire else (v >= 0.5).float()
            v = v * (1 - s)
            w = 0.5 * w + self.b(s)
            if self.reset:
                w = self.reset(w, t)
            total = total + w
        return self.end(total) if self.end else total


def through(slope: float, others: float = 0.0, at: int = -1):
    """Return a step whose gradient is that of a sigmoid, which cancels but for `others` of it at a step."""

    def fire(x: Tensor, t: int) -> Tensor:
        soft = torch.sigmoid(slope * x)
        return ((x >= 0).float() - soft).detach() + soft * (1.0 + (others if t == at else 0.0))

    return fire


def clamped(x: Tensor, t: int) -> Tensor:
    soft = torch.tanh(3.0 * torch.clamp(x, 0, 1))
    return ((x >= 0).float() - soft).detach() + soft


@pytest.mark.parametrize("fire", [through(4.0), through(1.0), clamped])
def test_what_gradients_are_led_through_cancels(fire):
    module = Dense(fire)
    found = convert(module, sample(8))
    assert share_that_differs(module, found.network, torch.cat([sample(400, 2), sample(400, 3) * 6 - 3])) < 2e-3


def unlike(x: Tensor, t: int) -> Tensor:
    return ((x >= 0).float() - torch.sigmoid(x)).detach() + torch.sigmoid(x * (1 + 2**-12))


@pytest.mark.parametrize("fire", [through(4.0, 2.0**-12, 2), through(1.0, -1.0, 0), through(1.0, 1.0, 3), unlike])
def test_what_does_not_cancel_is_refused_by_its_line(fire):
    with pytest.raises(ConversionRefused, match=r"test_moved\.py:\d+: sigmoid: of a signal it is a graded gate"):
        convert(Dense(fire), sample(8))


FLAT = (torch.tanh, torch.sigmoid, torch.relu)
"""Endings that make equal outputs of some."""


@pytest.mark.parametrize("end", FLAT)
def test_what_makes_equal_outputs_of_some_is_refused_at_the_end(end):
    """In float32 all give one number of 20 and 30, or of −2 and −1: the first of them would be the class."""
    assert any(end(torch.tensor(pair)).argmax() == 0 for pair in ([20.0, 30.0], [-2.0, -1.0]))
    with pytest.raises(ConversionRefused, match=r"test_moved\.py:\d+: (tanh|sigmoid|relu): .*ending='before'"):
        convert(Dense(end=end), sample(8))


@pytest.mark.parametrize("end", FLAT)
def test_what_such_an_end_is_of_is_asked_by_choice(end):
    """The network gives just the numbers that the module ends with; the note says so."""
    module, x = Dense(end=end), sample(200)
    found = convert(module, x, ending="before")
    assert any("was left out, by choice: asked are the numbers before it" in note for note in found.notes)
    assert check_conversion(module, found.network, 1000.0 * sample(30), ending="before").matches
    with pytest.raises(ConversionRefused):
        check_conversion(module, found.network, x)
    for scale in (1.0, -1.0, 1000.0):
        ended = end(found.network(scale * x))
        assert torch.allclose(ended, module(scale * x), rtol=1e-4, atol=1e-4)


def test_another_ending_is_refused_by_name():
    with pytest.raises(ValueError, match="ending: got 'behind', expected one of before"):
        convert(Dense(end=torch.tanh), sample(8), ending="behind")
    with pytest.raises(ValueError, match="ending: got 'before' for a NIR graph"):
        convert("network.nir", ending="before")


def test_weights_go_back_in_front_of_such_an_end():
    module, x = Dense(end=torch.tanh), sample(8)
    network = convert(module, x, ending="before").network
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    into(module, network, x, ending="before")
    assert check_conversion(module, network, x, ending="before").matches


ENDS = (
    lambda total: torch.tanh(total) * torch.tensor([1.0, -1.0, 2.0]),
    lambda total: -torch.tanh(total),
    lambda total: torch.tanh(total[:, :2]).sum(1, keepdim=True) + total,
    lambda total: torch.clamp(total, -1.0, 1.0),
    lambda total: torch.softmax(torch.tanh(total), 0),
    lambda total: torch.tanh(total) + torch.tensor([0.0, 0.5, 0.0]),
    lambda total: torch.tanh(total).cumsum(1),
)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("ending", [None, "before"])
def test_what_is_behind_such_an_end_is_refused(end, ending):
    with pytest.raises(ConversionRefused):
        convert(Dense(end=end), sample(8), ending=ending)


def never(limit: float, amount: float = 0.0):
    def reset(w: Tensor, t: int) -> Tensor:
        s = (w >= limit).float()
        return w - s * amount if amount else w * (1 - s)

    return reset


@pytest.mark.parametrize("limit", [1e9, float("inf"), 2e9])
def test_a_threshold_that_none_reaches_is_none(limit):
    module = Dense(reset=never(limit))
    found = convert(module, sample(8))
    assert len(found.check.rates) == 1
    assert share_that_differs(module, found.network, sample(400, 3) * 6 - 3) < 2e-3


@pytest.mark.parametrize(("limit", "weight"), [(1e5, 1e5), (1e9, 1e9), (7e4, 3e4), (1e9, 4e8)])
def test_a_threshold_that_some_reach_is_one(limit, weight):
    """Of weights as great as it, whatever is far from it in other networks."""
    module = Dense(reset=never(limit))
    module.b.weight.data.fill_(weight)
    assert is_refused_or_equal(module, sample(8), torch.cat([sample(400, 2), sample(400, 3) * 6 - 3]))


def test_an_endless_amount_is_refused():
    with pytest.raises(ConversionRefused, match="has a constant that is not"):
        convert(Dense(reset=never(float("inf"), float("inf"))), sample(8))


class Record(nn.Module):
    """Outputs of each step behind a first one, and their maximum over time."""

    def __init__(self, first: float, late: int = 0) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.first, self.late, self.a, self.b = first, late, nn.Linear(4, 6), nn.Linear(6, 3, bias=not late)
        self.a.weight.data.mul_(3.0)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        v, o, held = torch.zeros(len(x), 6), torch.zeros(len(x), 3), torch.zeros(len(x), 3)
        outs = [torch.full_like(o, self.first)]
        for t in range(x.shape[1]):
            v = 0.5 * v + self.a(x[:, t])
            s = (v >= 0.5).float()
            v = v * (1 - s)
            o, held = 0.75 * o + (held if self.late else self.b(s)), self.b(s)
            outs.append(o)
        return torch.stack(outs, 1).max(1)[0]


@pytest.mark.parametrize(("first", "late"), [(0.0, 1), (0.0, 0), (1.0, 0), (1.0, 1), (-1.0, 1), (2.0**-12, 1)])
def test_a_record_that_begins_otherwise_is_no_maximum_of_steps(first, late):
    """Zeros behind which comes a zero are left out; others are outputs that no step has."""
    module = Record(first, late)
    given = torch.rand(7, 5, 4, generator=torch.Generator().manual_seed(1))
    try:
        found = convert(module, given, encoding="none")
    except ConversionRefused:
        assert (first, late) != (0.0, 1)
        return
    others = torch.randn(400, 5, 4, generator=torch.Generator().manual_seed(2)) * 2
    with torch.no_grad():
        assert torch.allclose(module(others.transpose(0, 1)), found.network(others), atol=1e-4)


class Normed(nn.Module):
    """A batch norm of the potential, another one at a step."""

    def __init__(self, other: int) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.other, self.a, self.b = other, nn.Linear(5, 6), nn.Linear(6, 3)
        self.norms = nn.ModuleList([nn.BatchNorm1d(6), nn.BatchNorm1d(6)])
        for place, norm in enumerate(self.norms):
            norm.running_mean.uniform_(-0.5, 0.5)  # pyright: ignore
            norm.running_var.fill_(1.0 + place * 2.0**-12)  # pyright: ignore
        self.a.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        v, total = torch.zeros(len(x), 6), torch.zeros(len(x), 3)
        for t in range(STEPS):
            v = 0.25 * v + self.a(x)
            s = (self.norms[int(t == self.other)](v) >= 0.5).float()
            v = v * (1 - s)
            total = total + self.b(s)
        return total


@pytest.mark.parametrize("other", [-1, 0, 1, 3])
def test_a_potential_behind_a_batch_norm_is_one_of_other_thresholds(other):
    module = Normed(other).eval()
    inputs = torch.cat([sample(400, 2), sample(400, 3) * 6 - 3])
    if other >= 0:
        assert is_refused_or_equal(module, sample(8), inputs)
        return
    assert share_that_differs(module, convert(module, sample(8)).network, inputs) < 2e-3


def test_a_first_step_in_lines_of_its_own_is_one_of_the_loop():
    def run(net: Dense, x: Tensor, first: float) -> Tensor:
        v = first * net.a(x)
        s = (v >= 0.5).float()
        total = net.b(s)
        for _ in range(STEPS - 1):
            v = 0.5 * v * (1 - s) + net.a(x)
            s = (v >= 0.5).float()
            total = total + net.b(s)
        return total

    net = Dense()
    for first in (1.0, 1.0 + 2.0**-12, 0.5):
        module = Called(lambda x, first=first: run(net, x, first))
        assert is_refused_or_equal(module, sample(8), torch.cat([sample(400, 2), sample(400, 3) * 6 - 3]))


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_a_threshold_by_function_is_a_comparison():
    """`F.threshold` keeps what is above; a spike of what it keeps is that comparison."""

    def fire(x: Tensor, t: int) -> Tensor:
        return (F.threshold(x + 0.5, 0.5, 0.0) > 2.0**-10).float()

    module = Dense(fire)
    found = convert(module, sample(8))
    assert share_that_differs(module, found.network, torch.cat([sample(400, 2), sample(400, 3) * 6 - 3])) < 2e-3
