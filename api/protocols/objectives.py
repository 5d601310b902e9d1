"""Objectives and what they are made of out of a protocol's data: "kind" is the class, the rest its arguments."""

import reprlib
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

from spikecert.certify import EventChange, EventRegion, SpikeFlip, SpikeShift
from spikecert.runs.configuration import as_number
from spikecert.training import (
    MSMPPD,
    SIBP,
    CertifiedEvents,
    CertifiedLoss,
    CrossEntropy,
    GainPenalty,
    GaussianNoise,
    MarginOverGain,
    Objective,
    PGDTraining,
    Ramp,
    SingleStep,
)

_OBJECTIVES = (CrossEntropy, MSMPPD, CertifiedLoss, CertifiedEvents, SIBP, GainPenalty, MarginOverGain)
_SETS = (SpikeFlip, SpikeShift, EventChange, EventRegion)
_PERTURBATIONS = (GaussianNoise, SingleStep, PGDTraining)
KINDS: dict[str, type] = {kind.__name__: kind for kind in (*_OBJECTIVES, *_PERTURBATIONS, *_SETS, Ramp)}


def objective(terms: Sequence[Mapping[str, Any]]) -> Objective:
    """Return the sum of the terms.

    Raises:
        ValueError: for an unknown kind, or arguments that it does not take.

    >>> objective([{"kind": "MSMPPD", "rho": 0.5, "perturbation": {"kind": "SingleStep", "epsilon": "4/255"}}]).rho
    0.5
    """
    return reduce(add, (_built(term) for term in terms))


def _built(content: Mapping[str, Any]) -> Any:
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind: got {reprlib.repr(kind)}, expected one of {', '.join(KINDS)}")
    arguments = {key: _value(value) for key, value in content.items() if key != "kind"}
    try:
        return KINDS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"{kind}: {error}") from error


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _built(value)
    if isinstance(value, str) and value[:1].isdigit():
        return as_number(value)
    return value
