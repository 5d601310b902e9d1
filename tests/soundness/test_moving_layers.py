"""No allowed image escapes the bounds of networks with layers that move numbers, spread them or average them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikecert import LInf, SpikingNetwork, gain
from spikecert.certify import L2
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.replay import margins
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import INTERVAL, TRAINS, Linear, MarginVerifier
from spikecert.testing import check_gain_bound, check_sound, image_networks
from spikecert.testing.networks import MOVES

BOUNDS = pytest.mark.parametrize(
    "verifier",
    [INTERVAL, TRAINS, pytest.param(Linear(PriceSearch(iterations=4)), marks=pytest.mark.slow)],
    ids=lambda verifier: verifier.name,
)


@BOUNDS
@pytest.mark.parametrize("move", MOVES)
@settings(max_examples=3, deadline=None)
@given(st.data(), st.integers(0, 2**31), st.sampled_from([0.0, 0.05, 0.25]))
def test_no_image_escapes(verifier: MarginVerifier, move: str, data: st.DataObject, seed: int, epsilon: float):
    network = data.draw(image_networks(4, 2, 3, pools=("average",), moves=(move, move, move)))
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(3, 1, 4, 4, generator=generator).to(network.dtype)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
        for threat in (LInf(epsilon), L2(3 * epsilon)):
            lower = verifier.margins(network, inputs, labels, threat)
            ends = bounds(network, inputs, threat, verifier)
            for _ in range(12):
                logits = network(threat.sample(inputs, generator)).double()
                assert bool((margins(logits, labels) >= lower).all())
                assert bool(((logits >= ends.lower) & (logits <= ends.upper)).all())


@pytest.mark.slow
@pytest.mark.parametrize("move", MOVES)
@settings(max_examples=1, deadline=None)
@given(st.data())
def test_gains_and_searches_hold(move: str, data: st.DataObject):
    network: SpikingNetwork = data.draw(image_networks(4, 2, 2, pools=("average",), moves=(move, move, move)))
    inputs = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)).to(network.dtype)
    assert gain(network, input_shape=(1, 4, 4)).check()
    check_gain_bound(network, inputs, (inputs + 0.1).clamp(0, 1))
    for name in ("complete", "milp"):
        check_sound(network, inputs, LInf(0.02), name, timeout=0.3, count=6)
