"""What a module's output is of the steps: a mean of signals, or what integrates them, and how that is read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from itertools import pairwise

from ..conversion.refusal import ConversionRefused
from .followed import TIME, settled
from .grouping import LayerFirings
from .guesses import roots
from .polynomials import ONE, UNIT, ZERO, Coefficient, Excess, Image, Polynomial, Term, image, nowhere_zero
from .reading import GraphReading


@dataclass(frozen=True)
class Readout:
    """The output as gain·y + shift of a readout y of x[t], or of v[t] = λ·v[t−1] + i[t], i[t] = κ·i[t−1] + x[t].

    Attributes:
        signal: x at the last step.
        name: one of `running.readouts.READOUTS`; None for the mean over time.
        decay: λ; None where x itself is read.
        synapse: κ; None where x is in the place of i.
        weights: of x[t] in a last potential, in the place of λ and κ.
        gain, shift: of the output.
    """

    signal: Polynomial
    name: str | None = None
    decay: Coefficient | None = None
    synapse: Coefficient | None = None
    weights: tuple[Coefficient, ...] | None = None
    gain: Coefficient = UNIT
    shift: Coefficient = ZERO


def readout_of(reading: GraphReading, layers: LayerFirings, name: str | None) -> Readout:
    """Return how an output reads the layers.

    Args:
        reading, layers: of the module.
        name: of the readout; None for the one that the output is.

    Raises:
        ConversionRefused: for an output that is none.
    """
    steps = steps_of(reading)
    if any(isinstance(each, Excess) for step in steps for each in step.signals):
        raise ConversionRefused(
            "output: is the potential of a neuron that fires and resets; return its spikes, or the potential of a "
            "last neuron whose threshold is never reached"
        )
    if reading.largest and name not in (None, "largest"):
        raise ConversionRefused(f"readout: got {name!r}, and the module's output is a maximum over time")
    name = "largest" if reading.largest else name
    if len(steps) == 1:
        return _of_one(steps[0], layers, name)
    if len(steps) != layers.num_steps:
        raise ConversionRefused(
            f"output: has {len(steps)} steps of {layers.num_steps}; expected all, or their mean"
        )
    try:
        steady = _steady(steps, layers)
    except ConversionRefused as error:
        raise ConversionRefused(f"output: {error}") from error
    if steady and layers.times(steps[-1]) <= {layers.num_steps - 1}:
        return Readout(steps[-1], name)
    same = all(step.constant == steps[0].constant for step in steps)
    for shift in dict.fromkeys((ZERO, steps[0].constant if same else ZERO)):
        found = _integral([step - Polynomial.of(shift) for step in steps], layers, shift)
        if found is not None:
            return _named(found, layers, name or "potential")
    if steady:
        return Readout(steps[-1], name)
    raise ConversionRefused(
        "output: is not the same function of each step, nor a leaky sum of them; expected one of these"
    )


def steps_of(reading: GraphReading) -> list[Polynomial]:
    """Return an output step by step; of one that is behind all steps itself."""
    steps = list(reading.output.steps)
    return steps if TIME in settled(reading.output)[0] else steps[:1]


def _integral(steps: list[Polynomial], layers: LayerFirings, shift: Coefficient) -> Readout | None:
    """Return how steps integrate one signal, of those that do the one of the fewest steps."""
    found = [
        Readout(entering[-1], None, decay, synapse, shift=shift)
        for decay, synapse, entering in _filters(steps)
        if _steady(entering, layers)
    ]
    return _in_units(min(found, key=lambda each: len(layers.times(each.signal)))) if found else None


def _filters(steps: list[Polynomial]) -> Iterator[tuple[Coefficient, Coefficient | None, list[Polynomial]]]:
    """Yield λ, κ and what enters, where steps may be of these."""
    for decay in _decays(steps[0], steps[1]):
        yield decay, None, _entering(steps, decay)
    for decay in filter(_is_share, roots(steps[:3])):
        through = _entering(steps, decay)
        for synapse in _decays(through[0], through[1]):
            yield decay, synapse, _entering(through, synapse)


def _entering(steps: list[Polynomial], decay: Coefficient) -> list[Polynomial]:
    return [steps[0]] + [now - before * decay for before, now in pairwise(steps)]


def _is_share(number: Coefficient) -> bool:
    return isinstance(number, Fraction) and 0 < number <= 1


def _in_units(found: Readout) -> Readout:
    """Return a readout whose signal has no factor in common, which becomes the gain."""
    factors = {number for term, number in found.signal.terms.items() if term != ONE}
    gain = next(iter(factors))
    if len(factors) > 1 or not isinstance(gain, Fraction) or gain <= 0:
        return found
    return replace(found, signal=found.signal * (UNIT / gain), gain=gain)


def _named(found: Readout, layers: LayerFirings, name: str) -> Readout:
    """Return a readout of what integrates; of the last potential behind a synapse what is left of each step."""
    if name != "potential" or found.synapse is None or found.decay is None:
        return replace(found, name=name)
    response = _response(found.decay, found.synapse, layers.num_steps)
    return replace(found, name=name, decay=UNIT, synapse=None, weights=tuple(reversed(response)))


def _response(decay: Coefficient, synapse: Coefficient, steps: int) -> list[Coefficient]:
    """Return what is left of a unit after each number of steps, Σ_{j+k=n} λ^j·κ^k."""
    found, current = [UNIT], UNIT
    for _ in range(steps - 1):
        current = current * synapse
        found.append(found[-1] * decay + current)  # pyright: ignore[reportArgumentType]
    return found  # pyright: ignore[reportReturnType]


def _decays(first: Polynomial, second: Polynomial) -> list[Fraction]:
    """Return what a leaky sum may keep of a step, by the terms of the first one."""
    terms = ((term, number) for term, number in first.terms.items() if term != ONE and nowhere_zero(number))
    ratios = [(second.coefficient(term[1], *term[0]) / number) for term, number in terms]
    shares = (each for ratio in ratios for each in (ratio, ratio - UNIT))
    return [each for each in dict.fromkeys(shares) if _is_share(each)]  # pyright: ignore[reportReturnType]


def _steady(steps: list[Polynomial], layers: LayerFirings) -> bool:
    return all(step == layers.moved(steps[-1], place + 1 - len(steps)) for place, step in enumerate(steps))


def _of_one(output: Polynomial, layers: LayerFirings, name: str | None) -> Readout:
    """Return what one output, behind all steps, is of them."""
    times = layers.times(output)
    if name in (None, "mean", "spikes") and not (times == {layers.num_steps - 1} and layers.num_steps > 1):
        try:
            return Readout(averaged(output, layers), name)
        except ConversionRefused:
            if name is not None:
                raise
    elif name in ("largest", "first"):
        raise ConversionRefused(
            f"readout: got {name!r}, and the module's output has no steps; return each of them"
        )
    found = _weighed(output, layers)
    if found is None:
        raise ConversionRefused("output: does not weigh all steps alike; expected their mean or their sum")
    signal, weights, shift = found
    return _in_units(_of_weights(signal, weights, shift, name))


def _weighed(
    output: Polynomial, layers: LayerFirings
) -> tuple[Polynomial, tuple[Coefficient, ...], Coefficient] | None:
    """Return x at the last step and w of an output Σ_t w[t]·x[t] + shift, the last w that is not 0 being 1."""
    parts, last = _by_time(output, layers), layers.num_steps - 1
    rest = parts.pop(None, Polynomial({}))
    if not parts or rest.rest.terms:
        return None
    latest = max(step for step in parts if step is not None)
    signal, weights = parts[latest], []
    for step in range(layers.num_steps):
        part = parts.get(step, Polynomial({}))
        unit = layers.moved(signal, step - latest) if step <= latest else signal
        term = next(iter(unit.terms), None)
        weight = ZERO if term is None else part.coefficient(term[1], *term[0]) / unit.terms[term]
        if part != unit * weight:
            return None
        weights.append(weight)
    shift = rest.constant
    if not isinstance(shift, Fraction):
        signal, shift = signal + Polynomial.of(shift / reduce(lambda one, other: one + other, weights)), ZERO
    return layers.moved(signal, last - latest), tuple(weights), shift


def _of_weights(
    signal: Polynomial, weights: tuple[Coefficient, ...], shift: Coefficient, name: str | None
) -> Readout:
    """Return a weighted sum of steps as a last potential, or as a sum of potentials."""
    back = weights[::-1]
    decay = back[1] if len(back) > 1 else ZERO
    if name != "summed" and (_is_share(decay) or decay == ZERO) and _follows(back, decay):
        return Readout(signal, "potential", decay, shift=shift)
    change = (back[0], *(now - before for before, now in pairwise(back)))  # pyright: ignore[reportGeneralTypeIssues]
    if name != "potential" and change[0] == UNIT:
        if (_is_share(change[1]) or change[1] == ZERO) and _follows(change, change[1]):
            return Readout(signal, "summed", change[1], shift=shift)
        for one, other in _pairs(change):
            if tuple(_response(one, other, len(change))) == change:
                return Readout(signal, "summed", one, other, shift=shift)
    if name == "summed":
        raise ConversionRefused("output: is no sum of potentials over time; expected it to be one, or no readout")
    if not all(isinstance(weight, Fraction) for weight in weights):
        raise ConversionRefused("output: weighs steps by numbers that differ over features; expected one for all")
    return Readout(signal, "potential", UNIT, weights=weights, shift=shift)


def _follows(numbers: tuple[Coefficient, ...], decay: Coefficient) -> bool:
    return numbers[0] == UNIT and all(now == before * decay for before, now in pairwise(numbers))


def _pairs(response: tuple[Coefficient, ...]) -> list[tuple[Coefficient, Coefficient]]:
    """Return λ and κ that a response of three steps or more may have."""
    term = Polynomial.spike(0)
    found = roots([term * number for number in response[:3]])
    return [(one, other) for one, other in zip(found[::2], found[1::2], strict=True) if _is_share(one)]


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
