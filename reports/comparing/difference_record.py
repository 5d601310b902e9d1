"""What `differ` found as a record: data that a program reads.

What `equivalent` found of two builds as a record: data that a program reads.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor

from ...certify.pairs.equivalence import STATUSES, Equivalence
from ...models.differing.difference import Difference, Moment
from ..records.rows import Count, Part, Positive, Seconds, Sets, Sha256

SCHEMA = "spikecert.difference/1"
TRIED = 200
"""Trials that a record keeps, the nearest first."""


class BuildSide(Part):
    """One of the two builds; the hash is of a network's description and weights."""

    name: str
    sha256: Sha256 | None = None


class PartingRecord(Part):
    """The first parting: neurons from 0, steps from 1."""

    layer: str
    neuron: Count
    step: Positive


class LayerRecord(Part):
    """Two layers that stand for each other, and how many of their spikes differ, in how many inputs."""

    a: str
    b: str
    spikes: Count
    wrong: Count
    inputs: Count


class SettingRecord(Part):
    """A setting that differs; `needed`: it is one of the causes."""

    kind: str
    layer: str
    words: str
    needed: bool


class TrialRecord(Part):
    """What was exchanged, and how many spikes and outputs still differed on the inputs that it was tried on."""

    words: str
    wrong: Count


class MomentRecord(Part):
    """One neuron up to the first parting, A and B: currents, potentials and spikes; None for what is not shown."""

    sample: Count
    thresholds: tuple[FiniteFloat | None, FiniteFloat | None]
    currents: tuple[tuple[FiniteFloat, ...] | None, tuple[FiniteFloat, ...] | None]
    potentials: tuple[tuple[FiniteFloat, ...] | None, tuple[FiniteFloat, ...] | None]
    spikes: tuple[str, str]


class DifferenceRecord(Part):
    """Whether two builds give the same trains on some inputs, where these part first, and why.

    `mended`: the exchange that `cause` names was made, in build `changed`, and made all trains equal.
    """

    schema_version: Literal["spikecert.difference/1"] = Field(SCHEMA, alias="schema")
    a: BuildSide
    b: BuildSide
    data: str
    samples: Positive
    num_steps: Positive
    same: bool
    first: PartingRecord | None
    cause: str
    mended: bool
    changed: Literal["a", "b"]
    parted: Count
    answers: Count
    layers: tuple[LayerRecord, ...]
    alone: tuple[str, ...]
    steps: tuple[Count, ...]
    declared: tuple[SettingRecord, ...]
    tried: tuple[TrialRecord, ...]
    moment: MomentRecord | None
    notes: tuple[str, ...]


def difference_record(found: Difference, a: BuildSide, b: BuildSide, data: str) -> DifferenceRecord:
    """Return the record of what was found."""
    first = None if found.first is None else PartingRecord(**found.first._asdict())
    keys = (
        "same",
        "cause",
        "mended",
        "changed",
        "samples",
        "num_steps",
        "parted",
        "answers",
        "alone",
        "steps",
        "notes",
    )
    return DifferenceRecord(
        a=a,
        b=b,
        data=data,
        first=first,
        layers=tuple(LayerRecord(**vars(layer)) for layer in found.layers),
        declared=tuple(SettingRecord(**vars(one)) for one in found.declared),
        tried=tuple(TrialRecord(**vars(one)) for one in sorted(found.tried, key=lambda one: one.wrong)[:TRIED]),
        moment=None if found.moment is None or first is None else _moment(found.moment, first.neuron, first.step),
        **{key: getattr(found, key) for key in keys},
    )


def _moment(moment: Moment, neuron: int, step: int) -> MomentRecord:
    (one, other), (v, w), (first, second) = moment.currents, moment.potentials, moment.rasters
    return MomentRecord(
        sample=moment.sample,
        thresholds=moment.threshold,
        currents=(_up_to(one, step), _up_to(other, step)),
        potentials=(_up_to(v, step), _up_to(w, step)),
        spikes=(_train(first, neuron, step), _train(second, neuron, step)),
    )


def _up_to(signal: Tensor | None, step: int) -> tuple[float, ...] | None:
    known = signal is not None and bool(torch.isfinite(signal[:step]).all())
    return tuple(signal[:step].double().tolist()) if known and signal is not None else None


def _train(raster: Tensor, neuron: int, step: int) -> str:
    return "".join(str(int(spike)) for spike in raster[:step, neuron])


EQUIVALENCE_SCHEMA = "spikecert.equivalence/2"


class PairRow(Part):
    """What is known of one sample; `counterexample` are the values of an input at which the builds differ."""

    index: Count
    status: Literal["equivalent", "different", "unknown"]
    gap: FiniteFloat | None
    seconds: Seconds
    reason: str
    counterexample: tuple[FiniteFloat, ...] | None = None

    @model_validator(mode="after")
    def _check_input(self) -> "PairRow":
        if (self.status == "different") != (self.counterexample is not None):
            raise ValueError(f"sample {self.index}: got {self.status!r}, expected an input for 'different' alone")
        return self


class PairPoint(Part):
    """All samples at one ε; None is the samples as they are."""

    epsilon: FiniteFloat | None
    equivalent: Count
    different: Count
    unknown: Count
    rows: tuple[PairRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_counts(self) -> "PairPoint":
        for status in STATUSES:
            if getattr(self, status) != sum(row.status == status for row in self.rows):
                raise ValueError(f"{status}: the count does not follow from the rows")
        return self


class EquivalenceRecord(Part):
    """Whether two builds give the same class, at some samples or wherever they may be moved to."""

    schema_version: Literal["spikecert.equivalence/2"] = Field(EQUIVALENCE_SCHEMA, alias="schema")
    a: BuildSide
    b: BuildSide
    data: str
    samples: Positive
    num_steps: Positive
    threat: Sets | None
    lower: FiniteFloat
    upper: FiniteFloat
    verifier: str
    timeout: FiniteFloat | None = None
    seed: Count
    command: str
    points: tuple[PairPoint, ...] = Field(min_length=1)


def pair_point(epsilon: float | None, found: Sequence[Equivalence]) -> PairPoint:
    """Return what was found at one ε as a part of a record."""
    rows = [_row(index, one) for index, one in enumerate(found)]
    counts: dict[str, Any] = {status: sum(one.status == status for one in found) for status in STATUSES}
    return PairPoint(epsilon=epsilon, rows=tuple(rows), **counts)


def _row(index: int, one: Equivalence) -> PairRow:
    point = None if one.counterexample is None else tuple(one.counterexample.flatten().tolist())
    told: dict[str, Any] = {name: getattr(one, name) for name in ("status", "gap", "seconds", "reason")}
    return PairRow(index=index, counterexample=point, **told)
