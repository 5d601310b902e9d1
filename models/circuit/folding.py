"""One way to read a circuit: an algebra says what each kind of node means to a reader, and refuses the others."""

from typing import Any, ClassVar, Generic, TypeVar

from ..deadline import check_time
from ..rules import LEAKY, DeclaredRule
from .nodes import Circuit, Fired, Input, Node, Read, Recurred

Value = TypeVar("Value")


class UnknownNode(TypeError):
    """A reader met a node, a rule or an encoding that it does not know; the message names both."""


class Algebra(Generic[Value]):
    """What nodes mean to one reader: a method a kind.

    The kinds are `input`, `mapped`, `pooled`, `filtered`, `chosen`, `added`, `fired`, `recurred` and `read`. A
    method takes the node and the values of what it reads. A kind without a method, and a rule or an encoding that
    is not listed, is refused.

    Attributes:
        reader: how messages name the reader.
        answers: what rules it answers for (`models.rules`): those with no other ones.
        declared: whether it answers for every other rule, too, that declares its automaton.
        loops: whether it does so of layers that hear themselves; of these all others know `Leaky` alone.
        encodings: those of inputs. Whoever does not list a latency code refuses it: verifiers and attacks read the
            events that it makes (`certify.latency_codes`).
    """

    reader: ClassVar[str]
    answers: ClassVar[frozenset[str]] = frozenset({LEAKY})
    declared: ClassVar[bool] = False
    loops: ClassVar[bool] = False
    encodings: ClassVar[tuple[str, ...]] = ("direct", "none", "rate")

    def refuse(self, node: Node, what: str) -> UnknownNode:
        """Return the refusal of a node, in one line."""
        return UnknownNode(f"network: {node.name or 'the network'} is {what}, which {self.reader} does not know")


def fold(circuit: Circuit, algebra: Algebra[Value], until: int | None = None) -> list[Value]:
    """Return what each node of a circuit means to the reader of `algebra`, in order.

    Args:
        circuit: the network.
        algebra: of the reader.
        until: of how many nodes, the first ones; None for all. All must be known anyway.

    Raises:
        UnknownNode: for what the reader does not know.
    """
    for node in circuit.nodes:
        check_known(node, algebra)
    values: list[Value] = []
    for node in circuit.nodes[:until]:
        check_time()
        values.append(_method(node, algebra)(node, *(values[index] for index in node.sources)))
    return values


def check_known(node: Node, algebra: Algebra[Any]) -> None:
    """Raise UnknownNode unless the reader of `algebra` answers for a node's kind, rule and encoding."""
    _method(node, algebra)
    rule = node.rule if isinstance(node, Fired | Recurred | Read) else None
    looped = isinstance(node, Recurred)
    automaton = isinstance(rule, DeclaredRule) and (
        algebra.loops if looped else algebra.declared and isinstance(node, Fired)
    )
    lacking = (
        frozenset() if rule is None or automaton else rule.features - ({LEAKY} if looped else algebra.answers)
    )
    if lacking:
        layer = type(node.layer).__name__ if isinstance(node, Fired | Recurred | Read) else ""
        raise algebra.refuse(node, f"a {layer} of {' and '.join(sorted(lacking))}")
    if isinstance(node, Input) and node.encoding not in algebra.encodings:
        raise algebra.refuse(node, f"an input of encoding {node.encoding!r}")


def _method(node: Node, algebra: Algebra[Value]) -> Any:
    method = getattr(algebra, node.kind, None) if node.kind else None
    if method is None:
        raise algebra.refuse(node, f"a node of type {type(node).__name__}")
    return method
