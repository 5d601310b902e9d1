"""Spike responses by tables over time, as SLAYER writes them: of what comes in, and of a neuron's own spikes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikecert import ConversionRefused, CoupledLIF, LInf, SpikingNetwork, from_torch
from spikecert.testing import check_sound

STEPS, LITTLE = 8, 2.0**-12
EVENTS = (torch.rand(8, STEPS, 5, generator=torch.Generator().manual_seed(0)) < 0.6).float()
TABLES = {
    "refractory": [-2.0, -1.5, -0.8, -0.4],
    "one": [-0.75],
    "of both signs": [0.5, -2.0, 0.25, 0.0, -0.5],
    "long": [-1.0, -0.7, -0.9, -0.3, -0.4, -0.1, -0.2],
    "begins late": [0.0, 0.0, -1.25],
}


class Tabled(nn.Module):
    """Responses by convolution over time in front of layers, and a table that each spike adds to later steps.

    Args:
        table: of own spikes.
        threshold: of all neurons.
        shaped: how samples, features and time are laid out for the responses.
        other: the step at which something is other by `LITTLE`, and what.
    """

    def __init__(
        self, table: list[float], threshold: float = 1.0, shaped: str = "rows", other: tuple[int, str] = (-1, "")
    ) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 3)
        self.first.weight.data.mul_(4.0)
        self.last.weight.data.mul_(4.0)
        self.register_buffer("table", torch.tensor([0.0, *table]))
        self.register_buffer("response", torch.tensor([0.25, 0.75, 1.0]))
        self.threshold, self.shaped, self.other = threshold, shaped, other

    def responding(self, x: Tensor) -> Tensor:
        """Return what is heard of (batch, features, T)."""
        size = (-1, 1, x.shape[-1]) if self.shaped == "rows" else (len(x), 1, 1, -1, x.shape[-1])
        flat, kernel = F.pad(x.reshape(size), (2, 0)), self.response.view(*[1] * (len(size) - 1), -1)  # pyright: ignore
        return (F.conv1d if self.shaped == "rows" else F.conv3d)(flat, kernel).reshape(x.shape)

    def spiking(self, u: Tensor) -> Tensor:
        """Return the spikes of (batch, neurons, T)."""
        u, found, (at, what) = u.clone(), [], self.other
        for t in range(u.shape[-1]):
            limit = self.threshold + LITTLE * (t == at and what == "threshold")
            s = (u[..., t] >= limit).float()
            found.append(s)
            table = self.table[: u.shape[-1] - t]  # pyright: ignore
            if t == at and what.startswith("entry"):
                table = table + LITTLE * (torch.arange(len(table)) == int(what[-1]))
            if t == at and what == "sign":
                table = -table
            if t == at and what == "late":
                table = torch.cat([torch.zeros(1), table[:-1]])
            u[..., t : t + len(table)] = u[..., t : t + len(table)] + s.unsqueeze(-1) * table
        return torch.stack(found, -1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rates of the last spikes, of inputs whose first axis is time."""
        x = self.responding(x.permute(1, 2, 0))
        s = self.responding(self.spiking(self.first(x.transpose(1, 2)).transpose(1, 2)))
        return self.spiking(self.last(s.transpose(1, 2)).transpose(1, 2)).mean(-1)


def came(module: nn.Module) -> SpikingNetwork:
    """Return a network that gives what its module gives on inputs of all kinds, one alone and many at once."""
    network, wrong, count = from_torch(module.eval(), EVENTS, encoding="none"), 0, 0
    for scale in (1.0, -1.0, 10.0, 1000.0, 0.25):
        inputs = torch.randn(200, STEPS, 5).mul(4.0).round().div(4.0) * scale  # some are on a threshold
        with torch.no_grad():
            theirs, ours = module(inputs.transpose(0, 1)), network(inputs)
            alone = torch.cat([module(each.unsqueeze(1)) for each in inputs[:9]])
        wrong += int((theirs - ours).abs().amax(1).gt(1e-3).sum())
        assert torch.allclose(theirs[:9], alone, atol=1e-3)
        count += len(inputs)
    assert count == 1000
    assert wrong < 6  # that rounding decides
    return network


@pytest.mark.parametrize("shaped", ["rows", "features"])
@pytest.mark.parametrize("name", TABLES)
def test_tables_over_time_come_in(name: str, shaped: str) -> None:
    neurons = came(Tabled(TABLES[name], shaped=shaped)).neurons
    assert [type(each) for each in neurons] == [CoupledLIF, CoupledLIF]


WHAT = ["threshold", "entry1", "entry2", "entry3", "sign", "late"]


@pytest.mark.parametrize("step", [2, *(pytest.param(t, marks=pytest.mark.slow) for t in (0, 1, 3, 4))])
@pytest.mark.parametrize("what", WHAT)
def test_one_entry_that_is_other_at_one_step_is_refused(what: str, step: int) -> None:
    with pytest.raises(ConversionRefused, match="is no neuron that is known here"):
        from_torch(Tabled(TABLES["refractory"], other=(step, what)).eval(), EVENTS, encoding="none")


def test_a_table_longer_than_states_are_is_refused() -> None:
    events = (torch.rand(8, 20, 5, generator=torch.Generator().manual_seed(0)) < 0.6).float()
    table = torch.randn(19, generator=torch.Generator().manual_seed(2)).tolist()
    with pytest.raises(ConversionRefused, match="is no neuron that is known here"):
        from_torch(Tabled(table).eval(), events, encoding="none")


def test_what_came_in_is_proved_near_a_sample() -> None:
    check_sound(came(Tabled(TABLES["refractory"])), EVENTS, LInf(0.05), "trains", count=16)


class Odd(Tabled):
    """The same, which does one thing more to what no layer goes with."""

    def __init__(self, odd: Any) -> None:
        super().__init__(TABLES["one"])
        self.odd = odd

    def forward(self, x: Tensor) -> Tensor:
        """Return what is made of spikes times constants along a new axis, or of rows of samples and features."""
        s = (self.first(x.sum(0)) >= 1.0).float()
        return self.odd(s)


ODD = {
    "spread outputs": lambda s: s[:, :1] * torch.tensor([0.5, 1.0, 2.0]),
    "a sum of spread entries": lambda s: (s.unsqueeze(-1) * torch.tensor([0.5, 1.0, 2.0])).sum(-1),
    "spread features": lambda s: (s.unsqueeze(-1) * torch.tensor([0.5, 1.0, 2.0])).flatten(1),
    "rows": lambda s: s.reshape(-1, 1) * 2.0,
    "rows times constants of each": lambda s: (s.reshape(-1) * torch.arange(float(s.numel()))).reshape(s.shape),
    "rows turned": lambda s: s.reshape(-1).reshape(6, -1).t(),
}


@pytest.mark.parametrize("name", ODD)
def test_what_no_layer_goes_with_is_refused(name: str) -> None:
    with pytest.raises(ConversionRefused):
        from_torch(Odd(ODD[name]).eval(), EVENTS, encoding="none")
