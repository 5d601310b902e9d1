"""Neurons of several linear states, x[t] = A·x[t−1] + b·I[t] − r·s[t], whose first is compared: guessed, unrolled.

What the first current and the first spike leave in the potential n steps later, h[n] = (A^n·b)₁ and −(A^n·r)₁,
obey one recurrence z[n] = Σ_i a_i·z[n−i] of k terms, from n = k on and from k + 1 on: linear equations for a,
2·T − 2·k − 1 of them. All states that behave so are the same neuron. Those are taken where A has p on its
diagonal, 1 above it, and beside these its first column alone; p = a₁/k, as boxes of such states grow least where
eigenvalues are alike, or turn. Of two real ones A₁₁ = h[1] is better, where it makes all entries 0 at least: boxes
are exact then.

A neuron that keeps nothing of what comes in, and to which each spike adds by a table, as refractory kernels do, is
another one: x_i[t] = x_{i+1}[t−1] − r_i·s[t] are what the next steps hear, as many as the table is long.

A wrong guess can only be refused: what counts is proved by `fitting.py`, of the currents that `entering` gives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ...linear_neuron import MOST_OTHERS
from ..polynomials import (
    UNIT,
    ZERO,
    Coefficient,
    Excess,
    Polynomial,
    Shortening,
    Term,
    entries_of,
    nowhere_zero,
    parted,
    pivot_of,
    shortened,
    summed,
)

MOST_STATES = 4
"""Of a neuron: the potential is one of them."""
LOOKED_AT = 3 * MOST_STATES
"""How many steps a guess is made by: all steps prove it."""
Numbers = Sequence[Coefficient]


@dataclass(frozen=True)
class LinearStates:
    """Constants of a recurrence whose first state is compared, and hears the current itself: b₁ = 1.

    Attributes:
        matrix: A, row by row.
        hears: b.
        loses: r.
    """

    matrix: tuple[tuple[Coefficient, ...], ...]
    hears: tuple[Coefficient, ...]
    loses: tuple[Coefficient, ...]

    @property
    def largest(self) -> Fraction:
        """Return the largest modulus of a constant."""
        parts = (*sum(self.matrix, ()), *self.hears, *self.loses)
        return max(abs(each) for part in parts for each in entries_of(part))

    def entering(
        self, potentials: list[Polynomial], spikes: list[Polynomial], names: list[Shortening]
    ) -> list[Polynomial]:
        """Return I[t] of potentials before the reset: what A does not make of the states, which have the names."""
        found, states = [], [Polynomial({})] * len(self.hears)
        for potential, spike, by in zip(potentials, spikes, names, strict=True):
            rows = ([x * a for x, a in zip(states, row, strict=True) if a] for row in self.matrix)
            kept = [summed(term for part in parts for term in part.terms.items()) for parts in rows]
            found.append(potential - kept[0])
            parts = zip(kept, self.hears, self.loses, strict=True)
            states = [shortened(one + found[-1] * hears, by) - spike * loses for one, hears, loses in parts]
        return found


def spelled(
    known: list[Polynomial], firings: tuple[int, ...], names: Shortening = ()
) -> tuple[list[Polynomial], list[Shortening]]:
    """Return what a layer compares at each step without names of what it compared before, and sums of these.

    Args:
        known: what is compared.
        firings: that compare it.
        names: of sums that are made behind the last step, if there are any.
    """
    found: dict[Excess, Polynomial] = {}
    for number, excess in zip(firings, known, strict=False):
        found[Excess(number)] = _without(excess, found)
    own = [(name, _without(whole, found)) for _, whole, name in names]
    return list(found.values()), [apart(own)] if names else []


def _without(signal: Polynomial, known: dict[Excess, Polynomial]) -> Polynomial:
    """Return a signal without names of what was compared."""
    named = {each for each in signal.signals if isinstance(each, Excess) and each in known}
    parts = [Polynomial({term: factor for term, factor in signal.terms.items() if term[1] not in named})]
    for each in named:
        factor = Polynomial(
            {(own, None): number for (own, graded), number in signal.terms.items() if graded == each}
        )
        parts.append(known[each] * factor)
    return summed(term for part in parts for term in part.terms.items())


def apart(sums: list[tuple[Polynomial, Polynomial]]) -> Shortening:
    """Return sums with a term each that no later one has, less what is told by earlier ones.

    Args:
        sums: each with its name before it.
    """
    found: list[tuple[Term, Polynomial, Polynomial]] = []
    for name, whole in sums:
        by, rest = parted(whole, found)
        if (pivot := pivot_of(rest)) is not None:
            found.append((pivot, rest, name - by))
    return tuple(found)


def guesses_of_states(
    known: list[Polynomial], firings: tuple[int, ...], begun: Coefficient
) -> Iterator[tuple[Coefficient, LinearStates]]:
    """Yield thresholds and neurons of two to four states.

    Args:
        known: what is compared at each step, without names.
        firings: that compare it.
        begun: a constant that comes in at the first step alone, of maps of spikes that were none before.
    """
    first = next((step for step, each in enumerate(known) if each.rest.terms), len(known))
    steps = known[first : first + LOOKED_AT]
    for graded in steps[0].signals[:1] if len(steps) > 1 else ():
        heard = [each.coefficient(graded) for each in steps]
        left = [each.coefficient(None, firings[first]) for each in steps]
        if not nowhere_zero(heard[0]):
            continue
        differing = [now - before for before, now in zip([ZERO, *heard], heard, strict=False)]
        for each in (heard, differing):  # of a current for each step, and of one that is the same at all
            response = [number / heard[0] for number in each]
            for count in range(2, MOST_STATES + 1):
                states = _realised(_recurrence(response, left, count), response, left)
                if states is not None:
                    yield from ((threshold, states) for threshold in _thresholds(steps, response, begun))
    if (states := _table(known, firings)) is not None:
        yield from ((-known[0].constant, states), (UNIT, states))


def _table(known: list[Polynomial], firings: tuple[int, ...]) -> LinearStates | None:
    """Return states that hand on what each spike adds some steps later, by the last step; None for too many."""
    added = [known[-1].coefficient(None, spike) for spike in reversed(firings[:-1])]
    while added and added[-1] == ZERO:
        added.pop()
    if not 0 < len(added) <= MOST_OTHERS:
        return None
    places = range(1 + len(added))
    matrix = tuple(tuple(UNIT if column == row + 1 else ZERO for column in places) for row in places)
    return LinearStates(matrix, (UNIT, *[ZERO] * len(added)), (ZERO, *(-number for number in added)))


def _thresholds(steps: list[Polynomial], response: Numbers, begun: Coefficient) -> Iterator[Coefficient]:
    """Yield θ where no constant comes in, and where one does at each step; 1 where nothing is kept."""
    left = [step.constant - share * begun for step, share in zip(steps, response, strict=True)]
    yield -left[0]
    pairs = zip(left, left[1:], response[1:], strict=False)
    yield from [(now - before) / share - left[0] for before, now, share in pairs if nowhere_zero(share)][:1]
    if not any(response[1:]):
        yield UNIT


def _recurrence(response: Numbers, left: Numbers, count: int) -> Numbers:
    """Return a, by elimination; nothing where the steps don't tell it of each neuron."""
    told = [(z, n) for z, start in ((response, count), (left, count + 1)) for n in range(start, len(z))]
    rows = [[*(z[n - 1 - i] for i in range(count)), z[n]] for z, n in told]
    solved: list[Numbers] = []
    for place in range(count):
        pivot = next((row for row in rows if nowhere_zero(row[place])), None)
        if pivot is None:
            return []
        own = [number / pivot[place] for number in pivot]
        rows = [_less(row, own, place) for row in rows if row is not pivot]
        solved = [*(_less(row, own, place) for row in solved), own]
    return [row[-1] for row in solved] if all(row[-1] == ZERO for row in rows) else []


def _less(row: Numbers, own: Numbers, place: int) -> Numbers:
    return [number - part * row[place] for number, part in zip(row, own, strict=True)]


def _realised(shares: Numbers, response: Numbers, left: Numbers) -> LinearStates | None:
    """Return states of a recurrence; None where there are none."""
    if not shares:
        return None
    mean = shares[0] * Fraction(1, len(shares))
    best = _companion(shares, shares[0] - response[1]) if len(shares) == 2 else None
    early = best is not None and all(
        each >= 0 for part in (response[1], mean - response[1], best[1][0]) for each in entries_of(part)
    )
    matrix = best if best is not None and early else _companion(shares, mean)
    rows: list[Numbers] = [[UNIT, *[ZERO] * (len(shares) - 1)]]
    for _ in shares[1:]:
        rows.append(
            [sum((r * a[j] for r, a in zip(rows[-1], matrix, strict=True)), ZERO) for j in range(len(shares))]
        )
    hears, behind = (_below(rows, z) for z in (response, [-number for number in left[1:]]))
    loses = _before(matrix, behind)
    return loses and LinearStates(tuple(map(tuple, matrix)), tuple(hears), tuple(loses))  # pyright: ignore


def _companion(shares: Numbers, own: Coefficient) -> Sequence[Numbers]:
    """Return A of p and c: z^k − Σ a_i·z^(k−i) = (z − p)^k + Σ c_i·(z − p)^(k−i), where p is `own`."""
    count, shifted = len(shares), [UNIT, *(-share for share in shares)]
    for last in range(count, 0, -1):
        for place in range(1, last + 1):
            shifted[place] = shifted[place] + shifted[place - 1] * own
    matrix: list[list[Coefficient]] = [
        [own if i == j else UNIT if j == i + 1 else ZERO for j in range(count)] for i in range(count)
    ]
    for row, number in zip(matrix, shifted[1:], strict=True):
        row[0] = row[0] - number
    return matrix


def _below(rows: Sequence[Numbers], wanted: Numbers) -> Numbers:
    """Return x of rows · x = wanted, for rows below a diagonal of ones."""
    found: list[Coefficient] = []
    for row, number in zip(rows, wanted, strict=False):
        found.append(number - sum((a * x for a, x in zip(row, found, strict=False)), ZERO))
    return found


def _before(matrix: Sequence[Numbers], behind: Numbers) -> Numbers | None:
    """Return r of A·r = `behind`, as r = one + r₁·other by all rows but the last, which says r₁."""
    if len(behind) < len(matrix):
        return None
    one: list[Coefficient] = [ZERO]
    other: list[Coefficient] = [UNIT]
    for place, (row, number) in enumerate(zip(matrix, behind, strict=False)):
        for part, start in ((one, number), (other, ZERO)):
            part.append(start - sum((a * x for a, x in zip(row, part[: place + 1], strict=False)), ZERO))
    lacks, share = one.pop(), other.pop()
    if not nowhere_zero(share):
        return one if (lacks, share) == (ZERO, ZERO) else None
    return [number - part * (lacks / share) for number, part in zip(one, other, strict=True)]
