"""What a layer's firings compute, as a neuron: guessed from two coefficients, and proved for all steps and inputs.

With v = P + θ, P what is compared with 0, and u what a reset leaves of it, a guess (λ, θ, reset) gives the currents

    I[t] = v[t] − λ·u[t−1]

by subtraction of polynomials with exact coefficients. The guess counts only if I holds neither potentials nor
spikes of the layer itself, entry by entry, and is the same sum of signals at each step, moved in time: then by
induction the neuron with these constants is what the module computes, for all inputs, up to rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..conversion.refusal import ConversionRefused
from .grouping import Layers
from .polynomials import UNIT, ZERO, Coefficient, Excess, Polynomial, entries_of, nowhere_zero


@dataclass(frozen=True)
class Fit:
    """A layer's neuron: v[t] = λ·u[t−1] + a[t]·I[t], a spike where v reaches θ.

    Attributes:
        kind: "zero", "subtract" or "none", "rest" (for one step behind each spike) or "adaptive".
        decay, threshold: λ, θ.
        drop: what "subtract" takes away.
        current: I at the last step.
        start: u[0].
        synapse: κ of i[t] = κ·i[t−1] + I[t] in the place of I; None for none.
        scale: a; None for 1 at each step.
        adaptation, fading: β and ρ of θ + β·a, a[t] = ρ·a[t−1] + s[t−1].
    """

    kind: str
    decay: Coefficient
    threshold: Coefficient
    drop: Coefficient = ZERO
    current: Polynomial = Polynomial({})  # noqa: RUF009 (it never changes)
    start: Coefficient = ZERO
    synapse: Coefficient | None = None
    scale: tuple[Coefficient, ...] | None = None
    adaptation: Coefficient = ZERO
    fading: Coefficient = ZERO


def fit(layers: Layers, layer: int) -> Fit:
    """Return the neuron of a layer.

    Raises:
        ConversionRefused: with the equation of the first step that no known neuron has.
    """
    firings = layers.steps[layer]
    known = [layers.firings[number].excess for number in firings]
    if layers.constant(layer) or len(known) == 1:
        return _memoryless(layers, known)
    own = frozenset(firings)
    names = [
        Polynomial.graded(Excess(number)) if layers.firings[number].named else excess
        for number, excess in zip(firings, known, strict=True)
    ]
    reasons = []
    for guess in _guesses(known, names, firings):
        try:
            return _proved(layers, own, guess, _currents(guess, known, names, firings))
        except ConversionRefused as error:
            reasons.append(f"{guess.kind}: {error}")
    place = layers.firings[firings[0]].place
    raise ConversionRefused(f"{place}: is no neuron that is known here ({'; '.join(dict.fromkeys(reasons))})")


def _memoryless(layers: Layers, known: list[Polynomial]) -> Fit:
    constant = known[0].constant
    if layers.times(known[0]) and layers.num_steps > 1:
        raise ConversionRefused("fires at one step only, expected all")
    below = all(number < 0 for number in entries_of(constant))
    threshold = -constant if below else UNIT
    return Fit("none", ZERO, threshold, current=known[0] + Polynomial.of(threshold))


def _guesses(known: list[Polynomial], names: list[Polynomial], firings: tuple[int, ...]) -> Iterator[Fit]:
    """Yield what the second step may be, by its coefficients."""
    first, second, spike = names[0], known[1], firings[0]
    lost = second.coefficient(None, spike)
    for graded in first.signals:
        whole = first.coefficient(graded)
        if not nowhere_zero(whole):
            continue
        kept, reset = (second.coefficient(graded, *spikes) / whole for spikes in ((), (spike,)))
        if nowhere_zero(reset):
            yield from _hard(known, first, -reset, lost)
        for decay in (kept, kept - UNIT):
            if nowhere_zero(decay):
                yield from _soft(known, first, decay, lost)
    constant = known[0].constant
    yield Fit("none", ZERO, -constant if all(number < 0 for number in entries_of(constant)) else UNIT)


def _hard(known: list[Polynomial], first: Polynomial, decay: Coefficient, lost: Coefficient) -> Iterator[Fit]:
    """Yield resets to zero, from 0 or from where the first constants show it."""
    threshold = -lost / decay - first.constant
    later = known[1].constant + threshold - decay * (first.constant + threshold)
    yield Fit("zero", decay, threshold)
    yield Fit("zero", decay, threshold, start=(known[0].constant + threshold - later) / decay)
    yield Fit("rest", decay, -known[0].constant)


def _soft(known: list[Polynomial], first: Polynomial, decay: Coefficient, lost: Coefficient) -> Iterator[Fit]:
    """Yield subtracting resets; the threshold is known by constants of the first steps, or by what is subtracted."""
    drop = -lost / decay
    kind = "subtract" if nowhere_zero(drop) else "none"
    by_constants = (known[1].constant - known[0].constant) / decay - first.constant
    for threshold in dict.fromkeys((by_constants, drop, -lost, -known[0].constant)):
        yield Fit(kind, decay, threshold, drop)


def _currents(
    guess: Fit, known: list[Polynomial], names: list[Polynomial], firings: tuple[int, ...]
) -> list[Polynomial]:
    """Return I[t] of a guess, at each step."""
    threshold, found = Polynomial.of(guess.threshold), []
    left = Polynomial.of(guess.start)
    for number, excess, name in zip(firings, known, names, strict=True):
        potential = excess + threshold
        if guess.kind == "rest" and found:
            before = firings[len(found) - 1]
            if potential != potential.where(before, False) * (Polynomial.of(UNIT) - Polynomial.spike(before)):
                raise ConversionRefused(f"step {len(found) + 1} takes something in behind a spike")
            potential = potential.where(before, False)
        found.append(potential - left * guess.decay)
        left = _left(guess, name + threshold, Polynomial.spike(number))
        if guess.kind == "rest":
            left = left.where(number, False)
    return found


def _left(guess: Fit, potential: Polynomial, spike: Polynomial) -> Polynomial:
    """Return u, what the reset leaves."""
    if guess.kind in ("zero", "rest"):
        return potential - potential * spike
    return potential - spike * guess.drop


def _proved(layers: Layers, own: frozenset[int], guess: Fit, currents: list[Polynomial]) -> Fit:
    """Return a guess with the one current of all steps, itself or through a synapse or an input scale."""
    for step, current in enumerate(currents):
        if current.spikes & own or any(isinstance(each, Excess) for each in current.signals):
            raise ConversionRefused(f"step {step + 1} keeps something of the potential or the spike before")
    if _steady(layers, currents):
        return replace(guess, current=currents[-1])
    for decay in _ratios(currents):
        entering = [currents[0]] + [now - before * decay for before, now in zip(currents, currents[1:], strict=False)]
        if _steady(layers, entering):
            return replace(guess, current=entering[-1], synapse=decay)
    scale = _scaled(layers, currents)
    if scale is not None:
        return replace(guess, current=currents[-1] * (UNIT / scale[-1]), scale=scale)
    step = next(step for step, each in enumerate(currents) if each != _at(layers, currents, step)) + 1
    raise ConversionRefused(f"the current of step {step} is not that of step {len(currents)}")


def _at(layers: Layers, currents: list[Polynomial], step: int) -> Polynomial:
    return layers.moved(currents[-1], step + 1 - len(currents))


def _steady(layers: Layers, currents: list[Polynomial]) -> bool:
    """Return whether each is the last one, moved in time."""
    return all(current == _at(layers, currents, step) for step, current in enumerate(currents))


def _ratios(currents: list[Polynomial]) -> Iterator[Coefficient]:
    """Yield what a synapse may keep of a current."""
    for graded in currents[0].signals:
        whole = currents[0].coefficient(graded)
        if nowhere_zero(whole):
            kept = currents[1].coefficient(graded) / whole
            yield from (ratio for ratio in (kept, kept - UNIT) if nowhere_zero(ratio))


def _scaled(layers: Layers, currents: list[Polynomial]) -> tuple[Coefficient, ...] | None:
    """Return a[t], where each current is a[t] times the same."""
    found = []
    for step, current in enumerate(currents):
        last = _at(layers, currents, step)
        graded = next(iter(last.signals), None)
        whole = last.coefficient(graded)
        if not nowhere_zero(whole):
            return None
        found.append(current.coefficient(graded) / whole)
        if current != last * found[-1]:
            return None
    return tuple(found)
