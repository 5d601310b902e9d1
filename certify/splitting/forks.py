"""Inputs that are known exactly, where a spike is too close to its threshold: bounded both ways (points.py).

In every run a spike is there or not. So where one is open, a bound of the runs in which it is and one of those in
which it is not hold together: the lesser one is a bound of all. The first open spike is taken, by its step: those
behind it are often open on its account alone.
"""

from dataclasses import replace

import torch
from torch import Tensor

from ..bounds.points import Said, walker
from ..bounds.signals.box import Box
from ..problem import Problem

MOST_WAYS = 16
"""How many ways one input may be open in at a time."""


def point_bounds(problem: Problem, members: int = 0) -> Tensor:
    """Return lower bounds of the question's columns for the problem's own inputs, each alone, (batch, columns).

    Args:
        problem: of inputs in float64.
        members: of how many such inputs the question is, where these are a part of them.

    Raises:
        OverflowError: where a run may overflow.
        TimeIsUp: where the time that is given ends.
    """
    problem = replace(problem, made=problem.circuit)
    goal, owner = problem.goal, torch.arange(len(problem.labels), device=problem.labels.device)
    said, signals = Said.nothing(problem.inputs), walker(problem.circuit)
    lost, first, least = torch.zeros_like(owner, dtype=torch.bool), None, torch.empty(0)
    while len(owner):
        part = problem.subset(owner)
        found, box = signals(problem.circuit, part.inputs, said), Box(part.inputs, part.inputs)
        lower = goal.tightened(goal.read(problem.circuit, found.known, part.labels, box))
        if first is None:
            first, least = lower, torch.full_like(lower, torch.inf)
        proven = goal.holds(goal.proven(lower, part.labels))
        column = owner[proven][:, None].expand_as(lower[proven])
        least.scatter_reduce_(0, column, lower[proven], "amin")
        left = (~proven).nonzero().flatten()
        forked = found.opened[left, 0] >= 0
        lost[owner[left[~forked]]] = True
        left = left[forked]
        owner, said = owner[left].repeat(2), said.among(left).both_ways(found.opened[left])
        lost |= owner.bincount(minlength=len(lost)) > MOST_WAYS
        kept = ~lost[owner]
        owner, said = owner[kept], said.among(kept)
    assert first is not None
    return first.maximum(least.masked_fill(lost[:, None], -torch.inf))
