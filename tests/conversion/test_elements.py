"""Elements without neurons in modules of other libraries: what they become, and that they run alike."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, from_snntorch
from spikecert.models import AdaptiveAverage, SpikingNetwork, check_conversion

snntorch = pytest.importorskip("snntorch")
ELEMENTS: dict[str, tuple[nn.Module, type[nn.Module]]] = {
    "transposed": (nn.ConvTranspose2d(3, 2, 3, 2, 1, 1), nn.ConvTranspose2d),
    "zeros": (nn.ZeroPad2d((1, 0, 2, -1)), nn.ZeroPad2d),
    "a constant of 0": (nn.ConstantPad2d(1, 0.0), nn.ZeroPad2d),
    "upsampling": (nn.Upsample(scale_factor=2), nn.Upsample),
    "upsampling by another name": (nn.UpsamplingNearest2d(scale_factor=(1, 2)), nn.Upsample),
    "pixel shuffle": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.PixelShuffle(2)), nn.PixelShuffle),
    "pool to a divisor": (nn.AdaptiveAvgPool2d((2, 1)), nn.AvgPool2d),
    "pool to windows that overlap": (nn.AdaptiveAvgPool2d(3), AdaptiveAverage),
    "pool to copies": (nn.AdaptiveAvgPool2d((None, 7)), AdaptiveAverage),
}
REFUSED = {
    "a constant": (nn.ConstantPad2d(1, 0.5), r"test_elements\.py:\d+: F\.pad: pads by 0\.5, expected 0"),
    "bilinear": (
        nn.Upsample(scale_factor=2, mode="bilinear"),
        r"F\.interpolate\(mode='bilinear'\): weighs pixels beside each other, expected mode 'nearest'",
    ),
    "to a size": (nn.Upsample(7), "enlarges 4×4 to 7×7, expected a scale_factor that is a whole number"),
    "reflection": (nn.ReflectionPad2d(1), "reflection_pad2d: no layer of SpikingNetwork does what it does"),
}


class Images(nn.Module):
    """A convolution and its neuron, an element, and a dense layer; each call is a step."""

    def __init__(self, element: nn.Module, reshapes: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.element, self.reshapes = nn.Conv2d(1, 3, 3), element, reshapes
        self.first.weight.data.mul_(4.0)
        self.one: Any = snntorch.Leaky(beta=0.9, init_hidden=True)
        self.last, self.two = nn.LazyLinear(3), snntorch.Leaky(beta=0.8, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.first(x))
        if self.reshapes:
            x = x.flatten(1).view(len(x), 3, 4, 4)
        x = self.element(x)
        return self.two(self.last(x.flatten(1)))


def module(element: nn.Module, reshapes: bool = False) -> Images:
    made = Images(element, reshapes)
    made(torch.rand(1, 1, 6, 6))
    made.last.weight.data.abs_().mul_(3.0)
    return made


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_element_comes_in_and_runs_alike(name: str):
    element, kind = ELEMENTS[name]
    made = module(element)
    network = from_snntorch(made, torch.rand(6, 1, 6, 6), num_steps=4)
    assert any(type(layer) is kind for layer in network.layers)
    found = check_conversion(made, network, torch.rand(30, 1, 6, 6), num_steps=4)
    assert found.matches
    assert found.rates[0] > 0


def test_another_shape_beside_the_layers_comes_in():
    made = module(nn.Conv2d(3, 2, 2), reshapes=True)
    network = from_snntorch(made, torch.rand(6, 1, 6, 6), num_steps=4)
    assert isinstance(network, SpikingNetwork)
    assert check_conversion(made, network, torch.rand(30, 1, 6, 6), num_steps=4).matches


class Vectors(nn.Module):
    """A dense layer whose outputs are taken for images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one: Any = snntorch.Leaky(beta=0.9, init_hidden=True)
        self.first, self.second, self.last = nn.Linear(5, 16), nn.ConvTranspose2d(1, 2, 2, 2), nn.Linear(128, 3)
        self.first.weight.data.mul_(4.0)
        self.two: Any = snntorch.Leaky(beta=0.9, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.one(self.first(x)).reshape(-1, 1, 4, 4))
        return self.last(self.two(x).view(len(x), -1))


def test_vectors_become_images():
    made = Vectors()
    network = from_snntorch(made, torch.rand(6, 5), num_steps=4)
    assert [type(layer).__name__ for layer in network.layers[2:4]] == ["Unflatten", "ConvTranspose2d"]
    assert check_conversion(made, network, torch.rand(30, 5), num_steps=4).matches


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_does_is_refused_by_name(name: str):
    element, reason = REFUSED[name]
    with pytest.raises(ConversionRefused, match=reason) as caught:
        from_snntorch(module(element), torch.rand(6, 1, 6, 6), num_steps=4)
    assert "\n" not in str(caught.value)
