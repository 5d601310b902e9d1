"""Parts of a record out of the library's results: gains, measured growth, radii, the network itself."""

import math
from collections.abc import Sequence

from torch import Tensor

from ...analysis import GainReport, Growth, StabilityReport
from ...certify import Radius
from ...certify.ties import STRICT
from ...models import SpikingNetwork, network_hash
from ...models.files.description import describe
from ..records.radii import RadiusTable, SampleRadius
from ..records.records import ModelRecord
from ..records.schema import Architecture, GainRow, GainTable, GrowthRow
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
