"""Gains behind synapses: against explicit matrices, sampled perturbations and the bounded real lemma."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert import DLIF, LIF, PLIF, Residual, SpikingNetwork, Synapse, gain
from spikecert.analysis import layer_operators
from spikecert.analysis.certificates.checking import check_file, load_layers, read_content, save_certificates
from spikecert.analysis.gains.gain_methods import LARGEST, filtered_gain
from spikecert.analysis.patterns import pattern_radius
from spikecert.analysis.stability import stability
from spikecert.models.circuit import UnknownNode
from spikecert.models.elements.synapses import TemporalFilter
from spikecert.testing import check_gain_bound
from support.examples import examples

NORMS = ("l1", "l2", "linf")
ORDERS = {"l1": 1.0, "l2": 2.0, "linf": math.inf}
DECAYS = st.sampled_from([0.0, 0.5, 0.9, 1.0]) | st.floats(2.0**-30, 1.0)


@st.composite
def filters(draw: st.DrawFn) -> list[TemporalFilter]:
    count = draw(st.integers(1, 2))
    return [TemporalFilter(draw(DECAYS), draw(st.integers(0, 3))) for _ in range(count)]


def matrix_of(found: list[TemporalFilter], decay: float, scale: list[float]) -> torch.Tensor:
    """Return H·diag(a)·F in float64."""
    made = TemporalFilter(decay).rows(len(scale)) * torch.tensor(scale, dtype=torch.float64)
    for item in found:
        made = made @ item.rows(len(scale))
    return made


@examples(40)
@given(filters(), DECAYS, st.lists(st.sampled_from([-1.5, 0.0, 0.5, 1.0]), min_size=1, max_size=8))
def test_no_sequence_grows_more(found: list[TemporalFilter], decay: float, scale: list[float]):
    """Sampled ones, unit vectors and all ones: these attain ℓ1→ℓq and ℓ∞→ℓq where a ≥ 0."""
    steps, matrix = len(scale), matrix_of(found, decay, scale)
    drawn = torch.randn(steps, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    worst = torch.cat([drawn, torch.eye(steps).double(), torch.ones(steps, 1).double()], 1)
    for p, q in itertools.product(NORMS, NORMS):
        bound = filtered_gain(found, decay, steps, p, q, scale)
        sizes = worst.norm(ORDERS[p], dim=0)
        seen = float(((matrix @ worst).norm(ORDERS[q], dim=0) / sizes).max())
        assert seen <= bound * (1 + 1e-12) + 1e-300
        if p != "l2" and min(scale) >= 0:
            assert bound <= seen * (1 + 1e-9) + 1e-300
    spectral = float(torch.linalg.matrix_norm(matrix_of(found, decay, [abs(a) for a in scale]), 2))
    assert filtered_gain(found, decay, steps, "l2", "l2", scale) == pytest.approx(spectral, rel=1e-6, abs=1e-200)


@pytest.mark.parametrize(("p", "q"), [*itertools.product(NORMS, NORMS)])
def test_products_hold_where_matrices_are_too_large(p: str, q: str):
    found, steps = [TemporalFilter(0.5, 2), TemporalFilter(0.3)], LARGEST + 1
    less = filtered_gain(found, 0.9, LARGEST, p, q, None)
    product = filtered_gain(found, 0.9, steps, p, q, None)
    assert product >= less
    if p == q:
        assert filtered_gain(found, 0.9, math.inf, p, q, None) == pytest.approx(10 * 2 / 0.7)
        assert product <= 10 * 2 / 0.7 * (1 + 1e-9)


def test_one_synapse_has_a_certificate():
    torch.manual_seed(0)
    layers = nn.Linear(4, 5), LIF(0.9), nn.Linear(5, 5), Synapse(0.7, 1), LIF(0.8), nn.Linear(5, 3)
    network = SpikingNetwork(*layers, num_steps=10)
    report = gain(network, method="lmi")
    assert report.check()
    assert [len(item.filters) for item in report.layers] == [0, 1]
    assert report.layers[1].neuron_gain == pytest.approx(1 / 0.3 / 0.2, rel=1e-6)
    closed = gain(network)
    assert closed.layers[1].neuron_gain < report.layers[1].neuron_gain
    assert gain(network, horizon=math.inf).layers[1].neuron_gain == pytest.approx(1 / 0.3 / 0.2, rel=1e-12)


def test_what_a_report_says_of_synapses_is_checked(tmp_path: Path):
    layers = nn.Linear(4, 5), LIF(0.9), Synapse(0.7, 1), nn.Linear(5, 5), LIF(0.8), Synapse(0.5), nn.Linear(5, 3)
    network = SpikingNetwork(*layers, num_steps=10)
    report = gain(network, method="lmi")
    save_certificates((), tmp_path / "gains.json", report)
    assert all(claim.holds for claim in check_file(tmp_path / "gains.json", network))
    assert load_layers(read_content(tmp_path / "gains.json"))[0] == report.layers
    text = (tmp_path / "gains.json").read_text()
    (tmp_path / "less.json").write_text(text.replace('"decay": 0.7', '"decay": 0.6'))
    assert not all(claim.holds for claim in check_file(tmp_path / "less.json", network))
    assert report.readout is not None
    plain = gain(SpikingNetwork(*layers[:5], layers[6], num_steps=10)).readout
    assert plain is not None
    assert report.readout.upper > 1.5 * plain.upper


@examples(60)
@given(st.integers(0, 2**31), DECAYS, DECAYS, st.integers(0, 3), st.sampled_from(NORMS), st.sampled_from(NORMS))
def test_no_layer_grows_more(seed: int, kappa: float, decay: float, delay: int, p: str, q: str):
    generator = torch.Generator().manual_seed(seed)
    shared = Residual([Synapse(kappa, delay), nn.Linear(5, 5)], [nn.Linear(5, 5), Synapse(kappa, delay)])
    scaled = DLIF(6, decay)
    scaled.input_scale.data = torch.randn(6, generator=generator)
    layers = nn.Linear(4, 5), Synapse(kappa, 1), LIF(decay, 0.3), shared, scaled, nn.Linear(5, 3)
    network = SpikingNetwork(*layers, num_steps=6).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = torch.randn(layer.weight.shape, generator=generator)
    clean, moved = (torch.rand(4, 4, generator=generator) for _ in range(2))
    check_gain_bound(network, clean, moved, input_norm=p, output_norm=q)


def test_different_synapses_in_a_sum_are_refused():
    both = Residual([nn.Linear(3, 3), Synapse(0.5)])
    network = SpikingNetwork(nn.Linear(3, 3), LIF(), both, LIF(), nn.Linear(3, 2), num_steps=4)
    with pytest.raises(UnknownNode, match=r"layers\.2 is a sum of signals that go through different synapses"):
        gain(network)


def test_analyses_that_know_no_synapse_say_so():
    first = SpikingNetwork(nn.Linear(3, 3), Synapse(), LIF(), nn.Linear(3, 2), num_steps=4).eval()
    inputs = torch.rand(2, 3)
    with pytest.raises(ValueError, match="got a synapse before its first neurons"):
        pattern_radius(first, inputs)
    report = stability(first, inputs, surrogate=True)
    assert report.radius_linf is None
    assert report.radius_l2 is None
    assert "neurons without synapses" in report.surrogate_note
    with pytest.raises(TypeError, match="network: has a synapse, and this analysis knows"):
        layer_operators(first)
    layers = nn.Linear(3, 3), PLIF(), Synapse(0.5), nn.Linear(3, 3), LIF(), nn.Linear(3, 2)
    assert gain(SpikingNetwork(*layers, num_steps=4).eval()).check()
