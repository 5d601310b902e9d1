"""F1, exactly: which spike trains a neuron may have under a constant current, and for which currents each.

While a train stays the same, v[t] = α·I + β. The run's v̂[t] differs from that by at most `error`, so a branch is
kept for 'fires' where v + error ≥ θ − tie and for 'silent' where v − error ≤ θ + tie: each current that a run may
have lies in the row of the train that it then has.

The error. On a branch |I| ≤ m and |û| ≤ |α|·m + |β| + error =: size; λ, θ and a·I are rounded, too. One step errs
by at most 4u·(λ·size + |a|·m) and its reset, where it subtracts, by 4u·(size + d); underflow adds at most 8·tiny.
So error ← λ·error + that. A hard reset starts again from exactly 0. With the same a at each step it then repeats
itself bit by bit, so the first spike decides the train.

What is kept. Numbers are rounded to multiples of 2^−FINE, outward: α and β to one below, for which the error pays,
so that they do not grow with T. Only branches that some neuron's currents meet are followed: the rows that are
left are the same, whatever the others would be.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from ..network.neurons import Neuron
from ..numbers.arithmetic import Arithmetic
from ..numbers.exact import GRID, Dyadic, Refused, greater
from ..work import spend

MOST_ROWS = 4096
FINE = 160
"""Bits behind the point of a branch's numbers."""
_ONE = 1 << FINE
BRANCH = 2048
"""Operations that a branch takes at a step."""


class TooLong(Refused):
    """A table has more rows than are followed."""


@dataclass(frozen=True)
class Table:
    """Rows by rising middles: currents in [low, high] may have train `trains[r]`; (R,), (R,) and (R, T)."""

    low: Dyadic
    high: Dyadic
    trains: np.ndarray


@dataclass(frozen=True)
class _Branch:
    """Currents in [low, high] that share a train so far, with u = alpha·I + beta up to `error` there."""

    low: Fraction
    high: Fraction
    alpha: Fraction = Fraction(0)
    beta: Fraction = Fraction(0)
    error: Fraction = Fraction(0)
    train: tuple[int, ...] = ()

    @property
    def largest(self) -> Fraction:
        """Return m, the greatest |I|."""
        return max(abs(self.low), abs(self.high))

    @property
    def size(self) -> Fraction:
        """Return a bound of what the run has in place of |u|."""
        return abs(self.alpha) * self.largest + abs(self.beta) + self.error

    def rounded(self) -> "_Branch":
        """Return a branch of shorter numbers that holds all that this one holds."""
        alpha, beta = _down(self.alpha), _down(self.beta)
        lost = (self.alpha - alpha) * self.largest + self.beta - beta
        return _Branch(_down(self.low), -_down(-self.high), alpha, beta, -_down(-self.error - lost), self.train)


@dataclass(frozen=True)
class _Currents:
    """The currents that some neuron may have: intervals [lows[i], highs[i]]·2^−GRID, apart from each other."""

    lows: list[int]
    highs: list[int]

    @staticmethod
    def of(low: Dyadic, high: Dyadic) -> "_Currents":
        """Return the union of [low, high], (n, 1) each."""
        shift = max(GRID, low.shift, high.shift)
        down = shift - GRID
        ends = zip(low.at(shift).ravel().tolist(), high.at(shift).ravel().tolist(), strict=True)
        lows: list[int] = []
        highs: list[int] = []
        for least, most in sorted((least >> down, -(-most >> down)) for least, most in ends):
            if highs and least <= highs[-1]:
                highs[-1] = max(highs[-1], most)
            else:
                lows.append(least)
                highs.append(most)
        return _Currents(lows, highs)

    def meet(self, branch: _Branch) -> bool:
        """Return whether some of these currents may be the branch's."""
        scale = 1 << GRID
        least = branch.low.numerator * scale // branch.low.denominator
        most = -(-branch.high.numerator * scale // branch.high.denominator)
        place = bisect_left(self.highs, least)
        return place < len(self.highs) and self.lows[place] <= most


def train_table(neuron: Neuron, low: Dyadic, high: Dyadic, arithmetic: Arithmetic) -> Table:
    """Return the table for the currents in [low, high], (n, 1) each, of any of n neurons.

    Raises:
        TooLong: where it has too many rows.
        Refused: where the run may overflow.
    """
    reach = greater(abs(low), abs(high)).max().fraction()
    neuron.largest(reach, arithmetic)
    periodic = neuron.reset == "zero" and len(set(neuron.scale)) == 1
    currents = _Currents.of(low, high)
    branches, done = [_Branch(-reach, Fraction(0)), _Branch(Fraction(0), reach)], []
    for factor in neuron.scale:
        spend(BRANCH * len(branches))
        found = [child for branch in branches for child in _children(branch, factor, neuron, arithmetic)]
        children = [child for child in map(_Branch.rounded, found) if currents.meet(child)]
        done += [child for child in children if periodic and child.train[-1]]
        branches = [child for child in children if not (periodic and child.train[-1])]
        if len(branches) + len(done) > MOST_ROWS:
            raise TooLong(f"unknown: no proof form for a neuron with more than {MOST_ROWS} trains")
    rows = branches + [replace(branch, train=_repeated(branch.train, len(neuron.scale))) for branch in done]
    spend(len(rows) * len(neuron.scale))
    rows.sort(key=lambda row: (row.low + row.high, row.train))
    return Table(
        Dyadic.outward([row.low for row in rows], up=False),
        Dyadic.outward([row.high for row in rows], up=True),
        np.array([row.train for row in rows], dtype=object),
    )


def _down(value: Fraction) -> Fraction:
    """Return a number at or below `value`, within 2^−FINE, that is no longer than that."""
    if value.denominator <= _ONE:
        return value
    return Fraction(value.numerator * _ONE // value.denominator, _ONE)


def _repeated(train: tuple[int, ...], steps: int) -> tuple[int, ...]:
    return (train * steps)[:steps]


def _children(branch: _Branch, factor: Fraction, neuron: Neuron, arithmetic: Arithmetic) -> Iterator[_Branch]:
    """Yield the part that is silent at this step, and the part that fires; together they are all of the branch."""
    slip = 4 * arithmetic.unit * (neuron.decay * branch.size + abs(factor) * branch.largest) + 8 * arithmetic.tiny
    moved = replace(
        branch,
        alpha=neuron.decay * branch.alpha + factor,
        beta=neuron.decay * branch.beta,
        error=neuron.decay * branch.error + slip,
    )
    loose = moved.error + neuron.tie(arithmetic)
    silent = _where(moved, moved.alpha, neuron.threshold + loose - moved.beta)
    if silent is not None:
        yield replace(silent, train=(*branch.train, 0))
    fires = _where(moved, -moved.alpha, moved.beta + loose - neuron.threshold)
    if fires is not None:
        yield _reset(replace(fires, train=(*branch.train, 1)), neuron, arithmetic)


def _where(branch: _Branch, slope: Fraction, limit: Fraction) -> _Branch | None:
    """Return the part of the branch where slope·I ≤ limit, or None."""
    if slope > 0:
        branch = replace(branch, high=min(branch.high, limit / slope))
    elif slope < 0:
        branch = replace(branch, low=max(branch.low, limit / slope))
    elif limit < 0:
        return None
    return branch if branch.low <= branch.high else None


def _reset(branch: _Branch, neuron: Neuron, arithmetic: Arithmetic) -> _Branch:
    if neuron.reset == "zero":
        return replace(branch, alpha=Fraction(0), beta=Fraction(0), error=Fraction(0))
    if neuron.reset == "none":
        return branch
    slip = 4 * arithmetic.unit * (branch.size + neuron.drop) + 8 * arithmetic.tiny
    return replace(branch, beta=branch.beta - neuron.drop, error=branch.error + slip)
