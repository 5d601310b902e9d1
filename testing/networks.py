"""Hypothesis strategies of networks.

Half of what is drawn lies on a grid of 1/4 (weights, inputs, ε), which puts currents exactly on thresholds: there
verifiers err. Sizes and constants shrink; weights and inputs come from a drawn seed and do not.

Layers that make images of their own size of others, for random networks.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..models.architectures.architectures import mlp
from ..models.architectures.images import average
from ..models.elements.layers import Residual, walk
from ..models.elements.neurons import LIF
from ..models.linear_maps import affine_types
from ..models.linear_maps.averaging import AdaptiveAverage, Share
from ..models.networks import SpikingNetwork
from .neurons import SEEDS, neurons, st

MOVES = ("zeros", "upsampling", "transposed", "averages", "shuffle")
"""What they are."""


def moving(kind: str, channels: int, side: int) -> list[nn.Module]:
    """Return the layers that `kind`, one of `MOVES` or "none", names, for images (channels, side, side)."""
    size, other = (side, side), (side - 1, side + 1)
    return {
        "none": [],
        "zeros": [nn.ZeroPad2d((1, -1, 0, 0))],
        "upsampling": [average(2), nn.Upsample(scale_factor=2)],
        "transposed": [nn.ConvTranspose2d(channels, channels, 3, padding=1)],
        "averages": [AdaptiveAverage(size, other), AdaptiveAverage(other, size)],
        "shuffle": [nn.Conv2d(channels, 4 * channels, 2, 2), nn.PixelShuffle(2)],
    }[kind]


PADDINGS: st.SearchStrategy[Literal["zeros", "reflect", "replicate", "circular"]] = st.sampled_from(
    ["zeros", "zeros", "reflect", "replicate", "circular"]
)
POOLS = ("average", "max")
"""Pools of images and sequences."""
DTYPES = (torch.float32, torch.float64)
SPREAD = 1.5
"""The standard deviation of weights: enough that neurons both fire and stay silent."""


@st.composite
def networks(
    draw: st.DrawFn,
    most_layers: int = 3,
    most_width: int = 8,
    most_steps: int = 6,
    features: int | None = None,
    dtypes: Sequence[torch.dtype] = DTYPES,
    encodings: Sequence[str] = ("direct", "direct", "none"),
    neuron: LIF | None = None,
) -> SpikingNetwork:
    """Return a dense network with random weights, in evaluation mode.

    Args:
        most_layers: spiking layers, at least 1.
        most_width: neurons of a layer.
        most_steps: T.
        features: inputs; None: any.
        dtypes, encodings: what to choose from.
        neuron: of every spiking layer; None: any of `neurons`.
    """
    return drawn_network(draw, most_layers, most_width, most_steps, features, dtypes, encodings, neuron).network


@st.composite
def image_networks(
    draw: st.DrawFn,
    side: int = 6,
    most_channels: int = 3,
    most_steps: int = 4,
    pools: Sequence[str] = POOLS,
    moves: Sequence[str] = MOVES,
) -> SpikingNetwork:
    """Return a network for images (1, side, side): convolution, batch norm, pooling, a residual sum, some of them.

    Args:
        side: of the images, even and at least 4.
        most_channels: of the convolutions.
        most_steps: T.
        pools: what to choose from: "average" (of spikes), "max" (of spikes, and perhaps of first currents).
        moves: what layers that only move and average to choose from, besides none.
    """
    pool = draw(st.sampled_from(tuple(pools)))
    steps, channels = draw(st.integers(1, most_steps)), draw(st.integers(1, most_channels))
    moved = draw(st.sampled_from(("none", "none", *moves)))
    first: list[nn.Module] = [nn.Conv2d(1, channels, 3, padding=1)]
    if draw(st.booleans()):
        first.append(nn.BatchNorm2d(channels))
    if pool == "max" and draw(st.booleans()):
        first.append(nn.MaxPool2d(3, 1, 1))
    middle = [nn.Conv2d(channels, channels, 3, padding=1), draw(neurons(steps))]
    inner = draw(st.sampled_from(["none", "plain", "residual", "shares"]))
    shared = Residual([*middle, Share()], [Share()])
    body = {"none": [], "plain": middle, "residual": [Residual(middle)], "shares": [shared]}[inner]
    last = average(2) if pool == "average" else draw(st.sampled_from([nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1)]))
    head = [*moving(moved, channels, side), last, nn.Flatten(), nn.Linear(channels * (side // 2) ** 2, 3)]
    network = SpikingNetwork(*first, draw(neurons(steps)), *body, *head, num_steps=steps)
    _fill(network, draw(st.booleans()), torch.Generator().manual_seed(draw(SEEDS)))
    return network.to(draw(st.sampled_from(DTYPES))).eval()


@st.composite
def sequence_networks(
    draw: st.DrawFn,
    length: int = 8,
    most_channels: int = 3,
    most_steps: int = 4,
    dtypes: Sequence[torch.dtype] = DTYPES,
    encodings: Sequence[str] = ("direct", "direct", "none"),
    pools: Sequence[str] = POOLS,
) -> SpikingNetwork:
    """Return a network for sequences (1, length): convolution, batch norm, a residual sum, pooling, some of them.

    Strides, groups, dilation, and what stands in the padding, are drawn.

    Args:
        length: of the sequences, at least 8.
        most_channels: of the convolutions.
        most_steps: T.
        dtypes, encodings: what to choose from.
        pools: what to choose from: "average" (of spikes), "max" (of spikes, and perhaps of first currents).
    """
    pool = draw(st.sampled_from(tuple(pools)))
    steps, channels = draw(st.integers(1, most_steps)), draw(st.integers(1, most_channels))
    first: list[nn.Module] = [draw(_first_convolutions(channels))]
    if draw(st.booleans()):
        first.append(nn.BatchNorm1d(channels))
    if pool == "max" and draw(st.booleans()):
        first.append(nn.MaxPool1d(3, 1, 1))
    middle: list[nn.Module] = [
        nn.Conv1d(channels, channels, 3, padding=1, groups=draw(st.sampled_from([1, channels]))),
        draw(neurons(steps)),
    ]
    inner = draw(st.sampled_from(["none", "plain", "residual"]))
    body = {"none": [], "plain": middle, "residual": [Residual(middle)]}[inner]
    head = [draw(_sequence_pools(pool)), nn.Flatten()]
    size = nn.Sequential(*first, *head).eval()(torch.zeros(1, 1, length)).numel()
    layers = *first, draw(neurons(steps)), *body, *head, nn.Linear(size, 3)
    network = SpikingNetwork(*layers, num_steps=steps, encoding=draw(st.sampled_from(tuple(encodings))))
    _fill(network, draw(st.booleans()), torch.Generator().manual_seed(draw(SEEDS)))
    return network.to(draw(st.sampled_from(tuple(dtypes)))).eval()


@st.composite
def _first_convolutions(draw: st.DrawFn, channels: int) -> nn.Conv1d:
    """Return a convolution of one channel that leaves at least two of eight entries."""
    mode = draw(PADDINGS)
    stride, size = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 3, 3]))
    same = stride == 1 and size != 2 and draw(st.booleans())  # torch warns of "same" with an even kernel
    padding = "same" if same else draw(st.integers(0, 2))
    return nn.Conv1d(1, channels, size, stride, padding, draw(st.integers(1, 2)), padding_mode=mode)


@st.composite
def _sequence_pools(draw: st.DrawFn, pool: str) -> nn.AvgPool1d | nn.MaxPool1d:
    """Return a pool that fits sequences of two entries and more."""
    size = draw(st.integers(1, 3))
    padding = 1 if size == 3 else draw(st.integers(0, size // 2))
    stride, up = draw(st.integers(1, 3)), draw(st.booleans())
    if pool == "max":
        return nn.MaxPool1d(size, stride, padding, ceil_mode=up)
    return nn.AvgPool1d(size, stride, padding, up, draw(st.booleans()))


@st.composite
def residual_networks(
    draw: st.DrawFn,
    most_blocks: int = 2,
    most_width: int = 5,
    most_steps: int = 5,
    features: int | None = None,
    dtypes: Sequence[torch.dtype] = DTYPES,
    encodings: Sequence[str] = ("direct", "direct", "none"),
) -> SpikingNetwork:
    """Return a dense network with residual sums behind its first spiking layer, in evaluation mode.

    A sum's parts start from spikes or from an earlier sum; either may hold neurons, and the shortcut be empty.

    Args:
        most_blocks: residual sums, at least 1.
        most_width: neurons of a layer.
        most_steps: T.
        features: inputs; None: any.
        dtypes, encodings: what to choose from.
    """
    steps, width = draw(st.integers(1, most_steps)), draw(st.integers(1, most_width))
    template = draw(neurons(steps))

    def made(plan: str) -> list[nn.Module]:
        """Return the layers that a plan names: w for weights, s for spikes, c for a share."""
        kinds = {"w": lambda: nn.Linear(width, width), "s": lambda: copy.deepcopy(template), "c": Share}
        return [kinds[kind]() for kind in plan]

    blocks: list[nn.Module] = []
    for _ in range(draw(st.integers(1, most_blocks))):
        branch, shortcut = (
            draw(st.sampled_from(["w", "ws", "wsw", "wc"])),
            draw(st.sampled_from(["", "w", "ws", "c"])),
        )
        after = "ws" if branch == "ws" else "s"  # a neuron on sums of spikes alone would only tie
        blocks += [Residual(made(branch), made(shortcut)), *made(draw(st.sampled_from(["", after])))]
    size = draw(st.integers(1, most_width)) if features is None else features
    ends = nn.Linear(size, width), nn.Linear(width, draw(st.integers(2, 4)))
    encoding = draw(st.sampled_from(tuple(encodings)))
    network = SpikingNetwork(ends[0], *made("s"), *blocks, ends[1], num_steps=steps, encoding=encoding)
    _fill(network, draw(st.booleans()), torch.Generator().manual_seed(draw(SEEDS)))
    return network.to(draw(st.sampled_from(tuple(dtypes)))).eval()


@dataclass(frozen=True)
class Drawn:
    """A network, whether it is on the grid, and the generator that filled it."""

    network: SpikingNetwork
    grid: bool
    generator: torch.Generator


def drawn_network(
    draw: st.DrawFn,
    most_layers: int,
    most_width: int,
    most_steps: int,
    features: int | None,
    dtypes: Sequence[torch.dtype],
    encodings: Sequence[str],
    neuron: LIF | None,
) -> Drawn:
    """Draw a multilayer network, half of them with weights on a grid of quarters, where ties happen."""
    steps = draw(st.integers(1, most_steps))
    widths = draw(st.lists(st.integers(1, most_width), min_size=2, max_size=most_layers + 1))
    if features is not None:
        widths[0] = features
    classes = draw(st.integers(2, 4))
    network = mlp((*widths, classes), steps, neuron or draw(neurons(steps)))
    network.encoding = draw(st.sampled_from(tuple(encodings)))
    grid, generator = draw(st.booleans()), torch.Generator().manual_seed(draw(SEEDS))
    _fill(network, grid, generator)
    return Drawn(network.to(draw(st.sampled_from(tuple(dtypes)))).eval(), grid, generator)


def _fill(network: SpikingNetwork, grid: bool, generator: torch.Generator) -> None:
    """Draw all weights, and running means and variances of batch norms."""
    for layer in walk(network.layers):
        if type(layer) in affine_types():
            for parameter in layer.parameters():
                values = torch.randn(parameter.shape, generator=generator) * SPREAD
                parameter.data = (values * 4).round() / 4 if grid else values
        if (variance := getattr(layer, "running_var", None)) is not None:
            variance.copy_(0.25 + torch.rand(variance.shape, generator=generator))


def features_of(network: SpikingNetwork) -> tuple[int, ...]:
    """Return the shape of a sample, which only a linear first layer tells."""
    first = network.layers[0]
    if not isinstance(first, nn.Linear):
        raise ValueError(f"shape: got None, expected the shape of a sample for a {type(first).__name__} first")
    return (first.in_features,)
