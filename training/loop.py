"""`fit`: train a network on a data set under an objective, resumably, and pick it on the validation split.

Means of named figures over the steps of an epoch.

What `fit` checks before it starts: that network, data and objective fit together.
"""

import copy
import logging
import math
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..certify.perturbations import takes_whole
from ..kernels.loading import kept_memory
from ..models.deadline import Figures, Progress, no_figures, silent
from ..models.networks import SpikingNetwork, check_network
from ..models.running.running import check_parts
from ..models.validation import check_inputs, check_labels, check_rivals, check_weights
from .data import Dataset, Split
from .evaluation import accuracy, on_network, root_mean_square
from .generators import BatchGenerator
from .journal import Callback, EpochMetrics, TrainingRun, figures_of, of_folder
from .objectives import MSE, MSMPPD, SIBP, CertifiedLoss, CrossEntropy, Huber, Objective
from .objectives.base import Scaled, parts, peak
from .objectives.ms_mppd import firing_layers
from .perturbations import evaluation_mode
from .processes import check_accumulation, current
from .settings import SCHEDULES, Settings, make_optimizer, weights_of
from .state import CheckpointStore, TrainingState, configuration
from .steps import TrainingTask, take_step

LOG = logging.getLogger(__name__)


@dataclass
class Means:
    """Each figure's mean over the steps that had it: a term may be left out of a step, say at a weight of 0.

    >>> means = Means()
    >>> means.add({"loss": 1.0, "term": 4.0})
    >>> means.add({"loss": 2.0})
    >>> means["loss"], means["term"]
    (1.5, 4.0)
    """

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float]) -> None:
        """Count one step's figures."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def __getitem__(self, name: str) -> float:
        """Return the mean of one figure."""
        return self.sums[name] / self.counts[name]

    def others(self, *names: str) -> dict[str, float]:
        """Return the means of all figures but these."""
        return {name: self[name] for name in self.sums if name not in names}


FIRST_LAYER = (
    "objective: MSMPPD's layer is the network's first spiking layer, where its one-sided gradient mostly drives "
    "the currents up and costs accuracy; take a network with one more hidden layer, two_sided=True or rho=0"
)
ONE_RUN = (CrossEntropy, CertifiedLoss, SIBP, MSE, Huber)
"""Objectives whose parts may each draw afresh."""
CODED = (CrossEntropy, MSE, Huber)
"""Objectives of runs at inputs as they are."""


def _check_ends(dataset: Dataset, objective: Objective) -> None:
    """Raise ValueError where an objective holds inputs within narrower ends than the data: sets would be empty."""
    for term in _terms(objective):
        for part in (term, getattr(term, "perturbation", None)):
            lower, upper = getattr(part, "lower", -math.inf), getattr(part, "upper", math.inf)
            low, high = dataset.limits
            if getattr(part, "clamp", True) and not (lower <= low and high <= upper):
                got = f"{type(part).__name__} with lower {lower:g} and upper {upper:g}"
                raise ValueError(
                    f"objective: got {got}, expected {low:g} and {high:g}, as inputs have them, or wider"
                )


def check_task(network: SpikingNetwork, dataset: Dataset, objective: Objective) -> None:
    """Raise TypeError or ValueError unless network, data and objective fit together."""
    if not isinstance(objective, Objective):
        raise TypeError(f"objective: got {type(objective).__name__}, expected an Objective such as CrossEntropy()")
    if takes_whole(network) is not None:
        told = "expected the real network that it was built of"
        raise ValueError(f"network: got one of whole numbers, which has no gradients, {told}")
    if network.encoding == "rate" and any(not isinstance(term, ONE_RUN) for term in _terms(objective)):
        named = ", ".join(kind.__name__ for kind in ONE_RUN)
        raise ValueError(
            f'network: got encoding "rate", expected an objective of {named}: others compare two runs'
        )
    if network.encoding == "latency" and any(not isinstance(term, CODED) for term in _terms(objective)):
        told = "expected CrossEntropy, MSE or Huber: no gradient and no bound goes through its code"
        raise ValueError(f'network: got encoding "latency", {told}')
    check_weights(network)
    asked = "numbers" if dataset.train.real else "classes"
    for term in _terms(objective):
        if term.targets not in (asked, "any"):
            told = f"got {dataset.train.labels.dtype}, {asked}, and {type(term).__name__} learns {term.targets}"
            raise TypeError(
                f"labels: {told}; expected integers for classes, or floats for an objective such as MSE()"
            )
    _check_ends(dataset, objective)
    for name in ("train", "validation"):
        split: Split = getattr(dataset, name)
        if len(split) == 0:
            raise ValueError(f"dataset: got an empty {name} split, expected at least one sample")
        if not split.real:
            check_labels(split.labels, len(split), dataset.classes)
        elif tuple(split.labels.shape) != (len(split), dataset.classes):
            got = f"targets of shape {tuple(split.labels.shape)}"
            raise ValueError(f"dataset: got {got}, expected ({len(split)}, {dataset.classes})")
        inputs, _ = on_network(network, split.take(torch.arange(1)))
        check_inputs(network, inputs)
        with evaluation_mode(network), torch.no_grad():
            width = network(inputs).shape[1]
        if not split.real:
            check_rivals(width)
        if width != dataset.classes:
            wanted = "numbers of a target" if split.real else "classes"
            raise ValueError(f"network: got {width} logits, expected the data set's {dataset.classes} {wanted}")


def warn_of_first_layer(network: SpikingNetwork, objective: Objective) -> None:
    """Warn where a one-sided L_MS is about the first spiking layer alone; the caller of `fit` is who is told."""
    terms = [term for term in _terms(objective) if isinstance(term, MSMPPD) and peak(term.rho) > 0]
    if any(not term.two_sided for term in terms) and len(firing_layers(network)) == 1:
        warnings.warn(FIRST_LAYER, stacklevel=3)


def _terms(objective: Objective) -> Iterator[Objective]:
    """Yield the summands of an objective, whatever weights stand before them."""
    for part in parts(objective):
        if isinstance(part, Scaled):
            yield from _terms(part.objective)
        else:
            yield part


def fit(
    network: SpikingNetwork,
    dataset: Dataset,
    objective: Objective = CrossEntropy(),  # noqa: B008 (frozen)
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    folder: str | Path | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
    callbacks: Iterable[Callback] = (),
    device: torch.device | str | None = None,
    **changes: Any,
) -> TrainingRun:
    """Train a copy of `network` and return it with the weights of the epoch that the validation split picked.

    Picked is the epoch of the greatest robust accuracy on the validation split, as the objective measures it:
    under its perturbation, or certified (clean accuracy if it has neither; ties: the greater clean accuracy, then
    the earlier epoch). With real targets it is that of the least certified error, or, where the objective proves
    none, of the least root of the mean squared error. The test split is never used, though the paper's authors
    pick by it: figures of the picked epoch would then be no figures of new images. The run's `last` is the network
    of the last epoch.

    Under torchrun, where the caller has joined torch's process group, every process takes its part of each batch,
    and all end with the same network: that of one process, up to the rounding of sums in another order.

    Warns where MS-MPPD is one-sided and its layer is the network's first spiking layer (docs/tables.md: depth).

    Args:
        network: its weights are the start; it stays as it is.
        dataset: as from `dataset(name)`; inputs are cast to the network's dtype.
        objective: what to minimise, such as `MSMPPD(rho=1.0) + ...`.
        settings: how it is trained: epochs, batches, optimiser, …
        folder: where checkpoints go, one after each epoch, with history.csv (and scalars for TensorBoard, if it is
            installed), and at the end network.safetensors. A run that was stopped goes on from there and ends with
            bitwise the weights of an unbroken one.
        progress: told "train", steps done and steps in all.
        figures: told "train" and, after each step, the epoch's mean loss so far and the newest accuracies.
        callbacks: told of each epoch before its checkpoint is written, in their order, and of the end (`Callback`;
            `TensorBoard` is one).
        device: where to train; default the network's own.
        changes: fields of `settings` by their names, such as epochs=5.

    Raises:
        ValueError, TypeError: for a setting out of range, data that does not fit the network, or a folder
            that holds a run of another configuration.
        FloatingPointError: if loss, gradients or weights become NaN or inf, with the step and the layer where
            it began.

    >>> from spikecert import dataset, mlp
    >>> fit(mlp((64, 16, 10)), dataset("digits"), epochs=1).best_epoch
    1

    References: ding2024robust
    """
    check_network(network)
    if not isinstance(settings, Settings):
        raise TypeError(f"settings: got {type(settings).__name__}, expected Settings")
    settings = replace(settings, **changes)
    callbacks = tuple(callbacks)
    if wrong := [one for one in callbacks if not isinstance(one, Callback)]:
        raise TypeError(f"callbacks: got {type(wrong[0]).__name__}, expected on_epoch and on_end (Callback)")
    check_task(network, dataset, objective)
    check_accumulation(network, settings.accumulate)
    warn_of_first_layer(network, objective)
    if settings.steps_at_once is not None:
        check_parts(network.layers, settings.steps_at_once, training=True)
    if settings.through is not None:
        settings.through.check(network)
    task = TrainingTask(dataset, objective, settings, progress, figures, current())
    if network.encoding == "rate" and task.processes.count > 1:
        raise ValueError(
            'network: got encoding "rate" with several processes, expected one: each would draw its own'
        )
    state = _start(network, objective, settings, device)
    state.network.steps_at_once = settings.steps_at_once
    task.processes.agree_on(state.network)
    store = None
    if folder is not None:
        store = CheckpointStore(Path(folder), configuration(network, dataset, objective, settings))
        store.restore(state)
    with kept_memory():
        _train(state, task, store, callbacks)
    run = state.finish()
    if store is not None and task.processes.first:
        store.finish(run)
    return run


def _start(
    network: SpikingNetwork, objective: Objective, settings: Settings, device: torch.device | str | None
) -> TrainingState:
    trained = copy.deepcopy(network).to(device if device is not None else network.device)
    order = torch.Generator().manual_seed(2 * settings.seed)
    noise = BatchGenerator()
    noise.manual_seed(2 * settings.seed + 1)
    return TrainingState(trained, make_optimizer(trained, settings), order, noise, objective)


def _train(
    state: TrainingState, task: TrainingTask, store: CheckpointStore | None, callbacks: tuple[Callback, ...]
) -> None:
    """Train the epochs that are left, tell of each of them, and write it down."""
    writes = store if task.processes.first else None
    told = (*(() if writes is None else of_folder(writes.path)), *callbacks) if task.processes.first else ()
    with ExitStack() as ends:
        for one in told:
            ends.callback(one.on_end)
        for epoch in range(len(state.history) + 1, task.settings.epochs + 1):
            state.add(_epoch(epoch, state, task))
            found = " ".join(f"{name} {value:.4g}" for name, value in figures_of(state.history[-1]))
            LOG.info("epoch %d of %d: %s", epoch, task.settings.epochs, found)
            for one in told:
                one.on_epoch(state.network, state.history)
            if writes is not None:
                writes.write(state)


def _epoch(epoch: int, state: TrainingState, task: TrainingTask) -> EpochMetrics:
    """Train one epoch, validate, and return the metrics."""
    start, settings = time.perf_counter(), task.settings
    means = Means()
    steps = math.ceil(len(task.dataset.train) / settings.batch_size)
    state.network.train()
    rate = settings.rate
    for step, batch in enumerate(_batches(task.dataset.train, steps, state.order)):
        done, total = (epoch - 1) * steps + step, settings.epochs * steps
        rate = settings.rate * SCHEDULES[settings.schedule](done, steps, settings.epochs)
        where = f"epoch {epoch}, step {step + 1} of {steps}, learning_rate {rate:.3g}"
        values = take_step(state, task, task.objective.at(done / total), batch, rate, where)
        means.add(values)
        task.tell(done + 1, total, {"loss": means["loss"], **state.accuracies})
    with weights_of(state.network, settings):
        judged = task.processes.from_first(_judged(state, task))
    loss, terms = means["loss"], means.others("loss")
    seconds = time.perf_counter() - start
    return EpochMetrics(epoch, loss, terms, learning_rate=rate, seconds=seconds, **judged)


def _judged(state: TrainingState, task: TrainingTask) -> dict[str, float | None] | None:
    """Return what the validation split says, by its names in `EpochMetrics`, where this is the first process."""
    if not task.processes.first:
        return None
    network, split, seed = state.network, task.dataset.validation, task.settings.seed
    if not split.real:
        robust = task.objective.robust_accuracy(network, split, seed)
        return {"clean_accuracy": accuracy(network, split), "robust_accuracy": robust}
    figures = {"clean_accuracy": None, "robust_accuracy": None, "rmse": root_mean_square(network, split)}
    proven = task.objective.certified_errors(network, split, seed)
    if proven is None:
        return figures
    return figures | {"certified_rmse": proven.rmse, "certified_share": proven.share}


def _batches(split: Split, count: int, order: torch.Generator) -> Iterator[Split]:
    """Yield `count` batches in random order; their sizes differ by at most one, so that none is tiny."""
    for indices in torch.randperm(len(split), generator=order).tensor_split(count):
        yield split.take(indices)
