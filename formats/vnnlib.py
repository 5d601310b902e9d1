"""Read VNN-LIB properties, versions 1.0 and 2.0, plain or gzipped.

Version 1.0 declares X_0, X_1, … and Y_0, Y_1, … by `declare-const`; version 2.0 begins with
`(vnnlib-version <2.0>)` and declares one network with one input and one output tensor, whose elements are written
X[0,3]. Both describe the **unsafe** set: the property is violated by an input that meets all assertions together
with its outputs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..files import FileKind, unpacked
from .expressions import LONGEST_TEXT, Shape, parse
from .formulas import Atom, Names, Normal, Variable, conjoined, normal_form
from .properties import Constraint, Property, PropertyCase

PROPERTY = FileKind("property", "a VNN-LIB file", most=LONGEST_TEXT)
MOST_VARIABLES = 10_000_000
MOST_ENDS = 4_000_000
"""How many constraints of inputs all boxes together may have."""
_OLD_NAME = re.compile(r"([XY])_([0-9]{1,8})", re.ASCII)
_TENSOR_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_TYPES = ("real", "float16", "float32", "float64", "bfloat16")


def read_vnnlib(source: Path | str) -> Property:
    """Return the property of a file (`Path`; what gzip packed is unpacked) or of a text (`str`).

    Raises:
        ValueError: for a text that is no property of this kind, in one line: a word that is not known, inputs
            without both ends, constraints that join several inputs or inputs with outputs, more than one network.
        OSError: for a file that can't be read.

    >>> text = "(declare-const X_0 Real) (declare-const Y_0 Real) (assert (<= 0 X_0)) (assert (<= X_0 1))"
    >>> read_vnnlib(text + "(assert (>= Y_0 2.5))").cases[0].upper
    (Fraction(1, 1),)
    """
    lists = parse(_text(source) if isinstance(source, Path) else source)
    if any(not isinstance(part, tuple) or isinstance(part, Shape) or not part for part in lists):
        raise ValueError("text: got a word outside of any list, expected (declare-… …) and (assert …)")
    version = lists[0] if lists and lists[0][0] == "vnnlib-version" else None
    if version is not None and version[1:] not in (("<1.0>",), ("<2.0>",)):
        raise ValueError(f"version: got {' '.join(map(str, version[1:]))}, expected <1.0> or <2.0>")
    lists = lists if version is None else lists[1:]
    declared = [part for part in lists if part[0] != "assert"]
    formulas = [_single(part) for part in lists if part[0] == "assert"]
    newer = any(part[0] == "declare-network" for part in declared)
    tensors = _network(declared) if newer else _constants(declared)
    parts = [normal_form(formula, tensors.find) for formula in formulas]
    return Property(tensors.inputs, tensors.outputs, _cases(parts, tensors))


def _text(path: Path) -> str:
    """Return a file's text, of which no more than the limit is ever unpacked."""
    content = PROPERTY.content(path)
    try:
        return unpacked(content, LONGEST_TEXT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"property: {path} is no text file: {error}") from error
    except ValueError as error:
        raise ValueError(f"property: {path} {error}") from error


def _single(part: tuple) -> object:
    if len(part) != 2:
        raise ValueError(f"assert: got {len(part) - 1} formulas, expected 1")
    return part[1]


@dataclass(frozen=True)
class _Tensors:
    """The declared tensors: shapes, and how their elements are written."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    find: Names


def _constants(declared: Sequence[tuple]) -> _Tensors:
    """Return the tensors that X_0 … X_n and Y_0 … Y_m make up."""
    seen: set[Variable] = set()
    for part in declared:
        if part[0] not in ("declare-const", "declare-fun"):
            raise ValueError(f"text: got {str(part[0])[:40]!r}, expected declare-const, declare-network or assert")
        if part[2:] not in (("Real",), ((), "Real")) or not isinstance(part[1], str):
            raise ValueError(f"{part[0]}: got {str(part[1:])[:60]}, expected a name and Real")
        variable = _old_name(part[1])
        if variable in seen:
            raise ValueError(f"{part[0]}: got {part[1]} twice")
        seen.add(variable)
    counts = {kind: sum(1 for name, _ in seen if name == kind) for kind in "XY"}
    for kind, count in counts.items():
        if count == 0 or any(index >= count for name, index in seen if name == kind):
            raise ValueError(f"declare-const: expected {kind}_0, {kind}_1, … without a gap, at least one")

    def find(name: str, index: Shape | None) -> Variable:
        """Return the declared variable of that name, X_i or Y_i."""
        variable = _old_name(name)
        if index is not None or variable not in seen:
            raise ValueError(f"variable: got {name[:40]!r}, which is not declared")
        return variable

    return _Tensors((counts["X"],), (counts["Y"],), find)


def _old_name(name: str) -> Variable:
    match = _OLD_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"variable: got {name[:40]!r}, expected X_i or Y_j")
    return match.group(1), int(match.group(2))


def _network(declared: Sequence[tuple]) -> _Tensors:
    """Return the tensors of the one network of version 2.0."""
    if len(declared) != 1:
        raise ValueError(f"declare-network: got {len(declared)} declarations, expected one network alone")
    parts = [part for part in declared[0][2:] if isinstance(part, tuple) and part]
    found = {}
    for kind in ("declare-input", "declare-output"):
        chosen = [part for part in parts if part[0] == kind]
        if len(chosen) != 1 or len(parts) != 2 or len(declared[0]) != 4:
            raise ValueError("declare-network: expected a name, one declare-input and one declare-output")
        found[kind] = _tensor(chosen[0])
    (inputs, input_shape), (outputs, output_shape) = found.values()
    shapes = {inputs: ("X", input_shape), outputs: ("Y", output_shape)}
    if len(shapes) != 2:
        raise ValueError(f"declare-network: got {inputs!r} twice")

    def find(name: str, index: Shape | None) -> Variable:
        """Return the entry of a declared tensor."""
        if name not in shapes:
            raise ValueError(f"variable: got {name[:40]!r}, expected {inputs} or {outputs}")
        kind, shape = shapes[name]
        return kind, _flat(name, tuple(index or ()), shape)

    return _Tensors(input_shape, output_shape, find)


def _tensor(part: tuple) -> tuple[str, tuple[int, ...]]:
    """Return the name and the shape of (declare-… name type [shape] "other name")."""
    fits = len(part) in (4, 5) and isinstance(part[1], str) and isinstance(part[3], Shape)
    if not fits or _TENSOR_NAME.fullmatch(part[1]) is None or str(part[2]).lower() not in _TYPES:
        raise ValueError(f"{part[0]}: got {str(part[1:])[:60]}, expected a name, a real type and a shape")
    shape, size = tuple(part[3]), 1
    for axis in shape:
        size *= axis
        if not 0 < size <= MOST_VARIABLES:
            raise ValueError(f"{part[0]}: got shape {list(shape)[:8]}, expected 1 to {MOST_VARIABLES} elements")
    return part[1], shape


def _flat(name: str, index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Return the place of an element in row-major order."""
    if len(index) != len(shape) or any(i >= axis for i, axis in zip(index, shape, strict=True)):
        raise ValueError(f"variable: got {name}{list(index)[:8]}, expected an element of shape {list(shape)}")
    place = 0
    for i, axis in zip(index, shape, strict=True):
        place = place * axis + i
    return place


def _cases(parts: Sequence[Normal], tensors: _Tensors) -> tuple[PropertyCase, ...]:
    """Return the boxes and their unsafe outputs; a box without points is left out."""
    if any(not part for part in parts):
        return ()
    common = [atom for part in parts if len(part) == 1 for atom in part[0]]
    groups: dict[tuple[Atom, ...], list[tuple[Constraint, ...]]] = {}
    for atoms in conjoined([part for part in parts if len(part) > 1]):
        inputs = tuple(atom for atom in atoms if _kind(atom) == "X")
        outputs = (atom for atom in (*common, *atoms) if _kind(atom) == "Y")
        groups.setdefault(inputs, []).append(tuple(map(_constraint, outputs)))
    shared = [atom for atom in common if _kind(atom) == "X"]
    size = Property(tensors.inputs, tensors.outputs, ()).num_inputs
    if len(groups) > 1 and len(groups) * max(size, len(shared)) > MOST_ENDS:
        raise ValueError(f"assert: got {len(groups)} boxes of {size} inputs, which pass {MOST_ENDS} ends in all")
    cases = []
    for atoms, unsafe in groups.items():
        lower, upper = _box((*shared, *atoms), size)
        if all(low <= high for low, high in zip(lower, upper, strict=True)):
            cases.append(PropertyCase(lower, upper, tuple(unsafe)))
    return tuple(cases)


def _kind(atom: Atom) -> str:
    """Return "X" or "Y"."""
    kinds = {variable[0] for variable, _ in atom.terms}
    if len(kinds) != 1:
        raise ValueError("assert: got a constraint that joins inputs with outputs, expected one or the other")
    return kinds.pop()


def _constraint(atom: Atom) -> Constraint:
    return Constraint(tuple((variable[1], factor) for variable, factor in atom.terms), atom.bound, atom.strict)


def _box(atoms: Sequence[Atom], size: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Return the ends of each input."""
    lower: list[Fraction | None] = [None] * size
    upper: list[Fraction | None] = [None] * size
    for atom in atoms:
        if len(atom.terms) != 1 or atom.strict:
            raise ValueError("assert: expected inputs between closed ends, each by itself")
        ((_, place), factor) = atom.terms[0]
        end = atom.bound / factor
        if factor > 0:
            known = upper[place]
            upper[place] = end if known is None else min(known, end)
        else:
            known = lower[place]
            lower[place] = end if known is None else max(known, end)
    return _complete(lower), _complete(upper)


def _complete(ends: Sequence[Fraction | None]) -> tuple[Fraction, ...]:
    known = tuple(end for end in ends if end is not None)
    if len(known) != len(ends):
        raise ValueError(f"assert: input {ends.index(None)} has no closed end on one side")
    return known
