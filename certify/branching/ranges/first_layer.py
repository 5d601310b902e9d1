"""The first layer's currents over each sample's whole input set: what nodes narrow."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....kernels.ranges import NarrowedLayer
from ...bounds.prices.stages import Staged
from ...bounds.signals.signals import InputSignal
from ...bounds.trains.base import TrainRows

MOST_WEIGHTS = 2**25
"""What the layer's matrix may hold: 256 MiB."""
LOCAL = 0.5
"""Neurons are local where less than this share of the layer's matrix is not 0."""


@dataclass(frozen=True)
class FirstLayer:
    """The currents of the first layer over each sample's whole input set.

    Attributes:
        source: the input set.
        matrix, bias: I = matrix·x + bias, (n, inputs), (n,).
        slack: how far the run's currents may be from that, (batch, n).
        size: the sum of moduli that makes a current, (batch, n).
        lower, upper: where the run's currents lie, (batch, n).
        rows: which trains that leaves, (batch, ...).
        error: what float64 may lose of a sum of moduli of 1.
    """

    source: InputSignal
    matrix: Tensor
    bias: Tensor
    slack: Tensor
    size: Tensor
    lower: Tensor
    upper: Tensor
    rows: TrainRows
    error: float

    @staticmethod
    def of(network: Staged) -> "FirstLayer | None":
        """Return those of a staged network; None without a table, behind a max pool, or of too large a matrix."""
        stage, source = network.stages[0], network.source
        rows = stage.trains.rows
        if rows is None or not all(branch.direct for branch in stage.branches):
            return None
        neurons, inputs = stage.lower[0, 0].numel(), source.box.lower[0, 0].numel()
        if neurons * inputs > MOST_WEIGHTS:
            return None
        matrix, bias = stage.matrix()
        shape, chains = (len(stage.lower[0]), neurons), [branch.chain for branch in stage.branches]
        size = torch.stack(
            [chain.magnitude(source.magnitude()).expand_as(stage.lower[0]) for chain in chains]
        ).sum(0)
        terms = sum(chain.terms for chain in chains)
        return FirstLayer(
            source=source,
            matrix=matrix,
            bias=bias,
            slack=chains[0].slack.expand_as(stage.lower[0]).reshape(shape),
            size=size.reshape(shape),
            lower=stage.lower[0].reshape(shape),
            upper=stage.upper[0].reshape(shape),
            rows=rows,
            error=8 * (inputs + neurons + terms + 16) * torch.finfo(torch.float64).eps,
        )

    @cached_property
    def reads(self) -> Tensor | None:
        """Return which inputs each neuron reads, (n, inputs) of 0 and 1, float32; None if most read most."""
        found = (self.matrix != 0).float()
        return None if float(found.mean()) >= LOCAL else found

    @cached_property
    def packed(self) -> NarrowedLayer | None:
        """Return it as ranges.c reads it; None where the input set is more than a box."""
        box = self.source.box
        if not self.source.plain or box.lower.device.type != "cpu":
            return None
        known = (self.matrix, self.bias, self.slack, self.size, self.lower, self.upper)
        ends = box.lower[0].flatten(1), box.upper[0].flatten(1)
        return NarrowedLayer(*(tensor.double().contiguous() for tensor in (*known, *ends)), error=self.error)

    def shares(self, split: Tensor) -> Tensor:
        """Return which neurons of a node read an input that one of its `split` neurons reads, (N, n) of bool."""
        if self.reads is None:
            return torch.ones_like(split)
        touched = (split.float() @ self.reads > 0).float()
        return touched @ self.reads.T > 0
