"""Inputs that are known exactly, where a spike is too close to its threshold: bounded both ways (points.py).

In every run a spike is there or not. So where one is open, a bound of the runs in which it is and one of those in
which it is not hold together: the lesser one is a bound of all. The first open spike is taken, by its step: those
behind it are often open on its account alone.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ...models.circuit import Fired, Node, Recurred
from ..bounds.points import Said, point_signals
from ..bounds.signals.box import Box
from ..bounds.signals.signals import Signal
from ..problem import Problem

MOST_WAYS = 16
"""How many ways one input may be open in at a time."""


def point_bounds(problem: Problem) -> Tensor:
    """Return lower bounds of the question's columns for the problem's own inputs, each alone, (batch, columns).

    Args:
        problem: of inputs in float64.

    Raises:
        OverflowError: where a run may overflow.
        TimeIsUp: where the time that is given ends.
    """
    problem = replace(problem, made=problem.circuit)
    goal, owner, said = problem.goal, torch.arange(len(problem.labels), device=problem.labels.device), Said({})
    lost, first, least = torch.zeros_like(owner, dtype=torch.bool), None, torch.empty(0)
    while len(owner):
        part = problem.subset(owner)
        known, box = point_signals(problem.circuit, part.inputs, said), Box(part.inputs, part.inputs)
        lower = goal.tightened(goal.read(problem.circuit, known, part.labels, box))
        if first is None:
            first, least = lower, torch.full_like(lower, torch.inf)
        proven = goal.holds(goal.proven(lower, part.labels))
        column = owner[proven][:, None].expand_as(lower[proven])
        least.scatter_reduce_(0, column, lower[proven], "amin")
        left = (~proven).nonzero().flatten()
        forked, both = _both_ways(_opened(problem, known, left), said.among(left), left)
        lost[owner[left[~forked]]] = True
        owner = owner[left[forked]].repeat(2)
        lost |= owner.bincount(minlength=len(lost)) > MOST_WAYS
        kept = ~lost[owner]
        owner, said = owner[kept], both.among(kept)
    assert first is not None
    return first.maximum(least.masked_fill(lost[:, None], -torch.inf))


def _opened(problem: Problem, known: list[Signal], rows: Tensor) -> dict[Node, Tensor]:
    """Return which spikes of some rows are open, (T, rows, neurons)."""
    signals = zip(problem.circuit.nodes, known, strict=True)
    boxes = {node: signal.steps() for node, signal in signals if isinstance(node, Fired | Recurred)}
    return {node: (box.lower[:, rows] < box.upper[:, rows]).flatten(2) for node, box in boxes.items()}


def _both_ways(opened: dict[Node, Tensor], said: Said, rows: Tensor) -> tuple[Tensor, Said]:
    """Return which rows have an open spike, and what is said of these twice: the first is there, or it is not.

    Args:
        opened: whether spikes are open, (T, rows, neurons).
        said: of spikes so far.
        rows: which they are, where no neuron fires.
    """
    if not opened:
        return torch.zeros_like(rows, dtype=torch.bool), said
    steps, each = len(next(iter(opened.values()))), [node.any(2) for node in opened.values()]
    step, place = torch.stack([torch.where(own.any(0), own.int().argmax(0), steps) for own in each]).min(0)
    forked, both = step < steps, dict[Node, Tensor]()
    step, place = step[forked], place[forked]
    for index, (node, marks) in enumerate(opened.items()):
        before = said.of.get(node)
        own = torch.zeros_like(marks, dtype=torch.int8) if before is None else before
        marks, own = marks[:, forked], own[:, forked]
        mine = (place == index).nonzero().flatten()
        neuron = marks[step[mine], mine].int().argmax(1)
        ways = own.clone(), own.clone()
        for way, what in zip(ways, (1, -1), strict=True):
            way[step[mine], mine, neuron] = what
        both[node] = torch.cat(ways, 1)
    return forked, Said(both)
