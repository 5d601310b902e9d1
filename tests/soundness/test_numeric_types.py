"""Neurons and sets whose numbers are of any type, mixed, and extreme: refused in one line, or sound."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert import DLIF, L2, LIF, PLIF, LInf, SpikingNetwork
from spikecert.testing import check_sound
from support.constants import REAL, REFUSED, WHOLE
from support.examples import examples

DECAYS = (0.0, 0.25, 0.5, 0.9, 0.99, 1.0, 1.0 - 2.0**-53, 2.0**-10)
SIZES = (1.0, 0.25, 0.7, 3.0, 1e-3, 2.0**14)
"""Thresholds and reset amounts; weights are drawn in units of the threshold."""
STEPS = 4
CLASSES = (LIF, DLIF, PLIF)


@dataclass(frozen=True)
class Problem:
    """How a network and a set are made: a constructor may refuse a number."""

    kind: type[LIF]
    constants: dict[str, Any]
    ball: type[LInf] | type[L2]
    sizes: dict[str, Any]
    seed: int
    dtype: torch.dtype
    plain: dict[str, float] = field(default_factory=dict)

    def network(self) -> SpikingNetwork:
        """Return a network of three layers with neurons of one template's constants."""
        generator = torch.Generator().manual_seed(self.seed)
        layers: list[nn.Module] = []
        for width, outputs in ((2, 4), (4, 4)):
            layers += [_linear(width, outputs, self.plain["threshold"], generator), self.neuron(generator)]
        network = SpikingNetwork(*layers, _linear(4, 3, 1.0, generator), num_steps=STEPS)
        return network.to(self.dtype).eval()

    def neuron(self, generator: torch.Generator) -> LIF:
        """Return a neuron; a DLIF's input scale has random signs."""
        neuron = DLIF(STEPS, **self.constants) if self.kind is DLIF else self.kind(**self.constants)
        if isinstance(neuron, DLIF):
            neuron.input_scale.data = (torch.randn(STEPS, generator=generator) * 4).round() / 4
        return neuron


def _linear(inputs: int, outputs: int, unit: float, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    for parameter in layer.parameters():  # a grid of quarters, so that potentials meet thresholds
        parameter.data = (torch.randn(parameter.shape, generator=generator) * 6).round() / 4 * unit
    return layer


@st.composite
def numbers(draw: st.DrawFn, values: tuple[float, ...]) -> tuple[Any, float]:
    """Return a number of any type, about one of `values`, and that; or what is no number."""
    value = draw(st.sampled_from(values))
    if draw(st.integers(0, 19)) == 19:
        return REFUSED[draw(st.sampled_from(sorted(REFUSED)))], value
    if value in (0.0, 1.0, 2.0, 3.0) and draw(st.booleans()):
        return draw(st.sampled_from(WHOLE))(int(value)), value
    return draw(st.sampled_from(REAL))(value), value


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Return a neuron's constants, a set's numbers, and a seed."""
    reset = draw(st.sampled_from(["zero", "subtract", "subtract", "none"]))
    drawn = {"decay": draw(numbers(DECAYS)), "threshold": draw(numbers(SIZES))}
    if reset == "subtract" and draw(st.booleans()):
        drawn["reset_amount"] = draw(numbers(SIZES))
    fixed = {"reset": reset, "fires_at": draw(st.sampled_from([">=", ">"]))}
    ends = {"epsilon": (0.0, 0.01, 0.1, 0.25), "lower": (0.0, -1.0), "upper": (1.0, 2.0)}
    return Problem(
        draw(st.sampled_from(CLASSES)),
        {name: made for name, (made, _) in drawn.items()} | fixed,
        draw(st.sampled_from([LInf, L2])),
        {name: draw(numbers(values))[0] for name, values in ends.items()},
        draw(st.integers(0, 2**31)),
        draw(st.sampled_from([torch.float32, torch.float64])),
        {name: value for name, (_, value) in drawn.items()},
    )


def made(make: Callable[[], Any]) -> Any:
    """Return what is made, or the message of what refuses it."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        return str(error)


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "gain", "complete"])
@examples(30)
@given(problem=problems())
def test_numbers_of_any_type_are_refused_or_lead_to_no_false_verdict(problem: Problem, verifier: str) -> None:
    network, threat = made(problem.network), made(lambda: problem.ball(**problem.sizes))
    for refusal in (network, threat):
        if isinstance(refusal, str):
            assert re.fullmatch(r"[a-z_, ]+: got .*", refusal), refusal
            return
    inputs = torch.rand(4, 2, generator=torch.Generator().manual_seed(problem.seed), dtype=torch.float64)
    inputs = ((inputs * 4).round() / 4 if problem.seed % 2 else inputs).to(problem.dtype)
    check_sound(network, inputs, threat, verifier, count=24, timeout=0.2, seed=problem.seed)
