"""`fit`: train a network on a data set under an objective, resumably, and pick it on the validation split."""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..kernels.memory import kept_memory
from ..models.networks import SpikingNetwork
from ..models.progress import Figures, Progress, no_figures, silent
from ..models.running.running import check_parts
from .checks import check_task, warn_of_first_layer
from .data import Dataset, Split
from .evaluation import accuracy, root_mean_square
from .generators import BatchGenerator
from .history import EpochMetrics, TrainingRun
from .journal import Journal
from .means import Means
from .objectives import CrossEntropy, Objective
from .processes import check_accumulation, current
from .settings import SCHEDULES, Settings, make_optimizer, weights_of
from .state import CheckpointStore, TrainingState, configuration
from .steps import TrainingTask, take_step


def fit(
    network: SpikingNetwork,
    dataset: Dataset,
    objective: Objective = CrossEntropy(),  # noqa: B008 (frozen)
    settings: Settings = Settings(),  # noqa: B008 (frozen)
    *,
    folder: str | Path | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
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
    if not isinstance(settings, Settings):
        raise TypeError(f"settings: got {type(settings).__name__}, expected Settings")
    settings = replace(settings, **changes)
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
        _train(state, task, store)
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


def _train(state: TrainingState, task: TrainingTask, store: CheckpointStore | None) -> None:
    """Train the epochs that are left, and write down each of them."""
    writes = store if task.processes.first else None
    with Journal(None if writes is None else writes.path) as journal:
        for epoch in range(len(state.history) + 1, task.settings.epochs + 1):
            state.add(_epoch(epoch, state, task))
            journal.write(state.history)
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
