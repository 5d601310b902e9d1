"""What a layer's firings compute, as a neuron: guessed by coefficients, and proved for all steps and inputs.

With v = P + θ, P what is compared with 0, and u what a reset leaves, a guess (λ, θ, reset) gives the currents

    I[t] = v[t] − λ·u[t−1]

by subtraction of polynomials with exact coefficients. The guess counts only if I holds neither potentials nor
spikes of the layer itself, entry by entry, and is the same sum of signals at each step, moved in time: then by
induction the neuron with these constants is what the module computes, for all inputs, up to rounding.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from ..conversion.refusal import ConversionRefused
from .grouping import LayerFirings
from .polynomials import UNIT, ZERO, Coefficient, Excess, Polynomial, entries_of, nowhere_zero, told


@dataclass(frozen=True)
class Fit:
    """A layer's neuron: v[t] = λ·u[t−1] + a[t]·I[t], a spike where v reaches θ.

    Attributes:
        kind: "zero", "subtract" or "none", or "rest" (for one step behind each spike).
        decay, threshold: λ, θ.
        drop: what "subtract" takes away.
        current: I at the last step.
        start: u[0].
        synapse: κ of i[t] = κ·i[t−1] + I[t] in the place of I; None for none.
        scale: a; None for 1 at each step.
        adaptation, fading: β and ρ of θ + β·a, a[t] = ρ·a[t−1] + s[t−1], where β is not 0.
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


def fit(layers: LayerFirings, layer: int) -> Fit:
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
    nearest = 0, "its potential is no leaky sum of currents"
    for guess in dict.fromkeys(_guesses(known, names, firings)):
        try:
            _check(guess)
            return _proved(layers, own, guess, _currents(guess, known, names, firings))
        except _Mismatch as error:
            nearest = max(nearest, (error.right, f"{_told(guess)}: {error}"))
        except ConversionRefused as error:
            nearest = max(nearest, (0, str(error)))
    place = layers.firings[firings[0]].place
    raise ConversionRefused(
        f"{place}: is no neuron that is known here, {nearest[1]}; expected a leaky sum, and a reset to a "
        "constant or by one, all the same at each step"
    )


class _Mismatch(ConversionRefused):
    """A step that is not as guessed, 1 for the first, and how much of the guess was right before."""

    def __init__(self, step: int, reason: str, right: int = 0) -> None:
        super().__init__(f"step {step} {reason}")
        self.right = step + right


def _told(guess: Fit) -> str:
    constants = f"decay {told(guess.decay)}, threshold {told(guess.threshold)}, reset {guess.kind!r}"
    return f"not the one of {constants}" + (", adaptive" if guess.adaptation != ZERO else "")


def _check(guess: Fit) -> None:
    """Raise for constants that no neuron has."""
    shares = {
        "keeps {} of its potential": guess.decay,
        "keeps {} of what its threshold was raised by": guess.fading,
    }
    for what, share in shares.items():
        if not all(0 <= number <= 1 for number in entries_of(share)):
            raise ConversionRefused(f"{what.format(told(share))} in a step, expected a share in [0, 1]")
    if not all(number > 0 for number in entries_of(guess.threshold)):
        raise ConversionRefused(
            f"has a threshold of {told(guess.threshold)}, expected one above what a reset leaves"
        )
    if not all(number >= 0 for number in entries_of(guess.adaptation)):
        raise ConversionRefused(f"lowers its threshold by a spike, by {told(-guess.adaptation)}")


def _memoryless(layers: LayerFirings, known: list[Polynomial]) -> Fit:
    constant = known[0].constant
    if layers.times(known[0]) and layers.num_steps > 1:
        raise ConversionRefused("fires at one step only, expected all")
    below = all(number < 0 for number in entries_of(constant))
    threshold = -constant if below else UNIT
    return Fit("none", ZERO, threshold, current=known[0] + Polynomial.of(threshold))


def _guesses(known: list[Polynomial], names: list[Polynomial], firings: tuple[int, ...]) -> Iterator[Fit]:
    """Yield what the steps may be, by coefficients of the second and the third."""
    for before in range(min(2, len(known) - 1)):
        yield from _guesses_behind(before, known, names[before], firings)
    constant = known[0].constant
    yield Fit("none", ZERO, -constant if all(number < 0 for number in entries_of(constant)) else UNIT)


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


def _soft(
    known: list[Polynomial], now: Polynomial, name: Polynomial, decay: Coefficient, spike: int
) -> Iterator[Fit]:
    """Yield subtracting resets; the threshold is known by constants of the steps, or by what is subtracted."""
    lost = now.coefficient(None, spike)
    drop = -lost / decay
    kind = "subtract" if nowhere_zero(drop) else "none"
    by_constants = (now.constant - known[0].constant) / decay - name.constant
    for threshold in dict.fromkeys((by_constants, drop, -lost, -known[0].constant)):
        yield Fit(kind, decay, threshold, drop)


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


def _currents(
    guess: Fit, known: list[Polynomial], names: list[Polynomial], firings: tuple[int, ...]
) -> list[Polynomial]:
    """Return I[t] of a guess, at each step."""
    threshold, found = Polynomial.of(guess.threshold), []
    left, raised = Polynomial.of(guess.start), Polynomial({})
    for number, excess, name in zip(firings, known, names, strict=True):
        limit, spike = threshold + raised * guess.adaptation, Polynomial.spike(number)
        potential = excess + limit
        if guess.kind == "rest" and found:
            before = firings[len(found) - 1]
            if potential != potential.where(before, False) * (Polynomial.of(UNIT) - Polynomial.spike(before)):
                raise _Mismatch(len(found) + 1, "takes something in behind a spike")
            potential = potential.where(before, False)
        found.append(potential - left * guess.decay)
        left = _left(guess, name + limit, spike)
        raised = raised * guess.fading + spike
        if guess.kind == "rest":
            left = left.where(number, False)
    return found


def _left(guess: Fit, potential: Polynomial, spike: Polynomial) -> Polynomial:
    """Return u, what the reset leaves."""
    if guess.kind in ("zero", "rest"):
        return potential - potential * spike
    return potential - spike * guess.drop


def _proved(layers: LayerFirings, own: frozenset[int], guess: Fit, currents: list[Polynomial]) -> Fit:
    """Return a guess with the one current of all steps, itself or through a synapse or an input scale."""
    for step, current in enumerate(currents):
        if current.spikes & own or any(isinstance(each, Excess) for each in current.signals):
            raise _Mismatch(step + 1, "keeps something else of the potential or the spike before")
    if _steady(layers, currents):
        return replace(guess, current=currents[-1])
    for decay in _ratios(currents):
        entering = [currents[0], *(now - before * decay for before, now in pairwise(currents))]
        if _steady(layers, entering):
            return replace(guess, current=entering[-1], synapse=decay)
    scale = _scaled(layers, currents)
    if scale is not None:
        return replace(guess, current=currents[-1] * (UNIT / scale[-1]), scale=scale)
    step = next(step for step, each in enumerate(currents) if each != _at(layers, currents, step)) + 1
    raise _Mismatch(step, f"takes in another current than step {len(currents)}", len(currents))


def _at(layers: LayerFirings, currents: list[Polynomial], step: int) -> Polynomial:
    return layers.moved(currents[-1], step + 1 - len(currents))


def _steady(layers: LayerFirings, currents: list[Polynomial]) -> bool:
    """Return whether each is the last one, moved in time."""
    return all(current == _at(layers, currents, step) for step, current in enumerate(currents))


def _ratios(currents: list[Polynomial]) -> Iterator[Coefficient]:
    """Yield what a synapse may keep of a current."""
    for graded in currents[0].signals:
        whole = currents[0].coefficient(graded)
        if nowhere_zero(whole):
            kept = currents[1].coefficient(graded) / whole
            yield from (ratio for ratio in (kept, kept - UNIT) if nowhere_zero(ratio))


def _scaled(layers: LayerFirings, currents: list[Polynomial]) -> tuple[Coefficient, ...] | None:
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
