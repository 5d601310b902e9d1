"""Features side by side and apart, products of spikes, readouts, weights that go back, and near misses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import (
    ConversionRefused,
    CoupledLIF,
    PerStep,
    Recurrent,
    SpikingNetwork,
    convert,
    from_torch,
    into,
)
from spikecert.models import check_conversion
from support.hand_written import bntt, sample
from support.hand_written import made as network_of
from support.public_idioms import adlif_each, radlif
from support.resting_idioms import resting_loop
from support.traced_modules import STEPS, Net, leaky

SAMPLE = torch.rand(6, 5, generator=torch.Generator().manual_seed(1))


def stepped(step: Callable[..., Any], sizes: tuple[int, ...] = (6,)) -> Callable[..., Any]:
    """Return a module's run: states of some sizes, and a sum over time of what each step gives."""

    def run(net: Any, x: Tensor) -> Any:
        states, total = [torch.zeros(len(x), size) for size in sizes], 0.0
        for t in range(STEPS):
            found, states = step(net, x, states, t)
            total = total + found
        return total / STEPS

    return run


def beside(net: Any, x: Tensor, states: list[Tensor], t: int) -> Any:
    one, first = leaky(states[0], net.fc1(x))
    two, second = leaky(states[1], net.skip(x))
    return net.wide(torch.cat((one, two), 1)), [first, second]


def beside_late(net: Any, x: Tensor, states: list[Tensor], t: int) -> Any:
    one, first = leaky(states[0], net.fc1(x))
    two, second = leaky(states[1], net.skip(x))
    parts = (one, two) if t != 2 else (two, one)
    return net.wide(torch.cat(parts, 1)), [first, second]


def apart(net: Any, x: Tensor, states: list[Tensor], t: int) -> Any:
    spikes, v = leaky(states[0], net.fc1(x))
    one, two = spikes.chunk(2, dim=1)
    return net.small(one) - net.small(two[:, [2, 0, 1]]), [v]


def apart_late(net: Any, x: Tensor, states: list[Tensor], t: int) -> Any:
    spikes, v = leaky(states[0], net.fc1(x))
    return net.small(spikes[:, :3] if t != 1 else spikes[:, 1:4]), [v]


def both(net: Any, x: Tensor, states: list[Tensor], t: int) -> Any:
    one, first = leaky(states[0], net.fc1(x))
    two, second = leaky(states[1], net.rec(one))
    return net.fc2(one * two), [first, second]


def one_alone(net: Any, x: Tensor, states: list[Tensor], t: int) -> Any:
    one, first = leaky(states[0], net.fc1(x))
    two, second = leaky(states[1], net.rec(one))
    return net.fc2(two * (1.0 - one)), [first, second]


def both_late(net: Any, x: Tensor, states: list[Tensor], t: int) -> Any:
    one, first = leaky(states[0], net.fc1(x))
    two, second = leaky(states[1], net.rec(one))
    return net.fc2(one * two if t != 2 else one), [first, second]


def heard_together(net: Any, x: Tensor, states: list[Tensor], t: int) -> Any:
    spikes, v = leaky(states[0], net.joint(torch.cat((net.fc1(x), states[1]), -1)))
    return net.fc2(spikes), [v, spikes]


class Wide(Net):
    """Layers for what stands side by side."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__(run)
        torch.manual_seed(3)
        self.wide, self.small, self.joint = nn.Linear(9, 3), nn.Linear(3, 3, bias=False), nn.Linear(12, 6)
        self.joint.weight.data.mul_(4.0)


RIGHT = {
    "side by side": (beside, (6, 3)),
    "apart": (apart, (6,)),
    "a product": (both, (6, 6)),
    "a product with what is not": (one_alone, (6, 6)),
    "one matrix for inputs and spikes": (heard_together, (6, 6)),
}
WRONG = {"side by side": (beside_late, (6, 3)), "apart": (apart_late, (6,)), "a product": (both_late, (6, 6))}


@pytest.mark.parametrize("name", RIGHT)
def test_signals_side_by_side_apart_and_multiplied_come_in(name: str):
    made = convert(Wide(stepped(*RIGHT[name])), SAMPLE)
    assert made.check.matches
    assert min(made.check.rates) > 0


@pytest.mark.parametrize("name", WRONG)
def test_what_is_another_one_at_one_step_is_refused(name: str):
    with pytest.raises(ConversionRefused):
        from_torch(Wide(stepped(*WRONG[name])), SAMPLE)


def traced(end: Callable[[list[Tensor]], Tensor], spikes: bool = False) -> Net:
    """Return a module that makes its output of the potentials, or the spikes, of each step."""

    def run(net: Any, x: Tensor) -> Tensor:
        v, u, found = torch.zeros(len(x), 6), torch.zeros(len(x), 3), []
        for _ in range(STEPS):
            spike, v = leaky(v, net.fc1(x))
            u = 0.75 * u + net.fc2(spike)
            found.append(net.fc2(spike) if spikes else u)
        return end(found)

    return Net(run)


ENDS: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "potential": lambda found: found[-1],
    "summed": lambda found: torch.stack(found).sum(0),
    "largest": lambda found: torch.stack(found).max(0)[0],
}


@pytest.mark.parametrize("readout", ENDS)
def test_readouts_of_potentials(readout: str):
    assert from_torch(traced(ENDS[readout]), SAMPLE).readout == readout
    assert from_torch(traced(torch.stack), SAMPLE, readout=readout).readout == readout


def test_a_maximum_of_currents_and_the_last_step():
    assert from_torch(traced(lambda found: torch.stack(found).amax(0), spikes=True), SAMPLE).readout == "largest"
    made = convert(traced(lambda found: found[-1], spikes=True), SAMPLE)
    assert (made.network.readout, made.check.matches) == ("potential", True)


def test_a_maximum_that_is_not_over_time_is_refused():
    with pytest.raises(ConversionRefused, match="not over time"):
        from_torch(traced(lambda found: torch.stack(found).amax(1)), SAMPLE)


def test_weights_of_steps_are_an_input_scale():
    weights = torch.tensor([0.25, 2.0, 0.5, 1.0])
    made = convert(traced(lambda found: (torch.stack(found) * weights[:, None, None]).sum(0), True), SAMPLE)
    assert made.check.matches
    assert made.network.neurons[-1].input_scale.tolist() == weights.tolist()  # type: ignore[union-attr]


def test_heads_are_chosen():
    def run(net: Any, x: Tensor) -> dict[str, Tensor]:
        v, one, two = torch.zeros(len(x), 6), 0.0, 0.0
        for _ in range(STEPS):
            spike, v = leaky(v, net.fc1(x))
            one, two = one + net.fc2(spike), two + net.rec(spike)
        return {"few": one, "many": two}  # type: ignore[dict-item]

    for head, classes in {"few": 3, "many": 6}.items():
        assert from_torch(Net(run), SAMPLE, output=head)(SAMPLE).shape == (6, classes)


def plain() -> nn.Module:
    return Net(stepped(lambda net, x, states, t: _spikes_and_state(net, x, states)))


def _spikes_and_state(net: Any, x: Tensor, states: list[Tensor]) -> Any:
    spikes, v = leaky(states[0], net.fc1(x))
    return net.fc2(spikes), [v]


def trained(module: nn.Module) -> SpikingNetwork:
    network = from_torch(module, SAMPLE)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.rand(weight.shape, generator=torch.Generator().manual_seed(2)) * 0.1)
    return network


def test_weights_go_back_into_the_module():
    module = plain()
    network, before = trained(module), module.state_dict()["rec.weight"].clone()
    into(module, network, SAMPLE)
    assert check_conversion(module, network, SAMPLE).matches
    assert torch.equal(module.state_dict()["fc1.weight"], network.layers[0].weight)  # type: ignore[arg-type]
    assert torch.equal(module.state_dict()["rec.weight"], before)


def test_weights_without_one_place_of_their_own_are_refused_and_change_nothing():
    module = plain()
    network = trained(module)
    module.twin = module.fc1
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(ConversionRefused, match="several of the module's"):
        into(module, network, SAMPLE)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_weights_go_where_they_came_from_though_others_are_alike():
    module = plain()
    network = trained(module)
    module.twin = nn.Linear(5, 6)  # type: ignore[assignment]
    module.twin.load_state_dict(module.fc1.state_dict())  # type: ignore[union-attr, operator]
    before = module.twin.weight.clone()  # type: ignore[union-attr, operator]
    into(module, network, SAMPLE)
    assert torch.equal(module.state_dict()["fc1.weight"], network.layers[0].weight)  # type: ignore[arg-type]
    assert torch.equal(module.state_dict()["twin.weight"], before)


@pytest.mark.parametrize(
    ("idiom", "kind"), [(bntt, PerStep), (adlif_each, CoupledLIF), (radlif, Recurrent), (resting_loop, Recurrent)]
)
def test_elements_of_their_own_go_back_with_norms_that_are_all_alike(idiom: Any, kind: type[nn.Module]):
    module: Any = network_of(idiom)
    network = from_torch(module, sample())
    assert any(isinstance(layer, kind) for layer in network.modules())
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.rand(weight.shape, generator=torch.Generator().manual_seed(2)) * 0.1)
    into(module, network, sample())
    assert check_conversion(module, network, 3.0 * sample(50, 1)).matches
    module.bns[0].weight.data.mul_(1.5)
    assert check_conversion(module, network, 3.0 * sample(50, 1)).matches == (idiom is not bntt)


def test_numbers_that_were_folded_do_not_go_back():
    def run(net: Any, x: Tensor) -> Any:
        v, total = torch.zeros(len(x), 6), 0.0
        for _ in range(STEPS):
            spike, v = leaky(v, net.fc1(x) + 0.25)
            total = total + net.fc2(spike)
        return total / STEPS

    module = Net(run)
    with pytest.raises(ConversionRefused, match="none of the module's own"):
        into(module, trained(module), SAMPLE)


def test_the_comparison_tells_another_network():
    module = plain()
    assert "spikes differ" in check_conversion(module, trained(module), SAMPLE).reason
    assert check_conversion(module, from_torch(module, SAMPLE), 3.0 * SAMPLE - 1.0).matches


class Chain(nn.Module):
    """Layers in a row, many of them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        kept, found = [torch.zeros(len(x), 4) for _ in self.layers], []
        for _ in range(2):
            signal = x
            for place, layer in enumerate(self.layers):
                potential = 0.5 * kept[place] + layer(signal)
                signal = (potential >= 1.0).to(x)
                kept[place] = potential * (1.0 - signal)
            found.append(signal)
        return torch.stack(found)


def test_a_network_of_many_layers_comes_in() -> None:
    assert len(convert(Chain(120), torch.rand(2, 4)).network.neurons) == 120


def test_layers_without_neurons_between_them_are_refused_in_one_line_where_they_are_too_many() -> None:
    chain = nn.Sequential(*[nn.Linear(2, 2) for _ in range(600)])
    net = Net(lambda _, x: (chain(x) >= 1.0).to(x))
    with pytest.raises(
        ConversionRefused, match=r"^module: has too many layers in a row, or too many signals"
    ) as caught:
        convert(net, torch.rand(2, 2), 1)
    assert "\n" not in str(caught.value)


class BatchFirst(nn.Module):
    """A layer over all steps of a sequence with turned axes: of one sample torch adds its bias otherwise."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        current = self.first(x.transpose(0, 1))
        kept, total = torch.zeros(len(current), 6), torch.zeros(len(current), 3)
        for t in range(current.shape[1]):
            potential = 0.5 * kept + current[:, t]
            spikes = (potential >= 0.25).to(x)
            kept, total = potential * (1.0 - spikes), total + self.last(spikes)
        return total


def test_a_layer_over_turned_sequences_comes_in() -> None:
    module, events = BatchFirst(), 3 * torch.randn(50, 5, 4)
    network = convert(module, torch.rand(4, 5, 4), encoding="none").network
    with torch.no_grad():
        assert torch.allclose(network(events), module(events.transpose(0, 1)), atol=1e-5)
