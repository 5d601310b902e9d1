"""What runs otherwise than its nodes say is refused by every reader, in one line that says what and where.

A neuron that rests for one step after a spike stands for all that a reader does not know: written as a subclass,
as a type with a rule of its own, as a replaced method or function, and as an affine layer with a memory.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikingNetwork, bounds, circuit, save, smooth, verify
from spikecert.models import Dynamics, network_hash
from spikecert.models.circuit import Added, Algebra, Fired, Input, Mapped, Read, UnknownNode, fold
from spikecert.models.elements import neurons
from spikecert.models.running import eager, membrane
from support.readers import READERS, check_one_line
from support.refractory import (
    INPUTS,
    STEPS,
    THREAT,
    Delayed,
    Lying,
    Masking,
    Mixed,
    Overriding,
    Refractory,
    behind,
    labels_of,
    network,
    rested,
)


def patched_instance(patch: pytest.MonkeyPatch) -> SpikingNetwork:
    """Return a network with a method of one layer replaced."""
    net = network()
    patch.setattr(net.layers[1], "forward", lambda current, steps: rested(current, steps, Dynamics()).spikes)
    return net


def patched_class(patch: pytest.MonkeyPatch) -> SpikingNetwork:
    """Return a network whose neurons' class has another `run`."""
    patch.setattr(LIF, "run", Overriding.run)
    return network()


def patched_function(patch: pytest.MonkeyPatch) -> SpikingNetwork:
    """Return a network whose neurons' module runs another function."""
    patch.setattr(neurons, "simulate_spikes", lambda *arguments: 1 - membrane.simulate_spikes(*arguments))
    return network()


def patched_reset(patch: pytest.MonkeyPatch) -> SpikingNetwork:
    """Return a network whose eager pass resets otherwise."""
    reset = eager._reset
    patch.setattr(eager, "_reset", lambda *arguments: reset(*arguments))
    return network()


def patched_pass(patch: pytest.MonkeyPatch) -> SpikingNetwork:
    """Return a network whose autograd operation runs otherwise."""
    patch.setattr(membrane.Membrane, "forward", staticmethod(lambda ctx, *arguments: arguments))
    return network()


WAYS: dict[str, tuple[Callable[[pytest.MonkeyPatch], SpikingNetwork], str]] = {
    "subclass": (lambda _: behind(Overriding(0.9, 0.3)), r"Overriding.*its own forward, run$"),
    "liar": (lambda _: behind(Lying(0.9, 0.3)), r"Lying.*its own forward, rule, run$"),
    "mixin": (lambda _: behind(Mixed(0.9, 0.3)), r"Mixed.*its own __call__$"),
    "instance": (patched_instance, r"layers\.1 has .*\(LIF: forward\)"),
    "class": (patched_class, r"LIF\.run was replaced"),
    "function": (patched_function, r"neurons\.simulate_spikes was replaced"),
    "eager pass": (patched_reset, r"eager\._reset was replaced"),
    "affine": (lambda _: network(Delayed(4, 6), LIF(0.9, 0.3)), r"got a layer of type Delayed"),
    "sum": (
        lambda _: network(Masking([nn.Linear(4, 6)], [nn.Linear(4, 6)]), LIF()),
        r"got a layer of type Masking",
    ),
    "encoding": (
        lambda _: type("Doubling", (SpikingNetwork,), {"encode": lambda self, x, generator=None: x[None] * 2})(
            nn.Linear(4, 6), LIF(), nn.Linear(6, 3), num_steps=STEPS
        ),
        r"got Doubling, which runs otherwise than SpikingNetwork: its own encode",
    ),
}
"""By name: a network that runs otherwise than its nodes would say, and what the refusal says."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reader", READERS)
def test_what_runs_otherwise_is_refused_by_every_reader(
    way: str, reader: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make, told = WAYS[way]
    monkeypatch.chdir(tmp_path)
    net = make(monkeypatch)
    with pytest.raises((TypeError, ValueError), match=told) as caught:
        READERS[reader](net)
    check_one_line(caught)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("reader", READERS)
def test_a_rule_of_its_own_is_refused_by_every_reader_that_does_not_list_it(
    reader: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if reader == "verify-lirpa":  # its refusals are verdicts
        net = behind(Refractory(0.9, 0.3))
        (verdict,) = verify(net, INPUTS[:1], labels_of(net)[:1], LInf(0.0), "lirpa")
        assert verdict.status == "unknown"
        assert "layers.1 is a Refractory of rule RefractoryRule, which lirpa" in verdict.reason
        return
    with pytest.raises(TypeError, match="Refractory") as caught:
        READERS[reader](behind(Refractory(0.9, 0.3)))
    check_one_line(caught)
    if isinstance(caught.value, UnknownNode):
        assert "layers.1 is a Refractory of rule RefractoryRule, which " in str(caught.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "reader", sorted(READERS.keys() - {"verify in batches"})
)  # starts processes, and has tests of its own
def test_the_same_network_of_plain_neurons_is_answered(
    reader: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    READERS[reader](network())


def test_smoothing_samples_the_run_and_so_takes_any() -> None:
    net = behind(Refractory(0.9, 0.3))
    (verdict,) = smooth(net, INPUTS[:1], 0.01, 200, 0.01, torch.Generator().manual_seed(0))
    assert verdict.prediction == int(labels_of(net)[0])


Ends = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Counting(Algebra[Ends]):
    """Ends of sums over time: a neuron that rests fires at every other step at most."""

    reader: ClassVar[str] = "the counting of this test"
    answers: ClassVar[frozenset[str]] = frozenset({"rule RefractoryRule"})
    encodings: ClassVar[tuple[str, ...]] = ("direct",)

    low: Tensor
    high: Tensor
    met: list[str] = field(default_factory=list)

    def input(self, node: Input) -> Ends:
        return STEPS * self.low, STEPS * self.high

    def mapped(self, node: Mapped, x: Ends) -> Ends:
        middle, radius = (x[0] + x[1]) / 2, (x[1] - x[0]) / 2
        middle = node.map.linear(middle) + STEPS * node.map.bias
        radius = node.map.absolute().linear(radius)
        return middle - radius, middle + radius

    def added(self, node: Added, x: Ends, y: Ends) -> Ends:
        return x[0] + y[0], x[1] + y[1]

    def fired(self, node: Fired, x: Ends) -> Ends:
        self.met.append(node.name)
        return torch.zeros_like(x[0]), torch.full_like(x[1], (STEPS + 1) // 2)

    def read(self, node: Read, x: Ends) -> Ends:
        return x[0] / STEPS, x[1] / STEPS


@torch.no_grad()
def test_a_reader_that_lists_the_rule_answers_and_all_others_go_on_refusing() -> None:
    net = network(nn.Linear(4, 6), Refractory(0.9, 0.01), nn.Linear(6, 6), Refractory(0.5, 0.01))
    reading = Counting((INPUTS - 0.3).clamp(0, 1), (INPUTS + 0.3).clamp(0, 1))
    low, high = fold(circuit(net), reading)[-1]
    assert reading.met == ["layers.1", "layers.3"]
    generator, closest = torch.Generator().manual_seed(0), torch.inf
    for _ in range(200):
        logits = net(LInf(0.3).sample(INPUTS, generator))
        assert bool(((logits >= low - 1e-5) & (logits <= high + 1e-5)).all())
        closest = min(closest, float((high - logits).min()), float((logits - low).min()))
    assert closest < 0.2
    with pytest.raises(UnknownNode, match=r"layers\.1 is a Refractory .* which the bounds' propagation does not"):
        bounds(net, INPUTS, THREAT)
    with pytest.raises(
        UnknownNode, match=r"layers\.1 is a LIF of plain leaky neurons, which the counting of this test"
    ):
        fold(circuit(network()), reading)


def test_a_subclass_of_constants_alone_is_a_leaky_neuron(tmp_path: Path) -> None:
    class Quick(LIF):
        def __init__(self) -> None:
            super().__init__(0.5, 0.3)

    net, plain = behind(Quick()), behind(LIF(0.5, 0.3))
    found, expected = (verify(each, INPUTS, labels_of(each), THREAT, "trains") for each in (net, plain))
    assert [verdict.margin for verdict in found] == [verdict.margin for verdict in expected]
    assert save(net, tmp_path / "quick.safetensors") == network_hash(plain)
