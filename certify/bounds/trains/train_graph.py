"""F2: the spike trains of a neuron whose current varies over time, as the paths of a graph.

Nodes 0..T stand for 'the last spike was at τ' (0: none yet). With a hard reset the potential starts from
exactly 0 at τ, and while no spike follows it covers exactly the interval [L, min(U, θ)] of the recursion
L ← λL + l[t], U ← λ·min(U, θ) + u[t]: the image of an interval under a continuous map, cut by v ≤ θ. So edge
τ → t exists iff silence is possible before t and U reaches θ at t; segments use disjoint steps' currents, so
for currents that are independent over time **the reachable trains are exactly the paths**, and min Σ_t A[t]s[t]
is a shortest path. A subtracting reset starts from an interval instead of 0 (the join over the incoming edges):
sound, no longer exact.

With `windows` (F5) the recursion also uses the box [CL, CU] of each window's weighted current: without spikes in
(a, k), v[k] = λ^{k−a}·v[a] + Σ_{a<i≤k} λ^{k−i}·c[i], so L[k] ≥ λ^{k−a}·L[a] + CL[a,k] for every a ≥ τ, and U
alike. Currents are then no longer independent over time, and the graph holds fewer trains than boxes alone admit.
Ties (v within `tie` of θ) count as both outcomes.

A neuron that rests for R steps behind a spike at τ stays at exactly 0 up to step τ + R, and fires first at τ + R
+ 1: edges end behind that, and windows begin there. Without a rest R = 0. Node 0 begins at the potential `start`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ....kernels.graph import FoundGraphs, GraphCurrents, graph_kernel
from ....models.deadline import check_time
from ....models.rules import Leaky
from ...rounding import Rounding
from ..long_trains import window_sums
from ..signals.membrane import Drive, Lanes, drive, prefix_drive, widened_windows
from ..signals.signals import Signal, equal_weights
from ..signals.windows import Box, Spans
from .train_table import TrainPaths, Trains

STEEPEST = 1e6
"""The greatest λ^{−(T−1)} for which the priced graph's arithmetic in float64 is trusted."""

WALKED = 2**19
"""From so many numbers on, n·T³, one walk for all windows is faster than one for each."""

TOGETHER = 2**20
"""How many numbers are added to each edge at once: over hundreds of steps there are thousands of rows."""


@dataclass(frozen=True)
class GraphTrains(TrainPaths, Trains):
    """The paths of the graph of a layer."""

    priced = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.edges)

    @property
    def paths(self) -> TrainPaths:
        """Return these trains, which are paths of a graph."""
        return self

    def priceable(self, decay: float) -> bool:
        """Return whether λ^{−(T−1)} stays below `STEEPEST`."""
        return slope_decay(decay, self.num_steps) == decay

    def steps(self) -> Box:
        """Return the spikes step by step."""
        return self.box

    def combine(self, rows: Tensor) -> Box:
        """Return the exact range over all paths: one shortest and one longest path for each row."""
        weights = equal_weights(rows)
        if weights is not None and self.num_steps < 255:
            return self._counts().scaled(weights)
        return path_sums(self.edges, self.ends, rows)

    def windowed(self, asked: Spans, ends: range) -> Box:
        """Return the exact range over all paths, by one walk back from each end where that pays."""
        if self.ends[0].numel() * self.num_steps**3 < WALKED:
            return super().windowed(asked, ends)
        return window_sums(self._aged, asked, ends, self.drives.lower)

    @cached_property
    def _aged(self) -> tuple[Tensor, Tensor, None]:
        """Return these trains by how long ago each last spike was."""
        steps, stays = self.num_steps, self.ends.view(torch.uint8).flatten(1)
        edges = stays.new_zeros(steps, steps + 1, stays.shape[1])
        for t, edge in enumerate(self.edges, start=1):
            edges[t - 1, :t] = edge.view(torch.uint8).flatten(1).flip(0)
        return edges, torch.stack((stays, stays.cummax(0).values)), None

    def _counts(self) -> Box:
        """Return the fewest and the most spikes of any path, (batch, ...), in bytes.

        A node without edges holds a wrong count, but no path leaves it and none ends there.
        """
        fewest = torch.zeros_like(self.ends, dtype=torch.uint8)
        most = torch.zeros_like(fewest)
        for t, edge in enumerate(self.edges, start=1):
            torch.add(_fewest(fewest[:t], edge), 1, out=fewest[t])
            torch.add(_most(most[:t], edge), 1, out=most[t])
        return Box(_fewest(fewest, self.ends), _most(most, self.ends))


def path_sums(edges: Iterable[Tensor], ends: Tensor, rows: Tensor) -> Box:
    """Return the least and the greatest Σ_t rows[r, t]·s[t] of the paths of `TrainPaths`, (rows, batch, ...)."""
    lengths, last = [detours(edge, rows) for edge in edges], detours(ends, rows)
    parts = rows.split(max(1, TOGETHER // last.numel()))
    lower = [_shortest(part, lengths, last) for part in parts]
    upper = [_shortest(-part, lengths, last).neg_() for part in parts]
    return Box(torch.cat(lower), torch.cat(upper))


def _shortest(rows: Tensor, edges: list[Tensor], ends: Tensor) -> Tensor:
    """Return min over paths of Σ_t rows[r, t]·s[t], (rows, batch, ...), where what does not exist is ∞ long."""
    shape = ends.shape[1:]
    weights = rows.T.reshape(*rows.T.shape, *(1 for _ in shape))
    length = rows.new_zeros((len(ends), len(rows), *shape))
    for t, edge in enumerate(edges, start=1):
        check_time()
        torch.add((length[:t] + edge[:, None]).amin(0), weights[t - 1], out=length[t])
    return (length + ends[:, None]).amin(0)


def slope_decay(decay: float, steps: int) -> float:
    """Return λ, or 1 where it is so small that prices must be 0."""
    return decay if decay ** (steps - 1) * STEEPEST >= 1.0 else 1.0


def detours(exists: Tensor, like: Tensor) -> Tensor:
    """Return 0 where an edge exists and ∞ where it does not: adding it is far cheaper than choosing."""
    return exists.view(torch.uint8).to(like.dtype).reciprocal_().sub_(1.0)


def _fewest(counts: Tensor, exists: Tensor) -> Tensor:
    """Return the least of the counts where `exists`, over the first axis; what does not exist counts 255."""
    return (exists.view(torch.uint8) - 1).bitwise_or_(counts).amin(0)


def _most(counts: Tensor, exists: Tensor) -> Tensor:
    """Return the greatest of the counts where `exists`, over the first axis."""
    return (counts * exists.view(torch.uint8)).amax(0)


def graph_trains(current: Signal, rule: Leaky, rounding: Rounding, windows: bool = False) -> GraphTrains:
    """Return the graph of `rule` for currents known step by step and, with `windows`, window by window."""
    drives = drive(current, rule, rounding)
    return windowed_trains(drives, current, rule, rule) if windows else trains_of(drives, rule)


def windowed_trains(
    drives: Drive, current: Signal, rule: Leaky | Lanes, filtering: Leaky, rest: int = 0, start: float = 0.0
) -> GraphTrains:
    """Return the graph for `drives`, and for windows of `current` as `filtering` sums them up.

    Where the first spike is the last one, all that counts is where it is: of T²/2 windows those from step 0 on.
    """
    steps = current.num_steps
    if rest >= steps:
        known = prefix_drive(current, filtering, drives.slack)
    else:
        known = widened_windows(current, Spans.of(filtering, steps), range(1, steps + 1), drives.slack)
    return trains_of(drives, rule, known, rest=rest, start=start)


def trains_of(
    drives: Drive,
    rule: Leaky | Lanes,
    windows: Box | None = None,
    keep: bool = True,
    rest: int = 0,
    start: float = 0.0,
) -> GraphTrains:
    """Return the graph for `drives`.

    Args:
        drives: the currents.
        rule: of the layer.
        windows: where the weighted current of each window lies, by end, the shortest first, (T(T + 1)/2, batch,
            ...), or of those from step 1 on alone, (T, batch, ...); None: none is known.
        keep: whether to keep its `reach`, which only prices and programs ask for.
        rest: for how many steps a neuron rests behind a spike, of a hard reset.
        start: u[0].
    """
    assert rest == 0 or rule.reset == "zero"
    like, shape = drives.lower, drives.lower.shape[1:]
    drop = rule.drop if rule.reset == "subtract" else 0.0
    constants = (rule.decay, drives.surely, drives.perhaps, drop)
    decay = 0.0 if isinstance(rule.decay, Tensor) else float(rule.decay)  # of one a neuron no windows are known
    given = GraphCurrents(
        decay ** torch.arange(len(like) + 1, dtype=like.dtype),
        *(end.flatten(1).cpu() for end in (like, drives.upper)),
        *(torch.as_tensor(each, dtype=like.dtype).expand(shape).flatten().cpu() for each in constants),
        *(() if windows is None else (windows.lower.flatten(1).cpu(), windows.upper.flatten(1).cpu())),
    )
    kernel = graph_kernel(like.dtype)
    found = kernel.graphs(given, rule.reset, check_time, rest=rest, start=start, keep=keep)
    return graph_of(found, drives)


def graph_of(found: FoundGraphs, drives: Drive) -> GraphTrains:
    """Return what the kernel found of `drives`."""
    shape, device, lengths = drives.lower.shape[1:], drives.lower.device, [*range(1, len(drives.lower) + 1)]
    made = {name: each.to(device).unflatten(1, shape) for name, each in vars(found).items() if each is not None}
    by_step = (made[name].split(lengths) if name in made else () for name in ("edges", "low", "high"))
    edges, low, high = by_step
    left = (made["low_left"], made["high_left"]) if "low_left" in made else None
    drives = replace(drives, lower=made["lower"], upper=made["upper"])
    box, reach = Box(made["certain"], made["possible"]), tuple(zip(low, high, strict=True))
    return GraphTrains(edges, made["ends"], box, drives, reach, left)
