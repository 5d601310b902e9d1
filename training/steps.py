"""One step of training: loss, gradients, optimiser, and an early end where a number is NaN or inf.

Where NaN or inf came from: the first layer, in the order of execution, whose numbers are not finite.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from ..models.deadline import Figures, Progress
from ..models.linear_maps import affine_types
from ..models.networks import SpikingNetwork
from .data import Dataset, Split
from .evaluation import on_network
from .objectives import Loss, Objective
from .processes import Processes, common_statistics
from .settings import Settings, weights_of
from .state import TrainingState


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no tensor holds NaN or inf; one look at their common norm where that is finite."""
    tensors = list(tensors)
    return bool(torch.isfinite(get_total_norm(tensors))) or all(bool(torch.isfinite(t).all()) for t in tensors)


def broken_gradient(network: SpikingNetwork) -> str | None:
    """Return the name of the first parameter whose gradient holds NaN or inf, or None."""
    named = ((name, p.grad) for name, p in network.named_parameters() if p.grad is not None)
    return next((name for name, grad in named if not all_finite([grad])), None)


def broken_parameter(network: SpikingNetwork) -> str | None:
    """Return the name of the first parameter that holds NaN or inf, or None."""
    named = ((name, parameter.detach()) for name, parameter in network.named_parameters())
    return next((name for name, parameter in named if not all_finite([parameter])), None)


def origin(network: SpikingNetwork, inputs: Tensor, again: Callable[[], object]) -> str:
    """Return in words which layer first had a current or potential that is NaN or inf.

    Args:
        network: with the weights that failed.
        inputs: of the batch that failed.
        again: repeats what failed, such as the loss of that batch.
    """
    layer = _first_current(network, again)
    if layer is not None:
        return f"the current out of {layer} is the first that holds NaN or inf"
    layer = _first_potential(network, inputs)
    if layer is not None:
        return f"the potentials of {layer} are the first that hold NaN or inf"
    return "the currents and potentials of all layers are finite"


def _first_current(network: SpikingNetwork, again: Callable[[], object]) -> str | None:
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        """Return a hook that notes the first layer whose output is not finite."""

        def hook(module: nn.Module, arguments: Any, output: Tensor) -> None:
            if not found and not all_finite([output.detach()]):
                found.append(f"{name} ({type(module).__name__})")

        return hook

    layers = [(name, module) for name, module in network.named_modules() if isinstance(module, affine_types())]
    handles = [module.register_forward_hook(watch(name)) for name, module in layers]
    try:
        with suppress(ValueError, FloatingPointError):  # it failed before; what counts is what the hooks saw
            again()
    finally:
        for handle in handles:
            handle.remove()
    return next(iter(found), None)


def _first_potential(network: SpikingNetwork, inputs: Tensor) -> str | None:
    with torch.no_grad():
        trace = network.trace(inputs)
    names = {module: name for name, module in network.named_modules()}
    pairs = zip(network.neurons, trace.potentials, strict=True)
    broken = (neuron for neuron, potentials in pairs if not all_finite([potentials]))
    return next((f"{names[neuron]} ({type(neuron).__name__})" for neuron in broken), None)


@dataclass(frozen=True)
class TrainingTask:
    """What `fit` was told, and the processes that do it together."""

    dataset: Dataset
    objective: Objective
    settings: Settings
    progress: Progress
    figures: Figures
    processes: Processes

    def tell(self, done: int, total: int, figures: Mapping[str, float | None]) -> None:
        """Report where training is, from the first process alone."""
        if self.processes.first:
            self.progress("train", done, total)
            self.figures("train", {name: value for name, value in figures.items() if value is not None})


def take_step(
    state: TrainingState, task: TrainingTask, objective: Objective, batch: Split, rate: float, where: str
) -> Mapping[str, float]:
    """Take one step of the optimiser and return the loss and its terms, means over the batch of all processes.

    Raises:
        FloatingPointError: if a loss, a gradient or a weight is NaN or inf, with step and layer.
    """
    inputs, labels = on_network(state.network, batch)
    if task.settings.augmentation is not None:
        state.noise.rows = None
        inputs = task.settings.augmentation(inputs, state.noise)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad()
    draws = state.noise.get_state()
    attempts = [
        _Attempt(state, task, objective, inputs, labels, rows, where, draws) for rows in _parts(task, len(inputs))
    ]
    with weights_of(state.network, task.settings):
        told = [attempt.add_gradients() for attempt in attempts]
    values = task.processes.summed({name: sum(part[name] for part in told) for name in told[0]})
    if not math.isfinite(values["loss"]):
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        first = next((i for i, part in enumerate(told) if not math.isfinite(part["loss"])), 0)
        raise attempts[first].failure(f"loss: got {shown}")
    task.processes.sum_gradients(state.network)
    _move(state, task, attempts[-1])
    return values


def _parts(task: TrainingTask, total: int) -> list[slice | None]:
    """Return the rows of each part that this process works on; None for all of the batch."""
    own = task.processes.rows(total)
    if task.settings.accumulate == 1:
        return [own]
    start, stop = (0, total) if own is None else (own.start, own.stop)
    parts = min(task.settings.accumulate, stop - start)
    ends = [start + (stop - start) * part // parts for part in range(parts + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


@dataclass(frozen=True)
class _Attempt:
    """The loss of some rows of one batch, and how to repeat it: its draws start from `draws`."""

    state: TrainingState
    task: TrainingTask
    objective: Objective
    batch: Tensor
    targets: Tensor
    rows: slice | None
    where: str
    draws: Tensor

    @property
    def inputs(self) -> Tensor:
        """Return the rows' inputs."""
        return self.batch if self.rows is None else self.batch[self.rows]

    @property
    def labels(self) -> Tensor:
        """Return the rows' labels."""
        return self.targets if self.rows is None else self.targets[self.rows]

    def add_gradients(self) -> dict[str, float]:
        """Add the gradients of the rows' share of the loss, and return that share of the loss and of its terms."""
        loss, share = self.loss(), 1.0 if self.rows is None else len(self.inputs) / len(self.batch)
        (loss.total if share == 1.0 else share * loss.total).backward()
        told = {"loss": loss.total.detach(), **loss.terms}
        return {name: share * float(value) for name, value in told.items()}

    def loss(self) -> Loss:
        """Return the loss.

        Raises:
            FloatingPointError: from a perturbation that met NaN or inf.
        """
        try:
            return self._loss()
        except FloatingPointError as error:
            raise self.failure(str(error)) from error

    def _loss(self) -> Loss:
        self.state.noise.set_state(self.draws)
        self.state.noise.rows, self.state.noise.total = self.rows, len(self.batch)
        network, device = self.state.network, self.inputs.device.type
        mixed = torch.autocast(device, torch.bfloat16, enabled=self.task.settings.precision == "bfloat16")
        with mixed, common_statistics(network, self.task.processes), _drawing(network, self.state.noise):
            return self.objective.loss(network, self.inputs, self.labels, self.state.noise)

    def failure(self, what: str) -> FloatingPointError:
        """Return the error that says what failed at which step, and in which layer it began."""
        return FloatingPointError(f"{what} at {self.where}, expected finite numbers; {self._origin()}")

    def _origin(self) -> str:
        return origin(self.state.network, self.inputs, self._loss)


@contextmanager
def _drawing(network: SpikingNetwork, noise: torch.Generator) -> Iterator[None]:
    """Seed what a rate code draws by in training, torch's global generator, from the run's noise."""
    if network.encoding != "rate":
        yield
        return
    with torch.random.fork_rng(devices=[network.device] if network.device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**62, (), generator=noise)))
        yield


def _move(state: TrainingState, task: TrainingTask, attempt: _Attempt) -> None:
    """Let the optimiser step, unless a gradient is broken; fail if a weight is then."""
    network: SpikingNetwork = state.network
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    if not all_finite(gradients):
        raise attempt.failure(f"gradient: got NaN or inf for {broken_gradient(network)}")
    state.optimizer.step()
    if task.settings.after_step is not None:
        task.settings.after_step(network, state.noise)
    if not all_finite(parameter.detach() for parameter in network.parameters()):
        name = broken_parameter(network)
        raise FloatingPointError(f"network: {name} became NaN or inf at {attempt.where}, expected finite weights")
