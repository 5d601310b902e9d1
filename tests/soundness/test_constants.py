"""Constants that equal a float but compute otherwise: no verdict, and no cache, may be misled by them."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert import DLIF, LIF, LInf, SpikingNetwork, mlp, verify
from spikecert.certify.replay import margins
from support.examples import examples

STEPS = 12
SIDE = 1e-5
"""Half of a set's width: wider than float32's rounding around a breakpoint, narrower than float16's."""
TYPES: tuple[Callable[[float], Any], ...] = (
    *(np.float16, np.float32, np.float64, np.longdouble, Fraction, Decimal),
    *(
        lambda x, d=d: torch.tensor(x, dtype=d)
        for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    ),
)
INTEGERS: tuple[Callable[[int], Any], ...] = (
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, Fraction, Decimal),
    *(
        lambda x, d=d: torch.tensor(x, dtype=d)
        for d in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    ),
)


def counting(neuron: LIF, between: float) -> SpikingNetwork:
    """Return a network of one neuron that answers 0 iff its mean of spikes is above `between`."""
    first, last = nn.Linear(1, 1, bias=False), nn.Linear(1, 2)
    first.weight.data.fill_(1.0)
    last.weight.data = torch.tensor([[1.0], [0.0]])
    last.bias.data = torch.tensor([0.0, between])
    return SpikingNetwork(first, neuron, last, num_steps=STEPS)


def false_verdicts(neuron: LIF, decay: float) -> int:
    """Return how many sets around breakpoints of a current are verified, though they hold inputs of both classes.

    A constant current fires first at step k, and then every k steps, from θ/(1 + λ + … + λ^(k−1)) on.
    """
    found = 0
    for k in (1, 2, 3, 4, 6, 12):
        edge = 1.0 / sum(decay**i for i in range(k))
        network = counting(neuron, (STEPS // k + STEPS // (k + 1)) / 2 / STEPS)
        inputs = torch.tensor([[edge * (1 - SIDE)], [edge * (1 + SIDE)]])
        labels = network(inputs).argmax(1)
        assert labels.tolist() == [1, 0], "the inputs lie on both sides of the breakpoint"
        verdicts = verify(network, inputs, labels, LInf(4 * SIDE, 0.0, 2.0), "trains")
        found += sum(verdict.status == "verified" for verdict in verdicts)
    return found


@pytest.mark.parametrize("kind", TYPES)
def test_a_decay_of_any_type_is_the_float_that_it_equals(kind: Callable[[float], Any]) -> None:
    decay = kind(0.9)
    assert false_verdicts(LIF(decay), float(decay)) == 0


def test_a_half_does_not_poison_what_is_cached_for_its_float() -> None:
    half = np.float16(0.9)
    false_verdicts(LIF(half), float(half))  # type: ignore[arg-type]
    assert false_verdicts(LIF(float(half)), float(half)) == 0


@pytest.mark.parametrize("kind", INTEGERS)
def test_a_threshold_of_any_integer_type_does_not_wrap(kind: Callable[[int], Any]) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        plain = mlp((3, 8, 2), 8, LIF(0.9, 1.0, "subtract"))
        torch.manual_seed(seed)
        other = mlp((3, 8, 2), 8, LIF(0.9, kind(1), "subtract"))
        inputs, threat = torch.rand(8, 3), LInf(0.05)
        labels = other(inputs).argmax(1)
        assert torch.equal(other(inputs), plain(inputs))
        proven = torch.tensor([v.status == "verified" for v in verify(other, inputs, labels, threat, "trains")])
        assert bool(proven.any())
        generator = torch.Generator().manual_seed(seed)
        for _ in range(50):
            left = margins(other(threat.sample(inputs, generator)), labels)
            assert not bool((proven & (left <= 0)).any())


@pytest.mark.parametrize("name", ["decay", "threshold", "reset_amount"])
def test_a_tensor_that_changes_in_place_changes_nothing(name: str) -> None:
    constants = {"decay": 0.9, "threshold": 1.0, "reset": "subtract", "reset_amount": 1.0}
    value = torch.tensor(constants[name], dtype=torch.float64)
    neuron = LIF(**{**constants, name: value})  # `mlp` would copy it, and the tensor with it
    network = SpikingNetwork(nn.Linear(3, 8), neuron, nn.Linear(8, 2), num_steps=8)
    inputs = torch.rand(16, 3)
    before, labels = network(inputs), network(inputs).argmax(1)
    first = verify(network, inputs, labels, LInf(0.05), "trains")
    value.mul_(0.5)
    assert torch.equal(network(inputs), before)
    again = verify(network, inputs, labels, LInf(0.05), "trains")
    assert [verdict.margin for verdict in again] == [verdict.margin for verdict in first]


def test_an_epsilon_that_changes_in_place_changes_nothing() -> None:
    epsilon = torch.tensor(0.01, dtype=torch.float64)
    threat = LInf(epsilon)  # type: ignore[arg-type]
    known = hash(threat)
    epsilon.fill_(0.5)
    assert threat == LInf(0.01)
    assert hash(threat) == known


def test_draws_are_a_copy() -> None:
    network = mlp((3, 8, 2), 4, encoding="rate").eval()
    inputs = torch.rand(8, 3)
    before = network(inputs)
    network.draws.thresholds(4, (3,)).zero_()
    assert torch.equal(network(inputs), before)


numbers = st.sampled_from(TYPES)


DECAYS = st.just(0.0) | st.floats(2.0**-100, 1.0)
"""None that float32 holds as a subnormal number: such a decay is refused."""


@examples(60)
@given(
    constants=st.tuples(numbers, DECAYS, numbers, st.floats(0.3, 2.0), numbers, st.floats(0.3, 2.0)),
    reset=st.sampled_from(["zero", "subtract", "none"]),
    fires_at=st.sampled_from([">=", ">"]),
    scaled=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    epsilon=st.tuples(numbers, st.floats(0.01, 0.2)),
    seed=st.integers(0, 2**31),
)
def test_verdicts_on_constants_of_any_type_hold(
    constants: tuple[Any, ...],
    reset: str,
    fires_at: str,
    scaled: bool,
    dtype: torch.dtype,
    epsilon: tuple[Any, float],
    seed: int,
) -> None:
    decay, threshold, amount = (kind(value) for kind, value in zip(constants[::2], constants[1::2], strict=True))
    torch.manual_seed(seed)
    settings_ = {"decay": decay, "threshold": threshold, "reset": reset, "fires_at": fires_at}
    settings_ |= {"reset_amount": amount} if reset == "subtract" else {}
    neuron = DLIF(5, **settings_) if scaled else LIF(**settings_)
    network = mlp((3, 6, 6, 3), num_steps=5, neuron=neuron).to(dtype)
    threat, inputs = LInf(epsilon[0](epsilon[1])), torch.rand(4, 3, dtype=dtype)
    labels = network(inputs).argmax(1)
    verdicts = verify(network, inputs, labels, threat, "trains")
    bound = torch.tensor(
        [v.margin if v.status == "verified" else -torch.inf for v in verdicts], dtype=torch.float64
    )
    generator = torch.Generator().manual_seed(seed)
    for _ in range(20):
        assert bool((margins(network(threat.sample(inputs, generator)), labels) >= bound).all())
