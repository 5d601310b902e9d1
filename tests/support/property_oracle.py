"""Random properties, and the worst of runs that are seen: corners, faces and points in between."""

from itertools import product

import numpy as np
import torch
from torch import Tensor

from spikecert import Property, SpikingNetwork, inputs, output, sample
from spikecert.certify.questions.classes import property_goal
from spikecert.certify.questions.forms import Form, as_form
from support.timed_networks import ends_around

PLACES = 3
"""Of a coordinate between its ends, with them, where all combinations are run."""


def drawn_property(generator: np.random.Generator, own: Tensor, size: int) -> Property:
    """Return a conjunction of disjunctions of rows, whose slack at the sample is small, 0 or large."""
    clauses = [_clause(generator, own, size) for _ in range(int(generator.integers(1, 4)))]
    found = clauses[0]
    for clause in clauses[1:]:
        found = found & clause
    return found


def _clause(generator: np.random.Generator, own: Tensor, size: int) -> Property:
    rows = [_row(generator, own, size) for _ in range(int(generator.integers(1, 4)))]
    found = rows[0]
    for row in rows[1:]:
        found = found | row
    return found


def _row(generator: np.random.Generator, own: Tensor, size: int) -> Property:
    form: Form = as_form(0.0)
    for place, value in enumerate(own.tolist()):
        factor = float(generator.choice([0.0, 1.0, -1.0, 0.3, -2.5, 1e-3]))
        form = form + factor * output[place]
        form = form - (factor * sample[place] if generator.random() < 0.5 else factor * value)
    if generator.random() < 0.4:
        form = form + float(generator.choice([1.0, -0.5, 2.0])) * inputs[int(generator.integers(size))]
    slack = float(generator.choice([0.0, 0.01, 0.1, 0.3, 1.0, 3.0]))
    return form < slack if generator.random() < 0.4 else form <= slack


def worst_seen(network: SpikingNetwork, x: Tensor, prop: Property, radius: float, count: int) -> float:
    """Return the least value of a property over inputs that are near and in [0, 1]."""
    low, high = ends_around(x, radius)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand((count, *x.shape), generator=generator, dtype=x.dtype)
    corners = (torch.rand((count, *x.shape), generator=generator, dtype=x.dtype) < 0.5).to(x.dtype)
    shares = [drawn, corners]
    if x.numel() <= 4:
        ticks = torch.linspace(0, 1, PLACES, dtype=x.dtype).tolist()
        every = torch.tensor(list(product(ticks, repeat=x.numel())), dtype=x.dtype)
        shares.append(every.view(-1, *x.shape))
    points = torch.cat([x[None], *(low + (high - low) * share for share in shares)]).clamp(low, high)
    goal = property_goal(network, x[None], prop)
    with torch.no_grad():
        values = goal.values(network(points), torch.zeros(len(points), dtype=torch.long), points)
    return float(values.min())
