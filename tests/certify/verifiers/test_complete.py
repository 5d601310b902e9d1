"""Every kind of neuron and readout is decided: against lists of members, dense samples and other searches."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, OneSpikeLIF, SpikingNetwork, Verdict
from spikecert.certify import LInf, SpikeFlip, verify
from spikecert.certify.milp.encoding import encode
from spikecert.certify.milp.program import Closing
from spikecert.certify.milp.search import ProgramSearch
from spikecert.certify.milp.solving.tree import ProgramTree
from spikecert.certify.replay import fails, margins
from spikecert.certify.ties import Goal
from spikecert.certify.unfinished import Unfinished
from spikecert.certify.verifiers import Complete, Milp
from spikecert.models.circuit import circuit
from support.element_kinds import KINDS, RADIUS, Kind, samples
from support.milp import reaches
from support.oracles import every_flip

SEARCHED = Complete(enumeration=None)
REACHED = (
    *("LIF", "LIF, subtracting", "DLIF", "Synapse", "Residual", "MaxPool1d of spikes", 'encoding "rate"'),
    *('readout "spikes"', 'readout "potential"', 'readout "summed"'),
)
"""What branching reaches."""
BEYOND = [kind for kind in KINDS if kind.decides == "complete" and kind.name not in REACHED]
"""What it decides all the same. Of whole numbers it splits boxes: tests/certify/integers."""
EACH = pytest.mark.parametrize("kind", BEYOND, ids=lambda kind: kind.name)


def is_sound(found: Verdict, runs: torch.Tensor, label: int, ties: str) -> None:
    """Hold a verdict against runs of members of its set, (N, classes)."""
    labels = torch.full((len(runs),), label)
    if found.status == "verified":
        assert not bool(fails(runs, labels, ties).any())
    if found.margin is not None:
        assert found.margin <= float(margins(runs, labels).min()) + 1e-12


def test_what_is_left_of_a_box_stays_open():
    """Two neurons cross their thresholds at one point: bounds take them as two, in each box that holds it."""
    dense, last = nn.Linear(1, 2), nn.Linear(2, 2)
    with torch.no_grad():
        dense.weight.fill_(1.0)
        dense.bias.fill_(0.37)
        last.weight.copy_(torch.eye(2))
        last.bias.copy_(torch.tensor([0.5, 0.0]))
    network = SpikingNetwork(dense, LIF(0.5), last, num_steps=1).double()
    inputs, label = torch.full((1, 1), 0.6, dtype=torch.float64), torch.tensor([0])
    (near,) = verify(network, inputs, label, LInf(0.2), Complete(split="inputs"))
    assert near.status == "unknown"
    assert "boxes leave parts of the set open" in near.reason
    (far,) = verify(network, inputs + 0.3, label, LInf(0.2), Complete(split="inputs"))
    assert far.status == "verified"


@EACH
def test_what_trains_leaves_open_is_decided_and_no_sampled_run_escapes(kind: Kind):
    network = kind.network()
    inputs, labels = samples(network)
    before, found = (verify(network, inputs, labels, LInf(RADIUS), name) for name in ("trains", SEARCHED))
    assert {"unknown", "verified"} == {verdict.status for verdict in before}
    assert {verdict.status for verdict in found} <= {"verified", "falsified"}
    assert {verdict.verifier for verdict in found} == {"complete"}
    generator = torch.Generator().manual_seed(3)
    for verdict, sample, label in zip(found, inputs, labels.tolist(), strict=True):
        around = sample + RADIUS * (2 * torch.rand(400, 3, generator=generator) - 1).double()
        with torch.no_grad():
            is_sound(verdict, network(around.clamp(0, 1)), label, verdict.ties)


def test_flipped_events_are_decided_as_their_list_says():
    """Weights on a grid of halves, where potentials lie on thresholds and logits tie, and others."""
    told = []
    for kind, grid in product(BEYOND, (False, True)):
        network = kind.network(encoding="none")
        if grid:
            for parameter in network.parameters():
                parameter.data = (parameter * 2).round() / 2
        inputs, labels = samples(network, 1, events=True)
        verdicts = verify(network, inputs, labels, SpikeFlip(1), SEARCHED)
        for sample, label, found in zip(inputs, labels.tolist(), verdicts, strict=True):
            with torch.no_grad():
                runs = network(every_flip(sample, 1))
            exact = bool(fails(runs, torch.full((len(runs),), label), found.ties).any())
            is_sound(found, runs, label, found.ties)
            assert found.status != "falsified" or exact
            assert grid or found.status == ("falsified" if exact else "verified"), kind.name
            told.append(found.status)
    assert min(map(told.count, ("verified", "falsified"))) >= 6
    assert told.count("unknown") <= 5, "a tie that is a matter of rounding may stay open"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "kind", [k for k in KINDS if "first" in k.name or "largest" in k.name], ids=lambda k: k.name
)
def test_every_run_is_a_point_of_the_program(kind: Kind, dtype: torch.dtype):
    for seed, events in product(range(2), (False, True)):
        network = kind.network(seed, encoding="none" if events else "direct").to(dtype)
        inputs, _ = samples(network, 1, events)
        threat = SpikeFlip(1) if events else LInf(0.25)
        closed = encode(circuit(network), threat.enclosure(inputs), Closing(closed=True))
        drawn = threat.sample(inputs, torch.Generator().manual_seed(seed))
        for candidate in every_flip(inputs[0], 1)[::5] if events else drawn:
            with torch.no_grad():
                wanted = network(candidate[None])[0].double().numpy()
            assert reaches(closed, candidate[None], wanted)


def test_rounding_of_potentials_that_are_read_is_paid():
    """Spikes themselves are summed: no affine layer pays. 0.1 added up 40 times is off by more than a unit."""
    layers = nn.Linear(1, 2), LIF(0.5), LIF(0.9, reset="none")
    layers[0].weight.data.fill_(5.0)  # neurons that surely are silent pay for nothing
    made = circuit(SpikingNetwork(*layers, num_steps=40, readout="potential").eval())
    box = LInf(0.1).enclosure(torch.full((1, 1), 0.5))
    assert float(encode(made, box, Closing(closed=True)).slack.min()) > 40 * 2.0**-24


def test_ties_of_first_spikes_fall_to_the_label():
    """Class 1 fires at the step of class 2 or before: it is the argmax, and no strict one."""
    first = nn.Linear(1, 3, bias=False)
    first.weight.data = torch.tensor([[0.1], [2.25], [2.0]])
    network = SpikingNetwork(first, OneSpikeLIF(0.5), num_steps=3, readout="first").eval()
    inputs, labels = torch.full((1, 1), 0.6), torch.ones(1, dtype=torch.long)
    (kept,) = verify(network, inputs, labels, LInf(0.25), Milp())
    assert (kept.status, kept.margin) == ("verified", 0.0)
    assert verify(network, inputs, labels, LInf(0.25), Milp(), ties="strict")[0].status == "falsified"
    goal = Goal.of(circuit(network), "argmax")
    assert goal.tightened(torch.tensor([-0.9, -1.0, 0.1, 1.0])).tolist()[0:2] == [0.0, -1.0]


class Interrupted:
    """A search of one sample that Ctrl-C ends at the second one."""

    def __init__(self) -> None:
        self.turns, self.margin = 0, ProgramSearch.margin

    def __call__(self, search: ProgramSearch, others: list[int]) -> float:
        self.turns += search.counterexample is None and len(search.seen) == 1
        if self.turns > 1:
            raise KeyboardInterrupt
        return self.margin(search, others)


def test_ctrl_c_keeps_what_the_programs_decided(monkeypatch: pytest.MonkeyPatch):
    network = next(kind for kind in KINDS if kind.name == "Recurrent").network()
    inputs, labels = samples(network)
    whole = verify(network, inputs, labels, LInf(RADIUS), "complete")
    stop = Interrupted()
    monkeypatch.setattr(ProgramSearch, "margin", lambda search, others: stop(search, others))
    with pytest.raises(Unfinished) as told:
        verify(network, inputs, labels, LInf(RADIUS), "complete")
    found = told.value.verdicts
    assert [verdict.verifier for verdict in found] == ["complete"] * 4
    assert [verdict.status for verdict in found] == ["verified", "unknown", "verified", "verified"]
    assert found[0] == whole[0]
    assert found[1].reason == "it was interrupted"
    assert found[1].margin is not None


def test_trees_are_small_tell_how_they_stand_and_end_where_their_room_does():
    """Ten neurons a layer that fire once: to split the integer that is the least whole took 361 programs."""
    generator, figures = torch.Generator().manual_seed(20), list[Mapping[str, float]]()
    layers = nn.Linear(5, 10), OneSpikeLIF(0.9), nn.Linear(10, 10), OneSpikeLIF(0.9), nn.Linear(10, 3)
    network = SpikingNetwork(*layers, num_steps=4).double().eval()
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, generator=generator)
            nn.init.normal_(layer.bias, std=0.3, generator=generator)
    inputs = torch.rand(1, 5, generator=generator).double()
    closed = encode(circuit(network), LInf(0.08).enclosure(inputs), Closing(closed=True))
    label = int(network(inputs).argmax())
    margin = closed.logits.taken(np.array([label])) - closed.logits.taken(np.array([0]))
    tree = ProgramTree(closed.model, margin, 1e-4, None, told=figures.append)
    assert tree.proven() > 1e-4
    assert 40 < tree.solved <= 180
    assert {"bound", "nodes", "open", "memory"} == set(figures[-1])
    assert max(told["open"] for told in figures) > 3
    room = int(max(told["memory"] for told in figures))
    assert ProgramTree(closed.model, margin, 1e-4, None, room=room).proven() > 1e-4
    assert ProgramTree(closed.model, margin, 1e-4, None, room=room // 2).proven() == -np.inf
