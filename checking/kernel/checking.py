"""Check a certificate (proof/2), record by record: the claim, the facts, each clause's tree and its leaves.

Of a class there is a clause for each other class. A split's two sides hold all that their node held, so the leaves
of a complete tree hold every run. What is refused says where: the record's number, its word and its neuron.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache, partial

from ..claims import Claim
from ..conclusions import Conclusion, Conclusions
from ..network.integers import IntegerNeuron
from ..network.model import Network
from ..refusal import Refused
from ..work import EACH, grant, hold, spend
from . import records
from .contexts import Context, Window
from .invariants import Driven, inductive
from .leaves import OpenLeaf, PulledCosts
from .narrowing import LinearForm, narrow
from .network import KernelNodes
from .neurons import KernelNeuron
from .numbers import GRID, ONE, Box, above, below, regrid, times
from .potentials import feasible
from .records import Fields
from .tables import cheapest, checked
from .whole import checked_whole, inductive_whole

Side = Callable[[], None]
MOST_OPEN = 1 << 12
"""How many splits may wait for their second sides at once."""


class Checker:
    """The state between records.

    Attributes:
        context: what holds in the present part of the tree.
        goal: what is to be shown; row: what the leaf in the making bounds; readings: of the graph, rounded down.
        stack: what is still to come: where to go back to, and what the other side of a split states.
        other: the clause whose tree is in the making.
        margins: the least bound of each clause that is done, on the grid over the readout's unit.
    """

    def __init__(self, network: Network, nodes: KernelNodes, goal: Conclusions) -> None:
        self.network, self.nodes, self.goal = network, nodes, goal
        self.context = Context(nodes, network.steps)
        self.stack: list[tuple[int, Side]] = []
        self.margins: dict[int, int | None] = {}
        self.leaves = 0
        self.other: int | None = None
        self.leaf: OpenLeaf | None = None
        self.row = Conclusion(())
        self.readings = [[below(weight) for weight in reading] for reading in nodes.graph.readings]
        self._windows: dict[tuple[int, int, int], Window] = {}
        self._gains: dict[int, list[int]] = {}
        self._forms: dict[tuple[int, tuple[int, ...]], LinearForm] = {}

    @staticmethod
    def of(network: Network, claim: Claim) -> "Checker":
        """Return one that begins.

        Raises:
            Refused: for a claim about another network, or what the kernel has no rule for.
        """
        nodes = KernelNodes.over(network, claim.inputs)
        return Checker(network, nodes, claim.concluded(nodes.graph))

    def check(self, lines: Iterable[str], work: float | None = None) -> None:
        """Take all records; each allows so many times the work of its bytes; None: they are made meanwhile.

        Raises:
            Refused: for the first that is wrong, or where some are missing.
        """
        for index, line in enumerate(lines):
            words = line.split()
            grant(int(EACH * len(line) * (work or 0)))
            if not words:
                continue
            try:
                self._take(words[0], Fields(words[1:]))
            except Refused as error:
                if work is None:
                    raise
                raise Refused(f"record {index + 1} ({' '.join(words[:3])[:40]}): {error}") from error
        missing = set(self.goal.clauses) - self.margins.keys()
        if self.stack or self.leaf is not None or self.other is not None or missing:
            raise Refused("the certificate is cut short: a part of a tree, or a class, is missing")

    def _take(self, word: str, fields: Fields) -> None:
        if self.leaf is None:
            known = {
                "table": self._table, "graph": self._graph, "narrow": self._narrow, "class": self._class,
                "rows": self._rows, "spike": self._spike, "leaf": self._begin, "empty": self._empty,
                "through": self._through, "input": self._input, "event": self._event,
            }  # fmt: skip
        else:
            known = {
                "heard": self._heard,
                "potential": self._potential,
                "pair": self._pair,
                "price": self._price,
                "close": self._close,
            }
        if word not in known:
            raise Refused("is no record that may stand here")
        known[word](fields)
        fields.end()

    # ---- facts -----------------------------------------------------------------------------------
    def _table(self, fields: Fields) -> None:
        place = fields.whole()
        node = self.nodes.spiking(place)
        if place in self.context.tables or not node.constant or self.other is not None or self.margins:
            raise Refused("has a table, or has currents that change, or a tree has begun")
        rows, currents = records.rows(fields, node.whole is not None), self.context.nodes_currents(place)
        if node.whole is None:
            table = checked(node.neuron, rows, currents)
        else:
            table = checked_whole(node.whole, rows, currents)
        self.context.give_table(place, table)

    def _graph(self, fields: Fields) -> None:
        place, j = fields.whole(), fields.whole()
        node = self.nodes.spiking(place)
        if place in self.context.tables or j >= node.width:
            raise Refused("has a table, or no such neuron")
        if node.whole is None:
            levels, check = records.levels(fields, self.network.steps), inductive
        else:
            levels, check = records.states(fields, self.network.steps), partial(inductive_whole, node.whole)
        if self.context.empty[0]:
            return
        found = check(self._driven(place, j), levels)  # pyright: ignore[reportArgumentType]
        self.context.set(self.context.invariants[place], j, found, place)
        self.context.set(self.context.bits[place], j, found.bits, place)
        if found.empty:
            self.context.set(self.context.empty, 0, True, place)

    def _driven(self, place: int, j: int) -> Driven:
        node, context = self.nodes.spiking(place), self.context
        boxes = [context.current(place, j, context.step(t)) for t in range(self.network.steps)]

        @cache
        def window(a: int, t: int) -> Box:
            asked = self._window(place, node.neuron, a, t)
            low, high = context.current(place, j, asked)
            if a or place not in self._gains:
                return low, high
            least, most = self._form(place, j).spans(context, asked, self._gains[place][t - 1])
            return max(low, least), min(high, most)

        return Driven(node.neuron, boxes, context.sizes.errors(place)[j], window, context.bits[place][j])

    def _window(self, place: int, neuron: KernelNeuron, a: int, t: int) -> Window:
        """Return Σ_{a<k≤t} λ^(t−k)·a[k]·I[k], powers rounded outward."""
        if (place, a, t) not in self._windows:
            spend(8 * (t - a))
            powers = [(ONE, ONE)]
            for _ in range(t - a - 1):
                low, high = powers[-1]
                powers.append((times(neuron.decay, low)[0], times(neuron.decay, high)[1]))
            factors = [
                (min(ends), max(ends))
                for power, scale in zip(reversed(powers), neuron.scale[a:t], strict=True)
                for ends in [[end for one in power for end in times(one, scale)]]
            ]
            self._windows[place, a, t] = Window(a, tuple(factors))
        return self._windows[place, a, t]

    def _form(self, place: int, *signed: int) -> LinearForm:
        """Return the current of one neuron, or how far it is above that of another one, as a sum over spikes."""
        if (place, signed) not in self._forms:
            numbers = dict(zip(signed, (1, -1), strict=False))
            self._forms[place, signed] = LinearForm.of(self.context, self.nodes.spiking(place).source, numbers)
        return self._forms[place, signed]

    def _through(self, fields: Fields) -> None:
        """Take the multipliers by which the windows of a layer from the start are also bounded (rule J)."""
        place = fields.whole()
        if self.nodes.spiking(place).heard is not None:
            raise Refused("hears itself: no sum over spikes of layers before it alone")
        self._gains[place] = [fields.number() for _ in range(self.network.steps)]

    def _narrow(self, fields: Fields) -> None:
        place = fields.whole()
        node = self.nodes.spiking(place)
        found = list(records.bounds(fields))
        if any(k >= node.width for m, _, slabs in found for k in (m, *slabs)):
            raise Refused("has no such neuron")
        if not self.context.empty[0]:
            narrow(self.context, place, found)

    # ---- the tree --------------------------------------------------------------------------------
    def _class(self, fields: Fields) -> None:
        other = fields.whole()
        if self.other is not None or other not in self.goal.clauses or other in self.margins:
            raise Refused("is no class whose tree may begin here")
        self.context.sizes.of(len(self.nodes.nodes) - 1)  # from what holds outside of all trees
        self.other, self.margins[other] = other, None
        self._root = self.context.mark()

    def _inside(self) -> int:
        if self.other is None:
            raise Refused("stands outside of all trees")
        return self.other

    def _rows(self, fields: Fields) -> None:
        self._inside()
        place, j, row = fields.whole(), fields.whole(), fields.whole()
        if place not in self.context.tables or j >= self.nodes.spiking(place).width:
            raise Refused("splits rows of a neuron that has none")
        kept = self.context.rows[place][j]
        sides = [tuple(r for r in kept if (r < row) == before) for before in (True, False)]
        self._split(*(lambda side=side: self.context.leave(place, j, side) for side in sides))

    def _spike(self, fields: Fields) -> None:
        self._inside()
        place, j, step = fields.whole(), fields.whole(), fields.whole(self.network.steps - 1)
        if place in self.context.tables or j >= self.nodes.spiking(place).width:
            raise Refused("splits spikes of a neuron that has rows, or is not there")
        self._split(*(lambda spike=spike: self._fixed(place, j, step, spike) for spike in (0, 1)))

    def _input(self, fields: Fields) -> None:
        self._inside()
        i, t, value = fields.whole(), fields.whole(), fields.number()
        if self.nodes.inputs.order is not None or self.nodes.inputs.changes is not None:
            raise Refused("splits an input of a rate code or a recording, which is none by itself")
        if i >= len(self.context.inputs) or t >= len(self.context.inputs[i]):
            raise Refused("splits an input that is not there")
        low, high = self.context.inputs[i][t]
        whole = self.network.whole is not None
        if whole and value % ONE:
            raise Refused("splits whole inputs at a number that is not whole")
        sides = (low, min(high, value)), (max(low, value + whole * ONE), high)
        self._split(*(lambda side=side: self.context.enter(i, t, side) for side in sides))

    def _event(self, fields: Fields) -> None:
        self._inside()
        i, t = fields.whole(), fields.whole()
        entering = self.context.entering[0]
        if entering is None:
            raise Refused("splits an event where the inputs are no recording whose changes share budgets")
        hold("entries of recordings within each other", entering.entries * (len(self.stack) + 1))
        sides = entering.changes.sides(i, t)
        self._split(*(lambda side=side: self.context.settle(side()) for side in sides))

    def _fixed(self, place: int, j: int, step: int, spike: int) -> None:
        bits = self.context.bits[place][j]
        certain, possible = bits[step]
        kept = (max(certain, 1), possible) if spike else (certain, 0)
        self.context.set(self.context.bits[place], j, (*bits[:step], kept, *bits[step + 1 :]), place)
        if kept[0] > kept[1]:
            self.context.set(self.context.empty, 0, True, place)

    def _split(self, first: Side, *others: Side) -> None:
        """Begin with the first side; the others are to come, one after the other."""
        if others:
            if len(self.stack) == MOST_OPEN:
                raise Refused(f"more than {MOST_OPEN} splits within each other")
            self.stack.append((self.context.mark(), lambda: self._split(*others)))
        first()

    def _done(self) -> None:
        """Go on with the side of a split that is still to come; the class is done where there is none."""
        self.leaves, self.leaf = self.leaves + 1, None
        if self.stack:
            mark, side = self.stack.pop()
            self.context.undo(mark)
            side()
        else:
            self.context.undo(self._root)
            self.other = None

    # ---- leaves ----------------------------------------------------------------------------------
    def _empty(self, fields: Fields) -> None:
        self._inside()
        self._check_wraps()
        if not self.context.empty[0]:
            raise Refused("some run may be left here")
        self._done()

    def _begin(self, fields: Fields) -> None:
        rows = self.goal.rows(self._inside())
        row = self.row = rows[fields.whole(len(rows) - 1) if len(rows) > 1 else 0]
        if self.context.empty[0]:
            raise Refused("no run is left here: a leaf has nothing to bound")
        self._check_wraps()
        self._check_read()
        costs, per = PulledCosts(self.context), int(1 / self.nodes.graph.unit)
        costs.constant += below(row.constant * per)
        for j, factor, reading in row.outputs:
            weights = self.readings[reading]
            for t, weight in enumerate(weights):
                costs.add(len(self.nodes.nodes) - 1, t, j, factor * weight, GRID + row.shift)
            costs.constant -= regrid(abs(factor) * self._slack(j, weights), GRID + row.shift)[1]
        for place, factor in row.inputs:
            costs.add(0, *divmod(place, self.nodes.graph.widths[0]), factor * per, row.shift)
        self.leaf = OpenLeaf(self.context, costs)

    def _check_wraps(self) -> None:
        """Refuse to conclude where some whole neuron has no table and no invariant, which say that none wraps."""
        for place, known in self.context.invariants.items():
            if self.nodes.spiking(place).whole is not None and place not in self.context.tables and None in known:
                raise Refused(f"layer {place}: neuron {known.index(None)} has no invariant, and may wrap")

    def _check_read(self) -> None:
        """Refuse a leaf where potentials of whole numbers that are read may be cut or wrap; else they are sums."""
        final, place, steps = self.network.integrator, len(self.nodes.nodes) - 1, self.network.steps
        if not isinstance(final, IntegerNeuron):
            return
        final.largest(self.context.sizes.of(place)[0].max().fraction(), self.network.arithmetic)
        for t in range(steps):
            for window, most in (
                (self.context.step(t), final.current_top),
                (Window(0, ((ONE, ONE),) * (t + 1)), final.top),
            ):
                ends = self.context.spans(place, window)
                if max(*map(abs, ends.low), *map(abs, ends.high)) > most * ONE:
                    raise Refused(f"a potential that is read, or what it adds up, may pass {most}")

    def _slack(self, logit: int, weights: list[int]) -> int:
        """Return how far a run's sum may be from what the weights make of the run's own spikes, over the unit.

        Weights are off by less than 2^−GRID; potentials add what their steps round.
        """
        size, error = self.context.sizes.of(len(self.nodes.nodes) - 1)
        own = [regrid(int(x), error.shift)[1] for x in error.ints[logit]]  # one, or one a step
        over = zip(own if len(own) > 1 else own * len(weights), weights, strict=True)
        slack = sum(times(x, abs(weight) + 1)[1] for x, weight in over)
        final = self.network.integrator
        if final is None or isinstance(final, IntegerNeuron):
            return slack
        reach = size.max().fraction()
        slip = final.slip_read(reach, self.network.readout, self.network.arithmetic)
        near = 0 if self.network.whole is not None else self.network.steps * (int(reach) + 1)
        return slack + above(slip) + near

    def _potential(self, fields: Fields) -> None:
        assert self.leaf is not None
        place, j = fields.whole(), fields.whole()
        costs = self.leaf.taken(place, j)
        invariant = self.context.invariants[place][j]
        if invariant is None:
            raise Refused("has no invariant")
        prices = [fields.number() for _ in costs]
        given = records.potentials(fields, [len(level) for level in invariant.levels[:-1]])
        node = self.nodes.spiking(place)
        bound = feasible(node.neuron, invariant, costs, prices, given, node.whole is not None)
        self.leaf.potential(place, j, prices, bound)

    def _heard(self, fields: Fields) -> None:
        assert self.leaf is not None
        place, j = fields.whole(), fields.whole()
        self.leaf.hear(place, j, [fields.number() for _ in range(self.network.steps)])

    def _pair(self, fields: Fields) -> None:
        assert self.leaf is not None
        place, one, two = fields.whole(), fields.whole(), fields.whole()
        costs = [self.leaf.taken(place, j) for j in (one, two)]
        levels = records.pairs(fields, self.network.steps)
        if self.nodes.spiking(place).whole is not None:
            raise Refused("a pair is of whole neurons, of which this rule knows nothing")
        pair = self._driven(place, one), self._driven(place, two)
        self.leaf.total += cheapest(pair, self._strips(place, one, two), costs, levels)

    def _strips(self, place: int, one: int, two: int) -> list[Box]:
        """Return where L of one neuron may be above that of another one behind each step."""
        node, steps = self.nodes.spiking(place), self.network.steps
        if node.heard is not None:
            raise Refused("hears itself: no sum over spikes of layers before it alone")
        form, gains = self._form(place, one, two), self._gains.get(place, [0] * steps)
        return [
            form.spans(self.context, self._window(place, node.neuron, 0, t + 1), gain)
            for t, gain in enumerate(gains)
        ]

    def _price(self, fields: Fields) -> None:
        assert self.leaf is not None
        self.leaf.price(fields.whole(), fields.whole(), fields.number())

    def _close(self, fields: Fields) -> None:
        assert self.leaf is not None
        assert self.other is not None
        bound = self.leaf.bound()
        if not self.row.follows(Fraction(bound, 1 << GRID)):
            reached = float(Fraction(bound, 1 << GRID) * self.nodes.graph.unit)
            told = f"a leaf's margin is only proven to be at least {reached:.3g}"
            raise Refused(f"{self.goal.name(self.other)}: {told}")
        least = self.margins[self.other]
        self.margins[self.other] = bound if least is None else min(bound, least)
        self._done()
