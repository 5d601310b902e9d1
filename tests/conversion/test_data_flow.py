"""Sums of paths in modules of other libraries: what each layer is given is followed, not guessed from values."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, LInf, convert, from_snntorch, from_spikingjelly, verify
from spikecert.models import Residual, Share, SpikingNetwork, check_conversion

snntorch = pytest.importorskip("snntorch")
sj: Any = pytest.importorskip("spikingjelly.activation_based.layer")
sj_neurons: Any = pytest.importorskip("spikingjelly.activation_based.neuron")


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
        lambda one, other: one + other * other.mean(),
        lambda one, other: one + other.amax(1, keepdim=True),
        lambda one, other: one * other,
        lambda one, other: one / (1 + other),
        lambda one, other: one + other.flip(0),
    ],
    ids=["mean of it", "largest", "product with a sum", "quotient", "flipped"],
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
        (lambda one, other: torch.add(one, other, alpha=2), Residual),
        (lambda one, other: torch.stack([one, other]).mean(0), Share),
        (lambda one, other: one - other, Residual),
        (lambda one, other: 3.0 - (one + other), nn.BatchNorm1d),
        (lambda one, other: -2.0 * (one + other), Share),
        (lambda one, other: (one + other - 0.5) / 2, nn.BatchNorm1d),
        (lambda one, other: (one + other).mul_(torch.arange(1.0, 10.0)), nn.BatchNorm1d),
    ],
    ids=[
        "a share of a path",
        "alpha",
        "mean",
        "difference",
        "reflected",
        "negative",
        "a standard score",
        "a factor for each",
    ],
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
    assert [type(layer).__name__ for layer in network.layers[:3]] == ["Normalize", "Conv2d", "LIF"]
    found = check_conversion(module, network, torch.rand(30, 3, 6, 6), num_steps=4)
    assert found.matches
    assert min(found.rates) > 0


def test_what_depends_on_the_batch_is_no_constant():
    def centred(one: Tensor, other: Tensor) -> Tensor:
        return one + other - other.mean(0)

    with pytest.raises(
        ConversionRefused, match=r"test_data_flow\.py:\d+: mean: sums or averages what is neither time"
    ):
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
    with pytest.raises(
        ConversionRefused, match=r"test_data_flow\.py:\d+: mean: sums or averages what is neither time"
    ):
        from_spikingjelly(Gated(), torch.rand(6, 6), num_steps=4)


class Chain(nn.Module):
    """A stem, and layers of two neurons whose spikes are joined with what came before."""

    def __init__(self, count: int, join: Callable[[int, Tensor, Tensor, list[Tensor]], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dense = nn.ModuleList([nn.Linear(4, 4) for _ in range(count + 1)])
        self.neurons = nn.ModuleList([leaky() for _ in range(count + 1)])
        self.last, self.join = nn.Linear(4, 3), join
        for layer in self.dense:
            layer.weight.data.mul_(3.0)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for place, (dense, neuron) in enumerate(zip(self.dense, self.neurons, strict=True)):
            kept.append(neuron(dense(x)))
            x = self.join(place, kept[-1], x, kept)
        return self.last(x)


def test_tens_of_sums_take_no_time():
    """Terms of sums within sums are as many as there are layers, not as there are paths."""
    module = Chain(24, lambda place, spikes, x, kept: spikes + x if place else spikes)
    network = from_snntorch(module, torch.rand(4, 4), num_steps=2)
    assert sum(isinstance(layer, Residual) for layer in network.modules()) == 24


def test_paths_that_cross_are_refused():
    def crossing(place: int, spikes: Tensor, x: Tensor, kept: list[Tensor]) -> Tensor:
        return spikes if place < 2 else kept[place] + kept[place - 2]

    with pytest.raises(ConversionRefused, match=r"^module: paths cross, so that they are no sums within sums"):
        from_snntorch(Chain(3, crossing), torch.rand(4, 4), num_steps=2)


def test_a_signal_that_is_added_to_itself_is_doubled():
    module = Chain(1, lambda place, spikes, x, kept: spikes + spikes)
    network = from_snntorch(module, torch.rand(4, 4), num_steps=2)
    assert [layer.share for layer in network.layers if isinstance(layer, Share)] == [2.0, 2.0]


def test_a_layer_that_nothing_hears_is_left_out():
    network = from_snntorch(Chain(1, lambda place, spikes, x, kept: kept[0]), torch.rand(4, 4), num_steps=2)
    assert len(network.neurons) == 1


@pytest.mark.parametrize(
    ("between", "kinds"),
    [
        (lambda x: x * 1.0 / torch.ones(9) + 0.0 - 0.0, []),
        (lambda x: x + 1.0, ["BatchNorm1d"]),
        (lambda x: x * torch.arange(1.0, 10.0), ["BatchNorm1d"]),
        (lambda x: x * torch.arange(-4.0, 5.0), ["BatchNorm1d"]),
    ],
    ids=["nothing", "a constant", "factors", "factors of both signs"],
)
def test_only_a_constant_that_changes_nothing_is_left_out(between: Callable[[Tensor], Tensor], kinds: list[str]):
    module = Blocks(lambda one, other: between(one))
    network = from_snntorch(module, torch.rand(6, 6), num_steps=3)
    held = [type(layer).__name__ for layer in network.layers]
    assert [name for name in held if name == "BatchNorm1d"] == kinds
    assert check_conversion(module, network, torch.rand(40, 6), num_steps=3).matches


def test_neurons_that_never_fired_are_told_and_no_others():
    module = Blocks()
    module.three.weight.data.zero_()
    module.three.bias.data.fill_(-1.0)
    notes = [note for note in convert(module, torch.rand(6, 6), 3).notes if "never fired" in note]
    assert len(notes) == 1
    assert notes[0].partition(":")[0] == "test_data_flow.py"
