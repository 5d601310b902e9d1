"""`fit`: train a network on a data set under an objective, resumably, and pick it on the validation split."""

import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn.utils import get_total_norm

from ..models.networks import SpikingNetwork
from ..models.progress import Progress, silent
from ..models.validation import check_inputs, check_labels, check_weights
from .augmentation import Augmentation
from .data import Dataset, Split
from .evaluation import accuracy, on_network
from .history import EpochMetrics, TrainingRun
from .objectives import CrossEntropy, Objective
from .perturbations import evaluation_mode
from .retraction import Retraction
from .settings import SCHEDULES, Settings, default_learning_rate, make_optimizer
from .state import Folder, State, configuration


def fit(
    network: SpikingNetwork,
    dataset: Dataset,
    objective: Objective = CrossEntropy(),  # noqa: B008 (frozen)
    *,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float | None = None,
    optimizer: str = "sgd",
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    schedule: str = "cosine",
    seed: int = 0,
    augmentation: Augmentation | None = None,
    after_step: Retraction | None = None,
    folder: str | Path | None = None,
    progress: Progress = silent,
    device: torch.device | str | None = None,
) -> TrainingRun:
    """Train a copy of `network` and return it with the weights of the epoch that the validation split picked.

    Picked is the epoch of the greatest robust accuracy on the validation split, as the objective measures it:
    under its perturbation, or certified (clean accuracy if it has neither; ties: the greater clean accuracy, then
    the earlier epoch). The test split is never used.

    Args:
        network: its weights are the start; it stays as it is.
        dataset: as from `dataset(name)`; inputs are cast to the network's dtype.
        objective: what to minimise, such as `MSMPPD(rho=1.0) + ...`.
        epochs: passes over the train split.
        batch_size: the most samples a step; an epoch's batches are of nearly equal size.
        learning_rate: at the start; default .1 for "sgd", .001 for "adam".
        optimizer: "sgd" (with momentum) or "adam" (weight decay decoupled).
        momentum: of "sgd".
        weight_decay: of all parameters.
        schedule: "cosine" (to zero over the run, step by step) or "constant".
        seed: of the order of the samples, of the perturbations and of the augmentation.
        augmentation: what is done to each batch of images before the objective sees it, such as `Augmentation()`.
        after_step: what is done to the weights after each step, such as `Retraction(beta)`.
        folder: where checkpoints go, one after each epoch, and at the end network.safetensors. A run that was
            stopped goes on from there and ends with bitwise the weights of an unbroken one.
        progress: told "train", steps done and steps in all.
        device: where to train; default the network's own.

    Raises:
        ValueError, TypeError: for a setting out of range, data that does not fit the network, or a folder
            that holds a run of another configuration.
        FloatingPointError: if loss or weights become NaN or inf, with epoch and step.

    >>> from spikecert import dataset, mlp
    >>> fit(mlp((64, 16, 10)), dataset("digits"), epochs=1).best_epoch
    1

    References: ding2024robust
    """
    rate = default_learning_rate(optimizer) if learning_rate is None else learning_rate
    default_learning_rate(optimizer)
    chosen = (epochs, batch_size, rate, optimizer, momentum, weight_decay, schedule, seed)
    settings = Settings(*chosen, augmentation=augmentation, after_step=after_step)
    _check(network, dataset, objective)
    state = _start(network, settings, device)
    store = None
    if folder is not None:
        store = Folder(Path(folder), configuration(network, dataset, objective, settings))
        store.restore(state)
    for epoch in range(len(state.history) + 1, epochs + 1):
        state.add(_epoch(epoch, state, dataset, objective, settings, progress))
        if store is not None:
            store.write(state)
    run = state.finish()
    if store is not None:
        store.finish(run)
    return run


def _start(network: SpikingNetwork, settings: Settings, device: torch.device | str | None) -> State:
    trained = copy.deepcopy(network).to(device if device is not None else network.device)
    order, noise = (torch.Generator().manual_seed(2 * settings.seed + k) for k in range(2))
    return State(trained, make_optimizer(trained, settings), order, noise)


def _epoch(
    epoch: int,
    state: State,
    dataset: Dataset,
    objective: Objective,
    settings: Settings,
    progress: Progress,
) -> EpochMetrics:
    """Train one epoch, validate, and return the metrics."""
    start = time.perf_counter()
    sums: dict[str, float] = {}
    steps = math.ceil(len(dataset.train) / settings.batch_size)
    state.network.train()
    rate = settings.learning_rate
    for step, batch in enumerate(_batches(dataset.train, steps, state.order)):
        done = (epoch - 1) * steps + step
        share = done / (settings.epochs * steps)
        rate = settings.learning_rate * SCHEDULES[settings.schedule](share)
        where = f"epoch {epoch}, step {step + 1} of {steps}, learning_rate {rate:.3g}"
        for name, value in _step(state, objective.at(share), batch, settings, rate, where).items():
            sums[name] = sums.get(name, 0.0) + value / steps
        progress("train", done + 1, settings.epochs * steps)
    clean = accuracy(state.network, dataset.validation)
    robust = objective.robust_accuracy(state.network, dataset.validation, settings.seed)
    loss = sums.pop("loss")
    return EpochMetrics(epoch, loss, sums, clean, robust, rate, time.perf_counter() - start)


def _batches(split: Split, count: int, order: torch.Generator) -> Iterator[Split]:
    """Yield `count` batches in random order; their sizes differ by at most one, so that none is tiny."""
    for indices in torch.randperm(len(split), generator=order).tensor_split(count):
        yield split.take(indices)


def _step(
    state: State, objective: Objective, batch: Split, settings: Settings, rate: float, where: str
) -> dict[str, float]:
    """Take one step of the optimiser and return the loss and its terms."""
    inputs, labels = on_network(state.network, batch)
    if settings.augmentation is not None:
        inputs = settings.augmentation(inputs, state.noise)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad()
    loss = objective.loss(state.network, inputs, labels, state.noise)
    values = {"loss": float(loss.total.detach()), **{name: float(term) for name, term in loss.terms.items()}}
    if not math.isfinite(values["loss"]):
        told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        raise FloatingPointError(f"loss: got {told} at {where}, expected finite numbers")
    loss.total.backward()
    state.optimizer.step()
    if settings.after_step is not None:
        settings.after_step(state.network)
    _check_parameters(state.network, where)
    return values


def _check_parameters(network: SpikingNetwork, where: str) -> None:
    """Raise FloatingPointError, naming the parameter, if one is NaN or inf."""
    parameters = [parameter.detach() for parameter in network.parameters()]
    if bool(torch.isfinite(get_total_norm(parameters))):
        return
    for name, parameter in network.named_parameters():
        if not bool(torch.isfinite(parameter.norm())):
            raise FloatingPointError(f"network: {name} became NaN or inf at {where}, expected finite weights")


def _check(network: SpikingNetwork, dataset: Dataset, objective: Objective) -> None:
    """Raise TypeError or ValueError unless network, data and objective fit together."""
    if not isinstance(objective, Objective):
        raise TypeError(f"objective: got {type(objective).__name__}, expected an Objective such as CrossEntropy()")
    if network.encoding == "rate":  # two runs of one step would draw apart, and outside of the seed
        raise ValueError('network: got encoding "rate", which `fit` can\'t repeat; expected "direct" or "none"')
    check_weights(network)
    for name in ("train", "validation"):
        split: Split = getattr(dataset, name)
        if len(split) == 0:
            raise ValueError(f"dataset: got an empty {name} split, expected at least one sample")
        check_labels(split.labels, len(split), dataset.classes)
        inputs, _ = on_network(network, split.take(torch.arange(1)))
        check_inputs(network, inputs)
        with evaluation_mode(network), torch.no_grad():
            width = network(inputs).shape[1]
        if width != dataset.classes:
            raise ValueError(f"network: got {width} logits, expected the data set's {dataset.classes} classes")
