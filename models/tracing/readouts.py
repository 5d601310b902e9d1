"""What a module's output is of the steps: a mean of signals, or a leaky sum of them."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ..conversion.refusal import ConversionRefused
from .followed import TIME, settled
from .grouping import LayerFirings
from .polynomials import ONE, UNIT, ZERO, Coefficient, Excess, Image, Polynomial, Term, image, nowhere_zero
from .reading import GraphReading


@dataclass(frozen=True)
class Readout:
    """The output as (1/T)·Σ_t x[t], or, with a decay, as v[T] of v[t] = λ·v[t−1] + x[t].

    Attributes:
        signal: x at the last step.
        decay: λ; None for the mean.
    """

    signal: Polynomial
    decay: Coefficient | None = None


def readout_of(reading: GraphReading, layers: LayerFirings) -> Readout:
    """Return how an output reads the layers.

    Raises:
        ConversionRefused: for an output that is neither.
    """
    lead, _ = settled(reading.output)
    steps = list(reading.output.steps)
    for step in steps:
        if any(isinstance(each, Excess) for each in step.signals):
            raise ConversionRefused(
                "output: is the potential of a neuron that fires; expected its spikes (output=…)"
            )
    if TIME not in lead or len(steps) == 1:
        return _of_one(steps[0], layers)
    if len(steps) != layers.num_steps:
        raise ConversionRefused(
            f"output: has {len(steps)} steps of {layers.num_steps}; expected all, or their mean"
        )
    if _steady(steps, layers):
        return Readout(steps[-1])
    for decay in _decays(steps[0], steps[1]):
        entering = [steps[0]] + [now - before * decay for before, now in pairwise(steps)]
        if _steady(entering, layers):
            return Readout(entering[-1], decay)
    raise ConversionRefused("output: is not the same function of each step, nor a leaky sum of them")


def _decays(first: Polynomial, second: Polynomial) -> list[Fraction]:
    """Return what a leaky sum may keep of a step, by the terms of the first one."""
    terms = ((term, number) for term, number in first.terms.items() if term != ONE and nowhere_zero(number))
    ratios = [(second.coefficient(term[1], *term[0]) / number) for term, number in terms]
    shares = (each for ratio in ratios for each in (ratio, ratio - UNIT))
    return [each for each in dict.fromkeys(shares) if isinstance(each, Fraction) and 0 < each <= 1]


def _steady(steps: list[Polynomial], layers: LayerFirings) -> bool:
    return all(step == layers.moved(steps[-1], place + 1 - len(steps)) for place, step in enumerate(steps))


def _of_one(output: Polynomial, layers: LayerFirings) -> Readout:
    """Return what one output, behind all steps, is of them."""
    last = layers.num_steps - 1
    times = layers.times(output)
    if times <= {last} and layers.num_steps > 1 and times:
        return Readout(output, ZERO)
    try:
        return Readout(averaged(output, layers))
    except ConversionRefused:
        parts = _by_time(output, layers)
        rest = parts.get(None, Polynomial({}))
        before = layers.moved(parts.get(last, Polynomial({})), -1)
        for decay in _decays(before, parts.get(last - 1, Polynomial({}))):
            if rest == Polynomial.of(rest.constant) and _leaky(parts, decay, layers):
                shares = sum((_power(decay, step) for step in range(layers.num_steps)), start=ZERO)
                return Readout(parts[last] + Polynomial.of(rest.constant / shares), decay)
        raise


def _leaky(parts: dict[int | None, Polynomial], decay: Coefficient, layers: LayerFirings) -> bool:
    last = layers.num_steps - 1
    return all(
        parts.get(step, Polynomial({})) == layers.moved(parts[last], step - last) * _power(decay, last - step)
        for step in range(layers.num_steps)
    )


def _power(number: Coefficient, exponent: int) -> Coefficient:
    found: Coefficient = UNIT
    for _ in range(exponent):
        found = found * number
    return found


def averaged(output: Polynomial, layers: LayerFirings) -> Polynomial:
    """Return x at the last step, of which a signal is the mean over time.

    What an affine map makes of a mean is the mean of what it makes.
    """
    count, whole, plain = layers.num_steps, Polynomial({}), {}
    for (spikes, graded), number in output.terms.items():
        if isinstance(graded, Image) and not spikes and len(layers.times(graded.signal)) > 1:
            if "max_pool" in graded.map.key[0]:
                raise ConversionRefused(
                    "output: is a maximum of what several steps give; expected it at each step"
                )
            whole = whole + image(graded.map, averaged(graded.signal, layers)) * number
        else:
            plain[spikes, graded] = number
    parts = _by_time(Polynomial(plain), layers)
    whole = whole + parts.pop(None, Polynomial({}))
    if not parts:
        return whole
    last = parts.get(count - 1, Polynomial({}))
    if any(parts.get(step, Polynomial({})) != layers.moved(last, step + 1 - count) for step in range(count)):
        raise ConversionRefused("output: does not weigh all steps alike; expected their mean or their sum")
    return whole + last * (UNIT * count)


def _by_time(output: Polynomial, layers: LayerFirings) -> dict[int | None, Polynomial]:
    """Return the terms of each step, by the latest that is in them; None: those of no step."""
    found: dict[int | None, dict[Term, Coefficient]] = {}
    for (spikes, graded), number in output.terms.items():
        times = layers.times(Polynomial({(spikes, graded): UNIT}))
        found.setdefault(max(times, default=None), {})[spikes, graded] = number
    return {step: Polynomial(terms) for step, terms in found.items()}
