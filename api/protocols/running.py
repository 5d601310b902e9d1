"""One run of a protocol: train one network, have it measured, keep the result.

The paper's evaluation attacks, at its ε = 8/255; their steps are shares of ε, so that they fit any other.

PGD is there twice: "pgd7-paper" as the authors run it (a random start, the last iterate), "pgd7" from the sample
itself with the worst iterate, which breaks more. A sample that is misclassified anyway counts as broken by both.

What a protocol measures on one trained network.
"""

import shutil
import time

import torch

from spikecert.analysis import gain
from spikecert.analysis.patterns import pattern_radius
from spikecert.analysis.stability import surrogate_product
from spikecert.certify import APGD, FGSM, PGD, Attack
from spikecert.certify.attacks import ATTACKS
from spikecert.models import Normalize, SpikingNetwork, network_hash
from spikecert.models.deadline import Progress
from spikecert.models.linear_maps.normalizing import CIFAR10, CIFAR100
from spikecert.models.validation import check_choice
from spikecert.reports import ModelRecord, Plan
from spikecert.reports.making.parts import PartStore, measure_in_parts
from spikecert.reports.making.plans import environment
from spikecert.reports.records.rows import Tally
from spikecert.training import (
    Augmentation,
    GaussianNoise,
    LocalFields,
    Retraction,
    Split,
    TrainingRun,
    fit,
    start_firing,
)
from spikecert.training.evaluation import accuracy, on_network
from spikecert.training.objectives import MSMPPD
from spikecert.training.objectives.plain_losses import alignment, rms_current
from spikecert.training.perturbations import Perturber
from spikecert.training.state import CHECKPOINT

from ..runs.building import fresh_network, neuron
from ..telling import PARTS
from .planning import PlannedRun, objective
from .results import Alignment, Measured, RunResult, Stability, load_run, save_run, training_cpu


def _pgd(steps: int, size: float) -> PGD:
    """Return PGD of `steps` steps of `size`/255 each, from the sample itself, as they are stated for ε = 8/255."""
    return PGD(steps=steps, restarts=1, step_size=size / 8.0, halve=False, name=f"pgd{steps}")


STEPS = {7: 2.55, 10: 2.0, 20: 1.0, 40: 0.5}
"""The paper's numbers of steps and, in 255ths at ε = 8/255, their sizes."""

PAPER: dict[str, Attack] = {
    "fgsm": FGSM(),
    **{
        f"pgd{steps}-paper": PGD.published(steps, size / 8.0, f"pgd{steps}-paper") for steps, size in STEPS.items()
    },
    **{f"pgd{steps}": _pgd(steps, size) for steps, size in STEPS.items()},
    "apgd10-ce": APGD(steps=10, loss="cross-entropy", name="apgd10-ce"),
    "apgd10-dlr": APGD(steps=10, loss="dlr", name="apgd10-dlr"),
}


def resolve(name: str) -> Attack:
    """Return the paper's attack of that name, else the toolkit's.

    Raises:
        ValueError: for a name that neither knows.
    """
    if name in PAPER:
        return PAPER[name]
    check_choice("attack", name, (*PAPER, *ATTACKS))
    return ATTACKS[name]()


STABILITY_SAMPLES = 500
"""The most samples that the pattern-preserving radius is averaged over."""
ALIGNMENT_SAMPLES = 256
"""The training samples on which gradients are compared."""


def measured(planned: PlannedRun, network: SpikingNetwork, progress: Progress, which: str = "") -> Measured:
    """Return all that the protocol asks for about one trained network.

    Args:
        planned: the run.
        network: as it was trained.
        progress: told about attacks and certification.
        which: "" for the network that counts, else what progress bars call it; stability is not measured then.
    """
    asked, label = planned.protocol.evaluation, f"{planned.label}{which}"
    samples = first_samples(planned, network, asked.samples)
    plan = Plan(
        asked.threat(asked.epsilons),
        tuple(resolve(name) for name in asked.attacks),
        asked.verifiers,
        asked.timeout,
        planned.seed,
    )
    found = _in_parts(planned, label, network, samples, plan, progress)
    return Measured(
        network=network_hash(network),
        points=found.points,
        seconds=found.seconds,
        noise=None if asked.noise is None else right_under_noise(network, samples, asked.noise, planned.seed),
        certified=certified(planned, network, label, progress),
        stability=stability(network, samples) if asked.stability and not which else None,
    )


def first_samples(planned: PlannedRun, network: SpikingNetwork, count: int | None) -> Split:
    """Return the first test samples, all for None, where the network is."""
    test = planned.data.test
    if count is not None:
        test = test.take(torch.arange(min(count, len(test))))
    return Split(*on_network(network, test))


def right_under_noise(network: SpikingNetwork, samples: Split, sigma: float, seed: int) -> int:
    """Return how many samples are right after one draw of noise, clipped to [0, 1] and to no ball, as theirs."""
    share = accuracy(network, samples, GaussianNoise(sigma, clamp=True), seed)
    return round(share * len(samples))


def certified(planned: PlannedRun, network: SpikingNetwork, label: str, progress: Progress) -> tuple[Tally, ...]:
    """Return what the verifiers certify at small ε; nothing where that is not asked for."""
    evaluation = planned.protocol.evaluation
    asked = evaluation.certification
    if asked is None:
        return ()
    samples = first_samples(planned, network, asked.samples)
    plan = Plan(
        evaluation.threat(asked.epsilons),
        (),
        asked.verifiers,
        asked.timeout,
        planned.seed,
    )
    return _in_parts(planned, label, network, samples, plan, progress).points


def _in_parts(
    planned: PlannedRun, label: str, network: SpikingNetwork, samples: Split, plan: Plan, progress: Progress
) -> ModelRecord:
    """Measure a few samples at a time; what is measured is kept in the run's folder until its result is."""
    chosen = network, samples.inputs, samples.labels, plan
    store = PartStore.of(planned.place / PARTS, "measured", *chosen)
    return measure_in_parts(label, *chosen, store=store, progress=progress)


def stability(network: SpikingNetwork, samples: Split) -> Stability:
    """Return gains of the surrogate network and the mean pattern-preserving radius."""
    gains: list[float | None] = []
    for norm in ("l2", "linf"):
        report = gain(network, norm, norm, input_shape=tuple(samples.inputs.shape[1:]))
        gains.append(surrogate_product(network, report))
    radius = pattern_radius(network, samples.inputs[:STABILITY_SAMPLES])
    return Stability(gain_l2=gains[0], gain_linf=gains[1], radius=float(radius.mean()))


def aligned(planned: PlannedRun, before: SpikingNetwork, after: SpikingNetwork) -> Alignment:
    """Return how the gradient of L_MS lies, and how large the last layer's currents are, at start and end."""
    batch = planned.data.train.take(torch.arange(min(ALIGNMENT_SAMPLES, len(planned.data.train))))
    perturbation = objective(planned.cell.terms).attack
    ends = [before.to(after.device), after]
    cosines = [_cosine(network, batch, perturbation, planned.seed) for network in ends]
    currents = [rms_current(network.eval(), on_network(network, batch)[0]) for network in ends]
    return Alignment(
        cosine_start=cosines[0], cosine_end=cosines[1], current_start=currents[0], current_end=currents[1]
    )


def _cosine(network: SpikingNetwork, batch: Split, perturbation: Perturber | None, seed: int) -> float | None:
    if perturbation is None:
        return None
    loss = MSMPPD(perturbation=perturbation, batch_statistics="separate")
    return alignment(network, *on_network(network, batch), loss, torch.Generator().manual_seed(seed))


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
