"""Firings as layers over time, and signals of one step as those of another.

Which firings are one layer is a guess, and only what is proved of the guess counts: see `fitting.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, reduce
from operator import mul
from typing import Any

from ..conversion.refusal import ConversionRefused
from .followed import TIME
from .polynomials import (
    ApartSpike,
    Excess,
    FeatureMap,
    Graded,
    Image,
    KeptSum,
    ModuleInput,
    Polynomial,
    above,
    image,
    summed,
    unfolded,
)
from .reading import Firing, GraphReading

SILENT = "module: nothing in it fires; expected a comparison of a potential with a threshold"
"""A refusal."""


class MissingSteps(ConversionRefused):
    """A layer that does not fire at each step: perhaps what it does at last is of no use."""


@dataclass(frozen=True, eq=False)
class LayerFirings:
    """Firings by layer and step.

    Attributes:
        firings: all of them.
        steps: of each layer, its firings by number, one a step, or a single one that is the same at each.
        num_steps: T.
    """

    firings: tuple[Firing, ...]
    steps: tuple[tuple[int, ...], ...]
    num_steps: int

    @cached_property
    def place(self) -> dict[int, tuple[int, int]]:
        """Return the layer and the step of each firing."""
        return {number: (layer, step) for layer, own in enumerate(self.steps) for step, number in enumerate(own)}

    def spike(self, firing: int) -> Polynomial:
        """Return the spike of a firing; a constant one of a step that nothing has reached yet."""
        found = self.firings[firing]
        if found.excess.rest.terms:
            return Polynomial.spike(ApartSpike.of(firing, found.besides) if found.besides else firing)
        return Polynomial.of(above(found.excess.constant, found.strict))

    def rest(self, layer: int) -> int:
        """Return for how many steps behind a spike a layer is silent for certain, within its steps."""
        own = self.steps[layer]
        return len(self.firings[own[-1]].besides & frozenset(own))

    def constant(self, layer: int) -> bool:
        """Return whether a layer fires alike at each step."""
        return len(self.steps[layer]) < self.num_steps

    def at(self, firing: int, by: int) -> int | None:
        """Return the firing of the same layer so many steps later; None before the first step.

        Raises:
            ConversionRefused: for a step behind the last.
        """
        layer, step = self.place[firing]
        if self.constant(layer):
            return firing
        if step + by >= self.num_steps:
            raise ConversionRefused(f"{self.firings[firing].place}: hears a step that is still to come")
        return self.steps[layer][step + by] if step + by >= 0 else None

    def moved(self, signal: Polynomial, by: int) -> Polynomial:
        """Return a signal so many steps later; what was before the first step is 0."""
        return signal if by == 0 else _InAnotherStep(self, by).signal(signal)

    def heard(self, signal: Polynomial) -> set[int]:
        """Return the layers whose spikes a signal is made of, by maps or entry by entry."""
        signal = unfolded(signal)
        found = {self.place[spike][0] for spike in signal.spikes}
        return found.union(*(self.heard(each.signal) for each in signal.signals if isinstance(each, Image)))

    def times(self, signal: Polynomial) -> set[int]:
        """Return the steps that a signal is made of."""
        found = {self.place[spike][1] for spike in signal.spikes if not self.constant(self.place[spike][0])}
        for each in signal.signals:
            found |= self.times(each.signal) if isinstance(each, Image) else set()
            found |= {each.step} if isinstance(each, ModuleInput) and each.step is not None else set()
        return found


@dataclass
class _InAnotherStep:
    """Moves signals in time, each once."""

    layers: LayerFirings
    by: int

    def __post_init__(self) -> None:
        self.done: dict[Graded, Polynomial] = {}

    def signal(self, signal: Polynomial) -> Polynomial:
        """Return a signal, moved."""
        parts = list[Polynomial]()
        for (spikes, graded), number in signal.terms.items():
            factors = [] if graded is None else [self._graded(graded)]
            later = [self.layers.at(spike, self.by) for spike in spikes]
            if None not in later:
                factors += [self.layers.spike(each) for each in later if each is not None]
                parts.append(reduce(mul, factors[1:], factors[0]) * number if factors else Polynomial.of(number))
        return summed(term for part in parts for term in part.terms.items())

    def _graded(self, graded: Graded) -> Polynomial:
        if graded not in self.done:
            self.done[graded] = self._moved(graded)
        return self.done[graded]

    def _moved(self, graded: Graded) -> Polynomial:
        if isinstance(graded, Image):
            return image(graded.map, self.signal(graded.signal))
        if isinstance(graded, Excess | KeptSum):
            raise ConversionRefused("reads the potential of a neuron; expected its spikes")
        if graded.step is None:
            return Polynomial.graded(graded)
        return (
            Polynomial({}) if graded.step + self.by < 0 else Polynomial.graded(ModuleInput(graded.step + self.by))
        )


def grouped(reading: GraphReading, num_steps: int | None) -> LayerFirings:
    """Return the layers of a reading; T where it is known, else that of the longest layer.

    Raises:
        ConversionRefused: for a layer that does not fire at each step.
    """
    try:
        return _grouped(reading, num_steps, _code)
    except ConversionRefused:
        # it hears another layer of its line, not itself; or a first step, or a last one, is in lines of its own
        found = _whole(reading, num_steps, _code, hears=False) or _whole(reading, num_steps, _inner_code)
        if found is not None:
            return found
        raise


def _whole(
    reading: GraphReading, num_steps: int | None, code: Callable[[Firing], Any], hears: bool = True
) -> LayerFirings | None:
    """Return the layers where each fires at all steps, else None."""
    try:
        found = _grouped(reading, num_steps, code, hears)
    except ConversionRefused:
        return None
    return found if all(len(own) == found.num_steps for own in found.steps) else None


def _grouped(
    reading: GraphReading, num_steps: int | None, code: Callable[[Firing], Any], hears: bool = True
) -> LayerFirings:
    """Return the layers of a reading, where a layer's firings are of one code, and it may hear itself."""
    groups: list[list[int]] = []
    own: dict[int, int] = {}
    for number, firing in enumerate(reading.firings):
        group = _group_of(firing, reading.firings, groups, own, code, hears)
        if group is None:
            group = len(groups)
            groups.append([])
        groups[group].append(number)
        own[number] = group
    if not groups and num_steps is None:
        raise ConversionRefused(SILENT)
    returned = len(reading.output.steps) * (TIME in reading.output.axes and len(reading.output.steps) > 1)
    steps = num_steps or returned or max(_length(groups, reading, group) for group in groups)
    if steps == 1 and num_steps is None and not reading.timed:
        raise ConversionRefused(
            "module: does one step a call, and num_steps is not given; expected the number of steps that it is "
            "run for (1 for one alone)"
        )
    firings = list(reading.firings)
    for group, silent in _silent(groups, reading, steps).items():
        turned = reading.firings[groups[group][0]].turned
        groups[group] = [*range(len(firings), len(firings) + len(silent)), *groups[group]]
        firings += [_turned(each) if turned else each for each in silent]
    for group in groups:
        if len(group) not in (1, steps):
            place = firings[group[0]].place
            if num_steps is not None and len(group) > steps:
                found = f"fires {len(group)} times in {steps} calls, so that the module takes steps itself"
                raise ConversionRefused(f"{place}: {found}; expected no num_steps={num_steps}: leave it out")
            raise MissingSteps(f"{place}: fires at {len(group)} of {steps} steps, by one equation; expected all")
    return LayerFirings(tuple(firings), tuple(map(tuple, groups)), steps)


def _length(groups: list[list[int]], reading: GraphReading, group: list[int]) -> int:
    """Return at how many steps a layer is compared, with those where nothing has reached it yet."""
    first = reading.firings[group[0]]
    silent = [each for each in reading.silent if each.frames == first.frames]
    firings = [reading.firings[each[0]] for each in groups]
    beside = [place for place, each in enumerate(firings) if each.frames == first.frames]
    if {each.laid.features for each in silent} <= {firings[place].laid.features for place in beside}:
        silent = [each for each in silent if each.laid.features == first.laid.features]
        beside = [place for place in beside if firings[place].laid.features == first.laid.features]
    whole, rest = divmod(sum(len(groups[place]) for place in beside) + len(silent), len(beside))
    return max(len(group), 0 if rest else whole)


def _turned(silent: Firing) -> Firing:
    return replace(silent, excess=silent.excess * Fraction(-1), strict=not silent.strict, turned=True)


def _silent(groups: list[list[int]], reading: GraphReading, steps: int) -> dict[int, list[Firing]]:
    """Return the first comparisons of layers that nothing has reached then, by the group.

    Of layers with the same lines of code each is compared in its turn at each step.
    """
    found: dict[int, list[Firing]] = {}
    for frames in {reading.firings[group[0]].frames for group in groups if len(group) < steps}:
        own = [place for place, group in enumerate(groups) if reading.firings[group[0]].frames == frames]
        left = [each for each in reading.silent if each.frames == frames]
        sizes = {place: reading.firings[groups[place][0]].laid.features for place in own}
        if {each.laid.features for each in left} <= set(sizes.values()):
            for size in dict.fromkeys(sizes.values()):
                alike = [place for place in own if sizes[place] == size]
                found |= _in_turn(groups, alike, [each for each in left if each.laid.features == size], steps)
        elif all(isinstance(each.excess.constant, Fraction) for each in left):
            found |= _in_turn(groups, own, left, steps)
    return found


def _in_turn(groups: list[list[int]], own: list[int], left: list[Firing], steps: int) -> dict[int, list[Firing]]:
    """Return the first comparisons of some groups, each in its turn at each step."""
    found: dict[int, list[Firing]] = {}
    missing = {place: steps - len(groups[place]) for place in own}
    if sum(missing.values()) != len(left):  # one that fires once fires alike at each step
        own = [place for place in own if len(groups[place]) > 1]
        missing = {place: missing[place] for place in own}
    if left and sum(missing.values()) == len(left):
        for step in range(max(missing.values())):
            for place in own:
                if step < missing[place]:
                    found.setdefault(place, []).append(left.pop(0))
    return found


def _group_of(
    firing: Firing,
    firings: tuple[Firing, ...],
    groups: list[list[int]],
    own: dict[int, int],
    code: Callable[[Firing], Any],
    hears: bool,
) -> int | None:
    """Return the group of a firing's step before: by its own spike or potential, else by code and maps."""
    near = [firing.excess, *(each.signal for each in firing.excess.signals if isinstance(each, KeptSum))]
    past = {each.firing for signal in near for each in signal.signals if isinstance(each, Excess)}
    past |= {spike for signal in near for spike in signal.spikes}
    alike = [
        group
        for group, members in enumerate(groups)
        if code(firings[members[-1]]) == code(firing) and own[members[-1]] == group
    ]
    own_shape, shape = _shape(firing.excess, own), lambda group: _shape(firings[groups[group][-1]].excess, own)
    before = [group for group in alike if groups[group][-1] in past]
    pairs = [(group, _without(shape(group), group), _without(own_shape, group)) for group in before]
    by_past = [group for group, one, other in pairs if one <= other]
    by_past += [group for group, one, other in pairs if _kinds(one) <= _kinds(other)]  # maps of its own at a step
    by_past += [group for group, one, other in pairs if _within(one, other)]  # of fewer layers at first
    if by_past:
        return by_past[0]
    if not hears:
        return _first(alike, lambda group: own_shape == shape(group))
    return _first(alike, lambda group: _without(own_shape, group) == _without(shape(group), group))


def _within(one: frozenset[Any], other: frozenset[Any]) -> bool:
    """Return whether each part of a shape is one of another shape, or what the same map makes of less."""
    inner = [each for each in other if isinstance(each, tuple) and isinstance(each[0], FeatureMap)]
    return all(
        part in other or any(part[0] == each[0] and _within(part[1], each[1]) for each in inner) for part in one
    )


def _kinds(shape: frozenset[Any]) -> frozenset[Any]:
    """Return a shape by the kinds of its maps."""
    return frozenset(
        (each[0].key[0], _kinds(each[1])) if isinstance(each, tuple) and isinstance(each[0], FeatureMap) else each
        for each in shape
    )


def _first(groups: list[int], holds: Callable[[int], bool]) -> int | None:
    return next((group for group in groups if holds(group)), None)


def _code(firing: Firing) -> tuple[Any, ...]:
    return firing.frames, firing.laid.features, firing.strict, firing.turned


def _inner_code(firing: Firing) -> tuple[Any, ...]:
    return firing.frames[-1:], firing.laid.features, firing.strict, firing.turned


def _shape(signal: Polynomial, own: dict[int, int]) -> frozenset[Any]:
    """Return what a signal is made of, without its times."""
    found: set[Any] = {("spike", own[spike]) for spike in signal.spikes}
    for each in signal.signals:
        if isinstance(each, Image):
            found.add((each.map, _shape(each.signal, own)))
        elif isinstance(each, ModuleInput):
            found.add("given")
    return frozenset(found)


def _without(shape: frozenset[Any], group: int) -> frozenset[Any]:
    """Return a shape without what a layer hears of itself."""
    hears = ("spike", group)
    return frozenset(
        each
        for each in shape
        if each != hears and not (isinstance(each, tuple) and isinstance(each[1], frozenset) and hears in each[1])
    )
