"""A whole network over the input set of one sample, as a program whose points are the network's runs.

What a layer knows of its currents and spikes (`Signal`) goes along with the expressions: it gives the ends that
make the program tight, and the rounding that makes it hold for the run in the network's own dtype.

A max pool in a program: y_i = max of the entries x_j of window i.

    spikes:     y_i ≥ x_j,   y_i ≤ Σ_j x_j           an OR: y is 0 or 1 where the spikes are
    currents:   y_i ≥ x_j,   y_i ≤ x_j + (h_i − l_j)(1 − z_j),   Σ_j z_j = 1,   z_j ∈ {0, 1}

with [l_j, h_j] the ends of x_j and h_i the greatest of its window's. Entries that lie below another's lower end in
every run are left out. The run's maximum strays from y no farther than the farthest entry from its expression: see
models/elements/layers.py.

What a readout makes of the last signal of a program.

    sums over time    Σ_t row[t]·x[t]
    "largest"         max_t z[t], a max pool over time of such sums
    "first"           −τ = −(1 + Σ_t q[t]),  q[t] = Π_{k≤t} (1 − s[k]):
                      q[t] ≤ q[t−1],  q[t] ≤ 1 − s[t],  q[t] ≥ q[t−1] − s[t],  so that q is 0 or 1 where s is

How far the run may be: as its last signal, by the weights, and by the arithmetic of readouts (certify/rounding);
a maximum strays no farther than what it is of, and −τ is exact.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, singledispatch
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ...files.errors import SpikecertError
from ...models.circuit import Algebra, Circuit, fold, nodes
from ...models.linear_neuron import LinearNeuron, leaking, linear, resting
from ...models.rules import FEATURES, WHOLE, Leaky, Rule, plain
from ..bounds.automata.paths import PathTrains, looping_spikes, path_trains
from ..bounds.propagation import input_signal, integrating_slack, logit_steps, readout_rows
from ..bounds.signals.affine import affine_map
from ..bounds.signals.derived import ChosenSignal, FilteredSignal, JoinedSignal, PooledSignal, SharedSignal, chosen
from ..bounds.signals.signals import AffineSignal, Signal, SpikeBound, SumSignal
from ..bounds.signals.windows import Box
from ..bounds.trains.recurrent import looped, rate_trains
from ..bounds.trains.resting import refractory_spikes, separable
from ..bounds.trains.train_graph import GraphTrains
from ..bounds.trains.train_table import TableTrains
from ..bounds.trains.trains import window_spikes
from ..rounding import Rounding, over_time, reading_slack, sum_slack
from .program import (
    Closing,
    EncodedLayer,
    Expressions,
    LayerEncoding,
    Model,
    Program,
    array,
    input_steps,
    rate_steps,
    stacked,
    step_spikes,
    table_spikes,
    weighted,
)
from .states import state_spikes


@dataclass(frozen=True)
class WindowPairs:
    """Which entries each window holds, pair by pair.

    Attributes:
        outputs, entries: of each pair, (P,).
        count: of windows.
    """

    outputs: np.ndarray
    entries: np.ndarray
    count: int

    @staticmethod
    def of(places: Tensor, features: int) -> "WindowPairs":
        """Return the windows of `MaxWindows.places` for signals with so many entries."""
        table = array(places.flatten(0, -2)).astype(int)
        outputs, columns = np.nonzero(table < features)
        return WindowPairs(outputs, table[outputs, columns], len(table))

    def greatest(self, values: np.ndarray) -> np.ndarray:
        """Return the greatest value of each window, (count,)."""
        found = np.full(self.count, -np.inf)
        np.maximum.at(found, self.outputs, values[self.entries])
        return found

    def kept(self, lower: np.ndarray, upper: np.ndarray) -> "WindowPairs":
        """Return the windows without the entries that are below another one for certain."""
        open_ = upper[self.entries] >= self.greatest(lower)[self.outputs]
        return WindowPairs(self.outputs[open_], self.entries[open_], self.count)

    def sums(self, terms: Expressions) -> Expressions:
        """Return the sum over each window of what stands for its pairs, (count,)."""
        pairs = np.arange(len(self.outputs))
        shape = (self.count, len(pairs))
        return terms.image(sparse.csr_array((np.ones(len(pairs)), (self.outputs, pairs)), shape=shape), 0.0)


@dataclass(frozen=True)
class PooledEntries:
    """What a max pool of one step reads.

    Attributes:
        values: x, (n,).
        lower, upper: ends of x in every run, and of its expressions, (n,).
        windows: of x.
    """

    values: Expressions
    lower: np.ndarray
    upper: np.ndarray
    windows: WindowPairs

    def largest(self, program: Program, closing: Closing, spikes: bool) -> Expressions:
        """Add the maximum of each window: an OR where the values are spikes."""
        windows = self.windows.kept(self.lower, self.upper)
        low, high = windows.greatest(self.lower), windows.greatest(self.upper)
        slack = closing.slack(np.zeros(len(windows.outputs)))
        found, taken = program.variables(low, high), self.values.taken(windows.entries)
        above = found.taken(windows.outputs) - taken
        program.constrain(above, lower=-slack)
        if spikes:
            program.constrain(found - windows.sums(taken), upper=closing.slack(np.zeros(windows.count)))
            return found
        reach = high[windows.outputs] - self.lower[windows.entries]
        chosen = program.binaries(len(windows.outputs))
        program.constrain(above + chosen.scaled(reach), upper=reach + slack)
        program.constrain(windows.sums(chosen), 1.0, 1.0)
        return found


@dataclass(frozen=True)
class LastSignal:
    """What a readout reads: what is known of it, its expressions over time, how far the run may be from these."""

    signal: Signal
    steps: tuple[Expressions, ...]
    slack: np.ndarray


def read_logits(
    program: Program, circuit: Circuit, last: LastSignal, closing: Closing
) -> tuple[Expressions, np.ndarray]:
    """Return the logits, and how far the run's may be from them, (classes,) each."""
    if circuit.read.readout == "first":
        return _first(program, last), np.zeros_like(last.slack)
    rounding = Rounding.of(circuit)
    rows = readout_rows(circuit, last.signal.magnitude().double())
    box = logit_steps(last.signal, rows, rounding)
    own = reading_slack(box.magnitude, rounding)
    if circuit.read.rule is not None:
        own = own + integrating_slack(last.signal, rows, rounding)
    slack = last.slack * array(rows.abs().sum(1))[:, None] + array(own.flatten(1))
    steps = [weighted(last.steps, array(row)) for row in rows]
    if len(steps) == 1:
        return steps[0], slack[0]
    wider = closing.slack(slack)
    ends = array(box.lower.flatten(1)) - wider, array(box.upper.flatten(1)) + wider
    return _largest(program, steps, ends, closing), slack.max(0)


def _largest(
    program: Program, steps: list[Expressions], ends: tuple[np.ndarray, np.ndarray], closing: Closing
) -> Expressions:
    """Return the maximum over time of each class, given both ends of each step's expressions, (T, classes)."""
    entries, classes = np.arange(ends[0].size), ends[0].shape[1]
    windows = WindowPairs(entries % classes, entries, classes)
    return PooledEntries(stacked(steps), ends[0].ravel(), ends[1].ravel(), windows).largest(
        program, closing, False
    )


def _first(program: Program, last: LastSignal) -> Expressions:
    """Add q[t], step by step, and return −τ."""
    nothing = np.zeros_like(last.slack)
    silent = total = ones = Expressions.fixed(nothing + 1.0)
    for t in range(last.signal.num_steps):
        spike = last.steps[t % len(last.steps)]
        before, silent = silent, program.variables(nothing, nothing + 1.0)
        program.constrain(before - silent, lower=0.0)
        program.constrain(ones - spike - silent, lower=0.0)
        program.constrain(silent + spike - before, lower=0.0)
        total = total + silent
    return total.scaled(-1.0)


MOST_ENTRIES = 2**26
"""The greatest size of an affine layer as a dense matrix."""

AT_ONCE = 2**22
"""Numbers of such a matrix that are made at once: 32 MiB."""

MOST_TERMS = 2**25
"""The most terms of one layer's expressions over all steps: .5 GiB, and several times as much in a solver."""


class EncodingError(SpikecertError, ValueError):
    """A network can't be written as a program, for a reason of one line."""


@singledispatch
def _written(spikes: Signal, program: Program, layer: EncodedLayer, closing: Closing) -> tuple[Expressions, ...]:
    """Encode the trains of a layer."""
    raise EncodingError(f"layer: got {type(spikes).__name__}, which no program is written for")


_written.register(TableTrains, table_spikes)
_written.register(GraphTrains, step_spikes)
_written.register(PathTrains, state_spikes)


def tight_spikes(program: Program, layer: EncodedLayer, closing: Closing) -> tuple[Expressions, ...]:
    """Encode by the table where the current is constant, step by step elsewhere."""
    return _written(layer.spikes, program, layer, closing)


@dataclass(frozen=True)
class Layers:
    """How spiking layers are written.

    Attributes:
        bound: what is known of their spikes.
        spikes: what writes them.
    """

    bound: SpikeBound
    spikes: LayerEncoding


TIGHT = Layers(window_spikes, tight_spikes)
"""F1's rows as ordered binaries, or proven ends of every potential."""


@dataclass(frozen=True)
class Encoding:
    """A program and what its variables mean.

    Attributes:
        model: without costs.
        inputs: the network's input, one entry per step where inputs have an axis of time, else one.
        logits: (classes,).
        slack: how far the run's logits may be from `logits`, (classes,).
    """

    model: Model
    inputs: tuple[Expressions, ...]
    logits: Expressions
    slack: np.ndarray

    def point(self, solution: np.ndarray, like: Tensor) -> Tensor:
        """Return the input of a solution, with the shape and dtype of one sample `like`."""
        return (
            torch.from_numpy(np.stack([entry.at(solution) for entry in self.inputs])).to(like).reshape(like.shape)
        )


def encode(circuit: Circuit, inputs: Box, closing: Closing, layers: Layers = TIGHT) -> Encoding:
    """Return the program of `circuit` over the input set of one sample, a batch of one.

    Of an ℓ2 ball only the box is written down, with the ball's ends of each first current: a greater set.

    Raises:
        EncodingError: where a layer is too large.
        OverflowError: where the run may overflow its dtype.
    """
    program = Program()
    entries, flow = _input(program, circuit, inputs, closing)
    writer = _Writer(flow, program, layers.bound, layers.spikes, closing, Rounding.of(circuit))
    last = fold(circuit, writer)[-1]
    logits, slack = read_logits(program, circuit, LastSignal(last.signal, last.steps, last.slack), closing)
    return Encoding(program.model(), entries, logits, slack)


def _input(
    program: Program, circuit: Circuit, inputs: Box, closing: Closing
) -> "tuple[tuple[Expressions, ...], _Flow]":
    """Return the input as variables, and what enters the first layer."""
    draws = circuit.source.draws
    if draws is None:
        source = input_signal(circuit, inputs)
        entries = steps = input_steps(program, source)
    else:
        thresholds = draws.thresholds(circuit.num_steps, tuple(inputs.lower.shape[1:]))
        source = rate_trains(inputs, thresholds)
        values, steps = rate_steps(program, inputs, source, thresholds, closing)
        entries = (values,)
    return entries, _Flow(source, steps, np.zeros(source.box.lower[0, 0].numel()))


@dataclass(frozen=True)
class _Flow:
    """A signal: what is known of it, its expressions step by step, and how far the run may be from them, (n,).

    Attributes:
        spikes: whether the expressions are 0 or 1 in every solution.
    """

    signal: Signal
    steps: tuple[Expressions, ...]
    slack: np.ndarray
    spikes: bool = False


@dataclass(frozen=True)
class _Writer(Algebra[_Flow]):
    reader: ClassVar[str] = "milp"
    answers: ClassVar[frozenset[str]] = frozenset(FEATURES) - {WHOLE}
    declared: ClassVar[bool] = True
    loops: ClassVar[bool] = True

    source: _Flow
    program: Program
    bound: SpikeBound
    spikes: LayerEncoding
    closing: Closing
    rounding: Rounding

    def input(self, node: nodes.Input) -> _Flow:
        """Return what enters the first layer."""
        return self.source

    def fired(self, node: nodes.Fired, flow: _Flow) -> _Flow:
        """Write a spiking layer."""
        rule = node.rule
        if plain(rule):
            return self._fired(rule, flow)
        written = _written_neuron(rule)
        if leaking(rule) and separable(written):
            return self._kinds(written, flow)
        if resting(written):
            return self._rested(written, flow)
        return self._stepped(written, flow, flow.signal, path_trains(flow.signal, written, self.rounding))

    def _fired(self, rule: Leaky, flow: _Flow) -> _Flow:
        """Write neurons of one kind."""
        found = self.bound(flow.signal, rule, self.rounding)
        layer = EncodedLayer(rule, flow.signal, found, flow.steps, flow.slack, self.rounding)
        spikes = self.spikes(self.program, layer, self.closing)
        return _Flow(found, spikes, np.zeros_like(flow.slack), spikes=True)

    def _rested(self, rule: LinearNeuron, flow: _Flow) -> _Flow:
        """Write neurons that rest, by their trains or step by step, whichever encoding others have."""
        found = refractory_spikes(flow.signal, rule, self.rounding)
        rest = {"rest": rule.rest, "start": rule.start}
        layer = EncodedLayer(rule.kinds[0], flow.signal, found, flow.steps, flow.slack, self.rounding, **rest)
        spikes = tight_spikes(self.program, layer, self.closing)
        return _Flow(found, spikes, np.zeros_like(flow.slack), spikes=True)

    def _stepped(self, rule: LinearNeuron, flow: _Flow, current: Signal, found: Signal, **heard: Any) -> _Flow:
        """Write neurons of further states and the like, step by step."""
        layer = EncodedLayer(rule, current, found, flow.steps, flow.slack, self.rounding, **heard)
        spikes = tight_spikes(self.program, layer, self.closing)
        return _Flow(found, spikes, np.zeros_like(flow.slack), spikes=rule.most == 1)

    def recurred(self, node: nodes.Recurred, flow: _Flow) -> _Flow:
        """Write a layer that hears itself, whose spikes are written in order of time."""
        if plain(node.rule):
            current, found = looped(flow.signal, node, self.bound, self.rounding)
        else:
            paths = partial(path_trains, rule=_written_neuron(node.rule), rounding=self.rounding)
            current, found = looping_spikes(flow.signal, node, paths, self.rounding)
        feedback, ones = affine_map(node.feedback), found.magnitude()
        shape = flow.signal.magnitude().shape[1:]
        weight = _matrix(feedback.linear, shape, ones)
        silent = feedback.linear(ones.new_zeros(1, *shape)) + feedback.bias
        own = feedback.slack(ones.clamp_min(1.0), self.rounding, over_time(found.num_steps)).expand_as(silent)
        summed = current.source if isinstance(current, FilteredSignal) else current
        own = own + sum_slack(summed.magnitude(), found.num_steps, self.rounding)
        slack, heard = flow.slack + array(own.flatten()), (weight, array(silent.flatten()))
        rows = None if node.filter is None else array(node.filter.rows(found.num_steps))
        if isinstance(current, FilteredSignal):
            slack = slack * current.filter.gain(found.num_steps) + array(current.slack.flatten())
        if not plain(node.rule):
            own = {"heard": heard, "filter": rows}
            strayed = _Flow(flow.signal, flow.steps, slack)
            return self._stepped(_written_neuron(node.rule), strayed, current, found, **own)
        layer = EncodedLayer(node.rule, current, found, flow.steps, slack, self.rounding, heard, rows)
        spikes = self.spikes(self.program, layer, self.closing)
        return _Flow(found, spikes, np.zeros_like(flow.slack), spikes=True)

    def _kinds(self, rule: LinearNeuron, flow: _Flow) -> _Flow:
        """Write neurons of several kinds, one kind after another."""
        features = flow.signal.magnitude().shape[1:]
        shared, places = SharedSignal(flow.signal), rule.places(tuple(features))
        parts = []
        for kind, place in zip(rule.kinds, places, strict=True):
            rows = place.numpy()
            steps = tuple(entry.taken(rows) for entry in flow.steps)
            known = chosen(shared, place, self.rounding)
            parts.append(self._fired(kind, _Flow(known, steps, flow.slack[rows])))
        found = JoinedSignal(tuple(part.signal for part in parts), places, features)
        return _Flow(found, _together(parts, places), np.zeros_like(flow.slack), spikes=True)

    def read(self, node: nodes.Read, flow: _Flow) -> _Flow:
        """Return what the readout reads."""
        return flow

    def mapped(self, node: nodes.Mapped, flow: _Flow) -> _Flow:
        """Return the image of the expressions, and what the run may add to it."""
        layer = affine_map(node.map)
        magnitude = flow.signal.magnitude()
        shape = magnitude.shape[1:]
        weight = _matrix(layer.linear, shape, magnitude)
        sample = layer.linear(torch.zeros_like(magnitude)) + layer.bias
        own = layer.slack(magnitude, self.rounding, over_time(flow.signal.num_steps))
        slack = abs(weight) @ flow.slack + array(own.expand_as(sample).flatten())
        _check_terms(weight.nnz * len(flow.steps))
        steps = tuple(entry.image(weight, array(sample.flatten())) for entry in flow.steps)
        signal = AffineSignal(flow.signal, layer, self.rounding)
        return _Flow(signal, steps, slack, flow.spikes and layer.reshapes)

    def pooled(self, node: nodes.Pooled, flow: _Flow) -> _Flow:
        """Write the maxima, step by step; rounding is no greater than the entries' own."""
        features = tuple(flow.signal.magnitude().shape[1:])
        windows = WindowPairs.of(node.windows.places(features), math.prod(features))
        box = flow.signal.steps()
        entries = [PooledEntries(x, *self._ends(box, t, flow.slack), windows) for t, x in enumerate(flow.steps)]
        steps = tuple(entry.largest(self.program, self.closing, flow.spikes) for entry in entries)
        signal = PooledSignal(flow.signal, node.windows, self.rounding)
        return _Flow(signal, steps, windows.greatest(flow.slack), flow.spikes)

    def _ends(self, box: Box, step: int, slack: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ends of a signal's expressions, as far from the run's as its slack and the closing say."""
        low, high = (array(end[step % len(end)].flatten()) for end in (box.lower, box.upper))
        wider = self.closing.slack(slack)
        return low - wider, high + wider

    def filtered(self, node: nodes.Filtered, flow: _Flow) -> _Flow:
        """Write H·x, step by step, and how far the run may be from it."""
        signal = FilteredSignal(flow.signal, node.filter, self.rounding)
        steps = tuple(weighted(flow.steps, array(row)) for row in node.filter.rows(signal.num_steps))
        slack = flow.slack * node.filter.gain(signal.num_steps) + array(signal.slack.flatten())
        return _Flow(signal, steps, slack, flow.spikes and node.filter.moves)

    def chosen(self, node: nodes.Chosen, *x: _Flow) -> _Flow:
        """Return the expressions of each step."""
        signal = ChosenSignal(tuple(flow.signal for flow in x), self.rounding)
        steps = tuple(flow.steps[t % len(flow.steps)] for t, flow in enumerate(x))
        return _Flow(signal, steps, np.maximum.reduce([flow.slack for flow in x]), all(flow.spikes for flow in x))

    def added(self, node: nodes.Added, branch: _Flow, shortcut: _Flow) -> _Flow:
        """Return the sum, step by step."""
        signal = SumSignal(branch.signal, shortcut.signal, self.rounding)
        count = max(len(branch.steps), len(shortcut.steps))
        steps = tuple(
            branch.steps[t % len(branch.steps)] + shortcut.steps[t % len(shortcut.steps)] for t in range(count)
        )
        own = array(sum_slack(signal.magnitude(), signal.num_steps, self.rounding).flatten())
        return _Flow(signal, steps, branch.slack + shortcut.slack + own)


def _written_neuron(rule: Rule) -> LinearNeuron:
    """Return a rule whose constants programs are written from.

    Raises:
        EncodingError: for any other.
    """
    if not linear(rule):
        told = " and ".join(sorted(rule.features))
        raise EncodingError(f"layer: got neurons of {told}, which have no program")
    return rule


def _together(parts: list[_Flow], places: tuple[Tensor, ...]) -> tuple[Expressions, ...]:
    """Return the expressions of all parts, each at its place, step by step."""
    size, steps = sum(map(len, places)), []
    for entries in zip(*(part.steps for part in parts), strict=True):
        total = Expressions.fixed(np.zeros(size))
        for entry, place in zip(entries, places, strict=True):
            rows = place.numpy()
            weight = sparse.csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(size, len(rows)))
            total = total + entry.image(weight, 0.0)
        steps.append(total)
    return tuple(steps)


def _matrix(linear: Callable[[Tensor], Tensor], shape: torch.Size, like: Tensor) -> sparse.csr_array:
    """Return the matrix of a linear layer: its columns are the images of the unit vectors."""
    size = shape.numel()
    outputs = linear(like.new_zeros(1, *shape)).numel()
    if size * max(size, outputs) > MOST_ENTRIES:
        raise EncodingError(f"layer: got {size} inputs and {outputs} outputs, too many to write as a program")
    parts = []
    for rows in torch.arange(size, device=like.device).split(max(1, AT_ONCE // max(size, outputs))):
        units = like.new_zeros(len(rows), size).scatter_(1, rows[:, None], 1.0)
        parts.append(sparse.csr_array(array(linear(units.view(-1, *shape)).flatten(1))))
    return sparse.csr_array(sparse.vstack(parts).T)


def _check_terms(count: int) -> None:
    """Refuse a layer whose expressions would take more than what is `MOST_TERMS`."""
    if count > MOST_TERMS:
        takes = f"about {16 * count / 2**30:.1f} GiB"
        raise EncodingError(f"layer: got {count} terms over all steps, {takes}, expected at most {MOST_TERMS}")
