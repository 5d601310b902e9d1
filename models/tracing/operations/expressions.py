"""Which values of a graph are equal bit by bit: those that the same operations make of the same values."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from ..tracing import digest, name_of
from .arithmetic import SAME

NOTHING, ONE = "nothing", "one"
"""Names of zeros and of ones."""
ZEROS = ("zeros", "zeros_like", "new_zeros")
"""What makes zeros."""
PAIRS, WITH_ZERO = ("gt", "ge", "lt", "le", "threshold"), ("heaviside", "sign", "sgn")
"""What compares two values, or one with 0."""
Told = Callable[[object], str]
"""Names what enters an operation."""


class EqualValues:
    """Names of what nodes compute, asked for in the graph's order; two of one name are equal bit by bit."""

    def __init__(self, graph: GraphModule) -> None:
        self._graph, self._of, self._place = graph, dict[Node, str](), dict[Node, int]()
        self._names = dict[str, str]()

    def note(self, node: Node) -> None:
        """Name what a node computes."""
        self._place[node] = len(self._place)
        self._of[node] = self._name(node, self.name_of)

    def settle(self, node: Node) -> None:
        """Name what a comparison gives that never holds."""
        self._of[node] = NOTHING

    def _name(self, node: Node, told: Told) -> str:
        """Return the name of what a node computes, of values that are `told`."""
        if node.op == "get_attr":
            return self._of_held(str(node.target))
        if node.op != "call_function":
            return self._named(node.name)
        return _simpler(node, told) or self._named(f"{node.target} {map_arg((node.args, node.kwargs), told)}")

    def _named(self, text: str) -> str:
        return self._names.setdefault(text, f"expression {len(self._names)}")

    def _of_held(self, target: str) -> str:
        """Return the name of a tensor of the graph: equal ones have one."""
        held = getattr(self._graph, target)
        if not isinstance(held, Tensor) or held.is_meta:
            return self._named(target)
        plain = NOTHING if not held.any() else ONE if bool((held == 1).all()) else None
        return plain or self._named(digest(held))

    def is_nothing(self, node: Node) -> bool:
        """Return whether a node takes a value away from itself."""
        return name_of(node) == "sub" and not node.kwargs and len({self.name_of(each) for each in node.args}) == 1

    def sides(self, node: Node) -> frozenset[str]:
        """Return the two expressions that a node compares, of a difference and 0 those it is of; or itself."""
        return frozenset(map(self.name_of, self.compared(node)))

    def sides_where(self, node: Node, fired: Node, holds: bool) -> frozenset[str]:
        """Return the two expressions that a node compares where an earlier comparison holds, or does not."""
        found = {fired: ONE if holds else NOTHING}

        def told(value: object) -> str:
            """Return the name of a value there."""
            if not isinstance(value, Node):
                return self.name_of(value)
            if value not in found:
                before = self._place[value] < self._place[fired]
                found[value] = self._of[value] if before else self._name(value, told)
            return found[value]

        return frozenset(map(told, self.compared(node)))

    def compared(self, node: Node) -> tuple[Any, ...]:
        """Return the two values that a node compares, of a difference and 0 those it is of; or itself."""
        name = name_of(node)
        if name not in (*PAIRS, *WITH_ZERO):
            return (node,)
        one, other = node.args[:2] if name in PAIRS else (node.args[0], 0)
        while isinstance(one, Node) and name_of(one) in SAME:
            one = one.args[0]
        if self.name_of(other) == NOTHING and isinstance(one, Node) and name_of(one) == "sub" and not one.kwargs:
            one, other = one.args[:2]
        return one, other

    def compares_alike(self, node: Node) -> bool:
        """Return whether both sides of a comparison are equal, bit by bit; not known of what is read ahead."""
        return node in self._of and name_of(node) in PAIRS and len(self.sides(node)) == 1

    def name_of(self, value: object) -> str:
        """Return the name of a node's value, or of a constant."""
        if isinstance(value, Node):
            return self._of[value]
        return NOTHING if value in (0, 0.0) else ONE if value in (1, 1.0) else repr(value)


def _simpler(node: Node, told: Told) -> str | None:
    """Return the name of what a node leaves as it is, or of nothing where that is left; None of others."""
    name, values = name_of(node), [told(each) for each in node.args]
    if name in SAME and isinstance(node.args[0], Node):
        return values[0]
    if name in ZEROS:
        return NOTHING
    if name == "_to_copy" and values[0] in (NOTHING, ONE):
        return values[0]
    if node.kwargs:
        return None
    if name == "mul" and {NOTHING, ONE} & {*values}:
        return NOTHING if NOTHING in values else values[values[0] == ONE]
    if name in ("add", "sub") and len(values) == 2 and NOTHING in values[name == "sub" :]:
        return values[values[1] != NOTHING]
    if name == "rsub" and values[0] == NOTHING:
        return values[1]
    if name == "div" and values[1] == ONE:
        return values[0]
    if name in ("logical_not", "bitwise_not") and values[0] in (NOTHING, ONE):
        return ONE if values[0] == NOTHING else NOTHING
    if name == "where" and values[0] in (NOTHING, ONE):
        return values[1 + (values[0] == NOTHING)]
    return values[0] if name == "masked_fill" and values[1] == NOTHING else None
