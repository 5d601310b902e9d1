"""F9a: windows through a layer that subtracts: what its neurons share of their inputs is not taken as independent.

Every run obeys d·S_j[t] = L_j[t] − u_j[t] (automaton.py). So for any choice of neurons J at each step,

    Σ_j A_ij·S_j[t] = Σ_{j∉J} A_ij·S_j[t] − Σ_{j∈J} A_ij·u_j[t]/d + Σ_{j∈J} A_ij·L_j[t]/d,

and the last sum is (A·diag(J/d)·W)·X[t] + bias, X the filtered signal in front of the layer: one product with its
set, in which the neurons of J move together. J holds the neurons whose S is wider than their u/d. The result is
intersected with that of J = ∅, so it is never wider. It needs the reader's decay to be the layer's.

Rounding: L_j strays from the exact chain of the run's own inputs by at most Σ λ^{t−k}·(|a|·chain slack + slack of
the recursion), which enters with weight |A_ij|/d; float64's own error is γ of the sum of all moduli.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ....models.rules import Leaky
from ...rounding import Rounding, euclidean, own_error
from ..events.flips import Budget
from ..signals.chains import paths
from ..signals.membrane import drive
from ..signals.signals import AffineSignal, Balance, Signal, filter_rows
from ..signals.windows import Box

MOST_WORK = 2**28
"""The most multiplications a sample that looking through a layer may take: about .1 s."""

MOST_ENTRIES = 2**20
"""The most entries of composed matrices that are held at once: 8 MiB."""

TOGETHER = 16
"""The most steps that share a composed matrix."""


@dataclass(frozen=True)
class MatrixChain:
    """An affine chain as one matrix, and the signal in front of it.

    Attributes:
        signal: in front.
        matrix, bias: W, (n, features), and b, (n,).
        slack: how far the run may be from W·x + b of its own x, (batch or 1, n).
    """

    signal: Signal
    matrix: Tensor
    bias: Tensor
    slack: Tensor

    @staticmethod
    def of(current: Signal) -> "MatrixChain | None":
        """Return the chain that `current` is the image of; None behind a residual sum and for no layer at all."""
        signal = in_front(current)
        if signal is current:
            return None
        ((_, chain),), slack = paths(current, [signal])
        matrix, bias = chain.matrix(current.magnitude().shape[1:])
        return MatrixChain(signal, matrix, bias, slack.flatten(1))


def in_front(current: Signal) -> Signal:
    """Return the signal that an affine chain is the image of; the signal itself where it is no affine one's."""
    while isinstance(current, AffineSignal):
        current = current.source
    return current


def filtered_current(current: Signal, rule: Leaky) -> Box:
    """Return where Σ_{k≤t} λ^{t−k}·a[k]·I[k] lies for the currents I of neurons of `rule`, (T, batch, ...)."""
    plain = current.filtered(rule)
    source = in_front(current)
    balance = source.balance(rule)
    if source is current or balance is None or _work(_size(current), source, balance) > MOST_WORK:
        return plain
    reader = MatrixChain.of(current)
    assert reader is not None
    sums = filtered_sums(reader.matrix, reader.signal, rule)
    gains, moduli = (values[:, None] for values in gain_sums(rule, current.num_steps, reader.matrix))
    middle, slack = reader.bias * gains, reader.slack * moduli
    found = Box(sums.lower + (middle - slack), sums.upper + (middle + slack))
    shape = plain.lower.shape
    return plain.intersection(Box(found.lower.view(shape), found.upper.view(shape)))


def filtered_sums(weights: Tensor, source: Signal, rule: Leaky) -> Box:
    """Return where Σ_j A_ij·Σ_{k≤t} λ^{t−k}·a[k]·x_j[k] lies, (T, batch, m), λ and a of the reader's `rule`.

    Args:
        weights: A, (m, n) or (batch, m, n).
        source: x, whose features are flattened to n.
        rule: of the reader.
    """
    plain = _image(weights, _flat(source.filtered(rule)))
    balance = source.balance(rule)
    if balance is None or _work(weights.shape[-2], source, balance) > MOST_WORK:
        return plain
    below = MatrixChain.of(balance.current)
    if below is None:
        return plain
    return plain.intersection(_through(weights, balance, below))


def _work(rows: int, source: Signal, balance: Balance) -> int:
    """Return the multiplications a sample that composing takes, before a matrix is made."""
    return source.num_steps * rows * _size(source) * _size(in_front(balance.current))


def _size(signal: Signal) -> int:
    """Return the number of a signal's features."""
    return math.prod(signal.magnitude().shape[1:])


def _through(weights: Tensor, balance: Balance, below: MatrixChain) -> Box:
    """Return the sums by way of the filtered signal below, a few samples at a time."""
    train, left = _flat(balance.train), _flat(balance.potential)
    inputs, slack = below.signal.filtered(balance.rule), balance.slack.flatten(1)
    steps, batch, _ = train.lower.shape
    sums = _GainSums.of(balance.rule, steps, below.matrix)
    size = max(1, MOST_ENTRIES // max(1, steps * weights.shape[-2] * below.matrix.shape[1]))
    found = []
    for start in range(0, batch, size):
        rows = slice(start, start + size)
        part = _ThroughSamples(
            weights[rows] if weights.dim() == 3 else weights,
            _rows(train, rows),
            _rows(left, rows),
            _rows_cut(inputs, rows),
            slack[rows],
            below.slack[rows] if len(below.slack) > 1 else below.slack,
        )
        found.append(part.sums(balance.rule.drop, sums, below))
    return Box(torch.cat([box.lower for box in found], 1), torch.cat([box.upper for box in found], 1))


@dataclass(frozen=True)
class _GainSums:
    """Σ_{k≤t} λ^{t−k}·a[k], the same of |a[k]|, and the same of 1, (T, 1, 1) each."""

    gains: Tensor
    moduli: Tensor
    decays: Tensor

    @staticmethod
    def of(rule: Leaky, steps: int, like: Tensor) -> "_GainSums":
        """Return those of a rule."""
        gains, moduli = gain_sums(rule, steps, like)
        decays, _ = gain_sums(replace(rule, scale=None), steps, like)
        return _GainSums(gains[:, None], moduli[:, None], decays[:, None])


@dataclass(frozen=True)
class _ThroughSamples:
    """Some samples: weights (m, n) or (batch, m, n); trains and potentials (T, batch, n); the filtered inputs."""

    weights: Tensor
    train: Box
    potential: Box
    inputs: Box
    slack: Tensor
    chain_slack: Tensor

    def sums(self, drop: float, sums: _GainSums, below: MatrixChain) -> Box:
        """Return Σ_j A_ij·S_j[t] for each step and row, (T, batch, m)."""
        train, left = self.train, self.potential
        chosen = (train.upper - train.lower) > (left.upper - left.lower) / drop
        rest = Box(
            torch.where(chosen, -left.upper / drop, train.lower),
            torch.where(chosen, -left.lower / drop, train.upper),
        )
        shares = chosen / drop
        own, inputs = _image(self.weights, rest), _flat(self.inputs)
        reach = inputs.magnitude @ below.matrix.abs().T + below.bias.abs() * sums.moduli
        noise = self.chain_slack * sums.moduli + self.slack * sums.decays
        terms = 4 * (sum(below.matrix.shape) + 2 * len(train.lower) + 8)
        error = _product(self.weights.abs(), shares * (noise + reach * own_error(terms)))
        composed = _Composed(self.weights, below.matrix, shares, below.bias * sums.gains)
        through = composed.image(self.inputs)
        return Box(own.lower + through.lower - error, own.upper + through.upper + error)


@dataclass(frozen=True)
class _Composed:
    """A·diag(J/d)·(W·X[t] + b·g[t]) for each step.

    J changes at few steps, so that |A·diag(J/d)·W| is made once for each `_Blocks`; a middle needs no matrix.

    Attributes:
        weights, matrix: A, (m, n) or (batch, m, n), and W, (n, features).
        shares: J/d, (T, batch, n).
        bias: b·g[t], (T, 1, n).
    """

    weights: Tensor
    matrix: Tensor
    shares: Tensor
    bias: Tensor

    def image(self, inputs: Box) -> Box:
        """Return where it lies for X in `inputs`, (T, batch, m)."""
        box, center = _flat(inputs), inputs.center
        middle = self._middle(box.middle)
        radius = self._blocks.over(self._matrices.abs(), box.radius)
        found = Box(middle - radius, middle + radius)
        if center is None:
            return found
        middle = self._middle(center.flatten(2))
        if inputs.ball is not None:
            ball = inputs.ball.reshape(-1, 1, 1).expand(*middle.shape[:2], 1)
            radius = self._blocks.over(euclidean(self._matrices, -1)[..., None], ball)
            found = found.intersection(Box(middle - radius, middle + radius))
        if inputs.budget is not None:
            fall, rise = _changed(self._matrices[self._blocks.block], inputs.budget)
            found = found.intersection(Box(middle - fall, middle + rise))
        return found

    def _middle(self, inputs: Tensor) -> Tensor:
        return _product(self.weights, self.shares * (inputs @ self.matrix.T + self.bias))

    @cached_property
    def _blocks(self) -> "_Blocks":
        return _Blocks.of(self.shares)

    @cached_property
    def _matrices(self) -> Tensor:
        """Return A·diag(J/d)·W of each block, (blocks, m, features)."""
        step, sample = self._blocks.first
        weights = self.weights if self.weights.dim() == 2 else self.weights[sample]
        return (weights * self.shares[step, sample].unsqueeze(-2)) @ self.matrix


@dataclass(frozen=True)
class _Blocks:
    """Steps of a sample that follow each other and have the same J, at most `TOGETHER` of them.

    Attributes:
        block, place: where each step of each sample is, (T, batch) each.
        first: step and sample of each block's first one, (blocks,) each.
    """

    block: Tensor
    place: Tensor
    first: tuple[Tensor, Tensor]

    @staticmethod
    def of(shares: Tensor) -> "_Blocks":
        """Return the blocks of J/d, (T, batch, n)."""
        step = torch.arange(len(shares), device=shares.device)[:, None]
        begins = torch.ones_like(shares[..., 0], dtype=torch.bool)
        begins[1:] = (shares[1:] != shares[:-1]).any(2)
        age = step - torch.where(begins, step, 0).cummax(0).values
        begins = age % TOGETHER == 0
        sample, first = begins.T.nonzero(as_tuple=True)
        block = (begins.T.flatten().cumsum(0) - 1).view(begins.shape[::-1]).T
        return _Blocks(block, age % TOGETHER, (first, sample))

    def over(self, matrices: Tensor, values: Tensor) -> Tensor:
        """Return M·x for the matrix (blocks, m, k) of each step's block and x (T, batch, k), (T, batch, m)."""
        rows = values.new_zeros(len(matrices), TOGETHER, values.shape[2])
        rows[self.block, self.place] = values
        return (rows @ matrices.mT)[self.block, self.place]


def gain_sums(rule: Leaky, steps: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ_{k≤t} λ^{t−k}·a[k] and Σ_{k≤t} λ^{t−k}·|a[k]| for each t, (T, 1) each."""
    rows = filter_rows(steps, rule).to(like)
    return rows.sum(1, keepdim=True), rows.abs().sum(1, keepdim=True)


def _changed(matrices: Tensor, budget: Budget) -> tuple[Tensor, Tensor]:
    """Return how far M[t]·Σ_k rows[t,k]·x[k] may fall and rise, (T, batch, m) each."""
    found = [
        one.reach_of(one.heaviest(lambda marks, matrix=matrix: marks.flatten(2).unsqueeze(2) * matrix))
        for one, matrix in zip(budget.by_row(), matrices, strict=True)
    ]
    return torch.cat([fall for fall, _ in found]), torch.cat([rise for _, rise in found])


def _image(weights: Tensor, box: Box) -> Box:
    """Return A·x for x in a box (T, batch, n), (T, batch, m)."""
    moduli = weights.abs()
    middle, radius = _product(weights, box.middle), _product(moduli, box.radius)
    size = _product(moduli, box.magnitude)
    terms = weights.shape[-1] + len(box.lower)  # and a filtered train errs by 2T·u
    error = size * own_error(4 * terms + 16)
    return Box(middle - radius - error, middle + radius + error)


def _product(weights: Tensor, values: Tensor) -> Tensor:
    """Return A·x for A of (m, n) or (batch, m, n) and x of (T, batch, n), (T, batch, m)."""
    if weights.dim() == 2:
        return values @ weights.T
    return torch.einsum("bmn,tbn->tbm", weights, values)


def _flat(box: Box) -> Box:
    return Box(box.lower.flatten(2), box.upper.flatten(2))


def _rows(box: Box, rows: slice) -> Box:
    return Box(box.lower[:, rows], box.upper[:, rows])


def _rows_cut(box: Box, rows: slice) -> Box:
    """Return the box of some samples, with its ball and its budget."""
    center = None if box.center is None else box.center[:, rows]
    budget = None if box.budget is None else box.budget.moved(lambda marks: marks[:, rows])
    return Box(box.lower[:, rows], box.upper[:, rows], center, box.ball, budget)


@dataclass(frozen=True)
class Inflow:
    """What drives N neurons; ends are (T, ...) each, rounding paid.

    Attributes:
        lower, upper: of the filtered current L[t] = Σ_{k≤t} λ^{t−k}·c[k].
        low, high: of the scaled current c[t].
        slack: what the run's recursion may add to each scaled current, (...): part of the widening.
        surely: v above this fires for certain (θ + tie).
        perhaps: v at or above this may fire (θ − tie).
    """

    lower: Tensor
    upper: Tensor
    low: Tensor
    high: Tensor
    slack: Tensor
    surely: float
    perhaps: float

    def at(self, samples: Tensor, neurons: Tensor) -> "Inflow":
        """Return what drives some neurons of some samples, tensors that broadcast; features are flattened."""
        ends = (ends.flatten(2)[:, samples, neurons] for ends in (self.lower, self.upper, self.low, self.high))
        slack = self.slack.flatten(1)[samples, neurons]
        return Inflow(*ends, slack=slack, surely=self.surely, perhaps=self.perhaps)

    def part(self, chosen: slice) -> "Inflow":
        """Return some neurons, by their last axis."""
        ends = (ends[..., chosen] for ends in (self.lower, self.upper, self.low, self.high, self.slack))
        return Inflow(*ends, surely=self.surely, perhaps=self.perhaps)


def inflow_of(current: Signal, rule: Leaky, rounding: Rounding) -> Inflow:
    """Return what `current` drives neurons of `rule` with."""
    drives = drive(current, rule, rounding)
    box = filtered_current(current, rule)
    slack = drives.slack * filter_sums(rule, box.lower)
    ends = Box(box.lower - slack, box.upper + slack)
    return Inflow(ends.lower, ends.upper, drives.lower, drives.upper, drives.slack, *drives.limits)


def filter_sums(rule: Leaky, like: Tensor) -> Tensor:
    """Return Σ_{k≤t} λ^{t−k} for each of the T rows of `like`, (T, 1, ...)."""
    powers = rule.decay ** torch.arange(len(like), dtype=like.dtype, device=like.device)
    return powers.cumsum(0).reshape(-1, *([1] * (like.dim() - 1)))
