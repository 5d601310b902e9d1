"""Random small networks whose logits are no means over time, or whose neurons have more than a potential."""

from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from spikecert import LIF, SpikingNetwork
from spikecert.certify.replay import fails
from spikecert.models import AdaptiveLIF, RefractoryLIF

READ = ("summed", "largest", "largest affine", "first")


def read_over_time(generator: np.random.Generator, kind: str) -> tuple[SpikingNetwork, Tensor, float]:
    """Return a network with such a readout, often with weights on a grid where classes tie; a sample; a radius."""
    features, width, steps = (int(generator.integers(*ends)) for ends in ((1, 4), (1, 6), (1, 6)))
    layers: list[nn.Module] = [nn.Linear(features, width), drawn_neuron(generator)]
    if generator.random() < 0.3:
        layers += [nn.Linear(width, width), drawn_neuron(generator)]
    layers.append(nn.Linear(width, int(generator.integers(2, 4))))
    if kind == "first":
        layers.append(drawn_neuron(generator))
    elif kind != "largest affine":
        layers.append(drawn_neuron(generator, "none"))
    return sampled(generator, layers, features, steps, kind.split()[0])


def drawn_neuron(generator: np.random.Generator, reset: str | None = None) -> LIF:
    """Return neurons with constants at which much ties."""
    choose = generator.choice
    reset = str(choose(["zero", "subtract", "none"])) if reset is None else reset
    decay, fires = float(choose([0.0, 0.5, 0.75, 0.9, 1.0])), str(choose([">=", ">"]))
    return LIF(decay=decay, threshold=float(choose([0.5, 1.0, 3.0])), reset=reset, fires_at=fires)


def sampled(
    generator: np.random.Generator, layers: list[nn.Module], features: int, steps: int, readout: str
) -> tuple[SpikingNetwork, Tensor, float]:
    """Return a network with random weights, half of them on a grid of quarters; a sample; a radius."""
    encoding = str(generator.choice(["direct", "direct", "none"]))
    network = SpikingNetwork(*layers, num_steps=steps, encoding=encoding, readout=readout)
    grid = generator.random() < 0.5
    for part in network.modules():
        if isinstance(part, nn.Linear):
            for values in part.parameters():
                drawn = generator.normal(size=tuple(values.shape)) * 1.5
                values.data = torch.tensor(np.round(drawn * 4) / 4 if grid else drawn)
    sample = generator.random((steps, features) if encoding == "none" else (features,))
    dtype = torch.float64 if generator.random() < 0.3 else torch.float32
    x = torch.tensor(np.round(sample * 4) / 4 if grid else sample, dtype=dtype)
    return network.to(dtype).eval(), x, float(generator.choice([0.0, 0.03, 0.125, 0.25, 0.5]))


def ends_around(x: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Return the ends of what lies within a radius and in [0, 1], rounded inward to the sample's dtype."""
    found = []
    for sign in (-1, 1):
        exact = [min(max(Fraction(value) + sign * Fraction(radius), 0), 1) for value in x.flatten().tolist()]
        near = torch.tensor([float(end) for end in exact], dtype=x.dtype)
        beyond = [(Fraction(a) - b) * sign > 0 for a, b in zip(near.tolist(), exact, strict=True)]
        inside = near.nextafter(torch.full_like(near, -sign * torch.inf))
        found.append(torch.where(torch.tensor(beyond), inside, near).view(x.shape))
    return found[0], found[1]


def inputs_around(x: Tensor, radius: float, count: int) -> Tensor:
    """Return the sample, corners, points, and points of a grid of quarters within a radius and in [0, 1]."""
    low, high = ends_around(x, radius)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand((count, *x.shape), generator=generator, dtype=x.dtype)
    shares = [drawn, (drawn > 0.5).to(x.dtype), drawn.round(decimals=1)]
    near = [((low + (high - low) * drawn) * 4).round() / 4]
    points = torch.cat([x[None], *near, *(low + (high - low) * share for share in shares)])
    return points.clamp(low, high)


def broken(network: SpikingNetwork, x: Tensor, radius: float, label: int, ties: str, count: int) -> int:
    """Return how many of the inputs around a sample have another class."""
    points = inputs_around(x, radius, count)
    with torch.no_grad():
        return int(fails(network(points), torch.full((len(points),), label), ties).sum())


def moves(network: SpikingNetwork, x: Tensor, radius: float) -> bool:
    """Return whether outputs move within a radius."""
    with torch.no_grad():
        found = network(inputs_around(x, radius, 40))
    return bool((found != found[0]).any())


def resting(generator: np.random.Generator) -> tuple[SpikingNetwork, Tensor, float]:
    """Return a network of neurons that rest, or fire once, beside others; a sample; a radius."""
    features, width, steps = (int(generator.integers(*ends)) for ends in ((1, 4), (1, 6), (1, 7)))
    layers: list[nn.Module] = [nn.Linear(features, width), rests(generator)]
    if generator.random() < 0.5:
        layers += [
            nn.Linear(width, width),
            rests(generator) if generator.random() < 0.7 else drawn_neuron(generator),
        ]
    layers.append(nn.Linear(width, int(generator.integers(2, 4))))
    readout = str(generator.choice(["mean", "mean", "spikes", "first", "largest"]))
    if readout in ("spikes", "first"):
        layers.append(rests(generator))
    return sampled(generator, layers, features, steps, readout)


def rests(generator: np.random.Generator) -> RefractoryLIF:
    """Return neurons that rest, none, some or all steps behind a spike."""
    choose = generator.choice
    decay, fires = float(choose([0.0, 0.5, 0.75, 0.9, 1.0])), str(choose([">=", ">"]))
    rest = [0, 1, 2, 3, None][int(generator.integers(5))]
    return RefractoryLIF(decay, float(choose([0.25, 0.5, 1.0, 2.0])), rest=rest, fires_at=fires)


def adapting(generator: np.random.Generator) -> tuple[SpikingNetwork, Tensor, float]:
    """Return a network of neurons whose thresholds rise, beside others; a sample; a radius."""
    features, width, steps = (int(generator.integers(*ends)) for ends in ((1, 4), (1, 6), (1, 7)))
    layers: list[nn.Module] = [nn.Linear(features, width), rises(generator)]
    if generator.random() < 0.5:
        other = rises(generator) if generator.random() < 0.7 else drawn_neuron(generator)
        layers += [nn.Linear(width, width), other]
    layers.append(nn.Linear(width, int(generator.integers(2, 4))))
    readout = str(generator.choice(["mean", "mean", "spikes", "first", "largest"]))
    if readout in ("spikes", "first"):
        layers.append(rises(generator))
    return sampled(generator, layers, features, steps, readout)


def rises(generator: np.random.Generator) -> AdaptiveLIF:
    """Return neurons whose threshold rises, at constants at which much ties."""
    choose = generator.choice
    decay, theta = float(choose([0.0, 0.5, 0.75, 0.9, 1.0])), float(choose([0.25, 0.5, 1.0]))
    raises, fading = float(choose([0.0, 0.25, 0.5, 2.0])), float(choose([0.0, 0.5, 0.9, 1.0]))
    reset, fires = str(choose(["zero", "subtract"])), str(choose([">=", ">"]))
    return AdaptiveLIF(decay, theta, raises, fading, reset, fires)
