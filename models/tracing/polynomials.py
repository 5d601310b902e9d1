"""Boolean polynomials of spikes, linear in graded signals: the normal form of a membrane, however it is written.

A polynomial is a sum of coefficient · (product of spikes) · (at most one graded signal). Spikes are 0 or 1, so
s·s = s, and 1 − s, v·(1 − s), `where` and masks all become sums of such terms, which are unique. Coefficients are
exact: fractions of the constants as the module's own run has them, or arrays of fractions over features.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..conversion.refusal import ConversionRefused

MOVING = ("view", "pick", "place", "moved")
"""Maps of which each entry is one of those before, or 0."""
TWO = "multiplies two signals that are no spikes"
"""A refusal."""
MOST_TERMS = 4096
"""More of them are refused: what multiplies so many spikes is no neuron that is known here."""


@dataclass(frozen=True)
class Fractions:
    """Numbers that differ over features, laid out as torch broadcasts them, in the smallest shape."""

    shape: tuple[int, ...]
    entries: tuple[Fraction, ...]

    @property
    def array(self) -> np.ndarray:
        """Return them as an array of objects."""
        return np.array(self.entries, dtype=object).reshape(self.shape)

    def __add__(self, other: Coefficient) -> Coefficient:
        """Return the sums."""
        return _combined(operator.add, self, other)

    def __mul__(self, other: Coefficient) -> Coefficient:
        """Return the products."""
        return _combined(operator.mul, self, other)

    def __sub__(self, other: Coefficient) -> Coefficient:
        """Return the differences."""
        return _combined(operator.sub, self, other)

    def __truediv__(self, other: Coefficient) -> Coefficient:
        """Return the quotients."""
        return _combined(operator.truediv, self, other)

    def __rsub__(self, other: Fraction) -> Coefficient:
        """Return the differences."""
        return _combined(operator.sub, other, self)

    def __rtruediv__(self, other: Fraction) -> Coefficient:
        """Return the quotients."""
        return _combined(operator.truediv, other, self)

    def __neg__(self) -> Coefficient:
        """Return the opposites."""
        return self * Fraction(-1)

    __radd__, __rmul__ = __add__, __mul__


Coefficient = Fraction | Fractions
ZERO, UNIT = Fraction(0), Fraction(1)


def _combined(operation: Callable[[Any, Any], Any], one: Coefficient, other: Coefficient) -> Coefficient:
    arrays = (each.array if isinstance(each, Fractions) else each for each in (one, other))
    return collapsed(operation(*arrays))


def collapsed(array: np.ndarray) -> Coefficient:
    """Return an array of fractions in its smallest form: a number where all are the same."""
    for axis in range(array.ndim):
        first = array.take([0], axis)
        array = first if bool((array == first).all()) else array
    if array.size == 1:
        return array.item()
    lead = next(place for place, size in enumerate(array.shape) if size > 1)
    array = array.reshape(array.shape[lead:])
    return Fractions(array.shape, tuple(array.ravel().tolist()))


def tensor_of(value: float | bool | Tensor) -> Tensor:
    """Return a constant as a tensor, a Python number in full precision."""
    return value.detach() if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


def exact(value: float | bool | Tensor, dtype: torch.dtype) -> Coefficient:
    """Return a constant, exactly, as an operation in `dtype` sees it.

    Raises:
        ConversionRefused: for what is not finite.
    """
    numbers = tensor_of(value).to(dtype).double()
    if not bool(torch.isfinite(numbers).all()):
        raise ConversionRefused("computes with a constant that is not finite")
    first = numbers.flatten()[0] if numbers.numel() else numbers.new_zeros(())
    if not bool((numbers != first).any()):
        return Fraction(float(first))
    return collapsed(np.vectorize(Fraction, otypes=[object])(numbers.numpy()))


def entries_of(value: Coefficient) -> tuple[Fraction, ...]:
    """Return all numbers of a coefficient."""
    return value.entries if isinstance(value, Fractions) else (value,)


def number_tensor(value: Coefficient) -> Tensor:
    """Return a coefficient in the nearest floats of 64 bits."""
    shape = value.shape if isinstance(value, Fractions) else ()
    return torch.tensor([float(each) for each in entries_of(value)], dtype=torch.float64).reshape(shape)


def size(value: Coefficient) -> Fraction:
    """Return the largest modulus of a coefficient's numbers."""
    return max(map(abs, entries_of(value)))


def nowhere_zero(value: Coefficient) -> bool:
    """Return whether one may divide by it."""
    return all(entries_of(value))


def above(value: Coefficient, strict: bool) -> Coefficient:
    """Return 1 where numbers are above 0, or there, unless `strict`."""
    found = [Fraction(int(number > 0 or (number == 0 and not strict))) for number in entries_of(value)]
    if not isinstance(value, Fractions):
        return found[0]
    return collapsed(np.array(found, dtype=object).reshape(value.shape))


def root(value: Coefficient) -> Coefficient | None:
    """Return the square root where that is a fraction, else None."""
    found = []
    for number in entries_of(value):
        top, bottom = math.isqrt(max(number.numerator, 0)), math.isqrt(number.denominator)
        if number != Fraction(top * top, bottom * bottom):
            return None
        found.append(Fraction(top, bottom))
    return Fractions(value.shape, tuple(found)) if isinstance(value, Fractions) else found[0]


def told(value: Coefficient) -> str:
    """Return a coefficient in few digits: both ends of an array."""
    ends = sorted({f"{float(number):g}" for number in (min(entries_of(value)), max(entries_of(value)))}, key=float)
    return "…".join(ends)


class ApartSpike(int):
    """The number of a firing that never fires where some others do: such spikes have no product.

    Attributes:
        besides: the numbers of those.
    """

    besides: frozenset[int]

    @staticmethod
    def of(number: int, besides: frozenset[int]) -> int:
        """Return the number, with those of others."""
        found = ApartSpike(number)
        found.besides = besides
        return found


@dataclass(frozen=True)
class ModuleInput:
    """The module's input at a step, from 0 on; None where it is the same at each."""

    step: int | None


@dataclass(frozen=True)
class Excess:
    """What a firing compares with 0, v − θ, by the firing's number."""

    firing: int


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """A map of features: known by what it does, the key; `made` makes this library's layers of it.

    Attributes:
        key: its kind, settings and weights.
        made: makes modules; None for what no layer of this library does.
        homogeneous: whether it makes zeros of zeros.
        place: the line of the user's code.
    """

    key: tuple[Any, ...]
    made: Callable[[], list[Any]] | None
    homogeneous: bool
    place: str

    def __eq__(self, other: object) -> bool:
        """Compare what they do."""
        return isinstance(other, FeatureMap) and self.key == other.key

    def __hash__(self) -> int:
        """Return that of the key."""
        return hash(self.key)

    def of(self, signal: Tensor) -> Tensor:
        """Return what the layers make of a batch."""
        with torch.no_grad():
            for layer in self.made() if self.made else ():
                signal = layer.to(signal.dtype)(signal)
        return signal

    @cached_property
    def weights(self) -> tuple[Fraction, Fraction] | None:
        """Return the most that a sum of absolute weights is, and a bias; None for what is no dense layer."""
        if self.key[0] in MOVING:
            return UNIT, ZERO
        layers = self.made() if self.made else []
        weight: Any = getattr(layers[0], "weight", None) if len(layers) == 1 else None
        if weight is None or weight.dim() != 2:
            return None
        held: Any = layers[0].bias
        bias = ZERO if held is None else Fraction(float(held.detach().abs().max()))
        return Fraction(float(weight.detach().double().abs().sum(1).max())) * 2, bias

    @cached_property
    def of_nothing(self) -> Polynomial:
        """Return what it makes of zeros, a constant."""
        layers = self.made() if self.made else []
        dtype = next((weight.dtype for layer in layers for weight in layer.state_dict().values()), torch.float32)
        found = self.of(torch.zeros(1, *self.key[1], dtype=dtype))
        return Polynomial.of(exact(found[0], found.dtype))


@dataclass(frozen=True)
class Image:
    """What a layer makes of a signal."""

    map: FeatureMap
    signal: Polynomial


@dataclass(frozen=True)
class KeptSum:
    """What a neuron keeps besides its potential when it is compared, by a number: a name of a longer sum.

    Attributes:
        number: in the order in which they are named.
        signal: what it is, of earlier ones.
    """

    number: int
    signal: Polynomial = field(compare=False, repr=False)


@dataclass(frozen=True)
class Bent:
    """What a bounded function makes of a graded signal, as gradients are led through it: it must cancel.

    Attributes:
        node: of the graph.
        step: of it.
        why: it is refused where it does not.
        low: it is no less.
        high: it is no more.
    """

    node: str
    step: int
    why: str
    low: Fraction
    high: Fraction


Graded = ModuleInput | Excess | Image | KeptSum | Bent
Term = tuple[frozenset[int], Graded | None]
ONE: Term = (frozenset(), None)


class Uncancelled(ConversionRefused):
    """A bent signal that does not cancel, with the line of the function that bends it."""


class Polynomial:
    """A sum of terms with coefficients that are not 0; equal where it is the same function of its signals.

    Args:
        terms: the coefficients.
    """

    def __init__(self, terms: Mapping[Term, Coefficient]) -> None:
        self.terms: dict[Term, Coefficient] = {term: number for term, number in terms.items() if number}
        if len(self.terms) > MOST_TERMS:
            raise ConversionRefused(f"multiplies spikes to more than {MOST_TERMS} terms")

    @staticmethod
    def of(number: Coefficient) -> Polynomial:
        """Return a constant."""
        return Polynomial({ONE: number})

    @staticmethod
    def spike(firing: int) -> Polynomial:
        """Return the spike of a firing."""
        return Polynomial({(frozenset((firing,)), None): UNIT})

    @staticmethod
    def graded(signal: Graded) -> Polynomial:
        """Return a graded signal."""
        return Polynomial({(frozenset(), signal): UNIT})

    def __add__(self, other: Polynomial) -> Polynomial:
        """Return the sum."""
        return summed([*self.terms.items(), *other.terms.items()])

    def __sub__(self, other: Polynomial) -> Polynomial:
        """Return the difference."""
        return self + other * -UNIT

    def __mul__(self, other: Polynomial | Coefficient) -> Polynomial:
        """Return the product.

        Raises:
            ConversionRefused: for one of two graded signals.
        """
        if isinstance(other, Polynomial):
            for one, two in ((self, other), (other, self)):
                if two.terms.keys() == {ONE}:
                    return one * two.constant
        if not isinstance(other, Polynomial):
            own = self.terms.items() if other else ()
            return self if other == UNIT else Polynomial({term: number * other for term, number in own})
        terms = (
            (_product(one, two), number * factor)
            for one, number in self.terms.items()
            for two, factor in other.terms.items()
        )
        return summed(terms)

    def __eq__(self, other: object) -> bool:
        """Compare the terms."""
        return isinstance(other, Polynomial) and self.terms == other.terms

    def __hash__(self) -> int:
        """Return that of the terms."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(frozenset(self.terms.items()))

    @property
    def constant(self) -> Coefficient:
        """Return the number that no signal takes part in."""
        return self.terms.get(ONE, ZERO)

    @property
    def rest(self) -> Polynomial:
        """Return it without its constant."""
        return Polynomial({term: number for term, number in self.terms.items() if term != ONE})

    @property
    def size(self) -> Fraction:
        """Return the largest modulus of a coefficient."""
        return max(map(size, self.terms.values()), default=ZERO)

    @cached_property
    def spikes(self) -> frozenset[int]:
        """Return the firings whose spikes stand in it, feature by feature."""
        return frozenset(spike for spikes, _ in self.terms for spike in spikes)

    @property
    def signals(self) -> tuple[Graded, ...]:
        """Return its graded signals."""
        return tuple(dict.fromkeys(graded for _, graded in self.terms if graded is not None))

    @property
    def boolean(self) -> bool:
        """Return whether it is 0 or 1 always: found out for few spikes only."""
        if self.signals or (len(self.spikes) > 8 and not self.exclusive):
            return False
        return all(number in (ZERO, UNIT) for value in self.values() for number in entries_of(value))

    @property
    def exclusive(self) -> bool:
        """Return whether it is a sum of spikes of which one fires at most."""
        spikes = sorted(self.spikes)
        alone = all(graded is None and len(own) <= 1 for own, graded in self.terms)
        return alone and all(frozenset(spikes[:place]) <= besides_of(each) for place, each in enumerate(spikes))

    def values(self) -> set[Coefficient]:
        """Return what it may be, of one that is made of spikes alone."""
        if self.exclusive:
            return {self.constant, *(self.constant + number for number in self.rest.terms.values())}
        found = [self]
        for spike in self.spikes:
            found = [each.where(spike, fires) for each in found for fires in (False, True)]
        return {each.constant for each in found}

    def where(self, spike: int, fires: bool) -> Polynomial:
        """Return it with a spike settled."""
        own = next((each for each in self.spikes if each == spike), spike)
        terms = (
            ((spikes - {spike}, graded), number)
            for (spikes, graded), number in self.terms.items()
            if (not _apart(spikes - {spike}, frozenset({own})) if fires else spike not in spikes)
        )
        return summed(terms)

    def coefficient(self, graded: Graded | None, *spikes: int) -> Coefficient:
        """Return the coefficient of a term."""
        return self.terms.get((frozenset(spikes), graded), ZERO)


def ends_of(signal: Polynomial) -> tuple[Fraction, Fraction] | None:
    """Return what a signal lies between; None where it is made of more than constants and bent signals."""
    low = high = ZERO
    for (spikes, graded), number in signal.terms.items():
        if spikes or not (graded is None or isinstance(graded, Bent)):
            return None
        ends = (UNIT, UNIT) if graded is None else (graded.low, graded.high)
        found = [entry * end for entry in entries_of(number) for end in ends]
        low, high = low + min(found), high + max(found)
    return low, high


def summed(terms: Iterable[tuple[Term | None, Coefficient]]) -> Polynomial:
    """Return a sum of terms, some of which are the same."""
    found: dict[Term, Coefficient] = {}
    for term, number in terms:
        if term is not None:
            found[term] = found[term] + number if term in found else number
    return Polynomial(found)


def _product(one: Term, other: Term) -> Term | None:
    """Return a product of terms: where both are moved alike it is moved as one; None for nothing."""
    if one[0] and other[0] and _apart(one[0], other[0]):
        return None
    graded, beside = one[1], other[1]
    if graded is None or beside is None:
        return one[0] | other[0], beside if graded is None else graded
    for each in (graded, beside):
        if isinstance(each, Bent):
            raise Uncancelled(each.why)
    if not isinstance(graded, Image) or not isinstance(beside, Image) or graded.map != beside.map:
        raise ConversionRefused(TWO)
    if graded.map.key[0] not in MOVING:
        raise ConversionRefused(TWO)
    found = graded.signal * beside.signal
    return (one[0] | other[0], Image(graded.map, found)) if found.terms else None


def besides_of(spike: int) -> frozenset[int]:
    """Return the spikes that never fire where one does, of those that are known of it."""
    return spike.besides if isinstance(spike, ApartSpike) else frozenset()


def _apart(one: frozenset[int], other: frozenset[int]) -> bool:
    """Return whether spikes of two products never fire together."""
    pairs = ((spike, others) for spikes, others in ((one, other), (other, one)) for spike in spikes)
    return any(not besides_of(spike).isdisjoint(others) for spike, others in pairs)


def image(by: FeatureMap, signal: Polynomial) -> Polynomial:
    """Return what a layer makes of a signal: of nothing its bias, where it has one."""
    if not signal.terms:
        return Polynomial({}) if by.homogeneous else by.of_nothing
    return Polynomial.graded(Image(by, unfolded(signal)))


def unfolded(signal: Polynomial) -> Polynomial:
    """Return a signal without names of what neurons keep: the latest name first, each once."""
    while held := [each for each in signal.signals if isinstance(each, KeptSum)]:
        last = max(held, key=lambda each: each.number)
        named = {term: number for term, number in signal.terms.items() if term[1] == last}
        rest = Polynomial({term: number for term, number in signal.terms.items() if term[1] != last})
        factor = Polynomial({(spikes, None): number for (spikes, _), number in named.items()})
        signal = rest + last.signal * factor
    return signal


Shortening = tuple[tuple[Term, Polynomial, Polynomial], ...]
"""Sums that have names: of each a term that no later one has, the sum, and its name."""


def parted(
    signal: Polynomial, names: Iterable[tuple[Term, Polynomial, Polynomial]]
) -> tuple[Polynomial, Polynomial]:
    """Return the names of sums in a signal, and what else is in it: not the term of each, which says how much."""
    found = Polynomial({})
    for term, whole, name in names:
        if term in signal.terms:
            factor = signal.terms[term] / whole.terms[term]
            signal, found = signal - whole * factor, found + name * factor
    return found, signal


def shortened(signal: Polynomial, names: Shortening) -> Polynomial:
    """Return the same signal by names of sums in it."""
    by, rest = parted(signal, names)
    return by + rest


def pivot_of(signal: Polynomial) -> Term | None:
    """Return a term that a sum is told from others by, of what was compared or kept before if there is one."""
    return min(
        (term for term, number in signal.rest.terms.items() if nowhere_zero(number)),
        key=lambda term: (bool(term[0]), not isinstance(term[1], Excess | KeptSum), term[1] is None),
        default=None,
    )
