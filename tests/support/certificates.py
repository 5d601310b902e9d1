"""Certificates of a question that no prover answered, and what a kernel without conclusions makes of their leaves."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikecert import SpikingNetwork, save
from spikecert.certify.certificates.elaborating import Elaborator
from spikecert.checking import read_network
from spikecert.checking.claims import read_claim
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.kernel.numbers import GRID
from spikecert.checking.kernel.records import Fields
from spikecert.checking.network.files import Content
from spikecert.checking.network.model import Network


def content(network: Network, sample: np.ndarray, radius: float, label: int, **text: Any) -> Content:
    """Return a short proof without a tree: only its claim."""
    told = {"label": label, "network": network.digest, "norm": "linf", "ties": "strict"}
    told |= {"lower": 0.0, "upper": 1.0} | text
    return Content(told, {"sample": sample, "radius": np.array([radius])}, "", 0)


def took(checker: Checker, records: Iterator[str] | list[str]) -> None:
    """Give records to a kernel's state."""
    for record in records:
        word, *rest = record.split()
        fields = Fields(rest)
        checker._take(word, fields)


class Asked:
    """A question's root facts, and leaves for any class at any prices.

    The elaborator's own state and that of a second kernel, which checks what the first one says, go in step.
    """

    def __init__(self, network: Network, proof: Content) -> None:
        claim = read_claim(proof.text, proof.tensors, network)
        self.maker, other = (Elaborator.of(proof, claim, network) for _ in range(2))
        self.kernel, self.records = other.checker, list[str]()
        self.layers, self.nodes = self.maker.layers, self.maker.nodes
        for place in self.layers:
            if self.nodes.spiking(place).constant:
                self.take(self.maker._table(place))
        self.take(self.maker._invariants(self.all))

    @staticmethod
    def of(network: SpikingNetwork, folder: Path, sample: torch.Tensor, radius: float, label: int) -> "Asked":
        """Return the question about a sample of a network, which is written to a folder."""
        save(network, folder / "network.safetensors")
        read = read_network(folder / "network.safetensors")
        return Asked(read, content(read, sample.numpy(), radius, label))

    @property
    def all(self) -> dict[int, set[int]]:
        """Return all neurons, by layer."""
        return {place: set(range(self.nodes.spiking(place).width)) for place in self.layers}

    def take(self, records: Iterator[str]) -> None:
        """Give the second kernel what the elaborator says."""
        for record in records:
            self.records.append(record)
            took(self.kernel, [record])

    def both(self, record: str) -> None:
        """Give a record to both."""
        self.take(iter([self.maker._said(record)]))

    def bound(self, other: int, prices: dict[int, list[list[int]]]) -> Fraction:
        """Return what a leaf of a class at these prices, on the grid, proves of the margin."""
        for checker in (self.maker.checker, self.kernel):
            checker.other = other
            checker._begin(Fields([]))
        ours = self.maker.checker.leaf
        assert ours is not None and self.kernel.leaf is not None
        for place in reversed(self.layers):
            self.take(self.maker._bounded(ours, place, prices[place]))
        found = Fraction(self.kernel.leaf.bound(), 1 << GRID) * self.nodes.graph.unit
        for checker in (self.maker.checker, self.kernel):
            checker.leaf = checker.other = None
        return found

    def drawn(self, generator: np.random.Generator, size: float) -> dict[int, list[list[int]]]:
        """Return random prices: none, rough ones or fine ones, a layer each."""
        found = {}
        for place in self.layers:
            steps = 1 if place in self.kernel.context.tables else self.kernel.network.steps
            own = generator.normal(size=(self.nodes.spiking(place).width, steps)) * size
            own *= generator.random(own.shape) < generator.choice([0.0, 0.5, 1.0])
            own = np.round(own * 4) / 4 if generator.random() < 0.3 else own
            found[place] = [[round(price * 2**36) << GRID - 36 for price in row] for row in own.tolist()]
        return found


def least_margins(network: SpikingNetwork, inputs: torch.Tensor, label: int) -> list[set[Fraction]]:
    """Return the margins of the label over each class in the network's own runs, exactly."""
    with torch.no_grad():
        logits = network(inputs).double().tolist()
    return [{Fraction(row[label]) - Fraction(row[k]) for row in logits} for k in range(len(logits[0]))]
