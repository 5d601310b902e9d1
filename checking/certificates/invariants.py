"""Invariants of one neuron: nodes by the step of the last spike (F2), windows where they cut (F5)."""

from collections.abc import Iterator

from ..kernel.invariants import NODE, Driven, InvariantNode
from ..kernel.numbers import ONE, Box, scaled, times
from ..work import spend
from .words import lower, upper


def levels_of(driven: Driven, windows: bool) -> list[list[InvariantNode]]:
    """Return the levels of a neuron's invariant.

    Args:
        driven: what is known of its current.
        windows: whether windows are asked.
    """
    builder = LevelBuilder(driven, windows)
    for t in range(len(driven.boxes)):
        builder.step(t)
    return builder.levels()


class LevelBuilder:
    """Nodes by label: the level that the last spike led to, 0 before any; one label alone where none matters.

    Where spikes raise the threshold, also by how many there were: a label is the level and T + 1 times the count.
    """

    def __init__(self, driven: Driven, windows: bool) -> None:
        self.driven, self.windows = driven, windows
        neuron = driven.neuron
        steps, drop = len(driven.boxes), neuron.drop if neuron.reset == "subtract" else 0
        size = 4 * steps * (driven.reach + neuron.high + drop) + ONE
        self.extra = driven.extra(size)
        self.found: list[dict[int, Box]] = [{0: (0, 0)}]
        self.raised: list[dict[int, Box]] = [{0: (0, 0)}]
        self.cuts: list[dict[int, tuple[int, ...]]] = []
        self.ways: list[dict[int, tuple[int, int]]] = []

    def step(self, t: int) -> None:
        """Add the level behind step t + 1."""
        neuron, ahead, climbed = self.driven.neuron, dict[int, Box](), dict[int, Box]()
        cuts, ways = dict[int, tuple[int, ...]](), dict[int, tuple[int, int]]()
        certain, possible = self.driven.bits[t]
        for label in self.found[t]:
            rests = self._rests(t, label)
            low, high, cuts[label] = (0, 0, ()) if rests else self._reached(t, label)
            there = [-1, -1]
            for spike, part in [(0, (0, 0))] if rests else self._parts(t, label, low, high):
                if (spike and not possible) or (not spike and certain):
                    continue
                to = 0 if not self.labelled else self._spiked(t, label) if spike else label
                image, there[spike] = neuron.after(spike, part), to
                old = ahead.get(to, image)
                ahead[to] = min(old[0], image[0]), max(old[1], image[1])
                image = neuron.raised(self.raised[t][label], spike)
                old = climbed.get(to, image)
                climbed[to] = min(old[0], image[0]), max(old[1], image[1])
            ways[label] = there[0], there[1]
            spend(NODE)
        self.found.append({label: (lower(low), upper(high)) for label, (low, high) in ahead.items()})
        self.raised.append(climbed)
        self.cuts.append(cuts)
        self.ways.append(ways)

    def _rests(self, t: int, label: int) -> bool:
        """Return whether a neuron rests at step t + 1 whose last spike led to level `label`."""
        return label > 0 and t < self._last(label) + self.driven.neuron.rest

    def _last(self, label: int) -> int:
        return label % (len(self.driven.boxes) + 1)

    def _spiked(self, t: int, label: int) -> int:
        """Return the label behind a spike at step t + 1."""
        each = len(self.driven.boxes) + 1
        return t + 1 + (label // each * each + each if self.driven.neuron.raises else 0)

    def _parts(self, t: int, label: int, low: int, high: int) -> Iterator[tuple[int, Box]]:
        yield from self.driven.neuron.parts(low, high, self.raised[t][label]) if low <= high else ()

    @property
    def labelled(self) -> bool:
        """Return whether it matters when the last spike was."""
        return self.driven.neuron.decay != 0 or self.driven.neuron.rest > 0 or self.driven.neuron.raises > 0

    def _reached(self, t: int, label: int) -> tuple[int, int, tuple[int, ...]]:
        """Return V, and the windows that cut it."""
        neuron, driven = self.driven.neuron, self.driven
        (low, high), (least, most) = (
            scaled(self.found[t][label], neuron.decay),
            scaled(driven.boxes[t], neuron.scale[t]),
        )
        low, high = low + least - self.extra, high + most + self.extra
        cuts, power, loose = [], (neuron.decay, neuron.decay), self.extra
        since = self._last(label) + self.driven.neuron.rest * (label > 0)
        for back in range(1, t - since + 1) if self.windows and neuron.decay else ():
            spend(32)
            loose = times(neuron.decay, loose)[1] + self.extra
            power = times(neuron.decay, power[0])[0], times(neuron.decay, power[1])[1]
            came, began = driven.window(t - back, t + 1), self.found[t - back][label]
            ends = scaled(began, power[0]), scaled(began, power[1])
            one = max(low, min(end[0] for end in ends) + came[0] - loose)
            two = min(high, max(end[1] for end in ends) + came[1] + loose)
            if one > low or two < high:
                cuts.append(back)
                low, high = one, two
        return low, high, tuple(cuts)

    def levels(self) -> list[list[InvariantNode]]:
        """Return all levels; the first node of the first one is the start."""
        order = [{label: index for index, label in enumerate(level)} for level in self.found]
        out = []
        for t, level in enumerate(self.found):
            nodes = []
            for label, (low, high) in level.items():
                ways = self.ways[t][label] if t < len(self.ways) else (-1, -1)
                silent, spike = (order[t + 1][to] if to >= 0 else -1 for to in ways)
                alone = t > 0 and self._last(label) < t and self.labelled and not self._rests(t - 1, label)
                parent = order[t - 1][label] if alone else -1
                cuts = self.cuts[t][label] if t < len(self.cuts) else ()
                nodes.append(InvariantNode(low, high, parent, silent, spike, cuts))
            out.append(nodes)
        return out
