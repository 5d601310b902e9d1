"""Read VNN-LIB properties, versions 1.0 and 2.0, plain or gzipped.

Version 1.0 declares X_0, X_1, … and Y_0, Y_1, … by `declare-const`; version 2.0 begins with
`(vnnlib-version <2.0>)` and declares one network with one input and one output tensor, whose elements are written
X[0,3]. Both describe the **unsafe** set: the property is violated by an input that meets all assertions together
with its outputs.

Formulas over X and Y in disjunctive normal form: a list of conjunctions of atoms Σ c·Z ≤ b.

S-expressions: text in, nested tuples out, within limits that no file of sense reaches. Nothing is evaluated.
"""

import itertools
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from ..files import FileKind, unpacked
from .properties import Constraint, PropertyCase, VnnlibProperty

LONGEST_TEXT = 64 * 2**20
MOST_TOKENS = 8_000_000
DEEPEST = 64
LONGEST_NUMBER = 400
LARGEST_EXPONENT = 400

Expression = "str | Shape | tuple[Expression, ...]"

_TOKEN = re.compile(r'\s+|;[^\n]*|[()]|\[[0-9,\s]*\]|"[^"\n]*"|[^\s()\[\]";]+')
_NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)


class Shape(tuple[int, ...]):
    """Integers in brackets: a tensor's shape, or the indices of an element."""


def parse(text: str) -> tuple:
    """Return the expressions of `text`: atoms as strings, brackets as `Shape`, lists as tuples.

    Raises:
        ValueError: for a text that is no sequence of closed lists, or passes a limit; one line with its line.

    >>> parse("(assert (<= X[0] 1.0)) ; an upper end")
    (('assert', ('<=', 'X', (0,), '1.0')),)
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"text: got {len(text)} characters, expected at most {LONGEST_TEXT}")
    open_lists: list[list] = [[]]
    for token, position in _tokens(text):
        if token == "(":
            open_lists.append([])
            if len(open_lists) > DEEPEST:
                raise ValueError(f"line {_line(text, position)}: got lists nested deeper than {DEEPEST - 1}")
        elif token == ")":
            if len(open_lists) == 1:
                raise ValueError(f"line {_line(text, position)}: got ')' without its '('")
            done = tuple(open_lists.pop())
            open_lists[-1].append(done)
        else:
            open_lists[-1].append(_shape(token) if token.startswith("[") else token)
    if len(open_lists) > 1:
        raise ValueError(f"text: got {len(open_lists) - 1} lists that are never closed")
    return tuple(open_lists[0])


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    position = count = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"line {_line(text, position)}: got {text[position]!r}, which starts nothing known")
        token = match.group()
        if not (token.isspace() or token.startswith(";")):
            count += 1
            if count > MOST_TOKENS:
                raise ValueError(f"text: got more than {MOST_TOKENS} words")
            yield token, position
        position = match.end()


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _shape(token: str) -> Shape:
    """Return the integers of "[2, 3]"; "[]" is the shape of a scalar."""
    inside = token[1:-1].strip()
    parts = [part.strip() for part in inside.split(",")] if inside else []
    if not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        raise ValueError(f"shape: got {_short(token)}, expected integers with commas between")
    return Shape(int(part) for part in parts)


def is_number(word: object) -> bool:
    """Return whether a word is written as a number."""
    return isinstance(word, str) and _NUMBER.fullmatch(word) is not None


def number(word: str) -> Fraction:
    """Return the exact value of a decimal number.

    Raises:
        ValueError: for another word, or one of too many digits.

    >>> number("-2.50e1")
    Fraction(-25, 1)
    """
    match = _NUMBER.fullmatch(word) if len(word) <= LONGEST_NUMBER else None
    if match is None:
        raise ValueError(f"number: got {_short(word)}, expected a decimal of at most {LONGEST_NUMBER} characters")
    exponent = match.group(3) or "0"
    if len(exponent) > 5 or abs(int(exponent)) > LARGEST_EXPONENT:
        raise ValueError(f"number: got {_short(word)}, expected an exponent within ±{LARGEST_EXPONENT}")
    return Fraction(word)


def _short(word: str) -> str:
    return repr(word if len(word) <= 40 else f"{word[:37]}...")


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


PROPERTY = FileKind("property", "a VNN-LIB file", most=LONGEST_TEXT)
MOST_VARIABLES = 10_000_000
MOST_ENDS = 4_000_000
"""How many constraints all boxes, or all unsafe cases, may have that are the same in each of them."""
_OLD_NAME = re.compile(r"([XY])_([0-9]{1,8})", re.ASCII)
_TENSOR_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_TYPES = ("real", "float16", "float32", "float64", "bfloat16")


def read_vnnlib(source: Path | str) -> VnnlibProperty:
    """Return the property of a file (`Path`; what gzip packed is unpacked) or of a text (`str`).

    Raises:
        ValueError: for a text that is no property of this kind, in one line: a word that is not known, inputs
            without both ends, constraints that join several inputs alone, more than one network.
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
        raise ValueError(f"version: got {' '.join(map(str, version[1:]))[:40]}, expected <1.0> or <2.0>")
    lists = lists if version is None else lists[1:]
    declared = [part for part in lists if part[0] != "assert"]
    formulas = (_single(part) for part in lists if part[0] == "assert")
    newer = any(part[0] == "declare-network" for part in declared)
    tensors = _network(declared) if newer else _constants(declared)
    parts = (normal_form(formula, tensors.find) for formula in formulas)
    return VnnlibProperty(tensors.inputs, tensors.outputs, _cases(parts, math.prod(tensors.inputs)), tensors.named)


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
    named: tuple[tuple[str, str], tuple[str, str]] | None = None


def _constants(declared: Sequence[tuple]) -> _Tensors:
    """Return the tensors that X_0 … X_n and Y_0 … Y_m make up."""
    seen: set[Variable] = set()
    for part in declared:
        if part[0] not in ("declare-const", "declare-fun"):
            raise ValueError(f"text: got {str(part[0])[:40]!r}, expected declare-const, declare-network or assert")
        if part[2:] not in (("Real",), ((), "Real")) or not isinstance(part[1], str):
            raise ValueError(f"{part[0]}: got {reprlib.repr(part[1:])}, expected a name and Real")
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
    (inputs, input_type, input_shape), (outputs, output_type, output_shape) = found.values()
    shapes = {inputs: ("X", input_shape), outputs: ("Y", output_shape)}
    if len(shapes) != 2:
        raise ValueError(f"declare-network: got {inputs[:40]!r} twice")

    def find(name: str, index: Shape | None) -> Variable:
        """Return the entry of a declared tensor."""
        if name not in shapes:
            raise ValueError(f"variable: got {name[:40]!r}, expected {inputs[:40]} or {outputs[:40]}")
        kind, shape = shapes[name]
        return kind, _flat(name, tuple(index or ()), shape)

    return _Tensors(input_shape, output_shape, find, ((inputs, input_type), (outputs, output_type)))


def _tensor(part: tuple) -> tuple[str, str, tuple[int, ...]]:
    """Return the name, the type and the shape of (declare-… name type [shape] "other name")."""
    fits = len(part) in (4, 5) and isinstance(part[1], str) and isinstance(part[3], Shape)
    if not fits or _TENSOR_NAME.fullmatch(part[1]) is None or str(part[2]).lower() not in _TYPES:
        raise ValueError(f"{part[0]}: got {reprlib.repr(part[1:])}, expected a name, a real type and a shape")
    shape, size = tuple(part[3]), 1
    for axis in shape:
        size *= axis
        if not 0 < size <= MOST_VARIABLES:
            raise ValueError(f"{part[0]}: got shape {list(shape)[:8]}, expected 1 to {MOST_VARIABLES} elements")
    return part[1], str(part[2]).lower(), shape


def _flat(name: str, index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Return the place of an element in row-major order."""
    if len(index) != len(shape) or any(i >= axis for i, axis in zip(index, shape, strict=True)):
        raise ValueError(
            f"variable: got {name[:40]}{list(index)[:8]}, expected an element of shape {list(shape)[:8]}"
        )
    place = 0
    for i, axis in zip(index, shape, strict=True):
        place = place * axis + i
    return place


def _cases(parts: Iterable[Normal], size: int) -> tuple[PropertyCase, ...]:
    """Return the boxes of `size` inputs and their unsafe outputs; a box without points is left out."""
    common: list[Atom] = []
    groups: dict[tuple[Atom, ...], list[tuple[Atom, ...]]] = {}
    for atoms in conjoined(_branching(parts, common)):
        groups.setdefault(_about("X", atoms), []).append(_about("Y", atoms))
    shared, made = _about("X", common), _Constraints()
    always = tuple(map(made, _about("Y", common)))
    _check_counts(groups, len(always), max(size, len(shared)), size)
    whole, cases = _KnownBox().within(shared), []
    for inputs, outputs in groups.items():
        box = whole.within(inputs)
        lower, upper = box.complete(size)
        if not box.empty:
            unsafe = tuple((*always, *map(made, atoms)) for atoms in outputs)
            cases.append(PropertyCase(lower, upper, unsafe))
    return tuple(cases)


def _branching(parts: Iterable[Normal], common: list[Atom]) -> Iterator[Normal]:
    """Yield the parts that are no plain conjunctions; the atoms of those go to `common`."""
    for part in parts:
        if len(part) == 1:
            common += part[0]
        else:
            yield part


def _check_counts(groups: Mapping[tuple[Atom, ...], Sequence[object]], always: int, ends: int, size: int) -> None:
    """Raise ValueError where what holds everywhere would be written out too often."""
    if len(groups) > 1 and len(groups) * ends > MOST_ENDS:
        raise ValueError(f"assert: got {len(groups)} boxes of {size} inputs, which pass {MOST_ENDS} ends in all")
    if (count := sum(map(len, groups.values()))) > 1 and count * always > MOST_ENDS:
        told = f"{count} unsafe cases with {always} constraints in common"
        raise ValueError(f"assert: got {told}, which pass {MOST_ENDS} in all")


def _about(kind: str, atoms: Iterable[Atom]) -> tuple[Atom, ...]:
    """Return the constraints of X or of Y."""
    return tuple(atom for atom in atoms if _kind(atom) == kind)


def _kind(atom: Atom) -> str:
    """Return "X" for a constraint of inputs alone, "Y" for one of outputs, or of both."""
    return "Y" if any(variable[0] == "Y" for variable, _ in atom.terms) else "X"


class _Constraints:
    """Makes constraints of atoms, each once: a disjunction's normal form names the same ones many times."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Atom, Constraint]] = {}

    def __call__(self, atom: Atom) -> Constraint:
        """Return the constraint; the atom is kept, so that no other takes its id."""
        if id(atom) not in self.made:
            inputs, outputs = (
                tuple((place, factor) for (kind, place), factor in atom.terms if kind == name) for name in "XY"
            )
            self.made[id(atom)] = (atom, Constraint(outputs, atom.bound, atom.strict, inputs))
        return self.made[id(atom)][1]


@dataclass(frozen=True)
class _KnownBox:
    """What is known of the ends of inputs, by their places."""

    lower: Mapping[int, Fraction] = field(default_factory=dict)
    upper: Mapping[int, Fraction] = field(default_factory=dict)
    empty: bool = False

    def within(self, atoms: Iterable[Atom]) -> "_KnownBox":
        """Return the ends with further ones; only what changes is looked at."""
        lower, upper, changed = dict(self.lower), dict(self.upper), set()
        for atom in atoms:
            place, end, above = _end(atom)
            known = (upper if above else lower).get(place, end)
            (upper if above else lower)[place] = min(known, end) if above else max(known, end)
            changed.add(place)
        both = (place for place in changed if place in lower and place in upper)
        return _KnownBox(lower, upper, self.empty or any(lower[place] > upper[place] for place in both))

    def complete(self, size: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
        """Return the ends of all inputs in order; ValueError where one is missing."""
        for ends in (self.lower, self.upper):
            if len(ends) < size:
                missing = next(place for place in range(size) if place not in ends)
                raise ValueError(f"assert: input {missing} has no closed end on one side")
        places = range(size)
        return tuple(map(self.lower.__getitem__, places)), tuple(map(self.upper.__getitem__, places))


def _end(atom: Atom) -> tuple[int, Fraction, bool]:
    """Return which input a constraint bounds, where, and whether from above."""
    if len(atom.terms) != 1 or atom.strict:
        raise ValueError("assert: expected inputs between closed ends, each by itself")
    ((_, place), factor) = atom.terms[0]
    return place, atom.bound / factor, factor > 0
