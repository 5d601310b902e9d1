"""Dyadic numbers are exact: every operation against fractions.

Numbers of the grid are the nearest ones below and above what they stand for.

Multipliers of leaves, as a short proof holds them.

Floats for whole layers hold what the kernel finds number by number, and hardly more.

The units of a step meet the greatest weights of each row, as often as each entry has units.
"""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.checking import Refused, read_network
from spikecert.checking.certificates.trials import ShortFile
from spikecert.checking.kernel.numbers import ONE, above, below, regrid, times
from spikecert.checking.kernel.records import Fields
from spikecert.checking.network.files import read
from spikecert.checking.numbers.exact import GRID, Dyadic, exactly, greater, lesser, roots, stacked, whole
from spikecert.checking.numbers.ranks import Ranks
from spikecert.checking.numbers.sparse import Matrix
from spikecert.checking.short import FORMAT, read_narrowings

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, 0.1, -0.75, 5e-324, 2.0**52 + 1]
)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5)


def fractions(values: Dyadic) -> list[Fraction]:
    return [Fraction(int(x), 1 << values.shift) for x in values.ints.flat]


@given(PAIRS)
def test_operations_do_not_round(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    one, two = Dyadic.of(first), Dyadic.of(second)
    a, b = [Fraction(x) for x in first.tolist()], [Fraction(x) for x in second.tolist()]
    both = list(zip(a, b, strict=True))
    assert fractions(one) == a
    assert fractions(one + two) == [x + y for x, y in both]
    assert fractions(one - two) == [x - y for x, y in both]
    assert fractions(one * two) == [x * y for x, y in both]
    assert fractions(abs(one)) == [abs(x) for x in a]
    assert fractions(lesser(one, two)) == [min(pair) for pair in both]
    assert fractions(greater(one, two)) == [max(pair) for pair in both]
    assert (one <= two).tolist() == [x <= y for x, y in both]
    assert greater(one.sum(), two.sum()).fraction() == max(sum(a), sum(b))
    assert (greater(one.sum(), two.sum()) + one[0]).fraction() == max(sum(a), sum(b)) + a[0]
    assert (one @ two).fraction() == sum(x * y for x, y in both)
    assert one.sum().fraction() == sum(a)
    assert one.max().fraction() == max(a)
    assert exactly(a[0]).fraction() == a[0]
    assert fractions(stacked([one[k] for k in range(len(a))])) == a


@given(st.lists(st.fractions(), min_size=1, max_size=4))
def test_outward_rounding_is_outward_and_fine(values):
    for up, sign in ((True, 1), (False, -1)):
        for found, exact in zip(fractions(Dyadic.outward(values, up)), values, strict=True):
            assert 0 <= sign * (found - exact) < Fraction(1, 2**GRID)


@given(st.lists(st.fractions(0, 10**6), min_size=1, max_size=4))
def test_roots_are_rounded_up_and_close(values):
    even = Dyadic.outward(values, True)
    for squares in (even, even * exactly(Fraction(1, 2))):
        for found, square in zip(fractions(roots(squares)), fractions(squares), strict=True):
            assert found**2 >= square
            assert found == 0 or (found - Fraction(1, 2**GRID)) ** 2 < square


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4))
def test_coarse_numbers_are_outward_and_close(values):
    numbers = Dyadic.of(values) * Dyadic.of(values)
    for up, sign in ((True, 1), (False, -1)):
        for found, exact in zip(fractions(numbers.coarse(up)), fractions(numbers), strict=True):
            assert 0 <= sign * (found - exact) < Fraction(1, 2**GRID)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(Refused, match="price: got NaN or inf"):
        Dyadic.of([0.0, value], "price")


def test_whole_numbers():
    assert fractions(whole(np.array([[1, -2]])).T @ whole(np.array([[3]]))) == [3, -6]


VALUES = [sign * value for value in (0, 1, 2, 3, ONE - 1, ONE, 3 * ONE + 1) for sign in (1, -1)]


@pytest.mark.parametrize("shift", [0, 3, GRID - 1, GRID, GRID + 1, GRID + 7])
def test_both_ends_are_the_nearest(shift: int):
    for value in VALUES:
        exact = Fraction(value, 1 << shift)
        for low, high in (regrid(value, shift), (below(exact), above(exact))):
            assert Fraction(low, ONE) <= exact <= Fraction(high, ONE)
            assert high - low == ((exact * ONE).denominator > 1)


def test_ends_of_products_are_the_nearest():
    for value, factor in ((value, factor) for value in VALUES for factor in VALUES):
        (low, high), exact = times(value, factor), Fraction(value * factor, ONE)
        assert low <= exact <= high
        assert high - low == (exact.denominator > 1)


def test_flat_multipliers_are_read_leaf_by_leaf():
    tensors = {
        "3.narrow.sizes": np.array([[1, 2], [0, 0], [0, 1]]),
        "3.narrow.neurons": np.array([4]),
        "3.narrow.slabs": np.array([5, 6, 7]),
        "3.narrow.multipliers": np.arange(7.0),
    }
    one, none, two = read_narrowings(tensors, 3, 3)
    assert one is not None
    assert two is not None
    assert none is None
    assert one.neurons.tolist() == [4]
    assert one.slabs.tolist() == [5, 6]
    assert one.multipliers.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert two.slabs.tolist() == [7]
    assert two.multipliers.tolist() == [[6.0]]
    assert read_narrowings(tensors, 2, 3) == [None, None, None]
    for name in tensors:
        with pytest.raises(Refused, match="sizes that do not fit"):
            read_narrowings(tensors | {name: tensors[name][:-1]}, 3, 3)
    with pytest.raises(Refused, match="sizes that do not fit"):
        read_narrowings(tensors | {"3.narrow.sizes": np.array([[1, 2], [0, 0], [-1, 1]])}, 3, 3)


FOLDER = Path(__file__).parents[1] / "proofs-0.1"


@pytest.mark.parametrize("name", ["deep", "dense-float64", "images", "residual", "spikes", "timed"])
def test_floats_hold_the_boxes_of_the_kernel(name):
    """Of currents, at each step and over each window, once all facts of the root are stated."""
    network = read_network(FOLDER / f"{name}.safetensors")
    content = read(FOLDER / f"{name}.proof", FORMAT)
    short = ShortFile.of(content, network)
    made, checker = short.maker, ShortFile.of(content, network).maker.checker
    for line in islice(short.lines(), 2, None):
        word, *fields = line.split()
        if word == "class":
            break
        checker._take(word, Fields(fields))
    assert made.floats is not None
    for place in made.layers:
        node, context = made.nodes.spiking(place), checker.context
        spans, windows = made.floats._asked(place)
        for steps, asked in (
            (made.floats.reach.steps, [context.step(t) for t in range(network.steps)]),
            (windows, [checker._window(place, node.neuron, a, t) for a, t in spans]),
        ):
            found = made.floats.reach.of(node.source, steps)
            exact = np.array([[context.span(node.source, j, each) for each in asked] for j in range(node.width)])
            low, high = exact[..., 0] / ONE, exact[..., 1] / ONE
            assert (found.low <= low).all()
            assert (found.high >= high).all()
            assert max((low - found.low).max(), (found.high - high).max()) < 1e-10


ENTRIES = st.lists(st.integers(-3, 3), min_size=12, max_size=12)


@given(ENTRIES, st.lists(st.integers(0, 3), min_size=8, max_size=8), st.integers(0, 1), st.integers(1, 5))
def test_the_greatest_weights_that_units_meet_are_first(entries, counts, step, most):
    weights, marks = np.array(entries, dtype=object).reshape(3, 4), np.array(counts).reshape(4, 2)
    row, column = np.nonzero(weights)
    ranks = Ranks.of(Matrix((3, 4), row, column, weights[row, column], 0))
    for side, sign in ((ranks.above, 1), (ranks.below, -1)):
        met = [
            sorted((w * sign for w, n in zip(line, marks[:, step], strict=True) for _ in range(n) if w * sign > 0))
            for line in weights
        ]
        found = side.greatest("marks", marks, step, most)
        assert [[w for w in line if w] for line in found] == [line[::-1][:most] for line in met]
        totals = side.totals("all", marks).ints[:, step]
        assert list(totals) == [sum(line) for line in met]
