"""What a protocol measures on one trained network."""

import torch

from spikecert.analysis import gain
from spikecert.analysis.patterns import pattern_radius
from spikecert.analysis.stability import surrogate_product
from spikecert.models import SpikingNetwork, network_hash
from spikecert.models.progress import Progress
from spikecert.reports import ModelRecord, Plan
from spikecert.reports.making.parts import PartStore, measure_in_parts
from spikecert.reports.records.rows import Tally
from spikecert.runs.building import threat
from spikecert.telling import PARTS
from spikecert.training import GaussianNoise, Split
from spikecert.training.evaluation import accuracy, on_network
from spikecert.training.objectives import MSMPPD
from spikecert.training.objectives.alignment import alignment, rms_current
from spikecert.training.perturbations import Perturber

from .attacks import resolve
from .objectives import objective
from .planning import PlannedRun
from .results import Alignment, Measured, Stability

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
        threat(asked.norm, asked.epsilons, events=asked.events),
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
        threat(evaluation.norm, asked.epsilons, events=evaluation.events),
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
