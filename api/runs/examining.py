"""Attack and certify one network part by part, and make the record, of what was finished if Ctrl-C came first."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spikecert.analysis import StabilityReport, stability
from spikecert.asking.boxes import BoxThreat
from spikecert.asking.question import BaseQuestion, Proving, Question
from spikecert.asking.threats import write_threat
from spikecert.certify import L2, LInf, PixelBox, attack
from spikecert.certify.attacks.standard import STANDARD, VERSION
from spikecert.models import SpikingNetwork, network_hash
from spikecert.models.deadline import Figures, Progress, no_figures
from spikecert.models.differing.recorded import firing_names, record_network
from spikecert.reports import ModelRecord, Plan, Record, Training, record
from spikecert.reports.making.parts import Interrupted, PartStore, measure_in_parts
from spikecert.reports.making.plans import name_of
from spikecert.reports.making.tables import with_gains
from spikecert.training import Dataset, Split

from ..telling import PARTS, UNFINISHED, forget_unfinished, say
from .building import described, first, fitting, scaled, write_all
from .sources import data_of, label_of, network_of

MEASURED, LISTENED = 32, 8
"""Samples on which growth is measured beside the gains, and on which each layer should fire."""


@dataclass(frozen=True)
class Subject:
    """A network and the samples that it is measured on."""

    name: str
    network: SpikingNetwork
    data: Dataset
    samples: Split
    training: Training | None = None


def subject_of(asked: Question) -> Subject:
    """Return the network of a question, for inputs as the data have them, on its device, and the samples."""
    return subject_at(asked.model, asked)


def subject_at(model: Path, asked: BaseQuestion) -> Subject:
    """Return what a question is about, of the network in a file."""
    network = network_of(model)
    features = asked.threat.features if isinstance(asked.threat, BoxThreat) else None
    source = data_of(asked.samples, network.num_steps, _limits(asked), features)
    network = scaled(network, source, asked.samples)
    chosen = fitting(network, source, asked.samples.samples, asked.device)
    return Subject(network.called(label_of(model)), network, source, chosen)


def conditions_of(asked: Question, how: Proving, network: SpikingNetwork, samples: int) -> dict[str, Any]:
    """Return what an answer is about, as JSON-ready data."""
    return {
        "network": network.called(asked.model.name),
        "sha256": network_hash(network),
        "data": asked.samples.data,
        "samples": samples,
        "threat": write_threat(asked.threat),
        "verifier": how.verifier,
        "timeout": how.timeout,
        "memory": how.memory,
        "seed": asked.seed,
    }


def samples_alone(asked: Question) -> Split:
    """Return the samples for a module of whatever code, as the data have them."""
    if asked.samples.mean is not None:
        raise ValueError("mean: got --mean or --std for code, expected the module to normalise its inputs")
    found = data_of(asked.samples, limits=_limits(asked))
    return first(found.test, asked.samples.samples)


def _limits(asked: BaseQuestion) -> tuple[float, float]:
    return asked.threat.lower, asked.threat.upper


@dataclass(frozen=True)
class Examined:
    """A record, whether it is about the finished part of the samples alone, and what keeps the parts."""

    record: Record
    store: PartStore
    interrupted: bool = False


def examine(
    subject: Subject,
    plan: Plan,
    *,
    command: str,
    progress: Progress,
    figures: Figures = no_figures,
    out: Path | None = None,
    gains: bool = False,
    title: str | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> Examined:
    """Measure one network and return the record.

    Args:
        subject: what is measured.
        plan: how.
        command: what to type to get the same record again.
        progress: told after each step.
        figures: told how a search stands, as in `verify`.
        out: finished parts are kept in this folder until all are, and the same call goes on from there.
        gains: also compute gains, and measure growth beside them; where they are not known, say so.
        title: of the report.
        configuration: the content of the file that `spikecert run` was given.

    Raises:
        KeyboardInterrupt: on Ctrl-C before the first part was finished.
    """
    network, samples = subject.network, subject.samples
    chosen = network, samples.inputs, samples.labels, plan
    store = PartStore.of(None if out is None else out / PARTS, "measured", *chosen)
    told = {"training": subject.training, "store": store, "progress": progress, "figures": figures}

    def recorded(measured: ModelRecord, finished: int | None = None) -> Record:
        return _record(subject, plan, measured, finished, command, title, configuration)

    try:
        found = measure_in_parts(subject.name, *chosen, **told)
    except Interrupted as error:
        if error.finished is None:
            raise
        return Examined(recorded(error.finished, error.samples), store, interrupted=True)
    tell_of_silence(subject)
    if gains:
        progress("gains", 0, 1)
        report = stability_or_none(network, samples, plan)
        found = found if report is None else with_gains(found, report)
        progress("gains", 1, 1)
    return Examined(recorded(found), store)


def tell_of_silence(subject: Subject) -> None:
    """Say on standard error which layers fire on none of a few samples: what is proven of them says little."""
    some = subject.samples.inputs[:LISTENED]
    heard = zip(firing_names(subject.network), record_network(subject.network, some).spikes, strict=True)
    if silent := [name for name, spikes in heard if not bool(spikes.any())]:
        told = f"{', '.join(silent)} fires at no step of the first {len(some)} samples"
        say(f"{subject.name}: {told}: what lies behind hears nothing, so that verdicts hold and say little")


def write(examined: Examined, out: Path) -> list[Path]:
    """Write all formats to `out`, or to a folder within it if the run was interrupted; return the paths."""
    if examined.interrupted:
        return write_all(examined.record, out / UNFINISHED)
    written = write_all(examined.record, out)
    forget_unfinished(out)
    examined.store.clear()
    return written


def standard_version(plan: Plan) -> dict[str, int]:
    """Return which version of the standard attack a plan runs, if it does."""
    return {"standard attack": VERSION} if STANDARD in map(name_of, plan.attacks) else {}


def stability_or_none(network: SpikingNetwork, samples: Split, plan: Plan) -> StabilityReport | None:
    """Return gains and measured growth, or say on standard error why there are none."""
    try:
        return stability_of(network, samples, plan)
    except (ValueError, TypeError) as error:
        say(f"no gains: {error}")
        return None


def stability_of(network: SpikingNetwork, samples: Split, plan: Plan) -> StabilityReport:
    """Return proven gains, and what noise and an attack of the plan's largest ε do to the first samples.

    The attack is PGD on balls, and on sets of events the quick ensemble.

    Raises:
        ValueError, TypeError: for a network that gains are not known for.
    """
    inputs, labels = samples.inputs[:MEASURED], samples.labels[:MEASURED]
    ball = plan.threat.scale.around(plan.threat.epsilons[-1])
    generator = torch.Generator().manual_seed(plan.seed)
    noise = torch.randn(inputs.shape, generator=generator).to(inputs)
    noisy = ball.project(inputs + plan.threat.epsilons[-1] * noise, inputs)
    method = "pgd" if isinstance(ball, LInf | L2 | PixelBox) else "ensemble-fast"
    attacked = attack(network, inputs, labels, ball, method, seed=plan.seed).inputs
    return stability(network, inputs, {"noise": noisy, method: attacked})


def _record(
    subject: Subject,
    plan: Plan,
    measured: ModelRecord,
    finished: int | None,
    command: str,
    title: str | None,
    configuration: Mapping[str, Any] | None,
) -> Record:
    samples, planned = subject.samples, len(subject.samples)
    settings: dict[str, bool | int | float | str | None] = {"timeout": plan.timeout}
    settings |= {} if plan.memory is None else {"memory": plan.memory}
    settings |= standard_version(plan)
    heading = title or f"{subject.name} on {subject.data.name}"
    if finished is not None:
        samples = samples.take(torch.arange(finished))
        settings |= {"interrupted": True, "samples planned": planned}
        heading += f" (interrupted: the first {finished} of {planned} samples)"
    return record(
        [measured],
        described(subject.data, samples),
        plan.threat,
        title=heading,
        command=command,
        seeds={"seed": plan.seed},
        settings=settings,
        configuration=configuration,
        focus=plan.threat.epsilons[-1],
        device=str(subject.network.device),
    )
