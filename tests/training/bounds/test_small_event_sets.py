"""Bounds over sets of events at their ends: one step, no events, budgets of more events than there are."""

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, EventChange, SpikeFlip, SpikeShift, SpikingNetwork, mlp
from spikecert.models import Recurrent
from spikecert.training.bounds.interval_bounds import BOUNDS
from spikecert.training.objectives.certified_moves import Threat, worst_of_events

CASES = [*BOUNDS, "loop"]
"""Bounds of two layers, and of one that hears itself by "prefix"."""


def network_of(case: str, steps: int) -> tuple[SpikingNetwork, str]:
    """Return a network that a case is about, and its bounds."""
    torch.manual_seed(3)
    if case == "loop":
        layer = Recurrent(LIF(1.0, reset="subtract"), nn.Linear(5, 5, bias=False))
        layers = nn.Linear(3, 5), layer, nn.Linear(5, 3)
        return SpikingNetwork(*layers, num_steps=steps, encoding="none").eval(), "prefix"
    neuron = LIF(1.0, reset="zero" if case == "windows" else "subtract")
    network = mlp((3, 5, 4, 3), steps, neuron, encoding="none").eval()
    with torch.no_grad():
        for layer in network.layers:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(2.0)
    return network, case


def worst(case: str, threat: Threat, recordings: Tensor, share: float = 1.0) -> Tensor:
    """Return the bounds, and hold them to all members."""
    network, bounds = network_of(case, recordings.shape[1])
    labels = torch.arange(len(recordings)) % 3
    found = worst_of_events(network, recordings, labels, threat, bounds, share).detach()
    assert bool(found.isfinite().all())
    for row, recording, label in zip(found, recordings, labels, strict=True):
        every = torch.cat(list(threat.members(recording).batches(512))).float()
        logits = network(every).detach()
        assert bool((row >= (logits - logits[:, label, None]).amax(0) - 1e-5).all()) or share < 1.0
    return found


def run(case: str, recordings: Tensor) -> Tensor:
    logits = network_of(case, recordings.shape[1])[0](recordings).detach()
    return logits - logits.gather(1, (torch.arange(len(recordings)) % 3)[:, None])


ONE_STEP = torch.tensor([[[1.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0]]])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("threat", [SpikeShift(0), SpikeShift(0, merge="add"), SpikeShift(None), SpikeFlip(0)])
def test_at_one_step_nothing_moves(case: str, threat: Threat) -> None:
    assert torch.allclose(worst(case, threat, ONE_STEP), run(case, ONE_STEP), atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "threat",
    [
        SpikeFlip(1),
        SpikeFlip(50),
        SpikeShift(None, border="leave"),
        SpikeShift(None, count=9, merge="add", border="leave"),
        EventChange(SpikeFlip(1), SpikeShift(None, count=1, border="leave")),
    ],
)
def test_at_one_step_events_come_and_go(case: str, threat: Threat) -> None:
    found = worst(case, threat, ONE_STEP)
    assert bool((found >= run(case, ONE_STEP) - 1e-5).all())
    assert torch.equal(found.gather(1, (torch.arange(3) % 3)[:, None]), torch.zeros(3, 1))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("merge", ["or", "add", "refuse"])
def test_of_no_events_none_move(case: str, steps: int, merge: str) -> None:
    silent = torch.zeros(2, steps, 3)
    for threat in (
        SpikeShift(None, merge=merge),
        SpikeShift(steps - 1, count=3, total=5, merge=merge, border="leave"),
        SpikeFlip(4, "delete"),
    ):
        assert torch.allclose(worst(case, threat, silent), run(case, silent), atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("jitter", [4, 5, 1000])
def test_a_jitter_of_all_steps_is_one_line(case: str, jitter: int) -> None:
    network, bounds = network_of(case, 4)
    told = f"^jitter: got {jitter}, expected less than the recordings' 4 steps$"
    for threat in (SpikeShift(jitter, merge="add"), EventChange(SpikeFlip(1), SpikeShift(jitter))):
        with pytest.raises(ValueError, match=told):
            worst_of_events(network, torch.zeros(1, 4, 3), torch.zeros(1, dtype=torch.long), threat, bounds)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_budgets_above_the_events_are_those_of_all(case: str, share: float) -> None:
    recordings = torch.zeros(2, 4, 3)
    recordings[0, 1, 0] = recordings[0, 2, 2] = recordings[1, 0, 1] = 1.0
    whole = worst(case, SpikeShift(1, count=2, merge="add"), recordings)
    for count in (3, 50, 10**6):
        found = worst(case, SpikeShift(1, count=count, merge="add"), recordings)
        assert bool((found >= whole - 1e-5).all())
        assert case not in ("prefix", "loop") or torch.allclose(found, whole, atol=1e-5)
    deleted = worst(case, SpikeFlip(2, "delete"), recordings, share=1.0)
    assert torch.allclose(worst(case, SpikeFlip(40, "delete"), recordings), deleted, atol=1e-5)
    half = worst(case, SpikeShift(1, count=50, merge="add"), recordings, share=share)
    assert bool((half >= run(case, recordings) - 1e-5).all())


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_number_of_events_is_one_line(case: str) -> None:
    network, bounds = network_of(case, 4)
    for value in (float("nan"), float("inf"), -1.0, 0.5):
        recordings = torch.full((1, 4, 3), value)
        with pytest.raises(ValueError, match=r"^inputs: got ") as caught:
            worst_of_events(
                network, recordings, torch.zeros(1, dtype=torch.long), SpikeShift(1, merge="add"), bounds
            )
        assert "\n" not in str(caught.value)
