"""Members of sets of events, each stepped through a first layer from the recording's own currents (F11).

Let a member be the recording x with w_k events more of input i_k at step t_k (w_k < 0: fewer), k = 1..K. Then the
layer's currents are those of x, and at each t_k w_k·a[t_k]·W_{i_k} more: an addition a change and neuron, where
running the member takes all of the layer's products. From the first of these steps on each neuron is stepped by
itself, from where it stands in x, until it provably goes on as in x. Its potential lies in

    [low, high] ← λ·[low, high] + [l[t], u[t]] + Σ_{t_k = t} w_k·a[t]·W_{i_k}, widened by the step's rounding;

above θ + tie it fires for certain, below θ − tie it is silent for certain. Where neither holds it is followed both
ways, with [max(low, θ − tie), high] as it fires and [low, min(high, θ + tie)] as it is silent, a few times; from
then on it is *open*: whatever it does, Σ_t r[t]·s[t] moves by at most the sum of r's negative, or positive,
entries. So what is found holds for every run of the member, and most neurons have one number.

Rounding. A step of x has n products other than 0, a member's one at most n + K, and |W|·x̃[t] ≤ |W|·x[t] +
K·max_i |W_i|, as each |w_k| ≤ 1. So γ_{n+K} of that and |b| is what the run's current may stray by (rounding.py:
zeros round nothing); 2K + 6 roundings more pay for the sums that are kept here: w_k·a[t] and its product with
W_{i_k}, at most K + 1 additions, and room for the ends. One step of the recursion strays by 8u·(λ·M + X + δ) + η,
M ≥ |û| the potential's own modulus and X ≥ |a·I| the current's (rounding.py): far less than what serves all steps.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels.members import ListedLayer, members_kernel
from ..models.circuit import Circuit, Fired, Mapped, Read, fold
from ..models.rules import Leaky, plain
from ..models.running.encoding import LINEAR
from .bounds.events.moved_events import MovedEvents, first_layer
from .bounds.propagation import Propagation, input_signal
from .bounds.signals.membrane import drive, scaled_box
from .bounds.signals.signals import InputSignal, Signal
from .bounds.signals.windows import Box
from .bounds.trains.trains import step_spikes
from .perturbations.base import Changes, Members
from .problem import Problem
from .rounding import Rounding, product_error, step_error

TOGETHER = 2**20
"""How many sums of neurons are held at once."""

MOST_COLUMNS = 2**24
"""How many numbers the first layer's columns may have: 128 MiB."""





@dataclass(frozen=True, eq=False)
class ListedSpikes(Signal):
    """The spikes of a first layer in M members of a set, as sums over time, (·, M, ...).

    Attributes:
        layer: its currents in the recording, and the members.
        reset: of its neurons.
        constants: of its neurons, as the kernel names them.
        shape: of the layer's outputs.
    """

    layer: ListedLayer
    reset: str
    constants: tuple[float, ...]
    shape: torch.Size

    constant = False
    binary = True

    @property
    def num_steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return the number of steps T."""
        return len(self.layer.lower)

    def steps(self) -> Box:
        """Return whether each spike is certain, impossible or open."""
        return self.combine(torch.eye(self.num_steps).to(self.layer.lower))

    def combine(self, rows: Tensor) -> Box:
        """Return the ends of Σ_t rows[k,t]·s[t], (k, M, ...)."""
        device = self.layer.lower.device
        layer = ListedLayer(*(part.cpu() for part in vars(self.layer).values()))
        ends = members_kernel().sums(layer, self.constants, self.reset, rows.double().cpu())
        low, high = (end.unflatten(2, self.shape).to(device) for end in ends)
        return Box(low, high)

    def magnitude(self) -> Tensor:
        """Return 1: a neuron may fire."""
        return self.layer.lower.new_ones(len(self.layer.event), *self.shape)


def walked(problem: Problem, members: Members) -> bool:
    """Return whether members are walked: one affine layer reads what changes, before the only neurons."""
    made, free = problem.circuit, members.free
    first = first_layer(made) if made.timed and not made.whole and free is not None else None
    on_inputs = problem.rows is not None and problem.rows.inputs is not None
    if first is None or free is None or on_inputs or made.read.readout not in LINEAR:
        return False
    layer, behind = made.nodes[first : first + 2]
    affine = all(isinstance(node, Mapped | Read) for node in made.nodes[first + 2 :])
    if not affine or not isinstance(layer, Mapped) or not (isinstance(behind, Fired) and plain(behind.rule)):
        return False
    inputs = int(free.flatten(1).any(0).sum())
    return 0 < inputs <= MOST_COLUMNS // max(1, _outputs(made, first, problem.inputs))


def _outputs(circuit: Circuit, first: int, inputs: Tensor) -> int:
    """Return how many currents the first layer makes at a step."""
    signal = circuit.arranged(inputs[:1])[:1].flatten(0, 1)
    for node in circuit.nodes[1 : first + 1]:
        assert isinstance(node, Mapped)
        signal = node.map.linear(signal)
    return signal.numel()


@dataclass(frozen=True, eq=False)
class Walk:
    """The members of one sample's set, and what is known of its recording before any of its events has changed.

    Attributes:
        problem: of one sample.
        members: of its set.
        first: its first layer, with a column for each input that may change.
        places: which of these each input has, (inputs,).
        node: the neurons behind it.
    """

    problem: Problem
    members: Callable[[int], Iterator[Changes]]
    first: MovedEvents
    places: Tensor
    node: Fired

    @staticmethod
    def of(problem: Problem, members: Members) -> "Walk":
        """Return the walk of a problem of one sample whose members are `walked`."""
        made, sample, place = problem.circuit, problem.inputs.double(), first_layer(problem.circuit)
        assert members.changes is not None
        assert members.free is not None
        assert place is not None
        free, node = members.free.flatten(1).any(0), made.nodes[place + 1]
        assert isinstance(node, Fired)
        features = free.nonzero().flatten()
        first = MovedEvents.of(made, place, sample, features, features, 1)
        return Walk(problem, members.changes, first, (free.cumsum(0) - 1).clamp_min(0), node)

    @property
    def size(self) -> int:
        """Return how many members are walked at once."""
        return max(1, TOGETHER // max(1, self.first.columns.shape[1]))

    def spikes(self, changes: Changes) -> ListedSpikes:
        """Return what the neurons of the first layer do in some members.

        Raises:
            OverflowError: where the run may overflow.
        """
        first, rule, made = self.first, self.node.rule, self.first.map
        assert isinstance(rule, Leaky)
        rounding, most, sample = first.rounding, changes.entries.shape[1], first.entering
        reach = first.features + float(most)
        made.slack(reach, rounding)  # raises where a sum may overflow
        shape = first.currents.shape[1:]
        far = most * first.columns.abs().amax(0).view(shape)
        active = None if made.active is None else made.active(sample)
        count = (sample.new_full((1,), made.terms) if active is None else active + most).clamp_max(made.terms)
        size = made.absolute(sample) + far + made.bias_magnitude
        slack = size * product_error(count, rounding, 2 * most + 6) + made.underflow(reach, rounding)
        lower, upper = first.currents - slack, first.currents + slack
        hull = InputSignal(Box((lower - far)[:, None], (upper + far)[:, None]), len(sample))
        limits = drive(hull, rule, rounding).limits  # raises where a potential may overflow
        scaled, factors = scaled_box(Box(lower, upper), rule.scale_like(lower)), rule.factors(len(sample))
        currents = scaled.lower.flatten(1), scaled.upper.flatten(1), lower.new_tensor(factors), first.columns
        inputs = len(self.places)
        column, step = self.places[changes.entries % inputs], changes.entries.div(inputs, rounding_mode="floor")
        share = step_error(0.0, 0.0, 1.0, rounding)
        constants = rule.decay, *limits, rule.drop, share, rule.span, rounding.smallest
        return ListedSpikes(ListedLayer(*currents, column, step, changes.by), rule.reset, constants, shape)

    def bounds(self, changes: Changes) -> tuple[Tensor, Tensor]:
        """Return a lower bound of each member's margin, and whether that is enough, (n,) each.

        Raises:
            OverflowError: where the run may overflow.
        """
        made, goal, sample = self.problem.circuit, self.problem.goal, self.problem.inputs.double()
        exact, labels = Box(sample, sample), self.problem.labels.expand(len(changes.entries))
        spikes = self.spikes(changes)
        known = fold(made, _Listed(input_signal(made, exact), step_spikes, Rounding.of(made), self.node, spikes))
        lower = goal.tightened(goal.read(made, known, labels, exact))
        return goal.least(lower), goal.holds(goal.proven(lower, labels))


@dataclass(frozen=True)
class _Listed(Propagation):
    """What is known of a circuit's signals once `listed` are those of the neurons `node`."""

    node: Fired
    listed: ListedSpikes

    def fired(self, node: Fired, x: Signal) -> Signal:
        """Return what is known of the spikes."""
        return self.listed if node is self.node else super().fired(node, x)
