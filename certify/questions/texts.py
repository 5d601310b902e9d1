"""Forms as text, for the command line: "Y0 - 2*Y1 + 0.1*X3", Y outputs, X inputs, S the sample's own outputs.

Python's parser reads the text; of its tree only numbers, names, sums and products with numbers are known here, and
nothing is run.
"""

import ast
import re

from .forms import Form, as_form, inputs, output, sample

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
