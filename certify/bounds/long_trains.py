"""F2 and F5 over hundreds of steps: labels by age, joined when old, and sums over windows by walks back.

After the graph of train_graph.py, let node k stand for 'the last spike was at k'. For an end t and weights w[1..t]
of its steps, let g[k] be the least Σ_{k<j≤t} w[j]·s[j] of all trains that have just fired at k. Such a train stays
silent up to t, where that is possible, or fires next at some j:

    g[k] = min(0 if silence may last from k to t, min {w[j] + g[j] : k < j ≤ t, k → j}),

exactly, since paths may go on anywhere their edges lead. The window (a, t] is asked of all trains, whatever their
last spike up to a was: the same with the edges of all nodes up to a joined,

    W[a] = min(0 if some silence lasts to t, min {w[j] + g[j] : a < j ≤ t, k → j for some k ≤ a}).

Where nodes are known for W steps only, and joined with all older ones behind that, a silence that lasts from k to
k + W goes on from what is old there: o[t] = 0, and o[m] is the lesser of o[m + 1], where what is old may be silent
at m + 1, and of w[m + 1] + g[m + 1], where it may fire.

So all windows of one end cost one pass over the edges between its steps, L²/2 of them where windows have at most L
steps: O(T·L²) in all, where asking for each window by itself costs O(T²·L²). A greatest sum is a least one of −w.

Rounding: a sum takes at most L roundings of the bound's dtype, as it does where a row is asked for by itself.

F2 and F5 over hundreds of steps: the last spike is known for W steps, and joined with older ones behind that.

A label is how long ago the last spike was: i + 1 = 1..W steps, or more ('old'; at first none was fired, which
counts as a spike at step 0). A hard reset leaves exactly 0, so behind the spike at τ the potential lies in

    v[t] ∈ Σ_{τ<k≤t} λ^{t−k}·c[k],    and, silent at a, in λ^{t−a}·(−∞, θ] + Σ_{a<k≤t} λ^{t−k}·c[k] for each a > τ:

the box [CL, CU] of one window from τ, and caps CU[a, t] + λ^{t−a}·θ that are the same for all labels before a.
Chains of shorter windows tell nothing else: where a window's box is the range of its sum over one set of currents,
CU[τ, t] ≤ λ^{t−a}·CU[τ, a] + CU[a, t], and CL alike. The recursion step by step, [λL + l, λ·min(U, θ) + u], is
kept beside them: where a box is not such a range it may know more. What is old has the caps alone.

**What came in less what earlier spikes took.** Let L[t] = Σ_{k≤t} λ^{t−k}·c[k]. Behind the spike at τ

    v[t] = L[t] − λ^{t−τ}·L[τ],    L[τ] = v[τ] + λ^{τ−τ'}·L[τ'],

τ' the spike before: what made a neuron fire at τ, v[τ] ≥ θ, is not there for the next spike, however late an event
may come. So each label keeps ends of B = λ^{t−τ}·L[τ], the hull over all spikes before τ, and v + B = L cuts each
of v and B by the other two. Sums L[t] are asked of the layer before. Where events move in time they know nearly
all that windows do: of long windows only what moves before them counts in L and not in the window, faded.

Where λ = 1, B is the sum of what all spikes took, at least θ each: so many there are at most.

As in automaton.py, L is widened by Σ λ^{t−k}·slack, and slack holds 32u₆₄·M, M ≥ |L|, |v|, of each step. B takes
less: one rounding of M a step, and four at a spike or a cut, each counting λ^{t−k} at t.

When a label gets old its box is joined with that of 'old', which therefore holds the potentials of all trains
whose last spike is more than W steps ago; its edges and silences are theirs together. So **every run stays inside
some path**; the only loss is what an age above W would tell: at most what λ^W of a potential weighs where the
windows are full. With W ≥ T nothing is joined, and the trains are those of train_graph.py.

Time and memory are O(T·W) for a neuron, but for the boxes of windows, O(W) at a time. long.c does all of it, and
behind a table and a dense layer finds the windows, too (`AffineSignal.by_table`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ...kernels.graph import AgedTrains, long_kernel
from ...models.deadline import check_time
from ...models.rules import Leaky
from ..rounding import Rounding
from .cells.looking_through import inflow_of
from .signals.membrane import Drive, drive, widened_windows
from .signals.signals import Signal, equal_weights
from .signals.windows import Box, Spans
from .trains.train_table import Trains


def window_sums(trains: tuple[Tensor, Tensor, Tensor | None], asked: Spans, ends: range, like: Tensor) -> Box:
    """Return the ends of the sums over all windows of `ends`, (windows, batch, ...), in the dtype of `like`.

    Args:
        trains: edges, stays and waits of `AgedTrains`; of trains by node, where nothing gets old, no waits.
        asked: the windows.
        ends: steps t at which they end.
        like: a tensor of the bound's dtype, (T, batch, ...).
    """
    check_time()
    sums = long_kernel().window_sums(trains, _weights(asked, ends), asked.longest, ends.start).to(like)
    lower, upper = sums.unflatten(2, like.shape[1:])
    return Box(lower, upper)


def _weights(asked: Spans, ends: range) -> Tensor:
    """Return w[t−j]·f[j] of each end t and step j = 0..last, (ends, last + 1); nothing counts step 0."""
    steps = torch.arange(ends.stop)
    age = (torch.tensor(list(ends))[:, None] - steps).clamp(0, asked.longest - 1)
    return asked.ages[age] * torch.cat((asked.factors.new_zeros(1), asked.factors))[: ends.stop]


LONG = 32
"""From so many steps on, labels by age cost less than nodes by step."""

FEW_STEPS = 128
"""Up to so many steps, T labels are cheap, and lose nothing."""

FADED, SHORT, LONGER = 1 / 16, 32, 64
"""W for more steps: `SHORT` where a potential is at most `FADED` of itself after so many, else `LONGER`."""

TOGETHER = 2**17
"""About how many ends of windows are held at once."""


def labels_of(decay: float, steps: int) -> int:
    """Return W for neurons of this decay over T steps."""
    if steps <= FEW_STEPS:
        return steps
    return SHORT if decay**SHORT <= FADED else LONGER


@dataclass(frozen=True)
class LongTrains(Trains):
    """The spike trains of a layer, each neuron's by how long ago it fired last.

    Attributes:
        box: whether each step's spike is certain, impossible or open, (T, batch, ...).
        edges: [t − 1, i] says whether a spike at t may follow one at t − 1 − i, and [t − 1, W] one before those;
            nothing follows T. (T + W, W + 1, n), bytes.
        stays: of node k = 0..T, and of all nodes up to it together, whether W steps of silence may follow, or
            silence to the end, (2, T + 1, n), bytes.
        waits: [t − 1] says whether what is old may be silent at t, (T, n), bytes.
        ends: whether the last spike may be at T − i, and at [W] before those, (W + 1, n), bytes.
        most: how many spikes there are at most, where what they took says so, (n,).
    """

    box: Box
    edges: Tensor
    stays: Tensor
    waits: Tensor
    ends: Tensor
    most: Tensor | None = None

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return T."""
        return len(self.box.lower)

    @property
    def numbers(self) -> int:
        """Return about how many numbers are made of each feature."""
        return self.num_steps * len(self.ends)

    def steps(self) -> Box:
        """Return the spikes step by step."""
        return self.box

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range over all paths: one shortest and one longest path for each row."""
        weights = equal_weights(rows)
        if weights is not None:
            counts = self._ends(torch.ones_like(rows[:1]))[0]
            if self.most is not None:
                counts = Box(counts.lower, counts.upper.minimum(self.most.view_as(counts.upper).to(rows)))
            return counts.scaled(weights)
        return self._ends(rows)

    def _ends(self, rows: Tensor) -> Box:
        """Return the range of each row over all paths, in the dtype of `rows`, by one walk."""
        trains = AgedTrains(self.edges, self.stays, self.waits, self.ends, self.box.lower, self.box.upper)
        on_cpu = AgedTrains(*(part.cpu() for part in vars(trains).values()))
        sums = long_kernel().path_sums(on_cpu, rows.double().cpu(), check_time).to(rows)
        lower, upper = sums.unflatten(2, self.box.lower.shape[1:])
        return Box(lower, upper)

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the range over all paths, by one walk back from each end."""
        return window_sums((self.edges, self.stays, self.waits), asked, ends, self.box.lower)


def long_trains(
    current: Signal, rule: Leaky, rounding: Rounding, windows: bool = True, labels: int | None = None
) -> LongTrains:
    """Return the trains of neurons of `rule`, which has a hard reset, under `current`, with W `labels`."""
    assert rule.reset == "zero"
    drives, labels = drive(current, rule, rounding), labels or labels_of(rule.decay, current.num_steps)
    asked = Spans.of(rule, current.num_steps, labels)
    return aged_trains(drives, rule, labels, windows_of(current, asked, drives) if windows else None)


def carried_trains(
    current: Signal, rule: Leaky, rounding: Rounding, longest: int | None = None, labels: int | None = None
) -> LongTrains:
    """Return the trains of a hard reset by what came in less what earlier spikes took, and by windows.

    Args:
        current, rule, rounding: of the layer.
        longest: how many steps windows have at most; None: all that the labels tell apart, whose sums from step 0
            on are L[t], where no label gets old.
        labels: W.
    """
    assert rule.reset == "zero"
    drives, labels = drive(current, rule, rounding), labels or labels_of(rule.decay, current.num_steps)
    asked = Spans.of(rule, current.num_steps, min(longest or labels, labels))
    inflow = None if longest is None else inflow_of(current, rule, rounding)

    def sums(ends: range, windows: Box) -> Box:
        """Return L[t], where nothing else tells it of the longest windows."""
        if inflow is not None:
            here = slice(ends.start - 1, ends.stop - 1)
            return Box(inflow.lower[here], inflow.upper[here])
        last = torch.tensor(asked.lengths(ends)).cumsum(0).to(windows.lower.device) - 1
        return Box(windows.lower[last], windows.upper[last])

    known = inflow is not None or labels >= current.num_steps
    return aged_trains(drives, rule, labels, windows_of(current, asked, drives), sums if known else None)


class CurrentWindows(NamedTuple):
    """Windows of a current: which, and what makes those of some ends, (windows, batch, ...)."""

    asked: Spans
    of: Callable[[range], Box]


def windows_of(current: Signal, asked: Spans, drives: Drive) -> CurrentWindows:
    """Return the windows of a current, widened."""
    return CurrentWindows(asked, lambda ends: widened_windows(current, asked, ends, drives.slack))


def aged_trains(
    drives: Drive,
    rule: Leaky,
    labels: int,
    windows: CurrentWindows | None,
    sums: Callable[[range, Box], Box] | None = None,
) -> LongTrains:
    """Return the trains for `drives`.

    Args:
        drives: the currents.
        rule: of the layer.
        labels: W.
        windows: where they are known.
        sums: what makes the ends of L[t], (steps, batch, ...), of some ends and their windows, where it is known.
    """
    lower, upper, steps = drives.lower.flatten(1), drives.upper.flatten(1), len(drives.lower)
    blocks, longest = iter([range(1, steps + 1)]), 0
    if windows is not None:
        blocks, longest = windows.asked.blocks(max(1, TOGETHER // lower[0].numel())), windows.asked.longest
    walk = long_kernel().walk((steps, lower.shape[1]), labels, rule.decay, drives.limits, longest)
    for ends in blocks:
        check_time()
        here, box = slice(ends.start - 1, ends.stop - 1), None if windows is None else windows.of(ends)
        known = None if sums is None or box is None else sums(ends, box)
        rest = [(None, None) if each is None else (each.lower, each.upper) for each in (box, known)]
        walk.take(ends, (lower[here], upper[here], *rest[0], *rest[1]))
    took, found = walk.end(), of_aged(walk.found, drives.lower)
    if sums is None or rule.decay != 1.0 or drives.limits[1] <= 0.0:
        return found
    return replace(found, most=(took / drives.limits[1] * (1.0 + 1e-12)).floor().clamp_min(0))


def of_aged(found: AgedTrains, like: Tensor) -> LongTrains:
    """Return the trains of currents (T, batch, ...), where silence after the last W nodes is that to the end."""
    steps, ends = len(like), found.ends
    for node in range(max(0, steps - len(ends) + 2), steps + 1):
        found.stays[0, node], found.stays[1, node] = ends[steps - node], ends[steps - node :].amax(0)
    box = Box(found.certain.view(like.shape).to(like), found.possible.view(like.shape).to(like))
    return LongTrains(box, found.edges, found.stays, found.waits, ends)
