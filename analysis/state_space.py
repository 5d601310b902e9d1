"""A spiking layer's simplified dynamics as a discrete state space, as scipy.signal and python-control take it.

    x[t+1] = A·x[t] + B·u[t],    y[t] = C·x[t] + D·u[t]

u is what reaches the layer at step t, y its potentials v before reset. Without reset, and without the bias of the
affine layers, these are the layer's own equations

    v[t] = λ·v[t−1] + a·i[t],    i[t] = κ·i[t−1] + c[t−d],    c[t] = W·s[t].

The differences of two runs of the layer from the same start obey them exactly where the reset is "none"; where it
subtracts, as long as the spikes of both agree; where it is "zero", as long as neither has fired (behind a spike of
both a hard reset sets the difference to 0). The states are, of each neuron, v[t−1], of
each of its synapses i[t−1] and, where that delays, c[t−1], …, c[t−d]: blocks in series, states of one kind
together. The poles are the decays, and 0 for each step of delay. Nothing here certifies the spiking network.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..models import SpikingNetwork
from ..models.constants import unless_none, whole, wholes
from ..models.elements.synapses import TemporalFilter
from ..models.linear_maps import Shape
from ..models.linear_neuron import linear
from ..models.rules import plain
from ..models.validation import check_choice
from .operators import INPUT, LayerOperator, layer_operators

INPUTS = ("spikes", "current")
LARGEST = 2**25
"""The most numbers of one matrix: 256 MiB."""


@dataclass(frozen=True, eq=False)
class StateSpace:
    """A discrete-time linear system: `scipy.signal.dlti(*s.matrices, dt=s.dt)`, `control.ss(*s.matrices, s.dt)`.

    Attributes:
        A, B, C, D: float64, (states, states), (states, inputs), (outputs, states), (outputs, inputs).
        dt: 1, a step.
        layer: the name of the neurons whose potentials are the output.
        sources: what the inputs are, the first first: "input", or the name of a spiking layer, or "current".
        states: the name of each state, such as "v 3" or "synapse 0 of 3".
        simplified: True: the reset is left out.
    """

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    dt: float
    layer: str
    sources: tuple[str, ...]
    states: tuple[str, ...]
    simplified: bool = True

    @property
    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return A, B, C, D."""
        return self.A, self.B, self.C, self.D


def system(
    network: SpikingNetwork,
    layer: int | str = 0,
    inputs: str = "spikes",
    input_shape: Shape | None = None,
) -> StateSpace:
    """Return the simplified dynamics of one spiking layer as a discrete state space.

    Args:
        network: as in `gain`.
        layer: which spiking layer, by its place among them or its name.
        inputs: "spikes": what the layer's affine layers read, flattened, several sources one after the other
            (under direct coding the input at each step); "current": the currents a[t]·c[t], one a neuron.
        input_shape: of one sample at one step, where the layers leave a choice (images).

    Raises:
        TypeError: for what the analysis of gains refuses, for max pools, and, with inputs "spikes", for an
            input scale that varies over time.
        ValueError: for a layer that is not there, or matrices of more than 2²⁵ numbers.

    >>> from spikecert.models import LIF, mlp
    >>> found = system(mlp((4, 3, 2), neuron=LIF(0.5)))
    >>> found.A.diagonal().tolist(), found.B.shape
    ([0.5, 0.5, 0.5], (3, 4))

    References: theorem "transfer-function"
    """
    check_choice("inputs", inputs, INPUTS)
    operators = layer_operators(network, unless_none(wholes)("input_shape", input_shape), filters=True)
    names = [item.name for item in operators if item.rule is not None]
    operator = operators[_place(layer, names)]
    _check_size(operator)
    blocks = [block for item in operator.filters for block in _synapse(item)]
    labels = [label for k, item in enumerate(operator.filters) for label in _states(item, k)]
    found = _Block.series([block.of(operator.rows) for block in (*blocks, _neuron(operator))])
    matrices = found.a, found.b, found.c, found.d
    sources = ("current",)
    if inputs == "spikes":
        weight = _scale(operator) * _matrix(operator)
        matrices = found.a, found.b @ weight, found.c, found.d @ weight
        sources = tuple("input" if index == INPUT else names[index] for index in operator.sources)
    numbered = tuple(label.format(k) for label in (*labels, "v {}") for k in range(operator.rows))
    return StateSpace(*matrices, 1.0, operator.name, sources, numbered)


def _place(layer: int | str, names: list[str]) -> int:
    if isinstance(layer, str):
        check_choice("layer", layer, tuple(names))
        return names.index(layer)
    place = whole("layer", layer)
    if not 0 <= place < len(names):
        raise ValueError(f"layer: got {place}, expected 0 to {len(names) - 1}, or one of {', '.join(names)}")
    return place


def _check_size(operator: LayerOperator) -> None:
    states = operator.rows * (1 + sum(len(_states(item, 0)) for item in operator.filters))
    numbers = states * max(states, operator.columns)
    if numbers > LARGEST:
        told = f"layer: {operator.name} has {states} states and {operator.columns} inputs"
        raise ValueError(f"{told}, expected matrices of at most {LARGEST} numbers; gain(...) takes larger ones")


def _matrix(operator: LayerOperator) -> np.ndarray:
    """Return W, (neurons, inputs)."""
    if operator.peaks:
        raise TypeError(
            f"layer: {operator.name} stands behind a max pool, which is not linear; gain(...) bounds it"
        )
    return operator.apply(torch.eye(operator.columns, dtype=torch.float64)).detach().numpy().T


def _scale(operator: LayerOperator) -> float:
    """Return a, of an input scale that is the same at all steps."""
    scale = operator.rule.scale if plain(operator.rule) else None
    factors = {1.0} if scale is None else set(scale)
    if len(factors) > 1:
        told = f"layer: {operator.name} scales its input by {min(factors):g} to {max(factors):g} over time"
        raise TypeError(f'{told}: no one system; inputs="current" is the system behind that factor')
    return factors.pop()


@dataclass(frozen=True)
class _Block:
    """One system; a number stands for that number times the identity."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    d: np.ndarray

    def of(self, neurons: int) -> "_Block":
        """Return as many of a neuron's block side by side, states of one kind together; others as they are."""
        if len(self.d) == neurons:
            return self
        eye = np.eye(neurons)
        return _Block(*(np.kron(part, eye) for part in (self.a, self.b, self.c, self.d)))

    @staticmethod
    def series(blocks: "list[_Block]") -> "_Block":
        """Return the blocks one behind the other, the first first."""
        found, *others = blocks
        for last in others:
            a = np.block([[found.a, np.zeros((len(found.a), len(last.a)))], [last.b @ found.c, last.a]])
            b, c = np.vstack((found.b, last.b @ found.d)), np.hstack((last.d @ found.c, last.c))
            found = _Block(a, b, c, last.d @ found.d)
        return found


def _neuron(operator: LayerOperator) -> _Block:
    """Return v[t] = λ·v[t−1] + u[t] of all neurons, with state v[t−1]."""
    assert operator.rule is not None
    eye = np.eye(operator.rows)
    decays = eye * _decays(operator)
    return _Block(decays, eye, decays, eye)


def _decays(operator: LayerOperator) -> np.ndarray:
    """Return λ of each neuron."""
    if not linear(operator.rule):
        return np.full(operator.rows, operator.decay)
    laid = np.array(operator.rule.decay).reshape(operator.rule.shape)
    return np.broadcast_to(laid, operator.expression.shape).reshape(-1)


def _synapse(item: TemporalFilter) -> list[_Block]:
    """Return the blocks of one neuron's synapse: a register of d steps, and i[t] = κ·i[t−1] + u[t]."""
    late = item.delay
    register = _Block(np.eye(late, k=-1), np.eye(late, 1), np.eye(1, late, late - 1), np.zeros((1, 1)))
    one = np.eye(1)
    recursion = _Block(item.decay * one, one, item.decay * one, one)
    return [*([register] if late else []), *([] if item.moves else [recursion])]


def _states(item: TemporalFilter, place: int) -> list[str]:
    late = [f"synapse {place}, {k + 1} late, of {{}}" for k in range(item.delay)]
    return [*late, *([] if item.moves else [f"synapse {place} of {{}}"])]


def frequencies(found: StateSpace, omega: np.ndarray) -> np.ndarray:
    """Return σ_max(G(e^{iω})), G(z) = C(zI − A)⁻¹B + D, at each ω in radians a step, not rounded outward.

    Raises:
        ValueError: where e^{iω} is a pole.
    """
    eye, values = np.eye(len(found.A)), []
    for angle in omega.tolist():
        try:
            inner = np.linalg.solve(np.exp(1j * angle) * eye - found.A, found.B)
        except np.linalg.LinAlgError:
            raise ValueError(f"omega: got {angle:g}, at which the layer has a pole, expected others") from None
        values.append(np.linalg.norm(found.C @ inner + found.D, 2))
    return np.array(values)
