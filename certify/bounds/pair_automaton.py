"""F9b: two neurons of the last layer together: how many spikes one has less than the other, at the least.

Counts of two classes, bounded one by one, forget that both read the same spikes. Here a cell holds intervals of S and
of u for neuron y and for neuron k at once (automaton.py), and each step knows a strip: D[t] = L_y[t] − L_k[t] lies in
[p, q], from one product with W_y − W_k. A step with spikes (s_y, s_k) needs L_y in [a, b] and L_k in [c, e], by the
cell and the firing conditions; the strip cuts that to

    a' = max(a, c + p),  b' = min(b, e + q),  c' = max(c, a − q),  e' = min(e, b − p),

and the step exists iff both intervals are left. The least N_y − N_k over all paths of cells bounds every run's, since
every run stays in some path. Beyond `cells`² cells, neighbours in (S_y, S_k) merge into their hulls.

Rounding: as in automaton.py; the strip pays for the slack of both neurons, as L does.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.rules import Leaky
from .automaton import Inflow
from .box import Box

CELLS = 32
"""The side of the square of cells: more cells hardly help."""

PAIRS = 16
"""Pairs that go at once, so that their cells stay in cache."""


@dataclass(frozen=True)
class Pairs:
    """What drives P pairs of neurons; each tensor is (T, 2, P), first neuron y, then k.

    Attributes:
        lower, upper: of the filtered currents L.
        low, high: of the currents c.
        strip: ends of L_y − L_k, (T, P) each.
        surely, perhaps: θ ± tie.
    """

    lower: Tensor
    upper: Tensor
    low: Tensor
    high: Tensor
    strip: Box
    surely: float
    perhaps: float

    @staticmethod
    def of(inflow: Inflow, samples: Tensor, neurons: Tensor, strip: Box) -> "Pairs":
        """Return the pairs `neurons`, (2, P), of `samples`, (P,)."""

        def pick(ends: Tensor) -> Tensor:
            return ends.flatten(2)[:, samples, neurons]

        drives = inflow.drives
        ends = (pick(values) for values in (inflow.lower, inflow.upper, drives.lower, drives.upper))
        return Pairs(*ends, strip, drives.surely, drives.perhaps)

    def part(self, pairs: slice) -> "Pairs":
        """Return some pairs."""
        ends = (values[..., pairs] for values in (self.lower, self.upper, self.low, self.high))
        strip = Box(self.strip.lower[:, pairs], self.strip.upper[:, pairs])
        return Pairs(*ends, strip, self.surely, self.perhaps)


def least_differences(pairs: Pairs, rule: Leaky, cells: int = CELLS) -> Tensor:
    """Return a lower bound of N_y − N_k for each pair, (P,); +∞ where no run exists."""
    side = max(cells, len(pairs.lower) + 1) if rule.decay == 1.0 else cells
    count = pairs.lower.shape[-1]
    parts = (pairs.part(slice(start, start + PAIRS)) for start in range(0, count, PAIRS))
    return torch.cat([_least(part, rule, side) for part in parts]) if count else pairs.lower.new_empty(0)


@dataclass(frozen=True)
class _Cells:
    """Cells of P pairs: ends of S and of u, each (2, C, P), and the least N_y − N_k that leads there, (C, P)."""

    least: Tensor
    most: Tensor
    low: Tensor
    high: Tensor
    ahead: Tensor

    @property
    def alive(self) -> Tensor:
        """Return which cells a run may reach."""
        return self.ahead < torch.inf


def _least(pairs: Pairs, rule: Leaky, side: int) -> Tensor:
    start = pairs.lower.new_zeros(2, 1, pairs.lower.shape[-1])
    cells = _Cells(start, start, start, start, start[0])
    for t in range(len(pairs.lower)):
        cells = _merged(_stepped(cells, pairs, t, rule), side)
    return cells.ahead.amin(0)


def _stepped(cells: _Cells, pairs: Pairs, t: int, rule: Leaky) -> _Cells:
    """Return what each cell becomes for each of the four pairs of spikes, (4C cells)."""
    return _joined([_fired(cells, pairs, t, rule, spikes) for spikes in ((0, 0), (0, 1), (1, 0), (1, 1))])


def _fired(cells: _Cells, pairs: Pairs, t: int, rule: Leaky, spikes: tuple[int, int]) -> _Cells:
    """Return the cells after a step with the spikes (s_y, s_k)."""
    spike = cells.least.new_tensor(spikes)[:, None, None]
    least, most = cells.least * rule.decay, cells.most * rule.decay
    bottom, top = _potentials(cells, pairs, t, rule, spikes)
    lower = pairs.lower[t][:, None].maximum(bottom + rule.drop * least)
    upper = pairs.upper[t][:, None].minimum(top + rule.drop * most)
    lower, upper = _cut(lower, upper, pairs.strip.lower[t], pairs.strip.upper[t])
    least, most = least + spike, most + spike
    low = (lower - rule.drop * most).maximum(bottom - rule.drop * spike)
    high = (upper - rule.drop * least).minimum(top - rule.drop * spike)
    least, most = least.maximum((lower - high) / rule.drop), most.minimum((upper - low) / rule.drop)
    there = (bottom <= top) & (lower <= upper) & (low <= high) & (least <= most)
    ahead = (cells.ahead + (spikes[0] - spikes[1])).masked_fill(~there.all(0), torch.inf)
    return _Cells(least, most, low, high, ahead)


def _potentials(cells: _Cells, pairs: Pairs, t: int, rule: Leaky, spikes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the ends of v, (2, C, P), cut by what each neuron's spike, or silence, needs."""
    low = cells.low * rule.decay + pairs.low[t][:, None]
    high = cells.high * rule.decay + pairs.high[t][:, None]
    needs = low.new_tensor([pairs.perhaps if spike else -torch.inf for spike in spikes])[:, None, None]
    stays = low.new_tensor([torch.inf if spike else pairs.surely for spike in spikes])[:, None, None]
    return low.maximum(needs), high.minimum(stays)


def _cut(lower: Tensor, upper: Tensor, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Cut boxes of (L_y, L_k), (2, C, P), to L_y − L_k ∈ [p, q]."""
    (a, c), (b, e) = lower, upper
    return (
        torch.stack((a.maximum(c + p), c.maximum(a - q))),
        torch.stack((b.minimum(e + q), e.minimum(b - p))),
    )


def _joined(parts: list[_Cells]) -> _Cells:
    ends = (torch.cat([getattr(part, name) for part in parts], 1) for name in ("least", "most", "low", "high"))
    return _Cells(*ends, torch.cat([part.ahead for part in parts]))


def _merged(cells: _Cells, side: int) -> _Cells:
    """Merge the cells of each pair into at most side²: those of one bin of (S_y, S_k) into their hull."""
    alive = cells.alive
    rank = alive.cumsum(0)
    if bool((rank[-1] <= side**2).all()):
        target, size = rank - 1, int(rank[-1].max())
    else:
        first, second = _bins(cells, alive, side)
        target, size = first * side + second, side**2
    target = torch.where(alive, target, size)

    def gather(values: Tensor, how: str) -> Tensor:
        reached = values.new_full((size + 1, values.shape[-1]), torch.inf if how == "amin" else -torch.inf)
        return reached.scatter_reduce_(0, target, values, how)[:size]

    ahead = gather(cells.ahead, "amin")
    hulls = ((cells.least, "amin"), (cells.most, "amax"), (cells.low, "amin"), (cells.high, "amax"))
    ends = (
        torch.stack([gather(values, how) for values in both]).masked_fill(ahead == torch.inf, 0.0)
        for both, how in hulls
    )
    return _Cells(*ends, ahead)


def _bins(cells: _Cells, alive: Tensor, side: int) -> Tensor:
    """Return the bins of S_y and of S_k, (2, C, P); they hold counts apart where λ = 1."""
    middle = (cells.least + cells.most) * 0.5
    first = middle.masked_fill(~alive, torch.inf).amin(1, keepdim=True)
    last = middle.masked_fill(~alive, -torch.inf).amax(1, keepdim=True)
    width = ((last - first) / (side - 1)).clamp_min(1e-300)
    return ((middle - first) / width).round().clamp(0, side - 1).nan_to_num(0.0).long()
