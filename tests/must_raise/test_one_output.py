"""A network with one output has no class to lose: whatever asks about its class is refused, in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spikecert.asking import Threat
from spikecert.certify import (
    L2,
    LInf,
    SpikeFlip,
    SpikeShift,
    attack,
    certified_radius,
    smooth,
    verify,
)
from spikecert.certify.attacks import ATTACKS
from spikecert.certify.proofs import Prover
from spikecert.certify.proofs.asked import Proof
from spikecert.certify.verifiers import VERIFIERS, MarginVerifier
from spikecert.checking import Refused, check
from spikecert.formats import read_vnnlib, verify_property
from spikecert.models import LIF, SpikingNetwork, mlp, network_hash, save
from spikecert.reports import Plan, measure
from spikecert.training import CertifiedLoss

X, Y = torch.full((2, 4), 0.5), torch.tensor([0, 0])
EVENTS = (torch.arange(24).view(2, 3, 4) % 3 == 0).float()
SMALL = Threat.of("linf", 0.1)
MESSAGE = (
    "network: got 1 output, expected two or more for a question about the class; "
    r"ask about its value \(--property, spikecert range\)"
)


def network(encoding: str = "direct") -> SpikingNetwork:
    torch.manual_seed(0)
    return mlp((4, 3, 1), num_steps=3, encoding=encoding).eval()


def counting() -> SpikingNetwork:
    return SpikingNetwork(torch.nn.Linear(4, 1), LIF(), num_steps=3).eval()


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(0)


ASKED: dict[str, Callable[[], object]] = {
    **{f"verify {name}": lambda name=name: verify(network(), X, Y, LInf(0.1), name) for name in VERIFIERS},
    **{f"attack {name}": lambda name=name: attack(network(), X, Y, LInf(0.1), name) for name in ATTACKS},
    "no radius": lambda: verify(network(), X, Y, LInf(0.0)),
    "l2": lambda: verify(network(), X, Y, L2(0.1)),
    "ties argmax": lambda: verify(network(), X, Y, LInf(0.1), ties="argmax"),
    "ties strict": lambda: verify(counting(), X, Y, LInf(0.1), ties="strict"),
    "spike counts": lambda: verify(counting(), X, Y, LInf(0.1)),
    "first spikes": lambda: verify(
        SpikingNetwork(torch.nn.Linear(4, 1), LIF(), num_steps=3, readout="first"), X, Y, LInf(0.1)
    ),
    "rates": lambda: verify(network("rate"), X, Y, LInf(0.1)),
    "events flipped": lambda: verify(network("none"), EVENTS, Y, SpikeFlip(1)),
    "latency": lambda: verify(network("latency"), X, Y, SpikeShift(1)),
    "radius": lambda: certified_radius(network(), X, Y),
    "set": lambda: verify(network(), X, Y, LInf(0.1), engine="local"),
    "smoothing": lambda: smooth(network(), X, 0.1, 100, 0.01, drawn()),
    "record": lambda: measure("one", network(), X, Y, Plan(SMALL)),
    "proof": lambda: Prover.of(network()).prove(X[0], 0, LInf(0.1)),
    "certified loss": lambda: CertifiedLoss(0.1).loss(network(), X, Y, drawn()),
    **{f"margins {name}": lambda name=name: _margins(name) for name in ("interval", "trains", "linear", "gain")},
}


def _margins(name: str) -> object:
    chosen = VERIFIERS[name]()
    assert isinstance(chosen, MarginVerifier)
    return chosen.margins(network(), X, Y, LInf(0.1))


@pytest.mark.parametrize("what", ASKED)
def test_a_question_without_a_rival_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=rf"^{MESSAGE}$"):
        ASKED[what]()


def test_a_proof_of_it_is_refused(tmp_path: Path) -> None:
    asked = network()
    save(asked, tmp_path / "one.safetensors")
    ball = X[0].numpy(), np.array([0.1]), "linf", 0.0, 1.0
    Proof(network_hash(asked), 0, *ball, trees=(), nodes=0, ties="strict").save(tmp_path / "one.proof")
    with pytest.raises(Refused, match="one output"):
        check(tmp_path / "one.proof", tmp_path / "one.safetensors")


def test_a_property_of_one_output_has_a_rival(tmp_path: Path) -> None:
    """Its bound: such a question is answered."""
    ends = "".join(f"(assert (>= X_{i} 0.4))(assert (<= X_{i} 0.6))" for i in range(4))
    declared = "".join(f"(declare-const X_{i} Real)" for i in range(4)) + "(declare-const Y_0 Real)"
    (tmp_path / "one.vnnlib").write_text(f"{declared}{ends}(assert (>= Y_0 1000.0))")
    assert verify_property(network(), read_vnnlib(tmp_path / "one.vnnlib")).status == "holds"
