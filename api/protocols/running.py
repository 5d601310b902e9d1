"""One run of a protocol: train one network, measure it, keep the result."""

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from spikecert.analysis import gain
from spikecert.analysis.patterns import pattern_radius
from spikecert.analysis.stability import surrogate_product
from spikecert.building import fresh_network, neuron, threat
from spikecert.models import Normalize, SpikingNetwork, network_hash
from spikecert.models.normalization import CIFAR10, CIFAR100
from spikecert.models.progress import Progress
from spikecert.models.storage import digest_of
from spikecert.output import PARTS
from spikecert.reports import ModelRecord, Plan
from spikecert.reports.parts import PartStore, measure_in_parts
from spikecert.reports.recording import environment
from spikecert.training import Augmentation, Dataset, LocalFields, Retraction, Split, TrainingRun, fit
from spikecert.training.state import CHECKPOINT

from .attacks import resolve
from .configuration import EvaluationSettings, Protocol
from .grid import Cell
from .objectives import objective
from .results import RunResult, Stability, load_run, save_run

NORMALIZATIONS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
RESULT = "run.json"
_CHOICES = {"precision", "compiled"}
"""Settings that keys name only where they are not the default, so that earlier runs keep theirs."""
STABILITY_SAMPLES = 500
"""The most samples that the pattern-preserving radius is averaged over."""


@dataclass(frozen=True)
class PlannedRun:
    """One row and one seed, with all that they need."""

    protocol: Protocol
    cell: Cell
    seed: int
    data: Dataset
    data_hash: str
    folder: Path
    device: str

    @property
    def key(self) -> str:
        """Return a hash of everything that decides the result, the time limit of verifiers included."""
        cell = {"row": self.cell.row, "neuron": self.cell.neuron, "terms": self.cell.terms}
        grid = {"name", "title", "seeds", "neurons", "variants", "training"}  # what the cell says, or only names
        content = {
            **cell,
            "training": self.cell.training.model_dump(exclude=_CHOICES),
            "protocol": self.protocol.model_dump(exclude=grid),
            "seed": self.seed,
            "data": self.data_hash,
            **self.cell.start.model_dump(exclude_none=True),
        }
        content.update(self.cell.training.model_dump(include=_CHOICES, exclude_defaults=True))
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def place(self) -> Path:
        """Return the folder of this run alone."""
        words = re.sub(r"[^a-z0-9.]+", "-", self.cell.row.lower().replace("ρ", "rho")).strip("-")
        return self.folder / f"{words}-seed-{self.seed}-{self.key[:8]}"

    @property
    def label(self) -> str:
        """Return what progress bars call this run."""
        return f"{self.cell.row}, seed {self.seed}"


def hash_of(data: Dataset) -> str:
    """Return a hash of all splits."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    tensors = {f"{name}.inputs": split.inputs for name, split in splits.items()}
    tensors |= {f"{name}.labels": split.labels for name, split in splits.items()}
    return digest_of(data.name, tensors)


def done(planned: PlannedRun) -> RunResult | None:
    """Return the result that an earlier call kept, or None."""
    return load_run(planned.place / RESULT, planned.key)


def run(planned: PlannedRun, progress: Progress) -> RunResult:
    """Train, measure in parts, and keep the result in the run's folder; an interrupted run goes on from there."""
    whole, before = not (planned.place / CHECKPOINT).exists(), time.process_time()
    trained = _train(planned, progress)
    cpu = time.process_time() - before if whole else None
    network = trained.network
    samples = _samples(planned, network)
    chosen = network, samples.inputs, samples.labels, _plan(planned.protocol.evaluation, planned.seed)
    store = PartStore.of(planned.place / PARTS, "measured", *chosen)
    measured = measure_in_parts(planned.label, *chosen, store=store, progress=progress)
    stability = _stability(network, samples) if planned.protocol.evaluation.stability else None
    result = _result(planned, trained, measured, stability, cpu)
    save_run(result, planned.place / RESULT)
    store.clear()
    return result


def start(planned: PlannedRun) -> SpikingNetwork:
    """Return the untrained network of a run, with the data set's own normalisation where it normalises."""
    protocol, own = planned.protocol, planned.cell.start
    num_steps = protocol.num_steps if own.num_steps is None else own.num_steps
    decay = protocol.decay if own.decay is None else own.decay
    threshold = protocol.threshold if own.threshold is None else own.threshold
    template = neuron(planned.cell.neuron, num_steps, decay, threshold, "zero")
    network = fresh_network(protocol.architecture, planned.data, num_steps, template, planned.seed)
    if isinstance(network.layers[0], Normalize) and planned.data.name in NORMALIZATIONS:
        network.layers[0] = Normalize(*NORMALIZATIONS[planned.data.name])
    fields = local_fields(planned)
    if fields is not None:
        fields.start(network, planned.data.train.inputs)
    return network


def local_fields(planned: PlannedRun) -> LocalFields | None:
    """Return the first layer's fields, for a run with fields."""
    told = planned.cell.start.local_fields
    return None if told is None else LocalFields(**told, seed=planned.seed)


def _train(planned: PlannedRun, progress: Progress) -> TrainingRun:
    settings = planned.cell.training
    chosen = settings.model_dump(exclude={"augmentation", "retraction"})
    return fit(
        start(planned),
        planned.data,
        objective(planned.cell.terms),
        **chosen,
        augmentation=None if settings.augmentation is None else Augmentation(**settings.augmentation),
        after_step=_after_step(planned),
        seed=planned.seed,
        folder=planned.place,
        device=planned.device,
        progress=lambda _, step, steps: progress(f"train {planned.label}", step, steps),
    )


def _after_step(planned: PlannedRun) -> Retraction | LocalFields | None:
    """Return what is done to the weights after each step: one thing at most."""
    retraction, fields = planned.cell.training.retraction, local_fields(planned)
    if retraction is not None and fields is not None:
        raise ValueError(f"local_fields: got them with a retraction in {planned.cell.row!r}, expected one of both")
    return fields if retraction is None else Retraction(**retraction)


def _samples(planned: PlannedRun, network: SpikingNetwork) -> Split:
    count = planned.protocol.evaluation.samples
    test = (
        planned.data.test
        if count is None
        else planned.data.test.take(torch.arange(min(count, len(planned.data.test))))
    )
    return Split(test.inputs.to(network.device, network.dtype), test.labels.to(network.device))


def _plan(evaluation: EvaluationSettings, seed: int) -> Plan:
    attacks = tuple(resolve(name) for name in evaluation.attacks)
    sizes = threat(evaluation.norm, evaluation.epsilons)
    return Plan(sizes, attacks, evaluation.verifiers, evaluation.timeout, seed)


def _stability(network: SpikingNetwork, samples: Split) -> Stability:
    gains: list[float | None] = []
    for norm in ("l2", "linf"):
        report = gain(network, norm, norm, input_shape=tuple(samples.inputs.shape[1:]))
        gains.append(surrogate_product(network, report))
    radius = pattern_radius(network, samples.inputs[:STABILITY_SAMPLES])
    return Stability(gain_l2=gains[0], gain_linf=gains[1], radius=float(radius.mean()))


def _result(
    planned: PlannedRun,
    trained: TrainingRun,
    measured: ModelRecord,
    stability: Stability | None,
    cpu: float | None,
) -> RunResult:
    return RunResult(
        row=planned.cell.row,
        variant=planned.cell.variant,
        neuron=planned.cell.neuron,
        seed=planned.seed,
        key=planned.key,
        network=network_hash(trained.network),
        epochs=len(trained.history),
        best_epoch=trained.best_epoch,
        training_seconds=trained.seconds,
        training_cpu=cpu,
        points=measured.points,
        seconds=measured.seconds,
        stability=stability,
        environment=environment(planned.device),
    )
