"""Write VNN-LIB properties."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from torch import Tensor

from ..certify.ties import ARGMAX, STRICT, TIES
from ..models.constants import whole
from ..models.validation import check_choice
from .properties import Conjunction, Constraint, PropertyCase, VnnlibProperty


def robustness(lower: Tensor, upper: Tensor, label: int, classes: int, ties: str = STRICT) -> VnnlibProperty:
    """Return the property 'some other class wins against the label within the box'.

    A counterexample has Y_k ≥ Y_label for some k ≠ label; with ties "argmax", where the lowest index wins a tie,
    it has Y_k ≥ Y_label for some k < label, or Y_k > Y_label for some k > label.

    Args:
        lower, upper: ends of the inputs, of one shape.
        label: the class that should win.
        classes: how many outputs there are.
        ties: what a tie between outputs is, "argmax" or "strict".

    Raises:
        ValueError: for a label that is no class, other ties, or ends of different shapes.
    """
    label, classes = whole("label", label), whole("classes", classes)
    if not 0 <= label < classes or lower.shape != upper.shape:
        raise ValueError(f"label: got {label} of {classes} classes, or ends of different shapes")
    check_choice("ties", ties, TIES)
    low, high = (tuple(map(Fraction, end.flatten().tolist())) for end in (lower, upper))
    unsafe = tuple((_wins(other, label, ties),) for other in range(classes) if other != label)
    return VnnlibProperty(tuple(lower.shape), (classes,), (PropertyCase(low, high, unsafe),))


def _wins(other: int, label: int, ties: str) -> Constraint:
    pairs = ((label, Fraction(1)), (other, Fraction(-1)))
    return Constraint(tuple(sorted(pairs)), Fraction(0), strict=ties == ARGMAX and other > label)


def write_vnnlib(prop: VnnlibProperty, version: str = "1.0") -> str:
    """Return the text of a property; read again, it says the same.

    Args:
        prop: with one case.
        version: "1.0" or "2.0".

    Raises:
        ValueError: for another version, a property of no or several cases, or a number with no finite decimals.
    """
    if version not in ("1.0", "2.0"):
        raise ValueError(f"version: got {version!r}, expected 1.0 or 2.0")
    if len(prop.cases) != 1:
        raise ValueError(f"prop: got {len(prop.cases)} cases, expected 1 to write it")
    names = _Names(prop, version == "2.0")
    return "\n".join([*names.declarations(), *_assertions(prop.cases[0], names), ""])


class _Names:
    """How variables are declared and written."""

    def __init__(self, prop: VnnlibProperty, newer: bool) -> None:
        self.prop, self.newer = prop, newer

    def declarations(self) -> Iterator[str]:
        """Yield the lines that declare the variables."""
        prop = self.prop
        if not self.newer:
            yield from (f"(declare-const X_{i} Real)" for i in range(prop.num_inputs))
            yield from (f"(declare-const Y_{j} Real)" for j in range(prop.num_outputs))
            return
        yield "(vnnlib-version <2.0>)"
        yield "(declare-network network"
        yield f"  (declare-input X float32 {_brackets(prop.input_shape)})"
        yield f"  (declare-output Y float32 {_brackets(prop.output_shape)}))"

    def written(self, name: str, place: int) -> str:
        """Return one element, such as X_3 or X[0,3]."""
        if not self.newer:
            return f"{name}_{place}"
        index, shape = [], self.prop.input_shape if name == "X" else self.prop.output_shape
        for axis in reversed(shape):
            place, inner = divmod(place, axis)
            index.append(inner)
        return name + (_brackets(tuple(reversed(index))) if shape else "")


def _assertions(case: PropertyCase, names: _Names) -> Iterator[str]:
    for place, (low, high) in enumerate(zip(case.lower, case.upper, strict=True)):
        element = names.written("X", place)
        yield f"(assert (>= {element} {decimal(low)}))"
        yield f"(assert (<= {element} {decimal(high)}))"
    parts = [_conjunction(part, names) for part in case.unsafe]
    yield f"(assert {parts[0]})" if len(parts) == 1 else f"(assert (or {' '.join(parts)}))"


def _conjunction(part: Conjunction, names: _Names) -> str:
    return f"(and {' '.join(_comparison(constraint, names) for constraint in part)})"


def _comparison(constraint: Constraint, names: _Names) -> str:
    """Return (<= Y_0 Y_1) for a plain difference, a sum of products elsewhere."""
    sign = "<" if constraint.strict else "<="
    factors = sorted(constraint.coefficients, key=lambda pair: -pair[1])
    if [factor for _, factor in factors] == [1, -1] and constraint.bound == 0 and not constraint.inputs:
        return f"({sign} {names.written('Y', factors[0][0])} {names.written('Y', factors[1][0])})"
    terms = [f"(* {decimal(factor)} {names.written('Y', j)})" for j, factor in constraint.coefficients]
    terms += [f"(* {decimal(factor)} {names.written('X', i)})" for i, factor in constraint.inputs]
    return f"({sign} (+ {' '.join(terms)}) {decimal(constraint.bound)})"


def _brackets(integers: Sequence[int]) -> str:
    return f"[{','.join(map(str, integers))}]"


def decimal(value: Fraction) -> str:
    """Return an exact decimal.

    Raises:
        ValueError: for a fraction that has none.

    >>> decimal(Fraction(-1, 8))
    '-0.125'
    """
    digits, rest = 0, value.denominator
    while rest > 1:
        factor = next((prime for prime in (10, 5, 2) if rest % prime == 0), None)
        if factor is None:
            raise ValueError(f"number: got {value}, which has no finite decimal")
        rest //= factor
        digits += 1
    whole = str(abs(value.numerator) * 10**digits // value.denominator).rjust(digits + 1, "0")
    text = f"{whole[: len(whole) - digits]}.{whole[len(whole) - digits :] or '0'}"
    return f"-{text}" if value < 0 else text
