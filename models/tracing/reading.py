"""Read a graph over polynomials of spikes: each comparison of graded signals is a firing, its spike new.

What a firing compares with 0 gets a name where spikes stand in it (`Excess`), and the values at hand are written
by it: a membrane at step t is one of step t − 1, its spike and a current, however many steps there were before.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise, takewhile
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves

from ..conversion.refusal import ConversionRefused
from .followed import BATCH, FEATURE, TIME, FollowedSignal, settled
from .operations import arithmetic, mapping, moving
from .operations.calls import TracedCall, runs_always, understood
from .operations.expressions import EqualValues
from .polynomials import (
    ONE,
    UNIT,
    ZERO,
    Bent,
    Coefficient,
    Excess,
    Graded,
    Image,
    KeptSum,
    ModuleInput,
    Polynomial,
    Shortening,
    Uncancelled,
    above,
    entries_of,
    exact,
    parted,
    pivot_of,
    tensor_of,
    unfolded,
)
from .tracing import BATCHES, name_of
from .watching import frames_of, line_of

PLAIN = 1 << 10
"""Numbers that are no multiples of 1/PLAIN, and nearer than that, are not told apart."""
FAR = 1 << 29
"""A threshold above this is one that a sum of spikes may never reach."""
ENDINGS = ("_softmax", "_log_softmax", "softmax", "log_softmax", "argmax")
"""What ends a network without a change of its class."""
SATURATED = ("tanh", "sigmoid", "relu")
"""What rises with each output by itself, or stays: of some numbers, large or small ones, it makes one."""
ALIKE = 1 << 18
"""By so small a share of its largest number may a constant differ that torch sums in another order."""
LONG = 24
"""Of how many terms a sum may be without a name."""
AGAIN = (
    "compares what {} does, computed in another way, and rounding may tell the two apart; expected one comparison"
)
"""A refusal."""
FAILS = "may fail on some inputs, which makes it a branch on values; leave it out"
"""A refusal."""
COMPARISONS = ("gt", "ge", "lt", "le", "heaviside")
"""What fires."""


@dataclass(frozen=True, eq=False)
class Firing:
    """One comparison of a graded signal with 0, at one step.

    Attributes:
        excess: what is compared, v − θ.
        strict: whether it must be above 0.
        node, step: where the graph has it, and `turned`, whether it has 1 − s there.
        laid: the axes of that value.
        features: their sizes.
        frames: the lines of code that it comes from.
        place: the innermost of the user's.
        gate: 1 where it is silent all the same, as while a rest is counted down; of earlier spikes.
        besides: earlier firings where which fired it does not.
        counts: whether it compares a whole number, without a half.
        names: by which values at hand are written, of sums of what `excess` is of; () where they are short.
    """

    excess: Polynomial
    strict: bool
    node: Node
    step: int
    turned: bool
    laid: FollowedSignal
    frames: tuple[tuple[str, int], ...]
    place: str
    gate: Polynomial = Polynomial({})  # noqa: RUF009 (it never changes)
    besides: frozenset[int] = frozenset()
    counts: bool = False
    names: Shortening = ()

    @property
    def epsilon(self) -> Fraction:
        """Return the ε of the type that is compared, the least of several."""
        kinds = [each.meta["val"].dtype for each in self.node.all_input_nodes]
        return min(Fraction(torch.finfo(kind).eps) if kind.is_floating_point else Fraction(0) for kind in kinds)

    @property
    def named(self) -> bool:
        """Return whether values are written by its excess."""
        return bool(self.excess.spikes) or any(isinstance(each, Excess | KeptSum) for each in self.excess.signals)


@dataclass(frozen=True)
class Settled:
    """A comparison that is decided by exact numbers; its source's rounding must not say otherwise.

    Attributes:
        node: of the graph.
        least: the smallest modulus of what is compared, or of what is between it and an earlier firing.
        firing, fires: a state of an earlier one, in which it is decided; None for any.
        further: whether it is further from its threshold than that one.
    """

    node: Node
    least: Fraction
    firing: int | None = None
    fires: bool = False
    further: bool = False


@dataclass(frozen=True)
class Rereading:
    """What is read besides, where a first reading misses steps of a layer.

    Attributes:
        unused: comparisons that the output does not depend on, where others of the same line are read, as of the
            last step of a layer whose spikes are late.
        counts: the lines whose comparisons of spikes are read even where one spike decides them, as of a mask of
            what has fired, which begins with one spike.
        entrywise: lines whose batch norms are factors and constants of channels, as potentials go through them.
        before: whether the output is what its last functions are of, where they only keep the order.
        names: whether long sums that neurons keep besides a potential get names.
        exact: whether a graph says equations, of no run that rounds.
    """

    unused: bool = False
    counts: frozenset[tuple[tuple[str, int], ...]] = frozenset()
    entrywise: frozenset[tuple[tuple[str, int], ...]] = frozenset()
    before: bool = False
    names: bool = False
    exact: bool = False


@dataclass(frozen=True)
class GraphReading:
    """What a graph computes.

    Attributes:
        firings: in their order.
        silent: comparisons of what is constant, as of a potential that nothing has reached yet.
        output: the module's, without an ending that keeps the class.
        node: the node of that.
        notes: of what was left out.
        largest: whether the module returns its maximum over time.
        timed: whether its input has an axis of time.
        how: what was read besides.
        left_out: how many first steps of a maximum are left out, as they are what the next one is.
        settled: comparisons that are no firings.
        rested: whether rests were followed that are counted down, see `rests/resting.py`.
    """

    firings: tuple[Firing, ...]
    silent: tuple[Firing, ...]
    output: FollowedSignal
    node: Node
    notes: tuple[str, ...]
    largest: bool = False
    timed: bool = False
    how: Rereading = Rereading()
    left_out: int = 0
    settled: tuple[Settled, ...] = ()
    rested: bool = False

    def same_as(self, other: "GraphReading") -> bool:
        """Return whether two are the same function."""
        pairs = zip(self.firings, other.firings, strict=False)
        return (
            len(self.firings) == len(other.firings)
            and all(
                (one.excess, one.strict, one.gate, one.names) == (two.excess, two.strict, two.gate, two.names)
                for one, two in pairs
            )
            and len(self.output.steps) == len(other.output.steps)
            and all(map(_is_alike, self.output.steps, other.output.steps))
            and self.output.features == other.output.features
        )

    def apart(self, other: "GraphReading") -> float:
        """Return by how much the constants of two outputs differ that are the same function but for these."""
        pairs = zip(self.output.steps, other.output.steps, strict=True)
        return max((float((one - two).size) for one, two in pairs), default=0.0)


def _is_alike(one: Polynomial, other: Polynomial) -> bool:
    """Return whether signals are one, but for how sums of constants round in batches of two sizes."""
    if one == other:
        return True
    apart = one - other
    limit = max(one.size, other.size) / ALIKE
    return not apart.rest.terms and all(abs(number) <= limit for number in entries_of(apart.constant))


def read(
    graph: GraphModule, timed: bool, place: int, how: Rereading = Rereading(), reader: "type[Reader] | None" = None
) -> GraphReading:
    """Return what a graph computes of its input, (batch, ...) or, `timed`, (batch, T, ...).

    Args:
        graph: of one run, without in-place operations.
        timed: whether the input has an axis of time.
        place: of the output among all that the module returns.
        how: what is read besides.
        reader: how to read; None for what follows no rests.

    Raises:
        ConversionRefused: with the user's line, for what is no part of a spiking network.
    """
    output, notes = _ending(graph, place, how.before)
    output, axis = _maximum(output)
    try:
        return (reader or Reader)(graph, timed, output, how).reading(notes, axis)
    except mapping.PotentialNormalized as error:
        return read(graph, timed, place, replace(how, entrywise=how.entrywise | {error.frames}), reader)


def _maximum(output: Node) -> tuple[Node, int | None]:
    """Return what an output is a maximum of, and over which axis; the output and None where it is none."""
    node: Any = output
    if name_of(node) == "" and node.args[1:] == (0,) and name_of(node.args[0]) == "max":
        node = node.args[0]
    if name_of(node) not in ("amax", "max") or len(node.args) < 2:
        return output, None
    axes = node.args[1] if isinstance(node.args[1], list) else [node.args[1]]
    return (node.args[0], axes[0]) if len(axes) == 1 else (output, None)


def _ending(graph: GraphModule, place: int, before: bool) -> tuple[Node, tuple[str, ...]]:
    """Return the node of one output in front of a softmax or the like, and a note of that.

    With `before`, in front of f of `SATURATED`, too: as y_k ≥ y_c gives f(y_k) ≥ f(y_c), but for rounding, the
    greatest y_k is among the greatest f(y_k).
    """
    outputs: Any = next(node for node in graph.graph.nodes if node.op == "output").args[0]
    node, notes = outputs[place], []
    passed = (*arithmetic.SAME, *ENDINGS, *(SATURATED if before else ()))
    while name_of(node) in passed or (name_of(node) == "_to_copy" and notes):
        name = name_of(node).strip("_")
        if name_of(node) in ENDINGS:
            dim, axes = node.args[1] if len(node.args) > 1 else None, node.args[0].meta["val"].dim()
            if dim not in (-1, axes - 1):
                raise ConversionRefused(
                    f"{line_of(node)}: {name_of(node)}: is over axis {dim}, expected the last one"
                )
            apart = "" if name == "argmax" else " where outputs are 1e-6 apart"
            notes.append(f"{line_of(node)}: {name} at the end was left out: the class is the same{apart}")
        elif name in SATURATED:
            told = "asked are the numbers before it, of which it may make equal ones"
            notes.append(f"{line_of(node)}: {name} at the end was left out, by choice: {told}")
        node = node.args[0]
    if name_of(node) in SATURATED:
        told = (
            "at the end makes some outputs equal, and the first of them the class; return what it is of, or ask "
        )
        raise ConversionRefused(f"{line_of(node)}: {name_of(node)}: {told}about that by ending='before'")
    return node, tuple(notes)


class Reader:
    """Holds what nodes are, those that are needed still."""

    def __init__(self, graph: GraphModule, timed: bool, output: Node, how: Rereading) -> None:
        self.graph, self.timed, self.output, self.how = graph, timed, output, how
        self.counts, self.entrywise = how.counts, how.entrywise
        self.live, self.last = needed(graph, {output})
        if how.unused:
            self.live, self.last = needed(graph, {output, *_like_those(graph, self.live)})
        self.values: dict[Node, Any] = {}
        self.firings: list[Firing] = []
        self.silent: list[Firing] = []
        self.known: dict[tuple[Polynomial, bool], int] = {}
        self.same = EqualValues(graph)
        self.settled: list[Settled] = []
        self.kept = 0
        self.batch = self.given = 0

    def reading(self, notes: tuple[str, ...], largest: int | None) -> GraphReading:
        """Return what the graph computes."""
        made = set[Node]()
        for node in self.graph.graph.nodes:
            self.same.note(node)
            if node.op == "placeholder" or not made.isdisjoint(node.all_input_nodes):
                made.add(node)
                if node.op == "call_function" and not runs_always(node) and node not in self.live:
                    raise ConversionRefused(f"{line_of(node)}: {name_of(node)}: {FAILS}")
            if node in self.live:
                if node not in self.values:
                    self.values[node] = self._value(node)
                    if name_of(node) in COMPARISONS[:4] and _is_nothing(self.values[node]):
                        self.same.settle(node)
                for used in self.last.get(node, ()):
                    self.values.pop(used)
        output = self.values[self.output]
        if not isinstance(output, FollowedSignal):
            raise ConversionRefused("output: depends on no input")
        if not output.plain:
            raise ConversionRefused(
                "output: has samples and features in one axis, or steps times constants of each"
            )
        output = output.with_steps([unfolded(step) for step in output.steps])
        for step in output.steps:
            _check_unbent(step)
        left_out = 0
        if largest is not None and self.timed:  # more than those of the input: a record that begins with zeros
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairwise(output.steps)))
            left_out = min(same, max(0, len(output.steps) - self.given))
        output = output.with_steps(list(output.steps[left_out:]))
        if largest is not None and output.axes[largest % len(output.axes)] != TIME:
            raise ConversionRefused(f"{line_of(self.output)}: is behind a maximum that is not over time")
        if notes and largest is None and TIME in settled(output)[0]:
            raise ConversionRefused(f"{notes[0]}; not so at each step: expected it behind the mean over time")
        return GraphReading(
            tuple(self.firings),
            tuple(self.silent),
            output,
            self.output,
            notes,
            largest is not None,
            self.timed,
            self.how,
            left_out,
            tuple(self.settled),
        )

    def _value(self, node: Node) -> Any:
        if node.op == "placeholder":
            return self._given(tuple(node.meta["val"].shape))
        if node.op == "get_attr":
            return getattr(self.graph, str(node.target))
        look = partial(map_arg, fn=lambda used: self.values[used])
        args, kwargs = look(node.args), look(node.kwargs)
        if name_of(node) == "":
            found = node.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]
            if found is None:
                told = "is read for what it gives besides signals (places of maxima are no signal)"
                raise ConversionRefused(f"{line_of(node)}: {name_of(node.all_input_nodes[0])}: {told}")
            return found
        leaves = tree_leaves((args, kwargs))
        if any(isinstance(leaf, FollowedSignal) for leaf in leaves):
            self._check_written(node, leaves)
            found = understood(TracedCall(node, args, kwargs, self.batch, self._fired, self.entrywise))
            return found.with_steps([Polynomial({})] * len(found.steps)) if self.same.is_nothing(node) else found
        with torch.no_grad():
            found = node.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]
        if self.batch >= BATCHES[1][0] and _tells_apart(name_of(node), args, found, self.batch):
            raise ConversionRefused(
                f"{line_of(node)}: {name_of(node)}: tells samples apart by their places in the batch"
            )
        watched = self.timed or frames_of(node) in self.counts
        if watched and name_of(node) in COMPARISONS[:4]:
            self._unreached(node, args)
        return _unwritten(found) if "empty" in name_of(node) else found

    def _given(self, shape: tuple[int, ...]) -> FollowedSignal:
        self.batch = shape[0]
        if not self.timed:
            features = shape[1:]
            return FollowedSignal(
                (BATCH, *[FEATURE] * len(features)), (Polynomial.graded(ModuleInput(None)),), features
            )
        self.given = shape[1]
        steps = tuple(Polynomial.graded(ModuleInput(step)) for step in range(shape[1]))
        return FollowedSignal((BATCH, TIME, *[FEATURE] * len(shape[2:])), steps, shape[2:])

    def _unreached(self, node: Node, args: tuple[Any, ...]) -> None:
        """Keep a comparison that no input has reached yet, of all samples alike: inputs' steps tell it apart."""
        name, numbers = name_of(node), [tensor_of(each).double() for each in args]
        difference = (numbers[0] - numbers[1]) * (1 if name[0] == "g" else -1)
        rows = difference if difference.dim() > 1 and len(difference) == self.batch else difference.reshape(-1, 1)
        if not rows.numel() or not bool((rows == rows[0]).all() & rows[0].isfinite().all()):
            return
        excess, strict = Polynomial.of(exact(rows[0], torch.float64)), name in ("gt", "lt")
        if frames_of(node) in self.counts and self._is_count(excess):
            excess = halved(excess, strict)
        features = tuple(rows.shape[1:]) if rows is difference else ()
        laid = FollowedSignal((BATCH, *[FEATURE] * len(features)), (excess,), features)
        self.silent.append(Firing(excess, strict, node, 0, False, laid, frames_of(node), line_of(node)))

    def _check_written(self, node: Node, leaves: list[Any]) -> None:
        """Raise where memory is read that was not written to."""
        if name_of(node) in ("select_scatter", "select", *arithmetic.SAME):
            return
        for leaf in leaves[1:] if name_of(node) == "copy" else leaves:
            if isinstance(leaf, FollowedSignal) and any(step == moving.UNSET for step in leaf.steps):
                raise ConversionRefused(f"{line_of(node)}: reads a buffer that is filled in part")

    def _fired(self, call: TracedCall, excess: FollowedSignal, strict: bool) -> FollowedSignal:
        """Return the spikes of what is compared with 0, each step."""
        return excess.with_steps([self._spike(call, excess, step, strict) for step in range(len(excess.steps))])

    def _spike(self, call: TracedCall, laid: FollowedSignal, step: int, strict: bool) -> Polynomial:
        excess = laid.steps[step]
        _check_unbent(excess)
        counts = frames_of(call.node) in self.counts and self._is_count(excess)
        if counts:  # a whole number is above 0 where it is above 1/2
            excess = halved(excess, strict)
            laid = laid.with_steps([excess if place == step else each for place, each in enumerate(laid.steps)])
        one = len(excess.spikes) <= 1 or excess.exclusive
        if not excess.signals and one and not (counts and excess.spikes):
            if not excess.spikes:
                places = frames_of(call.node), line_of(call.node)
                self.silent.append(Firing(excess, strict, call.node, step, False, laid, *places))
            return arithmetic.mapped(excess, lambda value: self._above(call, value, strict))
        if not counts and (settled_by := self._settled(call, excess, strict)) is not None:
            return settled_by
        if not any(number > -FAR for number in entries_of(excess.constant)):
            most = most_of(excess.rest)
            if most is not None and most * 2 < FAR:
                self.settled.append(Settled(call.node, Fraction(FAR, 2)))
                return Polynomial({})
        turned = self._known(excess * Fraction(-1), not strict)
        found = self._known(excess, strict)
        self._check_alike(call.node, turned if found is None else found)
        if found is None and turned is None:
            own = excess.rest.terms.items()
            parts = (number for (spikes, graded), number in own if counts or (graded and not spikes))
            flips = sum(entries_of(number)[0] for number in parts) < 0 and entries_of(excess.constant)[0] >= 0
            found = self._new(call, laid, step, strict, flips, counts)
            found, turned = (None, found) if flips else (found, None)
        return self._fires(found) if found is not None else arithmetic.negated(self._fires(turned))  # pyright: ignore

    def _check_alike(self, node: Node, number: int | None) -> None:
        """Raise where what an earlier firing compares is computed in another way, which may round otherwise."""
        if number is None or self.how.exact:
            return
        if self.same.sides(node) != self.same.sides(self.firings[number].node):
            raise ConversionRefused(
                f"{line_of(node)}: {name_of(node)}: {AGAIN.format(self.firings[number].place)}"
            )

    def _fires(self, number: int) -> Polynomial:
        """Return where a comparison holds, by the number of its firing."""
        return Polynomial.spike(number)

    def _settled(self, call: TracedCall, excess: Polynomial, strict: bool) -> Polynomial | None:
        """Return what a comparison gives that an earlier spike decides, as of a potential that it has reset."""
        for spike in sorted(excess.spikes, reverse=True)[:1]:
            parts = [
                (excess.where(spike, state), self._decided(call, excess.where(spike, state), strict, spike, state))
                for state in (False, True)
            ]
            if all(value is not None for _, value in parts):
                quiet, fires = (Polynomial.of(value) for _, value in parts)  # pyright: ignore[reportArgumentType]
                return quiet + (fires - quiet) * Polynomial.spike(spike)
        return None

    def _decided(
        self, call: TracedCall, excess: Polynomial, strict: bool, spike: int, state: bool
    ) -> Coefficient | None:
        """Return where an excess is above 0 while a spike is there, or is not; None where that does not say."""
        if not excess.rest.terms:
            return self._above(call, excess.constant, strict, spike, state)
        if self._known(excess, strict) == spike and self._is_as_before(call.node, self.firings[spike], state):
            return Fraction(int(state))
        apart = (excess - each for each in (self.firings[spike].excess, Polynomial.graded(Excess(spike))))
        by = next((each.constant for each in apart if not each.rest.terms), ZERO)
        least = min(number if state else -number for number in entries_of(by))
        if least * PLAIN < 1:  # by less perhaps another order of a sum says otherwise
            return None
        self.settled.append(Settled(call.node, least, spike, state, further=True))
        return Fraction(int(state))

    def _above(
        self, call: TracedCall, value: Coefficient, strict: bool, spike: int | None = None, state: bool = False
    ) -> Coefficient:
        """Return where numbers are above 0, to be held against what the source rounds."""
        for number in entries_of(value):
            plain = PLAIN % number.denominator == 0 and abs(number) < PLAIN
            if not plain and abs(number) < Fraction(1, PLAIN):
                call.refuse(f"compares numbers that differ by {float(number):g} only, which rounding decides")
        if (least := min(map(abs, entries_of(value)))) or not self.same.compares_alike(call.node):
            self.settled.append(Settled(call.node, least, spike, state))
        return above(value, strict)

    def _is_as_before(self, node: Node, firing: Firing, state: bool) -> bool:
        """Return whether a node compares what a firing does, bit by bit, where its spike is there or not."""
        if self.how.exact or name_of(firing.node) == "threshold":
            return self.how.exact
        sides = self.same.sides_where(node, firing.node, state != firing.turned)
        return sides == self.same.sides(firing.node)

    def _is_count(self, signal: Polynomial) -> bool:
        """Return whether a signal is a whole number of spikes, or of what was one before half was taken away."""
        half, whole = Fraction(0), True
        for (_, graded), number in signal.terms.items():
            known = graded is None or (isinstance(graded, Excess) and self.firings[graded.firing].counts)
            whole = whole and known and isinstance(number, Fraction)
            if whole and graded is not None:
                half += number * Fraction(1 if self.firings[graded.firing].strict else -1, 2)  # pyright: ignore
        rest = (number for term, number in signal.terms.items() if term != ONE)
        numbers = [signal.constant - half if whole else half, *rest]
        return whole and all(isinstance(each, Fraction) and each.denominator == 1 for each in numbers)

    def _known(self, excess: Polynomial, strict: bool) -> int | None:
        return self.known.get((excess, strict))

    def _new(
        self, call: TracedCall, laid: FollowedSignal, step: int, strict: bool, turned: bool, counts: bool
    ) -> int:
        """Add a firing, and write the values at hand by its excess where that has a name."""
        number, excess = len(self.firings), laid.steps[step]
        excess, strict = (excess * Fraction(-1), not strict) if turned else (excess, strict)
        node = call.node
        firing = Firing(excess, strict, node, step, turned, laid, frames_of(node), line_of(node), counts=counts)
        self.firings.append(firing)
        self.known[excess, strict] = number
        if self.firings[-1].named:
            name = Polynomial.graded(Excess(number))
            self.known[name, strict] = number
            for place, value in self.values.items():
                if counts and place not in node.all_input_nodes:
                    continue  # of counts each spike by itself is a signal, too
                if isinstance(value, FollowedSignal) and len(value.steps) == 1:
                    self.values[place] = value.with_steps([by_name(value.steps[0], excess, name)])
            if self.how.names and not counts:
                self.firings[number] = replace(firing, names=self._shortened(excess, Excess(number)))
        return number

    def _shortened(self, excess: Polynomial, compared: Excess) -> Shortening:
        """Write what hears the same as a firing by names of sums, once one of them is long, and return these.

        They are what a neuron keeps besides its potential: of names, the next step is a sum of a few terms.
        """
        own = {
            place: value.steps[0]
            for place, value in self.values.items()
            if isinstance(value, FollowedSignal)
            and len(value.steps) == 1
            and _is_kept(value.steps[0], excess, compared)
        }
        if not any(len(each.terms) > LONG or _is_named(each) for each in own.values()):
            return ()
        name, pivot = Polynomial.graded(compared), pivot_of(excess)
        if pivot is None:
            return ()
        names = [(pivot, excess, name)]
        for place, signal in own.items():
            whole = signal + (excess - name) * signal.coefficient(compared)
            by, rest = parted(whole, names)
            long = len(rest.terms) > 1 and (_is_named(rest) or len(rest.terms) > LONG // 3)
            if long and (pivot := pivot_of(rest)) is not None:
                kept = Polynomial.graded(KeptSum(self.kept, whole))
                names.append((pivot, rest, kept - by))
                self.kept, rest = self.kept + 1, kept - by
            self.values[place] = self.values[place].with_steps([by + rest])
        return tuple(names)


def _is_nothing(found: Any) -> bool:
    """Return whether what a comparison gives is 0 always."""
    if isinstance(found, FollowedSignal):
        return not any(step.terms for step in found.steps)
    return isinstance(found, Tensor) and not bool(found.any())


def _is_kept(signal: Polynomial, excess: Polynomial, compared: Excess) -> bool:
    """Return whether a signal is a sum of what a firing hears of before: of names, or of several spikes."""
    if any(isinstance(each, Bent) for each in signal.signals):
        return False
    held = {each for each in signal.signals if isinstance(each, Excess | KeptSum)}
    whole = not signal.signals and all(
        each.denominator == 1 for number in signal.terms.values() for each in entries_of(number)
    )
    return not whole and (
        not held.isdisjoint((compared, *excess.signals)) or len(signal.spikes & excess.spikes) > 1
    )


def _is_named(signal: Polynomial) -> bool:
    return any(isinstance(each, KeptSum) for each in signal.signals)


def by_name(signal: Polynomial, excess: Polynomial, name: Polynomial) -> Polynomial:
    """Return a signal written by the name of an excess, where it is that but for a factor, a constant and spikes.

    What is returned is the signal, whatever it is: factor · name + (signal − factor · excess).
    """
    own, term = excess.rest, next(iter(excess.rest.terms))
    if term not in signal.terms or not all(entries_of(own.terms[term])):
        return signal
    factor = signal.terms[term] / own.terms[term]
    left = signal - excess * factor
    return signal if left.rest.terms and (factor != UNIT or left.signals) else name * factor + left


def halved(count: Polynomial, strict: bool) -> Polynomial:
    """Return what is above 0 just where a whole number is, or is 0 at least: that number and a half."""
    return count - Polynomial.of(Fraction(1 if strict else -1, 2))


def most_of(signal: Polynomial) -> Fraction | None:
    """Return what a sum of what dense layers make of spikes is at most, without its sign; None for others."""
    total = Fraction(0)
    for (_, graded), number in signal.terms.items():
        most = Fraction(1) if graded is None else _most_of_image(graded)
        if most is None:
            return None
        total += most * max(map(abs, entries_of(number)))
    return total


def _most_of_image(graded: Graded) -> Fraction | None:
    """Return the same of what a layer makes of spikes."""
    inner = most_of(graded.signal) if isinstance(graded, Image) else None
    if inner is None or not isinstance(graded, Image):
        return None
    weights = graded.map.weights
    return None if weights is None else inner * weights[0] + weights[1]


def _check_unbent(signal: Polynomial) -> None:
    """Raise where a signal is made of what only cancels."""
    for each in signal.signals:
        if isinstance(each, Bent):
            raise Uncancelled(each.why)
        if isinstance(each, Image):
            _check_unbent(each.signal)


def _unwritten(found: Any) -> Any:
    """Return memory that nobody wrote to as what no constant may be."""
    if not isinstance(found, Tensor) or not found.is_floating_point():
        raise ConversionRefused("module: makes memory of whole numbers without values in it; expected zeros")
    return found.fill_(torch.nan)


def _tells_apart(name: str, args: Any, found: Any, batch: int) -> bool:
    """Return whether a constant is made for some samples of a batch, of a size that nothing else is of."""
    if name in ("arange", "linspace", "eye"):
        return batch in found.shape
    if name not in ("slice", "select"):
        return False
    dim = args[1] if len(args) > 1 else 0
    return args[0].shape[dim] == batch and found.numel() < args[0].numel()


def _like_those(graph: GraphModule, live: set[Node]) -> list[Node]:
    """Return the comparisons that are made by the same lines as some that are needed."""
    known = {(frames_of(node), node.target) for node in live if name_of(node) in COMPARISONS}
    return [node for node in graph.graph.nodes if (frames_of(node), node.target) in known]


def needed(graph: GraphModule, outputs: set[Node]) -> tuple[set[Node], dict[Node, list[Node]]]:
    """Return the nodes that outputs are made of, and at each of them those that are used for the last time."""
    live, last, seen = set(outputs), {}, set(outputs)
    for node in reversed(graph.graph.nodes):
        if node not in live:
            continue
        live.update(node.all_input_nodes)
        for used in node.all_input_nodes:
            if used not in seen:
                seen.add(used)
                last.setdefault(node, []).append(used)
    return live, last
