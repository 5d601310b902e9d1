"""Changes of Python, from the syntax tree: each replaces the text of a node, and leaves the rest alone.

Documentation, annotations, messages of errors and format strings are no places: what they say decides nothing.
"""

import ast
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from .places import SLACKS, TIES, Change, Mutant, identifiers, mutant, opposite, words

BREAKS = re.compile(rb"(?<=\n)")
ATOMS = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant, ast.List, ast.Dict, ast.ListComp)
SIGNS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}
FACTORS = (ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.LShift, ast.RShift)
OUTWARD = words("up down outward widened above below rounded")
"""Words in names of functions that return their first argument rounded to one side."""
DROPPED = words(
    "abs abs_ relu clamp clamp_ clamp_min clamp_max clamp_min_ clamp_max_ floor ceil nextafter square sqrt mul_ "
    "flip masked_fill masked_fill_ cumsum cummin cummax roll nan_to_num neg"
)
"""Functions whose first argument may stand for what they return."""
ENDS = words("min max minimum maximum fmin fmax")


class Source:
    """The text of a file, and where its nodes are."""

    def __init__(self, text: bytes) -> None:
        self.text, self.names = text, identifiers(text)
        self.tree = ast.parse(text)
        self._lines = [0]
        for line in BREAKS.split(text):
            self._lines.append(self._lines[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the first byte of a node, and the one behind it."""
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._lines[node.lineno - 1] + node.col_offset
        return start, self._lines[node.end_lineno - 1] + node.end_col_offset

    def of(self, node: ast.AST) -> str:
        """Return the text of a node."""
        start, end = self.span(node)
        return self.text[start:end].decode()

    def whole(self, node: ast.AST) -> str:
        """Return the text of a node that may stand in place of any other expression."""
        return self.of(node) if isinstance(node, ATOMS) else f"({self.of(node)})"

    def instead(self, kind: str, node: ast.AST, new: str) -> Change:
        """Return a change of a node."""
        return Change(kind, *self.span(node), new)

    def between(self, kind: str, one: ast.AST, other: ast.AST, old: str, new: str) -> Iterator[Change]:
        """Yield a change of the operator between two nodes."""
        begin, end = self.span(one)[1], self.span(other)[0]
        pattern = r"\s+".join(map(re.escape, old.split()))
        found = re.search(pattern.encode(), self.text[begin:end])
        if found and b"#" not in self.text[begin : begin + found.start()]:
            yield Change(kind, begin + found.start(), begin + found.end(), new)


def operations(source: Source, node: ast.BinOp) -> Iterator[Change]:
    """Yield sums without a term or with another sign, and products without a factor."""
    if any(isinstance(side, ast.JoinedStr | ast.List | ast.Tuple) for side in (node.left, node.right)):
        return
    if isinstance(getattr(node.left, "value", getattr(node.right, "value", None)), str):
        return
    if (signs := SIGNS.get(type(node.op))) is not None:
        yield from source.between("other sign", node.left, node.right, *signs)
        kind = "term dropped" if isinstance(node.op, ast.Add | ast.Sub) else "condition dropped"
    elif isinstance(node.op, FACTORS):
        kind = "factor dropped"
    else:
        return
    yield source.instead(kind, node, source.whole(node.left))
    if isinstance(node.op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr):
        yield source.instead(kind, node, source.whole(node.right))


SYMBOLS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="} | {
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


def comparisons(source: Source, node: ast.Compare) -> Iterator[Change]:
    """Yield comparisons that take ties otherwise."""
    for (one, other), sign in zip(pairwise((node.left, *node.comparators)), node.ops, strict=True):
        symbol = SYMBOLS[type(sign)]
        yield from source.between("comparison turned", one, other, symbol, TIES[symbol])


def connections(source: Source, node: ast.BoolOp) -> Iterator[Change]:
    """Yield `or` for `and`, and conditions without one of their parts."""
    old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
    parts = [source.whole(value) for value in node.values]
    yield source.instead("and for or", node, f"({f' {new} '.join(parts)})")
    for i in range(len(parts)):
        yield source.instead("condition dropped", node, f"({f' {old} '.join(parts[:i] + parts[i + 1 :])})")


def opposites(source: Source, node: ast.UnaryOp) -> Iterator[Change]:
    """Yield what stands behind `not`, `~` or a minus."""
    if not isinstance(node.op, ast.UAdd):
        yield source.instead("sign dropped", node, source.whole(node.operand))


def constants(source: Source, node: ast.Constant) -> Iterator[Change]:
    """Yield numbers off by one or by a factor of 2, other truths, and names of other ends."""
    value = node.value
    if isinstance(value, bool):
        yield source.instead("other truth", node, str(not value))
    elif isinstance(value, int):
        yield source.instead("off by one", node, str(value + 1))
        if value > 0:
            yield source.instead("off by one", node, str(value - 1))
    elif isinstance(value, float):
        yield source.instead("other number", node, repr(value / 2 if value else 1.0))
        yield source.instead("other number", node, repr(value * 2 if value else -1.0))
    elif isinstance(value, str) and (other := opposite(value, source.names)) and source.of(node)[1:-1] == value:
        yield source.instead("other end", node, f'"{other}"')


def named(source: Source, node: ast.Name) -> Iterator[Change]:
    """Yield the name of the other end, and nothing in place of what pays for rounding."""
    if not isinstance(node.ctx, ast.Load):
        return
    if (other := opposite(node.id, source.names)) is not None:
        yield source.instead("other end", node, other)
    if SLACKS & set(node.id.split("_")):
        yield source.instead("slack forgotten", node, f"(0 * {node.id})")


def attributes(source: Source, node: ast.Attribute) -> Iterator[Change]:
    """Yield the attribute of the other end, and nothing in place of what pays for rounding."""
    end = source.span(node)[1]
    if isinstance(node.ctx, ast.Load) and (other := opposite(node.attr, source.names)) is not None:
        yield Change("other end", end - len(node.attr.encode()), end, other)
    if isinstance(node.ctx, ast.Load) and SLACKS & set(node.attr.split("_")):
        yield source.instead("slack forgotten", node, f"(0 * {source.of(node)})")


def calls(source: Source, node: ast.Call) -> Iterator[Change]:
    """Yield calls without what they add: a modulus, an end, a branch, a rounding; other ranges and orders."""
    function, given = node.func, node.args
    method = function.attr if isinstance(function, ast.Attribute) else ""
    name = method or (function.id if isinstance(function, ast.Name) else "")
    module = isinstance(function, ast.Attribute) and source.of(function.value) in ("torch", "np", "math", "numpy")
    if method in DROPPED | ENDS | {"where"} and not module:
        assert isinstance(function, ast.Attribute)
        yield source.instead("call dropped", node, source.whole(function.value))
    elif given and (name in DROPPED | ENDS or OUTWARD & set(name.split("_"))):
        yield source.instead("call dropped", node, source.whole(given[0]))
    if given and name in ENDS | {"where"} and (len(given) > 1 or (method and not module)):
        yield source.instead("call dropped", node, source.whole(given[-1]))
    if name == "where" and len(given) == 3:
        yield source.instead("call dropped", node, source.whole(given[1]))
    if name == "range" and not isinstance(given[-1], ast.Constant):
        yield source.instead("off by one", given[min(1, len(given) - 1)], f"{source.whole(given[-1])} - 1")
    if len(given) == 2 and name not in ENDS and not any(isinstance(each, ast.Starred) for each in given):
        new = f"{source.of(given[1])}, {source.of(given[0])}"
        yield Change("arguments swapped", source.span(given[0])[0], source.span(given[1])[1], new)


def keywords(source: Source, node: ast.keyword) -> Iterator[Change]:
    """Yield `max=` for `min=`, and other truths; `strict=True` of `zip` only says what holds."""
    if node.arg in ("min", "max"):
        start = source.span(node)[0]
        yield Change("other end", start, start + 3, "max" if node.arg == "min" else "min")
    if isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool) and node.arg != "strict":
        yield source.instead("other truth", node.value, str(not node.value.value))


def slices(source: Source, node: ast.Slice) -> Iterator[Change]:
    """Yield slices that start or end one place off."""
    for end in (node.lower, node.upper):
        if end is not None and not isinstance(end, ast.Constant | ast.UnaryOp):
            yield source.instead("off by one", end, f"{source.whole(end)} + 1")
            yield source.instead("off by one", end, f"{source.whole(end)} - 1")


def branches(source: Source, node: ast.If | ast.IfExp | ast.While) -> Iterator[Change]:
    """Yield what is done never, always, or in the other case; a guard that raises is left out."""
    guard = isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise)
    yield source.instead("guard dropped" if guard else "never", node.test, "False")
    if not guard and not isinstance(node, ast.While):
        yield source.instead("always", node.test, "True")
        if not isinstance(node.test, ast.UnaryOp | ast.Compare):
            yield source.instead("condition negated", node.test, f"not {source.whole(node.test)}")


def returns(source: Source, node: ast.Return) -> Iterator[Change]:
    """Yield truths that are certain, and nothing in place of a sum or a product."""
    if (value := node.value) is None:
        return
    is_method = (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in ("any", "all")
    )
    is_call = (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("any", "all", "bool")
    )
    if isinstance(value, ast.Compare | ast.BoolOp) or is_method or is_call:
        yield source.instead("always", value, "True")
        yield source.instead("never", value, "False")
    elif isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add | ast.Sub | ast.Mult):
        yield source.instead("slack forgotten", value, f"0 * {source.whole(value)}")


def filters(source: Source, node: ast.comprehension) -> Iterator[Change]:
    """Yield comprehensions that take all."""
    for condition in node.ifs:
        yield source.instead("always", condition, "True")


def statements(source: Source, node: ast.stmt) -> Iterator[Change]:
    """Yield nothing in place of a call whose value is not read, of an update, of `break` or `continue`."""
    if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call):
        yield source.instead("statement dropped", node, "pass")
    if isinstance(node, ast.AugAssign) and (signs := SIGNS.get(type(node.op))) is not None:
        yield from source.between("other sign", node.target, node.value, signs[0] + "=", signs[1] + "=")


RULES: dict[type[ast.AST], Callable[..., Iterator[Change]]] = {
    ast.BinOp: operations,
    ast.Compare: comparisons,
    ast.BoolOp: connections,
    ast.UnaryOp: opposites,
    ast.Constant: constants,
    ast.Name: named,
    ast.Attribute: attributes,
    ast.Call: calls,
    ast.keyword: keywords,
    ast.Slice: slices,
    ast.If: branches,
    ast.IfExp: branches,
    ast.While: branches,
    ast.Return: returns,
    ast.comprehension: filters,
    ast.Expr: statements,
    ast.AugAssign: statements,
    ast.Break: statements,
    ast.Continue: statements,
}
UNREAD = frozenset({"annotation", "returns", "decorator_list", "bases", "exc", "msg", "type"})
"""Fields of nodes that decide nothing."""


def python_mutants(file: str, text: bytes) -> list[Mutant]:
    """Return all mutants of a Python file, in the order of its tree; no two of them are the same text."""
    source = Source(text)
    found = (mutant(file, where, text, change) for where, change in _changes(source, source.tree, ()))
    unlike = {(each.change.start, each.change.end, each.change.new): each for each in found}
    return [each for each in unlike.values() if each.old != each.change.new]


def _changes(source: Source, node: ast.AST, path: tuple[str, ...]) -> Iterator[tuple[str, Change]]:
    """Yield the changes of a node and of what is below it, each with the function that holds it."""
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom) or is_text(node):
        return
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        path = (*path, node.name)
    rule = RULES.get(type(node))
    for change in rule(source, node) if rule is not None else ():
        yield ".".join(path), change
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and field not in UNREAD and not is_said(node, child):
                yield from _changes(source, child, path)


def is_said(node: ast.AST, child: ast.AST) -> bool:
    """Return whether a truth is a keyword's, which `keywords` changes."""
    return isinstance(node, ast.keyword) and isinstance(child, ast.Constant) and isinstance(child.value, bool)


def is_text(node: ast.AST) -> bool:
    """Return whether a statement is documentation, or the place of imports for type checkers."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
