"""Make certificates of small drawn networks that only just hold, by any rules: what is proven is the claim.

A drawn tree with drawn prices bounds y[0] − y[1] by some number. The claim is that very number, as a float at or
below it, so the next float above is refused; and the records are made tight.
"""

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import inf, nextafter
from typing import Any

import numpy as np
import torch

from spikecert import LInf, SpikingNetwork
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking.certificates import words
from spikecert.checking.certificates.invariants import pairs_of
from spikecert.checking.certificates.trials import ShortFile
from spikecert.checking.kernel.certificates import claim_of, opening
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.kernel.numbers import GRID
from spikecert.checking.kernel.potentials import Potential
from spikecert.checking.network.files import Content, parse
from spikecert.checking.network.model import Network, parse_network
from spikecert.checking.short import FORMATS
from spikecert.models.files import storage as checkpoints
from support.certificates import Asked
from support.kernel_corpus.kept import margins
from support.kernel_corpus.questions import Question
from support.kernel_corpus.tampering import LEAST
from support.kernel_corpus.tight import Tightener

FAR = float(2**40)
"""A claim of less than that anything proves."""


def bytes_of(network: SpikingNetwork) -> bytes:
    """Return a model file."""
    return checkpoints.to_bytes(network)


def row(
    constant: float, *terms: tuple[int, float], inputs: Sequence[tuple[int, float]] = (), strict: bool = False
):
    """Return a row of a property, as a file says it: Σ c·y + Σ d·x + constant ≤ 0."""
    told: dict[str, Any] = {"outputs": [list(term) for term in terms], "inputs": [list(term) for term in inputs]}
    return told | {"own": [], "constant": constant, "strict": strict}


def claimed(
    network: Network, arrays: dict[str, np.ndarray], rows: list[Any], classes: int, **text: Any
) -> Content:
    """Return a claim about rows, each a clause."""
    told = {"network": network.digest, "property": [[each] for each in rows], "own": [0.0] * classes}
    return Content(told | text, arrays, "", 0)


class Drawn:
    """A tree in the making: random splits, multipliers and prices, all of which are sound."""

    def __init__(
        self, network: Network, content: Content, generator: np.random.Generator, paired: bool = False
    ) -> None:
        self.asked, self.generator, self.paired = Asked(network, content), generator, paired
        self.records = self.asked.records

    def tree(self, clause: int, depth: int) -> None:
        """Draw a tree of a clause."""
        self.asked.both(f"class {clause}")
        self._node(clause, depth)

    def _node(self, clause: int, depth: int) -> None:
        if depth and self.generator.random() < 0.9:
            self.asked.both(self.split())
            for _ in range(2):
                self._node(clause, depth - 1)
            return
        if not self.asked.empty and self.generator.random() < 0.6:
            self._narrow()
        if not self.asked.empty:
            self.asked.take(self.asked.maker._invariants(self.asked.all))
        if self.asked.empty:
            self.asked.both("empty")
            return
        self._leaf(clause)
        self.asked.close()

    def _leaf(self, clause: int) -> None:
        """Take the best of some leaves at drawn prices; a pair of counted neurons where there may be one."""
        found, mark = [], len(self.records)
        if self.paired and self.generator.random() < 0.7:
            self.records += ["leaf", self._pair(), "close"]
            return
        if self.asked.kernel.network.whole is not None:
            self.records += ["leaf", *self._numbers(), "close"]
            return
        for size in (0.0, 0.1, 0.3, 1.0):
            bound = self.asked.bound(clause, self.asked.drawn(self.generator, size))
            found.append((bound, self.records[mark:]))
            del self.records[mark:]
        _, best = found[int(self.generator.integers(1, 4))] if self.generator.random() < 0.7 else max(found)
        self.records += ["leaf", *best, "close"]

    def _pair(self) -> str:
        """Return what the two last neurons cost together, in a few nodes."""
        checker, place = self.asked.maker.checker, self.asked.layers[-1]
        driven = checker._driven(place, 0), checker._driven(place, 1)
        return words.pair(place, 0, 1, pairs_of(driven, checker._strips(place, 0, 1), 2))

    def _numbers(self) -> Iterator[str]:
        """Yield potentials of one number a node, at drawn prices."""
        context, generator = self.asked.maker.context, self.generator
        for place in reversed(self.asked.layers):
            for j, invariant in enumerate(context.invariants[place]):
                if place in context.tables:
                    yield f"price {place} {j} {words.word(int(generator.integers(-8, 9)) << GRID - 3)}"
                elif invariant is not None:
                    prices = [int(price) << GRID - 3 for price in generator.integers(-4, 5, len(invariant.boxes))]
                    only = Potential([(0, 0)], [(0, 0)], [(0, 0)])
                    yield words.potential(
                        place, j, prices, [[only] * len(level) for level in invariant.levels[:-1]]
                    )

    def split(self) -> str:
        """Return a split of rows, of spikes, or of an input."""
        asked, place = self.asked, int(self.generator.choice(self.asked.layers))
        j = int(self.generator.integers(asked.nodes.spiking(place).width))
        inputs = asked.kernel.context.inputs
        if self.generator.random() < 0.3 and self._by_itself:
            i, t = int(self.generator.integers(len(inputs))), int(self.generator.integers(len(inputs[0])))
            low, high = inputs[i][t]
            whole = asked.kernel.network.whole is not None
            return f"input {i} {t} {words.word(low + high >> GRID + 1 << GRID if whole else low + high >> 1)}"
        if place in asked.tables:
            return f"rows {place} {j} {self.generator.integers(len(asked.tables[place].trains) + 1)}"
        return f"spike {place} {j} {self.generator.integers(asked.kernel.network.steps)}"

    @property
    def _by_itself(self) -> bool:
        """Return whether an input may be split."""
        inputs = self.asked.nodes.inputs
        return inputs.changes is None and inputs.order is None

    def _narrow(self) -> None:
        places = [place for place in self.asked.layers if place in self.asked.tables]
        if not places or self.asked.kernel.network.whole is not None:
            return
        width, bounds = self.asked.nodes.spiking(places[0]).width, []
        for _ in range(self.generator.integers(1, 4)):
            slabs = self.generator.permutation(width)[: self.generator.integers(0, 3)].tolist()
            told = {
                k: int(nu) << GRID - 4 for k, nu in zip(slabs, self.generator.integers(-30, 30, 9), strict=False)
            }
            bounds.append((int(self.generator.integers(width)), int(self.generator.integers(-1, 2)), told))
        self.asked.both(words.narrowing(places[0], bounds))


def through(drawn: Drawn) -> None:
    """Draw multipliers of what comes in, of layers whose windows they may narrow."""
    for place in drawn.asked.layers:
        if drawn.asked.nodes.spiking(place).heard is None and place not in drawn.asked.tables:
            gains = drawn.generator.integers(-8, 40, drawn.asked.kernel.network.steps)
            drawn.asked.both(f"through {place} {words.words(int(gain) << GRID - 4 for gain in gains)}")


def told(network: Network, content: Content, records: Sequence[str]) -> list[str]:
    """Return the lines of a certificate."""
    return [*opening(dict(content.text), dict(content.tensors)), *records]


def tightened(lines: Sequence[str], network: Network, generator: np.random.Generator | None = None) -> list[str]:
    """Return the lines of a certificate whose records spare nothing, and whose slopes are drawn anew."""
    maker = Tightener(Checker.of(network, claim_of(lines[1], network)), generator)
    for line in lines[2:]:
        maker.take(line)
    return [*lines[:2], *maker.records]


def exactly_claimed(lines: Sequence[str], network: Network) -> list[str]:
    """Return the lines with the greatest constants that are proven, clauses being of one row each."""
    text = json.loads(lines[1])
    checker = Checker.of(network, claim_of(lines[1], network))
    checker.check(iter(lines[2:]))
    for clause, bound in checker.margins.items():
        if bound is None:
            continue
        (given,) = text["property"][clause]
        proven = Fraction(given["constant"]) + Fraction(bound, 1 << GRID) * checker.nodes.graph.unit
        given["constant"] = at_most(proven, given["strict"])
    return [lines[0], json.dumps(text), *lines[2:]]


def at_most(value: Fraction, strict: bool) -> float:
    """Return the greatest float at or below a fraction; `strict`: below it."""
    found = float(value)
    fits = Fraction(found) < value if strict else Fraction(found) <= value
    found = found if fits else nextafter(found, -inf)
    return found if not 0 < abs(found) < LEAST else (-LEAST if found < 0 else 0.0)


def certificate_of(asked: Question, generator: np.random.Generator) -> tuple[bytes, list[str]] | None:
    """Return a model file and a certificate about it that only just holds; None: its set is empty."""
    raw = bytes_of(asked.network)
    network = parse_network(raw, "network")
    text, arrays = asked.claim
    with torch.no_grad():
        classes = asked.network(asked.sample[None]).shape[1]
    rows = [row(-FAR, (0, -1.0), (1, 1.0), inputs=asked.inputs, strict=bool(generator.random() < 0.3))]
    content = claimed(network, arrays, rows, classes, **text)
    making = Content({**content.text, "cells": asked.cells, "side": 0}, arrays, "", 0)
    drawn = Drawn(network, making, generator, asked.paired)
    if asked.through:
        through(drawn)
    drawn.tree(0, int(generator.integers(0, 3)))
    network = parse_network(raw, "network")
    stirred = generator if network.whole is None and generator.random() < 0.6 else None
    lines = tightened(told(network, content, drawn.records), network, stirred)
    if margins(lines, network)[0] is None:
        return None
    return raw, exactly_claimed(lines, network)


def proof_of_class(asked: Question, ties: str) -> tuple[bytes, list[str]] | None:
    """Return a model file and a prover's certificate of the widest radius that it proves; None: of none."""
    raw, best = bytes_of(asked.network), None
    network = parse_network(raw, "network")
    with torch.no_grad():
        label = int(asked.network(asked.sample[None]).argmax())
    low, high = 0.0, 0.5
    for radius in (1.0,) if network.whole is not None else (0.0, *[None] * 12):
        tried = (low + high) / 2 if radius is None else radius
        try:
            proof = Prover.of(asked.network).prove(asked.sample, label, LInf(tried, upper=3.0), 20.0, ties=ties)
        except Unproven:
            high = tried
            if radius is not None:
                return None
            continue
        low, best = tried, list(ShortFile.of(parse(proof.packed(), FORMATS, "proof"), network).lines())
    return None if best is None else (raw, tightened(best, parse_network(raw, "network")))
