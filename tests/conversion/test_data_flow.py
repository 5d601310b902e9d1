"""Sums of paths in modules of other libraries: what each layer is given is followed, not guessed from values."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, LInf, check_conversion, from_snntorch, from_spikingjelly, verify
from spikecert.models import Residual, SpikingNetwork
from spikecert.models.conversion.data_flow import INPUT, Arrangement, Gave, Parallel, Total, layers_of

snntorch = pytest.importorskip("snntorch")
sj: Any = pytest.importorskip("spikingjelly.activation_based.layer")
sj_neurons: Any = pytest.importorskip("spikingjelly.activation_based.neuron")

A, B, C, D = (Gave(name) for name in "abcd")


def test_layers_in_series_and_sums_within_sums():
    sources = {"a": INPUT, "b": A, "c": B, "d": Total(Total(C, B), A)}
    steps = Arrangement(sources).until("d")
    assert steps == ("a", Parallel(("b", Parallel(("c",), ())), ()), "d")
    assert list(layers_of(steps)) == ["a", "b", "c", "d"]


def test_paths_that_both_hold_layers():
    sources = {"a": INPUT, "b": INPUT, "c": B, "d": Total(A, C)}
    assert Arrangement(sources).until("d") == (Parallel(("a",), ("b", "c")), "d")


def test_hundreds_of_sums_take_no_time():
    names = [f"layer {k}" for k in range(300)]
    sources, before = {}, INPUT
    for name in names:
        sources[name] = before
        before = Total(before, Gave(name)) if name != names[-1] else before
    assert list(layers_of(Arrangement(sources).until(names[-1]))) == names


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        ({"a": INPUT, "b": INPUT, "c": Total(A, B), "d": Total(Total(A, C), B)}, "along paths that cross"),
        ({"a": INPUT, "b": INPUT, "d": A}, "b: its output does not reach d"),
        ({"a": INPUT, "d": Total(A, A)}, "adds a signal to itself"),
    ],
)
def test_what_is_no_series_of_sums_is_refused(sources: dict, reason: str):
    with pytest.raises(ConversionRefused, match=reason):
        Arrangement(sources).until("d")


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
        lambda one, other: one + 0.5 * other,
        lambda one, other: torch.add(one, other, alpha=2),
        lambda one, other: one - other,
        lambda one, other: one * other,
        lambda one, other: torch.stack([one, other]).mean(0),
        lambda one, other: one + other.flip(0),
    ],
    ids=["half", "alpha", "difference", "product", "mean", "flipped"],
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
