"""First-layer neurons that each look at one spot of the image, and go on doing so through training."""

import math
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from ...models.constants import at_least, positive, real, settle, share, whole
from ...models.elements.layers import WEIGHTED
from ...models.elements.neurons import LIF
from ...models.networks import SpikingNetwork


@dataclass(frozen=True)
class LocalFields:
    """Gives each first-layer neuron a small receptive field, outside of which its weights stay zero.

    An ℓ∞ ball of radius ε moves a neuron's current by up to ε·‖w‖₁. Neighbouring pixels agree, so that a sum
    over a few of them differs much from image to image for its ‖w‖₁, and a sum over all pixels little. Interval
    training finds local weights only slowly from dense ones. The field is a Gaussian blob, w ∝ exp(−d²/2σ²), or
    the difference of two, cut off at distance reach·σ. Where it lies, σ and the difference's direction are
    random.

    `start` sets weights and biases; as `fit(..., after_step=fields)` it keeps the weights outside of the fields at
    zero.

    Args:
        height, width: of the images, in pixels.
        smallest, largest: the range of σ in pixels, drawn with a uniform logarithm.
        opposed: the share of neurons that take a difference.
        norm: ‖w‖₁ at the start.
        reach: where fields end, in σ.
        seed: of everything random.

    Raises:
        ValueError: for a number out of range.

    >>> from spikecert import LIF, dataset, mlp
    >>> network, fields = mlp((64, 16, 10), 1, LIF(0.5)), LocalFields(8, 8, largest=1.0)
    >>> fields.start(network, dataset("digits").train.inputs)
    >>> bool((network.layers[0].weight == 0).any())
    True
    """

    height: int = 28
    width: int = 28
    smallest: float = 0.7
    largest: float = 2.5
    opposed: float = 0.5
    norm: float = 3.0
    reach: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        settle(self, at_least(1), "height", "width")
        settle(self, positive, "smallest", "norm", "reach")
        settle(self, partial(real, finite=False), "largest")
        settle(self, share, "opposed")
        settle(self, whole, "seed")
        if not self.smallest <= self.largest < math.inf:
            raise ValueError(
                f"largest: got {self.largest!r}, expected a finite number of at least {self.smallest}"
            )

    @torch.no_grad()
    def start(self, network: SpikingNetwork, images: Tensor) -> None:
        """Set the first layer's weights to fields, and its biases: each neuron is at its threshold on one image.

        The image is drawn for each neuron, so that thresholds are spread as what the neurons see.

        Args:
            network: its first layer with weights is Linear, a spiking one follows; set in place.
            images: (samples, ...) of the training split.

        Raises:
            ValueError: for a network that begins otherwise, or images of another size.
        """
        weight, bias = self._first(network)
        weights, _ = _fields(self, *weight.shape)
        generator = torch.Generator().manual_seed(self.seed)
        chosen = torch.randint(len(images), (len(weights),), generator=generator)
        seen = images[chosen].flatten(1).to(weights)
        if seen.shape[1] != weights.shape[1]:
            raise ValueError(f"images: got {seen.shape[1]} values each, expected {weights.shape[1]}")
        neuron = next(module for module in network.modules() if isinstance(module, LIF))
        weight.copy_(weights)
        bias.copy_(neuron.dynamics.threshold - (weights * seen).sum(1))

    @torch.no_grad()
    def __call__(self, network: nn.Module, generator: torch.Generator | None = None) -> None:
        """Zero the first layer's weights outside of the fields, in place; nothing is drawn."""
        weight, _ = self._first(network)
        weight.mul_(_fields(self, *weight.shape)[1].to(weight))

    def _first(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Return W and b of the first layer with weights."""
        layer = next((module for module in network.modules() if isinstance(module, WEIGHTED)), None)
        pixels = self.height * self.width
        if layer is None or layer.bias is None or layer.weight.dim() != 2 or layer.weight.shape[1] % pixels:
            size = f"{self.height}×{self.width}"
            raise ValueError(f"network: its first layer is {layer}, expected Linear over {size} pixels, with bias")
        return layer.weight, layer.bias


@lru_cache(maxsize=8)
def _fields(fields: LocalFields, neurons: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Return the weights at the start and where they may differ from zero, each (neurons, inputs), float64."""
    generator = torch.Generator().manual_seed(fields.seed)

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(neurons, 1, 1, generator=generator, dtype=torch.float64)

    sigma = draw(math.log(fields.smallest), math.log(fields.largest)).exp()
    row, column = draw(0.0, fields.height - 1.0), draw(0.0, fields.width - 1.0)
    angle, distance = draw(0.0, 2.0 * math.pi), sigma * draw(1.5, 4.0)
    there = (row + distance * angle.sin()).clamp(0.0, fields.height - 1.0)
    across = (column + distance * angle.cos()).clamp(0.0, fields.width - 1.0)
    apart = torch.hypot(there - row, across - column) >= 1.0  # a border may have pushed both onto one spot
    two = ((draw(0.0, 1.0) < fields.opposed) & apart).double()
    channels = inputs // (fields.height * fields.width)
    channel = draw(0.0, float(channels)).long().clamp_max(channels - 1) == torch.arange(channels)[:, None]
    one, other = _blob(fields, row, column, sigma), _blob(fields, there, across, sigma)
    inside = (one > 0) | (two * other > 0)
    weights = one / one.sum((1, 2), keepdim=True) - two * other / other.sum((1, 2), keepdim=True)
    weights *= fields.norm / weights.abs().sum((1, 2), keepdim=True)
    pair = [(channel[..., None] * part[:, None]).flatten(1) for part in (weights, inside.double())]
    return pair[0], pair[1]


def _blob(fields: LocalFields, row: Tensor, column: Tensor, sigma: Tensor) -> Tensor:
    """Return exp(−d²/2σ²) up to a factor, and zero further off than `reach`, (neurons, height, width)."""
    rows = torch.arange(fields.height, dtype=torch.float64)[:, None]
    columns = torch.arange(fields.width, dtype=torch.float64)
    squared = ((rows - row) ** 2 + (columns - column) ** 2) / sigma**2
    nearest = squared.flatten(1).amin(1).view(-1, 1, 1)  # a narrow blob between pixels keeps its nearest one
    return torch.exp(-0.5 * (squared - nearest)) * ((squared <= fields.reach**2) | (squared == nearest))
