"""What two neurons' filtered currents differ by pays for the rounding of layers and of the recursion."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork
from spikecert.certify.bounds.cells import automaton as pair_margins
from spikecert.certify.bounds.cells.looking_through import MatrixChain
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.trains.trains import conserved_spikes
from spikecert.models.circuit import circuit

MORE = 0.01


def asked(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Return what a network's strips are asked of, with boxes so wide that they cut nothing."""
    torch.manual_seed(0)
    layers = nn.Linear(3, 6), LIF(0.5, reset="subtract"), nn.Linear(6, 3), LIF(0.5, reset="subtract")
    network, found, strip = SpikingNetwork(*layers, num_steps=4, readout="spikes").eval(), [], pair_margins._strip
    with monkeypatch.context() as patch:
        patch.setattr(pair_margins, "_strip", lambda *given: (found.append(given), strip(*given))[1])
        box = LInf(0.1).enclosure(torch.rand(2, 3))
        margin_bounds(circuit(network), box, torch.zeros(2, dtype=torch.long), conserved_spikes)
    last, *pairs = found[0]
    inflow = replace(last.inflow, lower=last.inflow.lower - 99, upper=last.inflow.upper + 99)
    return replace(last, inflow=inflow), *pairs


def widened(before: Any, after: Any) -> bool:
    """Return whether both ends are further out by what the two neurons add at one step."""
    least = 2 * MORE * (1 - 1e-3)
    return bool((before.lower - after.lower >= least).all() and (after.upper - before.upper >= least).all())


def test_a_strip_pays_for_the_recursion(monkeypatch: pytest.MonkeyPatch):
    last, *pairs = asked(monkeypatch)
    more = replace(last, inflow=replace(last.inflow, slack=last.inflow.slack + MORE))
    assert widened(pair_margins._strip(last, *pairs), pair_margins._strip(more, *pairs))


def test_a_strip_pays_for_the_chain(monkeypatch: pytest.MonkeyPatch):
    last, *pairs = asked(monkeypatch)
    before, of = pair_margins._strip(last, *pairs), MatrixChain.of
    chain = of(last.current)
    assert chain is not None
    more = replace(chain, slack=chain.slack + MORE)
    monkeypatch.setattr(MatrixChain, "of", lambda current: more if current is last.current else of(current))
    assert widened(before, pair_margins._strip(last, *pairs))
