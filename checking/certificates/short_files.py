"""Make a certificate (proof/2) from a file of a short proof (proof/1), leaf by leaf: it is never held whole."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..claims import read_claim
from ..kernel.certificates import opening
from ..kernel.checking import Checker
from ..network.files import Content, read
from ..network.model import Network
from ..refusal import Refused
from ..short import FORMATS, LEAF, MOST_CELLS, read_narrowings
from .elaborating import Elaborator, ShortLeaf

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
