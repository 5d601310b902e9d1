"""What a property says: boxes of inputs, and which outputs are unsafe there. All numbers are exact fractions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Constraint:
    """Σ_j coefficient_j·Y_j + Σ_i input_i·X_i ≤ bound, or < if strict.

    Args:
        coefficients: pairs (j, coefficient), by rising j, none of them 0.
        bound: the right-hand side.
        strict: whether equality is excluded.
        inputs: pairs (i, coefficient), as those of outputs.

    >>> Constraint(((0, Fraction(1)), (1, Fraction(-1))), Fraction(0)).holds([Fraction(1), Fraction(1)])
    True
    """

    coefficients: tuple[tuple[int, Fraction], ...]
    bound: Fraction
    strict: bool = False
    inputs: tuple[tuple[int, Fraction], ...] = ()

    def holds(self, outputs: Sequence[Fraction], inputs: Sequence[Fraction] = ()) -> bool:
        """Return whether outputs, and the inputs that they are of, meet the constraint, in exact arithmetic."""
        value = sum((factor * outputs[j] for j, factor in self.coefficients), Fraction(0))
        value += sum((factor * inputs[i] for i, factor in self.inputs), Fraction(0))
        return value < self.bound or (value == self.bound and not self.strict)


Conjunction = tuple[Constraint, ...]


@dataclass(frozen=True)
class PropertyCase:
    """One case of a property: a box of inputs, and the outputs that are unsafe on it.

    Args:
        lower, upper: ends of each X_i, lower ≤ upper.
        unsafe: a disjunction of conjunctions; an empty conjunction is always true.
    """

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]
    unsafe: tuple[Conjunction, ...]

    def violated(self, inputs: Sequence[Fraction], outputs: Sequence[Fraction]) -> bool:
        """Return whether these inputs lie in the box and these outputs are unsafe."""
        ends = zip(self.lower, inputs, self.upper, strict=True)
        return all(low <= x <= high for low, x, high in ends) and self.unsafe_at(outputs, inputs)

    def unsafe_at(self, outputs: Sequence[Fraction], inputs: Sequence[Fraction] = ()) -> bool:
        """Return whether these outputs of these inputs are unsafe."""
        return any(all(constraint.holds(outputs, inputs) for constraint in part) for part in self.unsafe)


@dataclass(frozen=True)
class VnnlibProperty:
    """A question to a network: is there an input in a case's box whose outputs are unsafe?

    Such an input **violates** the property; without any, it **holds**.

    Args:
        input_shape, output_shape: as declared; of one axis in VNN-LIB 1.0.
        cases: boxes with their unsafe outputs. None: nothing can violate it.
        tensors: the input's and the output's name and type as VNN-LIB 2.0 declares them, which is no part of what
            is asked; None of version 1.0.

    Raises:
        ValueError: for ends or indices that do not fit the shapes.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    cases: tuple[PropertyCase, ...]
    tensors: tuple[tuple[str, str], tuple[str, str]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        inputs, outputs = self.num_inputs, self.num_outputs
        for case in self.cases:
            if not len(case.lower) == len(case.upper) == inputs:
                raise ValueError(f"cases: got {len(case.lower)} ends, expected {inputs}")
            for constraint in {id(constraint): constraint for part in case.unsafe for constraint in part}.values():
                if any(not 0 <= j < outputs for j, _ in constraint.coefficients):
                    raise ValueError(f"cases: got an output beyond the declared {outputs}")
                if any(not 0 <= i < inputs for i, _ in constraint.inputs):
                    raise ValueError(f"cases: got an input beyond the declared {inputs}")

    @property
    def num_inputs(self) -> int:
        """Return how many inputs there are."""
        return _product(self.input_shape)

    @property
    def num_outputs(self) -> int:
        """Return how many outputs there are."""
        return _product(self.output_shape)

    def violated(self, inputs: Sequence[Fraction], outputs: Sequence[Fraction]) -> bool:
        """Return whether an input with these outputs violates the property, in exact arithmetic."""
        return any(case.violated(inputs, outputs) for case in self.cases)


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for axis in shape:
        size *= axis
    return size
