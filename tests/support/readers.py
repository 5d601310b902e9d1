"""All readers of a network, by name, as functions of one network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spikecert import (
    SIBP,
    CertifiedLoss,
    GainPenalty,
    MarginOverGain,
    SpikingNetwork,
    bounds,
    certified_radius,
    circuit,
    gain,
    mppd,
    save,
    verify,
)
from spikecert.analysis import stability
from spikecert.analysis.patterns import pattern_radius
from spikecert.certify.milp.encoding import encode
from spikecert.certify.milp.program import Closing
from spikecert.certify.proofs import Prover
from spikecert.certify.verifiers import VERIFIERS
from spikecert.models import network_hash
from spikecert.training.objectives import Objective

from .refractory import INPUTS, THREAT, labels_of


def _encode(net: SpikingNetwork) -> None:
    encode(circuit(net), THREAT.enclosure(INPUTS[:1]), Closing(closed=True))


def _lose(objective: Objective) -> Callable[[SpikingNetwork], object]:
    return lambda net: objective.loss(net, INPUTS, labels_of(net), torch.Generator())


def _save(net: SpikingNetwork) -> None:
    save(net, Path("never.safetensors"))


def _prove(net: SpikingNetwork) -> None:
    Prover.of(net).prove(INPUTS[0], int(labels_of(net)[0]), THREAT)


READERS: dict[str, Callable[[SpikingNetwork], object]] = {
    **{
        f"verify-{name}": lambda net, name=name: verify(net, INPUTS, labels_of(net), THREAT, name, timeout=5.0)
        for name in VERIFIERS
    },
    **{
        f"bounds-{name}": lambda net, name=name: bounds(net, INPUTS, THREAT, name)
        for name in ("interval", "trains", "linear", "lirpa")
    },
    "certified_radius": lambda net: certified_radius(
        net, INPUTS, labels_of(net), verifier="trains", tolerance=0.2
    ),
    "verify in batches": lambda net: verify(
        net, INPUTS, labels_of(net), THREAT, "trains", workers=1, engine="local"
    ),
    "gain": gain,
    "stability": lambda net: stability(net, INPUTS),
    "mppd": lambda net: mppd(net, INPUTS, INPUTS + 0.01),
    "pattern_radius": lambda net: pattern_radius(net, INPUTS),
    "milp's encoding": _encode,
    "prover": _prove,
    "certified loss": _lose(CertifiedLoss(0.1, "trains")),
    "s-ibp": _lose(SIBP()),
    "gain penalty": _lose(GainPenalty()),
    "margin over gain": _lose(MarginOverGain()),
    "save": _save,
    "network_hash": network_hash,
}
"""All that claims something of a network by its nodes, or writes down what it is."""


def check_one_line(caught: pytest.ExceptionInfo[Any]) -> None:
    """Check that a refusal is one line, which says what it is about."""
    assert "\n" not in str(caught.value)
    assert str(caught.value).partition(":")[0] in {"network", "input_scale", "num_steps", "encoding", *SETTINGS}


SETTINGS = ("readout", "draws", "dynamics", "threshold", "decay", "drop", "reset", "fires_at")
