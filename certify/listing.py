"""Small sets, member by member: which they are, what they cost, and how members of events are walked (F11).

**Walks.** Let a member be the recording x with w_k events more of input i_k at step t_k (w_k < 0: fewer), k ≤ K.
Then the first layer's currents are those of x, and at each t_k w_k·a[t_k]·W_{i_k} more: an addition a change and
neuron, where running the member takes all of the layer's products. From the first of these steps on each neuron is
stepped by itself, from where it stands in x, until it provably goes on as in x. Its potential lies in

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

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..kernels.walks import ListedLayer, member_sums
from ..models.circuit import Algebra, Circuit, fold, nodes
from ..models.rules import LEAKY, RESTS, START, VARIED, WHOLE, plain
from ..models.running.encoding import LINEAR
from .bounds.events.parts import EventLayer, first_layer
from .bounds.propagation import Propagation, input_signal
from .bounds.signals.membrane import drive, scaled_box
from .bounds.signals.signals import InputSignal, Signal
from .bounds.signals.windows import Box
from .bounds.trains.trains import step_spikes
from .perturbations import Perturbation
from .perturbations.base import ChangedMembers, MemberChanges, Members
from .problem import Problem
from .rounding import Rounding, product_error, step_error

PATIENCE = 2**35
"""Work that a sample's members may take together, in `work_each`: 4 to 14 s of one core. It is 34,000 members of a
2312-64-10 network with T = 6 (one flip), 85,000 of a 40-64-64-10 one with T = 10, 1,000,000 of a 4-5-3 one with
T = 25."""

PACE = 2**31
"""What of it one core does in a second, about: it takes .2 to 1 ns."""

NEURON = 256
"""A neuron's share of that, in products: its trains are bounded step by step."""

STEP, MEMBER = 12, 2**12
"""A neuron's step in products where members are walked, and what making a member takes."""

MOST_NUMBERS = 2**23
"""How many spikes, or inputs over time, a batch of members has: 64 MiB."""

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
        ends = member_sums(layer, self.constants, self.reset, rows.double().cpu())
        low, high = (end.unflatten(2, self.shape).to(device) for end in ends)
        return Box(low, high)

    def magnitude(self) -> Tensor:
        """Return 1: a neuron may fire."""
        return self.layer.lower.new_ones(len(self.layer.event), *self.shape)


def walked(problem: Problem, members: Members) -> bool:
    """Return whether members are walked: an affine layer alone reads what changes, before plain neurons."""
    free = members.free if isinstance(members, ChangedMembers) and problem.circuit.timed else None
    return free is not None and walkable(problem, free)


def walkable(problem: Problem, free: Tensor) -> bool:
    """Return the same of changes of some inputs, (features,) of bool."""
    made = problem.circuit
    first = first_layer(made) if made.timed and not made.whole else None
    on_inputs = problem.rows is not None and problem.rows.inputs is not None
    if first is None or on_inputs or made.read.readout not in LINEAR:
        return False
    behind, *rest = made.nodes[first + 1 :]
    plainly = isinstance(behind, nodes.Fired) and plain(behind.rule)
    chained = all(node.sources == (place,) for place, node in enumerate((behind, *rest), first))
    kinds = nodes.Mapped | nodes.Read | nodes.Fired
    if not plainly or not chained or not all(isinstance(node, kinds) for node in rest):
        return False
    neurons = counted(made, tuple(problem.inputs.shape[2:])).layers[0]
    return 0 < int(free.sum()) <= MOST_COLUMNS // neurons


@dataclass(frozen=True, eq=False)
class MemberWalk:
    """The members of one sample's set, and what is known of its recording before any of its events has changed.

    Attributes:
        problem: of one sample.
        first: its first layer, with a column for each input that may change.
        places: which of these each input has, (inputs,).
        node: the neurons behind it.
    """

    problem: Problem
    first: EventLayer
    places: Tensor
    node: nodes.Fired

    @staticmethod
    def of(problem: Problem, free: Tensor) -> "MemberWalk":
        """Return the walk of a problem of one sample, of which inputs `free`, (features,) of bool, may change."""
        problem = replace(problem, made=problem.circuit)
        made, sample, place = problem.circuit, problem.inputs.double(), first_layer(problem.circuit)
        assert place is not None
        node = made.nodes[place + 1]
        assert isinstance(node, nodes.Fired)
        first = EventLayer.of(made, place, sample, free.nonzero().flatten(), sample[0].amax(0))
        return MemberWalk(problem, first, (free.cumsum(0) - 1).clamp_min(0), node)

    def spikes(self, changes: MemberChanges) -> ListedSpikes:
        """Return what the neurons of the first layer do in some members.

        Raises:
            OverflowError: where the run may overflow.
        """
        first, rule, made = self.first, self.node.rule, self.first.map
        assert plain(rule)
        rounding, most, sample = first.rounding, changes.entries.shape[1], first.entering
        reach = first.reach + float(most)
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
        constants = rule.decay, *limits, rule.drop, rule.span, share, rounding.smallest
        return ListedSpikes(ListedLayer(*currents, column, step, changes.by), rule.reset, constants, shape)

    def bounds(self, changes: MemberChanges) -> tuple[Tensor, Tensor]:
        """Return a lower bound of each member's margin, and whether that is enough, (n,) each.

        Members of whose first layer all spikes are known, and the same, are bounded as one.

        Raises:
            OverflowError: where the run may overflow.
        """
        spikes = self.spikes(changes)
        if self.node is self.problem.circuit.spiking[-1]:
            return self._read(spikes)
        steps = spikes.steps()
        doubt = (steps.lower != steps.upper).flatten(2).any(2).any(0)
        apart = (doubt * torch.arange(1, len(doubt) + 1).to(doubt.device))[:, None].numpy(force=True)
        trains = np.packbits(steps.lower.transpose(0, 1).flatten(1).bool().numpy(force=True), axis=1)
        groups: dict[bytes, int] = {}
        keys = np.hstack((trains, apart.view(np.uint8)))
        alike = torch.tensor([groups.setdefault(key.tobytes(), len(groups)) for key in keys], device=doubt.device)
        one = torch.zeros_like(alike[: len(groups)])
        one[alike] = torch.arange(len(alike), device=doubt.device)
        lower, proven = self._read(self.spikes(changes.at(one)))
        return lower[alike], proven[alike]

    def _read(self, spikes: ListedSpikes) -> tuple[Tensor, Tensor]:
        """Return a lower bound of the margins behind such spikes, and whether that is enough, (n,) each."""
        made, goal, sample = self.problem.circuit, self.problem.goal, self.problem.inputs.double()
        exact, labels = Box(sample, sample), self.problem.labels.expand(len(spikes.layer.event))
        known = fold(made, _Walked(input_signal(made, exact), step_spikes, Rounding.of(made), self.node, spikes))
        lower = goal.tightened(goal.read(made, known, labels, exact))
        return goal.least(lower), goal.holds(goal.proven(lower, labels))


@dataclass(frozen=True)
class _Walked(Propagation):
    """What is known of a circuit's signals once `listed` are those of the neurons `node`."""

    node: nodes.Fired
    listed: ListedSpikes

    def fired(self, node: nodes.Fired, x: Signal) -> Signal:
        """Return what is known of the spikes."""
        return self.listed if node is self.node else super().fired(node, x)


def listable(problem: Problem, patience: int) -> tuple[Members | None, str]:
    """Return the members of one sample's set, or None and why they are not listed.

    Args:
        problem: of one sample.
        patience: work that they may take, in `work_each`.
    """
    sample = problem.inputs[0]
    members = members_of(problem, sample)
    if members is None:
        return None, "the set has no list of members"
    features = sample.shape[1:] if problem.circuit.timed else sample.shape
    count, most = members.count, patience // work_each(problem.circuit, tuple(features), walked(problem, members))
    if count > most:
        short = str(count) if count < 10**7 else f"{count:.2g}" if count < 10**300 else "more than 1e300"
        return None, f"the set has {short} members, above the {most} that are run"
    return members, ""


def parts(problem: Problem, members: Members) -> Iterator[tuple[int, float, Tensor | None]]:
    """Yield how many members are proven, the least of their margins, and members to be run, the worst first."""
    size = max(1, MOST_NUMBERS // max(64 * problem.circuit.num_steps, problem.inputs[0].numel()))
    if not isinstance(members, ChangedMembers) or not walked(problem, members):
        yield from ((0, math.inf, points) for points in members.batches(size))
        return
    walk = MemberWalk.of(problem, members.free)
    for changes in members.changes(max(1, TOGETHER // walk.first.columns.shape[1])):
        lower, proven = walk.bounds(changes)
        yield int(proven.sum()), float(lower.masked_fill(~proven, math.inf).min()), None
        rank = torch.where(proven, math.inf, lower.nan_to_num(-math.inf))
        left = rank.argsort()[: int((~proven).sum())]
        for rows in left.split(size) if len(left) else ():
            yield 0, math.inf, changes.at(rows).applied(problem.inputs[0])


def members_of(problem: Problem, sample: Tensor) -> Members | None:
    """Return the members of the set around one sample, or None where they can't be listed."""
    draws, box = problem.circuit.source.draws, problem.perturbation.enclosure(sample[None])
    if torch.equal(box.lower, box.upper):
        return Members(1, lambda _: iter((box.lower,)))
    found = problem.perturbation.few_members(sample)
    if found is not None or draws is None:
        return found
    thresholds = draws.thresholds(problem.circuit.num_steps, tuple(sample.shape))
    return rate_members(problem.perturbation, sample, thresholds.to(sample.device))


def rate_members(perturbation: Perturbation, sample: Tensor, draws: Tensor) -> Members:
    """Return rates around one sample, one for each train of spikes that they make with `draws`, (T, ...).

    A feature's rates in [l, h] are cut at its draws in [l, h): up to one, the draw is silent, above it spikes.
    """
    rates = perturbation.enclosure(sample[None])
    low, high = rates.lower.flatten(), rates.upper.flatten()
    cells = [_middles(*feature) for feature in zip(low, high, draws.flatten(1).T, strict=True)]
    sizes = [len(cell) for cell in cells]
    table = torch.nn.utils.rnn.pad_sequence(cells)

    def batches(size: int) -> Iterator[Tensor]:
        """Yield the members: the last feature's cells turn over first."""
        radix = torch.tensor(sizes, device=sample.device)
        place = torch.tensor([math.prod(sizes[i + 1 :]) for i in range(len(sizes))], device=sample.device)
        for start in range(0, math.prod(sizes), size):
            number = torch.arange(start, min(start + size, math.prod(sizes)), device=sample.device)
            digits = number[:, None].div(place, rounding_mode="floor") % radix
            yield table.gather(0, digits).view(-1, *sample.shape)

    return Members(math.prod(sizes), batches)


def _middles(low: Tensor, high: Tensor, draws: Tensor) -> Tensor:
    """Return the middle of each part of [low, high] that makes one train, by rising rate."""
    cuts = draws[(draws >= low) & (draws < high)].unique()
    starts = torch.cat([low[None], cuts.nextafter(torch.full_like(cuts, torch.inf))])
    ends = torch.cat([cuts, high[None]])
    return ((starts + ends) / 2).clamp(starts, ends)


def work_each(circuit: Circuit, features: tuple[int, ...], walked: bool = False) -> int:
    """Return about how much work a member is: T times all products and `NEURON` for each neuron.

    Args:
        circuit: the network.
        features: the shape of a sample at one step.
        walked: whether members are (listing.py).
    """
    found = counted(circuit, features)
    if walked:
        first, *others = found.layers
        steps = circuit.num_steps if others else 1  # what is affine behind the last neurons is read once
        return MEMBER + circuit.num_steps * (STEP * first + NEURON * sum(others)) + steps * found.behind
    return circuit.num_steps * (found.work + math.prod(features))


def counted(circuit: Circuit, features: tuple[int, ...]) -> "_Counted":
    """Return what a circuit has for samples of a shape."""
    found = _Counted(torch.zeros(1, *features, dtype=circuit.dtype, device=circuit.device))
    fold(circuit, found)
    return found


class _Counted(Algebra[Tensor]):
    """The shapes of signals, (1, ...), and the work of what was met."""

    reader = "enumeration"
    answers = frozenset({LEAKY, VARIED, RESTS, START, WHOLE})
    declared = True
    loops = True

    def __init__(self, inputs: Tensor) -> None:
        self.inputs, self.work, self.behind = inputs, 0, 0
        self.maps, self.layers = list[int](), list[int]()

    def input(self, node: nodes.Input) -> Tensor:
        """Return the inputs."""
        return self.inputs

    def mapped(self, node: nodes.Mapped, x: Tensor) -> Tensor:
        """Count the products."""
        found = node.map.linear(x)
        products = found.numel() * node.map.terms
        self.work += products
        self.maps.append(found.numel())
        self.behind += products * bool(self.layers)
        return found

    def pooled(self, node: nodes.Pooled, x: Tensor) -> Tensor:
        """Count the entries that are compared."""
        found = node.windows.largest(x)
        self.work += found.numel() * node.windows.count
        return found

    def filtered(self, node: nodes.Filtered, x: Tensor) -> Tensor:
        """Count a product and a sum for each entry."""
        self.work += 2 * x.numel()
        return x

    def chosen(self, node: nodes.Chosen, *x: Tensor) -> Tensor:
        """Return one of the signals, which are alike in shape; all of them were counted."""
        return x[0]

    def added(self, node: nodes.Added, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum."""
        return x + y

    def fired(self, node: nodes.Fired, x: Tensor) -> Tensor:
        """Count the neurons."""
        self.work += NEURON * x.numel()
        self.layers.append(x.numel())
        return x

    def recurred(self, node: nodes.Recurred, x: Tensor) -> Tensor:
        """Count the neurons, and the products of their feedback."""
        self.work += x.numel() * (NEURON + node.feedback.terms + 2 * (node.filter is not None))
        return x

    def read(self, node: nodes.Read, x: Tensor) -> Tensor:
        """Return the logits' shape."""
        return x
