"""Sums of paths in modules of other libraries: what each layer is given is followed, not guessed from values."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, LInf, check_conversion, from_snntorch, from_spikingjelly, verify
from spikecert.models import Residual, Share, SpikingNetwork
from spikecert.models.conversion.converting import _silent
from spikecert.models.conversion.layers import normalizing
from spikecert.models.conversion.observing.arranging import Arrangement, Parallel, layers_of
from spikecert.models.conversion.observing.data_flow import (
    INPUT,
    Adjusted,
    Gave,
    Joined,
    Origins,
    _adjusted,
    negative,
)

snntorch = pytest.importorskip("snntorch")
sj: Any = pytest.importorskip("spikingjelly.activation_based.layer")
sj_neurons: Any = pytest.importorskip("spikingjelly.activation_based.neuron")

A, B, C, D = (Gave(name) for name in "abcd")


def test_layers_in_series_and_sums_within_sums():
    sources = {"a": INPUT, "b": A, "c": B, "d": Joined(Joined(C, B), A)}
    steps = Arrangement(sources).until("d")
    assert steps == ("a", Parallel(("b", Parallel(("c",), ())), ()), "d")
    assert list(layers_of(steps)) == ["a", "b", "c", "d"]


def test_paths_that_both_hold_layers():
    sources = {"a": INPUT, "b": INPUT, "c": B, "d": Joined(A, C)}
    assert Arrangement(sources).until("d") == (Parallel(("a",), ("b", "c")), "d")


def test_hundreds_of_sums_take_no_time():
    names = [f"layer {k}" for k in range(300)]
    sources, before = {}, INPUT
    for name in names:
        sources[name] = before
        before = Joined(before, Gave(name)) if name != names[-1] else before
    assert list(layers_of(Arrangement(sources).until(names[-1]))) == names


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        ({"a": INPUT, "b": INPUT, "c": Joined(A, B), "d": Joined(Joined(A, C), B)}, "along paths that cross"),
        ({"a": INPUT, "b": INPUT, "d": A}, "b: its output does not reach d"),
        ({"a": INPUT, "d": Joined(A, A)}, "adds a signal to itself"),
    ],
)
def test_what_is_no_series_of_sums_is_refused(sources: dict, reason: str):
    with pytest.raises(ConversionRefused, match=reason):
        Arrangement(sources).until("d")


@pytest.mark.parametrize(
    ("name", "kwargs", "origin"),
    [
        ("add", {}, Joined(A, B)),
        ("add_", {"alpha": 1}, Joined(A, B)),
        ("add", {"alpha": 2}, None),
        ("sub", {}, Joined(A, negative(B))),
        ("mul", {}, Gave("a AND b")),
        ("div", {}, None),
        ("div", {"rounding_mode": "floor"}, None),
        ("maximum", {}, None),
    ],
)
def test_of_two_signals_only_a_plain_sum_is_followed(name: str, kwargs: dict, origin: Any):
    origins, one, other, made = Origins(), *torch.zeros(3, 2, 4).unbind()
    origins.note(one, A)
    origins.note(other, B)
    origins.follow(name, False, (one, other), kwargs, made)
    assert origins.of(made) == origin


def test_what_depends_on_the_input_is_no_constant():
    origins, signal, made = Origins(), torch.zeros(3, 4), torch.zeros(3, 4)
    number, state = torch.ones(4), torch.ones(4)
    origins.note(signal, A)
    origins.note(state, None)
    origins.hold(number)
    origins.follow("sub", False, (signal, number), {}, made)
    assert origins.of(made) == Adjusted(A, "sub", (1.0,) * 4)
    origins.follow("sub", False, (signal, state), {}, made)
    assert origins.of(made) is None


def leaky() -> nn.Module:
    return snntorch.Leaky(beta=0.9, init_hidden=True)


class Blocks(nn.Module):
    """A stem, a block of two layers beside a projection, one beside the identity, and a last layer."""

    stem: Any
    one: Any
    two: Any
    beside: Any
    three: Any
    last: Any
    stem_spikes: Any
    one_spikes: Any
    two_spikes: Any
    beside_spikes: Any
    three_spikes: Any
    last_spikes: Any

    def __init__(self, between: Callable[[Tensor, Tensor], Tensor] = torch.add) -> None:
        super().__init__()
        torch.manual_seed(0)
        sizes = {"stem": (6, 8), "one": (8, 10), "two": (10, 9), "beside": (8, 9), "three": (9, 9), "last": (9, 3)}
        for name, size in sizes.items():
            layer = nn.Linear(*size)
            layer.weight.data.mul_(3.0)
            setattr(self, name, layer)
            setattr(self, f"{name}_spikes", leaky())
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_spikes(self.stem(x))
        beside = self.beside_spikes(self.beside(x))
        x = self.two_spikes(self.two(self.one_spikes(self.one(x)))) + beside
        x = self.between(self.three_spikes(self.three(x)), x)
        return self.last_spikes(self.last(x))


def test_residual_blocks_of_snntorch_come_in_and_run_alike():
    module, sample = Blocks(), torch.rand(6, 6)
    network = from_snntorch(module, sample, num_steps=5)
    assert [type(layer).__name__ for layer in network.layers] == [
        *("Linear", "LIF", "Residual", "Residual", "Linear", "LIF")
    ]
    first, second = (layer for layer in network.layers if isinstance(layer, Residual))
    assert [len(first.branch), len(first.shortcut), len(second.branch), len(second.shortcut)] == [4, 2, 2, 0]
    fresh = torch.rand(40, 6, generator=torch.Generator().manual_seed(1))
    found = check_conversion(module, network, fresh, num_steps=5)
    assert found.matches
    assert min(found.rates) > 0


def test_verdicts_of_converted_blocks_hold_for_the_module():
    module, inputs = Blocks(), torch.rand(6, 6, generator=torch.Generator().manual_seed(2))
    network = from_snntorch(module, inputs, num_steps=5)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    verdicts = verify(network, inputs, labels, LInf(0.002), "trains")
    assert any(verdict.status == "verified" for verdict in verdicts)
    for sample, label, verdict in zip(inputs, labels, verdicts, strict=True):
        moved = (sample + 0.002 * (2 * torch.rand(64, 6) - 1)).clamp(0, 1)
        if verdict.status == "verified":
            assert bool((counts(module, moved).argmax(1) == label).all())


@torch.no_grad()
def counts(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return the module's spikes over five steps, counted."""
    leaks: list[Any] = [part for part in module.modules() if isinstance(part, snntorch.Leaky)]
    for part in leaks:
        part.reset_mem()
    return torch.stack([module(inputs) for _ in range(5)]).sum(0)


def test_a_silent_path_is_kept():
    """By values a path that never fires on what is compared can't be told from none."""
    module = Blocks()
    module.three.weight.data.zero_()
    module.three.bias.data.fill_(-1.0)
    network = from_snntorch(module, torch.rand(6, 6), num_steps=5)
    assert [isinstance(layer, Residual) for layer in network.layers].count(True) == 2


@pytest.mark.parametrize(
    "between",
    [
        lambda one, other: torch.add(one, other, alpha=2),
        lambda one, other: one + other * other.mean(),
        lambda one, other: one + other.amax(1, keepdim=True),
        lambda one, other: one * other,
        lambda one, other: one / (1 + other),
        lambda one, other: torch.stack([one, other]).mean(0),
        lambda one, other: one + other.flip(0),
    ],
    ids=["alpha", "mean of it", "largest", "product with a sum", "quotient", "mean", "flipped"],
)
def test_other_ways_to_join_paths_are_refused(between: Callable[[Tensor, Tensor], Tensor]):
    with pytest.raises(ConversionRefused) as caught:
        from_snntorch(Blocks(between), torch.rand(6, 6), num_steps=5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("between", [lambda one, other: one.add_(other), lambda one, other: sum([one, other])])
def test_sums_in_place_and_by_python_are_sums(between: Callable[[Tensor, Tensor], Tensor]):
    network = from_snntorch(Blocks(between), torch.rand(6, 6), num_steps=5)
    assert sum(isinstance(layer, Residual) for layer in network.layers) == 2


class Block(nn.Module):
    """SEW's block with ADD: spikes of two convolutions and the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        parts = [(sj.Conv2d(channels, channels, 3, padding=1), sj_neurons.IFNode()) for _ in range(2)]
        self.parts = nn.ModuleList([part for pair in parts for part in pair])

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for part in self.parts:
            out = part(out)
        out += x
        return out


@pytest.mark.parametrize("mode", ["s", "m"])
def test_residual_blocks_of_spikingjelly_come_in(mode: str):
    torch.manual_seed(0)
    last = sj.Flatten(), sj.Linear(4 * 36, 3), sj_neurons.IFNode()
    module: Any = nn.Sequential(sj.Conv2d(1, 4, 3), sj_neurons.IFNode(), Block(4), Block(4), *last)
    for part in module.modules():
        if hasattr(part, "step_mode"):
            part.step_mode = mode
        if isinstance(part, nn.Conv2d):
            part.weight.data.mul_(4.0)
    network = from_spikingjelly(module, torch.rand(3, 1, 8, 8), num_steps=4)
    assert isinstance(network, SpikingNetwork)
    assert sum(isinstance(layer, Residual) for layer in network.layers) == 2
    found = check_conversion(module, network, torch.rand(8, 1, 8, 8), num_steps=4)
    assert found.matches
    assert min(found.rates) > 0


@pytest.mark.parametrize(
    ("between", "kind"),
    [
        (lambda one, other: one + 0.5 * other, Residual),
        (lambda one, other: one - other, Residual),
        (lambda one, other: 3.0 - (one + other), nn.BatchNorm1d),
        (lambda one, other: -2.0 * (one + other), Share),
        (lambda one, other: (one + other - 0.5) / 2, nn.BatchNorm1d),
        (lambda one, other: (one + other).mul_(torch.arange(1.0, 10.0)), nn.BatchNorm1d),
    ],
    ids=["a share of a path", "difference", "reflected", "negative", "a standard score", "a factor for each"],
)
def test_constants_beside_layers_become_layers(between: Callable[[Tensor, Tensor], Tensor], kind: type):
    module = Blocks(between)
    network = from_snntorch(module, torch.rand(6, 6), num_steps=5)
    assert isinstance(network.layers[-3], kind)
    found = check_conversion(module, network, torch.rand(40, 6), num_steps=5)
    assert found.matches
    assert min(found.rates) > 0


class Normalized(nn.Module):
    """Normalises images inside of forward, with constants of every kind."""

    mean: Tensor
    std: Tensor
    inverse: Tensor
    convolution: Any
    last: Any
    spikes: Any

    def __init__(self, divide: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.25, 0.2, 0.3]).view(3, 1, 1))
        self.register_buffer("inverse", 1 / self.std)
        self.divide = divide
        self.convolution, self.spikes, self.last = nn.Conv2d(3, 4, 3), leaky(), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.mean
        x = x / self.std if self.divide else x * self.inverse
        return self.last(self.spikes(self.convolution(x)).flatten(1))


@pytest.mark.parametrize("divide", [True, False])
def test_a_normalisation_inside_forward_becomes_layers(divide: bool):
    module, sample = Normalized(divide), torch.rand(4, 3, 6, 6)
    network = from_snntorch(module, sample, num_steps=4)
    assert [type(layer).__name__ for layer in network.layers[:3]] == ["Normalize", "Normalize", "Conv2d"]
    found = check_conversion(module, network, torch.rand(30, 3, 6, 6), num_steps=4)
    assert found.matches
    assert min(found.rates) > 0


def test_what_depends_on_the_batch_is_no_constant():
    def centred(one: Tensor, other: Tensor) -> Tensor:
        return one + other - other.mean(0)

    with pytest.raises(ConversionRefused, match="last: is not given what"):
        from_snntorch(Blocks(centred), torch.rand(6, 6), num_steps=5)


class Gated(nn.Module):
    """Scales spikes by a mean of the neuron's own state, which one call over all steps gives once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        first, second = sj.Linear(6, 8, step_mode="m"), sj.Linear(8, 5, step_mode="m")
        self.first: Any = first
        self.second: Any = second
        self.one: Any = sj_neurons.IFNode(step_mode="m")
        self.two: Any = sj_neurons.IFNode(step_mode="m")
        self.first.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.one(self.first(x))
        return self.two(self.second(spikes * (5.0 + self.one.v.mean())))


def test_a_neurons_state_is_no_constant():
    with pytest.raises(ConversionRefused, match="second: is not given what one gives"):
        from_spikingjelly(Gated(), torch.rand(6, 6), num_steps=4)


@pytest.mark.parametrize(
    ("name", "numbers", "changes"),
    [
        *(("mul", (1.0,), False), ("div", (1.0, 1.0), False), ("add", (0.0,), False), ("sub", (0.0,), False)),
        *(("mul", (0.0,), True), ("add", (1.0,), True), ("mul", (1.0, 2.0), True)),
    ],
)
def test_only_a_constant_that_changes_nothing_is_left_out(name: str, numbers: tuple[float, ...], changes: bool):
    assert _adjusted(A, name, numbers) == (Adjusted(A, name, numbers) if changes else A)


def test_neurons_that_never_fired_are_told_and_no_others():
    layers = [
        SimpleNamespace(name=name, neuron=neuron) for name, neuron in (("a", 1), ("b", None), ("c", 1), ("d", 1))
    ]
    told = _silent(SimpleNamespace(layers=layers), SimpleNamespace(rates=(0.5, 0.0, 1.0)))  # type: ignore[arg-type]
    assert [line.partition(":")[0] for line in told] == ["c"]


def test_a_constant_of_factors_both_above_and_below_zero_is_refused() -> None:
    with pytest.raises(ConversionRefused, match=r"^module: mul by -1 beside its layers, expected factors above"):
        normalizing("mul", (2.0, -1.0), False, torch.float32)
    layer = normalizing("mul", (2.0, 0.5), False, torch.float32)
    assert torch.equal(layer(torch.ones(3, 2)), torch.tensor([[2.0, 0.5]]).expand(3, 2))
