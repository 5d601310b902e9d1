"""The closed set of nodes that a network is made of, each made of earlier ones by their index.

One way to read a circuit: an algebra says what each kind of node means to a reader, and refuses the others.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from ...files.errors import SpikecertError
from ..deadline import check_time
from ..elements.layers import MaxWindows
from ..elements.synapses import TemporalFilter
from ..linear_maps import LinearMap
from ..linear_maps.averaging import WholeInputMap
from ..rules import LEAKY, DeclaredRule, Rule
from ..running.encoding import RateDraws
from ..source import OWN, SourceBox


@dataclass(frozen=True, eq=False)
class Node:
    """One operation.

    Attributes:
        kind: the name of the method by which a reader answers for it.
        name: the path of the module that it stands for, as in the network's state dict.
        sources: the indices of the nodes that it reads.
    """

    kind: ClassVar[str] = ""

    name: str
    sources: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Input(Node):
    """The encoded input: the same at each step ("direct"), over time ("none"), or spikes of `draws` ("rate")."""

    kind: ClassVar[str] = "input"

    encoding: str
    draws: RateDraws | None = None


@dataclass(frozen=True, eq=False)
class Mapped(Node):
    """An affine map of one signal."""

    kind: ClassVar[str] = "mapped"

    map: LinearMap


@dataclass(frozen=True, eq=False)
class Pooled(Node):
    """The greatest entry of each window of one signal, step by step."""

    kind: ClassVar[str] = "pooled"

    windows: MaxWindows


@dataclass(frozen=True, eq=False)
class Filtered(Node):
    """One signal, filtered over time."""

    kind: ClassVar[str] = "filtered"

    filter: TemporalFilter


@dataclass(frozen=True, eq=False)
class Chosen(Node):
    """At step t the t-th of T signals: what layers of their own at each step make of one."""

    kind: ClassVar[str] = "chosen"


@dataclass(frozen=True, eq=False)
class Added(Node):
    """The sum of two signals."""

    kind: ClassVar[str] = "added"


@dataclass(frozen=True, eq=False)
class Fired(Node):
    """The spikes of a layer under a current. `layer` is for gradients: what is proved goes by `rule` alone."""

    kind: ClassVar[str] = "fired"

    rule: Rule
    layer: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class Recurred(Node):
    """The spikes of a layer under a current and a map of its own spikes of one step before; see `recurrent.py`.

    Attributes:
        rule: of c[t] = x[t] + (V·s[t−1] + b), s[0] = 0, or of what `filter` makes of c.
        feedback: V and b.
        filter: of c over time; None for none.
        layer: for gradients.
    """

    kind: ClassVar[str] = "recurred"

    rule: Rule
    feedback: LinearMap
    filter: TemporalFilter | None
    layer: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class Read(Node):
    """The logits.

    Attributes:
        readout: see `models.readouts`; "potential", "summed" and, with a rule, "largest" are of the potentials of
            neurons that never fire, under a current.
        rule, layer: of those neurons; None for the other readouts.
    """

    kind: ClassVar[str] = "read"

    readout: str
    rule: Rule | None = None
    layer: Any = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Circuit:
    """A network as a flat graph. The first node is its `Input`, the last its `Read`.

    Attributes:
        nodes: in an order in which each comes behind what it reads: that of execution.
        num_steps: T.
        dtype, device: of the run.
        exact: nodes that are known not to round in this dtype: what they give is what float64 would give.
        allowance: what the source of a converted network may stray by.
    """

    nodes: tuple[Node, ...]
    num_steps: int
    dtype: torch.dtype
    device: torch.device
    exact: frozenset[Node] = frozenset()
    allowance: SourceBox = OWN

    @property
    def source(self) -> Input:
        """Return the first node."""
        first = self.nodes[0]
        assert isinstance(first, Input)
        return first

    @property
    def read(self) -> Read:
        """Return the last node."""
        last = self.nodes[-1]
        assert isinstance(last, Read)
        return last

    @property
    def last(self) -> Node:
        """Return the node that the readout reads."""
        return self.nodes[self.read.sources[0]]

    @property
    def timed(self) -> bool:
        """Return whether inputs have an axis of time, (batch, T, ...)."""
        return self.source.encoding == "none"

    @property
    def maps(self) -> tuple[LinearMap, ...]:
        """Return all affine maps, in order, those of feedbacks included."""
        found = (node for node in self.nodes if isinstance(node, Mapped | Recurred))
        return tuple(node.map if isinstance(node, Mapped) else node.feedback for node in found)

    @property
    def fired(self) -> tuple[Fired | Recurred, ...]:
        """Return the layers that fire, in order."""
        return tuple(node for node in self.nodes if isinstance(node, Fired | Recurred))

    @property
    def spiking(self) -> tuple[Fired | Recurred | Read, ...]:
        """Return the layers with a rule, in order: those that fire, and the one whose potential is read."""
        found = (node for node in self.nodes if isinstance(node, Fired | Recurred | Read))
        return tuple(node for node in found if node.rule is not None)

    @property
    def whole(self) -> bool:
        """Return whether every signal of a run is of whole numbers: see `lowering.py`, which has checked it."""
        return any(node.rule is not None and node.rule.whole for node in self.spiking) or any(
            isinstance(each, WholeInputMap) for each in self.maps
        )

    @property
    def adds(self) -> bool:
        """Return whether there is a residual sum."""
        return any(isinstance(node, Added) for node in self.nodes)

    @property
    def pools(self) -> bool:
        """Return whether there is a max pool."""
        return any(isinstance(node, Pooled) for node in self.nodes)

    @property
    def filters(self) -> bool:
        """Return whether there is a synapse, a delay, or a layer of its own at each step."""
        return any(isinstance(node, Filtered | Chosen) for node in self.nodes)

    @property
    def recurs(self) -> bool:
        """Return whether a layer hears its own spikes."""
        return any(isinstance(node, Recurred) for node in self.nodes)

    def arranged(self, inputs: Tensor) -> Tensor:
        """Return inputs (batch, ...) with time first: (T, batch, ...), or (1, batch, ...) where it is no axis."""
        return inputs.transpose(0, 1) if self.timed else inputs.unsqueeze(0)

    def rearranged(self, signal: Tensor) -> Tensor:
        """Return inputs (batch, ...) of what `arranged` returns."""
        return signal.transpose(0, 1) if self.timed else signal.squeeze(0)


Value = TypeVar("Value")


class UnknownNode(SpikecertError, TypeError):
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
