"""Gates and delays are names for elements that all readers know: they run, are proved and saved as those.

Which entries the windows of a max pool hold, one by one, and what is made of them.
"""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    LIF,
    Delay,
    LInf,
    Residual,
    Share,
    SpikeAnd,
    SpikeIand,
    SpikingNetwork,
    Synapse,
    bounds,
    circuit,
    load,
    save,
    system,
)
from spikecert.models import network_hash
from spikecert.models.elements.layers import MaxWindows
from spikecert.testing import Case, check_sound
from support.checked_samples import check_samples
from support.examples import examples

Kind = type[SpikeAnd] | type[SpikeIand]
EPSILON = 0.02


def gated(gate: Kind, shortcut: bool, *between: nn.Module) -> SpikingNetwork:
    torch.manual_seed(0)
    paths = gate([nn.Linear(6, 6), LIF(0.9)], [nn.Linear(6, 6), LIF(0.5)] if shortcut else [])
    network = SpikingNetwork(nn.Linear(4, 6), LIF(0.9), paths, *between, nn.Linear(6, 3), num_steps=4)
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data.mul_(4.0)
    return network.eval()


def product(gate: Kind, branch: Tensor, shortcut: Tensor) -> Tensor:
    return branch * shortcut if gate is SpikeAnd else shortcut * (1 - branch)


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("gate", [SpikeAnd, SpikeIand])
def test_a_gate_fires_where_the_product_of_its_paths_is_1(gate: Kind, shortcut: bool) -> None:
    network = gated(gate, shortcut)
    first, branch, *other, found = network.trace(torch.rand(64, 4)).spikes
    assert torch.equal(found, product(gate, branch, other[0] if shortcut else first))
    assert 0 < float(found.detach().mean()) < 1


def test_a_delay_hands_on_what_came_before() -> None:
    late, plain = gated(SpikeAnd, True, Delay(1)), gated(SpikeAnd, True)
    inputs = torch.rand(64, 4)
    spikes = plain.trace(inputs).spikes[-1]
    expected = plain.layers[-1](torch.cat((torch.zeros_like(spikes[:1]), spikes[:-1]))).mean(0)
    assert torch.allclose(late(inputs), expected, atol=1e-5)
    assert torch.equal(Delay(9)(torch.ones(3, 1, 1), 3), torch.zeros(3, 1, 1))


@pytest.mark.parametrize(
    ("gate", "verifier"),
    [(gate, name) for gate in (SpikeAnd, SpikeIand) for name in ("interval", "trains", "complete", "milp")],
)
def test_verifiers_answer(gate: Kind, verifier: str) -> None:
    network, inputs = gated(gate, True, Delay(1)), torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    found = check_sound(network, inputs, LInf(EPSILON), verifier, count=4)
    assert found.verified + found.falsified >= (3 if verifier in ("complete", "milp") else 1)


@pytest.mark.parametrize("gate", [SpikeAnd, SpikeIand])
def test_what_the_paths_decide_is_not_open(gate: Kind) -> None:
    network, inputs = gated(gate, False), torch.rand(16, 4)
    found = bounds(network, inputs, LInf(0.0), "trains")
    assert float((found.upper - found.lower).max()) < 1e-3


@pytest.mark.parametrize("gate", [SpikeAnd, SpikeIand])
def test_proofs_of_gates_are_checked(gate: Kind, tmp_path: Path) -> None:
    network, inputs = gated(gate, False, Delay(1)), torch.rand(4, 4, generator=torch.Generator().manual_seed(1))
    case = Case(network, inputs, network(inputs).argmax(1), EPSILON)
    assert check_samples(case, LInf(EPSILON), tmp_path, inputs.unsqueeze(0))


@pytest.mark.parametrize("gate", [SpikeAnd, SpikeIand])
def test_gates_are_saved_as_what_they_are_made_of(gate: Kind, tmp_path: Path) -> None:
    network, inputs = gated(gate, False, Delay(2)), torch.rand(6, 4)
    save(network, tmp_path / "gate.safetensors")
    found = load(tmp_path / "gate.safetensors")
    assert [type(layer) for layer in found.layers[2:5]] == [Residual, LIF, Synapse]
    assert network_hash(found) == network_hash(network)
    assert torch.equal(found(inputs), network(inputs))
    assert circuit(found).nodes[-4].kind == circuit(network).nodes[-4].kind == "fired"


def test_a_gate_stays_one_while_it_is_trained() -> None:
    network = gated(SpikeIand, True).train()
    shares = [layer for layer in network.modules() if isinstance(layer, Share)]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.5)
    nn.functional.cross_entropy(network(torch.rand(8, 4)), torch.zeros(8, dtype=torch.long)).backward()
    optimizer.step()
    assert [layer.share.tolist() for layer in shares] == [[-1.0]]
    grads = [layer.weight.grad for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert all(grad is not None and grad.any() for grad in grads)


def test_paths_that_give_no_spikes_are_refused() -> None:
    spikes, affine = [nn.Linear(3, 3), LIF()], nn.Linear(3, 3)
    SpikingNetwork(*spikes, SpikeAnd([*spikes, nn.MaxPool1d(1)]), SpikeIand(spikes), affine, num_steps=2)
    with pytest.raises(ValueError, match=r"^branch: got what Linear gives in a SpikeAnd, expected the spikes"):
        SpikingNetwork(*spikes, SpikeAnd([affine]), num_steps=2)
    with pytest.raises(ValueError, match=r"^shortcut: got what Linear gives in a SpikeIand, expected the spikes"):
        SpikingNetwork(*spikes, affine, SpikeIand(spikes), num_steps=2)
    with pytest.raises(ValueError, match=r"^shortcut: got what stands before its list in a SpikeAnd"):
        SpikingNetwork(*spikes, Residual([SpikeAnd(spikes)]), affine, num_steps=2)


def test_a_system_has_a_state_for_each_step_of_a_delay() -> None:
    network = SpikingNetwork(nn.Linear(4, 3), Delay(2), LIF(0.5), nn.Linear(3, 2), num_steps=4)
    assert system(network).A.shape == (9, 9)


Sides = tuple[int, ...]


@st.composite
def windows(draw: st.DrawFn) -> tuple[MaxWindows, Sides]:
    """Windows along one axis or two, and the shape of signals with one axis more: channels, then unequal sides."""
    axes = draw(st.integers(1, 2))

    def each(low: int, high: int) -> Sides:
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    size = each(1, 3)
    padding = tuple(draw(st.integers(0, side // 2)) for side in size)
    made = MaxWindows(size, each(1, 3), padding, each(1, 2), draw(st.booleans()))
    return made, (draw(st.integers(1, 3)), *each(2, 6))


def held(made: MaxWindows, features: Sides, output: Sides) -> list[int]:
    """Return the flattened entries of one window, the first place first, without those in the padding."""
    channel, *window = output
    found = []
    for inside in itertools.product(*map(range, made.size)):
        steps = zip(window, made.stride, made.padding, inside, made.dilation, strict=True)
        at = [place * stride - padding + k * dilation for place, stride, padding, k, dilation in steps]
        if all(0 <= entry < side for entry, side in zip(at, features[1:], strict=True)):
            index = channel
            for entry, side in zip(at, features[1:], strict=True):
                index = index * side + entry
            found.append(index)
    return found


@given(windows())
@examples(150)
def test_places_totals_and_sharing_are_those_of_each_window(case: tuple[MaxWindows, Sides]):
    made, features = case
    signal = torch.rand(1, *features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    try:
        largest = made.largest(signal)[0]
    except ValueError:
        assume(False)
        raise
    places, total = made.places(features), made.total(signal).view(largest.shape)
    assert places.shape[:-1] == largest.shape
    assert places.shape[-1] <= made.count  # less where no window is whole
    flat, outside, counts = signal.flatten(), signal.numel(), [0] * signal.numel()
    for output in itertools.product(*map(range, largest.shape)):
        entries = held(made, features, output)
        assert sorted(entry for entry in places[output].tolist() if entry != outside) == sorted(entries)
        assert float(largest[output]) == float(flat[entries].max())
        assert float(total[output]) == pytest.approx(float(flat[entries].sum()))
        for entry in entries:
            counts[entry] += 1
    assert made.shared(features) == max(counts)


def test_windows_of_padding_alone_are_refused():
    made = MaxWindows((2,), (1,), (1,), (4,), False)
    with pytest.raises(ValueError, match="has a window that holds padding alone"):
        made.largest(torch.ones(1, 1, 3))
    assert nn.MaxPool1d(2, 1, 1, dilation=2)(torch.ones(1, 1, 3)).shape == (1, 1, 3)
