"""How far two builds' margins may lie apart on one input, where it is told what both do with *the same* input.

Two builds of one hidden layer, c = Wx + b and c' = W'x + b' for one x of a set, the same at all steps. By F1 each
neuron's train is a row of a table: row i of the first build for currents in [L_i, U_i], row j of the other for
currents in [L'_j, U'_j], rounding paid. The difference of currents is a function of x, too,

    c − c' = (W − W')x + (b − b') ∈ [p, q] over the set.

**Pairs.** A neuron has rows i and j on one input only if some c ∈ [L_i, U_i] ∩ [l, u] and c' ∈ [L'_j, U'_j] ∩
[l', u'] differ by a number in [p, q]; differences of two intervals are an interval, so this is: U_i − L'_j ≥ p and
L_i − U'_j ≤ q, with ends that were cut. The bound takes the worst such pair of each neuron by itself:

    (z_y − z_k) − (z'_y − z'_k) = Σ_j A_kj n_j − A'_kj n'_j + const,   n_j = Σ_t r[t]·s_j[t],

A_k = W_y − W_k of the last layer. Where W = W' and both tables are one, pairs of one row are left, and of
two where a current may be within rounding of a breakpoint. Differences of bounds, max(u − l', u' − l), take the
worst n and the worst n' of different inputs.

**Rounding.** The tables and l, u hold for the currents of the run, which stray from Wx + b by what an affine
layer's `slack` pays; so [p, q] is widened by that of both builds, and by the rounding of W − W' itself. Each logit
strays from its exact sum by the last layer's `slack`: paid for y and k of both builds, and again as float64's own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.circuit import Circuit, Fired, Input, Mapped, Read, circuit
from ...models.linear_maps import DenseMap
from ...models.networks import SpikingNetwork
from ...models.rules import plain
from ..bounds.propagation import check_readout, input_signal, propagate, readout_row
from ..bounds.signals.affine import affine_map
from ..bounds.signals.signals import Signal
from ..bounds.signals.windows import Box
from ..bounds.trains.train_table import TrainTable
from ..bounds.trains.trains import train_spikes
from ..perturbations import Perturbation
from ..rounding import Rounding, over_time, vanished

MOST_NUMBERS = 2**24
"""Of a table of pairs: neurons, rows of both builds, classes and samples at once."""
UNIT, WIDER = 2.0**-53, 2.0**-50
"""Of float64, and by how much of themselves ends are widened where they are compared."""


@dataclass(frozen=True)
class OneLayer:
    """A build of one hidden layer, over the sets around some samples.

    Attributes:
        first, last: the maps in front of its neurons and behind them.
        before: what the first map reads, the same at all steps.
        current: what the run's currents may be, (batch, neurons).
        trains: of the neurons, and the table that they are rows of.
        row: the readout, a sum over time, (1, T).
        rounding: of the run.
    """

    first: DenseMap
    last: DenseMap
    before: Signal
    current: Box
    trains: Signal
    table: TrainTable
    row: Tensor
    rounding: Rounding

    @staticmethod
    def of(made: Circuit, box: Box) -> "OneLayer | None":
        """Return what is known of a circuit, or None for one of another form.

        Raises:
            OverflowError: where the run may overflow.
        """
        nodes = [node for node in made.nodes if not (isinstance(node, Mapped) and node.map.reshapes)]
        if made.whole or [type(node) for node in nodes] != [Input, Mapped, Fired, Mapped, Read]:
            return None
        _, first, fired, last, read = nodes
        layers = [node.map for node in nodes if isinstance(node, Mapped)]
        maps = [layer for layer in layers if isinstance(layer, DenseMap) and not layer.roundings]
        chained = fired.sources == (made.nodes.index(first),) and last.sources == (made.nodes.index(fired),)
        leaky = isinstance(fired, Fired) and plain(fired.rule) and made.read.rule is None
        source, rounding = input_signal(made, box), Rounding.of(made)
        mean = isinstance(read, Read) and read.readout == "mean"
        if len(maps) < 2 or not (chained and leaky and mean and source.constant):
            return None
        known = propagate(made, source, train_spikes, rounding)
        check_readout(made, known[last.sources[0] + 1], rounding)
        trains, before = known[last.sources[0]], known[first.sources[0]]
        if trains.rows is None or before.steps().lower.dim() != 3:
            return None
        current, row = known[fired.sources[0]].steps()[0], readout_row(made, box.lower.double())
        return OneLayer(maps[0], maps[1], before, current, trains, trains.rows.table, row, rounding)

    def sums(self) -> Tensor:
        """Return n of each row of the table: Σ_t r[t]·s[t], (R,)."""
        return self.table.trains.double() @ self.row[0]

    def currents(self) -> tuple[Tensor, Tensor]:
        """Return the ends of the currents that each neuron may have each row for, (batch, neurons, R); low > high
        where it has not."""
        table = self.table.like(self.current.lower)
        low = table.lower.maximum(self.current.lower[..., None])
        high = table.upper.minimum(self.current.upper[..., None])
        return low, high

    def strays(self) -> Tensor:
        """Return how far a logit of the run may be from its exact sum, and the bound of that, (batch, classes)."""
        steps, size = self.trains.num_steps, self.trains.magnitude().double()
        last, own = affine_map(self.last), Rounding(torch.float64)
        slack = last.slack(size, self.rounding, over_time(steps))
        further = over_time(steps) + 2 * len(self.last.weight) + 4 * last.terms + 40
        slack = slack + last.slack(size, own, further)
        return slack * self.row.abs().sum() + vanished(steps, self.rounding)


@torch.no_grad()
def joint_gaps(
    a: SpikingNetwork, b: SpikingNetwork, inputs: Tensor, labels: Tensor, perturbation: Perturbation
) -> Tensor | None:
    """Return upper bounds of |(z_y − z_k) − (z'_y − z'_k)| over each set, (batch, classes); 0 at k = y.

    None for builds of another form than one hidden layer, direct coding, dense maps and a mean at the end.

    Args:
        a, b: in evaluation mode, of one form.
        inputs: (batch, ...), which both dtypes hold.
        labels: y, (batch,).
        perturbation: the sets.

    Raises:
        OverflowError: where a run may overflow.
    """
    box = perturbation.enclosure(inputs)
    builds = [OneLayer.of(circuit(build), box) for build in (a, b)]
    if builds[0] is None or builds[1] is None:
        return None
    return _gaps(builds[0], builds[1], labels)


def _gaps(a: OneLayer, b: OneLayer, labels: Tensor) -> Tensor | None:
    rows = len(a.table.trains) * len(b.table.trains)
    neurons, classes = len(a.first.weight), len(a.last.weight)
    if a.first.weight.shape != b.first.weight.shape or rows * neurons * classes > MOST_NUMBERS:
        return None
    allowed = _pairs(a, b)
    strays = a.strays() + b.strays()
    strays = (strays + strays.gather(1, labels[:, None])).expand(len(labels), classes)
    found = strays.new_empty(len(labels), classes)
    together = max(1, MOST_NUMBERS // (rows * neurons * classes))
    for label in labels.unique():
        for chosen in (labels == label).nonzero().flatten().split(together):
            found[chosen] = _apart(a, b, int(label), allowed[chosen]) + strays[chosen]
    return found.scatter(1, labels[:, None], 0.0)


def _pairs(a: OneLayer, b: OneLayer) -> Tensor:
    """Return which rows of both builds a neuron may have on one input, (batch, neurons, R, R')."""
    low, high = a.currents()
    other_low, other_high = b.currents()
    p, q = _differences(a, b)
    exist = (low <= high)[..., :, None] & (other_low <= other_high)[..., None, :]
    most = high[..., :, None] - other_low[..., None, :] >= p[..., None, None]
    least = low[..., :, None] - other_high[..., None, :] <= q[..., None, None]
    return exist & most & least


def _differences(a: OneLayer, b: OneLayer) -> tuple[Tensor, Tensor]:
    """Return the ends of the difference of both runs' currents, (batch, neurons)."""
    box, size, one = a.before.steps(), a.before.magnitude().double(), a.row.new_ones(1)
    weights = [build.first.weight.double() for build in (a, b)]
    biases = [build.first.bias.double().expand(len(weights[0])) for build in (a, b)]
    between = affine_map(DenseMap(weights[0] - weights[1], biases[0] - biases[1]))
    own = Rounding(torch.float64)
    image = between.image(box, size, one, one, own, 8, {})
    slack = sum((affine_map(build.first).slack(size, build.rounding) for build in (a, b)), torch.zeros(()))
    formed = sum(
        (size @ weight.abs().T + bias.abs() for weight, bias in zip(weights, biases, strict=True)), torch.zeros(())
    )
    slack = slack + 8.0 * UNIT * formed
    low, high = (image.lower - slack)[0], (image.upper + slack)[0]
    return low - WIDER * low.abs(), high + WIDER * high.abs()


def _apart(a: OneLayer, b: OneLayer, label: int, allowed: Tensor) -> Tensor:
    """Return the greatest |Σ_j A_kj n_j − A'_kj n'_j + const| over allowed pairs, (batch, classes)."""
    mine, theirs = (build.last.weight.double() for build in (a, b))
    mine, theirs = mine[label] - mine, theirs[label] - theirs
    # (classes, neurons, R, R')
    values = (mine[..., None] * a.sums())[..., :, None] - (theirs[..., None] * b.sums())[..., None, :]
    bias = [build.last.bias.double().expand(len(mine)) for build in (a, b)]
    const = (bias[0][label] - bias[0] - (bias[1][label] - bias[1])) * a.row.sum()
    barred = ~allowed[:, None]
    most = values.masked_fill(barred, -torch.inf).flatten(3).amax(3).sum(2) + const
    least = values.masked_fill(barred, torch.inf).flatten(3).amin(3).sum(2) + const
    return most.abs().maximum(least.abs())
