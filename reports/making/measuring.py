"""Attack and verify one network on one set of samples over all ε of a threat model."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...analysis import GainReport, StabilityReport
from ...certify import Attack, AttackResult, SoundnessError, Verdict, attack, certified_radius, reconcile, verify
from ...certify.answering import resolve
from ...certify.attacks import attack_of
from ...certify.questions import Property
from ...certify.questions.classes import own_outputs, property_goal
from ...certify.replay import margins
from ...certify.ties import STRICT, settled_ties
from ...certify.verdicts import Unfinished, left_open
from ...models import SpikingNetwork
from ...models.deadline import Figures, Progress, no_figures, silent
from ...models.validation import check_inputs, check_labels, check_rivals
from ..records.evidence import Found, hardest
from ..records.radii import RadiusTable, radius_contradiction
from ..records.records import ModelRecord
from ..records.rows import Finding, SampleRow, SignRow, contradiction, sign_row, tally
from ..records.schema import Training
from .plans import Plan, RadiusPlan, name_of
from .tables import architecture_of, finite, gain_table, growth_table, radius_table


class CutShort(KeyboardInterrupt):
    """Ctrl-C while the last ε was certified, or behind it: `found` holds what is proven of each sample by then."""

    def __init__(self, found: ModelRecord) -> None:
        super().__init__(f"{len(found.rows)} rows hold what is proven")
        self.found = found


@dataclass
class _Measurement:
    """A network under measurement, and what is known so far about each sample."""

    name: str
    network: SpikingNetwork
    inputs: Tensor
    labels: Tensor
    asked: Tensor | Property
    predicted: Tensor
    correct: Tensor
    tied: Tensor
    ties: str
    plan: Plan
    progress: Progress
    broken: dict[str, Tensor] = field(default_factory=dict)
    rows: list[SampleRow] = field(default_factory=list)
    found: dict[int, Found] = field(default_factory=dict)
    signs: list[SignRow] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    figures: Figures = no_figures

    @property
    def asked_ties(self) -> str | None:
        """Return what attacks and verifiers are to take for a tie; a property says it itself."""
        return None if isinstance(self.asked, Property) else self.ties

    def told(self, _: str, values: Mapping[str, float]) -> None:
        """Pass on how a search stands, beside the progress of the step."""
        self.figures(f"certify {self.name}", values)

    def part(self, verb: str) -> Progress:
        """Return a progress callback for the next step, which counts samples over all steps."""
        before, samples = len(self.seconds), len(self.labels)

        def told(_: str, done: int, total: int) -> None:
            """Report samples of this step behind those of all steps before."""
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
    gains: GainReport | StabilityReport | None = None,
    progress: Progress = silent,
    figures: Figures = no_figures,
) -> ModelRecord:
    """Run the plan on `network` and return all that was found as a `ModelRecord`.

    An input found at one ε lies within every larger ε too, so an attack is not run again on a sample it broke.
    What was proved and broken for verdicts and for radii is compared: each must agree with the other.

    Args:
        name: what the report calls this network.
        network: taken in evaluation mode.
        inputs: (batch, ...), within the threat model's [lower, upper].
        labels: (batch,), integers; of a plan that asks about a property any (batch, ...), which play no part.
        plan: what to run.
        training, gains: what the record should say about them; a `StabilityReport` also gives the measured growth.
        progress: told after each chunk of samples.
        figures: told how a search stands, as in `verify`.

    Raises:
        CutShort: on Ctrl-C while samples are certified at the last ε, or while their radii are bracketed.
        SoundnessError: if a sample is verified, and an input that breaks it was replayed.
        ValueError, TypeError: for arguments that do not fit.
    """
    measurement = _start(network.called(name), network.eval(), inputs, labels, plan, progress, figures)
    cut = False
    for epsilon in plan.threat.epsilons:
        results = [_attack(measurement, epsilon, source) for source in plan.attacks]
        verdicts, cut = _verified(measurement, epsilon)
        if cut and epsilon != plan.threat.epsilons[-1]:
            raise KeyboardInterrupt
        for found in verdicts.values():
            _reconcile(found, results)
        measurement.rows += [_row(measurement, index, epsilon, verdicts) for index in range(len(labels))]
    table = None
    if plan.radii is not None and not cut:
        try:
            table = _radii(measurement, plan.radii)
        except KeyboardInterrupt:
            cut = True
    _check_sound(name, measurement.rows, table)
    found = _recorded(measurement, table, training, gains)
    if cut:
        raise CutShort(found)
    return found


def _recorded(
    measurement: _Measurement,
    table: RadiusTable | None,
    training: Training | None,
    gains: GainReport | StabilityReport | None,
) -> ModelRecord:
    network = measurement.network
    return ModelRecord(
        name=measurement.name,
        architecture=architecture_of(network),
        training=training,
        gains=None if gains is None else gain_table(gains),
        seconds=measurement.seconds,
        points=tally(measurement.rows),
        rows=tuple(measurement.rows),
        counterexamples=hardest(
            network,
            measurement.inputs,
            measurement.labels,
            measurement.found,
            asked=measurement.plan.threat.asked is not None,
        ),
        radii=table,
        growth=growth_table(gains) if isinstance(gains, StabilityReport) else (),
        ties=measurement.ties,  # type: ignore[arg-type]
        signs=tuple(measurement.signs),
    )


def measure_radii(
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    plan: Plan,
    progress: Progress = silent,
    figures: Figures = no_figures,
) -> tuple[RadiusTable, dict[int, Found]]:
    """Bracket radii as `plan.radii` says; return the table, and the counterexamples by the sample's place.

    Raises:
        ValueError: for a plan without radii, and as `certified_radius`.
    """
    wanted = plan.radii
    if wanted is None:
        raise ValueError("radii: got a plan without, expected a RadiusPlan")
    radii = certified_radius(
        network,
        inputs[: wanted.samples],
        labels[: wanted.samples] if plan.threat.prop is None else plan.threat.prop,
        plan.sets,
        wanted.verifier,
        wanted.tolerance,
        timeout=wanted.timeout,
        seed=plan.seed,
        ties=plan.ties,
        memory=plan.memory,
        workers=wanted.workers,
        progress=progress,
        figures=figures,
    )
    broken = {
        index: Found.of(radius.upper, "radius search", radius.counterexample, radius.member, plan.sets)
        for index, radius in enumerate(radii)
        if radius.counterexample is not None
    }
    return radius_table(plan, labels, radii), broken


def _radii(measurement: _Measurement, wanted: RadiusPlan) -> RadiusTable:
    start = time.perf_counter()

    label = f"radius {measurement.name}"
    table, broken = measure_radii(
        measurement.network,
        measurement.inputs,
        measurement.labels,
        measurement.plan,
        lambda _, done, total: measurement.progress(label, done, total),
        lambda _, values: measurement.figures(label, values),
    )
    for index, found in broken.items():
        if bool(measurement.correct[index]):  # what is misclassified as it is needs no counterexample
            known = measurement.found.get(index)
            if known is None or found.epsilon < known.epsilon:
                measurement.found[index] = found
    measurement.seconds[f"radius ({wanted.verifier})"] = time.perf_counter() - start
    return table


def _check_sound(name: str, rows: Sequence[SampleRow], table: RadiusTable | None) -> None:
    """Compare across ε: a sample proved at one ε must not be broken at a smaller one."""
    conflict = contradiction(rows)
    if conflict is None and table is not None:
        conflict = radius_contradiction(rows, table)
    if conflict is not None:
        raise SoundnessError(f"{name}: {conflict}")


def _start(
    name: str,
    network: SpikingNetwork,
    inputs: Tensor,
    labels: Tensor,
    plan: Plan,
    progress: Progress,
    figures: Figures,
) -> _Measurement:
    for source in plan.attacks:
        if isinstance(source, str):
            attack_of(source)
    for verifier in plan.verifiers:
        resolve(verifier)
    check_inputs(network, inputs)
    prop = plan.threat.prop
    if prop is not None:
        own = own_outputs(network, inputs)
        labels = own.argmax(1)  # rows name them; what is asked is about no class of the data
        holds = (
            property_goal(network, inputs, prop).values(own, torch.arange(len(own), device=own.device), inputs) > 0
        )
        rest = labels, prop, labels, holds, torch.zeros_like(holds), STRICT
    else:
        with torch.no_grad():
            logits = network(inputs)
        check_rivals(logits.shape[1])
        check_labels(labels, len(inputs), logits.shape[1])
        ties = settled_ties(network, plan.ties)
        correct, tied = margins(logits, labels, ties) > 0, margins(logits, labels) == 0
        rest = labels, labels, logits.argmax(1), correct, tied, ties
    measurement = _Measurement(name, network, inputs, *rest, plan, progress, figures=figures)
    measurement.broken = dict.fromkeys(map(name_of, plan.attacks), ~measurement.correct)
    return measurement


def _attack(measurement: _Measurement, epsilon: float, method: str | Attack) -> tuple[Tensor, AttackResult] | None:
    """Attack the samples that `method` has not broken yet; return their indices and the result."""
    source = name_of(method)
    start = time.perf_counter()
    progress = measurement.part("attack")
    standing = (~measurement.broken[source]).nonzero().flatten()
    answer = None
    if len(standing):
        what = measurement.asked if isinstance(measurement.asked, Property) else measurement.asked[standing]
        perturbation, seed = measurement.plan.perturbation(epsilon), measurement.plan.seed
        asked = measurement.network, measurement.inputs[standing], what, perturbation, method
        rest = {"ties": measurement.asked_ties, "timeout": measurement.plan.timeout, "progress": progress}
        result = attack(*asked, seed=seed, **rest)
        measurement.broken[source] = measurement.broken[source].index_put((standing,), result.success)
        _keep(measurement, standing, epsilon, result)
        if result.warnings:
            measurement.signs.append(sign_row(source, epsilon, result.signs))
        answer = standing, result
    measurement.seconds[f"{source} at {epsilon:g}"] = time.perf_counter() - start
    return answer


def _verified(measurement: _Measurement, epsilon: float) -> tuple[dict[str, Sequence[Verdict]], bool]:
    """Return each verifier's verdicts, and whether Ctrl-C cut them short: those with no turn are open."""
    verifiers, found = measurement.plan.verifiers, dict[str, Sequence[Verdict]]()
    for verifier in verifiers:
        try:
            found[verifier] = _verify(measurement, epsilon, verifier)
        except Unfinished as error:
            count, ties = len(measurement.labels), measurement.ties
            open_verdicts = {other: [left_open(other, ties)] * count for other in verifiers}
            return {**open_verdicts, **found, verifier: error.verdicts}, True
    return found, False


def _verify(measurement: _Measurement, epsilon: float, verifier: str) -> list[Verdict]:
    start = time.perf_counter()
    plan = measurement.plan
    place = f"{verifier}-{plan.threat.norm}-{epsilon!r}"
    spread = {} if plan.fleet is None else plan.fleet.within(place).told
    verdicts = verify(
        measurement.network,
        measurement.inputs,
        measurement.asked,
        plan.perturbation(epsilon),
        verifier,
        plan.timeout,
        seed=plan.seed,
        ties=measurement.asked_ties,
        memory=plan.memory,
        progress=measurement.part("certify"),
        figures=measurement.told,
        **spread,
    )
    measurement.seconds[f"{verifier} at {epsilon:g}"] = time.perf_counter() - start
    for index, verdict in enumerate(verdicts):
        if verdict.counterexample is not None and bool(measurement.correct[index]):
            told = verdict.verifier, verdict.counterexample, verdict.member, plan.perturbation(epsilon)
            measurement.found.setdefault(index, Found.of(epsilon, *told))
    return verdicts


def _reconcile(verdicts: Sequence[Verdict], results: Iterable[tuple[Tensor, AttackResult] | None]) -> None:
    for answer in results:
        if answer is not None:
            samples, result = answer
            reconcile([verdicts[index] for index in samples.tolist()], result)


def _keep(measurement: _Measurement, samples: Tensor, epsilon: float, result: AttackResult) -> None:
    """Keep the first counterexample of each sample, which is the one of the smallest ε."""
    for place in result.success.nonzero().flatten().tolist():
        member = result.networks[place] if result.networks else None
        sets = measurement.plan.perturbation(epsilon)
        found = Found.of(epsilon, result.method, result.inputs[place], member, sets)
        measurement.found.setdefault(int(samples[place]), found)


def _row(
    measurement: _Measurement, index: int, epsilon: float, verdicts: dict[str, Sequence[Verdict]]
) -> SampleRow:
    return SampleRow(
        index=index,
        label=int(measurement.labels[index]),
        predicted=int(measurement.predicted[index]),
        correct=bool(measurement.correct[index]),
        tied=bool(measurement.tied[index]),
        epsilon=epsilon,
        attacks={source: bool(broken[index]) for source, broken in measurement.broken.items()},
        verdicts={name: _finding(found[index]) for name, found in verdicts.items()},
    )


def _finding(verdict: Verdict) -> Finding:
    return Finding.model_validate(
        {
            "status": verdict.status,
            "margin": finite(verdict.margin),
            "decided_by": verdict.verifier,
            "seconds": verdict.seconds,
            "reason": verdict.reason,
        }
    )
