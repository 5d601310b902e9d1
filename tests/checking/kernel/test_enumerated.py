"""What the kernel accepts is true of all there is: tiny questions are listed, certificates changed at random.

Of a network with one input the pieces are found in fractions, and one point of each, the ends and their
neighbours are run; of recordings and whole inputs all members are. Each claim is y[0] − y[1] − d·x ≥ K, so what is
accepted is compared with the least of the list, as fractions: no run may be below.
"""

import json
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikecert import LInf, SpikingNetwork
from spikecert.checking import Refused
from spikecert.checking.certificates.words import word
from spikecert.checking.kernel.certificates import check_certificate
from spikecert.checking.kernel.numbers import GRID, number
from spikecert.checking.network.model import parse_network
from support.drawn_chips import members as around
from support.event_rules import members
from support.examples import THOROUGH
from support.kernel_corpus.making import certificate_of
from support.kernel_corpus.questions import KINDS, Question
from support.oracles import _pieces, dynamics_of
from support.timed_networks import drawn_neuron, ends_around

COUNT = 400 if THOROUGH else 8
CHANGES = 12


class Listed(NamedTuple):
    """A certificate, the network that it is about, and all runs that tell the least of what it bounds."""

    asked: Question
    raw: bytes
    lines: list[str]
    every: Tensor

    @property
    def least(self) -> Fraction:
        """Return the least y[0] − y[1] − Σ d·x of the runs; d as the claim has it."""
        (row,) = json.loads(self.lines[1])["property"][0]
        with torch.no_grad():
            outputs = self.asked.network(self.every).double().tolist()
        points = self.every.double().flatten(1).tolist()
        exact = [
            Fraction(one) - Fraction(two) - sum(Fraction(d) * Fraction(x[i]) for i, d in row["inputs"])
            for (one, two, *_), x in zip(outputs, points, strict=True)
        ]
        return min(exact)


def line(rng: np.random.Generator) -> Listed | None:
    """Return a question about a network with one input."""
    width, steps = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    layers: list[nn.Module] = [nn.Linear(1, width), drawn_neuron(rng)]
    if rng.random() < 0.6:
        layers += [nn.Linear(width, width), drawn_neuron(rng)]
    network = SpikingNetwork(*layers, nn.Linear(width, 2), num_steps=steps).eval()
    for values in network.parameters():
        drawn = rng.normal(size=tuple(values.shape)) * 1.5
        values.data = torch.tensor(np.round(drawn * 4) / 4 if rng.random() < 0.5 else drawn, dtype=torch.float32)
    sample, radius = torch.tensor(rng.random(1), dtype=torch.float32), float(rng.choice([0.05, 0.2, 0.5]))
    inputs = ((0, 0.5),) * int(rng.integers(2))
    asked = Question(network, sample, LInf(radius), int(rng.choice([0, 3])), inputs=inputs)
    made = certificate_of(asked, rng)
    return None if made is None else Listed(asked, *made, points_of(network, sample, radius))


def points_of(network: SpikingNetwork, sample: Tensor, radius: float) -> Tensor:
    """Return a point of each piece, and the ends of pieces with their neighbours, (n, 1)."""
    low, high = ends_around(sample, radius)
    first, neuron = network.layers[0], network.neurons[0]
    assert isinstance(first, torch.nn.Linear)
    ends = {Fraction(float(low)), Fraction(float(high))}
    for index, (weight, bias) in enumerate(zip(first.weight[:, 0].tolist(), first.bias.tolist(), strict=True)):
        if weight:
            reach = sorted(float(weight * end + bias) for end in (low, high))
            pieces = _pieces(dynamics_of(neuron, index), [1.0] * network.num_steps, *reach)
            ends |= {(end - Fraction(bias)) / Fraction(weight) for piece in pieces for end in piece[:2]}
    kept = sorted(end for end in ends if Fraction(float(low)) <= end <= Fraction(float(high)))
    points = torch.tensor([float(x) for x in (*kept, *((a + b) / 2 for a, b in pairwise(kept)))])
    near = [points, *(points.nextafter(torch.tensor(side)) for side in (torch.inf, -torch.inf))]
    return torch.cat(near).clamp(float(low), float(high))[:, None]


def members_of(asked: Question) -> Tensor:
    """Return all recordings, or all whole inputs, of a question's set."""
    if not isinstance(asked.threat, LInf):
        return members(asked.sample, asked.threat)
    return around(asked.sample.flatten(), asked.threat).view(-1, *asked.sample.shape)


def listed(rng: np.random.Generator, kind: str) -> Listed | None:
    """Return a question about a recording, or whole inputs, of which all members are listed."""
    asked = next(asked for _ in iter(int, 1) if (asked := KINDS[kind](rng)).sample.numel() <= 8)
    every = members_of(asked)
    try:
        made = certificate_of(asked, rng)
    except Refused:
        return None
    return None if made is None else Listed(asked, *made, every.to(asked.network.dtype))


def changed(found: Listed, rng: np.random.Generator) -> list[str]:
    """Return the certificate with something changed: a number, an index, a record, or the claim."""
    lines = list(found.lines)
    index = int(rng.integers(1, len(lines)))
    if index == 1:
        text: dict[str, Any] = json.loads(lines[1])
        (row,) = text["property"][0]
        row["constant"] += float(rng.choice([1e-9, 1e-3, 0.25, 1.0]))
        return [lines[0], json.dumps(text), *lines[2:]]
    words = lines[index].split()
    if rng.random() < 0.15 or len(words) == 1:
        other = int(rng.integers(2, len(lines)))
        lines[index], lines[other] = lines[other], lines[index]
        return lines if rng.random() < 0.5 else [*lines[:index], *lines[index + 1 :]]
    place = int(rng.integers(1, len(words)))
    step = int(rng.choice([-1, 1])) * int(rng.choice([1, 1 << 100, 1 << GRID - 4, 1 << GRID]))
    short = len(words[place]) < 4 and "p" not in words[place]
    words[place] = str(int(words[place], 16) + int(np.sign(step))) if short else word(number(words[place]) + step)
    lines[index] = " ".join(words)
    return lines


@pytest.mark.parametrize("kind", ["line", "events", "whole"])
def test_what_is_accepted_is_true_of_all_there_is(kind):
    told = Counter[str]()
    for seed in range(COUNT):
        rng = np.random.default_rng(seed)
        found = line(rng) if kind == "line" else listed(rng, kind)
        if found is None or found.least != found.least:
            continue
        least, network = found.least, parse_network(found.raw, "network")
        for lines in (found.lines, *(changed(found, rng) for _ in range(CHANGES))):
            try:
                said = check_certificate(iter(lines), network)
            except Refused:
                told["refused"] += 1
                continue
            (row,) = json.loads(lines[1])["property"][0]
            assert least - Fraction(row["constant"]) >= Fraction(said.margin), seed
            assert least > Fraction(row["constant"]) or not row["strict"], seed
            told["accepted"] += 1
            told["changed"] += lines is not found.lines
            told["tight"] += least - Fraction(row["constant"]) < 1e-5
    needed = ("accepted", "changed", "refused", *(("tight",) if kind != "whole" else ()))
    assert min(told[name] for name in needed) > 0, told
