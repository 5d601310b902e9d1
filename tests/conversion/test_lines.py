"""Refusals name the line of the user's code; plain PyTorch code with neurons of several libraries comes in."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import ConversionRefused, convert, from_snntorch, from_torch
from spikecert.models import check_conversion

snntorch: Any = pytest.importorskip("snntorch")
sj_neurons: Any = pytest.importorskip("spikingjelly.activation_based.neuron")
norse: Any = pytest.importorskip("norse.torch")


class Net(nn.Module):
    """Two layers with something between them."""

    def __init__(self, between: Callable[["Net", Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.between = nn.Linear(5, 8), nn.Linear(8, 3), between
        self.first.weight.data.mul_(4.0)
        self.spikes: Any = snntorch.Leaky(beta=0.9, init_hidden=True)
        self.state = torch.zeros(())

    def forward(self, x: Tensor) -> Any:
        return self.last(self.between(self, self.spikes(self.first(x))))


def clamped(net: Net, x: Tensor) -> Tensor:
    return x.clamp(0.0, 1.0)


def noisy(net: Net, x: Tensor) -> Tensor:
    return x + 0.0 * torch.rand(x.shape)


def branching(net: Net, x: Tensor) -> Tensor:
    return x if x.sum() > -1 else 0.5 * x


def remembering(net: Net, x: Tensor) -> Tensor:
    net.state = net.state + 1
    return x * float(net.state > 4) if net.state > 100 else x


def squared(net: Net, x: Tensor) -> Tensor:
    return (x + x * 0.5) * x


def flipped(net: Net, x: Tensor) -> Tensor:
    return x.flip(1)


REASONS: dict[Callable[[Net, Tensor], Tensor], str] = {
    noisy: r"^{line}: draws random numbers; expected the same at each run",
    branching: r"^{line}: takes values out of a tensor, or writes past torch's operations \(__bool__\)",
    flipped: r"^{line}: flip: turns an axis around; expected fixed indices",
}


@pytest.mark.parametrize("between", REASONS, ids=lambda each: each.__name__)
def test_a_refusal_names_the_line(between: Callable[[Net, Tensor], Tensor]):
    line = f"test_lines.py:{inspect.getsourcelines(between)[1] + 1}"
    with pytest.raises(ConversionRefused, match=REASONS[between].format(line=line.replace(".", r"\."))) as caught:
        from_snntorch(Net(between), torch.rand(6, 5), num_steps=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("between", [clamped, squared], ids=lambda each: each.__name__)
def test_functions_of_spikes_are_known_by_what_they_make_of_0_and_1(between: Callable[[Net, Tensor], Tensor]):
    module = Net(between)
    network = from_snntorch(module, torch.rand(6, 5), num_steps=3)
    assert check_conversion(module, network, 9.0 * torch.randn(40, 5), num_steps=3).matches


def test_no_line_is_named_where_there_is_no_code():
    layers = nn.Linear(5, 4), nn.Sigmoid(), nn.Linear(4, 4), snntorch.Leaky(beta=0.9, init_hidden=True)
    with pytest.raises(ConversionRefused, match=r"^module: sigmoid: of a signal it is a graded gate") as caught:
        from_snntorch(nn.Sequential(*layers), torch.rand(6, 5), num_steps=3)
    assert ".py:" not in str(caught.value)


class Counting(Net):
    """Adds what is left of the call before to its output."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        self.state = self.state + 0.25
        return out + self.state


def test_what_keeps_a_state_across_calls_is_refused():
    with pytest.raises(ConversionRefused, match="is not the same function of each step"):
        from_snntorch(Counting(lambda net, x: x), torch.rand(6, 5), num_steps=3)


class Named(Net):
    """Returns a dictionary."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        spikes = self.spikes(self.first(x))
        return {"hidden": spikes, "logits": self.last(spikes)}


def test_outputs_come_in_dictionaries():
    module = Named(clamped)
    for output in (None, "logits"):
        made = convert(module, torch.rand(6, 5), num_steps=3, output=output)
        assert made.check.matches
    with pytest.raises(
        ConversionRefused, match=r"output: got 'scores', and the module returns 'hidden', 'logits'"
    ):
        from_snntorch(module, torch.rand(6, 5), num_steps=3, output="scores")
    assert from_snntorch(module, torch.rand(6, 5), num_steps=3, output="hidden").readout == "spikes"


class Mixed(nn.Module):
    """Neurons of three libraries, in a loop over time with functional calls."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(5, 10), nn.Linear(10, 10), nn.Linear(10, 10), nn.Linear(10, 3)])
        for layer in self.layers:
            layer.weight.data.mul_(4.0)  # type: ignore[operator]
        self.one, self.two, self.three = (
            snntorch.Leaky(beta=0.9),
            sj_neurons.LIFNode(tau=1.5),
            norse.LIFBoxCell(norse.LIFBoxParameters(torch.tensor(400.0))),
        )

    def forward(self, x: Tensor) -> Tensor:
        potential, state, total = self.one.reset_mem(), None, torch.zeros(())
        for _ in range(4):
            spikes, potential = self.one(self.layers[0](x / 0.5), potential)
            spikes = self.two(self.layers[1](spikes)) + spikes
            spikes, state = self.three(self.layers[2](spikes), state)
            total = total + self.layers[3](spikes)
        return total / 4


def test_plain_code_with_neurons_of_three_libraries_comes_in():
    module = Mixed()
    network = from_torch(module, torch.rand(6, 5))
    found = check_conversion(module, network, torch.rand(40, 5))
    assert found.matches
    assert found.layers == 3
    assert min(found.rates) > 0


def test_code_without_neurons_is_refused():
    with pytest.raises(ConversionRefused, match="nothing in it fires"):
        from_torch(nn.Linear(2, 2), torch.rand(2, 2))
