"""What a prover asks before it writes a proof: whether the kernel will close a leaf at some prices.

Nothing here is trusted: what is written is checked by the kernel as a whole. A leaf is tried by what makes its
part of the certificate, whose bound is the one that the kernel finds.

Check a proof file: the kernel checks the certificate that is made from it meanwhile.

What makes certificates (`certificates/`) needs no trust: it may only make one that is refused.

Make a certificate (proof/2) from a file of a short proof (proof/1), leaf by leaf: it is never held whole.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from ..claims import Statement, read_claim
from ..conclusions import Conclusions
from ..events.entering import composed
from ..events.inputs import Inputs
from ..kernel import SUFFIXES
from ..kernel.certificates import check_lines, opening
from ..kernel.checking import Checker
from ..kernel.network import KernelNodes
from ..kernel.numbers import ONE
from ..network.files import Content, read
from ..network.graph import Graph
from ..network.model import Network, read_network
from ..numbers.exact import Dyadic
from ..refusal import Refused
from ..short import FORMATS, LEAF, MOST_CELLS, STEEPEST, SUFFIX, read_narrowings
from ..work import allowance, limited, spend
from .elaborating import Elaborator, ShortLeaf
from .reach import floats

WRONG = (KeyError, TypeError, ValueError, IndexError, AssertionError, OverflowError, RecursionError)
"""What a short proof raises that lacks something."""


def elaborate(proof: str | Path, network: Network, joint: bool = True) -> Iterator[str]:
    """Yield the lines of a certificate.

    Args:
        proof: a file of format spikecert.proof/1 or 1.1.
        network: as read from its model file.
        joint: whether rules of several neurons at once (J, D) are used, which the native kernel does not know.

    Raises:
        Refused: for a file that is none, or is about another network, or what the kernel has no rule for.
    """
    yield from ShortFile.of(read(Path(proof), FORMATS), network, joint).lines()


class ShortFile:
    """A short proof, and what makes its certificate; the facts, where these were made before."""

    def __init__(self, content: Content, maker: Elaborator, facts: Iterable[str] | None = None) -> None:
        self.content, self.maker, self.facts = content, maker, facts

    @staticmethod
    def of(content: Content, network: Network, joint: bool = True) -> "ShortFile":
        """Return that of a file's content. Arguments and errors as of `elaborate`."""
        try:
            claim = read_claim(content.text, content.tensors, network)
            checker = Checker.of(network, claim)
            cells, side = (_whole(content.text, name) for name in ("cells", "side"))
            tight = None if joint else _priced(content, checker)
            narrows = any(".narrow." in name for name in content.tensors)
            maker = Elaborator(checker, cells, side, joint=joint, tight=tight, narrows=narrows)
        except Refused:
            raise
        except WRONG as error:
            raise Refused(f"lacks a part of the proof, or has one of another size: {error}") from error
        return ShortFile(content, maker)

    def lines(self) -> Iterator[str]:
        """Yield all lines of the certificate."""
        try:
            yield from self._lines()
        except Refused:
            raise
        except WRONG as error:
            raise Refused(f"lacks a part of the proof, or has one of another size: {error}") from error

    def _lines(self) -> Iterator[str]:
        text = {name: part for name, part in self.content.text.items() if name not in ("cells", "side")}
        sets = {"sample", "radius"} | self.content.tensors.keys() & {"flips.where", "shifts.where"}
        yield from opening(text, {name: part for name, part in self.content.tensors.items() if name in sets})
        yield from self.maker.facts() if self.facts is None else self.facts
        for other in self.maker.checker.goal.clauses:
            yield from self._tree(other)

    def _tree(self, other: int) -> Iterator[str]:
        tensors, leaf = self.content.tensors, 0
        neurons, currents = tensors[f"{other}.neuron"].tolist(), tensors[f"{other}.current"].tolist()
        narrowings = read_narrowings(tensors, other, neurons.count(LEAF))
        prices = [tensors.get(f"{other}.prices.{index}") for index in range(len(self.maker.layers))]
        if any(part is not None and len(part) != len(narrowings) for part in prices):
            raise Refused(f"class {other}: has prices of sizes that do not fit")
        if len(currents) != len(neurons):
            raise Refused(f"class {other}: has a tree of sizes that do not fit")
        rows = tensors.get(f"{other}.row", np.zeros(len(narrowings), dtype=np.int32)).tolist()
        if len(rows) != len(narrowings):
            raise Refused(f"class {other}: has rows of sizes that do not fit")
        yield self.maker.said(f"class {other}")
        for neuron, current in zip(neurons, currents, strict=True):
            if self.maker.checker.other is None:
                raise Refused(f"class {other}: the tree goes on behind its end")
            if neuron == LEAF:
                own = [None if part is None else part[leaf] for part in prices]
                yield from self.maker.leaf(other, ShortLeaf(own, narrowings[leaf], rows[leaf]))
                leaf += 1
            else:
                yield self.maker.split(neuron, current)
        if self.maker.checker.other is not None:
            raise Refused(f"class {other}: the tree is cut short: some of its parts are missing")


def _whole(text: dict[str, object], name: str) -> int:
    """Return how many cells neurons, or sides of pairs, may have; 0 where a proof does not say."""
    count = text.get(name, 0)
    if not isinstance(count, int) or isinstance(count, bool) or not (count == 0 or 2 <= count <= MOST_CELLS):
        raise Refused(f"{name}: got {str(count)[:20]!r}, expected 0, or 2 to {MOST_CELLS}")
    return count


def _priced(content: Content, checker: Checker) -> dict[int, np.ndarray]:
    """Return whether some leaf has prices on the currents of each neuron of each layer, (n,)."""
    nodes = checker.nodes
    found = {place: np.zeros(nodes.graph.widths[place], dtype=bool) for place in nodes.graph.spiking}
    for other in checker.goal.clauses:
        for index, priced in enumerate(found.values()):
            given = content.tensors.get(f"{other}.prices.{index}")
            if given is not None and given.size:
                priced |= (given.reshape(len(given), len(priced), -1) != 0).any((0, 2))
    return found


def check(proof: str | Path, network: Network | str | Path, work: float = 1.0) -> Statement:
    """Return what a proof file proves of `network`, a model file or what was read from one.

    Args:
        proof, network: the files.
        work: how many times the usual limit of work (work.py) the check may take.

    Raises:
        Refused: for anything but a complete proof, saying why.
    """
    known = network if isinstance(network, Network) else read_network(Path(network), work)
    path = Path(proof)
    content = read(path, FORMATS)
    try:
        with limited(allowance(content.size + known.size, work)):
            return check_content(content, known)
    except Refused as error:
        raise Refused(f"{path.name}: {error}") from error


def find_proofs(path: Path) -> list[Path]:
    """Return a proof file, or those of a folder in order; certificates, too."""
    if not path.is_dir():
        return [path]
    return sorted(found for suffix in (SUFFIX, *SUFFIXES) for found in path.glob(f"*{suffix}"))


def check_content(content: Content, network: Network) -> Statement:
    """Return what a proof proves, within the work that is allowed already. Raise as `check` does.

    Rules of several neurons at once (J, D) make a certificate longer, and are asked where it fails without them.
    """
    plain = ShortFile.of(content, network, joint=False)
    try:
        return check_lines(plain.lines(), network)
    except Refused:
        if not plain.maker.may_say_more:
            raise
    return check_lines(ShortFile.of(content, network).lines(), network)


@dataclass(frozen=True)
class LeafTrials:
    """A network over a set of inputs, and what is to be shown; the first layer's trains are split.

    Attributes:
        network, nodes: as read, and as the kernel sees it.
        maker: of the certificate's records, without rules of several neurons at once (J, D); its facts are stated.
        facts: these records, where they are not made again from the file.
        everything: what a tree's root allows: rows of the first layer's table in reach, (n, R) of bool; silence
            and spikes at each step, (n, T, 2), where it has none.
        needed: what else makes records, once a leaf was closed by it alone.
    """

    network: Network
    nodes: KernelNodes
    maker: Elaborator
    facts: list[str]
    everything: np.ndarray
    needed: set[Elaborator] = field(default_factory=set)

    @staticmethod
    def of(
        network: Network, inputs: Inputs, goal: Callable[[Graph], Conclusions], cells: int, side: int
    ) -> "LeafTrials":
        """Return the trials of what is to be shown.

        Args:
            network: as the checker reads it.
            inputs: the set.
            goal: of the network's nodes, what is to be shown.
            cells, side: how many cells neurons that subtract may have, and the sides of pairs' squares.

        Raises:
            Refused: for what has no proof form.
        """
        nodes = KernelNodes.over(network, inputs)
        maker = Elaborator(
            Checker(network, nodes, goal(nodes.graph)),
            cells,
            side,
            joint=False,
            narrows=network.whole is None,
            bounds=True,
        )
        facts = [record for record in maker.facts() if maker.floats is None]
        for place in maker.layers if network.whole is None else ():
            neuron, free = maker.described(place), place in maker.context.tables or maker.celled(place)
            if not free and neuron.decay and neuron.powers[0] < STEEPEST:
                raise Refused(f"unknown: no proof form for a decay of {float(neuron.decay):g} where currents vary")
        return LeafTrials(network, nodes, maker, facts, _everything(maker))

    @property
    def goal(self) -> Conclusions:
        """Return what is to be shown."""
        return self.maker.checker.goal

    @property
    def unit(self) -> Fraction:
        """Return what bounds are over."""
        return self.nodes.graph.unit

    @property
    def celled(self) -> bool:
        """Return whether some layer has cells."""
        return any(self.kind(place) == "cells" for place in self.maker.layers)

    @property
    def counted(self) -> bool:
        """Return whether pairs of neurons have cells whose spikes are counted."""
        return self.maker.may_count

    def unpriced(self, row: int) -> ShortLeaf:
        """Return a leaf that says nothing of prices."""
        return ShortLeaf([None] * len(self.maker.layers), None, row)

    @property
    def free(self) -> ShortLeaf:
        """Return a leaf at prices of 0."""
        return ShortLeaf([np.zeros(shape, dtype=np.float32) for shape in self._shapes])

    @property
    def _shapes(self) -> list[tuple[int, ...]]:
        steps, widths = self.network.steps, self.nodes.graph.widths
        tables = self.maker.context.tables
        return [(widths[place],) if place in tables else (widths[place], steps) for place in self.maker.layers]

    def kind(self, place: int) -> str:
        """Return what a layer's trains are known by: "rows", "cells" or "paths"."""
        if place in self.maker.context.tables:
            return "rows"
        return "cells" if self.maker.celled(place) else "paths"

    # ---- the first layer -------------------------------------------------------------------------
    @property
    def first(self) -> int:
        """Return the place of the first layer."""
        return self.maker.layers[0]

    @property
    def split_by_rows(self) -> bool:
        """Return whether splits are between rows of the first layer's table."""
        return self.first in self.maker.context.tables

    @cached_property
    def trains(self) -> np.ndarray:
        """Return the first layer's trains, (R, T), where it has a table."""
        return np.array(self.maker.context.tables[self.first].trains, dtype=np.int8)

    @cached_property
    def middles(self) -> np.ndarray:
        """Return the middles of its rows, by which they are in order, (R,)."""
        return np.array(self.maker.split_at[self.first])

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Return about where each neuron's currents lie in each row, (n, R) each."""
        context = self.maker.context
        currents = np.array([[end / ONE for end in box] for box in context.currents[self.first]])[:, :, None]
        rows = np.array([[end / ONE for end in box] for box in context.tables[self.first].ends])[None]
        return np.maximum(currents[:, 0], rows[..., 0]), np.minimum(currents[:, 1], rows[..., 1])

    @cached_property
    def currents(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return its currents as W, (n, m), and b, (n,), about; None where they are no such map of the inputs."""
        graph, source = self.nodes.graph, self.nodes.spiking(self.first).source
        maps = composed(graph) if graph.constant[0] else {}
        if source not in maps:
            return None
        matrix, bias = maps[source]
        weight = np.zeros(matrix.shape)
        weight[matrix.row, matrix.column] = floats(Dyadic(matrix.ints, matrix.shift))
        return weight, floats(bias).ravel()

    def sides(self, allowed: np.ndarray, neuron: int, value: float) -> tuple[np.ndarray, np.ndarray]:
        """Return both sides of a split of one neuron: at a current, or at a step."""
        left, right = allowed.copy(), allowed.copy()
        if self.split_by_rows:
            below = self.middles <= value
            left[neuron] &= below
            right[neuron] &= ~below
        else:
            left[neuron, int(value), 1] = False
            right[neuron, int(value), 0] = False
        return left, right

    # ---- leaves ----------------------------------------------------------------------------------
    def closes(self, other: int, allowed: np.ndarray, leaf: ShortLeaf) -> bool:
        """Return whether a leaf of a class closes, given what is allowed to the first layer there.

        Rules of several neurons at once are asked where it does not without them; from then on always.
        """
        if not self.needed and self._closed(self.maker, other, allowed, leaf):
            return True
        if not self.maker.shared or not self._closed(self._joint[0], other, allowed, leaf):
            return False
        self.needed.add(self._joint[0])
        return True

    @cached_property
    def _joint(self) -> tuple[Elaborator, list[str]]:
        """Return what makes records with rules of several neurons at once, and its facts."""
        asked, cells, side = self.maker.checker, self.maker.cells, self.maker.side
        checker = Checker(self.network, self.nodes, asked.goal)
        maker = Elaborator(checker, cells, side, narrows=True, bounds=True)
        return maker, list(maker.facts())

    def _closed(self, maker: Elaborator, other: int, allowed: np.ndarray, leaf: ShortLeaf) -> bool:
        spend(allowed.size)
        mark = maker.context.mark()
        maker.checker.other = other
        try:
            self._allow(maker, allowed)
            return maker.proves(other, leaf)
        finally:
            maker.checker.other = maker.checker.leaf = None
            maker.context.undo(mark)

    def checked(self, content: Content) -> Statement:
        """Return what the kernel says of the proof that was written: the facts are not made again.

        Raises:
            Refused: where it does not accept it.
        """
        # from files certificates have fewer windows than floats found, and those of whole numbers their own splits
        if self.maker.floats is not None or self.network.whole is not None:
            return check_content(content, self.network)
        maker, facts = self._joint if self.needed else (self.maker, self.facts)
        maker.bounds = False
        return check_lines(ShortFile(content, maker, facts).lines(), self.network)

    def _allow(self, maker: Elaborator, allowed: np.ndarray) -> None:
        """State what is allowed, where that is not everything."""
        for j in np.flatnonzero((allowed != self.everything).reshape(len(allowed), -1).any(1)).tolist():
            if self.split_by_rows:
                maker.context.leave(self.first, j, tuple(np.flatnonzero(allowed[j]).tolist()))
                continue
            for step, spike in np.argwhere(~allowed[j]).tolist():
                maker.checker._fixed(self.first, j, step, 1 - spike)


def _everything(maker: Elaborator) -> np.ndarray:
    place = maker.layers[0]
    width = maker.nodes.graph.widths[place]
    if place not in maker.context.tables:
        return np.ones((width, maker.checker.network.steps, 2), dtype=bool)
    found = np.zeros((width, len(maker.context.tables[place].trains)), dtype=bool)
    for kept, rows in zip(found, maker.context.rows[place], strict=True):
        kept[list(rows)] = True
    return found
