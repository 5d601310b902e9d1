"""A circuit over its T steps as auto_LiRPA's bounded module, and the least of linear functions of its logits.

Importing this imports auto_LiRPA. A signal is a list of nodes, one per step, or one alone where it is constant.
"""

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ...models.circuit import Added, Algebra, Chosen, Circuit, Fired, Input, Mapped, Read, fold
from ...models.rules import plain
from ...models.running.readouts import LINEAR
from ..bounds.propagation import input_signal
from ..bounds.readouts import readout_row
from ..bounds.signals.affine import affine_map
from ..bounds.signals.box import Box
from .library import asking, load
from .nodes import AffineNode, JumpNode, SumNode
from .relaxation import RelaxedLayer, ResidueSegments, SpikeSegments
from .slack import slacks

_library: Any = load()
_BoundInput: Any = _library.bound_ops.BoundInput
Steps = list[Any]


class BoundedCircuit(_library.BoundedModule):
    """A network over one batch of input sets, ready to be bounded.

    Args:
        circuit: of the network.
        box: the input sets, as `Perturbation.enclosure` gives them.
        iterations: of α-CROWN.

    Attributes:
        slack: an error of each logit, by rounding, (1 or batch, classes).

    Raises:
        OverflowError: where the run may overflow its dtype.
        UnknownNode: for what can't be written this way.
        LibraryError: where auto_LiRPA itself raises.
    """

    def __init__(self, circuit: Circuit, box: Box, iterations: int = 20) -> None:
        unrolling = _Unrolling(circuit, _BoundInput("inputs", box.middle, input_index=0))
        fold(circuit, unrolling, until=0)
        found = slacks(circuit, box, readout_row(circuit, box.lower))
        unrolling.neurons = iter(found.neurons)
        logits, sets = fold(circuit, unrolling)[-1], InputSets(circuit, box)
        # patience is longer than the search: it prints when it loses it
        search = {"iteration": iterations, "lr_alpha": 0.02, "early_stop_patience": iterations + 1}
        settings = {"conv_mode": "matrix", "optimize_bound_args": search}
        with asking():
            super().__init__(nn.Identity(), box.middle, settings, str(box.lower.device))
            self.batch, self.slack, self.whole = _library.BoundedTensor(box.middle, sets), found.logits, sets.whole
            self.last_final_node, self.used_nodes = None, []
            self._build_graph(unrolling.nodes, [unrolling.entry], logits, None)
            self.forward(box.middle)

    def _convert(self, *arguments: Any) -> None:
        """Read no module."""

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Yield one tensor of the dtype and device of all."""
        return iter([self.batch])

    def check_IBP_first_linear(self, node: Any) -> bool:
        """Bound an affine node of uncut inputs by its interval, and return whether it is one."""
        first = self.whole and isinstance(node, AffineNode) and isinstance(node.inputs[0], _BoundInput)
        if first:
            node.lower, node.upper = self.IBP_general(node)
        return first

    def least(self, matrix: Tensor, method: str) -> Tensor:
        """Return lower bounds of matrix·logits, (batch, rows), for a matrix (batch, rows, classes).

        They hold for the run in the network's dtype.

        Raises:
            OverflowError: where the bound is not finite.
            LibraryError: where auto_LiRPA itself raises.
        """
        arguments = {"x": (self.batch,), "C": matrix, "bound_upper": False}
        with asking(), torch.enable_grad():
            if method == "alpha-crown":
                arguments["intermediate_layer_bounds"] = self._potentials(arguments)
            lower = self.compute_bounds(**arguments, method=method)[0].detach()
        if not bool(torch.isfinite(lower).all()):
            raise OverflowError("the linear bound is not finite")
        return lower - (matrix.abs() @ self.slack.unsqueeze(2)).squeeze(2)

    @torch.no_grad()
    def _potentials(self, arguments: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return CROWN's bounds of the potentials: α-CROWN searches for the logits' alone."""
        self.compute_bounds(**arguments, method="crown")
        potentials = [jump.inputs[0] for jump in self.optimizable_activations]
        return {node.name: (node.lower, node.upper) for node in potentials}


class InputSets(_library.PerturbationLpNorm):
    """The input set of each sample: a box, cut with its ball or its budget where it has any."""

    def __init__(self, circuit: Circuit, box: Box) -> None:
        super().__init__(norm=np.inf, x_L=box.lower, x_U=box.upper)
        self.circuit, self.signal, self.whole = circuit, input_signal(circuit, box), box.center is None

    def concretize(self, x: Tensor, A: Any, sign: int = -1, aux: Any = None) -> Any:
        """Return the least (sign −1) or the greatest of A·x, (batch, rows), for A (batch, rows, entries)."""
        inside = super().concretize(x, A, sign=sign)
        if A is None or self.whole:
            return inside
        costs = self.circuit.arranged((-sign * A).reshape(-1, *x.shape[1:]))
        samples = torch.arange(len(A), device=A.device).repeat_interleave(A.shape[1])
        cut = -sign * self.signal.least(costs, samples)[0].view(A.shape[:2])
        return inside.maximum(cut) if sign == -1 else inside.minimum(cut)


class _Unrolling(Algebra[Steps]):
    """Writes nodes for each node of a circuit.

    Args:
        circuit: of the network.
        entry: the node of the inputs.

    Attributes:
        neurons: of each spiking layer, in order, once they are known.
        nodes: what was written so far.
    """

    reader: ClassVar[str] = "lirpa"
    encodings: ClassVar[tuple[str, ...]] = ("direct", "none")

    def __init__(self, circuit: Circuit, entry: Any) -> None:
        if circuit.read.readout not in LINEAR:
            raise self.refuse(circuit.read, f"a readout {circuit.read.readout!r}, no sum over time")
        self.circuit, self.entry = circuit, entry
        entry.name = entry.ori_name
        self.neurons: Iterator[RelaxedLayer] = iter(())
        self.nodes: list[Any] = []
        self.weights: list[float] = readout_row(circuit, torch.zeros((), dtype=torch.float64))[0].tolist()
        behind = itertools.takewhile(lambda node: isinstance(node, Mapped), reversed(circuit.nodes[:-1]))
        self.last = tuple(behind)[::-1]

    def input(self, node: Input) -> Steps:
        """Return the inputs, or those of each step."""
        if not self.circuit.timed:
            return [self.entry]
        steps = [partial(torch.select, dim=1, index=t) for t in range(self.circuit.num_steps)]
        return [self._add(AffineNode(step, step, torch.zeros(()), self.entry)) for step in steps]

    def mapped(self, node: Mapped, x: Steps) -> Steps:
        """Return the affine images; the last maps are of the sum over time, and a bias counts for all of it."""
        layer, often = affine_map(node.map), 1.0
        if node in self.last:
            x, often = self._summed(x) if node is self.last[0] else x, math.fsum(self.weights)
        return [self._add(AffineNode(layer.linear, layer.absolute, layer.bias * often, step)) for step in x]

    def chosen(self, node: Chosen, *x: Steps) -> Steps:
        """Return the node of each step."""
        return [_at(steps, t) for t, steps in enumerate(x)]

    def added(self, node: Added, x: Steps, y: Steps) -> Steps:
        """Return the sums; a constant signal counts at each step."""
        return [self._sum([(1.0, _at(x, t)), (1.0, _at(y, t))]) for t in range(max(len(x), len(y)))]

    def fired(self, node: Fired, x: Steps) -> Steps:
        """Return the spikes: v[t] = λ·u[t−1] + a[t]·I[t]."""
        assert plain(node.rule)
        neuron, spikes, carried = next(self.neurons), [], []
        for t, scale in enumerate(node.rule.factors(self.circuit.num_steps)):
            potential = self._sum([*carried, (scale, _at(x, t))])
            spikes.append(self._add(JumpNode(neuron, SpikeSegments, potential)))
            if node.rule.decay > 0:
                carried = [(1.0, self._add(JumpNode(neuron, ResidueSegments, potential, spikes[-1])))]
        return spikes

    def read(self, node: Read, x: Steps) -> Steps:
        """Return the logits."""
        return x if self.last else self._summed(x)

    def _summed(self, x: Steps) -> Steps:
        """Return the readout's sum over time."""
        return [self._sum([(weight, _at(x, t)) for t, weight in enumerate(self.weights)])]

    def _sum(self, terms: list[tuple[float, Any]]) -> Any:
        return terms[0][1] if [weight for weight, _ in terms] == [1.0] else self._add(SumNode(terms))

    def _add(self, node: Any) -> Any:
        node.name = f"{type(node).__name__} {len(self.nodes)}"
        self.nodes.append(node)
        return node


def _at(signal: Steps, t: int) -> Any:
    return signal[t if len(signal) > 1 else 0]
