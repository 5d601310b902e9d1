"""Events told apart: bounds hold for members, and "linear" certifies more."""

import pytest
import torch
from torch import Tensor, nn

from spikecert.certified_networks import load_zoo
from spikecert.certify import SpikeFlip, SpikeShift, verify
from spikecert.certify.problem import Problem
from spikecert.certify.verifiers.events import told_apart
from spikecert.models import LIF, SpikingNetwork, mlp


def drawn(seed: int) -> tuple[SpikingNetwork, Tensor, Tensor]:
    """Return a network of two layers, recordings of three events, and its own classes of these, not all alike."""
    torch.manual_seed(seed)
    neuron = LIF(
        (1.0, 0.9, 0.5)[seed % 3], (1.0, 0.75)[seed % 2], reset=("subtract", "subtract", "zero")[seed % 3]
    )
    recordings = torch.zeros(8, 6, 2)
    while True:
        network = mlp((2, 6, 4, 2), 6, neuron, encoding="none").eval()
        with torch.no_grad():
            for layer in network.layers:
                if isinstance(layer, nn.Linear):
                    layer.weight.mul_(3.0)
                    if seed % 4 == 0:  # currents exactly on a threshold
                        layer.weight.copy_((4 * layer.weight).round() / 4)
        for recording in recordings.zero_():
            steps, features = (torch.randint(most, (3,)) for most in (6, 2))
            recording.index_put_((steps, features), torch.ones(3), accumulate=True)
        logits = network(recordings).detach()
        if len(logits.unique(dim=0)) > 3:
            return network, recordings, logits.argmax(1)


THREATS = (
    SpikeShift(1, merge="add"),
    SpikeShift(2, count=2, merge="add"),
    SpikeShift(None, count=1, merge="add", border="leave"),
    SpikeShift(2, total=3, merge="add"),
    SpikeFlip(2),
)


def least_margins(network: SpikingNetwork, every: Tensor, label: int) -> tuple[float, bool]:
    """Return the least margin to the other of two classes, and whether logits differ among recordings."""
    with torch.no_grad():
        logits = network(every.float()).double()
    return float((logits[:, label] - logits[:, 1 - label]).min()), bool((logits.amax(0) > logits.amin(0)).any())


@pytest.mark.parametrize("seed", range(8))
def test_what_is_told_apart_holds_for_each_member(seed: int) -> None:
    network, recordings, labels = drawn(seed)
    proven = moving = 0
    for threat in THREATS:
        if isinstance(threat, SpikeFlip):
            recordings = recordings.clamp_max(1)
            labels = network(recordings).argmax(1)
        problem = Problem(network, recordings, labels, threat)
        known = torch.full((len(recordings), 2), -10.0, dtype=torch.float64)  # as if little were known
        for row, recording, label in zip(told_apart(problem, known), recordings, labels, strict=True):
            least, moves = least_margins(
                network, torch.cat(list(threat.members(recording).batches(512))), int(label)
            )
            if row.isneginf().all():
                continue
            proven, moving = proven + 1, moving + moves
            assert 0 < float(row[1 - label]) <= least
    assert proven > 0
    assert moving > 0


def test_what_all_neurons_do_together_is_certified() -> None:
    """A recording of the zoo that "trains" leaves open, and all its nine members are right."""
    network, threat = load_zoo("coincidence-shift-1"), SpikeShift(1, merge="add")
    recordings = torch.zeros(90, 10, 2)
    places = [(a, b) for a in range(10) for b in range(10) if a != b]
    for recording, (a, b) in zip(recordings, places, strict=True):
        recording[a, 0], recording[b, 1] = 1, 1
    labels = network(recordings).argmax(1)
    trains, linear = (
        [v.status for v in verify(network, recordings, labels, threat, verifier=name)]
        for name in ("trains", "linear")
    )
    listed = [v.status for v in verify(network, recordings, labels, threat, verifier="enumeration")]
    assert sum(one == "verified" for one in linear) > sum(one == "verified" for one in trains)
    assert all(after == "verified" for before, after in zip(trains, linear, strict=True) if before == "verified")
    assert [one == "verified" for one in linear] == [one == "verified" for one in listed]


@pytest.mark.parametrize("threat", [SpikeShift(1), SpikeShift(1, merge="refuse")])
def test_sets_whose_events_may_meet_are_left_alone(threat: SpikeShift) -> None:
    network = mlp((2, 3, 2), 4, LIF(1.0, reset="subtract"), encoding="none").eval()
    recordings = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    problem = Problem(network, recordings, torch.zeros(1, dtype=torch.long), threat)
    known = torch.full((1, 2), -1.0, dtype=torch.float64)
    assert told_apart(problem, known).isinf().all()
