"""A time limit holds in the middle of one long call, whoever makes it, and what is known by then is said."""

import copy
import inspect
import os
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import count

import pytest
import torch
from torch import Tensor, nn

import spikecert
from spikecert import certify, formats
from spikecert.certify import LInf, Tolerance, Verdict, attack, certified_radius, output, verify
from spikecert.certify.attacks import attack_module
from spikecert.certify.explaining import explain
from spikecert.certify.loops import ClosedLoop
from spikecert.certify.problem import scale
from spikecert.certify.proofs import Prover, Unproven
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, BoundVerifier
from spikecert.formats import Constraint, PropertyCase, VnnlibProperty, verify_property
from spikecert.models import LIF, Recurrent, SpikingNetwork, mlp
from spikecert.models.deadline import TimeIsUp, check_time, ending
from spikecert.reports.pages.explained_page import where
from support.examples import by_night

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
    "gain, many steps": ("gain", dense, 12),
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


def closed(network: SpikingNetwork) -> ClosedLoop:
    plant = (0.5 * torch.eye(8), torch.full((8, 4), 0.01))
    A, B = (tuple(map(tuple, matrix.tolist())) for matrix in plant)
    return ClosedLoop(network, A, B)


def unproven(network: SpikingNetwork, x: Tensor, y: Tensor, limit: float) -> str:
    with pytest.raises(Unproven) as told:
        Prover.of(network).prove(x[0], int(y), LInf(0.02), limit)
    return str(told.value)


def unsafe(x: Tensor) -> VnnlibProperty:
    """Return a question that is hard: whether an output may be by far greater than another, in the whole range."""
    count = x[0].numel()
    rule = Constraint(((0, Fraction(-1)), (1, Fraction(1))), Fraction(-2))
    case = PropertyCase((Fraction(0),) * count, (Fraction(1),) * count, ((rule,),))
    return VnnlibProperty((count,), (4,), (case,))


def certified(net: SpikingNetwork, x: Tensor, y: Tensor, limit: float) -> str:
    return verify(net, x, y, LInf(0.02), "complete", limit, workers=1, engine="local")[0].reason


def parted(net: SpikingNetwork, x: Tensor, _: Tensor, limit: float) -> str:
    return spikecert.differ(net, rounded(net), x * torch.rand(4000, *x.shape[1:]), timeout=limit).report


Ask = Callable[[SpikingNetwork, Tensor, Tensor, float], object]
SET, NETWORKS, EYE = LInf(0.02), Tolerance(weights=1e-3, around=LInf(1e-3)), torch.eye(3, 8).tolist()
ASKED: dict[str, Ask] = {
    "verify": lambda net, x, y, limit: verify(net, x, y, SET, "complete", limit)[0].reason,
    "verify, networks": lambda net, x, y, limit: verify(net, x, y, NETWORKS, timeout=limit),
    "verify, batches": certified,
    "attack": lambda net, x, y, limit: attack(net, x, y, LInf(1e-4), "standard", timeout=limit).warnings[-1],
    "attack, a property": lambda net, x, y, limit: attack(
        net, x, certify.moves_at_most(2.0), LInf(1e-4), "square", timeout=limit
    ).warnings[-1],
    "attack, networks": lambda net, x, y, limit: attack(net, x, y, NETWORKS, "standard", timeout=limit),
    "attack_module": lambda net, x, y, limit: attack_module(
        nn.Sequential(net), x, y, LInf(1e-4), timeout=limit
    ).warnings[-1],
    "differ": parted,
    "equivalent": lambda net, x, _, limit: certify.equivalent(net, rounded(net), x, LInf(0.05), timeout=limit / 2),
    "explain": lambda net, x, y, limit: where(explain(net, x[0], int(y), LINF, 0.02, timeout=limit, runs=2))[-1],
    "output_range": lambda net, x, _, limit: certify.output_range(net, x, SET, output[0], timeout=limit),
    "image_range": lambda net, x, _, limit: certify.ranges.image_range(net, x, SET, EYE, output[0], timeout=limit),
    "certified_radius": lambda net, x, y, limit: certified_radius(net, x, y, timeout=limit),
    "certified_radius, networks": lambda net, x, y, limit: certified_radius(net, x, y, NETWORKS, timeout=limit),
    "verify_property": lambda net, x, _, limit: verify_property(net, unsafe(x), timeout=limit).reason,
    "Prover.prove": unproven,
    "ClosedLoop.error": lambda net, x, _, limit: closed(net).error([1.0] * 8, timeout=limit),
    "ClosedLoop.certificate": lambda net, x, _, limit: closed(net).certificate([1.0] * 8, timeout=limit),
    "ClosedLoop.ellipsoid": lambda net, x, _, limit: closed(net).ellipsoid([1.0] * 8, timeout=limit),
}
"""Public functions that take a time limit; those that return text say in it that the time was up."""
VECTORS = ("image_range", *(name for name in ASKED if "ClosedLoop" in name))
MORE = {"verify, batches": 5.0, **{name: 1.0 for name in ASKED if "ClosedLoop" in name}}
"""CPU seconds that a process takes to start, and that both ends of each output of a loop take once."""


def test_each_public_function_with_a_time_limit_is_in_the_table() -> None:
    found = set[str]()
    inner = (getattr(certify, name) for name in ("attacks", "explaining", "loops", "proofs", "ranges"))
    for module in (spikecert, certify, formats, *inner):
        named = [getattr(module, name) for name in module.__all__]
        named += [each for kind in named if inspect.isclass(kind) for each in vars(kind).values()]
        limited = (each for each in named if inspect.isfunction(each) and each.__module__.startswith("spikecert"))
        found |= {each.__qualname__ for each in limited if "timeout" in inspect.signature(each).parameters}
    assert found - {"Plan.__init__", "RadiusPlan.__init__"} == {name.split(",")[0] for name in ASKED}


@pytest.mark.parametrize("make", [loop, *by_night(images, dense)])
@pytest.mark.parametrize("name", ASKED)
def test_each_question_ends_soon_after_its_limit(name: str, make: Callable[[], SpikingNetwork]) -> None:
    """Up to a second and a half of one step, in this process and others: some took 33 where 1 was asked for."""
    if (make is loop and "networks" in name) or (make is images and name in VECTORS):
        make = dense  # layers that hear themselves have no such sets, and images no matrix
    network, inputs, labels = case(make, 1)
    started = sum(os.times()[:4])
    told = ASKED[name](network, inputs, labels, LIMIT)
    assert sum(os.times()[:4]) - started < 1.1 * LIMIT + 1.5 + MORE.get(name, 0.0)
    assert not isinstance(told, str) or "the time was up" in told.lower()
