"""Sums, maxima and first spikes over time: run, bounds, programs and conversions against brute force."""

import copy
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import convert, gain, load, save
from spikecert.certify import L2, LInf, SpikeFlip, attack, verify
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.propagation import largest_margins
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, Linear, MarginVerifier
from spikecert.models import LIF, SpikingNetwork, network_hash
from spikecert.testing import neurons
from spikecert.training.bounds.interval_bounds import worst_logits
from support.contained import check_contained, check_line
from support.contained import on_quarters as sample_of
from support.examples import examples
from support.oracles import every_flip, least_margin

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import norse.torch as norse

SEEDS = st.integers(0, 2**31)
KINDS = ("summed", "largest", "largest affine", "first", "potential")
QUICK = Linear(PriceSearch(iterations=3))
BOUNDS = pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, QUICK], ids=lambda v: v.name)


@st.composite
def read(draw: st.DrawFn, features: int = 1, encoding: str = "direct") -> SpikingNetwork:
    """Return a float64 network on the grid with one of the readouts over time."""
    steps, generator = draw(st.integers(1, 5)), torch.Generator().manual_seed(draw(SEEDS))
    kind = draw(st.sampled_from(KINDS))
    layers: list[nn.Module] = [nn.Linear(features, 5), draw(neurons(steps)), nn.Linear(5, 3)]
    if kind == "first":
        layers.append(draw(neurons(steps)))
    elif kind != "largest affine":
        layers.append(draw(neurons(steps, reset="none")))
    readout = kind.split()[0]
    for layer in layers:
        if isinstance(layer, nn.Linear):
            for parameter in layer.parameters():
                parameter.data = (torch.randn(parameter.shape, generator=generator) * 6).round() / 4
    return SpikingNetwork(*layers, num_steps=steps, readout=readout, encoding=encoding).double().eval()


@examples(25)
@given(network=read(), seed=SEEDS)
def test_logits_are_what_the_readout_says(network: SpikingNetwork, seed: int):
    inputs, _ = sample_of(network, seed, 4, 1)
    with torch.no_grad():
        trace, logits = network.trace(inputs), network(inputs)
        last = network.layers[-1]
        if network.readout == "first":
            spikes = trace.spikes[-1]
            expected = torch.full_like(logits, -(network.num_steps + 1.0))
            for t in range(network.num_steps - 1, -1, -1):
                expected = torch.where(spikes[t] > 0, -(t + 1.0), expected)
        else:
            steps = (
                trace.potentials[-1] if isinstance(last, LIF) else torch.stack(list(map(last, trace.spikes[-1])))
            )
            expected = {"summed": steps.sum(0), "largest": steps.amax(0), "potential": steps[-1]}[network.readout]
    torch.testing.assert_close(trace.logits, expected)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(network.currents(inputs)[1], expected)


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "complete", "milp", "gain", "auto"])
@examples(40)
@given(network=read(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.125, 0.25]))
def test_verdicts_agree_with_the_pieces_of_a_line(
    verifier: str, network: SpikingNetwork, seed: int, epsilon: float
):
    check_line(network, sample_of(network, seed, 2, 1), epsilon, verifier)


@BOUNDS
@examples(48)
@given(
    network=read(3) | read(3, "none"),
    seed=SEEDS,
    epsilon=st.sampled_from([0.0, 0.05, 0.25]),
    single=st.booleans(),
)
def test_no_run_escapes(
    verifier: MarginVerifier, network: SpikingNetwork, seed: int, epsilon: float, single: bool
):
    network = network.float() if single else network
    shape = (network.num_steps, 3) if network.timed else (3,)
    check_contained(
        verifier, network, sample_of(network, seed, 3, *shape)[0], seed, (LInf(epsilon), L2(3 * epsilon)), 12
    )


@pytest.mark.parametrize("name", sorted(VERIFIERS))
@settings(max_examples=3, deadline=None)
@given(network=read(2, "none"), seed=SEEDS)
def test_flips_are_all_met(name: str, network: SpikingNetwork, seed: int):
    events = sample_of(network, seed, 2, network.num_steps, 2)[0].round()
    with torch.no_grad():
        labels = network(events).argmax(1)
    found = verify(network, events, labels, SpikeFlip(1), name, timeout=2.0, ties="strict")
    for sample, label, verdict in zip(events, labels.tolist(), found, strict=True):
        exact = least_margin(network, every_flip(sample, 1), label)
        assert verdict.status != "verified" or exact > 0
        assert verdict.status != "falsified" or exact <= 0
        assert verdict.margin is None or verdict.margin <= exact + 1e-6


@examples(30)
@given(seed=SEEDS, steps=st.integers(1, 4))
def test_margins_of_the_largest_hold_at_every_corner(seed: int, steps: int):
    """Against all values between the ends, and tight where one class is known."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.randn(steps, 2, 3, generator=generator)
    radius = torch.rand(steps, 2, 3, generator=generator)
    labels, box = torch.tensor([0, 2]), Box(middle - radius, middle + radius)
    shares = torch.rand(200, steps, 2, 3, generator=generator).mul(2).sub(1)
    values = middle + radius * torch.cat((shares, shares.sign()))
    apart = values.gather(3, labels[None, None, :, None].expand(len(values), steps, 2, 1)) - values
    lower = largest_margins(apart.amin(0), box, labels)
    best = values.amax(1)
    assert bool((best.gather(2, labels[None, :, None].expand(len(best), 2, 1)) - best >= lower - 1e-6).all())


def test_the_largest_is_told_apart_step_by_step():
    """Two classes that differ by 1 at each step, whatever the neuron does: boxes alone can't say so."""
    last = nn.Linear(1, 2, dtype=torch.float64)
    last.weight.data, last.bias.data = torch.ones(2, 1).double(), torch.tensor([1.0, 0.0]).double()
    first = nn.Linear(1, 1, dtype=torch.float64)
    first.weight.data, first.bias.data = torch.ones(1, 1).double(), torch.zeros(1).double()
    network = SpikingNetwork(first, LIF(0.5, 0.5), last, num_steps=3, readout="largest").eval()
    (verdict,) = verify(network, torch.full((1, 1), 0.5).double(), torch.tensor([0]), LInf(0.5), "trains")
    assert verdict.status == "verified"
    assert verdict.margin == pytest.approx(1.0)


def test_steps_behind_the_first_spike_do_not_count():
    """Spikes at the first of three steps, at the last, and at none."""
    first = nn.Linear(3, 3, bias=False, dtype=torch.float64)
    first.weight.data = torch.eye(3).double()
    network = SpikingNetwork(first, LIF(0.0, 0.5), num_steps=3, encoding="none", readout="first").eval()
    events = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], dtype=torch.float64)
    for verifier in (INTERVAL, TRAINS):
        ends = bounds(network, events, LInf(0.1), verifier)
        assert ends.lower.tolist() == ends.upper.tolist() == [[-1.0, -3.0, -4.0]]
        open_ends = bounds(network, events, LInf(0.6), verifier)
        assert open_ends.lower.tolist() == [[-4.0, -4.0, -4.0]]
        assert open_ends.upper.tolist() == [[-1.0, -1.0, -1.0]]


def test_who_fires_more_often_need_not_fire_first():
    """The one that subtracts twice is the later one, by one step."""
    first = nn.Linear(2, 2, bias=False, dtype=torch.float64)
    first.weight.data = torch.eye(2).double()
    layers = first, LIF(0.5, 0.5, "subtract")
    network = SpikingNetwork(*layers, num_steps=3, encoding="none", readout="first").eval()
    events = torch.tensor([[[0.0, 0.6], [0.6, 0.0], [0.6, 0.0]]], dtype=torch.float64)
    for verifier in (INTERVAL, TRAINS):
        assert verifier.margins(network, events, torch.tensor([0]), LInf(0.01)).tolist() == [-1.0]


def small(readout: str, *last: nn.Module) -> SpikingNetwork:
    torch.manual_seed(0)
    layers = nn.Linear(4, 8), LIF(0.9, 0.3), nn.Linear(8, 3)
    return SpikingNetwork(*layers, *last, num_steps=4, readout=readout).eval()


ALL = {
    "summed": small("summed", LIF(0.8, reset="none")),
    "largest": small("largest", LIF(0.8, reset="none")),
    "largest affine": small("largest"),
    "first": small("first", LIF(0.8, 0.2)),
}


@pytest.mark.parametrize("name", ALL)
def test_a_saved_network_is_the_same(tmp_path, name: str):
    network, path, inputs = ALL[name], tmp_path / "network.safetensors", torch.rand(4, 4)
    assert save(network, path) == network_hash(network)
    with torch.no_grad():
        assert torch.equal(load(path)(inputs), network(inputs))


@pytest.mark.parametrize("name", ALL)
def test_gradients_go_through(name: str):
    inputs = torch.rand(16, 4, requires_grad=True)
    network = ALL[name]
    network(inputs)[:, 0].sum().backward()
    assert float(inputs.grad.abs().sum()) > 0  # pyright: ignore[reportOptionalMemberAccess]
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    attack(network, inputs.detach(), labels, LInf(0.3), "pgd")
    gain(network)


@pytest.mark.parametrize("kind", ["interval", "trains"])
@pytest.mark.parametrize("name", ALL)
def test_no_run_is_worse_than_the_certified_loss_says(name: str, kind: str):
    network = copy.deepcopy(ALL[name]).double()
    inputs, labels = sample_of(network, 0, 6, 4)
    worst = worst_logits(network, (inputs - 0.1).clamp(0, 1), (inputs + 0.1).clamp(0, 1), labels, kind)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        with torch.no_grad():
            logits = network(LInf(0.1).sample(inputs, generator))
        assert bool((logits - logits.gather(1, labels[:, None]) <= worst + 1e-9).all())


@pytest.mark.parametrize("name", ALL)
def test_bounds_that_know_no_such_readout_say_so(name: str):
    network, inputs = ALL[name], torch.rand(1, 4)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    if network.readout != "summed":
        (verdict,) = verify(network, inputs, labels, LInf(1.0), "lirpa")
        assert verdict.status == "unknown"
        assert "no sum over time, which lirpa does not know" in verdict.reason


@pytest.mark.parametrize(
    ("layers", "readout", "told"),
    [
        ((nn.Linear(2, 2), LIF()), "summed", '"summed" needs a final neuron with reset="none"'),
        ((nn.Linear(2, 2), LIF()), "largest", '"largest" needs a final neuron with reset="none"'),
        ((nn.Linear(2, 2),), "first", "readout: got 'first' with Linear last, which it does not fit"),
        ((nn.Linear(2, 2),), "summed", "readout: got 'summed' with Linear last"),
        ((nn.Linear(2, 2),), "smallest", "readout: got 'smallest', expected one of"),
    ],
)
def test_readouts_that_do_not_fit_are_refused(layers: tuple, readout: str, told: str):
    with pytest.raises(ValueError, match=told):
        SpikingNetwork(*layers, num_steps=2, readout=readout)


class Reading(nn.Module):
    """A module that loops over time and returns what `reading` makes of all steps."""

    def __init__(self, reading, last: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = nn.Linear(4, 8), norse.LIFBoxCell(), nn.Linear(8, 3)
        self.body = norse.SequentialState(*layers, *([] if last is None else [last]))
        for layer, factor in ((layers[0], 20.0), (layers[2], 5.0)):
            layer.weight.data *= factor  # type: ignore[operator]
        self.reading = reading

    def forward(self, x: Tensor) -> Tensor:
        state, found = None, []
        for _ in range(5):
            out, state = self.body(x, state)
            found.append(out)
        return self.reading(torch.stack(found))


@pytest.mark.parametrize(
    ("reading", "last", "readout"),
    [
        (lambda x: x.sum(0), norse.LIBoxCell, "summed"),
        (lambda x: x[-1], norse.LIBoxCell, "potential"),
        (lambda x: x.mean(0), None, "mean"),
        (lambda x: x, norse.LIBoxCell, "largest"),
        (lambda x: x, None, "largest"),
        (lambda x: x, norse.LIFBoxCell, "first"),
    ],
)
def test_conversions_find_the_readout(reading, last: type | None, readout: str):
    asked = readout if readout in ("largest", "first") else None
    module = Reading(reading, None if last is None else last())
    found = convert(module, torch.rand(16, 4), readout=asked)
    assert found.network.readout == readout
    assert found.check.matches
    assert found.check.output_error is not None
