"""Certificates of questions that no prover answered: what the kernel makes of leaves that may not suffice."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from spikecert import DLIF, LIF, Residual, SpikingNetwork, Synapse, save
from spikecert.checking import read_network
from spikecert.checking.certificates import words
from spikecert.checking.certificates.elaborating import Elaborator
from spikecert.checking.certificates.invariants import pairs_of
from spikecert.checking.certificates.trials import ShortFile
from spikecert.checking.conclusions import Conclusions
from spikecert.checking.events.inputs import Inputs
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.kernel.network import KernelNodes
from spikecert.checking.kernel.numbers import GRID
from spikecert.checking.kernel.records import Fields
from spikecert.checking.kernel.tables import CheckedTable
from spikecert.checking.network.files import Content
from spikecert.checking.network.model import Network
from spikecert.models import Recurrent


def content(network: Network, sample: np.ndarray, radius: float, label: int, **text: Any) -> Content:
    """Return a short proof without a tree: only its claim."""
    told = {"label": label, "network": network.digest, "norm": "linf", "ties": "strict"}
    told |= {"lower": 0.0, "upper": 1.0} | text
    return Content(told, {"sample": sample, "radius": np.array([radius])}, "", 0)


def of_class(network: Network, inputs: Inputs) -> Checker:
    """Return a kernel that begins, about class 0."""
    nodes = KernelNodes.over(network, inputs)
    return Checker(network, nodes, Conclusions.of_class(nodes.graph, 0, "strict"))


def took(checker: Checker, records: Iterator[str] | list[str]) -> None:
    """Give records to a kernel's state."""
    for record in records:
        word, *rest = record.split()
        fields = Fields(rest)
        checker._take(word, fields)


def root_bound(network: Network, inputs: Inputs) -> Fraction:
    """Return what the root of class 1's tree proves of the margin of class 0 at prices of 0."""
    maker, kernel = (of_class(network, inputs) for _ in range(2))
    took(kernel, Elaborator(maker).facts())
    return bound_of(kernel)


def bound_of(kernel: Checker) -> Fraction:
    """Return what a leaf of class 1 proves of the margin of class 0 at prices of 0, in what holds."""
    kernel.other = 1
    kernel._begin(Fields([]))
    assert kernel.leaf is not None
    return Fraction(kernel.leaf.bound(), 1 << GRID) * kernel.nodes.graph.unit


class Asked:
    """A question's root facts, and leaves for any class at any prices.

    The elaborator's own state and that of a second kernel, which checks what the first one says, go in step.
    """

    def __init__(self, network: Network, proof: Content) -> None:
        self.maker, self.kernel = (ShortFile.of(proof, network).maker, ShortFile.of(proof, network).maker.checker)
        self.records = list[str]()
        self.layers, self.nodes = self.maker.layers, self.maker.nodes
        self.take(self.maker.facts())

    @staticmethod
    def of(
        network: SpikingNetwork, folder: Path, sample: torch.Tensor, radius: float, label: int, **text: Any
    ) -> "Asked":
        """Return the question about a sample of a network, which is written to a folder."""
        save(network, folder / "network.safetensors")
        read = read_network(folder / "network.safetensors")
        return Asked(read, content(read, sample.numpy(), radius, label, **text))

    @property
    def sides(self) -> tuple[Checker, Checker]:
        """Return the elaborator's own state and the other kernel's."""
        return self.maker.checker, self.kernel

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
        self.take(iter([self.maker.said(record)]))

    @property
    def tables(self) -> dict[int, CheckedTable]:
        """Return the tables of layers that have one."""
        return self.kernel.context.tables

    @property
    def empty(self) -> bool:
        """Return whether the kernel knows that no run is left."""
        return self.kernel.context.empty[0]

    def bound(self, other: int, prices: dict[int, list[list[int]]]) -> Fraction:
        """Return what a leaf of a class at these prices, on the grid, proves of the margin."""
        for checker in self.sides:
            checker.other = other
            checker._begin(Fields([]))
        ours, theirs = (checker.leaf for checker in self.sides)
        assert ours is not None
        assert theirs is not None
        for place in reversed(self.layers):
            self.take(self.maker._bounded(ours, place, prices[place]))
        found = Fraction(theirs.bound(), 1 << GRID) * self.nodes.graph.unit
        for checker in self.sides:
            checker.leaf = None
        return found

    def paired(self, other: int, place: int, pair: tuple[int, int], side: int) -> Fraction:
        """Return what a leaf of a class proves of the margin by a pair of neurons alone."""
        driven = self.maker.checker._driven(place, pair[0]), self.maker.checker._driven(place, pair[1])
        levels = pairs_of(driven, self.maker.checker._strips(place, *pair), side)
        self.kernel.other = other
        self.kernel._begin(Fields([]))
        took(self.kernel, [words.pair(place, *pair, levels)])
        leaf, self.kernel.leaf = self.kernel.leaf, None
        assert leaf is not None
        return Fraction(leaf.bound(), 1 << GRID) * self.nodes.graph.unit

    def close(self) -> None:
        """Go on with what is behind a leaf, whatever it proves."""
        for checker in self.sides:
            checker._done()

    def drawn(self, generator: np.random.Generator, size: float) -> dict[int, list[list[int]]]:
        """Return random prices: none, rough ones or fine ones, a layer each."""
        found = {}
        for place in self.layers:
            steps = 1 if place in self.tables else self.kernel.network.steps
            own = generator.normal(size=(self.nodes.spiking(place).width, steps)) * size
            own *= generator.random(own.shape) < generator.choice([0.0, 0.5, 1.0])
            own = np.round(own * 4) / 4 if generator.random() < 0.3 else own
            found[place] = [[round(price * 2**36) << GRID - 36 for price in row] for row in own.tolist()]
        return found


def tiny(generator: np.random.Generator) -> tuple[SpikingNetwork, torch.Tensor, float]:
    """Return a random network of a few neurons, each layer with its own kind, a sample, and a radius.

    Half of them lie on a grid of quarters, where currents meet thresholds.
    """
    choose, grid = generator.choice, generator.random() < 0.5
    steps, widths = (
        int(generator.integers(1, 5)),
        [int(n) for n in generator.integers(1, 5, generator.integers(2, 4))],
    )
    readout = str(choose(["mean", "mean", "spikes", "potential"]))
    images = generator.random() < 0.15
    layers = _pooled(generator, steps) if images else []
    widths[0] = 4 if images else widths[0]
    layers += [layer for sizes in pairwise(widths) for layer in _spiking(generator, steps, *sizes)]
    layers.append(nn.Linear(widths[-1], int(generator.integers(2, 4))))
    if readout != "mean":
        layers.append(_neuron(generator, steps, "none" if readout == "potential" else None))
    encoding = str(choose(["direct", "none"]))
    network = SpikingNetwork(*layers, num_steps=steps, encoding=encoding, readout=readout)
    for part in network.modules():
        if isinstance(part, nn.Linear | nn.Conv1d):
            for values in part.parameters():
                drawn = generator.normal(size=tuple(values.shape)) * 1.5
                values.data = torch.tensor(np.round(drawn * 4) / 4 if grid else drawn)
    shape = (1, 4) if images else (widths[0],)
    shape = (steps, *shape) if encoding == "none" else shape
    sample = generator.random(shape)
    dtype = torch.float64 if generator.random() < 0.3 else torch.float32
    sample = torch.tensor(np.round(sample * 4) / 4 if grid else sample, dtype=dtype)
    return (
        network.to(dtype).eval(),
        sample,
        float(choose([0.0, 0.05, 0.25, 0.5, 1.0], p=[0.04, 0.16, 0.4, 0.2, 0.2])),
    )


def _pooled(generator: np.random.Generator, steps: int) -> list[nn.Module]:
    """Return layers that make 4 numbers of sequences (1, 4), with a max pool of currents or of spikes."""
    parts: list[nn.Module] = [_neuron(generator, steps), nn.MaxPool1d(2)]
    return [nn.Conv1d(1, 2, 3, padding=1), *parts[:: int(generator.choice([1, -1]))], nn.Flatten()]


def _spiking(generator: np.random.Generator, steps: int, size: int, width: int) -> list[nn.Module]:
    """Return a layer of neurons: plain ones, behind a synapse or a delay, or such that hear themselves."""
    neuron, kind = _neuron(generator, steps), generator.random()
    if kind < 0.15:
        synapse = Synapse(float(generator.choice([0.0, 0.5, 0.9])), int(generator.integers(3)))
        return [nn.Linear(size, width), synapse, neuron]
    if kind < 0.3:
        return [
            nn.Linear(size, width),
            Recurrent(neuron, nn.Linear(width, width, bias=bool(generator.integers(2)))),
        ]
    if kind < 0.4:
        return [nn.Linear(size, width), Residual([nn.Linear(width, width), neuron])]
    return [nn.Linear(size, width), neuron]


def _neuron(generator: np.random.Generator, steps: int, reset: str | None = None) -> LIF:
    choose = generator.choice
    reset = str(choose(["zero", "subtract", "none"])) if reset is None else reset
    constants: dict[str, Any] = {
        "decay": float(choose([0.0, 0.25, 0.5, 0.9, 0.99, 1.0])),
        "threshold": float(choose([1.0, 0.25, 3.0])),
    }
    constants |= {"reset": reset, "fires_at": str(choose([">=", ">"]))}
    if reset == "subtract" and generator.random() < 0.4:
        constants["reset_amount"] = float(choose([0.5, 1.25, 4.0]))
    if generator.random() < 0.7:
        return LIF(**constants)
    neuron = DLIF(steps, **constants)
    neuron.input_scale.data = torch.tensor(choose([-1.5, -0.5, 0.0, 0.5, 1.0, 1.25], size=steps))
    return neuron
