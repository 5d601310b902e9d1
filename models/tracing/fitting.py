"""What a layer's firings compute, as a neuron: guessed by coefficients, and proved for all steps and inputs.

With v = P + θ, P what is compared with 0, and u what a reset leaves, a guess (λ, θ, reset) gives the currents

    I[t] = v[t] − λ·u[t−1]      (+ γ·w[t−1] of a neuron with a second number w, see `linear_neuron.py`)

by subtraction of polynomials with exact coefficients. The guess counts only if I holds neither potentials nor
spikes of the layer itself, entry by entry, and is the same sum of signals at each step, moved in time: then by
induction the neuron with these constants is what the module computes, for all inputs, up to rounding. Where no
guess gives the same at each step, one whose I differ by the step counts, too: I[t] is then what the neuron takes
in at step t, whatever it is, and `building.py` has layers of their own at each step for it, or refuses it.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise

from ..conversion.refusal import ConversionRefused
from .grouping import LayerFirings
from .guesses import LARGEST, Fit, guesses_of, guesses_of_states, of_nothing, spelled
from .polynomials import (
    UNIT,
    ZERO,
    Coefficient,
    Excess,
    FeatureMap,
    Fractions,
    Graded,
    Image,
    KeptSum,
    Polynomial,
    entries_of,
    nowhere_zero,
    shortened,
    told,
)
from .rests import awake, ungated

FEW = "; with so few steps what a synapse keeps and what a membrane keeps show as one sum: take at least three"
"""What may be behind a share above 1."""
ROUNDINGS = 4
"""By how many ε of a type a few roundings may be off."""


def fit(layers: LayerFirings, layer: int) -> Fit:
    """Return the neuron of a layer.

    Raises:
        ConversionRefused: with the equation of the first step that no known neuron has.
    """
    firings = layers.steps[layer]
    known = [layers.firings[number].excess for number in firings]
    if layers.constant(layer) or len(known) == 1:
        return _memoryless(layers, known, layers.firings[firings[0]].place)
    names = [
        Polynomial.graded(Excess(number)) if layers.firings[number].named else excess
        for number, excess in zip(firings, known, strict=True)
    ]
    nearest, wrong = (-1, "its potential is no leaky sum of currents"), dict[Fit, str]()
    rest = max(1, layers.rest(layer))
    guesses = dict.fromkeys(
        replace(each, rest=rest) if each.kind == "rest" else each for each in guesses_of(known, names, firings)
    )
    for apart, guess, currents in _tried(layers, guesses, known, names, firings):
        if (reason := _wrong(guess)) is not None:
            wrong[guess] = reason
            continue
        try:
            return _proved(layers, firings, guess, currents(), apart)
        except ConversionRefused as error:
            right = error.right if isinstance(error, _Mismatch) else 0
            if right > nearest[0]:
                nearest = right, f"{_told(guess)}: {error}"
    for guess, reason in wrong.items():  # one that is right but for its constants says best what is wrong
        if guess.kind == "subtract" and not nowhere_zero(guess.drop):
            continue
        with suppress(ConversionRefused):
            _proved(layers, firings, guess, _currents(layers, guess, known, names, firings))
            few = sum(bool(each.rest.terms) for each in known) < 3 and reason.startswith(
                SHARES[0].partition("{")[0]
            )
            nearest = len(known), reason + FEW * few
            break
    place = layers.firings[firings[0]].place
    raise ConversionRefused(
        f"{place}: is no neuron that is known here, {nearest[1]}; expected a leaky sum, and a reset to a "
        "constant or by one, all the same at each step"
    )


def _tried(
    layers: LayerFirings,
    guesses: Iterable[Fit],
    known: list[Polynomial],
    names: list[Polynomial],
    firings: tuple[int, ...],
) -> Iterator[tuple[bool, Fit, Callable[[], list[Polynomial]]]]:
    """Yield guesses and their currents: then those of several states, then guesses whose currents may differ."""
    plain = [(guess, partial(_currents, layers, guess, known, names, firings)) for guess in guesses]
    yield from ((False, *each) for each in plain)
    spikes = [layers.spike(number) for number in firings]
    named = [layers.firings[number].names for number in firings]
    begun = next((step for step, by in enumerate(named) if by), len(known))
    steps, named[begun : begun + 1] = spelled(known[: begun + 1], firings, *named[begun : begun + 1])
    for threshold, states in guesses_of_states(steps, firings, of_nothing(steps[1], firings[0]).constant):
        guess = Fit("subtract", states.matrix[0][0], threshold, states.loses[0], states=states)
        potentials = [each + Polynomial.of(threshold) for each in (*steps, *known[begun + 1 :])]
        yield False, guess, partial(states.entering, potentials, spikes, named)
    yield from ((True, *each) for each in plain)


class _Mismatch(ConversionRefused):
    """A step that is not as guessed, 1 for the first, and how much of the guess was right before."""

    def __init__(self, step: int, reason: str, right: int = 0) -> None:
        super().__init__(f"step {step} {reason}")
        self.right = step + right


def _told(guess: Fit) -> str:
    constants = f"decay {told(guess.decay)}, threshold {told(guess.threshold)}, reset {guess.kind!r}"
    adapts = guess.coupled or guess.adaptation != ZERO
    return f"not the one of {constants}" + (", adaptive" if adapts else "")


SHARES = ("keeps {} of its potential", "keeps {} of what its threshold was raised by")


def _wrong(guess: Fit) -> str | None:
    """Return which constant no neuron has; None where all may be."""
    for what, share in zip(SHARES, (guess.decay, guess.fading), strict=True):
        if guess.states is None and not all(0 <= number <= 1 for number in entries_of(share)):
            return f"{what.format(told(share))} in a step, expected a share in [0, 1]"
    if not all(number > 0 for number in entries_of(guess.threshold)):
        return f"has a threshold of {told(guess.threshold)}, expected one above what a reset leaves"
    if guess.states is not None and guess.states.largest > LARGEST:
        return f"has states with constants up to {float(guess.states.largest):.3g}, expected at most {LARGEST:g}"
    if guess.kind == "subtract" and max(entries_of(guess.drop)) > LARGEST:
        return f"takes {told(guess.drop)} for a spike, expected at most {LARGEST:g}"
    if guess.coupled:
        return None
    if guess.kind == "subtract" and not all(number > 0 for number in entries_of(guess.drop)):
        return f"adds {told(-guess.drop)} to its potential by a spike, expected it to lose some"
    if not all(number >= 0 for number in entries_of(guess.adaptation)):
        return f"lowers its threshold by a spike, by {told(-guess.adaptation)}"
    return None


def _memoryless(layers: LayerFirings, known: list[Polynomial], place: str) -> Fit:
    constant = known[0].constant
    if layers.times(known[0]) and layers.num_steps > 1:
        raise ConversionRefused(f"{place}: fires at one step only, expected all")
    below = all(number < 0 for number in entries_of(constant))
    threshold = -constant if below else UNIT
    return Fit("none", ZERO, threshold, current=known[0] + Polynomial.of(threshold))


def _currents(
    layers: LayerFirings, guess: Fit, known: list[Polynomial], names: list[Polynomial], firings: tuple[int, ...]
) -> list[Polynomial]:
    """Return I[t] of a guess, at each step."""
    threshold, found = Polynomial.of(guess.threshold), []
    left, raised = Polynomial.of(guess.start), Polynomial({})
    rest = guess.rest if guess.kind == "rest" else 0
    for number, excess, name in zip(firings, known, names, strict=True):
        limit, spike = threshold + raised * guess.adaptation, layers.spike(number)
        potential = awake(layers, firings, len(found), rest, excess + limit)
        if potential is None:
            raise _Mismatch(len(found) + 1, "takes something in behind a spike")
        found.append(potential - left * guess.decay + raised * guess.drain)
        by = layers.firings[number].names
        left, raised = (shortened(each, by) for each in (left, raised))
        named = name + threshold + raised * guess.adaptation
        before, left = left, _left(guess, ungated(layers, number, named), spike, raised)
        raised = raised * guess.fading + named * guess.drive + before * guess.carry + spike * guess.jump
        for each in firings[max(0, len(found) - rest) : len(found)]:
            left = left.where(each, False)
    return found


def _left(guess: Fit, potential: Polynomial, spike: Polynomial, raised: Polynomial) -> Polynomial:
    """Return u, what the reset leaves."""
    if guess.kind in ("zero", "rest"):
        return potential - potential * spike
    return potential - spike * guess.drop - spike * raised * guess.reset_rise


def _proved(
    layers: LayerFirings, firings: tuple[int, ...], guess: Fit, currents: list[Polynomial], apart: bool = False
) -> Fit:
    """Return a guess with the one current of all steps, itself or through a synapse or an input scale.

    With `apart`, currents may differ by the step: whatever they are, they are what the neuron takes in.
    """
    _check_heard(layers, firings, currents)
    if apart:
        return _entered(layers, firings, guess, currents, apart)
    if (scaled := _scaled(layers, currents)) is not None and not layers.times(currents[-1]) and guess.plain:
        found = replace(guess, current=currents[-1] * (UNIT / scaled[-1]), scale=scaled)
        return replace(found, scale=None) if set(scaled) == {UNIT} else found
    found, nearest = [], None
    for synapse in (None, *dict.fromkeys(_ratios(currents))):
        try:
            found.append(_entered(layers, firings, replace(guess, synapse=synapse), _entering(currents, synapse)))
        except _Mismatch as error:
            nearest = nearest or error
    if found:
        return min(found, key=lambda fit: len(layers.times(fit.current)))
    if scaled is not None and not guess.coupled and not currents[-1].spikes & frozenset(firings):
        return replace(guess, current=currents[-1] * (UNIT / scaled[-1]), scale=scaled)
    assert nearest is not None
    raise nearest


def _check_heard(layers: LayerFirings, firings: tuple[int, ...], currents: list[Polynomial]) -> None:
    """Raise where what comes in holds a potential, of this layer or of another one."""
    for step, current in enumerate(currents):
        if any(isinstance(each, KeptSum) for each in current.signals):
            raise _Mismatch(step + 1, "reads another number that it keeps besides")
        for firing in sorted(_potentials(current)):
            whose = "its" if firing in firings else "another layer's"
            raise _Mismatch(step + 1, f"reads {whose} potential of step {layers.place[firing][1] + 1} besides")


def _potentials(signal: Polynomial) -> set[int]:
    """Return the firings whose potentials a signal is made of."""
    found = {each.firing for each in signal.signals if isinstance(each, Excess)}
    return found.union(*(_potentials(each.signal) for each in signal.signals if isinstance(each, Image)))


def _entering(currents: list[Polynomial], synapse: Coefficient | None) -> list[Polynomial]:
    """Return what enters a synapse, or a neuron without one."""
    kept = ZERO if synapse is None else synapse
    return [currents[0], *(now - before * kept for before, now in pairwise(currents))]


def _entered(
    layers: LayerFirings, firings: tuple[int, ...], guess: Fit, entering: list[Polynomial], apart: bool = False
) -> Fit:
    """Return a guess with what enters at each step, which is the same; the last spikes may add to it."""
    own, echo = frozenset(firings), entering[-1].coefficient(None, firings[-2])
    if guess.kind == "none" and all(number < 0 for number in entries_of(echo)):
        raise _Mismatch(2, "loses some of its potential by a spike")
    if echo != ZERO:
        heard = [Polynomial({}), *(layers.spike(firing) * echo for firing in firings[:-1])]
        entering = [current - spike for current, spike in zip(entering, heard, strict=True)]
    for step, current in enumerate(entering):
        if current.spikes & own or any(isinstance(each, Excess) for each in current.signals):
            raise _Mismatch(step + 1, "keeps something else of the potential or the spike before")
    if apart:
        last = len(entering) - 1
        own = tuple(layers.moved(current, last - step) for step, current in enumerate(entering))
        for step, (current, each) in enumerate(zip(entering, own, strict=True)):
            if layers.moved(each, step - last) != current:
                raise _Mismatch(step + 1, "takes in what no later step does")
        return replace(guess, current=entering[-1], echo=echo, own=own)
    off = ROUNDINGS * layers.firings[firings[0]].epsilon
    for step, current in enumerate(entering):
        if not _same(layers, entering, step, off):
            late = _late(layers, entering, off) if echo == ZERO and not current.terms else 0
            if late:
                return replace(guess, current=layers.moved(entering[-1], late), late=late)
            own = ", by layers of its own" * (_maps(current) != _maps(_at(layers, entering, step)))
            raise _Mismatch(step + 1, f"takes in another current than step {len(entering)}{own}", len(entering))
    return replace(guess, current=entering[-1], echo=echo)


def _maps(signal: Polynomial) -> set[FeatureMap]:
    return {each.map for each in signal.signals if isinstance(each, Image)}


def _late(layers: LayerFirings, entering: list[Polynomial], off: Fraction) -> int:
    """Return at how many first steps nothing comes in, its constants neither, if it is the same at all others."""
    late = next((step for step, each in enumerate(entering) if each.terms), 0)
    same = all(_same(layers, entering, step, off) for step in range(late, len(entering)))
    heard = entering[-1].spikes | {spike for each in entering[-1].signals for spike in _spikes_in(each)}
    return late if same and all(layers.place[spike][1] + late < layers.num_steps for spike in heard) else 0


def _same(layers: LayerFirings, entering: list[Polynomial], step: int, off: Fraction) -> bool:
    """Return whether what enters at a step is what enters at the last; but for rounding of what no input reached.

    That is computed in floats while the graph is read, up to the first step that an input reaches, at which it is
    left over: a constant of some roundings, as a run has them, too, at most `off` of a unit.
    """
    known, expected = entering[step], _at(layers, entering, step)
    left = known - expected
    unreached = step > 0 and not any(each.rest.terms for each in entering[:step])
    if not unreached or left.rest.terms:
        return known == expected
    most = max(map(abs, entries_of(expected.constant))) + 1
    return max(map(abs, entries_of(left.constant))) <= most * off


def _spikes_in(graded: Graded) -> frozenset[int]:
    if not isinstance(graded, Image):
        return frozenset()
    return graded.signal.spikes.union(*map(_spikes_in, graded.signal.signals))


def _at(layers: LayerFirings, currents: list[Polynomial], step: int) -> Polynomial:
    return layers.moved(currents[-1], step + 1 - len(currents))


def _ratios(currents: list[Polynomial]) -> Iterator[Coefficient]:
    """Yield what a synapse may keep of a current, by the first that is none."""
    first = next((step for step, each in enumerate(currents) if each.rest.terms), len(currents))
    for before, now in pairwise(currents[first : first + 2]):
        for graded in before.signals:
            whole = before.coefficient(graded)
            if nowhere_zero(whole):
                kept = now.coefficient(graded) / whole
                yield from (
                    ratio for ratio in (kept, kept - UNIT) if all(0 < each <= 1 for each in entries_of(ratio))
                )


def _scaled(layers: LayerFirings, currents: list[Polynomial]) -> tuple[Coefficient, ...] | None:
    """Return a[t], where each current is a[t] times the same: the last one, or the first of a constant input."""
    found: list[Coefficient] = []
    for step, current in enumerate(currents):
        last = _at(layers, currents, step)
        graded = next(iter(last.signals), None)
        whole = last.coefficient(graded)
        if not nowhere_zero(whole):
            return None
        found.append(current.coefficient(graded) / whole)
        if current != last * found[-1] or isinstance(found[-1], Fractions):
            return None
    unit = UNIT if layers.times(currents[-1]) else next(filter(nowhere_zero, found))
    return tuple(each / unit for each in found)
