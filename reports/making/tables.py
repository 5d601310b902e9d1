"""Parts of a record out of the library's results: gains, measured growth, radii, the network itself.

Run a counterexample of a record again, in a member of its set of networks where it is of one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...analysis import GainReport, Growth, StabilityReport
from ...asking import Threat
from ...certify import Perturbation, Radius
from ...certify.network_sets.base import NetworkSet
from ...certify.network_sets.keeping import restored_member
from ...certify.questions.classes import property_goal
from ...certify.replay import replays
from ...certify.ties import STRICT
from ...models import SpikingNetwork, network_hash
from ...models.files.description import describe
from ..records.evidence import unpacked_member
from ..records.radii import RadiusTable, SampleRadius
from ..records.records import ModelRecord
from ..records.schema import Architecture, Counterexample, GainRow, GainTable, GrowthRow
from .plans import Plan


def with_gains(model: ModelRecord, stability: StabilityReport) -> ModelRecord:
    """Return the model with gains, and the growth that was measured beside them."""
    return model.model_copy(update={"gains": gain_table(stability), "growth": growth_table(stability)})


def gain_table(found: GainReport | StabilityReport) -> GainTable:
    """Return a `GainReport` as a part of a record."""
    report = found.gains if isinstance(found, StabilityReport) else found
    rows = [
        GainRow(
            name=layer.name,
            operator_norm=(layer.operator_norm.lower, layer.operator_norm.upper),
            neuron_gain=finite(layer.neuron_gain),
            gain=finite(layer.gain),
            bias=finite(layer.bias),
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


def growth_table(report: StabilityReport) -> tuple[GrowthRow, ...]:
    """Return what was measured beside the proven gains, one row for each layer and perturbation."""
    return tuple(map(_growth, report.growth))


def _growth(growth: Growth) -> GrowthRow:
    same = growth.exact[growth.agrees]
    return GrowthRow(
        layer=growth.layer,
        source=growth.source,
        samples=len(growth.agrees),
        bound=finite(growth.gain),
        simplified=float(growth.simplified.max()),
        same_trains=int(growth.agrees.sum()),
        exact_same=finite(float(same.max())) if len(same) else None,
        exact=finite(float(growth.exact.max())),
    )


def radius_table(plan: Plan, labels: Tensor, radii: Sequence[Radius]) -> RadiusTable:
    """Return radii as a part of a record; `plan` has radii."""
    wanted = plan.radii
    assert wanted is not None
    rows = [
        SampleRadius(
            index=index,
            label=label,
            lower=radius.lower,
            upper=radius.upper,
            exact=radius.exact,
            attacked=radius.counterexample is not None,
            verifier=radius.verifier or "",
        )
        for index, (label, radius) in enumerate(zip(labels[: len(radii)].tolist(), radii, strict=True))
    ]
    return RadiusTable(
        norm=plan.threat.norm,  # type: ignore[arg-type]
        verifier=wanted.verifier,
        tolerance=plan.tolerance,
        timeout=wanted.timeout,
        seed=plan.seed,
        ties=radii[0].ties if plan.threat.asked is None else STRICT,  # type: ignore[arg-type]
        samples=tuple(rows),
    )


def architecture_of(network: SpikingNetwork) -> Architecture:
    """Return the network without its weights, and its hash."""
    return Architecture(
        description=describe(network),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        num_steps=network.num_steps,
        sha256=network_hash(network),
    )


def finite(value: float | None) -> float | None:
    """Return None for what JSON can't say.

    >>> finite(2.0), finite(math.inf), finite(None)
    (2.0, None, None)
    """
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class Replayed:
    """One counterexample that was run again.

    Attributes:
        index, label, epsilon: as the record says.
        predicted: the answer now.
        fails: whether it lies in its set, and fails.
        told: why not, or what was run.
        member: of a set of networks the one that was run.
    """

    index: int
    label: int
    epsilon: float
    predicted: int
    fails: bool
    told: str
    member: SpikingNetwork | None = None


def replayed(threat: Threat, network: SpikingNetwork, ties: str, case: Counterexample) -> Replayed:
    """Run one counterexample of a network's record.

    Raises:
        ValueError: for a member that can't be read, or that the set does not have.
    """
    clean, found = (
        torch.tensor(values, dtype=network.dtype).reshape(case.shape).to(network.device)
        for values in (case.clean, case.perturbed)
    )
    sets, member, told = threat.around(case.epsilon), None, ""
    if isinstance(sets, NetworkSet):
        if case.member is None:
            raise ValueError(f"record: sample {case.index} has no member, which was too large to be kept")
        kept = {name: tensor.to(network.device) for name, tensor in unpacked_member(case.member).items()}
        member, told = restored_member(sets, network, clean[None], kept), _changed(kept)
    run, prop = network if member is None else member, threat.prop
    inside = _inside(sets, found, clean)
    if prop is None:
        fails, held = replays(run, found, case.label, ties), "it is classified as the sample's label"
    else:
        fails, held = property_goal(network, clean[None], prop).replays(run, found, 0), "the property holds there"
    if not (inside and fails):
        told = held if inside else "the input lies outside the set"
    with torch.no_grad():
        outputs = run(found[None])[0]
    if prop is not None and not told:
        told = f"outputs {outputs.tolist()}"
    predicted = int(outputs.argmax())
    return Replayed(case.index, case.label, case.epsilon, predicted, inside and fails, told, member)


def _inside(sets: Perturbation | NetworkSet, found: torch.Tensor, clean: torch.Tensor) -> bool:
    around = sets.around if isinstance(sets, NetworkSet) else sets
    return bool(found.equal(clean)) if around is None else bool(around.contains(found[None], clean[None]))


def _changed(kept: dict[str, torch.Tensor]) -> str:
    """Return what a member is, in a few words."""
    if (faults := kept.get("faults")) is None:
        return f"{sum(tensor.numel() for tensor in kept.values())} numbers of its own"
    each = (
        f"layer {layer} neuron {neuron} {'fires' if fires else 'silent'}"
        for layer, neuron, fires in faults.tolist()
    )
    return ", ".join(each)
