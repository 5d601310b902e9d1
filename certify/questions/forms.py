"""Linear forms over a network's outputs, its inputs and the outputs of the sample itself, as a user writes them.

    output[0] - 0.5 * output[1] <= 0.3,  abs(output[0] - sample[0]) <= 0.05,  abs(output[0] - K @ inputs) <= 0.2

Coefficients are float64 numbers, added and multiplied as Python does: what a form says is what its printed
numbers say, exactly. They are 0 or of a modulus in [1e-100, 1e100], so that no product of theirs underflows.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from ...models.constants import at_least, real

LEAST, MOST = 1e-100, 1e100
"""Between these lie the moduli of coefficients and constants, but for 0."""

MOST_ROWS = 4096
"""How many inequalities all clauses of a property may hold."""

Terms = tuple[tuple[int, float], ...]
"""Pairs (place, coefficient), by rising place, no coefficient 0."""


@dataclass(frozen=True, eq=False)
class Form:
    """Σ c_j·y_j + Σ d_i·x_i + Σ e_j·y⁰_j + constant: y of an allowed input x, y⁰ of the sample itself, run alone.

    Attributes:
        outputs, inputs, own: c, d (of flattened inputs) and e.
        constant: the rest.

    Raises:
        TypeError, ValueError: for what is no finite number, or lies beyond `LEAST` and `MOST`.

    >>> 2 * output[1] - output[0] + 1
    -1.0*output[0] + 2.0*output[1] + 1.0
    """

    outputs: Terms = ()
    inputs: Terms = ()
    own: Terms = ()
    constant: float = 0.0

    __array_ufunc__ = None  # numpy leaves its sums and products with forms to them

    def __post_init__(self) -> None:
        for name in ("outputs", "inputs", "own"):
            object.__setattr__(self, name, _collected(name, getattr(self, name)))
        object.__setattr__(self, "constant", checked("constant", self.constant))

    @property
    def at_sample(self) -> "Form":
        """Return what the form is of the sample's own outputs.

        Raises:
            ValueError: for a form that holds inputs.
        """
        if self.inputs:
            raise ValueError(f"at_sample: got {self}, expected a form of outputs alone")
        return Form((), (), self.outputs + self.own, self.constant)

    def __add__(self, other: "Form | float") -> "Form":
        """Return the sum."""
        one = as_form(other)
        outputs, inputs = self.outputs + one.outputs, self.inputs + one.inputs
        return Form(outputs, inputs, self.own + one.own, self.constant + one.constant)

    def __mul__(self, factor: float) -> "Form":
        """Return the form times a number."""
        if isinstance(factor, Form):
            raise TypeError("form: got a product of two forms, expected linear ones")
        factor = real("factor", factor)
        outputs, inputs, own = (
            tuple((j, c * factor) for j, c in part) for part in (self.outputs, self.inputs, self.own)
        )
        return Form(outputs, inputs, own, self.constant * factor)

    def __neg__(self) -> "Form":
        return self * -1.0

    def __sub__(self, other: "Form | float") -> "Form":
        return self + -1.0 * as_form(other)

    def __rsub__(self, other: float) -> "Form":
        return as_form(other) - self

    def __truediv__(self, divisor: float) -> "Form":
        return self * (1.0 / real("divisor", divisor))

    __radd__, __rmul__ = __add__, __mul__

    def __abs__(self) -> "Modulus":
        return Modulus(self)

    def __le__(self, other: "Form | float") -> "Property":
        return _at_most(self - other, strict=False)

    def __lt__(self, other: "Form | float") -> "Property":
        return _at_most(self - other, strict=True)

    def __ge__(self, other: "Form | float") -> "Property":
        return _at_most(other - self, strict=False)

    def __gt__(self, other: "Form | float") -> "Property":
        return _at_most(other - self, strict=True)

    def __eq__(self, other: object) -> bool:
        """Return whether the two say the same, term by term.

        Raises:
            TypeError: for a number: no property asks for equality.
        """
        if isinstance(other, int | float):
            raise TypeError(f"form: got == {other!r}, expected <= and >=, joined by &")
        return isinstance(other, Form) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    @property
    def _parts(self) -> tuple[Terms, Terms, Terms, float]:
        return self.outputs, self.inputs, self.own, self.constant

    def __repr__(self) -> str:
        names = ("output", self.outputs), ("inputs", self.inputs), ("sample", self.own)
        terms = [f"{factor!r}*{name}[{place}]" for name, part in names for place, factor in part]
        rest = [repr(self.constant)] if self.constant or not terms else []
        return " + ".join(terms + rest)


@dataclass(frozen=True)
class Inequality:
    """form ≤ 0, or form < 0 where strict."""

    form: Form
    strict: bool = False


Clauses = tuple[tuple[Inequality, ...], ...]
"""A conjunction of disjunctions."""


class Property(ABC):
    """What must hold at every allowed input. `p & q`, `p | q`."""

    @abstractmethod
    def clauses(self, own: Sequence[float]) -> Clauses:
        """Return the clauses for a sample whose own outputs are `own`."""

    def __and__(self, other: "Property") -> "Property":
        """Return that both hold."""
        return JointProperty((self, _property(other)), every=True)

    def __or__(self, other: "Property") -> "Property":
        """Return that at each input one of them holds."""
        return JointProperty((self, _property(other)), every=False)

    def __bool__(self) -> NoReturn:
        raise TypeError("property: got a truth value asked of it (0 <= x <= 1, and, or, not), expected & and |")


@dataclass(frozen=True)
class Inequalities(Property):
    """Clauses as they are.

    Raises:
        ValueError: for no clause, a clause without an inequality, or more than `MOST_ROWS`.
    """

    given: Clauses

    def __post_init__(self) -> None:
        check_clauses(self.given)

    def clauses(self, own: Sequence[float]) -> Clauses:
        """Return them."""
        return self.given


@dataclass(frozen=True)
class JointProperty(Property):
    """A conjunction of properties, or a disjunction."""

    parts: tuple[Property, ...]
    every: bool

    def clauses(self, own: Sequence[float]) -> Clauses:
        """Return all clauses, or each choice of one of each part as one clause."""
        found = [part.clauses(own) for part in self.parts]
        if self.every:
            clauses = tuple(itertools.chain.from_iterable(found))
        else:
            count = 1
            for part in found:
                count *= len(part)
            check_count(count)
            choices = itertools.product(*found)
            clauses = tuple(tuple(itertools.chain.from_iterable(choice)) for choice in choices)
        check_clauses(clauses)
        return clauses


@dataclass(frozen=True)
class Modulus:
    """|form|, to be compared with a number."""

    form: Form

    def __le__(self, most: float) -> "Property":
        return (self.form <= most) & (self.form >= -real("most", most))

    def __lt__(self, most: float) -> "Property":
        return (self.form < most) & (self.form > -real("most", most))

    def __ge__(self, least: float) -> "Property":
        return (self.form >= least) | (self.form <= -real("least", least))

    def __gt__(self, least: float) -> "Property":
        return (self.form > least) | (self.form < -real("least", least))


@dataclass(frozen=True)
class Places:
    """The outputs, the inputs or the sample's own outputs, to be taken by place: `output[0]`, `K @ inputs`."""

    kind: str

    __array_ufunc__ = None

    def __getitem__(self, place: int) -> Form:
        """Return one of them."""
        if type(place) is not int or place < 0:
            raise TypeError(f"{self.kind}: got place {place!r}, expected an integer of at least 0")
        return self._form(((place, 1.0),))

    def _form(self, terms: Terms) -> Form:
        parts = {"outputs": (terms, (), ()), "inputs": ((), terms, ()), "own": ((), (), terms)}
        return Form(*parts[self.kind])

    def __rmatmul__(self, weights: Sequence[float]) -> Form:
        """Return Σ weights[i]·self[i]."""
        try:
            numbers = [real("weights", weight) for weight in weights]
        except TypeError:
            raise TypeError(f"weights: got {type(weights).__name__}, expected a vector of numbers") from None
        return self._form(tuple(enumerate(numbers)))


output = Places("outputs")
"""The network's outputs at an allowed input."""
inputs = Places("inputs")
"""The allowed input itself, flattened."""
sample = Places("own")
"""The network's outputs at the sample, unperturbed and run alone."""


def as_form(value: "Form | float") -> Form:
    """Return a form; a number is a constant one."""
    return value if isinstance(value, Form) else Form(constant=real("form", value))


def checked(name: str, value: object) -> float:
    """Return a coefficient as a float.

    Raises:
        TypeError, ValueError: for what is no finite number, or lies beyond `LEAST` and `MOST`.
    """
    found = real(name, value)
    if found != 0 and not LEAST <= abs(found) <= MOST:
        raise ValueError(f"{name}: got {found!r}, expected 0 or a modulus from {LEAST:g} to {MOST:g}")
    return found


def _collected(name: str, terms: Iterable[tuple[int, float]]) -> Terms:
    total: dict[int, float] = {}
    for place, factor in terms:
        total[at_least(0)(name, place)] = total.get(place, 0.0) + real(name, factor)
    return tuple((place, checked(name, total[place])) for place in sorted(total) if total[place])


def _at_most(form: Form, strict: bool) -> "Property":
    """Return form ≤ 0, or < 0."""
    return Inequalities(((Inequality(form, strict),),))


def check_clauses(clauses: Clauses) -> None:
    """Raise ValueError for no clause, a clause without an inequality, or more than `MOST_ROWS`."""
    if not clauses:
        raise ValueError("property: got an empty conjunction, expected at least one inequality")
    if not all(clauses):
        raise ValueError("property: got an empty disjunction, which nothing meets, expected an inequality")
    check_count(sum(map(len, clauses)))


def check_count(count: int) -> None:
    if count > MOST_ROWS:
        raise ValueError(f"property: got more than {MOST_ROWS} inequalities in normal form, expected fewer")


def _property(value: object) -> Property:
    if not isinstance(value, Property):
        raise TypeError(f"property: got {type(value).__name__}, expected another property")
    return value
