"""A time limit holds in the middle of one long call, whoever makes it, and what is known by then is said."""

import copy
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from spikecert.certify import LInf, Verdict, certified_radius, equivalent, output, output_range, verify
from spikecert.certify.explaining import explain
from spikecert.certify.proofs import Prover, Unproven
from spikecert.certify.scales import scale
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, BoundVerifier
from spikecert.formats import read_vnnlib, verify_property
from spikecert.models import LIF, Recurrent, SpikingNetwork, mlp
from spikecert.models.deadline import TimeIsUp, check_time, ending

LINF = scale("linf", 0.0, 1.0)
LIMIT = 0.5
"""Seconds. Old versions took 3 to 90 s of CPU on each case here."""


def loop(steps: int = 128, size: int = 64, reset: str = "subtract") -> SpikingNetwork:
    heard = Recurrent(LIF(0.9, 0.5, reset), nn.Linear(size, size))
    return SpikingNetwork(nn.Linear(8, size), heard, nn.Linear(size, 4), num_steps=steps)


def dense(steps: int = 64, size: int = 192, reset: str = "zero") -> SpikingNetwork:
    return mlp((8, size, size, 4), steps, LIF(0.9, 0.5, reset))


def images(steps: int = 12, reset: str = "subtract") -> SpikingNetwork:
    first, second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
    neurons = [LIF(0.9, 0.5, reset) for _ in range(2)]
    last = nn.Linear(16 * 144, 4)
    return SpikingNetwork(first, neurons[0], second, neurons[1], nn.Flatten(), last, num_steps=steps)


def case(make: Callable[[], SpikingNetwork], samples: int) -> tuple[SpikingNetwork, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    network = make().eval()
    inputs = torch.rand(samples, *((1, 12, 12) if make is images else (8,)))
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1)


SLOW: dict[str, tuple[str, Callable[[], SpikingNetwork], int]] = {
    "trains, a loop": ("trains", loop, 2),
    "linear, a loop": ("linear", loop, 2),
    "gain, many steps": ("gain", dense, 4),
    "lirpa, many steps": ("lirpa", dense, 1),
    "milp, many steps": ("milp", dense, 1),
    "complete, images": ("complete", images, 8),
    "auto, images": ("auto", images, 4),
}


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Import what verifiers import when they are first asked: no limit is about that."""
    torch.manual_seed(0)
    network = mlp((3, 4, 2), 3, LIF(0.9, 0.5))
    inputs = torch.rand(2, 3)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    for name in VERIFIERS:
        verify(network, inputs, labels, LInf(0.3), name)


@pytest.mark.parametrize("what", SLOW)
def test_it_ends_in_time_and_says_so(what: str) -> None:
    """In seconds of this process: others may keep the machine busy, and the clock runs on for them."""
    name, make, samples = SLOW[what]
    network, inputs, labels = case(make, samples)
    started = time.process_time()
    verdicts = verify(network, inputs, labels, LInf(0.02), name, LIMIT / samples)
    assert time.process_time() - started < 1.1 * LIMIT + 1
    left = [verdict for verdict in verdicts if verdict.status == "unknown"]
    assert left, "it must be slow, or nothing is tested"
    assert all("the time was up" in verdict.reason for verdict in left)


@pytest.mark.parametrize("name", sorted(VERIFIERS))
@pytest.mark.parametrize("limit", [1e-9, 1e-3])
def test_hardly_any_time(name: str, limit: float) -> None:
    network, inputs, labels = case(dense, 2)
    started = time.process_time()
    verdicts = verify(network, inputs, labels, LInf(0.02), name, limit)
    assert time.process_time() - started < 1
    assert [verdict.status for verdict in verdicts if verdict.status == "verified"] == []
    assert all("the time was up" in verdict.reason for verdict in verdicts if name not in ("enumeration",))


def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the clock go on by a second whenever it is asked: the same on each machine."""
    now = count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now)))


@pytest.mark.parametrize("name", ["interval", "trains", "linear", "gain", "lirpa", "milp", "complete", "auto"])
def test_what_was_proven_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    network = mlp((5, 6, 6, 3), 4, LIF(0.9, 0.2)).eval()
    inputs = torch.rand(32, 5)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    free = [verdict.status for verdict in verify(network, inputs, labels, LInf(0.02), name)]
    ticking(monkeypatch)
    mixed = False
    for ticks in (4, 12, 24, 48, 96, 200, 400, 1000):
        found = verify(network, inputs, labels, LInf(0.02), name, ticks / 32)
        assert all(one.status in ("unknown", other) for one, other in zip(found, free, strict=True))
        mixed |= {told(verdict) for verdict in found} >= {"verified", "late"}
    assert mixed


def told(verdict: Verdict) -> str:
    """Return "late" for a verdict that names the time limit, else its status."""
    return "late" if "the time was up" in verdict.reason else verdict.status


@pytest.mark.parametrize("verifier", [INTERVAL, TRAINS], ids=lambda verifier: verifier.name)
def test_a_limit_that_suffices_changes_nothing(verifier: BoundVerifier) -> None:
    network, inputs, labels = case(lambda: dense(4, 16), 20)
    some = verify(network, inputs, labels, LInf(0.01), verifier)
    assert verify(network, inputs, labels, LInf(0.01), verifier, 1e6) == some


def test_a_radius_ends_in_time() -> None:
    network, inputs, labels = case(loop, 1)
    started = time.process_time()
    radii = certified_radius(network, inputs, labels, verifier="trains", timeout=LIMIT)
    assert time.process_time() - started < 1.1 * LIMIT + 1
    assert radii[0].lower == 0


def test_a_proof_ends_in_time() -> None:
    network, inputs, labels = case(images, 1)
    prover, started = Prover.of(network), time.process_time()
    with pytest.raises(Unproven, match="the time was up"):
        prover.prove(inputs[0], int(labels[0]), LInf(0.02), LIMIT)
    assert time.process_time() - started < 1.1 * LIMIT + 1


def test_a_property_ends_in_time(tmp_path: Path) -> None:
    network, _, _ = case(loop, 1)
    declared = "".join(f"(declare-const X_{i} Real)(assert (>= X_{i} 0))(assert (<= X_{i} 1))" for i in range(8))
    declared += "".join(f"(declare-const Y_{i} Real)" for i in range(4))
    (tmp_path / "slow.vnnlib").write_text(f"{declared}(assert (>= Y_0 Y_1))")
    started = time.process_time()
    found = verify_property(network, read_vnnlib(tmp_path / "slow.vnnlib"), "trains", LIMIT)
    assert time.process_time() - started < 1.1 * LIMIT + 1
    assert found.status == "timeout"


def test_work_within_work_ends_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(times: int) -> None:
        for _ in range(times):
            check_time()

    asked(1)  # nothing limits it
    ticking(monkeypatch)
    with ending(10.0), ending(1000.0), ending(None):
        asked(9)
        with pytest.raises(TimeIsUp):
            asked(2)
    asked(1)


def rounded(network: SpikingNetwork) -> SpikingNetwork:
    """Return another build: equivalence is open."""
    found = copy.deepcopy(network)
    for parameter in found.parameters():
        parameter.data += 1e-4 * torch.randn_like(parameter)
    return found


ASKED: dict[str, tuple[float, Callable[[SpikingNetwork, torch.Tensor, torch.Tensor, float], object]]] = {
    "equivalent": (2, lambda net, x, _, limit: equivalent(net, rounded(net), x, LInf(0.05), timeout=limit)),
    "explain": (9, lambda net, x, y, limit: explain(net, x[0], int(y), LINF, 0.05, timeout=limit, runs=2)),
    "output_range": (1, lambda net, x, _, limit: output_range(net, x, LInf(0.05), output[0], timeout=limit)),
    "certified_radius": (1, lambda net, x, y, limit: certified_radius(net, x, y, timeout=limit)),
}
"""Public questions, of how many time limits each consists, and how it is asked."""


@pytest.mark.parametrize("make", [loop, images, dense])
@pytest.mark.parametrize("name", ASKED)
def test_each_question_ends_soon_after_its_limit(name: str, make: Callable[[], SpikingNetwork]) -> None:
    """Up to three seconds of one step: some took 33 where 1 was asked for."""
    parts, ask = ASKED[name]
    network, inputs, labels = case(make, 1)
    started = time.process_time()
    ask(network, inputs, labels, LIMIT)
    assert time.process_time() - started < 1.1 * parts * LIMIT + 3
