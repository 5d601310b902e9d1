"""Run auto_LiRPA on one batch: build the bounded module, choose a method, return the least of each row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.circuit import Circuit
from ...models.constants import at_least, positive, settle
from ...models.deadline import TimeIsUp, check_time
from ..bounds.events.budgets import Budget
from ..bounds.signals.box import Box
from ..rounding import euclidean
from .compat import load, working
from .slack import Slacks, slacks
from .unrolled import Unrolled, UnrollError

NAMES = {"ibp": "IBP", "crown-ibp": "CROWN-IBP", "crown": "CROWN", "alpha-crown": "CROWN-Optimized"}
"""Our names of the methods and auto_LiRPA's."""


@dataclass(frozen=True)
class Optimisation:
    """How α-CROWN searches its slopes: steps of Adam, their size, and whether it also tightens inner bounds.

    With `inner`, the bounds of every membrane potential have slopes of their own, which takes memory of
    (pairs of steps and layers) × neurons² × batch; without, they are CROWN's.
    """

    iterations: int = 20
    rate: float = 0.02
    inner: bool = False

    def __post_init__(self) -> None:
        settle(self, at_least(1), "iterations")
        settle(self, positive, "rate")

    def options(self) -> dict[str, Any]:
        """Return auto_LiRPA's options; patience is longer than the search, for it prints when it loses it."""
        return {
            "iteration": self.iterations,
            "lr_alpha": self.rate,
            "early_stop_patience": self.iterations + 1,
        }


@dataclass(frozen=True)
class BoundedNetwork:
    """A network over one batch of input boxes, ready to be bounded.

    Attributes:
        module: auto_LiRPA's BoundedModule.
        bounded: the input, with its set.
        factor: logits = factor·module(inputs).
        slacks: what rounding may add.
    """

    module: Any
    bounded: Any
    factor: float
    slacks: Slacks
    optimisation: Optimisation = field(default_factory=Optimisation)

    def least(self, matrix: Tensor, method: str) -> Tensor:
        """Return lower bounds of matrix·logits, (batch, rows), for a matrix (batch, rows, classes).

        They hold for the run in the network's dtype.

        Raises:
            OverflowError: where the bound is not finite.
            UnrollError: where auto_LiRPA itself raises.
        """
        arguments = {"x": (self.bounded,), "C": matrix * self.factor, "bound_upper": False}
        with _asking():
            if method == "alpha-crown" and not self.optimisation.inner:
                arguments |= self._inner_bounds(arguments)
            lower = self.module.compute_bounds(**arguments, method=NAMES[method])[0].detach()
        if not bool(torch.isfinite(lower).all()):
            raise OverflowError("the linear bound is not finite")
        return lower - (matrix.abs() @ self.slacks.logits.unsqueeze(2)).squeeze(2)

    def _inner_bounds(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return CROWN's bounds of the membrane potentials, as the argument that fixes them."""
        with torch.no_grad():
            self.module.compute_bounds(**arguments, method=NAMES["crown"])
        nodes = [node.inputs[0] for node in self.module.modules() if hasattr(node, "neuron")]
        known = {node.name: (node.lower, node.upper) for node in nodes if getattr(node, "lower", None) is not None}
        name = "interm_bounds" if hasattr(self.module, "_get_optimized_bounds") else "intermediate_layer_bounds"
        return {name: known}


def bounded_network(circuit: Circuit, box: Box, optimisation: Optimisation | None = None) -> BoundedNetwork:
    """Return `circuit` over the inputs in `box`.

    Raises:
        ModuleNotFoundError, ImportError: without a usable auto_LiRPA.
        OverflowError: where the run may overflow its dtype.
        UnrollError: for a network that can't be unrolled, or on which auto_LiRPA itself raises.
    """
    library = load()
    from .operators import custom_operations  # imports auto_LiRPA

    optimisation = optimisation or Optimisation()
    unrolled = Unrolled(circuit, box.lower).eval()
    found = slacks(circuit, box, unrolled.readout, unrolled.summands)
    options = {
        "conv_mode": "matrix",
        "sparse_intermediate_bounds": False,
        "sparse_conv_intermediate_bounds": False,
        "optimize_bound_args": optimisation.options(),
    }
    middle, inputs = box.middle, _set(library, box)
    with _asking():
        module = library.BoundedModule(
            unrolled,
            middle,
            bound_opts=options,
            device=str(box.lower.device),
            custom_ops=custom_operations(found.neurons),
        )
        bounded = library.BoundedTensor(middle, inputs)
    for node in module.children():
        node.bound_backward = _timed(node.bound_backward)
    if box.center is not None:  # interval bounds of a first layer know the box only
        module.check_IBP_first_linear = lambda node: False
    return BoundedNetwork(module, bounded, unrolled.readout.factor, found, optimisation)


def _timed(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return a step of auto_LiRPA that is not begun once the time is up: between two of them it asks nobody."""

    @wraps(step)
    def asking(*arguments: Any, **named: Any) -> Any:
        check_time()
        return step(*arguments, **named)

    return asking


@contextmanager
def _asking() -> Iterator[None]:
    """Call auto_LiRPA; what it raises becomes one line, but for an overflow that our own operations found."""
    try:
        with working():
            yield
    except (OverflowError, TimeIsUp):
        raise
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise UnrollError(f"network: auto_LiRPA raised {type(error).__name__}: {told or 'no message'}") from error


def _set(library: Any, box: Box) -> Any:
    """Return the box, cut with its ball or its budget if it has any, as auto_LiRPA's perturbation."""
    if box.ball is None or box.center is None:
        return library.PerturbationLpNorm(norm=np.inf, eps=0.0, x_L=box.lower, x_U=box.upper)
    return _cut_box(library, box)(norm=np.inf, eps=0.0, x_L=box.lower, x_U=box.upper)


def _cut_box(library: Any, box: Box) -> type:
    """Return a class of sets: the box, whose linear functions are also bounded over the ball or the budget."""
    base: Any = library.PerturbationLpNorm
    assert box.center is not None
    center = box.center.flatten(1).unsqueeze(2)

    class CutBox(base):
        def concretize(self, x: Tensor, A: Any, sign: int = -1, aux: Any = None, **more: Any) -> Any:
            """Return the box's bound of A·x, cut by the ball's."""
            inside = super().concretize(x, A, sign=sign, aux=aux, **more)
            if not isinstance(A, Tensor):
                return inside
            rows = A.flatten(2)
            cut = ((rows @ center).squeeze(2) + sign * _reach(rows, box, sign)).reshape(inside.shape)
            return inside.maximum(cut) if sign == -1 else inside.minimum(cut)

    return CutBox


def _reach(rows: Tensor, box: Box, sign: int) -> Tensor:
    """Return how far rows·x may fall (sign −1) or rise over the budget, or else over the ball, (batch, rows)."""
    if box.budget is None or box.center is None:
        assert box.ball is not None
        return euclidean(rows, 2) * box.ball
    return _change(box.budget, sign * rows, box.center)


def _change(budget: Budget, rows: Tensor, events: Tensor) -> Tensor:
    """Return how far rows·x may rise over a budget of changes, (batch, rows).

    A budget wants time first, which `rows`, (batch, rows, entries of a sample), do not have.
    """

    def timed(marks: Tensor) -> Tensor:
        """Return one sample for each row, with the first axis of a sample in front."""
        return marks.repeat_interleave(rows.shape[1], 0).movedim(1, 0)

    costs = -rows.reshape(-1, *events.shape[1:]).movedim(1, 0)
    least, _ = budget.moved(timed).least(costs, torch.zeros_like(costs))
    return -least.view(rows.shape[:2])
