"""Attack and verify one network on one set of samples over all ε of a threat model."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..analysis import GainReport
from ..certify import (
    L2,
    Attack,
    AttackResult,
    Fleet,
    LInf,
    SoundnessError,
    SpikeFlip,
    Verdict,
    attack,
    reconcile,
    verify,
)
from ..certify.attacks import ATTACKS
from ..certify.replay import margins
from ..certify.verifiers import VERIFIERS
from ..models import SpikingNetwork, network_hash
from ..models.description import describe
from ..models.progress import Progress, silent
from ..models.validation import check_choice, check_inputs, check_labels
from .records import ModelRecord
from .rows import Finding, Row, contradiction, tally
from .schema import Architecture, Counterexample, GainTable, LayerGain, Threat, Training

BALLS = {"linf": LInf, "l2": L2}
HARDEST = 8
"""How many counterexamples a record keeps as inputs: those of the smallest ε."""


@dataclass(frozen=True)
class Plan:
    """What to run: every attack and every verifier at every ε of `threat`.

    Args:
        threat: norm, range of inputs, the ε.
        attacks: names as in `attack`, or attacks; each has a name of its own.
        verifiers: names as in `verify`.
        timeout: of `verify`, seconds for a sample; None for no limit.
        seed: of attacks and verifiers.
        fleet: who decides; None for this process. Each verifier and ε has a folder of its own in the fleet's.
    """

    threat: Threat
    attacks: tuple[str | Attack, ...] = ("ensemble",)
    verifiers: tuple[str, ...] = ("interval", "trains", "auto")
    timeout: float | None = None
    seed: int = 0
    fleet: Fleet | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.threat, Threat):
            expected = "a Threat, whose sets grow with one number (ℓ∞, ℓ2 or flipped events)"
            raise TypeError(f"threat: got {type(self.threat).__name__}, expected {expected}")

    def perturbation(self, epsilon: float) -> LInf | L2 | SpikeFlip:
        """Return the threat model at one ε."""
        if self.threat.norm == "l0":
            return SpikeFlip(int(epsilon))
        return BALLS[self.threat.norm](epsilon, self.threat.lower, self.threat.upper)

    @property
    def steps(self) -> int:
        """Return how often an attack or a verifier runs."""
        return len(self.threat.epsilons) * (len(self.attacks) + len(self.verifiers))


@dataclass
class _Subject:
    """A network under measurement, and what is known so far about each sample."""

    name: str
    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    predicted: Tensor
    correct: Tensor
    plan: Plan
    progress: Progress
    broken: dict[str, Tensor] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    counterexamples: dict[int, Counterexample] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def part(self, verb: str) -> Progress:
        """Return a progress callback for the next step, which counts samples over all steps."""
        before, samples = len(self.seconds), len(self.labels)

        def told(_: str, done: int, total: int) -> None:
            whole = self.plan.steps * samples
            self.progress(f"{verb} {self.name}", before * samples + done * samples // total, whole)

        return told


def measure(
    name: str,
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    plan: Plan,
    *,
    training: Training | None = None,
    gains: GainReport | None = None,
    progress: Progress = silent,
) -> ModelRecord:
    """Run the plan on `network` and return all that was found as a `ModelRecord`.

    An input found at one ε lies within every larger ε too, so an attack is not run again on a sample it broke.

    Args:
        name: what the report calls this network.
        network: taken in evaluation mode.
        inputs: (batch, ...), within the threat model's [lower, upper].
        labels: (batch,), integers.
        plan: what to run.
        training, gains: what the record should say about them.
        progress: told after each chunk of samples.

    Raises:
        SoundnessError: if a sample is verified, and an input that breaks it was replayed.
        ValueError, TypeError: for arguments that do not fit.
    """
    subject = _start(name, network.eval(), inputs, labels, plan, progress)
    for epsilon in plan.threat.epsilons:
        results = [_attack(subject, epsilon, source) for source in plan.attacks]
        verdicts = {verifier: _verify(subject, epsilon, verifier) for verifier in plan.verifiers}
        for found in verdicts.values():
            _reconcile(found, results)
        subject.rows += [_row(subject, index, epsilon, verdicts) for index in range(len(labels))]
    _check_sound(name, subject.rows)
    return ModelRecord(
        name=name,
        architecture=_architecture(network),
        training=training,
        gains=None if gains is None else gain_table(gains),
        seconds=subject.seconds,
        points=tally(subject.rows),
        rows=tuple(subject.rows),
        counterexamples=_hardest(subject.counterexamples.values()),
    )


def _check_sound(name: str, rows: Sequence[Row]) -> None:
    """Compare across ε: a sample proved at one ε must not be broken at a smaller one."""
    found = contradiction(rows)
    if found is not None:
        raise SoundnessError(f"{name}: {found}")


def gain_table(report: GainReport) -> GainTable:
    """Return a `GainReport` as a part of a record."""
    rows = [
        LayerGain(
            name=layer.name,
            operator_norm=(layer.operator_norm.lower, layer.operator_norm.upper),
            neuron_gain=_finite(layer.neuron_gain),
            gain=_finite(layer.gain),
            bias=_finite(layer.bias),
        )
        for layer in report.layers
    ]
    horizon = "infinite horizon" if math.isinf(report.horizon) else f"{report.horizon:g} steps"
    readout = None if report.readout is None else (report.readout.lower, report.readout.upper)
    return GainTable(
        input_norm=report.input_norm,
        output_norm=report.output_norm,
        horizon=horizon,
        readout=readout,
        layers=tuple(rows),
    )


def _finite(value: float | None) -> float | None:
    """Return None for what JSON can't say."""
    return value if value is not None and math.isfinite(value) else None


def _start(
    name: str, network: SpikingNetwork, inputs: Tensor, labels: Tensor, plan: Plan, progress: Progress
) -> _Subject:
    for source in plan.attacks:
        if isinstance(source, str):
            check_choice("method", source, ATTACKS)
    for verifier in plan.verifiers:
        check_choice("verifier", verifier, VERIFIERS)
    check_inputs(network, inputs)
    with torch.no_grad():
        logits = network(inputs)
    check_labels(labels, len(inputs), logits.shape[1])
    correct = margins(logits, labels) > 0
    subject = _Subject(name, network, inputs, labels, logits.argmax(1), correct, plan, progress)
    subject.broken = dict.fromkeys(map(_name, plan.attacks), ~correct)
    return subject


def _name(source: str | Attack) -> str:
    return source if isinstance(source, str) else source.name


def _attack(subject: _Subject, epsilon: float, method: str | Attack) -> tuple[Tensor, AttackResult] | None:
    """Attack the samples that `method` has not broken yet; return their indices and the result."""
    source = _name(method)
    start = time.perf_counter()
    progress = subject.part("attack")
    standing = (~subject.broken[source]).nonzero().flatten()
    answer = None
    if len(standing):
        inputs, labels = subject.inputs[standing], subject.labels[standing]
        perturbation, seed = subject.plan.perturbation(epsilon), subject.plan.seed
        result = attack(subject.network, inputs, labels, perturbation, method, seed=seed, progress=progress)
        subject.broken[source] = subject.broken[source].index_put((standing,), result.success)
        _keep(subject, standing, epsilon, result)
        answer = standing, result
    subject.seconds[f"{source} at {epsilon:g}"] = time.perf_counter() - start
    return answer


def _verify(subject: _Subject, epsilon: float, verifier: str) -> list[Verdict]:
    start = time.perf_counter()
    plan = subject.plan
    place = f"{verifier}-{plan.threat.norm}-{epsilon!r}"
    decide = verify if plan.fleet is None else plan.fleet.within(place).verify
    verdicts = decide(
        subject.network,
        subject.inputs,
        subject.labels,
        plan.perturbation(epsilon),
        verifier,
        plan.timeout,
        seed=plan.seed,
        progress=subject.part("certify"),
    )
    subject.seconds[f"{verifier} at {epsilon:g}"] = time.perf_counter() - start
    return verdicts


def _reconcile(verdicts: Sequence[Verdict], results: Iterable[tuple[Tensor, AttackResult] | None]) -> None:
    for answer in results:
        if answer is not None:
            samples, result = answer
            reconcile([verdicts[index] for index in samples.tolist()], result)


def _keep(subject: _Subject, samples: Tensor, epsilon: float, result: AttackResult) -> None:
    """Keep the first counterexample of each sample, which is the one of the smallest ε."""
    for place in result.success.nonzero().flatten().tolist():
        index = int(samples[place])
        if index not in subject.counterexamples:
            subject.counterexamples[index] = Counterexample(
                index=index,
                label=int(subject.labels[index]),
                predicted=_other_class(result.logits[place], int(subject.labels[index])),
                epsilon=epsilon,
                found_by=result.method,
                shape=tuple(subject.inputs.shape[1:]),
                clean=tuple(subject.inputs[index].flatten().tolist()),
                perturbed=tuple(result.inputs[place].flatten().tolist()),
            )


def _other_class(logits: Tensor, label: int) -> int:
    """Return the class that beats, or ties with, the label."""
    others = logits.clone()
    others[label] = -math.inf
    return int(others.argmax())


def _row(subject: _Subject, index: int, epsilon: float, verdicts: dict[str, list[Verdict]]) -> Row:
    return Row(
        index=index,
        label=int(subject.labels[index]),
        predicted=int(subject.predicted[index]),
        correct=bool(subject.correct[index]),
        epsilon=epsilon,
        attacks={source: bool(broken[index]) for source, broken in subject.broken.items()},
        verdicts={name: _finding(found[index]) for name, found in verdicts.items()},
    )


def _finding(verdict: Verdict) -> Finding:
    return Finding.model_validate(
        {
            "status": verdict.status,
            "margin": _finite(verdict.margin),
            "decided_by": verdict.verifier,
            "seconds": verdict.seconds,
            "reason": verdict.reason,
        }
    )


def _hardest(counterexamples: Iterable[Counterexample]) -> tuple[Counterexample, ...]:
    return tuple(sorted(counterexamples, key=lambda found: (found.epsilon, found.index))[:HARDEST])


def _architecture(network: SpikingNetwork) -> Architecture:
    return Architecture(
        description=describe(network),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        num_steps=network.num_steps,
        sha256=network_hash(network),
    )
