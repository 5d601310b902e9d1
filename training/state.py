"""What must survive a crash for a run to go on as if nothing had happened, and its file."""

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import sweep
from ..models.files.description import describe
from ..models.files.storage import differences, digest_of, network_hash, read_tensors, save, write_tensors
from ..models.networks import SpikingNetwork
from ..models.validation import one_line
from .data import Dataset
from .generators import BatchGenerator
from .journal import EpochMetrics, TrainingRun, best_epoch
from .objectives import Objective
from .settings import Settings

FORMAT = "spikecert.training/1"
CHECKPOINT = "checkpoint.safetensors"
NETWORK = "network.safetensors"
MOMENTS: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.AdamW: ("step", "exp_avg", "exp_avg_sq"),
}
"""What an optimiser keeps of each weight that it has moved."""
GROUPS = ("network", "best", "optimizer", "generator", "objective")


@dataclass
class TrainingState:
    """A run between two epochs: weights, optimiser, generators, objective, the best weights so far, history."""

    network: SpikingNetwork
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    noise: BatchGenerator
    objective: Objective
    history: tuple[EpochMetrics, ...] = ()
    best: dict[str, Tensor] = field(default_factory=dict)

    def add(self, metrics: EpochMetrics) -> None:
        """Append an epoch, and keep its weights if it is the best so far."""
        self.history = (*self.history, metrics)
        if best_epoch(self.history) == metrics.epoch:
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    @property
    def accuracies(self) -> dict[str, float | None]:
        """Return the newest accuracies on the validation split."""
        if not self.history:
            return {}
        names = {"clean_accuracy": "clean", "robust_accuracy": "robust"}
        return {names.get(name, name): value for name, value in self.history[-1].measured.items()}

    def finish(self) -> TrainingRun:
        """Return the result, with the best weights in the network, which runs in the usual way again."""
        picked = best_epoch(self.history)
        self.network.steps_at_once = None
        last = self.network.eval() if picked == len(self.history) else copy.deepcopy(self.network).eval()
        self.network.load_state_dict(self.best)
        seconds = sum(metrics.seconds for metrics in self.history)
        return TrainingRun(self.network.eval(), self.history, seconds, picked, last)


@dataclass(frozen=True)
class CheckpointStore:
    """The folder of one run: its checkpoint after each epoch, and at the end the picked network."""

    path: Path
    configuration: Mapping[str, Any]

    def write(self, state: TrainingState) -> None:
        """Write everything of `state`, atomically."""
        history = [asdict(metrics) for metrics in state.history]
        text = json.dumps({"configuration": self.configuration, "history": history})
        write_tensors(self.path / CHECKPOINT, FORMAT, text, _tensors(state))

    def restore(self, state: TrainingState) -> None:
        """Put the checkpoint's content into `state`; without a checkpoint only clear the folder of killed writes.

        Raises:
            ValueError: for a broken checkpoint or one of another configuration.
        """
        sweep(self.path)
        place = self.path / CHECKPOINT
        if not place.exists():
            return
        text, tensors = read_tensors(place, FORMAT)
        try:
            content = json.loads(text)
            there, history = dict(content["configuration"]), _epochs(content["history"])
            different = differences(there, self.configuration)
            if not different:
                _check(state, tensors)
                _load(state, tensors)
        except _OTHERS as error:
            raise ValueError(f"folder: {place} holds no state of a run: {one_line(error)}") from error
        if different:
            raise ValueError(f"folder: {self.path} holds a run of another configuration: {different}")
        state.history = history

    def finish(self, run: TrainingRun) -> None:
        """Write the picked network as `spikecert.load` reads it."""
        save(run.network, self.path / NETWORK)


def configuration(
    network: SpikingNetwork, data: Dataset, objective: Objective, settings: Settings
) -> dict[str, Any]:
    """Return, as JSON-ready data, all that decides a run's outcome."""
    splits = {name: getattr(data, name) for name in ("train", "validation")}
    tensors = {
        f"{name}.{key}": getattr(split, key) for name, split in splits.items() for key in ("inputs", "labels")
    }
    return {
        **asdict(settings),
        "learning_rate": settings.rate,
        "objective": _plain(objective),
        "network": describe(network),
        "initial_weights": network_hash(network),
        "dataset": data.name,
        "dataset_hash": digest_of(data.name, tensors),
    }


def _plain(value: Any) -> Any:
    """Return nested dataclasses as dictionaries that also name their types, tensors as digests."""
    if is_dataclass(value):
        return {
            "type": type(value).__name__,
            **{f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.compare},
        }
    if isinstance(value, Tensor):
        return digest_of("tensor", {"": value})
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


_OTHERS = (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, RecursionError)
"""What a checkpoint is found to be another by."""


def _epochs(told: Any) -> tuple[EpochMetrics, ...]:
    """Return the history in a checkpoint: epochs from 1 on, and numbers."""
    found = tuple(EpochMetrics(**metrics) for metrics in told)
    for number, one in enumerate(found, 1):
        told = (value for value in one.measured.values() if value is not None)
        figures = (one.loss, one.learning_rate, one.seconds, *one.terms.values(), *told)
        if one.epoch != number or not all(type(figure) in (int, float) for figure in figures) or not _whole(one):
            raise ValueError(f"history: got no figures of epoch {number}")
    return found


def _whole(one: EpochMetrics) -> bool:
    """Return whether an epoch has an accuracy or an error, one of the two."""
    return (one.clean_accuracy is None) != (one.rmse is None)


def _check(state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless weights, moments and generators have names, shapes and dtypes of this state's."""
    known = {key: tensor for key, tensor in _tensors(state).items() if key.startswith(("network.", "generator."))}
    known |= {f"best.{name}": tensor for name, tensor in state.network.state_dict().items()}
    held = {
        key: tensor for key, tensor in tensors.items() if key.partition(".")[0] not in ("optimizer", "objective")
    }
    if odd := held.keys() ^ known.keys():
        raise ValueError(f"tensors: {min(odd)!r} is {'no part of it' if min(odd) in held else 'missing'}")
    weights = [weight for group in state.optimizer.param_groups for weight in group["params"]]
    moments = {key: weights[int(key.split(".")[1])] for key in tensors if key.startswith("optimizer.")}
    names = MOMENTS[type(state.optimizer)]
    if odd := {".".join((*key.split(".")[:2], name)) for key in moments for name in names} ^ moments.keys():
        raise ValueError(f"tensors: {min(odd)!r} is {'no moment' if min(odd) in moments else 'missing'}")
    for key, like in (known | moments).items():
        tensor, counts = tensors[key], key in moments and key.endswith(".step")
        fits = tensor.dim() == 0 and bool(tensor >= 1) if counts else tensor.shape == like.shape
        if not fits or (tensor.dtype != like.dtype and not counts):
            raise ValueError(f"tensors: got {key} of {tuple(tensor.shape)}, {tensor.dtype}, no part of such a run")


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """Return the tensors of `state`, named after what they belong to."""
    moments = {
        f"{index}.{name}": value
        for index, values in state.optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }
    groups: dict[str, Mapping[str, Tensor]] = {
        "network": state.network.state_dict(),
        "best": state.best,
        "optimizer": moments,
        "generator": {"order": state.order.get_state(), "noise": state.noise.get_state()},
        "objective": state.objective.remembered(state.network),
    }
    return {f"{group}.{name}": tensor for group, members in groups.items() for name, tensor in members.items()}


def _load(state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    groups: dict[str, dict[str, Tensor]] = {name: {} for name in GROUPS}
    for key, tensor in tensors.items():
        group, _, name = key.partition(".")
        groups[group][name] = tensor
    state.network.load_state_dict(groups["network"])
    state.best = groups["best"]
    state.order.set_state(groups["generator"]["order"])
    state.noise.set_state(groups["generator"]["noise"])
    state.objective.remember(state.network, groups["objective"])
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in groups["optimizer"].items():
        index, _, name = key.partition(".")
        moments.setdefault(int(index), {})[name] = tensor
    state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
