"""Products of spikes: SEW's AND and IAND as neurons without memory, and what of products is refused."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, LInf, from_snntorch, from_spikingjelly, verify
from spikecert.models import SpikingNetwork, check_conversion
from spikecert.models.circuit import leaky_rules
from spikecert.testing import check_sound

snntorch = pytest.importorskip("snntorch")
sj: Any = pytest.importorskip("spikingjelly.activation_based.layer")
functional: Any = pytest.importorskip("spikingjelly.activation_based.functional")
sj_neurons: Any = pytest.importorskip("spikingjelly.activation_based.neuron")
Between = Callable[[Tensor, Tensor], Tensor]
GATES: dict[str, tuple[Between, float]] = {
    "and": (lambda one, other: one * other, 1.5),
    "and, in place": (lambda one, other: one.mul_(other), 1.5),
    "not other": (lambda one, other: one * (1.0 - other), 0.5),
    "not one": (lambda one, other: (1 - one) * other, 0.5),
    "not, as a sum": (lambda one, other: one * (-other + 1), 0.5),
}
PRODUCTS: dict[str, Between] = {
    "a share": lambda one, other: one * (0.5 * other),
    "itself": lambda one, other: one * one + 0.0 * other,
    "three times": lambda one, other: one * (other * 2.0) * one * other,
}
"""What is a product, or none, as s·s = s."""
CROSSING: dict[str, Between] = {
    "neither": lambda one, other: (1 - one) * (1 - other),
    "twice": lambda one, other: one * (1 - 2 * other),
    "a sum": lambda one, other: one * (one + other),
    "from 2": lambda one, other: one * (2.0 - other),
}
"""Sums of spikes and their products."""


def leaky() -> nn.Module:
    return snntorch.Leaky(beta=0.9, init_hidden=True)


class Pair(nn.Module):
    """Two layers of spikes that meet, and one behind them."""

    def __init__(self, between: Between) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.between = between
        self.stem, self.one, self.two, self.last = (
            nn.Linear(5, 8),
            nn.Linear(8, 12),
            nn.Linear(8, 12),
            nn.Linear(12, 3),
        )
        for layer in (self.stem, self.one, self.two, self.last):
            layer.weight.data.mul_(4.0)
        self.spikes = nn.ModuleList([leaky() for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.spikes[0](self.stem(x))
        one, two = self.spikes[1](self.one(x)), self.spikes[2](self.two(x))
        return self.spikes[3](self.last(self.between(one, two)))


@pytest.mark.parametrize("name", GATES)
def test_a_product_of_spikes_is_a_layer_without_memory(name: str):
    between, threshold = GATES[name]
    module = Pair(between)
    network = from_snntorch(module, torch.rand(6, 5), num_steps=5)
    gate = leaky_rules(network)[3]
    assert (gate.decay, gate.threshold, gate.reset, gate.fires_at) == (0.0, threshold, "none", ">=")
    found = check_conversion(module, network, torch.rand(40, 5), num_steps=5)
    assert found.matches
    assert min(found.rates) > 0


class Images(nn.Module):
    """Spikes of images and their maxima, multiplied."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two, self.pool, self.last = (
            nn.Conv2d(1, 2, 3),
            nn.Conv2d(1, 2, 3),
            nn.MaxPool2d(3, 1, 1),
            nn.Linear(32, 3),
        )
        self.spikes = nn.ModuleList([leaky() for _ in range(3)])
        for layer in (self.one, self.two, self.last):
            layer.weight.data.mul_(4.0)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.pool(self.spikes[0](self.one(x))), self.spikes[1](self.two(x))
        return self.spikes[2](self.last((one * two).flatten(1)))


def test_products_come_in_in_another_shape():
    """Of flattened (1 − b)·a, views of a and of a·b, one sum is made before them."""

    class Flat(Images):
        def forward(self, x: Tensor) -> Tensor:
            one, two = self.spikes[0](self.one(x)), self.spikes[1](self.two(x))
            return self.spikes[2](self.last((one * (1 - two)).flatten(1)))

    module = Flat()
    network = from_snntorch(module, torch.rand(6, 1, 6, 6), num_steps=4)
    found = check_conversion(module, network, torch.rand(20, 1, 6, 6), num_steps=4)
    assert found.matches
    assert found.rates[2] > 0


def test_maxima_of_spikes_are_spikes():
    module = Images()
    network = from_snntorch(module, torch.rand(6, 1, 6, 6), num_steps=4)
    assert any(isinstance(layer, nn.MaxPool2d) for layer in network.modules())
    found = check_conversion(module, network, torch.rand(20, 1, 6, 6), num_steps=4)
    assert found.matches
    assert found.rates[2] > 0


def test_verdicts_hold_behind_a_gate():
    network = from_snntorch(Pair(GATES["not other"][0]), torch.rand(6, 5), num_steps=3)
    for verifier in ("trains", "complete"):
        check_sound(network, torch.rand(2, 5), LInf(0.01), verifier, timeout=0.5)


@pytest.mark.parametrize("name", ["and", "not other"])
def test_a_gate_leaves_no_spike_open(name: str):
    """Its currents lie off its threshold, so at ε = 0 the bound is the margin, to rounding."""
    network = from_snntorch(Pair(GATES[name][0]), torch.rand(6, 5), num_steps=4)
    inputs = torch.rand(60, 5, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        logits = network(inputs)
    labels = logits.argmax(1)
    runner_up = logits.topk(2, 1).values
    clear = runner_up[:, 0] > runner_up[:, 1]
    assert bool(clear.any())
    found = verify(network, inputs[clear], labels[clear], LInf(0.0), "interval")
    assert all(verdict.status == "verified" for verdict in found)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_come_in_by_what_they_compute(name: str):
    module = Pair(PRODUCTS[name])
    module.last.weight.data.mul_(4.0)
    network = from_snntorch(module, torch.rand(6, 5), num_steps=4)
    found = check_conversion(module, network, torch.rand(40, 5), num_steps=4)
    assert found.matches
    assert min(found.rates) > 0


@pytest.mark.parametrize("name", CROSSING)
def test_sums_of_spikes_and_their_products_are_refused(name: str):
    with pytest.raises(
        ConversionRefused, match=r"^module: paths cross, so that they are no sums within sums"
    ) as caught:
        from_snntorch(Pair(CROSSING[name]), torch.rand(6, 5), num_steps=4)
    assert "\n" not in str(caught.value)


def test_what_is_not_proven_to_be_spikes_is_not_multiplied():
    mean = Pair(lambda one, other: one * other.mean(1, keepdim=True))
    with pytest.raises(
        ConversionRefused, match=r"test_gates\.py:\d+: mean: sums or averages what is neither"
    ) as caught:
        from_snntorch(mean, torch.rand(6, 5), num_steps=4)
    assert "\n" not in str(caught.value)


def test_a_current_is_no_spike():
    class Gated(Pair):
        def forward(self, x: Tensor) -> Tensor:
            x = self.spikes[0](self.stem(x))
            return self.spikes[3](self.last(self.spikes[1](self.one(x)) * self.two(x)))

    told = "^module: signals multiply each other; expected sums of what layers make of spikes, or their products"
    with pytest.raises(ConversionRefused, match=told):
        from_snntorch(Gated(torch.mul), torch.rand(6, 5), num_steps=4)


class Sew(nn.Module):
    """SEW's block, perhaps of pre-activation sums as MS-ResNet has them."""

    def __init__(self, kind: str, channels: int = 3) -> None:
        super().__init__()
        self.kind = kind
        self.one, self.two = (sj.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList([sj.BatchNorm2d(channels) for _ in range(2)])
        self.spikes = nn.ModuleList([sj_neurons.IFNode() for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "MS":
            out = self.norms[0](self.one(self.spikes[0](x)))
            return self.norms[1](self.two(self.spikes[1](out))) + x
        out = self.spikes[1](self.norms[1](self.two(self.spikes[0](self.norms[0](self.one(x))))))
        return {"ADD": lambda: x + out, "AND": lambda: x * out, "IAND": lambda: x * (1.0 - out)}[self.kind]()


@pytest.mark.parametrize("kind", ["ADD", "AND", "IAND", "MS"])
@pytest.mark.parametrize("mode", ["s", "m"])
def test_blocks_of_spikingjelly_come_in(kind: str, mode: str):
    torch.manual_seed(1)
    first = [sj.Conv2d(1, 3, 3), *([] if kind == "MS" else [sj_neurons.IFNode()])]
    last = [
        *([sj_neurons.IFNode()] if kind == "MS" else []),
        sj.AdaptiveAvgPool2d(1),
        sj.Flatten(),
        sj.Linear(3, 4),
    ]
    module = nn.Sequential(*first, Sew(kind), Sew(kind), *last, sj_neurons.IFNode())
    functional.set_step_mode(module, mode)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.weight.data.mul_(4.0)
    network = from_spikingjelly(module, torch.rand(3, 1, 6, 6), num_steps=4)
    assert isinstance(network, SpikingNetwork)
    assert check_conversion(module, network, torch.rand(16, 1, 6, 6), num_steps=4).matches


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return SpikingJelly's models, which ask torchvision for downloads alone."""
    home = ModuleType("torchvision._internally_replaced_utils")
    home.load_state_dict_from_url = None  # type: ignore[attr-defined]
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name in ("torchvision._internally_replaced_utils", "torchvision.models.utils"):
        monkeypatch.setitem(sys.modules, name, home)
    return pytest.importorskip("spikingjelly.activation_based.model")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ADD", "AND", "IAND", "spiking_resnet18", "spiking_vgg11_bn"])
def test_networks_of_the_zoo_come_in_and_run_alike(name: str, zoo: Any):
    from spikingjelly.activation_based.model import sew_resnet, spiking_resnet, spiking_vgg

    torch.manual_seed(0)
    settings: dict[str, Any] = {"spiking_neuron": sj_neurons.IFNode, "num_classes": 10, "pretrained": False}
    if name in ("ADD", "AND", "IAND"):
        module = sew_resnet.sew_resnet18(cnf=name, **settings)
    else:
        module = getattr(spiking_resnet if "resnet" in name else spiking_vgg, name)(**settings)
    functional.set_step_mode(module, "m")
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_(0.0, 0.1)
            part.running_var.uniform_(0.02, 0.3)
    network = from_spikingjelly(module, torch.rand(2, 3, 32, 32), num_steps=2)
    found = check_conversion(module, network, torch.rand(4, 3, 32, 32), num_steps=2)
    assert found.matches
    assert found.rates[0] > 0.05


def test_maxima_of_currents_and_potentials_are_no_spikes():
    class Currents(Images):
        def forward(self, x: Tensor) -> Tensor:
            one, two = self.pool(self.one(x)), self.spikes[1](self.two(x))
            return self.spikes[2](self.last((one * two).flatten(1)))

    with pytest.raises(ConversionRefused, match=r"^module: signals multiply each other"):
        from_snntorch(Currents(), torch.rand(6, 1, 6, 6), num_steps=4)
