"""Formulas over X and Y in disjunctive normal form: a list of conjunctions of atoms Σ c·Z ≤ b."""

import itertools
import reprlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .expressions import Shape, is_number, number

MOST_ATOMS = 1_000_000
"""How many atoms a normal form may hold."""
MOST_BITS = 4096
"""Of the numerator and the denominator of a product or a sum, about 1,200 digits: a product may grow for ever."""

Variable = tuple[str, int]
"""("X", i) or ("Y", j)."""

Names = Callable[[str, Shape | None], Variable]
"""Looks a variable up by its name and indices."""


@dataclass(frozen=True)
class Atom:
    """Σ coefficient·variable ≤ bound, or < if strict; no coefficient is 0."""

    terms: tuple[tuple[Variable, Fraction], ...]
    bound: Fraction
    strict: bool


Normal = list[tuple[Atom, ...]]
Sum = dict[Variable | None, Fraction]
"""An affine sum; None stands for 1."""


def normal_form(formula: object, names: Names) -> Normal:
    """Return the conjunctions whose disjunction is `formula`.

    Raises:
        ValueError: for what is no formula, is not linear, or has too large a normal form.
    """
    if not isinstance(formula, tuple) or isinstance(formula, Shape) or not formula:
        raise ValueError(f"formula: got {_shown(formula)}, expected (and …), (or …) or a comparison")
    head, *parts = formula
    if head == "and":
        return conjoined(normal_form(part, names) for part in parts)
    if head == "or":
        return _disjoined(normal_form(part, names) for part in parts)
    if head in _COMPARISONS:
        sides = _arguments(parts, names)
        if len(sides) != 2:
            raise ValueError(f"formula: got {len(sides)} sides of {head!r}, expected 2")
        return _COMPARISONS[head](*sides)
    raise ValueError(f"formula: got {_shown(head)}, expected and, or, {', '.join(_COMPARISONS)}")


def conjoined(parts: Iterable[Normal]) -> Normal:
    """Return the normal form of a conjunction.

    Raises:
        ValueError: as soon as it may grow too large, however many parts are still to come.
    """
    chosen = list(_counted(parts))
    return [tuple(itertools.chain.from_iterable(atoms)) for atoms in itertools.product(*chosen)]


def _counted(parts: Iterable[Normal]) -> Iterator[Normal]:
    """Yield the parts while what all of them make up is small enough."""
    atoms, ways = 0, 1
    for part in parts:
        choices = max(1, len(part))
        atoms, ways = atoms * choices + ways * sum(map(len, part)), ways * choices
        if atoms > MOST_ATOMS:
            raise ValueError(f"formula: its normal form may pass {MOST_ATOMS} atoms")
        yield part


def _disjoined(parts: Iterable[Normal]) -> Normal:
    found, size = [], 0
    for part in parts:
        size += sum(map(len, part))
        if size > MOST_ATOMS:
            raise ValueError(f"formula: its normal form passes {MOST_ATOMS} atoms")
        found += part
    return found


def _at_most(left: Sum, right: Sum, strict: bool = False) -> Normal:
    """Return left ≤ right; a comparison of constants is the empty conjunction or the empty disjunction."""
    difference = _total([left, right], Fraction(-1))
    bound = -difference.pop(None, Fraction(0))
    terms = tuple(sorted((variable, factor) for variable, factor in difference.items() if variable and factor))
    if terms:
        return [(Atom(terms, bound, strict),)]
    return [()] if bound > 0 or (bound == 0 and not strict) else []


_COMPARISONS: dict[str, Callable[[Sum, Sum], Normal]] = {
    "<=": _at_most,
    ">=": lambda left, right: _at_most(right, left),
    "<": lambda left, right: _at_most(left, right, True),
    ">": lambda left, right: _at_most(right, left, True),
    "==": lambda left, right: conjoined([_at_most(left, right), _at_most(right, left)]),
    "=": lambda left, right: conjoined([_at_most(left, right), _at_most(right, left)]),
    "!=": lambda left, right: _at_most(left, right, True) + _at_most(right, left, True),
}


def _arguments(parts: Sequence[object], names: Names) -> list[Sum]:
    """Return the sums in a list of arguments, in which an index belongs to the name before it."""
    sums, index = [], 0
    while index < len(parts):
        part, after = parts[index], parts[index + 1] if index + 1 < len(parts) else None
        if isinstance(part, str) and not is_number(part):
            shape = after if isinstance(after, Shape) else None
            sums.append({names(part, shape): Fraction(1)})
            index += 1 if shape is None else 2
        else:
            sums.append(_sum(part, names))
            index += 1
    return sums


def _sum(part: object, names: Names) -> Sum:
    if isinstance(part, str):
        return {None: number(part)}
    if not isinstance(part, tuple) or isinstance(part, Shape) or not part:
        raise ValueError(f"term: got {_shown(part)}, expected a number, a variable, (+ …), (- …) or (* …)")
    head, *rest = part
    if head not in ("+", "-", "*"):
        raise ValueError(f"term: got {_shown(head)}, expected +, - or *")
    parts = _arguments(rest, names)
    if not parts:
        raise ValueError(f"term: got ({head}) without arguments")
    if head == "*":
        return _multiplied(parts)
    if head == "-" and len(parts) == 1:
        return _total([{}, *parts], Fraction(-1))
    return _total(parts, Fraction(-1 if head == "-" else 1))


def _multiplied(parts: Sequence[Sum]) -> Sum:
    """Return the product; the constants are multiplied first, so that a sum is gone through once."""
    sums = [part for part in parts if _varies(part)]
    if len(sums) > 1:
        raise ValueError("term: got a product of variables, expected linear terms")
    factor = Fraction(1)
    for part in parts:
        factor = factor if _varies(part) else _small(factor * part[None])
    return {variable: _small(factor * value) for variable, value in (*sums, {None: Fraction(1)})[0].items()}


def _varies(part: Sum) -> bool:
    return any(variable is not None for variable in part)


def _total(parts: Sequence[Sum], factor: Fraction) -> Sum:
    """Return the first part plus `factor` times each of the others."""
    total = dict(parts[0])
    for part in parts[1:]:
        for variable, value in part.items():
            total[variable] = total.get(variable, 0) + factor * value
    return {variable: _small(value) for variable, value in total.items()}


def _small(value: Fraction) -> Fraction:
    """Return a number whose digits are few enough to go on with."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise ValueError(f"number: got a product or a sum of more than {MOST_BITS} bits, expected a shorter one")
    return value


def _shown(part: object) -> str:
    return reprlib.repr(part)
