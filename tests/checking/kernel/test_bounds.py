"""No leaf's bound is above what a run does: random networks, prices, multipliers and splits, against models' runs.

A bound that no run comes close to would hide an error, so it is counted how many questions move, and are tight.
"""

import itertools
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, SpikingNetwork
from spikecert.checking.certificates import words
from spikecert.checking.kernel import narrowing
from spikecert.checking.kernel.contexts import Context, Window
from spikecert.checking.kernel.leaves import PulledCosts
from spikecert.checking.kernel.network import Greatest
from spikecert.checking.kernel.numbers import GRID, ONE
from spikecert.checking.numbers.exact import whole
from spikecert.models.networks import Trace
from support.certificates import Asked, tiny
from support.examples import THOROUGH


@dataclass(frozen=True)
class Runs:
    """Sampled runs of one sample.

    Attributes:
        inputs: (runs, m, T or 1); trains, currents: of each layer, (runs, n, T); logits: as fractions.
    """

    inputs: np.ndarray
    trains: list[np.ndarray]
    currents: list[np.ndarray]
    logits: list[list[Fraction]]

    @staticmethod
    def of(inputs: torch.Tensor, trace: Trace, timed: bool) -> "Runs":
        both = trace.spikes, trace.currents
        parts = [[x.double().flatten(2).numpy().transpose(1, 2, 0) for x in each] for each in both]
        flat = inputs.double().flatten(2 if timed else 1).numpy()
        flat = flat.transpose(0, 2, 1) if timed else flat[:, :, None]
        logits = [[Fraction(x) for x in row] for row in trace.logits.double().tolist()]
        return Runs(flat, parts[0], parts[1], logits)

    def margins(self, label: int, other: int) -> list[Fraction]:
        return [row[label] - row[other] for row in self.logits]


@dataclass
class Walk:
    """A random tree about one class; every leaf's bound holds for the runs that are there."""

    asked: Asked
    runs: Runs
    label: int
    generator: np.random.Generator
    told: Counter

    def over(self, other: int, depth: int) -> None:
        self.asked.both(f"class {other}")
        self._node(other, depth, np.ones(len(self.runs.logits), dtype=bool))

    def _node(self, other: int, depth: int, here: np.ndarray) -> None:
        if depth and self.generator.random() < 0.8:
            for side in self._split():
                self._node(other, depth - 1, here & side)
            return
        if not self.asked.empty and self.generator.random() < 0.5:
            self._narrow()
        if not self.asked.empty:
            self.asked.take(self.asked.maker._invariants(self.asked.all))
        assert self.asked.maker.context.empty == self.asked.kernel.context.empty
        if self.asked.empty:
            assert not here.any()
            self.asked.both("empty")
            self.told["empty"] += 1
            return
        self._leaf(other, here)
        self.asked.close()

    def _leaf(self, other: int, here: np.ndarray) -> None:
        left = [m for m, kept in zip(self.runs.margins(self.label, other), here, strict=True) if kept]
        for _ in range(3):
            bound = self.asked.bound(
                other, self.asked.drawn(self.generator, self.generator.choice([0.1, 0.5, 2.0]))
            )
            assert bound <= min(left, default=bound)
            self.told["questions"] += 1
            self.told["moving"] += len(set(left)) > 1
            self.told["tight"] += len(set(left)) > 1 and float(min(left) - bound) < 1e-3
        for pair in itertools.permutations(range(self.width), 2) if self.width else ():
            bound = self.asked.paired(other, self.asked.layers[-1], pair, int(self.generator.choice([2, 4])))
            assert bound <= min(left, default=bound)
            self.told["pairs"] += len(set(left)) > 1

    @property
    def width(self) -> int:
        """Return how many neurons the last layer has, of which each two may be a pair; 0: none may."""
        place = self.asked.layers[-1]
        node = self.asked.nodes.spiking(place)
        suits = node.neuron.reset != "zero" and node.heard is None and place not in self.asked.tables
        return node.width if suits else 0

    def _split(self) -> list[np.ndarray]:
        """Split at random; return which runs are surely on each side."""
        if self.generator.random() < 0.3:
            return self._of_inputs()
        asked, layer = self.asked, int(self.generator.integers(len(self.asked.layers)))
        place = asked.layers[layer]
        j = int(self.generator.integers(asked.nodes.spiking(place).width))
        trains = self.runs.trains[layer][:, j]
        if place not in asked.tables:
            step = int(self.generator.integers(trains.shape[1]))
            asked.both(f"spike {place} {j} {step}")
            return [trains[:, step] == 0, trains[:, step] == 1]
        table, currents = asked.tables[place], self.runs.currents[layer][:, j, 0]
        row = int(self.generator.integers(len(table.trains) + 1))
        asked.both(f"rows {place} {j} {row}")
        sides = np.zeros((2, len(trains)), dtype=bool)
        for run, (train, current) in enumerate(zip(trains, currents, strict=True)):
            held = [r >= row for r in _rows(table, train, current)]
            assert held
            sides[int(held[0]), run] = len(set(held)) == 1
        return [*sides]

    def _of_inputs(self) -> list[np.ndarray]:
        i, t = (int(self.generator.integers(size)) for size in self.runs.inputs.shape[1:])
        x, value = self.runs.inputs[:, i, t], int(self.generator.integers(-1, 18))
        self.asked.both(f"input {i} {t} {words.word(value << GRID - 4)}")
        return [x <= value / 16, x >= value / 16]

    def _narrow(self) -> None:
        places = [place for place in self.asked.layers if place in self.asked.tables]
        if not places:
            return
        width = self.asked.nodes.spiking(places[0]).width
        bounds = []
        for _ in range(self.generator.integers(1, 5)):
            slabs = self.generator.permutation(width)[: self.generator.integers(0, 4)]
            told = " ".join(
                f"{k} {int(nu):x}p4" for k, nu in zip(slabs, self.generator.integers(-40, 40, 9), strict=False)
            )
            bounds.append(f"{self.generator.integers(width)} {self.generator.integers(-1, 2)} {len(slabs)} {told}")
        self.asked.both(f"narrow {places[0]} {' '.join(bounds)}")


def _rows(table, train, current) -> list[int]:
    """Return the rows of a table that have a run's train and current."""
    train, current = tuple(map(int, train)), Fraction(current) * 2**160
    ends = zip(table.trains, table.ends, strict=True)
    return [r for r, (own, (low, high)) in enumerate(ends) if own == train and low <= current <= high]


def allowed(sample: torch.Tensor, radius: float, generator: np.random.Generator, count: int = 80) -> torch.Tensor:
    """Return inputs within a radius and in [0, 1], (count, ...): any, corners, and such on a grid of eighths."""
    low, high = (sample - radius).clamp(0, 1), (sample + radius).clamp(0, 1)
    share = generator.random((count, *sample.shape))
    share[count // 4 : count // 2] = share[count // 4 : count // 2].round()
    share[count // 2 :] = (share[count // 2 :] * 4).round() / 4
    found = torch.minimum(low + torch.tensor(share).to(sample) * (high - low), high)
    inside = (found.double() - sample.double()).abs() <= radius
    return torch.where(inside, found, sample)


def ask(folder, seed: int, depth: int, told: Counter) -> None:
    """Walk a tree about each class of a random network."""
    generator = np.random.default_rng(seed)
    network, sample, radius = tiny(generator)
    with torch.no_grad():
        label = int(network(sample[None]).argmax())
        inputs = allowed(sample, radius, generator)
        runs = Runs.of(inputs, network.trace(inputs), network.encoding == "none")
    cells = int(generator.choice([0, 2, 3, 8]))
    asked = Asked.of(network, folder, sample, radius, label, cells=cells)
    for place in asked.layers:
        if asked.nodes.spiking(place).heard is None and generator.random() < 0.5:
            gains = generator.integers(-40, 40, network.num_steps)
            asked.both(f"through {place} {words.words(int(gain) << GRID - 4 for gain in gains)}")
    for other in range(len(runs.logits[0])):
        if other != label:
            Walk(asked, runs, label, generator, told).over(other, depth)


@pytest.mark.parametrize("depth", [0, 2])
def test_no_leaf_proves_more_than_runs_do(tmp_path, depth):
    told = Counter()
    for seed in range(400 if THOROUGH else 60):
        ask(tmp_path, seed, depth, told)
    assert told["moving"] > 0.1 * told["questions"] > 0
    assert told["tight"] > 0
    assert told["pairs"] > 0


def test_a_bound_pays_for_how_far_runs_may_be(tmp_path):
    """Sampled runs are rarely that far, so what is paid is looked at itself."""
    torch.manual_seed(0)
    network = SpikingNetwork(nn.Linear(1, 2), LIF(0.5), nn.Linear(2, 2), num_steps=2).eval()
    asked = Asked.of(network, tmp_path, torch.tensor([0.5]), 0.25, 0)
    (place,), sizes, unit = asked.layers, asked.kernel.context.sizes, asked.nodes.graph.unit
    prices = {place: [[3 * ONE], [-2 * ONE]]}
    found = asked.bound(1, prices)
    assert min(sizes.errors(place)) > 0
    slab = narrowing.slab(asked.kernel.context, place, 1)
    for j, price in enumerate((3, 2)):
        sizes.errors(place)[j] += ONE
        less = asked.bound(1, prices)
        assert found - less == price * unit
        found = less
    wider = narrowing.slab(asked.kernel.context, place, 1)
    assert (wider[0], wider[1]) == (slab[0] - ONE, slab[1] + ONE)
    size, error = sizes._found[-1]
    sizes._found[-1] = size, error + whole([[1], [1]])
    assert found - asked.bound(1, prices) >= 4 * unit


def test_what_is_taken_back_is_not_remembered(tmp_path):
    torch.manual_seed(0)
    layers = nn.Linear(1, 1), LIF(0.5), nn.Linear(1, 1), LIF(0.5), nn.Linear(1, 2)
    network = SpikingNetwork(*layers, num_steps=2, encoding="none").eval()
    asked = Asked.of(network, tmp_path, torch.full((2, 1), 0.5), 0.25, 0)
    context = Context(asked.nodes, 2)
    first, second = asked.layers
    before = context.current(second, 0, context.step(0))
    mark = context.mark()
    context.set(context.bits[first], 0, ((0, 0),) * 2, first)
    inside = context.current(second, 0, context.step(0))
    context.undo(mark)
    assert inside[0] == inside[1]
    assert context.current(second, 0, context.step(0)) == before != inside


def test_a_maximum_is_no_entry_of_which_another_one_may_be_greater(tmp_path):
    """−max(x, y) + x may be −1 where x and y are in [0, 1], for either of them."""
    layers = nn.Conv1d(1, 1, 1), nn.MaxPool1d(2), nn.Flatten(), LIF(0.5), nn.Linear(1, 2)
    network = SpikingNetwork(*layers, num_steps=2).eval()
    for value, part in zip((1.0, 0.0), layers[0].parameters(), strict=True):
        part.data.fill_(value)
    asked = Asked.of(network, tmp_path, torch.full((1, 2), 0.5), 0.5, 0)
    pool = next(place for place, node in enumerate(asked.nodes.nodes) if isinstance(node, Greatest))
    for entry in (0, 1):
        costs = PulledCosts(asked.kernel.context)
        costs.add(pool, 0, 0, -ONE)
        costs.add(0, 0, entry, ONE)
        assert costs.at_inputs() == -ONE


def test_maxima_of_negative_numbers_are_more_than_their_sum(tmp_path):
    """Two entries are −2 at each of two steps: their maxima add up to −4, the entries to −8."""
    first, second = nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 1)
    layers = first, LIF(0.5), second, nn.MaxPool1d(2), nn.Flatten(), LIF(0.5), nn.Linear(1, 2)
    network = SpikingNetwork(*layers, num_steps=2).eval()
    for value, part in zip((2.0, 0.0, -2.0, 0.0), (*first.parameters(), *second.parameters()), strict=True):
        part.data.fill_(value)
    asked = Asked.of(network, tmp_path, torch.full((1, 2), 1.0), 0.0, 0)
    context, pool = (
        asked.kernel.context,
        next(place for place, node in enumerate(asked.nodes.nodes) if isinstance(node, Greatest)),
    )
    context.bits[asked.layers[0]] = [((1, 1), (1, 1))] * 2
    assert context.span(pool, 0, Window(0, ((ONE, ONE), (ONE, ONE)))) == (-4 * ONE, -4 * ONE)
