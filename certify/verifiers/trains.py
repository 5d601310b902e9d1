"""The two verifiers that only propagate: per-step intervals, and exact spike trains with windows on top.

Verify by propagating what is known of the spikes, layer by layer.

How many samples are bounded at once over many steps, and what one takes that would not fit what is free.

What is known of a neuron is held at each step: behind a hard reset by how long ago it fired last (long_trains.py),
a byte a label, else by about sixteen numbers; and what all samples share are a few matrices of T × T numbers. All
is measured, and rounded up; windows are made in parts, and add little.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ...models.circuit import Algebra, Circuit, circuit, fold, nodes
from ...models.networks import SpikingNetwork
from ...models.rules import Rule, plain
from ...processes.memory import free_memory
from ..bounds.exact import marked
from ..bounds.intervals import interval_spikes
from ..bounds.long_trains import LONG, labels_of
from ..bounds.propagation import LogitBounds, Propagation, logit_bounds
from ..bounds.signals.signals import SpikeBound
from ..bounds.trains.trains import carried_spikes, conserved_spikes, step_spikes, window_spikes
from ..perturbations import EventSet, Perturbation
from ..problem import Problem
from ..verdicts import Unfinished, Verdict
from .base import ClassMarginVerifier, Phase

Shape = tuple[int, ...]

ROOM = 3 * 2**26
"""Bytes that the samples of one batch may take together: 192 MiB."""

SHARED = 4 * 8
"""Bytes of all samples' matrices, for each of T² entries."""


class NoRoom(OverflowError):
    """A sample's bound would take more memory than is free."""


class _Features(Algebra[Shape]):
    """The shape of each signal of one sample at one step."""

    reader = Propagation.reader
    answers = Propagation.answers
    declared = loops = True

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def input(self, node: nodes.Input) -> Shape:
        """Return the input's."""
        return self.shape

    def mapped(self, node: nodes.Mapped, shape: Shape) -> Shape:
        """Return what the map makes of it."""
        return node.map.output_shape(shape)

    def pooled(self, node: nodes.Pooled, shape: Shape) -> Shape:
        """Return that of the windows."""
        return tuple(node.windows.largest(torch.empty(1, *shape, device="meta")).shape[1:])

    def chosen(self, node: nodes.Chosen, *shapes: Shape) -> Shape:
        """Return the one that all have."""
        return shapes[0]

    def added(self, node: nodes.Added, one: Shape, other: Shape) -> Shape:
        """Return the one that both have."""
        return one

    def fired(self, node: nodes.Fired | nodes.Recurred | nodes.Filtered | nodes.Read, shape: Shape) -> Shape:
        """Return the one of the currents."""
        return shape

    recurred = filtered = read = fired


def at_once(made: Circuit, inputs: Tensor) -> int:
    """Return how many of some inputs, (batch, ...), may be bounded at once.

    Raises:
        NoRoom: where one would take more than what is free.
    """
    if made.num_steps < LONG or not len(inputs):
        return max(1, len(inputs))
    each = sample_bytes(made, tuple(made.arranged(inputs[:1]).shape[2:]))
    _check_room(made, each, inputs.device)
    return max(1, ROOM // each)


def sample_bytes(made: Circuit, shape: Shape) -> int:
    """Return about how many bytes a sample takes whose inputs have a shape, over all layers and steps."""
    shapes = fold(made, _Features(shape))
    each = [
        math.prod(shape) * _step_bytes(node.rule, made.num_steps)
        for node, shape in zip(made.nodes, shapes, strict=True)
        if isinstance(node, nodes.Fired | nodes.Recurred)
    ]
    return max(1, made.num_steps * sum(each))


def _step_bytes(rule: Rule, steps: int) -> int:
    """Return what a step of a neuron takes."""
    if plain(rule) and rule.reset == "zero":
        return 65 + labels_of(rule.decay, steps)
    return 256


def _check_room(made: Circuit, each: int, device: torch.device) -> None:
    """Raise where a sample does not fit what is free."""
    steps = made.num_steps
    wanted, free = each + SHARED * steps**2, free_memory() if device.type == "cpu" else None
    if free is not None and wanted > free:
        raise NoRoom(
            f"network: its bounds would take about {wanted / 2**30:.1f} GiB for a sample of T = {steps} steps, "
            f"expected at most the {free / 2**30:.1f} GiB that are free"
        )


@dataclass(frozen=True)
class BoundVerifier(ClassMarginVerifier):
    """Propagates one or more kinds of knowledge of the spikes.

    Args:
        name: how verdicts name it.
        stages: what it knows of a spiking layer's output, cheapest first; a later stage sees only the samples
            that the ones before left open, and must never be looser. The first runs in float32 where it may
            (see `margin_bounds`): what that leaves open, a later stage decides in float64.
    """

    asks_rows: ClassVar[bool] = True
    name: str
    stages: tuple[SpikeBound, ...]

    def stages_for(self, made: Circuit) -> tuple[SpikeBound, ...]:
        """Return the stages that pay for a network."""
        return self.stages

    def phases(self, made: Circuit) -> tuple[Phase, ...]:
        """Return the stages."""
        return tuple(partial(bounded, stage, index == 0) for index, stage in enumerate(self.stages_for(made)))

    @torch.no_grad()
    def logits(self, network: SpikingNetwork, inputs: Tensor, perturbation: Perturbation) -> LogitBounds:
        """Return bounds of each logit over the set, by the tightest stage."""
        return logit_bounds(circuit(network), perturbation.enclosure(inputs), self.stages[-1])


def bounded(stage: SpikeBound, quick: bool, problem: Problem, known: Tensor) -> Tensor:
    """Return the bounds of one stage, some samples after others where they would take much memory."""
    made, inputs, found = problem.circuit, problem.inputs, []
    for some, labels in zip(
        *(each.split(at_once(made, inputs)) for each in (inputs, problem.labels)), strict=True
    ):
        found.append(problem.goal.bounds(made, problem.perturbation.enclosure(some), labels, stage, quick))
    return torch.cat(found)


MARK = "layers on a grid do not round, in plain sums of any order"
"""What verdicts say that hang on it."""

FEW_STEPS = 10
"""Up to so many steps, windows of all lengths are cheap enough to be tried behind F9."""


@dataclass(frozen=True)
class TrainsVerifier(BoundVerifier):
    """What is exact of each neuron's trains, and windows.

    Where a layer subtracts, F9 proves nearly all that windows of all lengths (F5) do, and far more; over few steps
    these have the last word.
    """

    def decide(self, problem: Problem) -> list[Verdict]:
        """Return verdicts; where samples are left, layers that do not round are taken as what they are (F17).

        Raises:
            Unfinished: on Ctrl-C behind a first bound, with these.
        """
        verdicts = super().decide(problem)
        left = [index for index, verdict in enumerate(verdicts) if verdict.status == "unknown"]
        if not left or problem.expired():
            return verdicts
        part, interrupted = None, False
        try:
            part = exactly(problem.subset(torch.tensor(left, device=problem.labels.device)))
            found = [] if part is None else super().decide(part)
        except KeyboardInterrupt as stopped:
            found, interrupted = getattr(stopped, "verdicts", ()), True
        for index, verdict in zip(left, found, strict=False):  # of some, or none
            if part is not None and verdict.status == "verified":
                verdicts[index] = replace(verdict, reason=f"{verdict.reason}; {len(part.circuit.exact)} {MARK}")
        if interrupted:
            raise Unfinished(verdicts)
        return verdicts

    def phases(self, made: Circuit) -> tuple[Phase, ...]:
        """Return the phases; over few steps a hard reset that hears events is known by L, too.

        Over many steps the last phase knows it so.
        """
        first, *others = super().phases(made)
        hard = any(isinstance(node, nodes.Fired) and is_hard(node.rule) for node in made.nodes)
        return (first, *others, _carried) if hard and made.num_steps < LONG else (first, *others)

    def stages_for(self, made: Circuit) -> tuple[SpikeBound, ...]:
        """Return the stages, and windows of all lengths behind F9 where they are cheap."""
        if made.whole:  # one automaton, exact, whatever the stage
            return self.stages[:1]
        fired = (node.rule for node in made.nodes if isinstance(node, nodes.Fired))
        subtracts = any(plain(rule) and rule.reset == "subtract" for rule in fired)
        return (*self.stages, window_spikes) if subtracts and made.num_steps <= FEW_STEPS else self.stages


def is_hard(rule: Rule) -> bool:
    """Return whether neurons leave 0 behind each spike."""
    return plain(rule) and rule.reset == "zero"


def _carried(problem: Problem, known: Tensor) -> Tensor:
    """Return the bounds by sums of events from step 0 on, −inf where none change."""
    if not isinstance(problem.perturbation, EventSet):
        return torch.full_like(known, -torch.inf)
    return bounded(carried_spikes, False, problem, known)


def exactly(problem: Problem) -> Problem | None:
    """Return a problem whose circuit says which of its layers do not round; None where it is none."""
    with torch.no_grad():
        made = marked(problem.circuit, problem.perturbation.enclosure(problem.inputs))
    return replace(problem, made=made) if made.exact else None


INTERVAL = BoundVerifier("interval", (interval_spikes,))
TRAINS = TrainsVerifier("trains", (step_spikes, conserved_spikes))
