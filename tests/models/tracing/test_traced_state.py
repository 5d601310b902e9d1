"""Code that asks torch whether it is traced, and is another function then, far from all that is tried."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack as depth
from torch.utils import _python_dispatch as dispatch

from spikecert import ConversionRefused, from_torch

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
