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

Time and memory are O(T·W) for a neuron, but for the boxes of windows, O(W) at a time. long.c does it behind a
table and a dense layer (`kernel_trains`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import tee

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

TAILS_AT_ONCE = 2**20
"""How many sums of trains are held at once."""


@dataclass(frozen=True)
class Old:
    """What neurons may do whose last spike is more than W steps ago, at t = 1..T, (T, n) each, bytes of 0 and 1.

    Attributes:
        fires, waits: whether they may fire, and whether they may be silent.
    """

    fires: Tensor
    waits: Tensor


@dataclass(frozen=True)
class Followers:
    """Which spikes may follow which within W steps, of flat neurons n; bytes of 0 and 1.

    Attributes:
        next: [0, k, i] says whether node k = 0..T may be followed by a spike at k + 1 + i, [1, k, i] whether some
            node up to k may, (2, T + 1, W, n).
        stays: of both, whether W steps of silence may follow, or silence to the end, (2, T + 1, n).
        old: what comes then; None where W ≥ T.
    """

    next: Tensor
    stays: Tensor
    old: Old | None = None

    @cached_property
    def silent(self) -> Tensor:
        """Return whether silence may last for i = 0..W steps: what comes is later, (2, T + 1, W + 1, n)."""
        later = [self.stays]
        for i in reversed(range(self.next.shape[2])):
            later.append(later[-1] | self.next[:, :, i])
        return torch.stack(later[::-1], 2)


def joined(follows: Tensor, stays: Tensor) -> Followers:
    """Return the followers of nodes and of all nodes up to each, where all T steps are told of each node."""
    both, lasting = torch.stack((follows, follows)), torch.stack((stays, stays))
    for k in range(1, len(follows)):
        both[1, k, :-1] |= both[1, k - 1, 1:]
        lasting[1, k] |= lasting[1, k - 1]
    return Followers(both, lasting)


def window_sums(graph: Followers, asked: Spans, ends: range, like: Tensor) -> Box:
    """Return the ends of the sums over all windows of `ends`, (windows, n), in the dtype of `like`.

    Args:
        graph: of n neurons.
        asked: the windows.
        ends: steps t at which they end.
        like: a tensor of the bound's dtype.
    """
    size = max(1, TAILS_AT_ONCE // (4 * len(ends) * min(asked.longest, ends.stop)))
    weights, silent = _weights(asked, ends).to(like), graph.silent
    starts = range(0, silent.shape[-1], size)
    lower, upper = torch.cat(
        [_least(graph, silent, asked, ends, weights, slice(start, start + size)) for start in starts], 2
    )
    return Box(lower, upper.neg_())


def _weights(asked: Spans, ends: range) -> Tensor:
    """Return w[t−j]·f[j] of each end t and step j = 0..last, (ends, last + 1); nothing counts step 0."""
    steps = torch.arange(ends.stop)
    age = (torch.tensor(list(ends))[:, None] - steps).clamp(0, asked.longest - 1)
    return asked.ages[age] * torch.cat((asked.factors.new_zeros(1), asked.factors))[: ends.stop]


def _least(graph: Followers, silent: Tensor, asked: Spans, ends: range, weights: Tensor, some: slice) -> Tensor:
    """Return the least sums of all windows of `ends` by the weights, and by their negatives, (2, windows, n).

    Args:
        graph, silent: of all neurons.
        asked, ends: as above.
        weights: of each end and step, (ends, steps).
        some: which neurons.
    """
    longest, width, last = asked.longest, graph.next.shape[2], ends.stop - 1
    first, signed = max(0, ends.start - longest), torch.stack((weights, -weights))[..., None]
    shape = (2, len(ends), last + 2, graph.stays[0, 0, some].shape[0])
    later = weights.new_full(shape, torch.inf)  # w[j] + g[j], by end and j
    old = torch.full_like(later, torch.inf) if graph.old is not None and longest > width else None
    windows: list[list[Tensor]] = [[] for _ in ends]
    for k in range(last, first - 1, -1):
        check_time()
        begin, end = max(k, ends.start), min(k + longest, last)
        rows = slice(begin - ends.start, end - ends.start + 1)
        young = min(end, k + width) - k
        found = _detours(silent[:, k, begin - k : young + 1, some], weights.dtype)[None].expand(2, -1, -1, -1)
        if old is not None:
            if k < last:
                old[:, rows, k] = _waited(graph.old, later[:, rows, k + 1], old[:, rows, k + 1], k, some)
            if k >= ends.start:
                old[:, k - ends.start, k] = 0.0
            lasting = old[:, max(k + width + 1, begin) - ends.start : rows.stop, min(k + width, last)]
            stays = _detours(graph.stays[:, k, some], weights.dtype)[:, None]
            found = torch.cat((found, lasting[:, None] + stays), 2)
        if end > k:
            on = later[:, None, rows, k + 1 : k + 1 + young]
            on = on + _detours(graph.next[:, k, None, :young, some], weights.dtype)
            found = found.minimum(on.amin(3))
        torch.add(found[:, 0], signed[:, rows, k], out=later[:, rows, k])
        for t in range(max(begin, k + 1), end + 1):
            windows[t - ends.start].append(found[:, 1, t - begin])
    return torch.stack([sums for each in windows for sums in each], 1)


def _waited(old: Old | None, fired: Tensor, waited: Tensor, k: int, some: slice) -> Tensor:
    """Return o[k] from w[k + 1] + g[k + 1] and o[k + 1]."""
    assert old is not None
    waits, fires = (_detours(ways[k, some], fired.dtype) for ways in (old.waits, old.fires))
    return (waited + waits).minimum(fired + fires)


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
        found = window_sums(self._followers, asked, ends, self.box.lower)
        shape = self.box.lower.shape[1:]
        return Box(found.lower.unflatten(1, shape), found.upper.unflatten(1, shape))

    @cached_property
    def _followers(self) -> Followers:
        """Return which spikes may follow which: of all nodes up to k together, those of that age and older."""
        together = self.edges.clone()
        for label in reversed(range(together.shape[1] - 1)):
            together[:, label] |= together[:, label + 1]
        follows = torch.stack((self._by_source(self.edges), self._by_source(together)))
        return Followers(follows, self.stays, Old(self.edges[: self.num_steps, -1], self.waits))

    def _by_source(self, edges: Tensor) -> Tensor:
        """Return [k, i] = edges[k + i, i], the spikes that follow k, (T + 1, W, n)."""
        step, label, one = edges.stride()
        shape = (self.num_steps + 1, len(self.ends) - 1, edges.shape[2])
        return edges.as_strided(shape, (step, step + label, one))


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
    windows = windows_of(current, Spans.of(rule, current.num_steps, min(longest or labels, labels)), drives)
    if longest is not None:
        inflow = inflow_of(current, rule, rounding)
        sums = (Box(*ends) for ends in zip(inflow.lower, inflow.upper, strict=True))
        return aged_trains(drives, rule, labels, windows, sums)
    found, again = tee(windows)
    sums = (box[-1] for box in again) if labels >= current.num_steps else None
    return aged_trains(drives, rule, labels, found, sums)


def windows_of(current: Signal, asked: Spans, drives: Drive) -> Iterator[Box]:
    """Yield the windows that end at t = 1, 2, …, shortest first, (windows, batch, ...) each."""
    for ends in asked.blocks(max(1, TOGETHER // drives.slack.numel())):
        box = widened_windows(current, asked, ends, drives.slack)
        lower, upper = (end.split(asked.lengths(ends)) for end in (box.lower, box.upper))
        yield from (Box(*pair) for pair in zip(lower, upper, strict=True))


def aged_trains(
    drives: Drive, rule: Leaky, labels: int, windows: Iterator[Box] | None, sums: Iterator[Box] | None = None
) -> LongTrains:
    """Return the trains for `drives`.

    Args:
        drives: the currents.
        rule: of the layer.
        labels: W.
        windows: of at most W steps, where they are known.
        sums: ends of L[t], (batch, ...) each, where they are known.
    """
    steps = len(drives.lower)
    lower, upper = drives.lower.flatten(1), drives.upper.flatten(1)
    edges = torch.zeros(steps + labels, labels + 1, lower.shape[1], dtype=torch.uint8, device=lower.device)
    stays = torch.zeros(2, steps + 1, lower.shape[1], dtype=torch.uint8, device=lower.device)
    waits = torch.zeros_like(lower, dtype=torch.uint8)
    aged, certain = _Aged.before(lower[0], steps, labels, sums is not None), []
    for t in range(steps):
        check_time()
        for box in aged.boxes(t):
            box.integrate(lower[t], upper[t], rule.decay)
        if windows is not None:
            aged.cut(t, next(windows), rule.decay, drives.surely)
        known = None if sums is None else _flat(next(sums))
        if known is not None:
            aged.carry(t, known, rule.decay)
        for box, edge in zip(aged.boxes(t), (edges[t, :-1], edges[t, -1:]), strict=True):
            edge.copy_(box.fires(drives.limits))
        if known is not None:
            aged.take(t, edges[t], known, drives.limits)
        for box in aged.boxes(t):
            box.rest(drives.surely, known)
        certain.append(1 - aged.alive(t).maximum(aged.old.alive[0]))
        waits[t] = aged.old.alive[0]
        aged.join(t)
        aged.young.alive[steps - t - 1] = edges[t].amax(0)
        if t + 1 >= labels:
            stays[0, t + 1 - labels], stays[1, t + 1 - labels] = aged.oldest(t), aged.old.alive[0]
    ends = torch.cat((aged.young.alive[:labels], aged.old.alive))
    counted = sums is not None and rule.decay == 1.0 and drives.limits[1] > 0.0
    most = aged.most(drives.limits[1]) if counted else None
    surely, perhaps = torch.stack(certain).to(lower.dtype), edges[:steps].amax(1).to(lower.dtype)
    found = of_aged(AgedTrains(edges, stays, waits, ends, surely, perhaps), drives.lower.shape)
    return replace(found, most=most)


def of_aged(found: AgedTrains, shape: torch.Size) -> LongTrains:
    """Return the trains over (T, batch, ...), where silence after the last W nodes is that to the end."""
    steps, ends = shape[0], found.ends
    for node in range(max(0, steps - len(ends) + 2), steps + 1):
        found.stays[0, node], found.stays[1, node] = ends[steps - node], ends[steps - node :].amax(0)
    box = Box(found.certain.view(shape), found.possible.view(shape))
    return LongTrains(box, found.edges, found.stays, found.waits, ends)


@dataclass(frozen=True)
class _Labels:
    """Where potentials lie since the last spike, and whether any path is there, (labels, n) each.

    Attributes:
        low, high, alive: those.
        taken: ends of B, where L is known.
    """

    low: Tensor
    high: Tensor
    alive: Tensor
    taken: Box | None = None

    def part(self, some: slice) -> "_Labels":
        """Return some labels."""
        taken = None if self.taken is None else Box(self.taken.lower[some], self.taken.upper[some])
        return _Labels(self.low[some], self.high[some], self.alive[some], taken)

    def integrate(self, lower: Tensor, upper: Tensor, decay: float) -> None:
        """Take in one step's current."""
        torch.add(lower, self.low, alpha=decay, out=self.low)
        torch.add(upper, self.high, alpha=decay, out=self.high)

    def carry(self, inflow: Box, decay: float) -> None:
        """Let B fade by a step, and cut v and B by v + B = L."""
        assert self.taken is not None
        least, most = self.taken.lower.mul_(decay), self.taken.upper.mul_(decay)
        torch.maximum(self.low, inflow.lower - most, out=self.low)
        torch.minimum(self.high, inflow.upper - least, out=self.high)
        self.alive.bitwise_and_((self.low <= self.high).view(torch.uint8))

    def fires(self, limits: tuple[float, float]) -> Tensor:
        """Return which labels may fire, (labels, n)."""
        return self.alive & (self.high >= limits[1]).view(torch.uint8)

    def takes(self, edge: Tensor, limits: tuple[float, float]) -> Box:
        """Return the hull of L = v + B over the labels that may fire, (n,): [inf, −inf] where none may."""
        assert self.taken is not None
        low = self.low.clamp_min(limits[1]) + self.taken.lower
        high = self.high + self.taken.upper
        return Box(_where(edge, low, math.inf).amin(0), _where(edge, high, -math.inf).amax(0))

    def rest(self, surely: float | Tensor, inflow: Box | None) -> None:
        """Leave alive what may be silent; where L is known, that says what B may be."""
        self.alive.bitwise_and_((self.low <= surely).view(torch.uint8))
        self.high.clamp_max_(surely)
        if self.taken is not None and inflow is not None:
            torch.maximum(self.taken.lower, inflow.lower - self.high, out=self.taken.lower)
            torch.minimum(self.taken.upper, inflow.upper - self.low, out=self.taken.upper)


@dataclass(frozen=True)
class _Aged:
    """The boxes of all labels. Node τ is in row T − τ, so those of a step are rows that follow each other.

    Attributes:
        young: of nodes, (T + W, n).
        old: of what is older, (1, n).
        labels: W.
    """

    young: _Labels
    old: _Labels
    labels: int

    @staticmethod
    def before(like: Tensor, steps: int, labels: int, carries: bool) -> "_Aged":
        """Return the labels before the first step, which `carries` what earlier spikes took or not."""
        zero = like.new_zeros(steps + labels, len(like))
        alive = torch.zeros_like(zero, dtype=torch.uint8)
        alive[steps] = 1
        taken = Box(zero.clone(), zero.clone()) if carries else None
        none = Box(zero[:1].clone(), zero[:1].clone()) if carries else None
        old = _Labels(zero[:1].clone(), zero[:1].clone(), alive[:1].clone(), none)
        return _Aged(_Labels(zero, zero.clone(), alive, taken), old, labels)

    def _step(self, t: int) -> _Labels:
        first = len(self.young.low) - self.labels - t
        return self.young.part(slice(first, first + self.labels))

    def boxes(self, t: int) -> tuple[_Labels, _Labels]:
        """Return those of the labels of step t + 1, youngest first, and of what is older."""
        return self._step(t), self.old

    def alive(self, t: int) -> Tensor:
        """Return whether any of the labels is alive, (n,)."""
        return self._step(t).alive.amax(0)

    def oldest(self, t: int) -> Tensor:
        """Return whether the oldest label is alive, (n,)."""
        return self._step(t).alive[-1]

    def cut(self, t: int, windows: Box, decay: float, surely: float | Tensor) -> None:
        """Cut potentials with the windows that end here, (windows, batch, ...), the shortest first."""
        lower, upper = windows.lower.flatten(1), windows.upper.flatten(1)
        young = self._step(t).part(slice(len(lower)))
        torch.maximum(young.low, lower, out=young.low)
        torch.minimum(young.high, upper, out=young.high)
        fading = (decay ** torch.arange(1, len(upper) + 1, dtype=torch.float64)).to(upper)
        caps = (upper + surely * fading[:, None]).cummin(0).values
        torch.minimum(young.high[1:], caps[:-1], out=young.high[1:])
        torch.minimum(self.old.high[0], caps[-1], out=self.old.high[0])
        for box in (young, self.old):
            box.alive.bitwise_and_((box.low <= box.high).view(torch.uint8))

    def carry(self, t: int, inflow: Box, decay: float) -> None:
        """Cut potentials by what came in less what earlier spikes took."""
        for box in self.boxes(t):
            box.carry(inflow, decay)

    def take(self, t: int, edges: Tensor, inflow: Box, limits: tuple[float, float]) -> None:
        """Keep what a spike at t + 1 takes: L, which is known, and the hull over those that may fire."""
        young, old = self.boxes(t)
        ends = young.takes(edges[:-1], limits), old.takes(edges[-1:], limits)
        assert self.young.taken is not None
        low = ends[0].lower.minimum(ends[1].lower).maximum(inflow.lower)
        high = ends[0].upper.maximum(ends[1].upper).minimum(inflow.upper)
        node, fires = len(self.young.low) - self.labels - t - 1, edges.amax(0)
        self.young.taken.lower[node] = _where(fires, low, 0.0)
        self.young.taken.upper[node] = _where(fires, high, 0.0)

    def most(self, perhaps: float) -> Tensor:
        """Return how many spikes there are at most of all steps, (n,), for λ = 1: each took θ, of B in all."""
        ends = self.young.part(slice(self.labels)), self.old
        upper = [_where(box.alive, box.taken.upper, 0.0).amax(0) for box in ends if box.taken is not None]
        return (upper[0].maximum(upper[1]) / perhaps * (1.0 + 1e-12)).floor().clamp_min(0)

    def join(self, t: int) -> None:
        """Join the oldest label with what is older."""
        last, old = self._step(t).part(slice(-1, None)), self.old
        ends = [(last.low, old.low, last.high, old.high)]
        if last.taken is not None and old.taken is not None:
            ends.append((last.taken.lower, old.taken.lower, last.taken.upper, old.taken.upper))
        either = old.alive | last.alive
        for low, old_low, high, old_high in ends:
            least = _where(last.alive, low, math.inf).minimum(_where(old.alive, old_low, math.inf))
            most = _where(last.alive, high, -math.inf).maximum(_where(old.alive, old_high, -math.inf))
            old_low.copy_(_where(either, least, 0.0))
            old_high.copy_(_where(either, most, 0.0))
        old.alive.copy_(either)


def _flat(box: Box) -> Box:
    return Box(box.lower.flatten(), box.upper.flatten())


def _detours(exists: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 0 where a way exists, and ∞ where it does not."""
    return exists.to(dtype).reciprocal_().sub_(1.0)


def _where(exists: Tensor, values: Tensor, otherwise: float) -> Tensor:
    return torch.where(exists.view(torch.bool), values, torch.as_tensor(otherwise, dtype=values.dtype))
