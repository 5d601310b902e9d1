"""Max pools of spikes and of currents: bounds against sampling and exact answers, at ties and thresholds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import gain, load, save
from spikecert.analysis.operators import layer_operators
from spikecert.certify import L2, LInf, attack, verify
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.bounds.propagation import input_signal, propagate
from spikecert.certify.bounds.signals.chains import PoolLines
from spikecert.certify.bounds.signals.derived import PooledSignal
from spikecert.certify.bounds.signals.windows import Box
from spikecert.certify.bounds.trains.trains import step_spikes, window_spikes
from spikecert.certify.milp.encoding import encode
from spikecert.certify.milp.program import Closing
from spikecert.certify.replay import margins
from spikecert.certify.rounding import Rounding
from spikecert.certify.verifiers import INTERVAL, TRAINS, VERIFIERS, Complete, Gain, Linear, MarginVerifier
from spikecert.models import LIF, Residual, SpikingNetwork, network_hash
from spikecert.models.circuit import Pooled, UnknownNode, circuit
from spikecert.models.elements.layers import max_windows, walk
from spikecert.testing import check_sound, image_networks, neurons, sequence_networks
from spikecert.training.bounds.interval_bounds import worst_logits
from support.contained import check_contained, check_flips, check_line
from support.contained import on_quarters as sample_of
from support.examples import examples
from support.milp import check_runs, reaches
from support.oracles import line_margin

SEEDS = st.integers(0, 2**31)
QUICK = Linear(PriceSearch(iterations=5))
BOUNDS = pytest.mark.parametrize("verifier", [INTERVAL, TRAINS, QUICK, Gain()], ids=lambda v: v.name)
MAX = ("max",)


def grid(network: SpikingNetwork, generator: torch.Generator, spread: float = 1.5) -> SpikingNetwork:
    """Draw weights on a grid of quarters: currents tie in their windows, and lie on thresholds."""
    for layer in walk(network.layers):
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            for parameter in layer.parameters():
                parameter.data = (torch.randn(parameter.shape, generator=generator) * spread * 4).round() / 4
    return network


@st.composite
def lines(draw: st.DrawFn, spikes_first: bool = False) -> SpikingNetwork:
    """Return a float64 network of one input, pooled along its neurons: of spikes, of currents, or of both."""
    steps = draw(st.integers(1, 4))
    pools = st.sampled_from([nn.MaxPool1d(2), nn.MaxPool1d(3, 1, 1), nn.MaxPool1d(2, 1, dilation=2)])
    orders = [(0, 1, 0), (0, 1, 1)] + [(1, 0, 0), (1, 1, 0), (1, 0, 1)] * (not spikes_first)
    before, behind, later = draw(st.sampled_from(orders))
    layers: list[nn.Module] = [nn.Linear(1, 6)]
    layers += [*([draw(pools)] * before), draw(neurons(steps)), *([nn.MaxPool1d(2, 1)] * behind)]
    width = nn.Sequential(*(layer for layer in layers if not isinstance(layer, LIF)))(torch.zeros(1, 1)).shape[1]
    if later:
        order = [draw(neurons(steps)), nn.MaxPool1d(2)]
        layers += [nn.Linear(width, 4), *(order if draw(st.booleans()) else order[::-1])]
        width = 2
    network = SpikingNetwork(*layers, nn.Linear(width, 3), num_steps=steps)
    return grid(network, torch.Generator().manual_seed(draw(SEEDS))).double().eval()


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "gain", "complete", "milp"])
@examples(48)
@given(network=lines(), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.125, 0.25]))
def test_verdicts_agree_with_the_pieces_of_a_line(
    verifier: str, network: SpikingNetwork, seed: int, epsilon: float
):
    check_line(network, sample_of(network, seed, 2, 1), epsilon, verifier)


@examples(40)
@given(network=lines(spikes_first=True), seed=SEEDS, epsilon=st.sampled_from([0.125, 0.25]))
def test_the_search_decides_pools_of_spikes(network: SpikingNetwork, seed: int, epsilon: float):
    """With the first layer's trains all maxima are decided."""
    inputs, labels = sample_of(network, seed, 2, 1)
    searched = Complete(enumeration=None)
    for sample, label, found in zip(
        inputs, labels, verify(network, inputs, labels, LInf(epsilon), searched), strict=True
    ):
        low, high = (float((sample + e).clamp(0, 1)) for e in (-epsilon, epsilon))
        exact = line_margin(network, low, high, int(label))
        assert found.status != "unknown" or "within the rounding error" in found.reason
        assert found.status != "verified" or exact > 0


@BOUNDS
@examples(48)
@given(
    network=image_networks(side=4, most_steps=3, pools=MAX), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.05, 0.25])
)
def test_no_image_escapes(verifier: MarginVerifier, network: SpikingNetwork, seed: int, epsilon: float):
    check_contained(
        verifier, network, sample_of(network, seed, 3, 1, 4, 4)[0], seed, (LInf(epsilon), L2(3 * epsilon)), 12
    )


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(network=image_networks(side=4, most_channels=2, most_steps=3, pools=MAX), seed=SEEDS)
def test_searches_are_sound_on_images(network: SpikingNetwork, seed: int):
    inputs, _ = sample_of(network, seed, 2, 1, 4, 4)
    for name in ("complete", "milp"):
        check_sound(network, inputs, LInf(0.02), name, timeout=0.5)


@pytest.mark.parametrize("spikes", [step_spikes, window_spikes])
@examples(40)
@given(network=sequence_networks(pools=MAX, encodings=("direct", "none")), seed=SEEDS)
def test_no_sum_over_time_escapes(spikes, network: SpikingNetwork, seed: int):
    """Of each pool of a network, for rows of either sign and of both."""
    shape = (network.num_steps, 1, 8) if network.timed else (1, 8)
    inputs, _ = sample_of(network, seed, 2, *shape)
    made, threat, generator = circuit(network), LInf(0.1), torch.Generator().manual_seed(seed)
    rows = torch.randn(6, made.num_steps, generator=generator, dtype=torch.float64)
    rows[:2], rows[2:4] = rows[:2].abs(), -rows[2:4].abs()
    known = propagate(made, input_signal(made, threat.enclosure(inputs)), spikes, Rounding(made.dtype))
    pools = [index for index, node in enumerate(made.nodes) if isinstance(node, Pooled)]
    assert pools
    ends = [(known[index].steps(), known[index].combine(rows)) for index in pools]
    for _ in range(12):
        signals = signals_of(network, threat.sample(inputs, generator))
        for index, (steps, sums) in zip(pools, ends, strict=True):
            run = signals[index - 1].double()
            assert bool(((run >= steps.lower) & (run <= steps.upper)).all())
            summed = torch.tensordot(rows, run.expand(made.num_steps, *run.shape[1:]), 1)
            assert bool(((summed >= sums.lower) & (summed <= sums.upper)).all())


def signals_of(network: SpikingNetwork, inputs: Tensor) -> list[Tensor]:
    """Return what each layer of a network without sums gives, (T or 1, batch, ...); sums as one layer."""
    found, signal = [], network.encode(inputs)
    with torch.no_grad():
        for layer in network.layers:
            if isinstance(layer, Residual):
                inner = signal
                for part in layer.branch:
                    inner = ran(part, inner, network.num_steps)
                    found.append(inner)
                signal = signal + inner
            else:
                signal = ran(layer, signal, network.num_steps)
            found.append(signal)
    return found


def ran(layer: nn.Module, signal: Tensor, steps: int) -> Tensor:
    if isinstance(layer, LIF):
        return layer(signal, steps)
    return torch.stack([layer(step) for step in signal])


def test_sums_over_time_know_more_than_steps():
    """One neuron spikes once, at the third or fourth step; the other one in its window is silent."""
    first = nn.Linear(1, 2, bias=False, dtype=torch.float64)
    first.weight.data = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    layers = first, LIF(1.0, 1.0), nn.MaxPool1d(2), nn.Linear(1, 2, dtype=torch.float64)
    made = circuit(SpikingNetwork(*layers, num_steps=5).eval())
    source = input_signal(made, LInf(0.03).enclosure(torch.full((1, 1), 0.33, dtype=torch.float64)))
    pool = propagate(made, source, step_spikes, Rounding(made.dtype))[3]
    assert isinstance(pool, PooledSignal)
    ones = torch.ones(1, 5, dtype=torch.float64)
    steps = pool.steps()
    assert (float(steps.lower.sum()), float(steps.upper.sum())) == (0.0, 2.0)
    for sign in (1.0, -1.0):
        sums = pool.combine(sign * ones)
        assert float(sums.lower) == pytest.approx(sign)
        assert float(sums.upper) == pytest.approx(sign)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", sorted(VERIFIERS))
def test_flips_of_pooled_events_are_all_met(name: str, dtype: torch.dtype):
    """The pool stands first: an event that is flipped may hide behind another one."""
    for seed in range(6):
        layers = nn.MaxPool1d(2, 1), nn.Linear(3, 4), LIF(0.5, 0.5), nn.MaxPool1d(2), nn.Linear(2, 3)
        network = SpikingNetwork(*layers, num_steps=2, encoding="none")
        network = grid(network, torch.Generator().manual_seed(seed)).to(dtype).eval()
        events = torch.rand(2, 2, 4, generator=torch.Generator().manual_seed(seed)).round().to(dtype)
        check_flips(network, events, name)


@examples(60)
@given(network=lines(), seed=SEEDS, single=st.booleans())
def test_every_run_is_a_point_of_the_closed_program(network: SpikingNetwork, seed: int, single: bool):
    network = network.float() if single else network
    check_runs(network, sample_of(network, seed, 1, 1)[0], seed)


def test_later_currents_are_no_spikes_in_a_program():
    """Two currents of −1 behind spikes: their maximum is −1, not at most their sum."""
    later = nn.Linear(2, 2)
    nn.init.constant_(later.weight, 0.25)
    nn.init.constant_(later.bias, -1.5)
    layers = nn.Linear(1, 2), LIF(0.5, 0.1), later, nn.MaxPool1d(2), nn.Linear(1, 2)
    network, inputs = SpikingNetwork(*layers, num_steps=2).eval(), torch.full((1, 1), 0.5)
    nn.init.ones_(layers[0].weight)
    closed = encode(circuit(network), LInf(0.1).enclosure(inputs.double()), Closing(True))
    with torch.no_grad():
        assert reaches(closed, inputs, network(inputs)[0].double().numpy())


def test_a_pool_hands_on_the_rounding_of_its_entries():
    first = nn.Linear(1, 4)
    first.weight.data = torch.tensor([[1.0], [30.0], [2.0], [4.0]])
    pooled, plain = (SpikingNetwork(first, *tail, num_steps=1).eval() for tail in ([nn.MaxPool1d(2)], []))
    box = LInf(0.5).enclosure(torch.full((1, 1), 0.5, dtype=torch.float64))
    found, before = (encode(circuit(net), box, Closing(True)).slack for net in (pooled, plain))
    assert found.tolist() == pytest.approx([max(before[:2]), max(before[2:])], rel=1e-5)


@pytest.mark.parametrize("kind", ["interval", "trains"])
@examples(60)
@given(network=image_networks(side=4, pools=MAX), seed=SEEDS, epsilon=st.sampled_from([0.0, 0.05]))
def test_no_run_is_worse_than_the_certified_loss_says(
    kind: str, network: SpikingNetwork, seed: int, epsilon: float
):
    network = network.double()
    inputs, labels = sample_of(network, seed, 3, 1, 4, 4)
    worst = worst_logits(network, (inputs - epsilon).clamp(0, 1), (inputs + epsilon).clamp(0, 1), labels, kind)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(12):
        with torch.no_grad():
            logits = network(LInf(epsilon).sample(inputs, generator))
        assert bool((logits - logits.gather(1, labels[:, None]) <= worst + 1e-9).all())


def test_programs_decide_what_bounds_leave_open():
    """An OR of neurons that can't both stay silent: exact in a program, open for steps and trains."""
    first = nn.Linear(1, 2, dtype=torch.float64)
    first.weight.data, first.bias.data = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([0.0, 1.0]).double()
    last = nn.Linear(1, 2, bias=False, dtype=torch.float64)
    last.weight.data = torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    for order in ([LIF(0.5, 0.45), nn.MaxPool1d(2)], [nn.MaxPool1d(2), LIF(0.5, 0.45)]):
        network = SpikingNetwork(first, *order, last, num_steps=2).eval()
        inputs = torch.full((1, 1), 0.5, dtype=torch.float64)
        labels = torch.zeros(1, dtype=torch.long)
        assert verify(network, inputs, labels, LInf(0.5), "trains")[0].status == "unknown"
        assert verify(network, inputs, labels, LInf(0.5), "milp")[0].status == "verified"
        (searched,) = verify(network, inputs, labels, LInf(0.5), "complete")
        assert searched.status == "verified"
        assert ("linear programs" in searched.reason) == isinstance(order[0], nn.MaxPool1d)


def test_a_mean_is_taken_behind_a_pool():
    """Two neurons that fire by turns: the mean of their OR is 1, the OR of their means ½."""
    first = nn.Linear(2, 2, bias=False)
    first.weight.data = torch.eye(2)
    last = nn.Linear(1, 2, bias=False)
    last.weight.data = torch.tensor([[1.0], [0.0]])
    network = SpikingNetwork(first, LIF(0.0, 0.5), nn.MaxPool1d(2), last, num_steps=2, encoding="none").eval()
    turns = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    with torch.no_grad():
        assert network(turns).tolist() == [[1.0, 0.0]]
        assert SpikingNetwork(*network.layers[:3], num_steps=2, encoding="none")(turns).tolist() == [[1.0]]
    (verdict,) = verify(network, turns, torch.tensor([0]), LInf(0.01), "trains")
    assert verdict.margin == pytest.approx(1.0, abs=1e-4)


def test_lines_stand_for_maxima():
    """At every corner of the ends, for prices of either sign, and for overlapping windows."""
    windows, generator = max_windows(nn.MaxPool1d(3, 2, 1)), torch.Generator().manual_seed(0)
    for trial in range(40):
        middle = torch.randn(2, 3, 1, 5, dtype=torch.float64, generator=generator)
        radius = torch.rand(2, 3, 1, 5, dtype=torch.float64, generator=generator) * (trial % 4)
        lower, upper = (middle - radius, middle + radius) if trial % 2 else (middle.sign().clamp_min(0),) * 2
        lines = PoolLines.of(windows, Box(lower, upper))
        samples = torch.tensor([2, 0, 1, 1])
        prices = torch.randn(2, 4, 1, 3, dtype=torch.float64, generator=generator)
        pulled, constant = lines.pulled(prices, samples)
        for _ in range(20):
            share = torch.rand(lower.shape, dtype=torch.float64, generator=generator).round()
            x = (lower + share * (upper - lower))[:, samples]
            pooled = torch.stack([windows.largest(step) for step in x])
            exact = (prices * pooled).flatten(2).sum((0, 2))
            bound = (pulled * x).flatten(2).sum((0, 2)) + constant
            assert bool((bound <= exact).all())
            if trial % 2 == 0 or trial % 4 == 0:
                torch.testing.assert_close(bound, exact)


def test_padding_never_counts():
    """Currents below 0 stay below 0 at the border, where torch pads with −∞."""
    conv, neuron = nn.Conv2d(1, 1, 1), LIF(0.5, 0.5)
    conv.weight.data.fill_(1.0)
    nn.init.constant_(conv.bias, -1.5)  # pyright: ignore[reportArgumentType]
    network = SpikingNetwork(conv, nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(4, 2), neuron, num_steps=2)
    dense = network.layers[3]
    assert isinstance(dense, nn.Linear)
    dense.weight.data, dense.bias.data = torch.tensor([[-1.0] * 4, [1.0] * 4]), torch.zeros(2)
    inputs = torch.full((1, 1, 4, 4), 0.5)
    for name in ("interval", "trains", "milp"):
        (verdict,) = verify(network.eval(), inputs, torch.tensor([0]), LInf(0.1), name)
        assert verdict.status == "verified"


@examples(40)
@given(network=image_networks(pools=MAX), seed=SEEDS)
def test_a_saved_network_is_the_same(tmp_path_factory, network: SpikingNetwork, seed: int):
    path = tmp_path_factory.mktemp("saved") / "network.safetensors"
    assert save(network, path) == network_hash(network)
    again, (inputs, _) = load(path), sample_of(network, seed, 2, 1, 6, 6)
    with torch.no_grad():
        assert torch.equal(again(inputs), network(inputs))


def small(pool: nn.Module) -> SpikingNetwork:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 2, 3), LIF(0.9, 0.3), pool, nn.Flatten(), nn.Linear(8, 3)
    return SpikingNetwork(*layers, num_steps=3).eval()


def test_attacks_go_through_a_pool():
    network = small(nn.MaxPool2d(2))
    nn.init.zeros_(network.layers[4].bias)  # pyright: ignore[reportArgumentType]
    inputs = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    assert bool(attack(network, inputs, labels, LInf(0.9), "pgd").success.any())
    moved = inputs.clone().requires_grad_()
    network(moved)[:, 0].sum().backward()
    assert float(moved.grad.abs().sum()) > 0  # pyright: ignore[reportOptionalMemberAccess]


def test_readers_that_know_no_pool_say_so():
    network, inputs = small(nn.MaxPool2d(2)), torch.rand(1, 1, 6, 6)
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    with pytest.raises(UnknownNode, match=r"layers\.2 is a max pool, through which a gain has no gradient here"):
        layer_operators(network, (1, 6, 6), live=True)
    (verdict,) = verify(network, inputs, labels, LInf(0.01), "lirpa")
    assert verdict.status == "unknown"
    assert verdict.reason == "network: layers.2 is a node of type Pooled, which lirpa does not know"


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (nn.MaxPool2d(2, return_indices=True), "with return_indices, expected the maxima alone"),
        (nn.MaxPool2d((2, 2, 2)), r"kernel_size: got \(2, 2, 2\), expected a number or one for each axis"),  # type: ignore[arg-type]
    ],
)
def test_settings_without_an_equal_are_refused(layer: nn.Module, told: str):
    with pytest.raises(ValueError, match=told):
        small(layer)
    network = small(nn.MaxPool2d(2))
    network.layers[2] = layer
    for refused in (lambda: circuit(network), lambda: network(torch.rand(1, 1, 6, 6))):
        with pytest.raises(ValueError, match=told):
            refused()


def test_a_window_of_padding_alone_is_refused():
    layers = nn.Linear(1, 2), nn.MaxPool1d(2, 1, 1, dilation=3), LIF(), nn.Linear(1, 2)
    network, inputs = SpikingNetwork(*layers, num_steps=2).eval(), torch.rand(1, 1)
    for refused in (lambda: network(inputs), lambda: verify(network, inputs, torch.tensor([0]), LInf(0.1))):
        with pytest.raises(ValueError, match="has a window that holds padding alone"):
            refused()


def test_a_subclass_is_refused():
    class Mine(nn.MaxPool2d):
        pass

    with pytest.raises(TypeError, match=r"network: got a layer of type Mine \(layers\.2\)"):
        circuit(small(Mine(2)))


def test_pools_in_sums_and_in_front_of_neurons_run_as_torch_runs_them():
    torch.manual_seed(0)
    block = Residual([nn.Conv2d(2, 2, 3, padding=1), LIF(0.9, 0.3)], [nn.MaxPool2d(3, 1, 1)])
    layers = nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), LIF(0.9, 0.2), block, nn.Flatten(), nn.Linear(8, 3)
    network, inputs = SpikingNetwork(*layers, num_steps=3).eval(), torch.rand(4, 1, 6, 6)
    with torch.no_grad():
        spikes = network.layers[2](network.layers[1](network.layers[0](inputs))[None], 3)
        current = torch.stack([block.branch[0](step) for step in spikes])
        shortcut = torch.stack([block.shortcut[0](step) for step in spikes])
        total = block.branch[1](current, 3) + shortcut
        expected = network.layers[5](total.flatten(2)).mean(0)
        torch.testing.assert_close(network(inputs), expected)
        network.steps_at_once = 1
    torch.testing.assert_close(network(inputs), expected)
    generator = torch.Generator().manual_seed(0)
    labels = expected.argmax(1)
    for name in (INTERVAL, TRAINS):
        lower = name.margins(network, inputs, labels, LInf(0.02))
        for _ in range(20):
            with torch.no_grad():
                runs = network(LInf(0.02).sample(inputs, generator)).double()
            assert bool((margins(runs, labels) >= lower).all())


NORMS = ("l1", "l2", "linf")
ORDER = {"l1": 1, "l2": 2, "linf": torch.inf}


@pytest.mark.parametrize("norm", NORMS)
@examples(60)
@given(network=image_networks(side=4, most_steps=3, pools=MAX), seed=SEEDS)
def test_gains_hold_behind_pools(norm: str, network: SpikingNetwork, seed: int):
    """The currents of each layer move no farther than the signals that it reads times its operator's norm."""
    network = network.double()
    report = gain(network, norm, norm, input_shape=(1, 4, 4))
    assert report.check()
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.rand(2, 8, 1, 4, 4, generator=generator).double()
    pairs[1, :4] = pairs[0, :4]
    pairs[1, :4, 0, 1, 1] += 0.5
    with torch.no_grad():
        traces = [network.trace(images) for images in pairs]
    steps = network.num_steps
    moved = {-1: (pairs[0] - pairs[1]).expand(steps, *pairs[0].shape)}
    for index, layer in enumerate(report.layers):
        read = torch.cat([moved[k].movedim(1, 0).flatten(1) for k in layer.sources], 1).norm(ORDER[norm], 1)
        change = (traces[0].currents[index] - traces[1].currents[index]).movedim(1, 0).flatten(1)
        assert bool((change.norm(ORDER[norm], 1) <= layer.operator_norm.upper * read * (1 + 1e-9) + 1e-12).all())
        moved[index] = traces[0].spikes[index] - traces[1].spikes[index]


@pytest.mark.parametrize(("norm", "exact"), [("l1", 3.0), ("l2", 3.0**0.5), ("linf", 1.0)])
def test_the_gain_of_windows_that_overlap_is_attained(norm: str, exact: float):
    """One entry that three windows hold moves three maxima."""
    first = nn.Linear(5, 5, bias=False)
    first.weight.data = torch.eye(5)
    network = SpikingNetwork(first, nn.MaxPool1d(3, 1, 1), LIF(0.0), nn.Linear(5, 2), num_steps=1)
    layer = gain(network, norm, norm).layers[0]
    assert layer.sources == (-1,)
    assert layer.operator_norm.upper == pytest.approx(exact)
    assert layer.operator_norm.upper >= exact


def test_pools_of_pools_and_sums_have_the_product_of_their_gains():
    block = Residual([nn.MaxPool1d(3, 1, 1)])
    network = SpikingNetwork(
        nn.Linear(5, 5), LIF(), block, nn.MaxPool1d(2, 1), LIF(0.0), nn.Linear(4, 2), num_steps=1
    )
    layer = gain(network).layers[1]
    assert layer.sources == (0,)
    assert layer.operator_norm.upper == pytest.approx((2 * 2 * (1 + 3)) ** 0.5)
