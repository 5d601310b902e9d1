"""One event an input, the brighter the earlier."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import LIF, SpikeShift, latency_code, mlp, verify
from support.examples import examples
from support.oracles import every_shift, least_margin


@examples(60)
@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=5), steps=st.integers(1, 9))
def test_each_input_is_one_event_at_its_step(values: list[float], steps: int):
    events = latency_code(torch.tensor([values]), steps)
    assert events.sum(1).eq(1).all()
    for step, value in zip(events[0].argmax(0).tolist(), values, strict=True):
        exact = (1 - Fraction(value)) * (steps - 1) + Fraction(1, 2)
        assert step == math.floor(exact) or abs(exact - round(exact)) < Fraction(1, 10**9)


def test_the_brighter_the_earlier():
    events = latency_code(torch.linspace(1, 0, 9)[None], 5)
    assert bool((events[0].argmax(0).diff() >= 0).all())
    assert latency_code(torch.ones(1, 2, 3), 4)[0, 0].eq(1).all()


def test_all_shifts_of_a_sum_are_decided():
    torch.manual_seed(3)
    network = mlp((4, 6, 3), num_steps=4, neuron=LIF(0.9, 0.4), encoding="none").eval()
    events, threat = latency_code(torch.rand(6, 4), 4), SpikeShift(None, total=2, merge="add")
    with torch.no_grad():
        labels = network(events).argmax(1)
    for sample, label, verdict in zip(
        events, labels.tolist(), verify(network, events, labels, threat, "enumeration"), strict=True
    ):
        every = every_shift(sample, SpikeShift(2, total=2, merge="add"), torch.ones(4, 4))
        assert (verdict.status == "verified") == (least_margin(network, every, label) > 0)


@pytest.mark.parametrize(
    ("inputs", "steps", "error", "message"),
    [
        (torch.zeros(1, 2).long(), 3, TypeError, "^inputs: got torch.int64"),
        (torch.full((1, 2), 1.5), 3, ValueError, "^inputs: got values outside"),
        (torch.full((1, 2), torch.nan), 3, ValueError, "^inputs: got values outside"),
        (torch.zeros(1, 2), 0, ValueError, "^num_steps: got 0"),
    ],
)
def test_what_is_no_brightness_is_refused(inputs: torch.Tensor, steps: int, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        latency_code(inputs, steps)
