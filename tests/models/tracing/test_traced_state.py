"""Code that asks torch whether it is traced, and is another function then, far from all that is tried.

Whole networks by hand come in, spike for spike; what is no network here is refused by the user's line.
"""

import random
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack as depth
from torch.utils import _python_dispatch as dispatch

from spikecert import ConversionRefused, convert, from_torch
from support.traced_modules import RIGHT, STEPS, WRONG

ASKED: dict[str, Callable[[], bool]] = {
    "by its path": lambda: torch._C._len_torch_dispatch_stack() > 0,
    "imported": lambda: depth() > 0,
    "by Python": lambda: dispatch._get_current_dispatch_mode() is not None,
    "through Python's library": lambda: any(sorted([0], key=lambda _: depth())) or depth() > 0,
}


class Asking(nn.Module):
    """A leaky neuron, which takes some inputs for their opposites where nobody traces it."""

    def __init__(self, traced: Callable[[], bool]) -> None:
        super().__init__()
        self.first, self.last, self.traced = nn.Linear(6, 8), nn.Linear(8, 3), traced

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of three steps."""
        potential, total = torch.zeros(len(x), 8), torch.zeros(len(x), 3)
        if not self.traced():
            x = torch.where(x > 1e4, -x, x)
        for _ in range(3):
            potential = 0.5 * potential + self.first(x)
            spikes = (potential >= 1.0).float()
            potential, total = potential * (1.0 - spikes), total + self.last(spikes)
        return total / 3


@pytest.mark.parametrize("how", ASKED)
def test_who_asks_whether_it_is_traced_is_refused(how: str) -> None:
    with pytest.raises(ConversionRefused, match=r"test_traced_state\.py:\d+: asks torch whether it is traced"):
        from_torch(Asking(ASKED[how]), torch.rand(8, 6))


def test_who_asks_nothing_comes_in() -> None:
    assert from_torch(Asking(lambda: True), torch.rand(8, 6)).num_steps == 3


def test_who_takes_the_steps_itself_is_told_to_leave_their_number_out() -> None:
    with pytest.raises(ConversionRefused, match="takes steps itself; expected no num_steps=3: leave it out"):
        from_torch(Asking(lambda: True), torch.rand(8, 6), num_steps=3)


class Reading(nn.Module):
    """A leaky neuron that branches on a number that it holds, or on one that was written over."""

    kind: Tensor

    def __init__(self, written: bool) -> None:
        super().__init__()
        self.first, self.last, self.written = nn.Linear(6, 8), nn.Linear(8, 3), written
        self.register_buffer("kind", torch.tensor([1]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of three steps."""
        potential, total = torch.zeros(len(x), 8), torch.zeros(len(x), 3)
        plain = self.kind > 0
        if self.written:
            plain[:] = x.max() < 1e4
        if plain.any():
            x = x * 2.0
        for _ in range(3):
            potential = 0.5 * potential + self.first(x)
            spikes = (potential >= 1.0).float()
            potential, total = potential * (1.0 - spikes), total + self.last(spikes)
        return total / 3


def test_a_number_that_a_module_holds_may_be_asked() -> None:
    assert from_torch(Reading(written=False), torch.rand(8, 6)).num_steps == 3


def test_a_number_that_was_written_over_may_not() -> None:
    with pytest.raises(ConversionRefused, match="takes values out of a tensor"):
        from_torch(Reading(written=True), torch.rand(8, 6))


@pytest.mark.parametrize("name", RIGHT)
def test_networks_by_hand_come_in(name: str):
    case = RIGHT[name]
    sample = case.sample.double() if name == "float64" else case.sample
    made = convert(case.make(), sample, case.num_steps, case.encoding)
    assert made.check.matches
    assert min(made.check.rates) > 0.0
    assert made.network.num_steps == STEPS


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_network_is_refused_with_its_line(name: str):
    case = WRONG[name]
    random.seed(1)  # what Python and numpy draw decides which of two refusals comes first
    np.random.seed(1)
    with pytest.raises(ConversionRefused, match=case.says) as caught:
        from_torch(case.make(), case.sample, case.num_steps, case.encoding)
    told = str(caught.value)
    assert re.match(r"(traced_\w+\.py:\d+|module|output): ", told)
    assert "\n" not in told


def test_constants_are_those_of_the_modules_own_precision():
    case = RIGHT["float64"]
    (neuron,) = from_torch(case.make(), case.sample.double()).neurons
    assert neuron.dynamics.decay == 0.9
    assert abs(neuron.dynamics.threshold - 0.2) < 1e-15
    (single,) = from_torch(case.make().float(), case.sample).neurons
    assert single.dynamics.decay == float(torch.tensor(0.9))
