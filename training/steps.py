"""One step of training: loss, gradients, optimiser, and an early end where a number is NaN or inf."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.networks import SpikingNetwork
from ..models.progress import Figures, Progress
from .data import Dataset, Split
from .diagnosis import all_finite, broken_gradient, broken_parameter, origin
from .evaluation import on_network
from .objectives import Loss, Objective
from .processes import Processes, common_statistics
from .settings import Settings
from .state import TrainingState


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
    inputs, labels, share = _own_part(state, task, batch)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad()
    attempt = _Attempt(state, task, objective, inputs, labels, where, state.noise.get_state())
    loss = attempt.loss()
    told = {"loss": loss.total.detach(), **loss.terms}
    values = task.processes.summed({name: share * float(value) for name, value in told.items()})
    if not math.isfinite(values["loss"]):
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        raise attempt.failure(f"loss: got {shown}")
    (loss.total if share == 1.0 else share * loss.total).backward()
    task.processes.sum_gradients(state.network)
    _move(state, task, attempt)
    return values


def _own_part(state: TrainingState, task: TrainingTask, batch: Split) -> tuple[Tensor, Tensor, float]:
    """Return what this process works on: its rows, their labels, and their share of the batch."""
    inputs, labels = on_network(state.network, batch)
    if task.settings.augmentation is not None:
        state.noise.rows = None
        inputs = task.settings.augmentation(inputs, state.noise)
    rows = task.processes.rows(len(inputs))
    state.noise.rows, state.noise.total = rows, len(inputs)
    if rows is None:
        return inputs, labels, 1.0
    return inputs[rows], labels[rows], (rows.stop - rows.start) / len(inputs)


@dataclass(frozen=True)
class _Attempt:
    """The loss of one batch, and how to repeat it: its draws start from `draws`."""

    state: TrainingState
    task: TrainingTask
    objective: Objective
    inputs: Tensor
    labels: Tensor
    where: str
    draws: Tensor

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
        network, device = self.state.network, self.inputs.device.type
        mixed = torch.autocast(device, torch.bfloat16, enabled=self.task.settings.precision == "bfloat16")
        with mixed, common_statistics(network, self.task.processes), _drawing(network, self.state.noise):
            return self.objective.loss(network, self.inputs, self.labels, self.state.noise)

    def failure(self, what: str) -> FloatingPointError:
        """Return the error that says what failed at which step, and in which layer it began."""
        return FloatingPointError(f"{what} at {self.where}, expected finite numbers; {self._origin()}")

    def _origin(self) -> str:
        self.state.noise.set_state(self.draws)
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
