"""Mutants made from syntax trees: small changes inside functions, each one at a time, put into running modules.

A term of a sum is left out, a comparison is turned, the ends of a pair change places, a whole number is one off,
and so on (`Mutator`). A mutant replaces the code of one function in place, so all who imported that have it; run
each in a process of its own (`fate`). What stands outside of functions is not changed, nor what only counts work
(`SKIPPED`).
"""

import ast
import copy
import importlib
import inspect
import os
import resource
import signal
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

SKIPPED = {"spend", "grant"}
"""Calls that only count work: test_work.py is about them."""
LIMIT = 60
"""CPU seconds of a mutant: one that takes longer does not end, and is as good as killed."""
TURNED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}  # fmt: skip
PAIRS = {"min": "max", "max": "min", "above": "below", "below": "above"}


@dataclass(frozen=True)
class SyntaxMutant:
    """A change of one function.

    Attributes:
        module, function: where it is, the function by its qualified name.
        line: of the source; what: the change, and what it makes of the piece of text that it changes.
        code: of the changed function.
    """

    module: str
    function: str
    line: int
    what: str
    code: types.CodeType

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.function}: {self.what}"

    def put(self) -> None:
        """Replace the function's code in this process."""
        module = importlib.import_module(self.module)
        _found(module, self.function).__code__ = self.code
        for known in vars(module).values():
            getattr(known, "cache_clear", lambda: None)()


def _found(module: types.ModuleType, name: str) -> Any:
    """Return a function of a module, below what wraps it."""
    place: Any = module
    for part in name.split("."):
        place = inspect.getattr_static(place, part)
        for inner in ("__func__", "fget", "func", "__wrapped__"):
            place = getattr(place, inner, place) if not isinstance(place, types.FunctionType) else place
        while hasattr(place, "__wrapped__"):
            place = place.__wrapped__
    return place


def mutants_of(name: str) -> Iterator[SyntaxMutant]:
    """Yield all mutants of a module."""
    module = importlib.import_module(name)
    path = Path(module.__file__ or "")
    tree = ast.parse(path.read_text())
    for function, node in _functions(tree, ""):
        for change in list(Mutator(node).changes()):
            kept = ast.dump(node)
            line, what, undo = change()
            fixed = ast.fix_missing_locations(copy.deepcopy(tree))
            undo()
            assert ast.dump(node) == kept, what
            yield SyntaxMutant(name, function, line, what, _code(compile(fixed, str(path), "exec"), function))


def _functions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")


def _code(module: types.CodeType, name: str) -> types.CodeType:
    found = module
    for part in name.split("."):
        found = next(c for c in found.co_consts if isinstance(c, types.CodeType) and c.co_name == part)
    return found


Undo = Callable[[], object]
Change = Callable[[], tuple[int, str, Undo]]


class Mutator:
    """Finds the changes of one function: each, once called, changes the tree, and gives what takes that back."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self.function = function

    def changes(self) -> Iterator[Change]:
        """Yield all changes."""
        for statement in self.function.body:
            yield from self._within(self.function, statement)

    def _within(self, parent: ast.AST, node: ast.AST) -> Iterator[Change]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Constant):
            called = getattr(node.value, "func", None)
            if called is None or getattr(called, "id", "") in SKIPPED:
                return
        if isinstance(node, ast.Raise):
            yield self._replace(parent, node, ast.Pass(), "no refusal")
            return
        for new, what in self._instead(node):
            yield self._replace(parent, node, new, what)
        annotation = getattr(node, "annotation", None)
        for child in ast.iter_child_nodes(node):
            if child is not annotation and not isinstance(child, ast.arguments | ast.JoinedStr):
                yield from self._within(node, child)

    def _instead(self, node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
        """Yield what may stand in the place of a node."""
        kind = getattr(self, f"_{type(node).__name__.lower()}", None)
        if kind is not None:
            yield from kind(node)

    def _binop(self, node: ast.BinOp) -> Iterator[tuple[ast.AST, str]]:
        if isinstance(node.op, ast.Add | ast.Sub):
            less = isinstance(node.op, ast.Sub)
            yield node.left, "without the second term"
            yield (ast.UnaryOp(ast.USub(), node.right) if less else node.right), "without the first term"
            yield ast.BinOp(node.left, ast.Add() if less else ast.Sub(), node.right), "the other sign"
        if isinstance(node.op, ast.RShift | ast.FloorDiv):
            turned = ast.BinOp(ast.UnaryOp(ast.USub(), node.left), node.op, node.right)
            yield ast.UnaryOp(ast.USub(), turned), "rounded the other way"
        if isinstance(node.op, ast.Mult):
            yield node.left, "without the second factor"
            yield node.right, "without the first factor"

    def _augassign(self, node: ast.AugAssign) -> Iterator[tuple[ast.AST, str]]:
        yield ast.Pass(), "nothing added"
        if isinstance(node.op, ast.Add | ast.Sub):
            turned = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield ast.AugAssign(node.target, turned, node.value), "the other sign"

    def _compare(self, node: ast.Compare) -> Iterator[tuple[ast.AST, str]]:
        for index, op in enumerate(node.ops):
            for new in TURNED[type(op)]:
                ops = [*node.ops[:index], new(), *node.ops[index + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators), "another comparison"

    def _boolop(self, node: ast.BoolOp) -> Iterator[tuple[ast.AST, str]]:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield ast.BoolOp(other, node.values), "and for or"
        for index in range(len(node.values)):
            rest = [*node.values[:index], *node.values[index + 1 :]]
            yield (ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0]), "without a condition"

    def _unaryop(self, node: ast.UnaryOp) -> Iterator[tuple[ast.AST, str]]:
        if isinstance(node.op, ast.USub | ast.Not) and not isinstance(node.operand, ast.Constant):
            yield node.operand, "not negated"

    def _call(self, node: ast.Call) -> Iterator[tuple[ast.AST, str]]:
        name = getattr(node.func, "id", "")
        if name in PAIRS:
            yield ast.Call(ast.Name(PAIRS[name], ast.Load()), node.args, node.keywords), "the other end"
        if name in ("min", "max"):
            for index in range(len(node.args) if len(node.args) > 1 else 0):
                rest = [*node.args[:index], *node.args[index + 1 :]]
                alone = len(rest) == 1 and not isinstance(rest[0], ast.Starred) and not node.keywords
                yield (rest[0] if alone else ast.Call(node.func, rest, node.keywords)), "without an argument"
        if name == "abs":
            yield node.args[0], "without abs"
        if name == "map" and getattr(node.args[0], "id", "") == "abs":
            yield node.args[1], "without abs"

    def _constant(self, node: ast.Constant) -> Iterator[tuple[ast.AST, str]]:
        if type(node.value) is int:
            yield ast.Constant(node.value + 1), "one more"
            yield ast.Constant(node.value - 1), "one less"
        if type(node.value) is bool:
            yield ast.Constant(not node.value), "the other way"

    def _tuple(self, node: ast.Tuple) -> Iterator[tuple[ast.AST, str]]:
        pair = len(node.elts) == 2 and isinstance(node.ctx, ast.Load)
        if (
            pair
            and not any(isinstance(x, ast.Starred) for x in node.elts)
            and len(set(map(ast.dump, node.elts))) > 1
        ):
            yield ast.Tuple(node.elts[::-1], node.ctx), "ends swapped"

    def _if(self, node: ast.If) -> Iterator[tuple[ast.AST, str]]:
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse), "if not"

    def _ifexp(self, node: ast.IfExp) -> Iterator[tuple[ast.AST, str]]:
        yield node.body, "always"
        yield node.orelse, "never"

    def _expr(self, node: ast.Expr) -> Iterator[tuple[ast.AST, str]]:
        if isinstance(node.value, ast.Call):
            yield ast.Pass(), "not called"

    def _continue(self, node: ast.Continue) -> Iterator[tuple[ast.AST, str]]:
        yield ast.Pass(), "not skipped"

    def _subscript(self, node: ast.Subscript) -> Iterator[tuple[ast.AST, str]]:
        if isinstance(node.slice, ast.Slice) and isinstance(node.slice.step, ast.UnaryOp):
            yield node.value, "not turned round"

    def _replace(self, parent: ast.AST, old: ast.AST, new: ast.AST, what: str) -> Change:
        """Return the change that puts a node in the place of another one."""

        def change() -> tuple[int, str, Undo]:
            line, text = getattr(old, "lineno", 0), f"{what}: {_text(old)} -> {_text(new)}"
            _put(parent, old, new)
            return line, text, partial(_put, parent, new, old)

        return change


def _put(parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
    """Put a child in the place of another one."""
    for name, value in ast.iter_fields(parent):
        if value is old:
            setattr(parent, name, new)
            return
        if isinstance(value, list) and any(each is old for each in value):
            value[next(i for i, each in enumerate(value) if each is old)] = new
            return
    raise AssertionError("a node that its parent has not")


def _text(node: ast.AST) -> str:
    told = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    return told if len(told) < 70 else f"{told[:66]} ..."


# ---- running -----------------------------------------------------------------------------------------------
def fate(mutant: SyntaxMutant | None, checks: Callable[[], object], limit: int = LIMIT) -> str:
    """Run checks with a mutant in a process of its own; return "killed", with why, or "survived"."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        told = "survived"
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if mutant is not None:
                mutant.put()
            checks()
        except BaseException as error:
            told = f"killed by {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        os.write(write, told.encode()[:2000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return told or f"killed by {signal.Signals(os.WTERMSIG(status)).name}: it does not end"
