"""What a layer's neuron may be, of one linear state or several: guessed of its first steps.

What the first current and the first spike leave in the potential n steps later, h[n] = (A^n·b)₁ and −(A^n·r)₁,
obey one recurrence z[n] = Σ_i a_i·z[n−i] of k terms, from n = k on and from k + 1 on: linear equations for a,
2·T − 2·k − 1 of them. All states that behave so are the same neuron. Those are taken where A has p on its
diagonal, 1 above it, and beside these its first column alone; p = a₁/k, as boxes of such states grow least where
eigenvalues are alike, or turn. Of two real ones A₁₁ = h[1] is better, where it makes all entries 0 at least: boxes
are exact then.

A neuron that keeps nothing of what comes in, and to which each spike adds by a table, as refractory kernels do, is
another one: x_i[t] = x_{i+1}[t−1] − r_i·s[t] are what the next steps hear, as many as the table is long.

A wrong guess can only be refused: what counts is proved by `fitting.py`, of the currents that `entering` gives.

What a layer's neuron may be: guesses of its constants, by coefficients of its first steps.

A wrong guess can only be refused: what counts is proved of each by `fitting.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from ..linear_neuron import MOST_OTHERS
from .polynomials import (
    ONE,
    UNIT,
    ZERO,
    Coefficient,
    Excess,
    Fractions,
    Image,
    Polynomial,
    Shortening,
    Term,
    entries_of,
    nowhere_zero,
    parted,
    pivot_of,
    root,
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


LARGEST = 1e30
"""The most that a spike may take: single precision holds 3e38."""


@dataclass(frozen=True)
class Fit:
    """A layer's neuron: v[t] = λ·u[t−1] + a[t]·I[t], a spike where v reaches θ.

    Attributes:
        kind: "zero", "subtract" or "none", or "rest" (for some steps behind each spike).
        decay, threshold: λ, θ.
        drop: what "subtract" takes away.
        current: I at the last step.
        start: u[0].
        synapse: κ of i[t] = κ·i[t−1] + I[t] in the place of I; None for none.
        late: how many steps later the current comes in, 0 before.
        scale: a; None for 1 at each step.
        echo: what a spike adds to the current of the next step.
        adaptation, fading: β and ρ of a threshold θ + β·w[t−1], w[t] = ρ·w[t−1] + σ·v[t] + μ·u[t−1] + j·s[t].
        jump, drive, carry: j, σ and μ.
        drain, reset_rise: γ and ε of v[t] = λ·u[t−1] + I[t] − γ·w[t−1] and u = v − (d + ε·w[t−1])·s.
        rest: for how many steps it rests.
        own: where I is not the same at all steps, each step's as one of the last step.
        states: of several linear states, λ and d among them; None for none.
    """

    kind: str
    decay: Coefficient
    threshold: Coefficient
    drop: Coefficient = ZERO
    current: Polynomial = Polynomial({})  # noqa: RUF009 (it never changes)
    start: Coefficient = ZERO
    synapse: Coefficient | None = None
    late: int = 0
    scale: tuple[Coefficient, ...] | None = None
    echo: Coefficient = ZERO
    adaptation: Coefficient = ZERO
    fading: Coefficient = ZERO
    jump: Coefficient = UNIT
    drive: Coefficient = ZERO
    carry: Coefficient = ZERO
    drain: Coefficient = ZERO
    reset_rise: Coefficient = ZERO
    rest: int = 1
    own: tuple[Polynomial, ...] = ()
    states: LinearStates | None = None

    @property
    def uniform(self) -> bool:
        """Return whether all neurons of the layer have the same constants."""
        return not any(isinstance(each, Fractions) for each in (self.decay, self.threshold, self.drop))

    @property
    def coupled(self) -> bool:
        """Return whether w does more than raise the threshold by spikes."""
        return self.states is not None or (self.jump, self.drive, self.carry, self.drain, self.reset_rise) != (
            UNIT,
            ZERO,
            ZERO,
            ZERO,
            ZERO,
        )

    @property
    def plain(self) -> bool:
        """Return whether it is one that an input scale goes with: no rest, no adaptation, one of each constant."""
        adapts = self.coupled or self.adaptation != ZERO
        return self.kind != "rest" and self.start == self.echo == ZERO and self.uniform and not adapts


def guesses_of(known: list[Polynomial], names: list[Polynomial], firings: tuple[int, ...]) -> Iterator[Fit]:
    """Yield what the steps may be, by coefficients of the second and the third."""
    first = next(step for step, each in enumerate(known) if each.rest.terms)
    own = known[0] - of_nothing(known[1], firings[0])
    late = [own - of_nothing(known[first])] if first else []
    for begun in dict.fromkeys([own, *late]):
        yield from _guesses_from([begun, *known[1:]], first, names, firings)


def of_nothing(heard: Polynomial, spike: int | None = None) -> Polynomial:
    """Return what biases add at the first step, when nothing fired: of feedback, or of layers behind delays."""
    images = [each for each in heard.signals if isinstance(each, Image)]
    images = [each for each in images if spike is None or spike in each.signal.spikes]
    return sum((each.map.of_nothing * heard.coefficient(each) for each in images), start=Polynomial({}))


def _guesses_from(
    known: list[Polynomial], first: int, names: list[Polynomial], firings: tuple[int, ...]
) -> Iterator[Fit]:
    for before in range(first, min(first + 2, len(known) - 1)):
        yield from _guesses_behind(before, known, names[before], firings)
    if first == 0 and len(known) > 3:
        yield from _raised(known, firings)
        yield from _driven(known, firings)
    constant = known[0].constant
    threshold = -constant if all(number < 0 for number in entries_of(constant)) else UNIT
    pairs = roots(known[first : first + 3])
    for decay in (each for start in range(0, len(pairs), 2) for each in reversed(pairs[start : start + 2])):
        yield Fit("none", decay, threshold)  # of a potential that fades slower than its synapse, first
    yield Fit("none", ZERO, threshold)


def roots(known: list[Polynomial]) -> list[Coefficient]:
    """Return λ and κ of a potential that is Σ_k h[k]·x[t−k] of h[k] = c·(λ^k − κ^k), by three steps."""
    spikes, graded = next(iter(known[0].rest.terms), ONE)
    sums = [each.coefficient(graded, *spikes) for each in known]
    if len(sums) < 3 or not nowhere_zero(sums[0]):
        return []
    found: list[Coefficient] = []
    for first, second, third in (sums, (sums[0], sums[1] - sums[0], sums[2] - sums[1])):
        both = second / first
        rest = root(both * both - (both * both - third / first) * Fraction(4))
        found += [] if rest is None else [(both - rest) / Fraction(2), (both + rest) / Fraction(2)]
    return found


def _guesses_behind(
    before: int, known: list[Polynomial], name: Polynomial, firings: tuple[int, ...]
) -> Iterator[Fit]:
    now, spike = known[before + 1], firings[before]
    for graded in name.signals:
        whole = name.coefficient(graded)
        if not nowhere_zero(whole):
            continue
        kept, reset = (now.coefficient(graded, *spikes) / whole for spikes in ((), (spike,)))
        if nowhere_zero(reset):
            yield from _hard(known, now, name, -reset, spike)
            if before:
                yield from _adaptive(now, firings, -reset)
        for decay in (kept, kept - UNIT):
            if nowhere_zero(decay):
                yield from _soft(known, now, name, decay, spike)
        if nowhere_zero(kept) and len(known) > 3:
            yield from _adaptive_soft(known, firings, kept)


def _hard(
    known: list[Polynomial], now: Polynomial, name: Polynomial, decay: Coefficient, spike: int
) -> Iterator[Fit]:
    """Yield resets to zero, from 0 or from where the first constants show it."""
    threshold = -now.coefficient(None, spike) / decay - name.constant
    later = now.constant + threshold - decay * (name.constant + threshold)
    yield Fit("zero", decay, threshold)
    yield Fit("zero", decay, threshold, start=(known[0].constant + threshold - later) / decay)
    yield Fit("rest", decay, -known[0].constant)
    yield Fit("zero", decay, (now.constant - known[0].constant) / decay - name.constant)


def _soft(
    known: list[Polynomial], now: Polynomial, name: Polynomial, decay: Coefficient, spike: int
) -> Iterator[Fit]:
    """Yield subtracting resets; the threshold is known by constants of the steps, or by what is subtracted."""
    lost = now.coefficient(None, spike)
    drop = -lost / decay
    kind = "subtract" if nowhere_zero(drop) else "none"
    by_constants = (now.constant - known[0].constant) / decay - name.constant
    guessed = [by_constants, drop, -lost, -known[0].constant]
    if nowhere_zero(decay - UNIT):  # where a layer before holds the constants
        guessed.append((now.constant - decay * name.constant) / (decay - UNIT))
    thresholds = dict.fromkeys(guessed)
    for threshold in thresholds:
        yield Fit(kind, decay, threshold, drop)
    for threshold in thresholds:
        amounts = sorted(
            (ZERO, threshold, threshold / decay), key=lambda each: not _is_single(each * decay + lost)
        )
        yield from (Fit("none" if each == ZERO else "subtract", decay, threshold, each) for each in amounts)


def _is_single(number: Coefficient) -> bool:
    """Return whether numbers are of single precision, as constants of modules are."""
    rounded = torch.tensor([float(each) for each in entries_of(number)], dtype=torch.float64).float().tolist()
    return all(
        abs(one) < LARGEST and Fraction(one) == other
        for one, other in zip(rounded, entries_of(number), strict=True)
    )


def _adaptive(now: Polynomial, firings: tuple[int, ...], decay: Coefficient) -> Iterator[Fit]:
    """Yield a reset to zero at an adaptive threshold: θ + β·(ρ·s[1] + s[2]) at the third step."""
    rise = -now.coefficient(None, *firings[:2]) / decay
    if nowhere_zero(rise):
        fading = decay - now.coefficient(None, firings[0]) / rise
        threshold = (-now.coefficient(None, firings[1]) - rise) / decay
        yield Fit("zero", decay, threshold, adaptation=rise, fading=fading)


def _adaptive_soft(known: list[Polynomial], firings: tuple[int, ...], decay: Coefficient) -> Iterator[Fit]:
    """Yield a subtracting reset at an adaptive threshold, by what the first spike leaves at steps 3 and 4."""
    (third, fourth), first = known[2:4], firings[0]
    left, lost = third.coefficient(None, first), -third.coefficient(None, firings[1])
    threshold = (third.constant - known[0].constant) / decay
    if not nowhere_zero(left):
        yield Fit("subtract", decay, threshold, threshold, adaptation=lost - decay * threshold, fading=decay)
    elif nowhere_zero(decay - fourth.coefficient(None, first) / left):
        fading = fourth.coefficient(None, first) / left
        rise = left / (decay - fading)
        yield Fit("subtract", decay, threshold, (lost - rise) / decay, adaptation=rise, fading=fading)


def _raised(known: list[Polynomial], firings: tuple[int, ...]) -> Iterator[Fit]:
    """Yield thresholds that rise by spikes, and are what a spike takes: with v − B = q, λ = q's own share,

    q[3] = λ·q[2] + … + β·(λ − ρ)·s[1] − (λ·d + β)·s[2] − λ·ε·s[1]·s[2].
    """
    (third, fourth), (one, two, three) = known[2:4], firings[:3]
    decay = third.coefficient(Excess(two))
    if not nowhere_zero(decay):
        return
    kept, taken, both = (third.coefficient(None, *spikes) for spikes in ((one,), (two,), (one, two)))
    later, later_both = (fourth.coefficient(None, *spikes) for spikes in ((one,), (one, three)))
    ratios = [now / before for now, before in ((later, kept), (later_both, both)) if nowhere_zero(before)]
    for fading in dict.fromkeys(ratios):
        rise = kept / (decay - fading) if nowhere_zero(decay - fading) else ZERO
        drop = (-taken - rise) / decay
        for threshold in ((third.constant - known[0].constant) / decay, -known[0].constant):
            yield Fit("subtract", decay, threshold, drop, adaptation=rise, fading=fading, reset_rise=-both / decay)


def _driven(known: list[Polynomial], firings: tuple[int, ...]) -> Iterator[Fit]:
    """Yield neurons whose w is driven by the potential, and taken from it: with v − θ = q, I = h·x and γ = 1,

    q[3] = (λ − σ)·q[2] + I[3] − (ρ·σ + μ)·I[1] − (ρ·j − μ·d)·s[1] − (λ·d + j)·s[2],

    and ρ times as much of I[1] and s[1] in q[4]. One of σ and μ is free: μ = 0, or where ρ = 0 what λ ≤ 1 asks.
    """
    (third, fourth), (one, two) = known[2:4], firings[:2]
    share, taken = third.coefficient(Excess(two)), -third.coefficient(None, two)
    for graded in known[0].signals[:1]:
        whole = known[0].coefficient(graded)
        if not nowhere_zero(whole):
            continue
        for own in (UNIT, ZERO):  # of an input that is the same at each step, and of one for each
            past, later = (each.coefficient(graded) / whole - own for each in (third, fourth))
            kept, left = (each.coefficient(None, one) for each in (third, fourth))
            thresholds = [-known[0].constant]
            if nowhere_zero(share + past):
                thresholds.append((third.constant - (UNIT + past) * known[0].constant) / (share + past))
            ratios = [now / before for now, before in ((left, kept), (later, past)) if nowhere_zero(before)]
            for fading in dict.fromkeys(ratios):
                if nowhere_zero(fading):
                    jump, drive, carry = -kept / fading, -past / fading, ZERO
                    decay = share + drive
                    drop = (taken - jump) / decay if nowhere_zero(decay) else ZERO
                elif nowhere_zero(past):
                    decay = UNIT if any(each > 1 for each in entries_of(share)) else share
                    drive, carry, drop = decay - share, -past, -kept / past
                    jump = taken - decay * drop
                else:
                    continue
                state = {"jump": jump, "drive": drive, "carry": carry, "drain": UNIT}
                yield from (
                    Fit("subtract", decay, threshold, drop, fading=fading, **state) for threshold in thresholds
                )
