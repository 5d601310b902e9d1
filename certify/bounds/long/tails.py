"""The least and the greatest sums over windows, of trains that are paths of a graph: one walk back from each end.

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
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....models.deadline import check_time
from ..signals.box import Box
from ..signals.windows import Spans

TOGETHER = 2**20
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
    size = max(1, TOGETHER // (4 * len(ends) * min(asked.longest, ends.stop)))
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
        found = _detours(silent[:, k, begin - k : young + 1, some], weights)[None].expand(2, -1, -1, -1)
        if old is not None:
            if k < last:
                old[:, rows, k] = _waited(graph.old, later[:, rows, k + 1], old[:, rows, k + 1], k, some)
            if k >= ends.start:
                old[:, k - ends.start, k] = 0.0
            lasting = old[:, max(k + width + 1, begin) - ends.start : rows.stop, min(k + width, last)]
            stays = _detours(graph.stays[:, k, some], weights)[:, None]
            found = torch.cat((found, lasting[:, None] + stays), 2)
        if end > k:
            on = later[:, None, rows, k + 1 : k + 1 + young]
            on = on + _detours(graph.next[:, k, None, :young, some], weights)
            found = found.minimum(on.amin(3))
        torch.add(found[:, 0], signed[:, rows, k], out=later[:, rows, k])
        for t in range(max(begin, k + 1), end + 1):
            windows[t - ends.start].append(found[:, 1, t - begin])
    return torch.stack([sums for each in windows for sums in each], 1)


def _waited(old: Old | None, fired: Tensor, waited: Tensor, k: int, some: slice) -> Tensor:
    """Return o[k] from w[k + 1] + g[k + 1] and o[k + 1]."""
    assert old is not None
    waits, fires = (_detours(ways[k, some], fired) for ways in (old.waits, old.fires))
    return (waited + waits).minimum(fired + fires)


def _detours(exists: Tensor, like: Tensor) -> Tensor:
    return exists.to(like.dtype).reciprocal_().sub_(1.0)
