"""Make a certificate (proof/2) from a short proof (proof/1), leaf by leaf: it is streamed, never held."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..claims import Claim, read_claim
from ..kernel.certificates import opening
from ..kernel.checking import Checker
from ..kernel.invariants import inductive
from ..kernel.leaves import OpenLeaf
from ..kernel.network import KernelNodes, SpikingNode
from ..kernel.neurons import KernelNeuron
from ..kernel.numbers import ONE, Box
from ..kernel.records import Fields
from ..kernel.tables import Train, followed
from ..narrowing import Narrowing, read_narrowings
from ..network.files import Content, read
from ..network.graph import Mean, arrange
from ..network.graph import Spikes as DescribedSpikes
from ..network.model import Network
from ..network.neurons import Neuron as Described
from ..proof import FORMAT, LEAF, MOST_CELLS
from ..refusal import Refused
from ..ties import suffices
from ..trains.tables import TooLong
from . import words
from .cells import cells_of
from .invariants import levels_of
from .layers import FloatLayers
from .narrowing import FloatNarrowing
from .pairs import pairs_of
from .potentials import PotentialMaker, prices_of
from .rows import ShortRows
from .words import lower, near, upper

PAIRED = 8
"""By how much the side of a pair's square grows until it suffices."""
MOST_ROWS = 4096
"""Of a table: a layer whose neurons have more trains has invariants instead."""


def elaborate(proof: str | Path, network: Network, native: bool = False) -> Iterator[str]:
    """Yield the lines of a certificate.

    Args:
        proof: a file of format spikecert.proof/1.
        network: as read from its model file.
        native: whether only records are written that the native kernel reads, too.

    Raises:
        Refused: for a file that is none, or is about another network, or what the kernel has no rule for.
    """
    content = read(Path(proof), FORMAT)
    try:
        claim = read_claim(content.text, content.tensors, network)
        yield from Elaborator.of(content, claim, network, native).lines()
    except Refused:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AssertionError, OverflowError, RecursionError) as error:
        raise Refused(f"lacks a part of the proof, or has one of another size: {error}") from error


def whole_cells(given: object) -> int:
    """Return how many cells a short proof asks for."""
    if not isinstance(given, int) or not 0 <= given <= MOST_CELLS:
        raise Refused(f"cells: got {str(given)[:20]!r}, expected 0 to {MOST_CELLS}")
    return given


class Elaborator:
    """A proof in the making; the kernel's own state says what holds where."""

    def __init__(self, content: Content, claim: Claim, checker: Checker, native: bool) -> None:
        self.content, self.claim, self.checker = content, claim, checker
        self.context, self.nodes = checker.context, checker.nodes
        self.layers = [place for place, node in enumerate(self.nodes.nodes) if isinstance(node, SpikingNode)]
        self.split_at: dict[int, list[Fraction]] = {}
        self.known: dict[int, list[object]] = {
            place: [None] * self.nodes.spiking(place).width for place in self.layers
        }  # what invariants follow from
        self.cells, self.side = (whole_cells(content.text.get(name, 0)) for name in ("cells", "side"))
        self.native, self.side = native, 0 if native else self.side

        self.floats = FloatLayers(self.context, self._priced(), self._windowed) if self._plain() else None
        narrows = any(".narrow." in name for name in content.tensors)
        self.narrowing = FloatNarrowing.of(self.context, self.layers[0]) if narrows else None

    @property
    def counted(self) -> int | None:
        """Return the layer whose spikes are counted, if pairs of its neurons have cells."""
        place = self.layers[-1]
        last, node = self.nodes.graph.nodes[-1], self.nodes.spiking(place)
        counts = isinstance(last, Mean) and last.source == place and node.heard is None
        return place if self.side and self.cells and counts and node.neuron.reset == "subtract" else None

    def _plain(self) -> bool:
        """Return whether floats find invariants: nothing has cells, hears itself, or reads budgets."""
        nodes = [self.nodes.spiking(place) for place in self.layers]
        other = any(self._celled(node.neuron) or node.heard is not None for node in nodes)
        return not other and self.nodes.entering is None

    def _priced(self) -> dict[int, np.ndarray]:
        """Return whether some leaf has prices on the currents of each neuron of each layer, (n,)."""
        found = {place: np.zeros(self.nodes.spiking(place).width, dtype=bool) for place in self.layers}
        for other in range(self.checker.classes):
            for index, priced in enumerate(found.values()):
                given = self.content.tensors.get(f"{other}.prices.{index}")
                if given is not None:
                    priced |= (given.reshape(len(given), len(priced), -1) != 0).any((0, 2))
        return found

    @staticmethod
    def of(content: Content, claim: Claim, network: Network, native: bool = False) -> "Elaborator":
        """Return one that begins."""
        graph = arrange(network, claim.inputs.shape[1:] if network.timed else claim.inputs.shape)
        nodes = KernelNodes.of(network, graph, claim.inputs)
        checker = Checker(network, nodes, claim.labelled(graph.widths[-1]), claim.ties)
        return Elaborator(content, claim, checker, native)

    def lines(self) -> Iterator[str]:
        """Yield all lines."""
        text = {name: part for name, part in self.content.text.items() if name not in ("cells", "side")}
        sets = {"sample", "radius"} | self.content.tensors.keys() & {"flips.where", "shifts.where"}
        yield from opening(text, {name: part for name, part in self.content.tensors.items() if name in sets})
        for place in self.layers:
            if self.nodes.spiking(place).constant:
                yield from self._table(place)
        for place in self.layers:
            yield from self._through(place)
        yield from self._invariants({place: set(range(self.nodes.spiking(place).width)) for place in self.layers})
        for other in range(self.checker.classes):
            if other != self.checker.label:
                yield from self._tree(other)

    def described(self, place: int) -> Described:
        """Return the neurons at a place as they are read."""
        node = self.nodes.graph.nodes[place]
        assert isinstance(node, DescribedSpikes)
        return node.neuron

    def _said(self, record: str) -> str:
        """Return a record that the kernel's state has taken."""
        first, *rest = record.split()
        self.checker._take(first, Fields(rest))
        return record

    # ---- facts -----------------------------------------------------------------------------------
    def _table(self, place: int) -> Iterator[str]:
        """Yield the table of a layer with constant currents, unless it is too long: rows by train and sign."""
        found: dict[tuple[Train, bool], Box] = {}
        currents = self.context.nodes_currents(place)
        for train, (low, high) in followed(self.nodes.spiking(place).neuron, currents):
            name = train, low + high < 0
            old = found.get(name, (low, high))
            found[name] = min(old[0], lower(low, 80)), max(old[1], upper(high, 80))
            if len(found) > MOST_ROWS:
                return
        try:
            order = ShortRows.of(self.described(place), currents, self.checker.network.arithmetic)
        except TooLong:  # then the short proof splits no rows either
            return
        rows = sorted((order.place(train, box), sum(box), train, box) for (train, _), box in found.items())
        self.split_at[place] = [order.middles[place] for place, *_ in rows]
        yield self._said(words.table(place, [(train, box) for *_, train, box in rows]))

    def _through(self, place: int) -> Iterator[str]:
        """Yield multipliers where a layer sums spikes up as one with a table counts what they took (F9a)."""
        node = self.nodes.spiking(place)
        alike = [
            before
            for before in (self.nodes.spiking(other).neuron for other in self.context.tables)
            if (before.reset, before.decay) == ("subtract", node.neuron.decay) and before.drop
        ]
        summing = self._celled(node.neuron) and set(node.neuron.scale) == {ONE} and node.heard is None
        if alike and summing and place not in self.context.tables and not self.native:
            gains, filtered = [], 0.0
            for a in alike[0].scale:
                filtered = node.neuron.decay / ONE * filtered + a / ONE
                gains.append(near(filtered * ONE / alike[0].drop))
            yield self._said(f"through {place} {words.words(gains)}")

    def _celled(self, neuron: KernelNeuron) -> bool:
        return bool(self.cells) and neuron.reset == "subtract" and neuron.decay > 0

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
        celled = self._celled(driven.neuron)
        asked = range(1, self.checker.network.steps + 1) if celled or self._windowed(place) else ()
        known = driven.boxes, driven.bits, [driven.window(0, t) for t in asked]
        if known == self.known[place][j]:
            return
        levels = cells_of(driven, self.cells) if celled else levels_of(driven, windows=self._windowed(place))
        found = inductive(driven, levels)
        self.context.set(self.context.invariants[place], j, found, place)
        self.context.set(self.context.bits[place], j, found.bits, place)
        self.context.set(self.known[place], j, (*known[:1], found.bits, *known[2:]), place)
        if found.empty:
            self.context.set(self.context.empty, 0, True, place)
        yield words.graph(place, j, levels)

    def _windowed(self, place: int) -> bool:
        """Return whether windows may say more than their steps: a table comes before, or changes share budgets."""
        return self.nodes.entering is not None or any(before < place for before in self.context.tables)

    # ---- trees -----------------------------------------------------------------------------------
    def _tree(self, other: int) -> Iterator[str]:
        tensors = self.content.tensors
        neurons, currents = tensors[f"{other}.neuron"].tolist(), tensors[f"{other}.current"].tolist()
        narrowings = read_narrowings(tensors, other, neurons.count(LEAF))
        yield self._said(f"class {other}")
        leaf = 0
        for neuron, current in zip(neurons, currents, strict=True):
            if neuron == LEAF:
                yield from self._leaf(other, leaf, narrowings[leaf])
                leaf += 1
            else:
                yield self._said(self._split(neuron, current))

    def _split(self, neuron: int, current: float) -> str:
        place = self.layers[0]
        if place not in self.context.tables:
            return f"spike {place} {neuron} {int(current)}"
        return f"rows {place} {neuron} {sum(middle <= Fraction(current) for middle in self.split_at[place])}"

    def _leaf(self, other: int, index: int, narrowing: Narrowing | None) -> Iterator[str]:
        prices = {place: self._prices(other, index, place) for place in self.layers}
        if not self.context.empty[0] and narrowing is not None:
            if self.narrowing is None:
                yield self._said(self._narrowed(narrowing))
            elif told := self.narrowing.told(narrowing, np.array([own[0] != 0 for own in prices[self.layers[0]]])):
                yield words.narrowing(self.layers[0], told)
        if not self.context.empty[0]:
            yield from self._invariants({place: self._open(place, prices[place]) for place in self.layers})
        if self.context.empty[0]:
            yield self._said("empty")
            return
        yield self._said("leaf")
        yield from self._records(other, prices)
        yield "close"
        self.checker._done()

    def _records(self, other: int, prices: dict[int, list[list[int]]]) -> Iterator[str]:
        """Yield what bounds a leaf: prices, or where these do not do, a pair of neurons that are counted."""
        assert self.checker.leaf is not None
        bounded = self._bounded if self.floats is None else self.floats.bounded
        bounds = (
            record
            for place in reversed(self.layers)
            for record in bounded(self.checker.leaf, place, prices[place])
        )
        if self.counted is None:
            yield from bounds
            return
        records, counted = list(bounds), self.counted
        for side in range(PAIRED, self.side + PAIRED, PAIRED):
            if self._closes(other, records):
                break
            pair = self.checker.label, other
            strips = self.checker._strips(counted, *pair)
            driven = self.checker._driven(counted, pair[0]), self.checker._driven(counted, pair[1])
            records = [words.pair(counted, *pair, pairs_of(driven, strips, min(side, self.side)))]
        yield from records

    def _closes(self, other: int, records: list[str]) -> bool:
        """Return whether these bounds suffice."""
        self.checker._begin(Fields([]))
        assert self.checker.leaf is not None
        for record in records:
            self._said(record)
        bound = Fraction(self.checker.leaf.bound(), ONE)
        return suffices(self.nodes.graph, self.checker.label, other, bound, self.checker.ties)

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

    def _prices(self, other: int, index: int, place: int) -> list[list[int]]:
        """Return a leaf's prices on what comes into a layer, one a neuron with a table, elsewhere (n, T)."""
        node, given = (
            self.nodes.spiking(place),
            self.content.tensors.get(f"{other}.prices.{self.layers.index(place)}"),
        )
        steps = 1 if place in self.context.tables else self.checker.network.steps
        if given is None:
            return [[0] * steps for _ in range(node.width)]
        own = given[index].reshape(node.width, -1).astype(np.float64)
        if place not in self.context.tables:
            neuron = self.described(place)
            decay, celled = (
                float(neuron.decay),
                bool(self.content.text.get("cells")) and neuron.reset == "subtract",
            )
            powers = np.ones(steps) if celled or decay == 0 else decay ** np.arange(steps - 1, -1, -1)
            own = own * powers
        return [[near(price) for price in row] for row in own.tolist()]

    def _bounded(self, leaf: OpenLeaf, place: int, prices: list[list[int]]) -> Iterator[str]:
        """Yield what bounds the neurons of a layer."""
        neuron = self.nodes.spiking(place).neuron
        if self.nodes.spiking(place).heard is not None:
            for j, own in enumerate(prices):
                if any(own):
                    yield self._said(f"heard {place} {j} {words.words(prices_of(neuron, own))}")
        for j, own in enumerate(prices):
            costs = leaf.taken(place, j)
            if place in self.context.tables:
                if own[0]:
                    yield f"price {place} {j} {words.word(own[0])}"
                leaf.costs.add(self.nodes.spiking(place).source, 0, j, own[0])
                continue
            invariant = self.context.invariants[place][j]
            if invariant is None or not (any(own) or (any(costs) and self._undecided(place, j))):
                continue
            maker = PotentialMaker(neuron, invariant, costs, own)
            yield words.potential(place, j, maker.prices, maker.levels())
            leaf.potential(place, j, maker.prices, 0)

    def _undecided(self, place: int, j: int) -> bool:
        return any(least < most for least, most in self.context.bits[place][j])
