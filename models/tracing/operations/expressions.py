"""Which values of a graph are equal bit by bit: those that the same operations make of the same values."""

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


class EqualValues:
    """Names of what nodes compute, asked for in the graph's order; two of one name are equal bit by bit."""

    def __init__(self, graph: GraphModule) -> None:
        self._graph, self._of = graph, dict[Node, str]()
        self._names = dict[str, str]()

    def note(self, node: Node) -> None:
        """Name what a node computes."""
        if node.op == "get_attr":
            name = self._of_held(str(node.target))
        elif node.op == "call_function":
            name = self._simpler(node) or self._named(
                f"{node.target} {map_arg((node.args, node.kwargs), lambda used: self._of[used])}"
            )
        else:
            name = self._named(node.name)
        self._of[node] = name

    def _named(self, text: str) -> str:
        return self._names.setdefault(text, f"expression {len(self._names)}")

    def _of_held(self, target: str) -> str:
        """Return the name of a tensor of the graph: equal ones have one."""
        held = getattr(self._graph, target)
        if not isinstance(held, Tensor) or held.is_meta:
            return self._named(target)
        plain = NOTHING if not held.any() else ONE if bool((held == 1).all()) else None
        return plain or self._named(digest(held))

    def _simpler(self, node: Node) -> str | None:
        """Return the name of what a node leaves as it is, or of nothing where that is left; None of others."""
        name, told = name_of(node), [self._told(each) for each in node.args]
        if name in SAME and isinstance(node.args[0], Node):
            return told[0]
        if name in ZEROS:
            return NOTHING
        if name == "mul" and {NOTHING, ONE} & {*told}:
            return NOTHING if NOTHING in told else told[told[0] == ONE]
        if (
            name in ("add", "sub")
            and not node.kwargs
            and (told[1] == NOTHING or (name, told[0]) == ("add", NOTHING))
        ):
            return told[told[1] != NOTHING]
        return None

    def is_nothing(self, node: Node) -> bool:
        """Return whether a node takes a value away from itself."""
        return name_of(node) == "sub" and not node.kwargs and len({self._told(each) for each in node.args}) == 1

    def sides(self, node: Node) -> frozenset[str]:
        """Return the two expressions that a node compares, of a difference and 0 those it is of; or itself."""
        return frozenset(map(self._told, self.compared(node)))

    def compared(self, node: Node) -> tuple[Any, ...]:
        """Return the two values that a node compares, of a difference and 0 those it is of; or itself."""
        name = name_of(node)
        if name not in (*PAIRS, *WITH_ZERO):
            return (node,)
        one, other = node.args[:2] if name in PAIRS else (node.args[0], 0)
        while isinstance(one, Node) and name_of(one) in SAME:
            one = one.args[0]
        if self._told(other) == NOTHING and isinstance(one, Node) and name_of(one) == "sub" and not one.kwargs:
            one, other = one.args[:2]
        return one, other

    def compares_alike(self, node: Node) -> bool:
        """Return whether both sides of a comparison are equal, bit by bit."""
        return name_of(node) in PAIRS and len(self.sides(node)) == 1

    def _told(self, value: object) -> str:
        if isinstance(value, Node):
            return self._of[value]
        return NOTHING if value in (0, 0.0) else ONE if value in (1, 1.0) else repr(value)
