"""Spike counts, which tie often, against lists of all inputs: no verdict is wrong, whatever a tie is taken for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikecert import L2, LIF, LInf, SpikeFlip, SpikingNetwork, Verdict, verify
from spikecert.certify.bounds.propagation import margin_bounds
from spikecert.certify.bounds.trains.trains import train_spikes
from spikecert.certify.replay import fails, replays
from spikecert.certify.ties import TIES
from spikecert.certify.verifiers import Complete, Milp, Verifier
from spikecert.models.circuit import circuit
from spikecert.testing import EventCase, cases, check_sound, event_cases, inputs, networks
from support.examples import examples
from support.oracles import every_flip, least_margin
from support.ties import tied_network

QUICK = ("interval", "trains", "linear", "gain")
CONSTANTS = st.tuples(
    st.sampled_from([0.5, 0.9, 1.0]),
    st.sampled_from([0.25, 0.5, 1.0]),
    st.sampled_from(["zero", "subtract", "none"]),
)
"""Decay, threshold and reset of the neurons that are counted."""


def counting(network: SpikingNetwork, constants: tuple[float, float, str]) -> SpikingNetwork:
    """Return the network with its logits' spikes as its answer."""
    layers = (*network.layers, LIF(*constants))
    found = SpikingNetwork(*layers, num_steps=network.num_steps, encoding=network.encoding)
    return found.to(network.dtype).eval()


def answers(network: SpikingNetwork, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return network(inputs).argmax(1)


def agrees(network: SpikingNetwork, inputs: Tensor, label: int, found: Verdict) -> bool:
    """Compare a verdict with all inputs of its set; return whether it is a proof that bounds alone do not give."""
    with torch.no_grad():
        logits = network(inputs)
    failing = bool(fails(logits, torch.full((len(inputs),), label), found.ties).any())
    assert not (found.status == "verified" and failing)
    assert not (found.status == "falsified" and not failing)
    assert found.margin is None or found.margin <= least_margin(network, inputs, label)
    assert found.counterexample is None or replays(network, found.counterexample, label, found.ties)
    return found.status == "verified" and len(logits.unique(dim=0)) > 1


def campaign(case: EventCase, constants: tuple[float, float, str], verifiers: tuple[str | Verifier, ...]) -> int:
    """Check all verdicts of one network with both kinds of ties; return how many proofs had work to do."""
    network, proofs = counting(case.network, constants), 0
    labels = answers(network, case.events)
    for ties in TIES:
        for verifier in verifiers:
            asked = network, case.events, labels, SpikeFlip(case.count), verifier
            for sample, label, found in zip(
                case.events, labels.tolist(), verify(*asked, timeout=5.0, ties=ties), strict=True
            ):
                proofs += agrees(network, every_flip(sample, case.count), label, found)
    return proofs


@examples(48)
@given(event_cases(), CONSTANTS)
def test_no_verdict_about_flips_is_wrong(case: EventCase, constants: tuple[float, float, str]) -> None:
    campaign(case, constants, (*QUICK, "enumeration", Complete()))


@examples(6)
@given(event_cases(dtypes=(torch.float64,)), CONSTANTS)
def test_no_program_is_wrong_about_flips(case: EventCase, constants: tuple[float, float, str]) -> None:
    campaign(case, constants, (Milp(),))


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(event_cases(), CONSTANTS)
def test_two_thousand_networks_have_no_false_verdict(case: EventCase, constants: tuple[float, float, str]) -> None:
    campaign(case, constants, (*QUICK, "enumeration", Complete(), "auto"))


@examples(64)
@given(st.data(), networks(most_layers=2, most_width=6, encodings=("direct", "none", "rate")), CONSTANTS)
def test_no_verdict_about_balls_is_wrong(
    data: st.DataObject, network: SpikingNetwork, constants: tuple[float, float, str]
) -> None:
    network = counting(network, constants)
    batch = data.draw(inputs(network, batch=3))
    threat = data.draw(st.sampled_from([LInf(0.0), LInf(0.05), L2(0.1)]))
    verifier, ties = data.draw(st.sampled_from([*QUICK, "complete"])), data.draw(st.sampled_from(TIES))
    check_sound(network, batch, threat, verifier, count=12, timeout=1.0, ties=ties)


@examples(30)
@given(cases(most_width=4, dtypes=(torch.float32,)), CONSTANTS)
def test_argmax_proves_what_strict_proves(case, constants: tuple[float, float, str]) -> None:
    network, threat = counting(case.network, constants), LInf(case.epsilon)
    labels = answers(network, case.inputs)
    for verifier in QUICK:
        argmax, strict = (verify(network, case.inputs, labels, threat, verifier, ties=ties) for ties in TIES)
        for one, other in zip(argmax, strict, strict=True):
            assert one.status == "verified" or other.status != "verified"


def test_a_bound_below_0_proves_a_tie_that_falls_to_the_label() -> None:
    """Both classes count the same, and the bound of their difference is below 0 by what rounding may cost."""
    net, asked = tied_network(), (torch.tensor([[0.5, 0.5]]), torch.tensor([0]), LInf(0.02))
    raw = margin_bounds(circuit(net), asked[2].enclosure(asked[0]), asked[1], train_spikes)
    assert -0.01 < float(raw[0, 1]) < 0.0
    found = {ties: verify(net, *asked, "trains", ties=ties)[0] for ties in TIES}
    assert (found["argmax"].status, found["argmax"].margin) == ("verified", 0.0)
    assert found["strict"].status == "falsified"


def test_leaves_of_counts_are_decided() -> None:
    """Whatever complete searches of networks that count is decided, rounding being less than a count; no proven
    margin is above one that a run has."""
    statuses, ties_left = [], 0
    for seed in range(12):
        torch.manual_seed(seed)
        net = SpikingNetwork(
            torch.nn.Linear(2, 10), LIF(0.9, 0.3), torch.nn.Linear(10, 3), LIF(0.9, 0.3), num_steps=4
        ).eval()
        inputs = torch.rand(4, 2, generator=torch.Generator().manual_seed(seed))
        labels, steps = answers(net, inputs), torch.linspace(-0.1, 0.1, 41)
        moved = (inputs[:, None] + torch.cartesian_prod(steps, steps)).clamp(0, 1)
        for ties in TIES:
            verdicts = verify(net, inputs, labels, LInf(0.1), "complete", timeout=20.0, ties=ties)
            statuses += [verdict.status for verdict in verdicts]
            for index, found in enumerate(verdicts):
                least = least_margin(net, moved[index], int(labels[index]))
                assert found.margin is None or found.margin <= least
                ties_left += found.status == "verified" and least == 0
    assert "unknown" not in statuses
    assert statuses.count("verified") > 20
    assert ties_left > 2
