"""Properties as text and as JSON-ready data, both ways, and as a sentence for reports.

Forms and properties as text, for the command line: "Y0 - 2*Y1 + 0.1*X3 <= 1", "moves=.1".

Y are outputs, X inputs, S the sample's own outputs. Python's parser reads the text; of its tree only numbers,
names, sums, products with numbers and comparisons are known here, and nothing is run.

A property's text as a sentence, for reports.
"""

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any

from ...files.plugged import plugged
from ...files.texts import fraction
from ...models.validation import check_choice
from .classes import Abstains, Moves, Robust, Targeted, TopK, abstains, moves_at_most, robust, targeted, top_k
from .forms import Form, Inequalities, Inequality, JointProperty, Property, as_form, inputs, output, sample

NAMED: dict[str, tuple[type[Property], tuple[str, ...]]] = {
    "robust": (Robust, ("label",)),
    "targeted": (Targeted, ("label",)),
    "top-k": (TopK, ("k", "label")),
    "moves": (Moves, ("delta", "place")),
    "abstains": (Abstains, ("threshold", "label")),
}
JOINED = {"all": True, "any": False}
PARTS = ("outputs", "inputs", "own")


def describe_property(prop: Property) -> dict[str, Any]:
    """Return a property as JSON-ready data.

    Raises:
        TypeError: for a class of one's own, which other processes don't know.
    """
    for name, (kind, fields) in NAMED.items():
        if type(prop) is kind:
            return {"kind": name, **{field: getattr(prop, field) for field in fields}}
    if type(prop) is JointProperty:
        return {"kind": "all" if prop.every else "any", "parts": [describe_property(part) for part in prop.parts]}
    if type(prop) is Inequalities:
        return {"kind": "clauses", "clauses": [[_told(row) for row in clause] for clause in prop.given]}
    raise TypeError(f"property: got {type(prop).__name__}, expected one that other processes know")


def build_property(told: dict[str, Any]) -> Property:
    """Return the property of `describe_property`."""
    kind = told["kind"]
    if kind in NAMED:
        make, fields = NAMED[kind]
        return make(**{field: told[field] for field in fields})
    if kind == "clauses":
        return Inequalities(tuple(tuple(map(_row, clause)) for clause in told["clauses"]))
    check_choice("kind", kind, JOINED)
    return JointProperty(tuple(map(build_property, told["parts"])), every=JOINED[kind])


def _told(row: Inequality) -> dict[str, Any]:
    terms = {name: [list(term) for term in getattr(row.form, name)] for name in PARTS}
    return {**terms, "constant": row.form.constant, "strict": row.strict}


def _row(told: dict[str, Any]) -> Inequality:
    terms = {name: tuple((place, factor) for place, factor in told[name]) for name in PARTS}
    return Inequality(Form(**terms, constant=told["constant"]), told["strict"])


LONGEST = 10_000
"""Characters of a text."""
DEEPEST = 100
"""Levels of its tree."""
_NAME = re.compile(r"([YXS])(\d{1,7})", re.ASCII)
_PLACES = {"Y": output, "X": inputs, "S": sample}


def form_of(text: str) -> Form:
    """Return a linear form.

    Raises:
        ValueError: for a text that is none, in one line.

    >>> form_of("2*Y1 - S0")
    2.0*output[1] + -1.0*sample[0]
    """
    return _form(_tree(text), text, 0)


def _tree(text: str) -> ast.expr:
    try:
        if len(text) > LONGEST:
            raise ValueError
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _refusal(text) from None


def _form(node: ast.expr, text: str, depth: int) -> Form:
    if depth > DEEPEST:
        raise _refusal(text)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return as_form(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.Name) and (found := _NAME.fullmatch(node.id)) is not None:
        return _PLACES[found[1]][int(found[2])]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _form(node.operand, text, depth + 1)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        one, other = _form(node.left, text, depth + 1), _form(node.right, text, depth + 1)
        if isinstance(node.op, ast.Add | ast.Sub):
            return one + other if isinstance(node.op, ast.Add) else one - other
        number, factor = (one, other) if _is_number(one) else (other, one)
        if isinstance(node.op, ast.Mult) and _is_number(number):
            return factor * number.constant
        if isinstance(node.op, ast.Div) and _is_number(other) and other.constant != 0:
            return one / other.constant
    raise _refusal(text)


def _is_number(form: Form) -> bool:
    return not (form.outputs or form.inputs or form.own)


def _refusal(text: str) -> ValueError:
    expected = 'sums such as "Y0 - 2*Y1 + 0.1*X3", Y outputs, X inputs, S the sample\'s own outputs'
    return ValueError(f"form: got {text[:60]!r}, expected {expected}")


BY_NAME: dict[str, tuple[Callable[..., Property], type]] = {
    "robust": (robust, int),
    "targeted": (targeted, int),
    "top-k": (top_k, int),
    "moves": (moves_at_most, float),
    "abstains": (abstains, float),
}
"""Properties by name, and what the number behind "=" is."""
_COMPARED = {ast.LtE: operator.le, ast.Lt: operator.lt, ast.GtE: operator.ge, ast.Gt: operator.gt}


def property_of(text: str) -> Property:
    """Return a property: "moves=.1", "top-k=3", "targeted=7", "robust", "abstains=.2", or inequalities of forms.

    Inequalities stand in parentheses where & or | joins them; abs(…) is a modulus, as in "abs(Y0 - S0) <= 0.1".

    Raises:
        ValueError: for a text that is none, in one line.

    >>> property_of("moves=1/4")
    Moves(delta=0.25, place=None)
    """
    name, equals, number = (part.strip() for part in text.partition("="))
    if PLUGGED.fullmatch(name):
        return _added(name, number if equals else None)
    if name in BY_NAME and (equals or name == "robust"):
        make, kind = BY_NAME[name]
        try:
            value = fraction(number) if equals else None
        except ValueError:
            value = math.nan
        whole = kind is int and value is not None
        if value is not None and (not math.isfinite(value) or (whole and not value.is_integer())):
            expected = "a whole number" if whole else "a number"
            raise ValueError(f"property: got {text[:60]!r}, expected {expected} behind {name}=")
        return make() if value is None else make(int(value) if whole else value)
    try:
        return _property(_tree(text), text, 0)
    except (RecursionError, TypeError):
        raise _no_property(text) from None


PLUGGED = re.compile(r"[\w.-]{1,100}:[\w.-]{1,100}")
"""The name of a property that another package adds."""


def _added(name: str, number: str | None) -> Property:
    """Return what another package adds under a name, of the number behind "=" if there is one."""
    value = None if number is None else fraction(number)
    if value is not None and not math.isfinite(value):
        raise ValueError(f"property: got {name}={number}"[:100] + f", expected a number behind {name}=")
    found = plugged("properties", name).made(*([] if value is None else [value]))
    if not isinstance(found, Property):
        raise ValueError(f"property: {name} is {type(found).__name__}, expected what makes a spikecert Property")
    return found


def _property(node: ast.expr, text: str, depth: int) -> Property:
    if depth > DEEPEST:
        raise _no_property(text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
        one, other = _property(node.left, text, depth + 1), _property(node.right, text, depth + 1)
        return one & other if isinstance(node.op, ast.BitAnd) else one | other
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARED:
        compare, left = _COMPARED[type(node.ops[0])], node.left
        right = _form(node.comparators[0], text, depth + 1)
        if isinstance(left, ast.Call) and ast.unparse(left.func) == "abs" and len(left.args) == 1:
            if not _is_number(right):
                raise _no_property(text)
            return compare(abs(_form(left.args[0], text, depth + 1)), right.constant)
        return compare(_form(left, text, depth + 1), right)
    raise _no_property(text)


def _no_property(text: str) -> ValueError:
    expected = 'robust, moves=.1, top-k=3, targeted=7, abstains=.2, or inequalities such as "Y0 - 2*Y1 <= 0.3"'
    return ValueError(f"property: got {text[:60]!r}, expected {expected}")


SAYINGS = {
    "robust": "the class of the sample's own outputs keeps the greatest output, alone",
    "moves": "no output moves by more than {} from the sample's own",
    "top-k": "the class of the sample's own outputs stays among the {} greatest",
    "targeted": "no input is taken for class {}",
    "abstains": "no other class than that of the sample's own outputs leads all others by {}",
}
LEGEND = {"Y": "Y outputs", "X": "X inputs", "S": "S the sample's own outputs"}


def in_words(text: str) -> str:
    """Return what a property asks for, as a clause.

    Raises:
        ValueError: for a text that is no property.

    >>> in_words("moves=.1")
    "no output moves by more than .1 from the sample's own"
    >>> in_words("Y0 - S0 <= 1")
    "Y0 - S0 <= 1 (Y outputs, S the sample's own outputs)"
    """
    property_of(text)
    name, equals, number = (part.strip() for part in text.partition("="))
    if PLUGGED.fullmatch(name):
        return f"{text.strip()}, a property of the package {name.partition(':')[0]}"
    if equals and name == "robust":
        return f"class {number} keeps the greatest output, alone"
    if name in BY_NAME and (equals or name == "robust"):
        return SAYINGS[name].format(number)
    told = ", ".join(meaning for letter, meaning in LEGEND.items() if letter in text)
    return f"{' '.join(text.split())} ({told})"
