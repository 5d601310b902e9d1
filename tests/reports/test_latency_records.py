"""Records of latency-coded networks: what is kept of a counterexample is the events that moved."""

from pathlib import Path

import torch
from torch import nn

from spikecert import OneSpikeLIF, SpikingNetwork, measure, record, render
from spikecert.reports import Data, Plan, Threat


def test_a_page_shows_the_events_of_the_code(tmp_path: Path):
    """The class of the brighter input: it falls when the event of step 0 comes as late as the one of step 2."""
    layers = nn.Linear(2, 2, bias=False), OneSpikeLIF(1.0, 0.5)
    layers[0].weight.data.copy_(torch.eye(2))
    network = SpikingNetwork(*layers, num_steps=4, encoding="latency", readout="first").eval()
    images, labels = torch.tensor([[1.0, 0.5], [1.0, 0.0]]), torch.tensor([0, 0])
    threat = Threat(norm="shift", lower=0, upper=1, epsilons=(1, 3))
    plan = Plan(threat, attacks=("spike-shift",), verifiers=("enumeration",))
    found = measure("latency", network, images, labels, plan)
    assert [row.verdicts["enumeration"].status for row in found.rows] == [
        *("verified", "verified"),
        *("falsified", "verified"),
    ]
    (case,) = found.counterexamples
    assert case.shape == (4, 2)
    assert torch.tensor(case.clean).view(4, 2).argmax(0).tolist() == [0, 2]
    moved = torch.tensor(case.perturbed).view(4, 2)
    assert moved.sum(0).tolist() == [1, 1]
    assert moved.argmax(0).tolist() != [0, 2]
    about = Data(name="two", split="test", samples=2, classes=2, shape=(2,), names=("left", "right"))
    page = Path(render(record([found], about, threat), tmp_path / "page.html")).read_text()
    assert "latency coding" in page
    assert "from step" in page
