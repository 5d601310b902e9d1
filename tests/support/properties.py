"""Random properties of random small networks, and what is true of them, by exact arithmetic over runs."""

import random
from fractions import Fraction

import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikeFlip, SpikeShift, SpikingNetwork
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.questions import (
    Form,
    Inequality,
    Property,
    abstains,
    inputs,
    moves_at_most,
    output,
    robust,
    sample,
    targeted,
    top_k,
)

GRID = 4


def grid_network(draw: random.Random) -> SpikingNetwork:
    """Return a network with weights on quarters, whose currents often meet a threshold, and 1 to 3 outputs."""
    features, width, outputs = draw.randint(1, 3), draw.randint(1, 4), draw.randint(1, 3)
    steps, decay = draw.choice((1, 2, 3, 4)), draw.choice((0.0, 0.5, 1.0, 0.9))
    reset, fires = draw.choice(("zero", "zero", "subtract", "none")), draw.choice((">=", ">"))

    def neurons() -> LIF:
        """Return one layer."""
        return LIF(decay, reset=reset, fires_at=fires)

    layers: list[nn.Module] = [nn.Linear(features, width), neurons()]
    if draw.random() < 0.4:
        layers += [nn.Linear(width, width), neurons()]
    readout = draw.choice(("mean", "mean", "spikes", "potential", "first"))
    layers.append(nn.Linear(width, outputs))
    if readout != "mean":
        layers.append(neurons() if readout != "potential" else LIF(decay, reset="none"))
    encoding = draw.choice(("none", "direct"))
    made = SpikingNetwork(
        *layers, num_steps=steps, encoding=encoding, readout=None if readout == "mean" else readout
    )
    for layer in made.layers:
        if isinstance(layer, nn.Linear):
            layer.weight.data = _grid(draw, *layer.weight.shape) * draw.choice((1.0, 1.0, 0.0625, 4.0))
            layer.bias.data = _grid(draw, *layer.bias.shape)
    return made.eval()


def _grid(draw: random.Random, *shape: int) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.tensor([draw.randint(-6, 8) / GRID for _ in range(count)]).view(shape)


def grid_set(network: SpikingNetwork, draw: random.Random) -> tuple[Tensor, Perturbation]:
    """Return one sample and a set around it: a few flips or moves of events, or a box with corners on the grid."""
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    features = first.in_features
    if network.encoding == "none":
        events = torch.tensor([draw.randint(0, 1) for _ in range(network.num_steps * features)]).float()
        shape = 1, network.num_steps, features
        if draw.random() < 0.25:
            return events.view(shape), SpikeShift(1, draw.randint(1, 2)) if network.num_steps > 1 else SpikeFlip(1)
        return events.view(shape), SpikeFlip(draw.choice((0, 1, 1, 2, 2)))
    point = torch.tensor([[draw.randint(0, GRID) / GRID for _ in range(features)]])
    return point, LInf(draw.choice((0.0, 0.125, 0.25, 0.25, 0.5, 0.03)))


def random_property(own: Tensor, x: Tensor, draw: random.Random) -> Property:
    """Return one of the named properties, or clauses of rows on a grid, some huge, some tiny, some of zeros.

    Args:
        own: the outputs of the sample `x`, where most rows hold, many of them only just.
        x: one sample.
        draw: for all that is drawn.
    """
    kind, outputs = draw.randrange(10), len(own)
    if kind == 0:
        return moves_at_most(draw.choice((0.0, 0.25, 0.5, 1.0)))
    if kind == 1 and outputs > 1:
        return targeted(draw.randrange(outputs))
    if kind == 2 and outputs > 2:
        return top_k(2)
    if kind == 3 and outputs > 1:
        return abstains(draw.choice((0.125, 0.5)))
    if kind == 4 and outputs > 1:
        return robust()
    found = _row(own, x, draw)
    for _ in range(draw.randint(0, 2)):
        other = _row(own, x, draw)
        found = found & other if draw.random() < 0.5 else found | other
    return found


def _row(own: Tensor, x: Tensor, draw: random.Random) -> Property:
    outputs, size = len(own), x.numel()
    scale = draw.choice((1.0, 1.0, 1.0, 1.0, 2.0**-40, 2.0**40, 1e-30))
    form = Form(constant=draw.randint(-8, 8) / 8)
    for place in range(outputs):
        if draw.random() < 0.7:
            form = form + draw.choice((1.0, -1.0, 0.5, 2.0, 1 / 3)) * output[place]
        if draw.random() < 0.3:
            form = form - draw.choice((1.0, 0.5)) * sample[place]
    if draw.random() < 0.3:
        form = form + draw.choice((1.0, -0.5, 0.1)) * inputs[draw.randrange(size)]
    if draw.random() < 0.8:
        slack = draw.choice((0.0, 0.0, 0.0625, 0.125, 0.25, 0.5, 1.0))
        form = Form(form.outputs, form.inputs, form.own, -float(_value(form, own, own, x)) - slack)
    form = form * scale
    return form < 0 if draw.random() < 0.3 else form <= 0


def holds_at(prop: Property, y: Tensor, own: Tensor, x: Tensor) -> bool:
    """Return whether a property holds at a run, in exact arithmetic."""
    clauses = prop.clauses(own.flatten().tolist())
    return all(any(_met(row, _value(row.form, y, own, x)) for row in clause) for clause in clauses)


def _met(row: Inequality, value: Fraction) -> bool:
    return value < 0 if row.strict else value <= 0


def _value(form: Form, y: Tensor, own: Tensor, x: Tensor) -> Fraction:
    """Return what a form is at a run, exactly, without rounding."""
    parts = (form.outputs, y), (form.inputs, x.flatten()), (form.own, own)
    terms = ((c, float(values[j])) for terms, values in parts for j, c in terms)
    return sum((Fraction(c) * Fraction(v) for c, v in terms), Fraction(form.constant))


def members(threat: Perturbation, x: Tensor, draw: random.Random) -> tuple[Tensor, bool]:
    """Return inputs of a set, and whether these are all of them."""
    listed = threat.members(x[0])
    if listed is not None:
        found = torch.cat(list(listed.batches(1024))).to(x.dtype)
        return threat.project(found, x.expand(len(found), *x.shape[1:])), True
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    box = threat.enclosure(x)
    share = torch.randint(0, 5, (256, *x.shape[1:]), generator=generator) / 4  # corners, middles and quarters
    grid = (box.lower + (box.upper - box.lower) * share).to(x.dtype)
    count = len(grid)
    return torch.cat([x, threat.project(grid, x.expand(count, *x.shape[1:]))]), False
