"""Rules I, W, C, P and T against an exact machine with disturbances; certificates are also changed at random.

Whatever the kernel accepts must hold for each run: v = λ·u + a·I + δ with any |δ| ≤ extra, both sides of θ where
it is near, and what a reset leaves within `lost`.
"""

import itertools
import random
from collections.abc import Iterator
from fractions import Fraction

import pytest

from spikecert.checking import Refused
from spikecert.checking.certificates.invariants import cells_of, levels_of
from spikecert.checking.certificates.potentials import PotentialMaker
from spikecert.checking.kernel.invariants import Driven, Invariant, InvariantNode, along, inductive
from spikecert.checking.kernel.neurons import KernelNeuron
from spikecert.checking.kernel.numbers import GRID, ONE, Box, scaled
from spikecert.checking.kernel.potentials import Potential, feasible
from spikecert.checking.kernel.tables import checked, followed
from support.examples import THOROUGH

TINY = 1 << GRID - 40
SegmentStep = tuple[int, int]
"""Of a run: the spike, and the exact current."""


def quarters(rng: random.Random, low: int, high: int) -> int:
    return rng.randint(low, high) * (ONE >> 2)


def drawn(rng: random.Random, steps: int) -> KernelNeuron:
    """Return a neuron whose rounding is coarse, so that it matters."""
    decay, theta = rng.choice((0, 1, 2, 3, 4)) * (ONE >> 2), rng.choice((1, 2, 4)) * (ONE >> 2)
    scale = tuple(rng.choice((-4, -2, 0, 2, 4, 4, 4, 5)) * (ONE >> 2) for _ in range(steps))
    scale = scale if rng.random() < 0.4 else (ONE,) * steps
    reset, tie, unit = (
        rng.choice(("zero", "subtract", "none")),
        rng.choice((0, TINY, ONE >> 5)),
        rng.choice((0, TINY, ONE >> 7)),
    )
    drop, periodic = rng.choice((theta, 2 * theta)), reset == "zero" and len(set(scale)) == 1
    rounding, rest = (unit, rng.choice((0, TINY))), rng.choice((0, 0, 1, 2, 9)) if reset == "zero" else 0
    raises = rng.choice((0, 0, 1, 2, 6)) * (ONE >> 2) if reset != "none" and not rest else 0
    own = theta + tie, theta - tie, reset, scale, periodic and not raises
    return KernelNeuron(decay, drop, *own, *rounding, rest, raises, rng.choice((0, 2, 3, 4)) * (ONE >> 2))


def asked(rng: random.Random) -> Driven:
    """Return a neuron with currents I = x + y[t] in boxes, x the same at each step: windows know that."""
    steps = rng.randint(1, 5)
    neuron = drawn(rng, steps)
    common = sorted(quarters(rng, -6, 6) for _ in range(2))
    own = [sorted(quarters(rng, -2, 2) for _ in range(2)) if rng.random() < 0.5 else [0, 0] for _ in range(steps)]
    boxes = [(common[0] + low, common[1] + high) for low, high in own]

    def window(a: int, t: int) -> Box:
        powers = [neuron.decay ** (t - k) * neuron.scale[k - 1] >> GRID * (t - k) for k in range(a + 1, t + 1)]
        low, high = scaled((common[0], common[1]), sum(powers))
        parts = [scaled((own[k][0], own[k][1]), power) for k, power in zip(range(a, t), powers, strict=True)]
        return low + sum(one for one, _ in parts), high + sum(two for _, two in parts)

    bits = tuple(rng.choice(((0, 1), (0, 1), (0, 1), (0, 1), (1, 1), (0, 0))) for _ in range(steps))
    driven = Driven(neuron, boxes, rng.choice((0, TINY, ONE >> 6)), window, bits)
    driven.__dict__["parts"] = (common, own)
    return driven


def slip(neuron: KernelNeuron, u: int, current: int) -> int:
    """Return what rounding may add at a step, for |u| and |a·I|, by a formula of the test's own."""
    return neuron.unit * ((neuron.decay * u >> GRID) + current) // ONE + neuron.tiny


def lost(neuron: KernelNeuron, v: int) -> int:
    return neuron.unit * (abs(v) + neuron.drop) // ONE + neuron.tiny


def limits(neuron: KernelNeuron, raised: int) -> tuple[int, int]:
    """Return the greatest v of silence and the least of a spike, for A, by a formula of the test's own."""
    more = neuron.raises * raised >> GRID
    loose = neuron.unit * (neuron.high + abs(more)) // ONE + neuron.tiny if neuron.raises else 0
    return neuron.high + more + loose, neuron.low + more - loose


def risen(neuron: KernelNeuron, raised: int, spike: int, sign: int) -> int:
    """Return A behind a step, with what rounding may add or take."""
    faded = neuron.fading * raised >> GRID
    loose = neuron.unit * (spike * ONE + abs(faded)) // ONE + neuron.tiny
    return faded + spike * ONE + sign * loose if neuron.raises else 0


def extra_of(driven: Driven, levels: list[list[InvariantNode]]) -> int:
    """Return how large δ may be for potentials within levels."""
    steepest = max(map(abs, driven.neuron.scale))
    size = max(max(-node.low, node.high, 0) for level in levels for node in level)
    reach = steepest * (max(abs(end) for box in driven.boxes for end in box) + driven.error) // ONE
    return steepest * driven.error // ONE + slip(driven.neuron, size, reach)


def runs(
    rng: random.Random, driven: Driven, extra: int, count: int
) -> Iterator[tuple[list[SegmentStep], list[int]]]:
    """Yield runs of the machine that do what splits say: steps, and u behind each."""
    neuron, (common, own) = driven.neuron, driven.__dict__["parts"]
    for _ in range(count):
        x, u, steps, left, waits, raised = rng.choice((*common, sum(common) >> 1)), 0, [], [], 0, 0
        for t, (low, high) in enumerate(own):
            delta, a, (most, least) = rng.choice((-extra, 0, extra)), neuron.scale[t], limits(neuron, raised)
            current = x + rng.choice((low, high))
            if a and rng.random() < 0.5:  # to θ, where that can be
                wanted = ((rng.choice((least, most)) - delta << GRID) - neuron.decay * u) // a
                x = min(max(wanted - high, common[0]), common[1]) if t == 0 else x
                current = min(max(wanted, x + low), x + high)
            v = 0 if waits else (neuron.decay * u + a * current >> GRID) + delta
            (certain, possible), near = driven.bits[t], (v <= most, v >= least and not waits)
            sides = [s for s in (0, 1) if near[s] and certain <= s <= possible]
            if not sides:
                break
            spike = rng.choice(sides)
            u, waits = v if not spike or neuron.reset == "none" else 0, neuron.rest if spike else max(waits - 1, 0)
            if spike and neuron.reset == "subtract":
                u = v - neuron.drop + rng.choice((-1, 0, 1)) * lost(neuron, v)
            raised = risen(neuron, raised, spike, rng.choice((-1, 0, 1)))
            steps.append((spike, current))
            left.append(u)
        else:
            yield steps, left


def followed_by(invariant: Invariant, steps: list[SegmentStep], left: list[int]) -> bool:
    """Return whether an invariant has a run: node by node."""
    index = 0
    for t, ((spike, _), u) in enumerate(zip(steps, left, strict=True)):
        move = next((move for move in invariant.moves[t][index] or () if move.spike == spike), None)
        if move is None:
            return False
        index = move.target
        node = invariant.levels[t + 1][index]
        if not node.low <= u <= node.high:
            return False
    return True


def changed(rng: random.Random, levels: list[list[InvariantNode]]) -> list[list[InvariantNode]]:
    """Return an invariant of which one node is another."""
    t = rng.randrange(len(levels))
    if not levels[t]:
        return levels
    n = rng.randrange(len(levels[t]))
    node, step = levels[t][n], rng.choice((1, TINY, ONE >> 6, ONE >> 2, ONE))
    new = rng.choice((
        node._replace(low=node.low + step), node._replace(high=node.high - step),
        node._replace(low=node.low - step, high=node.high + step),
        node._replace(parent=rng.randint(-1, 3)), node._replace(silent=rng.randint(-1, 3)),
        node._replace(spike=rng.randint(-1, 3)), node._replace(cuts=tuple(range(1, rng.randint(1, t + 2)))),
        node._replace(taken=None if node.taken else (node.low, node.high)),
        node._replace(taken=node.taken and (node.taken[0] + step, node.taken[1] - step)),
    ))  # fmt: skip
    return [*levels[:t], [*levels[t][:n], new, *levels[t][n + 1 :]], *levels[t + 1 :]]


def made(rng: random.Random, driven: Driven) -> list[list[InvariantNode]]:
    celled = driven.neuron.reset == "subtract" and driven.neuron.decay and not driven.neuron.raises
    celled = celled and rng.random() < 0.7
    return cells_of(driven, rng.choice((2, 3, 8)))[0] if celled else levels_of(driven, windows=rng.random() < 0.8)


def numbers(rng: random.Random, steps: int) -> list[int]:
    return [quarters(rng, -8, 8) if rng.random() < 0.8 else 0 for _ in range(steps)]


COUNT = 3000 if THOROUGH else 250


def test_what_is_accepted_of_one_neuron_holds_for_its_runs():
    """Invariants and potentials, as they are made and changed: a bound is at most what runs cost."""
    tally: dict[str, int] = dict.fromkeys(("accepted", "changed", "refused", "runs", "tight", "raised"), 0)
    for seed in range(COUNT):
        rng = random.Random(seed)
        driven = asked(rng)
        right = made(rng, driven)
        for levels in (right, *(changed(rng, right) for _ in range(4))):
            try:
                invariant = inductive(driven, levels)
            except Refused:
                assert levels is not right
                tally["refused"] += 1
                continue
            tally["accepted"] += 1
            tally["changed"] += levels is not right
            found = list(runs(rng, driven, extra_of(driven, levels), 25))
            assert all(followed_by(invariant, *run) for run in found)
            check_sums(rng, invariant, [steps for steps, _ in found])
            if not invariant.empty:
                check_potentials(rng, driven, invariant, [steps for steps, _ in found], tally)
    assert min(tally.values()) > 0, tally


def check_sums(rng: random.Random, invariant: Invariant, found: list[list[SegmentStep]]) -> None:
    """Sums of spikes over a window lie where the invariant says."""
    first = rng.randrange(len(invariant.moves))
    factors = tuple(sorted(quarters(rng, -4, 4) for _ in range(2)) for _ in range(first, len(invariant.moves)))
    if found and not invariant.empty:
        least, most = along(invariant, first, [(low, high) for low, high in factors])
        for steps in found:
            spikes = [s for s, _ in steps[first:]]
            assert least <= sum(s * low for s, (low, _) in zip(spikes, factors, strict=True))
            assert sum(s * high for s, (_, high) in zip(spikes, factors, strict=True)) <= most


def check_potentials(
    rng, driven: Driven, invariant: Invariant, found: list[list[SegmentStep]], tally: dict[str, int]
) -> None:
    steps = len(driven.boxes)
    costs = numbers(rng, steps)
    maker = PotentialMaker(driven.neuron, invariant, costs, numbers(rng, steps))
    right, prices = maker.levels(), maker.prices
    cost = [sum(a * s * ONE - m * i for a, m, (s, i) in zip(costs, prices, run, strict=True)) for run in found]
    for levels in (right, *(raised(rng, right) for _ in range(3))):
        try:
            bound = feasible(driven.neuron, invariant, costs, prices, levels)
        except (Refused, IndexError):
            assert levels is not right
            continue
        tally["raised"] += levels is not right
        tally["runs"] += len(cost)
        assert bound * ONE <= min(cost, default=bound * ONE)
        tally["tight"] += bool(cost) and min(cost) - bound * ONE < ONE * (ONE >> 3)


def raised(rng: random.Random, levels: list[list[Potential]]) -> list[list[Potential]]:
    """Return potentials of which one piece or one way is another."""
    t = rng.randrange(len(levels))
    n = rng.randrange(max(1, len(levels[t])))
    if not levels[t] or not levels[t][n].pieces:
        return levels
    own, step = levels[t][n], rng.choice((1, TINY, ONE >> 2, -ONE))
    i, part = rng.randrange(len(own.pieces)), rng.choice(("silent", "spike"))
    (a, b), hints = own.pieces[i], getattr(own, part)
    pieces = [*own.pieces[:i], rng.choice(((a + step, b), (a, b + step))), *own.pieces[i + 1 :]]
    options = [own._replace(pieces=pieces), own._replace(pieces=own.pieces[:-1])]
    if hints:
        k = rng.randrange(len(hints))
        new = rng.choice(((rng.randrange(len(own.pieces)), hints[k][1]), (hints[k][0], hints[k][1] + step)))
        options += [own._replace(**{part: [*hints[:k], new, *hints[k + 1 :]]}), own._replace(**{part: hints[:-1]})]
    return [*levels[:t], [*levels[t][:n], rng.choice(options), *levels[t][n + 1 :]], *levels[t + 1 :]]


def test_a_spike_enters_no_node_that_has_a_parent():
    """u is 0 behind it, and no window of the chain holds: the cut would leave no run at all."""
    neuron = KernelNeuron(ONE, ONE, ONE, ONE, "zero", (ONE, ONE), True, 0, 0)
    driven = Driven(
        neuron, [(2 * ONE, 2 * ONE)] * 2, 0, lambda a, t: (2 * ONE * (t - a), 2 * ONE * (t - a)), ((0, 1),) * 2
    )
    levels = [
        [InvariantNode(0, 0, -1, -1, 0, ())],
        [InvariantNode(0, 0, -1, -1, 0, ())],
        [InvariantNode(0, 0, -1, -1, -1, ())],
    ]
    assert inductive(driven, levels).bits == ((1, 1), (1, 1))
    levels[1] = [InvariantNode(0, 0, 0, -1, 0, (1,))]
    with pytest.raises(Refused, match="step 1: a node's parent is not the only way to it"):
        inductive(driven, levels)


def test_a_node_with_a_parent_has_no_other_way_in():
    neuron = KernelNeuron(ONE >> 1, ONE, ONE, ONE, "none", (ONE, ONE), False, 0, 0)
    driven = Driven(neuron, [(0, 2 * ONE)] * 2, 0, lambda a, t: (0, 3 * ONE), ((0, 1), (0, 1)))
    both = [InvariantNode(0, ONE, -1, 0, 1, ()), InvariantNode(ONE, 2 * ONE, -1, 0, 1, ())]
    levels = [
        [InvariantNode(0, 0, -1, 0, 1, ())],
        both,
        [InvariantNode(0, ONE, -1, -1, -1, ()), InvariantNode(ONE, 3 * ONE, -1, -1, -1, ())],
    ]
    assert inductive(driven, levels).bits == ((0, 1), (0, 1))
    for parent in (0, 1, 7):
        levels[2][0] = InvariantNode(0, ONE, parent, -1, -1, ())
        with pytest.raises(Refused, match="step 2: a node's parent is not the only way to it"):
            inductive(driven, levels)


def test_what_spikes_took_may_be_claimed_as_wide_as_one_likes():
    """V is 0 whatever Y might be: each of its ends cuts V at the other side."""
    neuron = KernelNeuron(ONE, ONE, ONE, ONE, "subtract", (ONE,), False, 0, 0)
    driven = Driven(neuron, [(0, 0)], 0, lambda a, t: (0, 0), ((0, 1),))
    levels = [
        [InvariantNode(0, 0, -1, 0, 0, (), (-2 * ONE, 2 * ONE))],
        [InvariantNode(0, 0, -1, -1, -1, (), (0, 0))],
    ]
    found = inductive(driven, levels)
    assert found.bits == ((0, 0),)
    assert [move.part for move in found.moves[0][0] or ()] == [(0, 0)]


def twice(neuron: KernelNeuron) -> Driven:
    """Return what a current of 2 drives over three steps."""

    def window(a: int, t: int) -> tuple[int, int]:
        return 2 * ONE * (t - a), 2 * ONE * (t - a)

    return Driven(neuron, [(2 * ONE, 2 * ONE)] * 3, 0, window, ((0, 1),) * 3)


def test_each_node_rests_as_long_as_its_neuron():
    """Nodes that are entered at two counts of rest, or in silence from one that rests as if it did not."""
    neuron = KernelNeuron(ONE, ONE, ONE, ONE, "zero", (ONE,) * 3, True, 0, 0, 1)
    driven = twice(neuron)
    start, node = InvariantNode(0, 0, -1, -1, 0, ()), InvariantNode(0, 0, -1, 0, -1, ())
    right = [[start], [node], [start], [node]]
    found = inductive(driven, right)
    assert found.bits == ((1, 1), (0, 0), (1, 1))
    assert [[move.rests for move in moves or ()] for level in found.moves for moves in level] == [
        [False],
        [True],
        [False],
    ]
    for index, wrong in ((1, start), (2, node), (2, node._replace(parent=0)), (2, start._replace(parent=0))):
        with pytest.raises(Refused):
            inductive(driven, [*right[:index], [wrong], *right[index + 1 :]])
    varied = Driven(neuron, [(0, 2 * ONE), (0, ONE >> 1), (0, ONE)], 0, driven.window, ((0, 1),) * 3)
    wide = InvariantNode(0, ONE, -1, 0, 0, ())
    with pytest.raises(Refused, match="a node is entered with"):
        inductive(varied, [[wide], [wide], [wide], [wide]])


def test_what_comes_in_while_a_neuron_rests_counts_for_nothing():
    """Its price is paid all the same; a multiplier of v, or a slope behind, would be of a potential that is 0."""
    neuron = KernelNeuron(ONE, ONE, ONE, ONE, "zero", (ONE,) * 2, True, 0, 0, 1)
    driven = Driven(
        neuron, [(2 * ONE, 2 * ONE), (-ONE, 3 * ONE)], 0, lambda a, t: (-9 * ONE, 9 * ONE), ((0, 1),) * 2
    )
    levels = [
        [InvariantNode(0, 0, -1, -1, 0, ())],
        [InvariantNode(0, 0, -1, 0, -1, ())],
        [InvariantNode(0, 0, -1, -1, -1, ())],
    ]
    invariant = inductive(driven, levels)

    def bound(price: int, multiplier: int, least: int) -> int:
        first = Potential([(least, 0)], [], [(0, 0)])
        second = Potential([(least, 0)], [(0, multiplier)], [])
        return feasible(neuron, invariant, [0, 0], [0, price], [[first], [second]])

    assert bound(0, 0, 0) == 0
    assert bound(0, 7 * ONE, 0) == bound(0, -7 * ONE, 0) == 0
    assert bound(ONE, 0, -3 * ONE) == -3 * ONE
    for price, least in ((ONE, 1 - 3 * ONE), (-ONE, 1 - ONE)):
        for multiplier in (0, price, -price, 5 * ONE):
            with pytest.raises(Refused, match="not feasible"):
                bound(price, multiplier, least)


def test_a_slope_behind_a_rest_is_of_no_current_in_it():
    """u is 0 behind the rest, whatever came in: a line there is worth what it is at 0."""
    neuron = KernelNeuron(ONE, ONE, ONE, ONE, "zero", (ONE,) * 3, True, 0, 0, 1)
    driven = twice(neuron)
    start, node = InvariantNode(0, 0, -1, -1, 0, ()), InvariantNode(0, 0, -1, 0, -1, ())
    invariant = inductive(driven, [[start], [node], [start], [node]])

    def bound(least: int, slope: int) -> int:
        ways = [Potential([(least, 0)], [], [(0, 0)]), Potential([(least, 0)], [(0, 0)], [])]
        last = Potential([(0, slope)], [], [(0, 0)])
        return feasible(neuron, invariant, [0] * 3, [0] * 3, [[ways[0]], [ways[1]], [last]])

    for slope in (ONE, -ONE, 9 * ONE):
        assert bound(0, slope) == 0
        for least in (1, ONE, 2 * ONE):
            with pytest.raises(Refused, match="not feasible"):
                bound(least, slope)


def test_a_threshold_has_risen_by_all_ways_to_a_node():
    """Behind 10 and 01 A is ½ and 1, θ + A is 1.5 and 2: at v = 1.625 one way fires, the other one does not."""
    neuron = KernelNeuron(0, ONE, ONE, ONE, "zero", (ONE,) * 3, False, 0, 0, 0, ONE, ONE >> 1)
    boxes = [(0, 4 * ONE), (0, 4 * ONE), (13 * (ONE >> 3),) * 2]
    driven = Driven(neuron, boxes, 0, lambda a, t: (0, 9 * ONE), ((0, 1),) * 3)

    def node(silent: int, spike: int) -> InvariantNode:
        return InvariantNode(0, 9 * ONE, -1, silent, spike, ())

    def levels(silent: int, spike: int) -> list[list[InvariantNode]]:
        return [[node(0, 1)], [node(1, 0), node(0, 1)], [node(silent, spike), node(0, 0)], [node(-1, -1)]]

    found = inductive(driven, levels(0, 0))
    assert {move.spike for move in found.moves[2][0] or ()} == {0, 1}
    for ways in ((-1, 0), (0, -1)):
        with pytest.raises(Refused, match="leads to no node"):
            inductive(driven, levels(*ways))


# ---- tables ------------------------------------------------------------------------------------------------
def trains(neuron: KernelNeuron, current: int) -> set[tuple[int, ...]]:
    """Return all trains of one current: with δ at its ends and without, on both sides of θ where it is near."""
    found = set()
    for sign in (-1, 0, 1):
        pending: list[tuple[tuple[int, ...], int, int]] = [((), 0, 0)]
        while pending:
            train, u, raised = pending.pop()
            if len(train) == len(neuron.scale):
                found.add(train)
                continue
            if 1 in train and train[::-1].index(1) < neuron.rest:
                pending.append(((*train, 0), 0, 0))
                continue
            a = neuron.scale[len(train)]
            v = (neuron.decay * u + a * current >> GRID) + sign * slip(neuron, abs(u), abs(a * current) >> GRID)
            period = train.index(1) + 1 + neuron.rest if 1 in train else 0
            forced = train[len(train) % period] if neuron.periodic and period else None
            most, least_fires = limits(neuron, raised)
            for spike in (0, 1):
                if forced in (None, spike) and (v >= least_fires if spike else v <= most):
                    less = lost(neuron, v) if spike and neuron.reset == "subtract" else 0
                    left = v - neuron.drop if spike and neuron.reset == "subtract" else v
                    left = 0 if spike and neuron.reset == "zero" else left
                    later = {risen(neuron, raised, spike, side) for side in (-1, 1)}
                    pending += [((*train, spike), u, a) for u in {left - less, left + less} for a in later]
    return found


def test_what_is_accepted_as_a_table_holds_all_trains():
    """Rows as they are made, and with one narrowed, dropped, renamed or split."""
    accepted = refused = held = 0
    for seed in range(COUNT):
        rng = random.Random(seed)
        neuron = drawn(rng, rng.randint(1, 5))
        low, high = sorted(quarters(rng, -10, 10) for _ in range(2))
        right = [(train, box) for train, box in followed(neuron, [(low, high)])]
        for change in (None, "narrow", "narrow", "drop", "split"):
            rows, r = list(right), rng.randrange(len(right))
            (train, (one, two)), step = rows[r], rng.choice((TINY, ONE >> 4, ONE >> 1))
            if change == "narrow":
                rows[r] = train, rng.choice(((one + step, two), (one, two - step)))
            elif change == "drop":
                del rows[r]
            elif change == "split":
                rows[r : r + 1] = [(train, (one, one + two >> 1)), (train, (one + two >> 1, two))]
            try:
                table = checked(neuron, rows, [(low, high)])
            except Refused:
                assert change is not None
                refused += 1
                continue
            accepted += 1
            for current in {
                low,
                high,
                low + high >> 1,
                *(end for _, box in right for end in box if low <= end <= high),
            }:
                for train in trains(neuron, current):
                    ends = zip(table.trains, table.ends, strict=True)
                    assert any(own == train and a <= current <= b for own, (a, b) in ends)
                    held += 1
    assert accepted > COUNT
    assert refused > COUNT
    assert held > 5 * COUNT


# ---- numbers -----------------------------------------------------------------------------------------------
SIGNED = [sign * value for value in (0, 1, 3, ONE - 1, ONE, 3 * ONE + 1) for sign in (1, -1)]


def test_products_are_rounded_outward():
    for low, high, factor in itertools.product(SIGNED, SIGNED, SIGNED):
        if low <= high:
            ends = sorted(Fraction(end * factor, ONE) for end in (low, high))
            found = scaled((low, high), factor)
            assert found[0] <= ends[0] <= ends[1] <= found[1]
            assert ends[0] - found[0] < 1
            assert found[1] - ends[1] < 1


@pytest.mark.parametrize("factor", SIGNED)
def test_a_boxs_product_holds_the_products(factor):
    from spikecert.checking.kernel.contexts import _product

    for low, high, more in itertools.product(SIGNED, SIGNED, (0, 1, ONE)):
        if low <= high:
            found = _product((low, high), (factor, factor + more))
            ends = [Fraction(x * f, ONE) for x in (low, high) for f in (factor, factor + more)]
            assert found[0] <= min(ends)
            assert max(ends) <= found[1]
