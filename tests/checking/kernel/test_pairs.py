"""Rule D against exact machines: two neurons whose currents share a part; nodes are also changed at random."""

import random
from collections.abc import Iterator
from dataclasses import replace
from operator import mul

import pytest

from spikecert.checking import Refused
from spikecert.checking.certificates import words
from spikecert.checking.certificates.invariants import pairs_of
from spikecert.checking.kernel.invariants import Driven, InvariantNode, SpikeBalance
from spikecert.checking.kernel.neurons import KernelNeuron
from spikecert.checking.kernel.numbers import GRID, ONE, Box, scaled
from spikecert.checking.kernel.records import Fields, pairs
from spikecert.checking.kernel.tables import PairNode, cheapest, moves
from support.examples import THOROUGH

from .test_rules import TINY, drawn, extra_of, lost, numbers, quarters

COUNT = 1500 if THOROUGH else 120


class Both:
    """Neurons of one layer with currents I = x + y[t], the same x in a box, y[t] in a box of its own each."""

    def __init__(self, rng: random.Random) -> None:
        neuron = drawn(rng, rng.randint(1, 5))
        steps = len(neuron.scale)
        plain = {"periodic": False, "rest": 0, "raises": 0}
        self.neuron = replace(neuron, reset=rng.choice(("subtract", "subtract", "none")), **plain)
        self.shared = sorted(quarters(rng, -8, 8) for _ in range(2))
        self.own = [[self._box(rng) for _ in range(steps)] for _ in range(2)]
        error = rng.choice((0, TINY, ONE >> 6))
        bits = [
            tuple(rng.choice(((0, 1), (0, 1), (0, 1), (0, 1), (1, 1), (0, 0))) for _ in range(steps))
            for _ in range(2)
        ]
        self.driven = self._driven(0, error, bits[0]), self._driven(1, error, bits[1])
        self.strips = [self._apart(t) for t in range(1, steps + 1)]

    @staticmethod
    def _box(rng: random.Random) -> Box:
        low, high = sorted(quarters(rng, -2, 2) for _ in range(2))
        return (low, high) if rng.random() < 0.4 else (low, low)

    def _driven(self, i: int, error: int, bits: tuple[Box, ...]) -> Driven:
        def window(a: int, t: int) -> Box:
            parts = [scaled((self.shared[0], self.shared[1]), sum(self._powers(t)[a:]))]
            parts += [
                scaled(box, power) for box, power in list(zip(self.own[i], self._powers(t), strict=False))[a:]
            ]
            return sum(low for low, _ in parts), sum(high for _, high in parts)

        boxes = [(self.shared[0] + low, self.shared[1] + high) for low, high in self.own[i]]
        return Driven(self.neuron, boxes, error, window, bits)

    def _powers(self, t: int) -> list[int]:
        """Return λ^(t−k)·a[k] for k = 1, …, t: multiples of 2^−GRID."""
        return [self.neuron.decay ** (t - k) * self.neuron.scale[k - 1] // ONE ** (t - k) for k in range(1, t + 1)]

    def _apart(self, t: int) -> Box:
        ends = [(one[0] - two[1], one[1] - two[0]) for one, two in zip(*self.own, strict=True)]
        parts = [scaled(end, power) for end, power in zip(ends, self._powers(t), strict=False)]
        return sum(low for low, _ in parts), sum(high for _, high in parts)

    def runs(self, rng: random.Random, levels: list[list[PairNode]], count: int) -> Iterator[list[list[int]]]:
        """Yield spikes of both, of runs that do what splits say."""
        for _ in range(count):
            x = rng.choice((*self.shared, sum(self.shared) >> 1))
            found = [self._run(rng, i, x, [[n.sides[i] for n in level] for level in levels]) for i in range(2)]
            if found[0] is not None and found[1] is not None:
                yield [found[0], found[1]]

    def _run(self, rng: random.Random, i: int, x: int, levels: list[list[InvariantNode]]) -> list[int] | None:
        driven, neuron, u, spikes = self.driven[i], self.neuron, 0, []
        extra = extra_of(driven, levels)
        for t, own in enumerate(self.own[i]):
            v = (neuron.decay * u + neuron.scale[t] * (x + rng.choice(own)) >> GRID) + rng.choice(
                (-extra, 0, extra)
            )
            certain, possible = driven.bits[t]
            near = (v <= neuron.high, v >= neuron.low)
            sides = [s for s in (0, 1) if near[s] and certain <= s <= possible]
            if not sides:
                return None
            spikes.append(rng.choice(sides))
            u = v
            if spikes[-1] and neuron.reset == "subtract":
                u = v - neuron.drop + rng.choice((-1, 0, 1)) * lost(neuron, v)
        return spikes


def changed(rng: random.Random, levels: list[list[PairNode]]) -> list[list[PairNode]]:
    """Return a pair of which one node is another."""
    t = rng.randrange(len(levels))
    if not levels[t]:
        return levels
    n, i, step = rng.randrange(len(levels[t])), rng.randrange(2), rng.choice((1, TINY, ONE >> 6, ONE >> 2, ONE))
    node = levels[t][n]
    side = node.sides[i]
    low, high = side.taken or (0, 0)
    other = rng.choice((
        side._replace(low=side.low + step), side._replace(high=side.high - step),
        side._replace(taken=(low + step, high)), side._replace(taken=(low, high - step)),
        side._replace(low=side.low - step, high=side.high + step), side._replace(taken=(low - step, high + step)),
    ))  # fmt: skip
    sides = (other, node.sides[1]) if i == 0 else (node.sides[0], other)
    targets = list(node.targets)
    targets[rng.randrange(4)] = rng.randint(-1, 3)
    new = rng.choice((PairNode(sides, node.targets), PairNode(node.sides, (*targets,))))  # pyright: ignore
    return [*levels[:t], [*levels[t][:n], new, *levels[t][n + 1 :]], *levels[t + 1 :]]


def test_what_is_accepted_of_a_pair_holds_for_its_runs():
    tally: dict[str, int] = dict.fromkeys(("accepted", "changed", "refused", "runs", "tight", "joint"), 0)
    for seed in range(COUNT):
        rng = random.Random(seed)
        both = Both(rng)
        right = pairs_of(both.driven, both.strips, rng.choice((2, 3, 8)))
        costs = [numbers(rng, len(both.strips)) for _ in range(2)]
        wide = [(-(1 << 400), 1 << 400)] * len(both.strips)
        for levels in (right, *(changed(rng, right) for _ in range(4))):
            found = list(both.runs(rng, levels, 40))
            try:
                bound = cheapest(both.driven, both.strips, costs, levels)
            except Refused:
                assert levels is not right or not found
                tally["refused"] += 1
                continue
            paid = [sum(sum(map(mul, *pair)) for pair in zip(costs, each, strict=True)) for each in found]
            assert bound <= min(paid, default=bound)
            tally["accepted"] += 1
            tally["changed"] += levels is not right
            tally["runs"] += len(found)
            tally["tight"] += bound == min(paid, default=None)
            if levels is right:
                alone = pairs_of(both.driven, wide, 8)
                tally["joint"] += bound > cheapest(both.driven, wide, costs, alone)
    assert min(tally.values()) > 0, tally


def test_words_of_a_pair_are_read_again():
    both = Both(random.Random(3))
    levels = pairs_of(both.driven, both.strips, 3)
    said = Fields(words.pair(4, 0, 1, levels).split()[4:])
    assert pairs(said, len(both.strips)) == levels
    said.end()


BAD = {
    "another start": "does not hold the start, or has other steps",
    "a level less": "does not hold the start, or has other steps",
    "no way": "lead to no node",
    "a way out": "lead to no node",
}


@pytest.mark.parametrize("what", BAD)
def test_a_pair_that_is_none_is_refused(what):
    both = Both(random.Random(0))
    levels = pairs_of(both.driven, both.strips, 8)
    if what == "another start":
        one, two = levels[0][0].sides
        levels[0][0] = PairNode((one, two._replace(low=1)), levels[0][0].targets)
    elif what == "a level less":
        del levels[-1]
    else:
        to = -1 if what == "no way" else 999
        levels[0][0] = PairNode(levels[0][0].sides, (to, to, to, to))
    with pytest.raises(Refused, match=BAD[what]):
        cheapest(both.driven, both.strips, [[0] * 9, [0] * 9], levels)


def test_a_pair_whose_thresholds_rise_is_refused():
    both = Both(random.Random(1))
    levels = pairs_of(both.driven, both.strips, 8)
    rising = [replace(driven, neuron=replace(driven.neuron, raises=1)) for driven in both.driven]
    for pair in ((rising[0], both.driven[1]), (both.driven[0], rising[1])):
        with pytest.raises(Refused, match="a pair's thresholds rise"):
            cheapest(pair, both.strips, [[0] * 9, [0] * 9], levels)


def lone(window: Box, box: Box, error: int) -> SpikeBalance:
    """Return a neuron of λ = 1 and θ = d = 1 at its first step: L is anything, I is in a box."""
    neuron = KernelNeuron(ONE, ONE, ONE, ONE, "subtract", (ONE,), False, 0, 0)
    return SpikeBalance.of(Driven(neuron, [box], error, lambda a, t: window, ((0, 1),)), [[START]])


START, WIDE, EDGE = InvariantNode(0, 0, -1, -1, -1, (), (0, 0)), (-9 * ONE, 9 * ONE), ONE >> 3


def left(balances: list[SpikeBalance], sides: tuple[InvariantNode, InvariantNode], strip: Box) -> dict:
    return {move.spikes: move.ends for move in moves(balances, 0, sides, strip)}


def test_what_the_other_neuron_says_pays_for_rounding():
    """L of both is the same: what is near one of them need not be near the other."""
    half = ONE >> 1
    rough, exact = lone(WIDE, (half, half), EDGE), lone(WIDE, (half, half), 0)
    ends = left([rough, exact], (START, START), (0, 0))[0, 0]
    assert ends[0][0] == (half - EDGE, half + EDGE)
    edge = lone(WIDE, (ONE - EDGE, ONE - EDGE), EDGE)  # fires at ONE alone, where L is ONE − EDGE to 9 ONE
    ends = left([lone(WIDE, (0, 2 * ONE), 0), edge], (START, START), (0, 0))
    assert ends[0, 1][0][0] == (ONE - EDGE, ONE)


def test_what_spikes_may_have_taken_is_left_in_the_potential():
    exact, known = lone(WIDE, (0, 0), 0), lone(WIDE, (0, 0), 0)
    taken = InvariantNode(-ONE, ONE >> 1, -1, -1, -1, (), (-ONE, ONE))
    ends = left([exact, known], (taken, START), (0, 0))
    assert ends[0, 0][0] == ((-ONE, ONE >> 1), (-ONE >> 1, ONE))


def narrowed(node: PairNode) -> Iterator[PairNode]:
    for i, side in enumerate(node.sides):
        low, high = side.taken or (0, 0)
        for other in (
            side._replace(low=side.low + EDGE), side._replace(high=side.high - EDGE),
            side._replace(taken=(low + EDGE, high)), side._replace(taken=(low, high - EDGE)),
            side._replace(taken=None),
        ):  # fmt: skip
            yield PairNode((other, node.sides[1]) if i == 0 else (node.sides[0], other), node.targets)


def test_a_pair_narrowed_anywhere_is_refused():
    tried = 0
    for both in (Both(random.Random(seed)) for seed in range(15)):
        levels, costs = pairs_of(both.driven, both.strips, 3), [[0] * len(both.strips)] * 2
        if both.neuron.unit > TINY or not levels[-1]:  # the elaborator allows for larger potentials than come
            continue
        for t, level in enumerate(levels):
            for n, other in [(n, other) for n, node in enumerate(level) for other in narrowed(node)]:
                tried += 1
                new = [*levels[:t], [*level[:n], other, *level[n + 1 :]], *levels[t + 1 :]]
                with pytest.raises(Refused):
                    cheapest(both.driven, both.strips, costs, new)
    assert tried > 200


def test_a_pair_pays_for_rounding_by_the_size_of_its_potentials(monkeypatch):
    neuron = KernelNeuron(ONE, ONE, 99 * ONE, 99 * ONE, "subtract", (ONE,) * 3, False, ONE >> 7, 0)
    still = 8 * ONE, 8 * ONE
    driven = Driven(neuron, [still] * 3, 0, lambda a, t: scaled(still, (t - a) * ONE), ((0, 1),) * 3)
    strips, costs = [(0, 0)] * 3, [[0] * 3] * 2
    assert cheapest((driven, driven), strips, costs, pairs_of((driven, driven), strips, 2)) == 0
    small = SpikeBalance.of(driven, [[START]])
    monkeypatch.setattr("spikecert.checking.certificates.invariants.balance_of", lambda driven: small)
    with pytest.raises(Refused, match="a pair is not inductive"):
        cheapest((driven, driven), strips, costs, pairs_of((driven, driven), strips, 2))
