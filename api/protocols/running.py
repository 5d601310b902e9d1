"""One run of a protocol: train one network, have it measured, keep the result."""

import shutil
import time

from spikecert.models import Normalize, SpikingNetwork
from spikecert.models.linear_maps.normalizing import CIFAR10, CIFAR100
from spikecert.models.progress import Progress
from spikecert.reports.making.recording import environment
from spikecert.runs.building import fresh_network, neuron
from spikecert.telling import PARTS
from spikecert.training import Augmentation, LocalFields, Retraction, TrainingRun, fit, start_firing
from spikecert.training.state import CHECKPOINT

from .measuring import aligned, measured
from .objectives import objective
from .planning import PlannedRun
from .results import RunResult, load_run, save_run, training_cpu

NORMALIZATIONS = {"cifar10": CIFAR10, "cifar100": CIFAR100}
RESULT = "run.json"


def done(planned: PlannedRun) -> RunResult | None:
    """Return the result that an earlier call kept, or None."""
    return load_run(planned.place / RESULT, planned.key)


def run(planned: PlannedRun, progress: Progress) -> RunResult:
    """Train, measure in parts, and keep the result in the run's folder; an interrupted run goes on from there."""
    whole, before = not (planned.place / CHECKPOINT).exists(), time.process_time()
    trained = _train(planned, progress)
    cpu = time.process_time() - before if whole else training_cpu(planned.place / RESULT)
    result = _result(planned, trained, cpu, progress)
    save_run(result, planned.place / RESULT)
    if (parts := planned.place / PARTS).is_dir():
        shutil.rmtree(parts)  # what they say together is in the result
    return result


def start(planned: PlannedRun) -> SpikingNetwork:
    """Return the untrained network of a run, with the data set's own normalisation where it normalises."""
    protocol, own = planned.protocol, planned.cell.start
    built = protocol.architecture if own.architecture is None else own.architecture
    num_steps = protocol.num_steps if own.num_steps is None else own.num_steps
    decay = protocol.decay if own.decay is None else own.decay
    threshold = protocol.threshold if own.threshold is None else own.threshold
    reset = protocol.reset if own.reset is None else own.reset
    template = neuron(planned.cell.neuron, num_steps, decay, threshold, reset)
    chosen = protocol.network
    network = fresh_network(built, planned.data, num_steps, template, planned.seed, **chosen)
    if protocol.encoding == "rate":
        network = SpikingNetwork(*network.layers, num_steps=num_steps, encoding="rate")
    if isinstance(network.layers[0], Normalize) and planned.data.name in NORMALIZATIONS:
        network.layers[0] = Normalize(*NORMALIZATIONS[planned.data.name])
    if own.firing is not None:
        start_firing(network, planned.data.train.inputs, **own.firing)
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


def _result(planned: PlannedRun, trained: TrainingRun, cpu: float | None, progress: Progress) -> RunResult:
    """Measure the picked network, of all images that of the last epoch, and what else the protocol asks for."""
    asked, last = planned.protocol.evaluation, trained.last
    picked = last if planned.protocol.images == "all" else trained.network
    place = len(trained.history) if picked is last else trained.best_epoch
    found = measured(planned, picked, progress)
    beside = None
    if asked.last_epoch:
        beside = found if picked is last else measured(planned, last, progress, ", last epoch")
    return RunResult(
        row=planned.cell.row,
        variant=planned.cell.variant,
        neuron=planned.cell.neuron,
        seed=planned.seed,
        key=planned.key,
        epochs=len(trained.history),
        best_epoch=place,
        training_seconds=trained.seconds,
        training_cpu=cpu,
        **dict(found),
        alignment=aligned(planned, start(planned), last) if asked.alignment else None,
        last=beside,
        environment=environment(planned.device),
    )
