"""A pass in parts of a few steps, so that the backward pass needs the memory of one part and not of all T steps.

Between two parts only the residues of layers with a state are kept; the backward pass runs each part again, the
last one first. So the memory of activations goes from T steps to `steps_at_once`, for one more forward pass.
"""

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..constants import at_least
from ..elements.layers import BATCH_NORMS, Layers, walk
from .running import STATEFUL, Timed, run_through


def check_parts(layers: Layers, steps_at_once: int, training: bool = False) -> None:
    """Raise ValueError where a pass in parts is not the whole pass: now or, with `training`, in that mode."""
    at_least(1)("steps_at_once", steps_at_once)
    parts = (part for layer in walk(layers) for part in layer.modules())
    if any(isinstance(part, BATCH_NORMS) and (training or part.training) for part in parts):
        expected = "a network without batch norm, whose statistics are over all steps"
        raise ValueError(f"steps_at_once: got {steps_at_once} in training, expected {expected}")


def run_in_parts(
    layers: list[nn.Module], signal: Tensor, num_steps: int, steps_at_once: int
) -> tuple[Tensor, list[Tensor]]:
    """Return the sum over time of what `layers` make of a signal, (1, batch, ...), and the final residues.

    Args:
        layers: as of a network.
        signal: (num_steps, batch, ...), or (1, batch, ...) where it is constant.
        num_steps: T.
        steps_at_once: the most steps of a part.

    Raises:
        ValueError: for less than one step, or for batch norm in training mode.
    """
    check_parts(layers, steps_at_once)
    constant = len(signal) == 1
    keeps = [any(isinstance(part, STATEFUL) for part in layer.modules()) for layer in layers]
    first = [*keeps, True].index(True) if constant else 0
    signal = run_through(layers[:first], signal, _never)  # of a constant signal, once for all parts
    residues: list[Tensor | None] = [None] * sum(isinstance(layer, STATEFUL) for layer in walk(layers))
    total: Tensor | None = None
    for start in range(0, num_steps, steps_at_once):
        steps = min(steps_at_once, num_steps - start)
        part = signal if constant else signal[start : start + steps]
        span = (start, steps, num_steps)
        summed, *residues = checkpoint(
            _part, layers[first:], part, span, *residues, use_reentrant=False, preserve_rng_state=False
        )  # type: ignore[misc]
        total = summed if total is None else total + summed
    assert total is not None
    return total, residues  # type: ignore[return-value]


def _part(
    layers: list[nn.Module], signal: Tensor, span: tuple[int, int, int], *residues: Tensor | None
) -> tuple[Tensor, ...]:
    """Return the sum over the part's steps, and the residues behind them."""
    start, steps, num_steps = span
    before, after = iter(residues), []

    def fire(neuron: Timed, current: Tensor) -> Tensor:
        """Go on from the residue before the part, and keep the one behind it."""
        spikes, residue = neuron.resume(current, next(before), start, steps, num_steps)
        after.append(residue)
        return spikes

    behind = run_through(layers, signal, fire)
    whole = behind.sum(0, keepdim=True) if len(behind) > 1 else behind * steps
    return whole, *after


def _never(neuron: Timed, current: Tensor) -> Tensor:
    raise AssertionError("a prefix without a state had one")
