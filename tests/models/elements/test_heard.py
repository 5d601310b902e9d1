"""Layers of neurons with a state of their own that hear themselves: runs, bounds, and who refuses them."""

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import (
    DLIF,
    L2,
    LIF,
    MSMPPD,
    AdaptiveLIF,
    CertifiedLoss,
    CoupledLIF,
    IntegerLIF,
    LInf,
    Recurrent,
    RefractoryLIF,
    Share,
    SpikeFlip,
    SpikingNetwork,
    Synapse,
    VariedLIF,
    attack,
    bounds,
    gain,
    load,
    save,
    to_nir,
    verify,
)
from spikecert.certify import PGD
from spikecert.certify.bounds.automata.paths import from_nothing
from spikecert.certify.bounds.intervals import interval_spikes
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.trains.recurrent import FeedbackLoop
from spikecert.certify.proofs import Prover, Unproven
from spikecert.certify.rounding import Rounding
from spikecert.models import WholeDecay, circuit, network_hash
from spikecert.models.circuit import Recurred, UnknownNode
from spikecert.models.conversion.telling import told_of
from spikecert.models.elements.neurons import Run
from spikecert.models.rules import DeclaredRule, Leaky
from spikecert.testing import check_sound
from support.drawn_networks import FIRES, SHARES, THRESHOLDS, coupled_neurons, draw_weights, inputs_of
from support.oracles import every_flip

SEEDS = st.integers(0, 2**31)
SEEDS = st.integers(0, 2**31)
WIDTH = 3


OTHERS = st.one_of(
    st.builds(
        AdaptiveLIF,
        SHARES,
        THRESHOLDS,
        st.sampled_from([0.0, 0.5, 1.0]),
        SHARES,
        st.sampled_from(["subtract", "zero"]),
    ),
    st.builds(RefractoryLIF, SHARES, THRESHOLDS, st.sampled_from([0, 1, 2, None]), FIRES),
    st.builds(
        VariedLIF,
        st.lists(SHARES, min_size=WIDTH, max_size=WIDTH),
        st.lists(THRESHOLDS, min_size=WIDTH, max_size=WIDTH),
        st.sampled_from(["subtract", "zero", "none"]),
        FIRES,
    ),
)


@st.composite
def loops(draw: st.DrawFn, steps: int, most: int = 4) -> Recurrent:
    """Return a layer that hears itself, with and without a synapse; of neurons of `most` spikes a step."""
    declared = coupled_neurons(WIDTH, steps=steps).filter(lambda own: own.most <= most)
    feedback = draw(st.sampled_from([lambda: nn.Linear(WIDTH, WIDTH), Share]))()
    synapse = draw(st.sampled_from([None, None, (0.5, 0), (0.0, 1), (1.0, 1)]))
    return Recurrent(draw(st.one_of(declared, OTHERS)), feedback, None if synapse is None else Synapse(*synapse))


@st.composite
def networks(draw: st.DrawFn, encoding: str | None = None, most: int = 5) -> SpikingNetwork:
    """Return a dense network with such layers, half of them with weights on a grid of quarters."""
    grid, steps = draw(st.booleans()), draw(st.integers(1, most))
    layers: list[nn.Module] = [nn.Linear(2, WIDTH), draw(loops(steps))]
    layers += draw(st.sampled_from([[], [nn.Linear(WIDTH, WIDTH), LIF(0.5)]]))
    layers += [nn.Linear(WIDTH, WIDTH), draw(loops(steps, 1))] if draw(st.booleans()) else [nn.Linear(WIDTH, 3)]
    coding = encoding or draw(st.sampled_from(["direct", "none"]))
    made = SpikingNetwork(*layers, num_steps=steps, encoding=coding)
    generator = torch.Generator().manual_seed(draw(SEEDS))
    scale = draw(st.sampled_from([1.0, 1.5, 1.5, 2.0**-60, 2.0**40]))
    draw_weights(made, generator, scale, grid)
    return made.to(draw(st.sampled_from([torch.float32, torch.float64]))).eval()


def fed(layer: Recurrent, current: Tensor) -> Tensor:
    """Return the spikes of currents (T, batch, n): each step runs the neurons alone on all that they heard."""
    heard, waiting, i = (
        list[Tensor](),
        [torch.zeros_like(current[0])] * (layer.synapse.delay if layer.synapse else 0),
        0.0,
    )
    spikes = torch.zeros_like(current[0])
    for x in current:
        waiting = [*waiting, x + layer.feedback(spikes)]
        entering, *waiting = waiting
        i = entering if layer.synapse is None else layer.synapse.decay * i + entering
        heard.append(i)
        later = torch.zeros_like(current[len(heard) :])
        spikes = layer.neuron(torch.cat((torch.stack(heard), later)), len(current))[len(heard) - 1]
    return layer.neuron(torch.stack(heard), len(heard))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), seed=SEEDS, steps=st.integers(1, 6))
def test_a_run_is_what_the_neurons_make_of_what_they_hear_whole_and_in_parts(
    data: st.DataObject, seed: int, steps: int
) -> None:
    """On a grid, where no product rounds and thresholds are met exactly."""
    layer = data.draw(loops(steps)).double()
    for part in layer.feedback.parameters():
        part.data = (part.data * 4).round() / 4
    current = (
        torch.randn(steps, 2, WIDTH, generator=torch.Generator().manual_seed(seed)).double() * 4
    ).round() / 4
    with torch.no_grad():
        spikes = layer(current, steps)
        assert torch.equal(spikes, fed(layer, current))
        assert torch.equal(layer.run(current, steps).spikes, spikes)
        parts, residue = [], None
        for start in range(steps):
            part, residue = layer.resume(current[start : start + 1], residue, start, 1, steps)
            parts.append(part)
    assert torch.equal(torch.cat(parts), spikes)


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "complete", "milp"])
@settings(max_examples=25, deadline=None)
@given(network=networks(), seed=SEEDS, radius=st.sampled_from([0.0, 0.02, 0.25]))
def test_no_verdict_is_wrong(verifier: str, network: SpikingNetwork, seed: int, radius: float) -> None:
    check_sound(network, inputs_of(network, seed), LInf(radius), verifier, count=16, timeout=3.0)


@settings(max_examples=15, deadline=None)
@given(network=networks(), seed=SEEDS)
def test_no_verdict_about_balls_is_wrong(network: SpikingNetwork, seed: int) -> None:
    check_sound(network, inputs_of(network, seed), L2(0.2), "trains", count=16)


@settings(max_examples=20, deadline=None)
@given(network=networks("none", most=3), seed=SEEDS)
def test_flipped_events_agree_with_all_of_them(network: SpikingNetwork, seed: int) -> None:
    events = (inputs_of(network, seed, 2) > 0.5).to(network.dtype)
    with torch.no_grad():
        labels = network(events).argmax(1)
    exact = verify(network, events, labels, SpikeFlip(1), "enumeration")
    bound = verify(network, events, labels, SpikeFlip(1), "trains")
    for place, verdict in enumerate(exact):
        label = labels[place]
        with torch.no_grad():
            every = network(every_flip(events[place], 1))
        keeps = bool((every.argmax(1) == label).all())
        others = every.index_fill(1, label, -torch.inf).amax(1)
        for status in (verdict.status, bound[place].status):
            assert status != "verified" or keeps
            assert status != "falsified" or bool((every[:, label] <= others).any())  # a tie is no proof


@settings(max_examples=60, deadline=None)
@given(network=networks(), seed=SEEDS)
def test_bounds_of_one_input_hold_its_run(network: SpikingNetwork, seed: int) -> None:
    inputs = inputs_of(network, seed)
    found = bounds(network, inputs, LInf(0.0), "trains")
    with torch.no_grad():
        logits = network(inputs)
    assert bool((found.lower <= logits).all() and (logits <= found.upper).all())


@settings(max_examples=60, deadline=None)
@given(network=networks(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.05, 0.25]))
def test_no_spike_escapes_the_first_pass(network: SpikingNetwork, seed: int, epsilon: float) -> None:
    """Step by step, from nothing: later passes would hide what it forgets."""
    inputs, made, threat = inputs_of(network, seed), circuit(network), LInf(epsilon)
    rounding, generator = Rounding(made.dtype), torch.Generator().manual_seed(seed)
    below = propagate(made, input_signal(made, threat.enclosure(inputs)), interval_spikes, rounding)[1]
    node = made.nodes[2]
    assert isinstance(node, Recurred)
    assert isinstance(node.rule, DeclaredRule)
    found = from_nothing(FeedbackLoop(below, affine_map(node.feedback), rounding, node.filter), node.rule)
    rows = torch.randn(4, made.num_steps, generator=generator, dtype=torch.float64)
    steps, sums = found.steps(), found.combine(rows)
    for _ in range(6):
        with torch.no_grad():
            run = network.trace(threat.sample(inputs, generator)).spikes[0].double()
        assert bool(((run >= steps.lower) & (run <= steps.upper)).all())
        summed = torch.tensordot(rows, run, 1)
        assert bool(((summed >= sums.lower - 1e-12) & (summed <= sums.upper + 1e-12)).all())


def made(neuron: LIF | None = None, **settings: object) -> SpikingNetwork:
    """Return a recurrent adLIF, or other neurons, with weights of its own."""
    torch.manual_seed(0)
    neuron = neuron or CoupledLIF(0.75, [1.0, 0.5, 0.75], fading=0.5, jump=0.5, drive=0.25, drain=0.5)
    net = SpikingNetwork(nn.Linear(2, 3), Recurrent(neuron, nn.Linear(3, 3)), nn.Linear(3, 2), num_steps=4)
    net.layers[0].weight.data.mul_(4.0)  # type: ignore[union-attr]
    return net.eval()


@pytest.mark.parametrize("neuron", [None, AdaptiveLIF(0.75, 0.5), RefractoryLIF(0.75, 0.5)], ids=str)
def test_a_sample_is_decided_where_nothing_ties(neuron: LIF | None) -> None:
    net, inputs = made(neuron), torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    for verifier in ("interval", "trains"):
        found = verify(net, inputs, labels, LInf(1e-4), verifier)
        assert sum(verdict.status == "verified" for verdict in found) >= 35


def test_trains_that_are_known_at_no_step_come_of_the_start_alone() -> None:
    """A layer whose spikes silence it: without the first pass it would stay open at each step."""
    torch.manual_seed(0)
    loop = Recurrent(AdaptiveLIF(0.0, 1.0, 0.25), nn.Linear(2, 2, bias=False))
    nn.init.constant_(loop.feedback.weight, -2.0)  # type: ignore[arg-type]
    net = SpikingNetwork(nn.Linear(2, 2, bias=False), loop, num_steps=8, readout="spikes").eval()
    nn.init.constant_(net.layers[0].weight, 1.0)  # type: ignore[arg-type]
    found = bounds(net, torch.ones(1, 2), LInf(0.05), "interval")
    assert torch.allclose(found.lower, found.upper, atol=1e-5)


def test_a_file_holds_the_constants(tmp_path: Path) -> None:
    for net in (
        made(),
        made(AdaptiveLIF(0.5)),
        made(RefractoryLIF(0.5, rest=2)),
        made(VariedLIF([0.5, 0.25, 1.0])),
    ):
        inputs = torch.rand(5, 2)
        save(net, tmp_path / "net.safetensors")
        found = load(tmp_path / "net.safetensors")
        assert network_hash(found) == network_hash(net)
        assert torch.equal(found(inputs), net(inputs))


@pytest.mark.parametrize("neuron", [CoupledLIF(0.75, 0.5, jump=0.25, drain=0.25), AdaptiveLIF(0.75, 0.5)], ids=str)
def test_a_network_of_them_learns_its_feedback_too(neuron: LIF) -> None:
    torch.manual_seed(0)
    loop = Recurrent(neuron, nn.Linear(16, 16))
    net = SpikingNetwork(nn.Linear(4, 16), loop, nn.Linear(16, 2), num_steps=4)
    inputs = torch.rand(64, 4)
    labels, losses, before = (inputs[:, 0] > inputs[:, 1]).long(), [], loop.feedback.weight.clone()  # type: ignore[union-attr]
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert not torch.equal(before, loop.feedback.weight)  # type: ignore[arg-type]


def test_a_gradient_is_that_of_the_same_neurons_without_a_state_of_their_own() -> None:
    torch.manual_seed(0)
    plain = made(LIF(0.75, 0.5, "subtract")).double()
    other = made(CoupledLIF(0.75, 0.5, jump=0.0)).double()
    other.load_state_dict(plain.state_dict(), strict=False)
    inputs = torch.rand(9, 2).double()
    grads = []
    for net in (plain, other):
        net(inputs)[:, 0].sum().backward()
        grads.append([layer.grad for layer in net.parameters()])
    assert all(torch.allclose(one, two) for one, two in zip(*grads, strict=True))
    assert any(bool(one.any()) for one in grads[0])


@pytest.mark.parametrize("neuron", [None, AdaptiveLIF(0.75, 0.5), VariedLIF([0.5, 0.75, 1.0])], ids=str)
def test_attacks_run_on_them(neuron: LIF | None) -> None:
    net, inputs = made(neuron), torch.rand(20, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    for method in ("fgsm", PGD(steps=5), "apgd-dlr", "square"):
        assert bool(attack(net, inputs, labels, LInf(0.5), method).success.any())


def test_who_does_not_know_them_says_so() -> None:
    net, inputs = made(), torch.rand(2, 2)
    labels = torch.zeros(2, dtype=torch.long)
    with pytest.raises(
        UnknownNode, match=r"layers\.1 is a Recurrent of further states, which the analysis of gains"
    ):
        gain(net)
    with pytest.raises(UnknownNode, match=r"layers\.1 is a node of type Recurred, which the bounds of training"):
        CertifiedLoss(0.1).loss(net, inputs, labels, torch.Generator())
    with pytest.raises(Unproven, match=r"^unknown: no proof form for a Recurrent of such parts$"):
        Prover.of(net)
    with pytest.raises(TypeError, match="is a CoupledLIF of further states, expected plain leaky"):
        to_nir(net, inputs)
    with pytest.raises(TypeError, match="a CoupledLIF, which may have more numbers"):
        MSMPPD().loss(net, inputs, labels, torch.Generator())
    assert verify(net, inputs, labels, LInf(0.5), "lirpa")[0].status in ("unknown", "falsified")


def test_what_they_are_is_told() -> None:
    told = told_of(made())[1]
    assert "hears its own spikes of one step before" in told.words
    assert "v[t]" in told.latex


def test_other_neurons_are_refused() -> None:
    known = "LIF, DLIF, VariedLIF, RefractoryLIF, OneSpikeLIF, AdaptiveLIF, CoupledLIF, Neuron"
    with pytest.raises(TypeError, match=f"^neuron: got IntegerLIF, expected one of {known}$"):
        Recurrent(IntegerLIF(WholeDecay("shift", 2), 8), nn.Linear(2, 2))

    class Louder(CoupledLIF):
        def _go(
            self, current: Tensor, residue: Tensor | None, start: int, steps: int, num_steps: int
        ) -> tuple[Run, Tensor]:
            return super()._go(2.0 * current, residue, start, steps, num_steps)

    class Later(CoupledLIF):
        def step(self, current: Tensor, residue: Tensor | None, t: int, num_steps: int) -> tuple[Run, Tensor]:
            return super().step(0.5 * current, residue, t, num_steps)

    for other in (Louder(), Later()):
        with pytest.raises(TypeError, match=rf"^neuron: got {type(other).__name__}, expected one of LIF"):
            Recurrent(other, nn.Linear(2, 2))
    layer = Recurrent(CoupledLIF(), nn.Linear(2, 2))
    layer.neuron._go = lambda *rest: rest  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"another forward \(CoupledLIF: _go"):
        circuit(SpikingNetwork(nn.Linear(2, 2), layer, nn.Linear(2, 2), num_steps=2))


def test_neurons_that_are_alike_run_by_the_plain_rule() -> None:
    node = circuit(made(VariedLIF(0.5, [1.0, 1.0, 1.0]))).nodes[2]
    assert isinstance(node, Recurred)
    assert type(node.rule) is Leaky
    one, other, inputs = made(VariedLIF(0.5, [1.0, 1.0, 1.0])), made(LIF(0.5)), torch.rand(9, 2)
    assert torch.equal(one(inputs), other(inputs))
    assert torch.equal(*(bounds(net, inputs, LInf(0.1), "trains").lower for net in (one, other)))
    assert len({type(layer) for layer in itertools.chain(one.neurons, [DLIF(4)])}) == 2
