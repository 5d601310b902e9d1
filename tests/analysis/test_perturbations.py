"""MPPD: the exact identity for every reset, the simplified recursion, and where each holds."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert.analysis import mppd, neuron_gain
from spikecert.models import DLIF, LIF, SpikingNetwork, mlp
from support.examples import examples


def network(
    reset: str, steps: int = 7, decay: float = 0.9, seed: int = 0, amount: float | None = None
) -> SpikingNetwork:
    torch.manual_seed(seed)
    neuron = DLIF(steps, decay=decay, reset=reset, threshold=0.3, reset_amount=amount)
    net = mlp((6, 9, 8, 3), steps, neuron).double()
    for neuron in net.neurons:
        neuron.input_scale.data = torch.randn(steps).double()  # type: ignore[union-attr]
    return net


@pytest.mark.parametrize(
    ("reset", "amount"), [("zero", None), ("subtract", None), ("subtract", 0.5), ("none", None)]
)
@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
def test_the_identity_is_exact_for_every_reset(reset: str, amount: float | None, decay: float) -> None:
    net = network(reset, decay=decay, amount=amount)
    x = torch.randn(5, 6, dtype=torch.float64)
    result = mppd(net, x, x + 0.3 * torch.randn_like(x), include_input_scale=True)
    assert result.identity_error() < 1e-13
    for exact, simplified, reset_term in zip(result.exact, result.simplified, result.reset_term, strict=True):
        response = torch.zeros_like(exact[0])
        for t in range(len(exact)):
            response = decay * response + reset_term[t]
            torch.testing.assert_close(exact[t], simplified[t] - response, rtol=0, atol=1e-12)


def test_a_corrupted_reset_term_breaks_the_identity() -> None:
    import dataclasses

    x = torch.rand(5, 6, dtype=torch.float64) * 3
    result = mppd(network("zero"), x, x + torch.randn_like(x))
    assert any(bool(term.any()) for term in result.reset_term)
    forgotten = tuple(torch.zeros_like(term) for term in result.reset_term)
    assert dataclasses.replace(result, reset_term=forgotten).identity_error() > 0.01


def test_the_authors_variant_leaves_the_input_scale_out() -> None:
    net, x = network("zero"), torch.randn(4, 6, dtype=torch.float64)
    y = x + 0.1
    paper, authors = mppd(net, x, y, include_input_scale=True), mppd(net, x, y)
    first = net.layers[0]
    assert isinstance(first, nn.Linear)
    w = (x - y) @ first.weight.T
    state = torch.zeros_like(w)
    for t in range(net.num_steps):
        state = 0.9 * state + w
        torch.testing.assert_close(authors.simplified[0][t], state)
    assert not torch.allclose(paper.simplified[0], authors.simplified[0])
    assert paper.include_input_scale
    assert not authors.include_input_scale


@given(seed=st.integers(0, 10_000), reset=st.sampled_from(["zero", "subtract"]))
@examples(60)
def test_gains_hold_for_the_true_potential_while_trains_agree(seed: int, reset: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = SpikingNetwork(nn.Linear(4, 5), LIF(0.9, reset=reset), nn.Linear(5, 2), num_steps=6).double()
    x = 2 * torch.rand(8, 4, generator=generator, dtype=torch.float64)
    y = x + 1e-3 * torch.randn(8, 4, generator=generator, dtype=torch.float64)
    same = (net.trace(x).spikes[0] == net.trace(y).spikes[0]).all(0)
    result = mppd(net, x, y)
    exact, drive = result.exact[0].norm(dim=0), result.drive[0].norm(dim=0)
    assert bool((exact[same] <= neuron_gain(0.9, 6) * drive[same] + 1e-12).all())
    if reset == "subtract":
        torch.testing.assert_close(result.exact[0][:, same], result.simplified[0][:, same])


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_gains_fail_for_the_true_potential_where_trains_differ(reset: str) -> None:
    net = SpikingNetwork(nn.Linear(1, 1), LIF(0.9, reset=reset), nn.Linear(1, 1), num_steps=4).double()
    net.load_state_dict({"layers.0.weight": torch.ones(1, 1), "layers.0.bias": torch.zeros(1),
                         "layers.2.weight": torch.ones(1, 1), "layers.2.bias": torch.zeros(1)})  # fmt: skip
    x = torch.tensor([[1.0]]).double()
    result = mppd(net, x, x - 1e-6)
    assert result.exact[0].norm().item() > 1e4 * neuron_gain(0.9, 4) * result.drive[0].norm().item()


@pytest.mark.parametrize(
    ("clean", "perturbed", "error"),
    [
        (torch.rand(3, 6), torch.rand(3, 6), TypeError),
        (torch.rand(3, 6).double(), torch.rand(2, 6).double(), ValueError),
        (torch.rand(3, 6).double(), torch.full((3, 6), float("nan")).double(), ValueError),
        (torch.rand(0, 6).double(), torch.rand(0, 6).double(), ValueError),
    ],
)
def test_must_raise(clean: torch.Tensor, perturbed: torch.Tensor, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^(inputs|perturbed): got"):
        mppd(network("zero"), clean, perturbed)


def test_nan_in_the_weights_is_refused() -> None:
    net = network("zero")
    net.layers[0].weight.data[0, 0] = float("nan")  # type: ignore[union-attr, operator]
    with pytest.raises(ValueError, match=r"^network: layers\.0\.weight"):
        mppd(net, torch.rand(1, 6).double(), torch.rand(1, 6).double())
