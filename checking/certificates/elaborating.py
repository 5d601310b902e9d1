"""Make the records of a certificate (proof/2): facts, and leaves at the prices of a short proof (proof/1).

The order of a table's rows that short proofs mean: by the middles of all currents that may give a train.

A split names a current between two rows. Which rows a neuron really has depends on the other currents of its
layer, their middles here do not. They are floats: a split that lies a row off has two sides all the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..certificates import words
from ..kernel.checking import Checker
from ..kernel.invariants import Driven, Invariant, InvariantNode, inductive
from ..kernel.leaves import OpenLeaf
from ..kernel.network import SpikingNode
from ..kernel.neurons import KernelNeuron
from ..kernel.numbers import ONE, Box
from ..kernel.records import Fields
from ..kernel.tables import Train, followed
from ..kernel.whole import WholeNeuron, inductive_whole
from ..network.graph import Mean
from ..network.graph import Spikes as DescribedSpikes
from ..network.neurons import Described
from ..refusal import Refused
from ..short import LEAF, Narrowing
from .invariants import cells_of, levels_of, pairs_of
from .layers import FloatLayers, FloatNarrowing, priced
from .potentials import PotentialMaker, prices_of
from .whole import rows_of, states_of
from .words import lower, near, upper


def row_middles(
    neuron: KernelNeuron, trains: Sequence[Train], negative: Sequence[bool], reach: float
) -> np.ndarray:
    """Return the middle of the currents that may give each train, within `reach` and of one sign, (R,)."""
    decay, drop, over, under, unit, tiny = (
        value / ONE for value in (neuron.decay, neuron.drop, neuron.high, neuron.low, neuron.unit, neuron.tiny)
    )
    fires, below = np.array(trains, dtype=bool), np.array(negative, dtype=bool)
    low, high = np.where(below, -reach, 0.0), np.where(below, 0.0, reach)
    alpha, beta, error = np.zeros((3, len(below)))
    follows = np.ones(len(below), dtype=bool)  # behind a first spike that repeats itself nothing cuts
    waits, raised = np.zeros(len(below), dtype=int), np.zeros(len(below))
    for a, spike in zip((a / ONE for a in neuron.scale), fires.T, strict=True):
        kept, awake, waits = (alpha, beta, error), waits == 0, np.where(spike, neuron.rest, (waits - 1).clip(0))
        most = np.maximum(abs(low), abs(high))
        size = abs(alpha) * most + abs(beta) + error
        error = decay * error + unit * (decay * size + abs(a) * most) + tiny
        alpha, beta = decay * alpha + a, decay * beta
        limit = np.where(spike, beta + error - under, over + error - beta)
        limit += np.where(spike, -1.0, 1.0) * neuron.raises / ONE * raised
        raised = neuron.fading / ONE * raised + spike
        slope = np.where(spike, -alpha, alpha)
        with np.errstate(divide="ignore", invalid="ignore"):
            end = limit / slope
        cuts = follows & awake
        high = np.where(cuts & (slope > 0), np.minimum(high, end), high)
        low = np.where(cuts & (slope < 0), np.maximum(low, end), low)
        if neuron.reset == "subtract":
            size = abs(alpha) * np.maximum(abs(low), abs(high)) + abs(beta) + error
            error = np.where(spike, error + unit * (size + drop) + tiny, error)
            beta = np.where(spike, beta - drop, beta)
        elif neuron.reset == "zero":
            alpha, beta, error = (np.where(spike, 0.0, part) for part in (alpha, beta, error))
            follows &= ~(spike & neuron.periodic)
            alpha, beta, error = (np.where(awake, *each) for each in zip((alpha, beta, error), kept, strict=True))
    return (low + high) / 2


PAIRED = 8
"""By how much the side of a pair's square grows until it suffices."""
MOST_ROWS = 4096
"""Of a table: a layer whose neurons have more trains has invariants instead."""

Claimed = tuple[Driven, list[list[InvariantNode]]]


class ShortLeaf(NamedTuple):
    """What a short proof says at a leaf.

    Attributes:
        prices: of each spiking layer, first layer first: (n,) where it has a table, else (n, T); None: 0.
        narrowing: what narrows the first layer's currents.
        row: which one of its clause it bounds.
    """

    prices: Sequence[np.ndarray | None]
    narrowing: Narrowing | None = None
    row: int = 0


class Elaborator:
    """A certificate in the making; the kernel's own state says what holds where.

    Args:
        checker: that state.
        cells, side: how many cells a neuron that subtracts may have, and a pair's square's longest side; 0: none.
        joint: whether rules of several neurons at once (J, D) are used.
        tight: the neurons that get windows even where these decide no spike, (n,) a layer; None: all.
        narrows: whether multipliers are to come.
        bounds: whether what leaves prove is found, too: then they are not for a certificate, but asked about.
    """

    def __init__(
        self,
        checker: Checker,
        cells: int = 0,
        side: int = 0,
        *,
        joint: bool = True,
        tight: dict[int, np.ndarray] | None = None,
        narrows: bool = False,
        bounds: bool = False,
    ) -> None:
        self.checker, self.context, self.nodes = checker, checker.context, checker.nodes
        self.cells, self.side, self.joint, self.bounds = cells, side, joint, bounds
        self.layers = [place for place, node in enumerate(self.nodes.nodes) if isinstance(node, SpikingNode)]
        self.split_at: dict[int, list[float]] = {}
        self.known: dict[int, list[object]] = {
            place: [None] * self.nodes.spiking(place).width for place in self.layers
        }  # what invariants follow from
        self.claimed: dict[int, list[Claimed | None]] = {
            place: [None] * len(self.known[place]) for place in self.layers
        }
        widths = {place: self.nodes.spiking(place).width for place in self.layers}
        tight = {place: np.ones(n, dtype=bool) for place, n in widths.items()} if tight is None else tight
        self.floats = FloatLayers(self.context, tight, self._windowed) if self._plain() else None
        self.narrowing = FloatNarrowing.of(self.context, self.layers[0]) if narrows else None

    @property
    def counted(self) -> int | None:
        """Return the layer whose spikes are counted, if pairs of its neurons have cells."""
        return self.layers[-1] if self.joint and self.may_count else None

    @property
    def may_count(self) -> bool:
        """Return whether pairs of neurons of the last layer may have cells."""
        return bool(self.side and self._counts)

    @property
    def shared(self) -> bool:
        """Return whether rules of several neurons at once may say anything."""
        return self.may_count or any(map(self._summing, self.layers))

    @property
    def may_say_more(self) -> bool:
        """Return whether rules of several neurons at once, or windows of all neurons, may."""
        return self.shared or any(
            self._windowed(place) for place in self.layers if place not in self.context.tables
        )

    @property
    def _counts(self) -> bool:
        place = self.layers[-1]
        last, node = self.nodes.graph.nodes[-1], self.nodes.spiking(place)
        counts = isinstance(last, Mean) and last.source == place and node.heard is None
        return counts and self.celled(place) and self.checker.goal.label is not None

    def _plain(self) -> bool:
        """Return whether floats find invariants: nothing has cells, hears itself, or reads budgets."""
        nodes = [(place, self.nodes.spiking(place)) for place in self.layers]
        other = any(
            self.celled(place) or node.heard is not None or node.neuron.rest or node.neuron.raises
            for place, node in nodes
        )
        return not other and self.nodes.entering is None and self.checker.network.whole is None

    def celled(self, place: int) -> bool:
        """Return whether a layer's neurons have cells, where they have no table."""
        neuron = self.nodes.spiking(place).neuron
        if self.nodes.spiking(place).whole is not None:
            return False
        return bool(self.cells) and neuron.reset == "subtract" and neuron.decay > 0 and not neuron.raises

    def facts(self) -> Iterator[str]:
        """Yield what holds outside of all trees."""
        for place in self.layers:
            if self.nodes.spiking(place).constant:
                yield from self._table(place)
        for place in self.layers:
            yield from self._through(place)
        yield from self._invariants({place: set(range(self.nodes.spiking(place).width)) for place in self.layers})

    def described(self, place: int) -> Described:
        """Return the neurons at a place as they are read."""
        node = self.nodes.graph.nodes[place]
        assert isinstance(node, DescribedSpikes)
        assert isinstance(node.neuron, Described)
        return node.neuron

    def said(self, record: str) -> str:
        """Return a record that the kernel's state has taken."""
        first, *rest = record.split()
        self.checker._take(first, Fields(rest))
        return record

    # ---- facts -----------------------------------------------------------------------------------
    def _table(self, place: int) -> Iterator[str]:
        """Yield the table of a layer with constant currents, unless it is too long: rows by train and sign."""
        found: dict[tuple[Train, bool], Box] = {}
        currents, node = self.context.nodes_currents(place), self.nodes.spiking(place)
        if node.whole is not None:
            yield from self._whole_table(place, node.whole, currents)
            return
        neuron = node.neuron
        for train, (low, high) in followed(neuron, currents):
            name = train, low + high < 0
            old = found.get(name, (low, high))
            found[name] = min(old[0], lower(low, 80)), max(old[1], upper(high, 80))
            if len(found) > MOST_ROWS:
                return
        reach = max(max(map(abs, box)) for box in currents)
        trains, negative = zip(*found, strict=True)
        middles = row_middles(neuron, trains, negative, reach / ONE).tolist()
        rows = sorted(zip(middles, trains, found.values(), strict=True))
        self.split_at[place] = [middle for middle, *_ in rows]
        yield self.said(words.table(place, [(train, box) for _, train, box in rows]))

    def _whole_table(self, place: int, neuron: WholeNeuron, currents: list[Box]) -> Iterator[str]:
        """Yield the table of whole neurons; none where some current wraps, which part of the set may not have."""
        with suppress(Refused):
            rows = rows_of(neuron, currents)
            if rows is not None:
                yield self.said(words.table(place, rows, ","))

    def _summing(self, place: int) -> list[KernelNeuron]:
        """Return neurons with tables before a layer that sums spikes up as one of these counts what they took."""
        node = self.nodes.spiking(place)
        plain = self.celled(place) and set(node.neuron.scale) == {ONE} and node.heard is None
        plain = plain and place not in self.context.tables
        before = (self.nodes.spiking(other) for other in self.layers if other < place and plain)
        alike = [other.neuron for other in before if other.constant and other.neuron.decay == node.neuron.decay]
        return [neuron for neuron in alike if neuron.reset == "subtract" and neuron.drop]

    def _through(self, place: int) -> Iterator[str]:
        """Yield multipliers where a layer sums spikes up as one with a table counts what they took (F9a)."""
        alike = self._summing(place) if self.joint else []
        if alike:
            node, gains, filtered = self.nodes.spiking(place), list[int](), 0.0
            for a in alike[0].scale:
                filtered = node.neuron.decay / ONE * filtered + a / ONE
                gains.append(near(filtered * ONE / alike[0].drop))
            yield self.said(f"through {place} {words.words(gains)}")

    def _invariants(self, wanted: dict[int, set[int]]) -> Iterator[str]:
        """Yield invariants of some neurons of each layer, where their currents are not what they were."""
        for place in self.layers:
            if place not in self.context.tables:
                yield from self._settled(place, sorted(wanted[place]))

    def _settled(self, place: int, neurons: list[int]) -> Iterator[str]:
        """Yield invariants of one layer; where it hears itself again and again, until they say nothing new."""
        if self.floats is not None:
            yield from self.floats.graphs(place, neurons)
            return
        loops = self.nodes.spiking(place).heard is not None
        for _ in range(self.checker.network.steps if loops else 1):
            records = [record for j in neurons for record in self._invariant(place, j)]
            yield from records
            if not records:
                return

    def _invariant(self, place: int, j: int) -> Iterator[str]:
        if self.context.empty[0]:
            return
        driven = self.checker._driven(place, j)
        celled = self.celled(place)
        asked = range(1, self.checker.network.steps + 1) if celled or self._windowed(place) else ()
        known = driven.boxes, driven.bits, [driven.window(0, t) for t in asked]
        if known == self.known[place][j]:
            return
        whole = self.nodes.spiking(place).whole
        if whole is not None:
            yield from self._whole(place, j, (whole, driven), known)
            return
        if celled:
            levels, bits = cells_of(driven, self.cells)
        else:
            levels, bits = levels_of(driven, windows=self._windowed(place)), None
        self.context.set(self.claimed[place], j, (driven, levels), place)
        self.context.set(self.context.invariants[place], j, None, place)
        if bits is None or any(least != most for least, most in bits):
            bits = self._invariant_of(place, j).bits
        self.context.set(self.context.bits[place], j, bits, place)
        self.context.set(self.known[place], j, (*known[:1], bits, *known[2:]), place)
        if any(least > most for least, most in bits):
            self.context.set(self.context.empty, 0, True, place)
        yield words.graph(place, j, levels)

    def _whole(self, place: int, j: int, given: tuple[WholeNeuron, Driven], known: object) -> Iterator[str]:
        """Yield the invariant of a whole neuron; none where it may wrap, which part of the set may not do."""
        try:
            levels = states_of(*given, self._windowed(place))
        except Refused:
            return
        found = inductive_whole(*given, levels)
        self.context.set(self.context.invariants[place], j, found, place)
        self.context.set(self.context.bits[place], j, found.bits, place)
        self.context.set(self.known[place], j, known, place)
        if found.empty:
            self.context.set(self.context.empty, 0, True, place)
        yield words.states(place, j, levels)

    def _invariant_of(self, place: int, j: int) -> Invariant:
        """Return what was claimed of a neuron as the kernel sees it, once it is asked for."""
        found = self.context.invariants[place][j]
        if found is None:
            claimed = self.claimed[place][j]
            assert claimed is not None
            found = inductive(*claimed)
            self.context.set(self.context.invariants[place], j, found, place)
        return found

    def _windowed(self, place: int) -> bool:
        """Return whether windows may say more than their steps: a table comes before, or changes share budgets."""
        return self.nodes.entering is not None or any(before < place for before in self.context.tables)

    # ---- leaves ----------------------------------------------------------------------------------
    def split(self, neuron: int, current: float) -> str:
        """Return a split: of the first layer, at a current between two rows or at a step; or of an input."""
        place = self.layers[0]
        _finite(np.array(current), "a split")
        events = self.nodes.entering is not None
        if neuron < LEAF and (events or self.checker.network.whole is not None):
            i, t = divmod(LEAF - 1 - neuron, max(map(len, self.context.inputs)))
            if events:
                return self.said(f"event {i} {t}")
            return self.said(f"input {i} {t} {words.word(int(current) * ONE)}")
        if not 0 <= neuron < self.nodes.spiking(place).width:
            raise Refused(f"splits neuron {neuron}, expected one of {self.nodes.spiking(place).width}")
        steps = self.checker.network.steps
        if place not in self.context.tables and current not in range(steps):
            raise Refused(f"splits step {current:g}, expected one of {steps}")
        if place not in self.context.tables:
            return self.said(f"spike {place} {neuron} {int(current)}")
        return self.said(f"rows {place} {neuron} {sum(middle <= current for middle in self.split_at[place])}")

    def leaf(self, other: int, given: ShortLeaf) -> Iterator[str]:
        """Yield a leaf."""
        prices = self._stated_prices(given)
        yield from self._stated(given, prices)
        if self.context.empty[0]:
            yield self.said("empty")
            return
        yield self.said(self._begun(other, given))
        yield from self._records(other, given, prices)
        yield "close"
        self.checker._done()

    def proves(self, other: int, given: ShortLeaf) -> bool:
        """Return whether the kernel will close a leaf here; what follows is stated, and not taken back."""
        assert self.bounds
        prices = self._stated_prices(given)
        for _ in self._stated(given, prices):
            pass
        if self.context.empty[0]:
            return True
        self.said(self._begun(other, given))
        records = list(self._records(other, given, prices))
        return self._closes(other, given, records) if self.counted is not None else self._suffices()

    def _begun(self, other: int, given: ShortLeaf) -> str:
        """Return the record of a leaf: it names its row where there are several."""
        return f"leaf {given.row}" if len(self.checker.goal.rows(other)) > 1 else "leaf"

    def _stated(self, given: ShortLeaf, prices: dict[int, list[list[int]]]) -> Iterator[str]:
        """Yield what more holds at a leaf."""
        if given.narrowing is not None:
            _check(given.narrowing, self.nodes.spiking(self.layers[0]).width)
        if not self.context.empty[0] and given.narrowing is not None:
            if self.narrowing is None:
                yield self.said(self._narrowed(given.narrowing))
            elif told := self.narrowing.told(
                given.narrowing, np.array([own[0] != 0 for own in prices[self.layers[0]]])
            ):
                yield words.narrowing(self.layers[0], told)
        if not self.context.empty[0]:
            yield from self._invariants({place: self._open(place, prices[place]) for place in self.layers})

    def _records(self, other: int, given: ShortLeaf, prices: dict[int, list[list[int]]]) -> Iterator[str]:
        """Yield what bounds a leaf: prices, or where these do not do, a pair of neurons that are counted."""
        assert self.checker.leaf is not None
        leaf = self.checker.leaf
        bounds = (
            record for place in reversed(self.layers) for record in self._bounded(leaf, place, prices[place])
        )
        if self.counted is None:
            yield from bounds
            return
        records, counted = list(bounds), self.counted
        for side in range(PAIRED, self.side + PAIRED, PAIRED):
            if self._closes(other, given, records):
                break
            assert self.checker.goal.label is not None
            pair = self.checker.goal.label, other
            strips = self.checker._strips(counted, *pair)
            driven = self.checker._driven(counted, pair[0]), self.checker._driven(counted, pair[1])
            records = [words.pair(counted, *pair, pairs_of(driven, strips, min(side, self.side)))]
        yield from records

    def _closes(self, other: int, given: ShortLeaf, records: list[str]) -> bool:
        """Return whether these bounds suffice: the leaf begins anew."""
        self.checker.leaf = None
        self.said(self._begun(other, given))
        for record in records:
            self.said(record)
        return self._suffices()

    def _suffices(self) -> bool:
        assert self.checker.leaf is not None
        return self.checker.row.follows(Fraction(self.checker.leaf.bound(), ONE))

    def _open(self, place: int, prices: list[list[int]]) -> set[int]:
        """Return the neurons of a layer that are worth another invariant: undecided, or priced."""
        bits = self.context.bits[place]
        return {j for j, own in enumerate(prices) if any(own) or any(least < most for least, most in bits[j])}

    def _narrowed(self, narrowing: Narrowing) -> str:
        count, slabs = len(narrowing.neurons), narrowing.slabs.tolist()
        rows = [
            {k: near(float(nu), 80) for k, nu in zip(slabs, row, strict=True)} for row in narrowing.multipliers
        ]
        signs = [(int(m), sign) for sign in (1, -1) for m in narrowing.neurons] + [(0, 0)]
        assert len(rows) == 2 * count + 1
        return words.narrowing(
            self.layers[0], [(m, sign, row) for (m, sign), row in zip(signs, rows, strict=True)]
        )

    def _stated_prices(self, given: ShortLeaf) -> dict[int, list[list[int]]]:
        """Return prices on what comes into each layer, one a neuron with a table, elsewhere (n, T)."""
        return {place: self._on(place, own) for place, own in zip(self.layers, given.prices, strict=True)}

    def _on(self, place: int, given: np.ndarray | None) -> list[list[int]]:
        width, steps = self.nodes.spiking(place).width, 1
        if place not in self.context.tables:
            steps = self.checker.network.steps
        if given is None:
            return [[0] * steps for _ in range(width)]
        if given.size != width * steps:
            many = self.nodes.spiking(place).constant and given.size == width
            told = f"unknown: no proof form for a neuron with more than {MOST_ROWS} trains"
            raise Refused(told if many else "has prices of sizes that do not fit")
        own = _finite(given, "a price").reshape(width, steps)
        if place not in self.context.tables:
            own = own * self.powers(place)
        return [[near(price) for price in row] for row in own.tolist()]

    def powers(self, place: int) -> np.ndarray:
        """Return what a short proof's prices are over at each step of a layer without a table: Λ without cells."""
        steps, decay = self.checker.network.steps, float(self.described(place).decay)
        return np.ones(steps) if self.celled(place) or decay == 0 else decay ** np.arange(steps - 1, -1, -1)

    def _bounded(self, leaf: OpenLeaf, place: int, prices: list[list[int]]) -> Iterator[str]:
        """Yield what bounds the neurons of a layer."""
        leaf.descend(place)
        if place in self.context.tables:
            yield from self._by_rows(leaf, place, [own for (own,) in prices])
        else:
            yield from (self._by_paths if self.floats is None else self.floats.bounded)(leaf, place, prices)
        if not self.bounds:  # then what the others cost is not asked
            leaf.open.clear()

    def _by_rows(self, leaf: OpenLeaf, place: int, prices: list[int]) -> Iterator[str]:
        for j, price in enumerate(prices):
            if price and self.bounds:
                leaf.price(place, j, price)
            elif price:
                leaf.costs.add(self.nodes.spiking(place).source, 0, j, price)
            if price:
                yield f"price {place} {j} {words.word(price)}"

    def _by_paths(self, leaf: OpenLeaf, place: int, prices: list[list[int]]) -> Iterator[str]:
        neuron = self.nodes.spiking(place).neuron
        if self.nodes.spiking(place).heard is not None:
            for j, own in enumerate(prices):
                if any(own):
                    yield self.said(f"heard {place} {j} {words.words(prices_of(neuron, own))}")
        for j, own in enumerate(prices):
            if any(own) or (any(leaf.open[j]) and self._undecided(place, j)):
                invariant = self._invariant_of(place, j)
                yield from priced(leaf, place, j, PotentialMaker(neuron, invariant, leaf.taken(place, j), own))

    def _undecided(self, place: int, j: int) -> bool:
        return any(least < most for least, most in self.context.bits[place][j])


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    """Return numbers as float64.

    Raises:
        Refused: for NaN or inf.
    """
    if not np.isfinite(values).all():
        raise Refused(f"{name}: got NaN or inf")
    return values.astype(np.float64)


def _check(narrowing: Narrowing, width: int) -> None:
    """Refuse multipliers about neurons that are not there, or that are no numbers."""
    _finite(narrowing.multipliers, "a multiplier")
    for part in (narrowing.neurons, narrowing.slabs):
        if part.dtype.kind != "i" or (part < 0).any() or (part >= width).any():
            raise Refused(f"a leaf's multipliers are about a neuron that is none of {width}")
