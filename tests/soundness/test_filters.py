"""Synapses and delays: bounds against sampling and exact answers, in float32 too, at ties and worst constants."""

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import load, save
from spikecert.certify import L2, LInf, Perturbation, attack, verify
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.prices.stages import staged
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.signals.derived import FilteredSignal
from spikecert.certify.bounds.signals.signals import InputSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.trains import step_spikes, train_spikes, window_spikes
from spikecert.certify.branching.nodes.leaves import _step_region
from spikecert.certify.milp.encoding import encode
from spikecert.certify.milp.program import Closing
from spikecert.certify.replay import margins
from spikecert.certify.rounding import Rounding
from spikecert.certify.verification import bounds
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, Complete, Gain, Linear, MarginVerifier
from spikecert.models import DLIF, LIF, Residual, SpikingNetwork, Synapse, network_hash
from spikecert.models.circuit import Filtered, circuit
from spikecert.models.elements.layers import walk
from spikecert.models.elements.synapses import TemporalFilter
from spikecert.testing import neurons
from spikecert.training.bounds.interval_bounds import worst_logits
from support.contained import check_flips, check_line
from support.examples import examples
from support.milp import reaches
from support.oracles import least_margin, line_margin
from support.readouts import READOUTS, read_out

SEEDS = st.integers(0, 2**31)
RADII = st.sampled_from([0.0, 0.02, 0.1, 0.25])
QUICK = Linear(PriceSearch(iterations=3))
BOUNDS = pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, QUICK], ids=lambda v: v.name)
ALL_BOUNDS = pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, QUICK, Gain()], ids=lambda v: v.name)
CODED = "direct", "none", "rate"
KAPPAS = st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]) | st.floats(2.0**-100, 1.0)


@st.composite
def synapses(draw: st.DrawFn) -> Synapse:
    return Synapse(draw(KAPPAS), draw(st.sampled_from([0, 0, 1, 2, 5])))


@st.composite
def filtered_networks(
    draw: st.DrawFn,
    features: int = 3,
    first: bool = True,
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float64),
    encodings: tuple[str, ...] = ("direct", "direct", "none"),
    most_steps: int = 5,
    neuron: LIF | None = None,
) -> SpikingNetwork:
    """Return a network with synapses before or behind its dense layers, in sums, and behind pools.

    Args:
        features: of the input.
        first: whether one may stand before the first spikes.
        dtypes, encodings: what to choose from.
        most_steps: T.
        neuron: of every spiking layer, and then no pool; None: any of `neurons`.
    """
    steps, width = draw(st.integers(1, most_steps)), draw(st.integers(2, 4))

    def one() -> list[nn.Module]:
        """Return a synapse."""
        return [draw(synapses())]

    def fires() -> LIF:
        """Return a neuron."""
        return draw(neurons(steps)) if neuron is None else copy.deepcopy(neuron)

    before = one() if first and draw(st.booleans()) else []
    summed = Residual([nn.Linear(width, width), *one()], draw(st.sampled_from([[], one()])))
    bodies = {
        "before": [nn.Linear(width, width), *one(), fires()],
        "behind": [*one(), nn.Linear(width, width), fires()],
        "twice": [*one(), nn.Linear(width, width), *one(), fires()],
        "sum": [summed, fires()],
        "pool": [*one(), nn.MaxPool1d(2, 1, 1), *one(), nn.Linear(width + 1, width), fires()],
        "last": [],
    }
    kind = draw(st.sampled_from(sorted(bodies.keys() - ({"pool"} if neuron else set()))))
    end = one() if kind == "last" else draw(st.sampled_from([[], one()]))
    layers = nn.Linear(features, width), *before, fires(), *bodies[kind], *end, nn.Linear(width, 3)
    layers = (*layers, draw(synapses())) if draw(st.integers(0, 5)) == 0 else layers
    network = SpikingNetwork(*layers, num_steps=steps, encoding=draw(st.sampled_from(encodings)))
    filled(network, draw(st.booleans()), torch.Generator().manual_seed(draw(SEEDS)))
    return network.to(draw(st.sampled_from(dtypes))).eval()


def filled(network: SpikingNetwork, grid: bool, generator: torch.Generator) -> None:
    """Draw weights, perhaps on a grid of quarters: there currents lie on thresholds."""
    for layer in walk(network.layers):
        if isinstance(layer, nn.Linear):
            for parameter in layer.parameters():
                drawn = torch.randn(parameter.shape, generator=generator) * 1.5
                parameter.data = (drawn * 4).round() / 4 if grid else drawn


def batch_of(network: SpikingNetwork, seed: int, size: int = 3, features: int = 3) -> tuple[Tensor, Tensor]:
    """Return inputs, on a grid for every other seed, and the network's own answers."""
    shape = (network.num_steps, features) if network.timed else (features,)
    drawn = torch.rand(size, *shape, generator=torch.Generator().manual_seed(seed))
    inputs = ((drawn * 4).round() / 4 if seed % 2 else drawn).to(network.dtype)
    with torch.no_grad():
        return inputs, network(inputs).argmax(1)


def candidates(threat: Perturbation, inputs: Tensor, generator: torch.Generator, count: int = 8) -> list[Tensor]:
    """Return samples of the set and, of a box, some of its corners."""
    found = [threat.sample(inputs, generator) for _ in range(count)]
    if not isinstance(threat, LInf):
        return found
    ends = threat.enclosure(inputs)
    drawn = [torch.rand(inputs.shape, generator=generator) < 0.5 for _ in range(count)]
    return found + [torch.where(corner, ends.lower, ends.upper).to(inputs) for corner in drawn]


@BOUNDS
@settings(max_examples=8, deadline=None)
@given(filtered_networks(encodings=CODED), st.sampled_from(READOUTS), RADII, SEEDS)
def test_no_run_escapes(
    verifier: MarginVerifier, network: SpikingNetwork, readout: str, epsilon: float, seed: int
):
    check_runs(verifier, read_out(network, readout), epsilon, seed, 4)


@pytest.mark.slow
@ALL_BOUNDS
@settings(max_examples=200, deadline=None)
@given(filtered_networks(encodings=CODED, most_steps=8), st.sampled_from(READOUTS), RADII, SEEDS)
def test_no_run_of_many_networks_escapes(
    verifier: MarginVerifier, network: SpikingNetwork, readout: str, epsilon: float, seed: int
):
    check_runs(verifier, read_out(network, readout), epsilon, seed, 8)


def check_runs(verifier: MarginVerifier, network: SpikingNetwork, epsilon: float, seed: int, count: int) -> None:
    """Run inputs of a box and a ball, in the run's dtype and in float64."""
    inputs, labels = batch_of(network, seed)
    generator = torch.Generator().manual_seed(seed)
    for threat in (LInf(epsilon), L2(2 * epsilon)):
        lower, ends = verifier.margins(network, inputs, labels, threat), bounds(network, inputs, threat, verifier)
        moved = candidates(threat, inputs, generator, count)
        for run, candidate in itertools.product((network, copy.deepcopy(network).double()), moved):
            with torch.no_grad():
                logits = run(candidate.to(run.dtype)).double()
            assert bool((margins(logits, labels) >= lower).all())
            assert bool(((logits >= ends.lower) & (logits <= ends.upper)).all())


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "complete", "milp"])
@settings(max_examples=5, deadline=None)
@given(filtered_networks(1, dtypes=(torch.float64,), encodings=("direct",), most_steps=4), SEEDS, RADII)
def test_verdicts_agree_with_the_pieces_of_a_line(
    verifier: str, network: SpikingNetwork, seed: int, epsilon: float
):
    check_line(network, batch_of(network, seed, 2, 1), epsilon, verifier, timeout=1.0)


@examples(36)
@given(
    filtered_networks(1, first=False, dtypes=(torch.float64,), encodings=("direct",), most_steps=4),
    SEEDS,
    st.sampled_from([0.125, 0.25]),
)
def test_the_search_decides_filters_of_spikes(network: SpikingNetwork, seed: int, epsilon: float):
    """With the first layer's trains all that is filtered is decided."""
    inputs, labels = batch_of(network, 2 * (seed // 2) + 1, 2, 1)
    searched = Complete(enumeration=None)
    for sample, label, found in zip(
        inputs, labels, verify(network, inputs, labels, LInf(epsilon), searched), strict=True
    ):
        low, high = (float((sample + e).clamp(0, 1)) for e in (-epsilon, epsilon))
        exact = line_margin(network, low, high, int(label))
        assert found.status != "unknown" or "within the rounding error" in found.reason
        assert found.status != "verified" or exact > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", sorted(VERIFIERS))
def test_flips_of_filtered_events_are_all_met(name: str, dtype: torch.dtype):
    """The synapse stands first: an event that is flipped counts at each later step."""
    for seed in range(4):
        layers = Synapse(0.5, seed % 2), nn.Linear(2, 3), LIF(0.5, 0.5), Synapse(0.75), nn.Linear(3, 3)
        network = SpikingNetwork(*layers, num_steps=3, encoding="none")
        filled(network, True, torch.Generator().manual_seed(seed))
        network = network.to(dtype).eval()
        events = torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(seed)).round().to(dtype)
        check_flips(network, events, name)


@pytest.mark.parametrize("spikes", [step_spikes, window_spikes])
@examples(36)
@given(filtered_networks(), SEEDS)
def test_no_step_and_no_sum_over_time_escapes(spikes, network: SpikingNetwork, seed: int):
    """Of each synapse of a network, for rows of either sign and of both."""
    inputs, _ = batch_of(network, seed)
    made, threat, generator = circuit(network), LInf(0.1), torch.Generator().manual_seed(seed)
    rows = torch.randn(6, made.num_steps, generator=generator, dtype=torch.float64)
    rows[:2], rows[2:4] = rows[:2].abs(), -rows[2:4].abs()
    known = propagate(made, input_signal(made, threat.enclosure(inputs)), spikes, Rounding(made.dtype))
    filters = {node.name: known[index] for index, node in enumerate(made.nodes) if isinstance(node, Filtered)}
    for candidate in candidates(threat, inputs, generator, 4):
        for name, run in signals_of(network, candidate, filters).items():
            steps, sums = filters[name].steps(), filters[name].combine(rows)
            assert bool(((run >= steps.lower) & (run <= steps.upper)).all())
            assert bool((run.abs() <= filters[name].magnitude()).all())
            summed = torch.tensordot(rows, run, 1)
            assert bool(((summed >= sums.lower) & (summed <= sums.upper)).all())


def signals_of(network: SpikingNetwork, inputs: Tensor, names) -> dict[str, Tensor]:
    """Return what modules of these names give, (T, batch, ...), in float64."""
    found: dict[str, Tensor] = {}
    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda *told, name=name: found.__setitem__(name, told[-1].double())
        )
        for name in names
    ]
    with torch.no_grad():
        network(inputs)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kappa", [0.0, 2.0**-20, 0.1, 0.9, 1 - 2.0**-12, 1.0])
@pytest.mark.parametrize("size", [1e-36, 1.0, 1e30])
def test_the_slack_covers_the_recursion(dtype: torch.dtype, kappa: float, size: float):
    """At the corners of a box and in between, over 200 steps; the exact filter is summed up in decimals' stead by
    float64 with its own error far below the run's."""
    steps, generator = 200, torch.Generator().manual_seed(0)
    filtered = TemporalFilter(kappa, 1)
    synapse = Synapse(kappa, 1)
    low = torch.zeros(steps, 4, 5, dtype=torch.float64)
    source = InputSignal(Box(low, low + torch.tensor(size, dtype=dtype)), steps)
    known = FilteredSignal(source, filtered, Rounding(dtype))
    for trial in range(6):
        x = torch.rand(steps, 4, 5, generator=generator, dtype=torch.float64)
        x = (x.round() if trial % 2 else x).to(dtype) * size
        run = synapse(x, steps).double()
        exact = torch.tensordot(filtered.rows(steps), x.double(), 1)
        assert bool(((run - exact).abs() <= known.slack).all())
        box = known.steps()
        assert bool(((run >= box.lower) & (run <= box.upper)).all())
        assert bool((run.abs() <= known.magnitude()).all())


def test_chains_pay_for_the_rounding_before_a_filter():
    """What a wide dense layer rounds off is summed up by the synapse."""
    generator = torch.Generator().manual_seed(0)
    layers = nn.Linear(1, 999), LIF(0.9, 0.3), nn.Linear(999, 2), Synapse(1.0), LIF(0.9), nn.Linear(2, 2)
    network = SpikingNetwork(*layers, num_steps=2).eval()
    layers[0].weight.data = torch.rand(999, 1, generator=generator)
    layers[2].weight.data = torch.randn(2, 999, generator=generator) * 1e4
    inputs = torch.full((1, 1), 0.5)
    known = staged(circuit(network), LInf(0.01).enclosure(inputs.double()), sums=True)
    assert known is not None
    branch, none = known.stages[1].branches[0], torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        trace = network.trace(inputs)
        prices = trace.currents[1].double()
        exact = branch.carried([inputs[None].double(), trace.spikes[0].double()], prices, none)
        plain = nn.functional.linear(trace.spikes[0].double(), layers[2].weight.double(), layers[2].bias.double())
    torch.testing.assert_close(exact, plain.cumsum(0))
    error = float((prices - exact).abs().max())
    plainly = SpikingNetwork(*layers[:3], *layers[4:], num_steps=2).eval()
    without = staged(circuit(plainly), LInf(0.01).enclosure(inputs.double()))
    assert without is not None
    assert 0 < error <= float(branch.chain.slack.min())
    assert bool((branch.chain.slack >= 2 * without.stages[1].chain.slack).all())


@settings(max_examples=8, deadline=None)
@given(filtered_networks(1, encodings=("direct", "none"), most_steps=3), SEEDS)
def test_every_run_is_a_point_of_the_closed_program(network: SpikingNetwork, seed: int):
    inputs, _ = batch_of(network, seed, 1, 1)
    threat, generator = LInf(0.25), torch.Generator().manual_seed(seed)
    closed = encode(circuit(network), threat.enclosure(inputs.double()), Closing(True))
    for candidate in (inputs, *candidates(threat, inputs, generator, 1)):
        with torch.no_grad():
            logits = network(candidate)[0].double().numpy()
        assert reaches(closed, candidate, logits)


@pytest.mark.parametrize("kind", ["interval", "trains"])
@settings(max_examples=8, deadline=None)
@given(filtered_networks(dtypes=(torch.float64,)), SEEDS, RADII)
def test_no_run_is_worse_than_the_certified_loss_says(
    kind: str, network: SpikingNetwork, seed: int, epsilon: float
):
    inputs, labels = batch_of(network, seed)
    worst = worst_logits(network, (inputs - epsilon).clamp(0, 1), (inputs + epsilon).clamp(0, 1), labels, kind)
    for candidate in candidates(LInf(epsilon), inputs, torch.Generator().manual_seed(seed)):
        with torch.no_grad():
            logits = network(candidate)
        assert bool((logits - logits.gather(1, labels[:, None]) <= worst + 1e-9).all())


@settings(max_examples=8, deadline=None)
@given(filtered_networks(dtypes=(torch.float64,), neuron=LIF(1.0, 0.5, "subtract")), SEEDS, RADII)
def test_no_run_is_worse_than_bounds_of_counts_say(network: SpikingNetwork, seed: int, epsilon: float):
    inputs, labels = batch_of(network, seed)
    worst = worst_logits(network, (inputs - epsilon).clamp(0, 1), (inputs + epsilon).clamp(0, 1), labels, "prefix")
    for candidate in candidates(LInf(epsilon), inputs, torch.Generator().manual_seed(seed)):
        with torch.no_grad():
            logits = network(candidate)
        assert bool((logits - logits.gather(1, labels[:, None]) <= worst + 1e-9).all())


def test_trains_are_joint_behind_a_synapse():
    """One neuron spikes once, at the third or fourth step: what sums all steps up is 1 at the end, not 0 to 2."""
    first = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.ones_(first.weight)
    layers = first, LIF(1.0, 1.0), Synapse(1.0), nn.Linear(1, 2, dtype=torch.float64)
    made = circuit(SpikingNetwork(*layers, num_steps=5).eval())
    source = input_signal(made, LInf(0.03).enclosure(torch.full((1, 1), 0.33, dtype=torch.float64)))
    found = propagate(made, source, step_spikes, Rounding(made.dtype))[3]
    torch.testing.assert_close(found.steps().lower.flatten(), torch.tensor([0.0, 0, 0, 1, 1]).double())
    torch.testing.assert_close(found.steps().upper.flatten(), torch.tensor([0.0, 0, 1, 1, 1]).double())


def test_programs_decide_what_bounds_leave_open():
    """Two neurons one of which must spike first: their filtered sum is at least 1, neuron by neuron 0."""
    first = nn.Linear(1, 2, dtype=torch.float64)
    first.weight.data, first.bias.data = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([0.0, 1.0]).double()
    last = nn.Linear(2, 2, bias=False, dtype=torch.float64)
    last.weight.data = torch.tensor([[1.0, 1.0], [0.5, 0.5]], dtype=torch.float64)
    network = SpikingNetwork(first, LIF(0.5, 0.45), Synapse(0.5), last, num_steps=2).eval()
    inputs, labels = torch.full((1, 1), 0.5, dtype=torch.float64), torch.zeros(1, dtype=torch.long)
    assert verify(network, inputs, labels, LInf(0.5), "trains")[0].status == "unknown"
    for name in ("milp", "complete"):
        assert verify(network, inputs, labels, LInf(0.5), name)[0].status == "verified"


@settings(max_examples=8, deadline=None)
@given(
    filtered_networks(1, dtypes=(torch.float64,), encodings=("direct", "none"), most_steps=3),
    SEEDS,
    st.sampled_from([0.125, 0.25]),
)
def test_the_search_decides_filtered_first_currents(network: SpikingNetwork, seed: int, epsilon: float):
    inputs, labels = batch_of(network, 2 * (seed // 2) + 1, 2, 1)
    found = verify(network, inputs, labels, LInf(epsilon), Complete(enumeration=None))
    for sample, label, verdict in zip(inputs, labels.tolist(), found, strict=True):
        assert verdict.status != "unknown" or "within the rounding error" in verdict.reason
        moved = LInf(epsilon).sample(sample.expand(200, *sample.shape), torch.Generator().manual_seed(seed))
        assert verdict.status != "verified" or least_margin(network, moved, label) > 0


@pytest.mark.parametrize("encoding", ["direct", "none"])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_a_leaf_holds_the_inputs_of_its_trains(encoding: str, reset: str):
    """Of a decided first layer behind a synapse: inputs lie in its region iff their trains agree."""
    generator = torch.Generator().manual_seed(0)
    layers = nn.Linear(2, 3), Synapse(0.6, 1), nn.Linear(3, 3), LIF(0.8, 0.5, reset), nn.Linear(3, 2)
    network = SpikingNetwork(*layers, num_steps=4, encoding=encoding).double().eval()
    filled(network, False, generator)
    network = network.double()
    inputs, _ = batch_of(network, 2, 40, 2)
    with torch.no_grad():
        spikes = network.trace(inputs).spikes[0]
    seen = set()
    for index in range(4):
        known = staged(circuit(network), LInf(0.0).enclosure(inputs[[index]]), train_spikes, sums=True)
        assert known is not None
        region = _step_region(known.stages[0], len(known.source.box.lower))
        for other in range(40):
            inside = bool((region.matrix @ inputs[other].flatten().numpy() <= region.limit + 1e-9).all())
            assert inside == torch.equal(spikes[:, other], spikes[:, index])
            seen.add(inside)
    assert seen == {True, False}


@pytest.mark.parametrize(
    "before",
    [[Residual([Synapse(0.5)])], [Synapse(0.5), nn.MaxPool1d(2, 1, 1), Synapse(0.5)]],
    ids=["sum", "pool"],
)
def test_the_search_says_that_it_stops_at_several_filters_before_the_first_spikes(before: list[nn.Module]):
    torch.manual_seed(1)
    width = 4 if len(before) == 1 else 5
    layers = nn.Linear(2, 4), *before, LIF(0.5, 0.5), nn.Linear(width, 2)
    network, inputs = SpikingNetwork(*layers, num_steps=3).eval(), torch.full((1, 2), 0.5)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    (found,) = verify(network, inputs, labels, LInf(0.5), Complete(enumeration=None, programs=None))
    assert found.status == "falsified" or found.reason == "branching does not reach this network"
    known = staged(circuit(network), LInf(0.5).enclosure(inputs.double()), sums=True)
    assert known is not None
    assert not known.gated


def test_a_mean_is_taken_behind_a_synapse():
    """The mean of what is filtered is not the filtered mean: 1 + 1.5 + 1.75 over 3."""
    first = nn.Linear(1, 2, bias=False)
    first.weight.data = torch.tensor([[1.0], [0.0]])
    network = SpikingNetwork(first, Synapse(0.5), nn.Flatten(), num_steps=3).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(torch.ones(1, 1)), torch.tensor([[4.25 / 3, 0.0]]))
    (verdict,) = verify(network, torch.ones(1, 1), torch.tensor([0]), LInf(0.01), "trains")
    assert verdict.margin == pytest.approx(0.99 * 4.25 / 3, rel=1e-4)


@examples(36)
@given(filtered_networks(), SEEDS, st.integers(1, 3))
def test_a_run_in_parts_is_the_whole_run(network: SpikingNetwork, seed: int, part: int):
    inputs, _ = batch_of(network, seed)
    inputs.requires_grad_()
    found = []
    for network.steps_at_once in (None, part):
        logits = network(inputs)
        found.append((logits, *torch.autograd.grad(logits.sum(), inputs)))
    (whole, gradient), (again, other) = found
    torch.testing.assert_close(again, whole)
    torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-4)


@settings(max_examples=8, deadline=None)
@given(network=filtered_networks(), seed=SEEDS)
def test_a_saved_network_is_the_same(tmp_path_factory, network: SpikingNetwork, seed: int):
    path = tmp_path_factory.mktemp("saved") / "network.safetensors"
    assert save(network, path) == network_hash(network)
    again, (inputs, _) = load(path), batch_of(network, seed)
    with torch.no_grad():
        assert torch.equal(again(inputs), network(inputs))


@pytest.mark.parametrize("kappa", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("delay", [0, 1, 4, 7])
def test_a_synapse_is_its_recursion(kappa: float, delay: int):
    x = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected, current = [], torch.zeros(2, 3, dtype=torch.float64)
    for t in range(5):
        current = kappa * current + (x[t - delay] if t >= delay else 0.0)
        expected.append(current)
    torch.testing.assert_close(Synapse(kappa, delay)(x, 5), torch.stack(expected))
    rows = TemporalFilter(kappa, delay).rows(5)
    torch.testing.assert_close(torch.tensordot(rows, x, 1), torch.stack(expected))


def test_behind_a_constant_current_a_synapse_is_an_input_scale():
    scaled = DLIF(6, 0.8, 0.7)
    scaled.input_scale.data = Synapse(0.5, 1)(torch.ones(1, 1), 6)[:, 0]
    current = torch.rand(1, 4, 20, generator=torch.Generator().manual_seed(0))
    filtered = Synapse(0.5, 1)(current, 6)
    assert torch.equal(LIF(0.8, 0.7)(filtered, 6), scaled(current, 6))


def test_attacks_go_through_a_synapse():
    torch.manual_seed(0)
    network = SpikingNetwork(
        nn.Linear(4, 8), LIF(), Synapse(0.8, 1), nn.Linear(8, 8), LIF(), nn.Linear(8, 3), num_steps=6
    )
    filled(network.eval(), False, torch.Generator().manual_seed(0))
    inputs, labels = batch_of(network, 0, 8, 4)
    assert bool(attack(network, inputs, labels, LInf(0.9), "pgd").success.any())
    inputs.requires_grad_()
    network(inputs)[:, 0].sum().backward()
    assert float(inputs.grad.abs().sum()) > 0  # pyright: ignore[reportOptionalMemberAccess]


def test_readers_that_know_no_synapse_say_so():
    network = SpikingNetwork(nn.Linear(3, 3), LIF(), Synapse(), nn.Linear(3, 2), num_steps=3).eval()
    inputs = torch.rand(1, 3)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    (verdict,) = verify(network, inputs, labels, LInf(0.01), "lirpa")
    assert verdict.status == "unknown"
    assert verdict.reason == "network: layers.2 is a node of type Filtered, which lirpa does not know"


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "a"])
def test_a_decay_that_is_no_share_is_refused(value):
    with pytest.raises((ValueError, TypeError), match="decay: got"):
        Synapse(value)


@pytest.mark.parametrize("value", [-1, 0.5, float("nan")])
def test_a_delay_that_is_no_number_of_steps_is_refused(value):
    with pytest.raises((ValueError, TypeError), match="delay: got"):
        Synapse(0.5, value)


def test_constants_that_change_later_are_checked_again():
    network = SpikingNetwork(nn.Linear(3, 3), Synapse(0.5), LIF(), nn.Linear(3, 2), num_steps=3).eval()
    for value, told in ((2.0, "decay: got 2.0"), (1e-40, "decay: got 1e-40")):
        network.layers[1].decay = value  # pyright: ignore[reportArgumentType]
        with pytest.raises(ValueError, match=told):
            circuit(network)


def test_a_subclass_is_refused():
    class Mine(Synapse):
        pass

    network = SpikingNetwork(nn.Linear(3, 3), Mine(0.5), LIF(), nn.Linear(3, 2), num_steps=3).eval()
    with pytest.raises(TypeError, match=r"network: got a layer of type Mine \(layers\.1\)"):
        circuit(network)


def test_a_signal_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a Synapse was given 2 steps, expected 1 or 3"):
        Synapse()(torch.zeros(2, 1, 1), 3)
    network = SpikingNetwork(nn.Linear(1, 2), Synapse(1.0), LIF(1.0), nn.Linear(2, 2), num_steps=64).eval()
    nn.init.constant_(network.layers[0].weight, 1e37)  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        label = network(torch.ones(1, 1)).argmax(1)
    (verdict,) = verify(network, torch.ones(1, 1), label, LInf(0.1), "trains")
    assert verdict.status == "unknown"
