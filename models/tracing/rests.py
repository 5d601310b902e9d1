"""Rests that are counted down: neurons that are silent for some steps behind each spike.

With e what is compared, and g where it is silent all the same, a spike is where v = (e + θ)·(1 − g) reaches θ > 0.
A neuron rests for R steps if v is 0 behind each spike of the last R, and another sum without these.

Rests that are counted down: neurons that are silent for some steps behind each spike.

What a comparison c of such a neuron says counts only where no rest has steps left, s = c·(1 − g) with g the sum of
the last spikes. Where such a product is made of a comparison, c is written as

    c = s + Σ_j w·s_j      for g = Σ_j s_j, of which one fires at most, and w = c,

which is so since c = c·(1 − g) + c·g. As s·s_j = 0 and s_j·s_k = 0 are known of these numbers (`ApartSpike`), each
polynomial that such a neuron makes is one of s again: (1 − g)·c is s, (1 − g)·(1 − c)·v is (1 − g − s)·v, and the
counters are sums of spikes of which one fires at most. Where a w is left, what the neuron would have fired while
it rests is read, and that is refused.

A potential that is 0 behind a spike before it is compared is silent there, too: the comparison never holds where
that spike is, by its own polynomial.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch.fx import Node

from ..conversion.refusal import ConversionRefused
from .followed import FollowedSignal
from .grouping import LayerFirings
from .operations import arithmetic
from .operations.calls import TracedCall
from .polynomials import UNIT, ZERO, ApartSpike, Image, Polynomial, above
from .reading import GraphReading, Reader
from .tracing import name_of


def ungated(layers: LayerFirings, firing: int, potential: Polynomial) -> Polynomial:
    """Return v for a potential e + θ, or by the name of that."""
    gate = layers.firings[firing].gate
    return potential * (Polynomial.of(UNIT) - gate) if gate.terms else potential


def awake(
    layers: LayerFirings, firings: tuple[int, ...], step: int, rest: int, potential: Polynomial
) -> Polynomial | None:
    """Return v of a step without the last spikes; None where it takes something in behind one of them.

    Args:
        layers, firings: the layers, and the firings of one of them.
        step: which of them it is.
        rest: R; 0 for neurons that do not rest.
        potential: e + θ.
    """
    whole = ungated(layers, firings[step], potential)
    resting, free = Polynomial({}), whole
    for each in firings[max(0, step - rest) : step]:
        resting, free = resting + layers.spike(each), free.where(each, False)
    masked = rest == 0 and whole != potential
    return free if not masked and whole == free * (Polynomial.of(UNIT) - resting) else None


WHOLE = Polynomial.of(UNIT)
THROUGH = (*arithmetic.SAME, "_to_copy")
"""What a comparison goes through unchanged."""


class ReadAtRest(ConversionRefused):
    """What a neuron would have fired while it rests is read."""


class RestingReader(Reader):
    """Reads a graph as `Reader`, and follows rests."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.fired: dict[int, Polynomial] = {}

    def reading(self, notes: tuple[str, ...], largest: int | None) -> GraphReading:
        """Return what the graph computes.

        Raises:
            ConversionRefused: as `Reader`, and where a spike that a rest suppresses is read.
        """
        found = super().reading(notes, largest)
        read = [*found.output.steps, *(firing.excess for firing in found.firings)]
        for spike in set().union(*map(_suppressed, read)):
            place = found.firings[-1 - spike].place
            raise ReadAtRest(f"{place}: is silent while it rests, and what it would have fired is read then")
        return replace(found, rested=True)

    def _fires(self, number: int) -> Polynomial:
        return self.fired.get(number, Polynomial.spike(number))

    def _new(
        self, call: TracedCall, laid: FollowedSignal, step: int, strict: bool, turned: bool, counts: bool
    ) -> int:
        """Add a firing, with the spikes that it never fires with."""
        number = super()._new(call, laid, step, strict, turned, counts)
        firing, excess = self.firings[number], self.firings[number].excess
        if turned or len(laid.steps) > 1:
            return number
        apart = {spike for spike in excess.spikes if self._silences(excess, spike, strict)}
        for gate, node in self._gates(call.node):
            gate = Polynomial({term: one for term, one in gate.terms.items() if not term[0] <= apart})
            if gate.terms:
                firing = replace(firing, gate=gate, node=node)
                break
        besides = frozenset(map(int, apart | firing.gate.spikes))
        if besides:
            self.firings[number] = replace(firing, besides=besides)
            suppressed = Polynomial.spike(-1 - number) * firing.gate
            self.fired[number] = Polynomial.spike(ApartSpike.of(number, besides)) + suppressed
        return number

    def _silences(self, excess: Polynomial, spike: int, strict: bool) -> bool:
        """Return whether a comparison does not hold where a spike is there, whatever else is."""
        left = excess.where(spike, True)
        return not left.rest.terms and above(left.constant, strict) == ZERO

    def _gates(self, node: Node) -> Iterator[tuple[Polynomial, Node]]:
        """Yield where a comparison is silenced by sums of earlier spikes, one of which fires at most."""
        for user, place in _users(node):
            name = name_of(user)
            if user not in self.live or user.meta["val"].shape != node.meta["val"].shape:
                continue
            mask: Any = None
            if name in ("mul", "logical_and", "bitwise_and"):
                mask = self._ahead(user.args[1 - place], node)
                mask = None if mask is None else WHOLE - mask
            elif name == "where" and place in (1, 2):
                other = user.args[3 - place]
                other = self._ahead(other, None) if isinstance(other, Node) else other
                mask = self._ahead(user.args[0], node) if _is_nothing(other) else None
                mask = mask if mask is None or place == 2 else WHOLE - mask
            elif name == "masked_fill" and place == 0 and _is_nothing(user.args[2]):
                mask = self._ahead(user.args[1], node)
            if mask is not None and is_rest(mask):
                yield mask, user

    def _ahead(self, node: Any, comparison: Node | None) -> Polynomial | None:
        """Return the one step of a value that is not read yet, if a comparison is no part of it."""
        if not isinstance(node, Node):
            return None
        ahead, wanted = [node], set[Node]()
        while ahead:
            each = ahead.pop()
            if each is comparison:
                return None
            if each not in self.values and each not in wanted:
                wanted.add(each)
                ahead += each.all_input_nodes
        for each in self.graph.graph.nodes if wanted else ():
            if each in wanted:
                self.values[each] = self._value(each)
        found = self.values[node]
        return found.steps[0] if isinstance(found, FollowedSignal) and len(found.steps) == 1 else None


def _users(node: Node) -> Iterator[tuple[Node, int]]:
    """Yield what reads a comparison, and as which argument."""
    for user in node.users:
        if name_of(user) in THROUGH:
            yield from _users(user)
        elif node in user.args:
            yield user, user.args.index(node)


def _is_nothing(value: Any) -> bool:
    """Return whether a value is 0."""
    return value == 0 if isinstance(value, int | float) else value == Polynomial({})


def is_rest(mask: Polynomial) -> bool:
    """Return whether a mask is a sum of spikes, one of which fires at most."""
    terms = mask.terms
    return (
        bool(terms) and mask.exclusive and all(spikes and number == UNIT for (spikes, _), number in terms.items())
    )


def _suppressed(signal: Polynomial) -> set[int]:
    """Return the spikes of a signal that a rest suppresses."""
    found = {spike for spike in signal.spikes if spike < 0}
    return found.union(*(_suppressed(each.signal) for each in signal.signals if isinstance(each, Image)))
