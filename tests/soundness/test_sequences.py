"""No allowed sequence escapes the bounds of networks with Conv1d, AvgPool1d and BatchNorm1d, by sampling."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import load, save
from spikecert.certify import L2, EventChange, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift, attack, verify
from spikecert.certify.attacks import ATTACKS
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.replay import margins, replays
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import INTERVAL, TRAINS, Gain, Linear, MarginVerifier
from spikecert.formats import read_vnnlib, robustness, verify_property, write_vnnlib
from spikecert.models import LIF, SpikingNetwork
from spikecert.testing import (
    check_gain_bound,
    check_mppd_identity,
    check_sandwich,
    check_sound,
    inputs,
    perturbations,
    sequence_networks,
)
from spikecert.training.bounds.interval_bounds import worst_logits
from support.examples import by_night, examples
from support.readouts import READOUTS, read_out

BOUNDS = pytest.mark.parametrize(
    "verifier", [INTERVAL, TRAINS, Linear(PriceSearch(iterations=5)), Gain()], ids=lambda v: v.name
)
SEEDS = st.integers(0, 2**31)
RADII = st.sampled_from([0.0, 0.01, 0.05, 0.2])
SMALL = sequence_networks(most_channels=2, most_steps=3)
AFFINE = ("average",)
CODED = sequence_networks(encodings=("direct", "none", "rate"))


def features(network: SpikingNetwork) -> tuple[int, ...]:
    return (network.num_steps, 1, 8) if network.timed else (1, 8)


def batch_of(network: SpikingNetwork, seed: int, size: int = 3) -> Tensor:
    drawn = torch.rand(size, *features(network), generator=torch.Generator().manual_seed(seed))
    return ((drawn * 4).round() / 4 if seed % 2 else drawn).to(network.dtype)


def labelled(network: SpikingNetwork, batch: Tensor) -> Tensor:
    with torch.no_grad():
        return network(batch).argmax(1)


def threats(network: SpikingNetwork, epsilon: float) -> list[Perturbation]:
    shares = torch.linspace(0, 1, 8).expand(features(network))
    return [LInf(epsilon), L2(3 * epsilon), PixelBox(shares * epsilon)]


@BOUNDS
@examples(60)
@given(CODED, st.sampled_from(READOUTS), RADII, SEEDS)
def test_no_sequence_escapes(
    verifier: MarginVerifier, network: SpikingNetwork, readout: str, epsilon: float, seed: int
):
    """Neither in the run's dtype nor in float64, under every encoding and readout."""
    network = read_out(network, readout)
    batch, generator = batch_of(network, seed), torch.Generator().manual_seed(seed)
    labels = labelled(network, batch)
    for threat in threats(network, epsilon):
        lower, ends = verifier.margins(network, batch, labels, threat), bounds(network, batch, threat, verifier)
        for _ in range(12):
            with torch.no_grad():
                logits = network(threat.sample(batch, generator)).double()
            assert bool((margins(logits, labels) >= lower).all())
            assert bool((logits >= ends.lower).all())
            assert bool((logits <= ends.upper).all())


@BOUNDS
@examples(40)
@given(sequence_networks(encodings=("none", "none", "direct")), st.integers(0, 3), SEEDS)
def test_no_flip_of_events_escapes(verifier: MarginVerifier, network: SpikingNetwork, count: int, seed: int):
    events, generator = batch_of(network, seed).round(), torch.Generator().manual_seed(seed)
    labels, threat = labelled(network, events), SpikeFlip(count)
    lower = verifier.margins(network, events, labels, threat)
    for _ in range(24):
        with torch.no_grad():
            assert bool((margins(network(threat.sample(events, generator)).double(), labels) >= lower).all())


@pytest.mark.parametrize("verifier", ["complete", "milp", "auto"])
@examples(40)
@given(sequence_networks(most_channels=2, most_steps=3, encodings=("direct", "none", "rate")), RADII, SEEDS)
def test_no_verdict_of_a_search_is_wrong(verifier: str, network: SpikingNetwork, epsilon: float, seed: int):
    batch = batch_of(network, seed, 2)
    check_sound(network, batch, LInf(epsilon), verifier, timeout=1.0)
    check_sound(network, batch, L2(epsilon), verifier, timeout=1.0)


@examples(40)
@given(sequence_networks(most_channels=2, most_steps=3, pools=AFFINE), RADII, SEEDS)
def test_no_verdict_of_lirpa_is_wrong(network: SpikingNetwork, epsilon: float, seed: int):
    batch = batch_of(network, seed, 2)
    for threat in threats(network, epsilon)[:2]:
        check_sound(network, batch, threat, "lirpa")


@pytest.mark.parametrize("kind", ["interval", "trains"])
@examples(40)
@given(sequence_networks(dtypes=(torch.float64,)), RADII, SEEDS)
def test_no_run_is_worse_than_the_certified_loss_says(
    kind: str, network: SpikingNetwork, epsilon: float, seed: int
):
    batch, generator = batch_of(network, seed), torch.Generator().manual_seed(seed)
    labels, threat = labelled(network, batch), LInf(epsilon)
    worst = worst_logits(network, (batch - epsilon).clamp(0, 1), (batch + epsilon).clamp(0, 1), labels, kind)
    worst.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)
    for _ in range(24):
        with torch.no_grad():
            logits = network(threat.sample(batch, generator))
        assert bool((logits - logits.gather(1, labels[:, None]) <= worst + 1e-9).all())


@examples(20)
@given(st.data(), sequence_networks(pools=AFFINE))
def test_gains_and_identities_hold(data: st.DataObject, network: SpikingNetwork):
    clean, moved = (data.draw(inputs(network, shape=(1, 8))) for _ in range(2))
    check_mppd_identity(network, clean, moved)
    for norms in (("l2", "l2"), ("linf", "linf"), ("l1", "l2")):
        check_gain_bound(network, clean, moved, input_norm=norms[0], output_norm=norms[1])


@examples(20)
@given(st.data(), CODED)
def test_verdicts_hold_under_any_threat(data: st.DataObject, network: SpikingNetwork):
    batch = data.draw(inputs(network, shape=(1, 8)))
    threat = data.draw(perturbations(("linf", "l2", "box"), features=features(network)))
    check_sound(network, batch, threat, data.draw(st.sampled_from(["interval", "trains", "linear", "gain"])))


EVENTS: dict[str, tuple[Perturbation, ...]] = {
    "spike-flip": (SpikeFlip(2),),
    "sparse-flip": (SpikeFlip(2),),
    "random-events": (SpikeFlip(2),),
    "listed-events": (SpikeFlip(2),),
    "spike-shift": (SpikeShift(None, 2),),
    "pil": (SpikeShift(None, 2),),
    "event-change": (EventChange(SpikeFlip(1), SpikeShift(None, 1)),),
}


LONG = "ensemble-fast", "square", "standard"


@pytest.mark.parametrize("name", [*sorted(set(ATTACKS) - {"ensemble", *LONG}), *by_night(*LONG)])
@settings(max_examples=5, deadline=None)
@given(sequence_networks(most_channels=2, most_steps=2), SEEDS)
def test_attacks_stay_in_their_sets(name: str, network: SpikingNetwork, seed: int):
    batch = batch_of(network, seed)
    batch = batch.round() if name in EVENTS else batch
    labels = labelled(network, batch)
    if name in ("spike-shift", "pil", "event-change") and network.encoding != "none":
        return
    for threat in EVENTS.get(name, (LInf(0.2), L2(0.4))):
        result = attack(network, batch, labels, threat, name)
        assert bool(threat.contains(result.inputs, batch).all())
        for candidate, label, broken in zip(result.inputs, labels.tolist(), result.success, strict=True):
            assert not bool(broken) or replays(network, candidate, label, result.ties)


@examples(40)
@given(CODED, st.sampled_from(READOUTS), SEEDS)
def test_a_saved_network_is_the_same(tmp_path_factory, network: SpikingNetwork, readout: str, seed: int):
    network = read_out(network, readout)
    path = tmp_path_factory.mktemp("saved") / "network.safetensors"
    save(network, path)
    again, batch = load(path), batch_of(network, seed)
    with torch.no_grad():
        assert torch.equal(again(batch), network(batch))
    labels = labelled(network, batch)
    found = [verify(each, batch, labels, LInf(0.05), "trains") for each in (network, again)]
    assert [verdict.margin for verdict in found[0]] == [verdict.margin for verdict in found[1]]


@examples(40)
@given(sequence_networks(), RADII, SEEDS)
def test_properties_hold_as_verdicts_say(network: SpikingNetwork, epsilon: float, seed: int):
    (sample,), generator = batch_of(network, seed, 1), torch.Generator().manual_seed(seed)
    label = int(labelled(network, sample[None]))
    low, high = (sample - epsilon).clamp(0, 1), (sample + epsilon).clamp(0, 1)
    prop = read_vnnlib(write_vnnlib(robustness(low, high, label, 3), "2.0"))
    found = verify_property(network, prop, "trains")
    moved = low + torch.rand(24, *low.shape, generator=generator).to(low) * (high - low)
    with torch.no_grad():
        logits = network(moved.minimum(high).maximum(low))
    broken = bool((margins(logits, torch.full((24,), label)) <= 0).any())
    assert found.status != "holds" or not broken


@settings(max_examples=4, deadline=None)
@given(SMALL, st.sampled_from(["linf", "l2"]), SEEDS)
def test_radii_are_in_order(network: SpikingNetwork, norm: str, seed: int):
    names = ("interval", "trains", "auto")
    found = check_sandwich(network, batch_of(network, seed, 2), names, norm=norm, count=4, timeout=1.0)
    assert all(low <= high for low, high in zip(found.lower, found.upper, strict=True))


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "gain", "complete", "milp"])
def test_a_pool_of_vectors_is_refused(verifier: str):
    """torch runs it, along each vector; a sequence has channels."""
    torch.manual_seed(0)
    layers = nn.AvgPool1d(3, 1, 1), nn.Linear(5, 6), LIF(0.9, 0.3), nn.Linear(6, 3)
    network, batch = SpikingNetwork(*layers, num_steps=4).eval(), torch.rand(4, 5)
    with pytest.raises(ValueError, match=r"^inputs: got features \(5,\), expected \(channels, length\)$"):
        verify(network, batch, labelled(network, batch), LInf(0.01), verifier)
