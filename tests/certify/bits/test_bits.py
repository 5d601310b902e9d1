"""Windows of open bits: no run below what they bound, and how far they come."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikingNetwork, verify
from spikecert.certify.bits.known import KnownNetwork
from spikecert.certify.bits.partition import counted, window
from spikecert.certify.bits.patterns import Patterns
from spikecert.certify.bits.splitting import BitSearch, BitSplitting, splits_bits
from spikecert.certify.bounds.prices.prices import Specifications
from spikecert.certify.bounds.prices.stages import staged
from spikecert.certify.problem import Problem
from spikecert.certify.rounding import recursion_slack
from spikecert.certify.search import Limits
from spikecert.certify.verifiers import TRAINS
from spikecert.kernels.bits import BitHeap, BitWindow, LayerConstants, bits_kernel
from spikecert.models.circuit import circuit
from spikecert.models.elements.neurons import DLIF
from spikecert.models.running.encoding import RateDraws
from support.eager import bits_agree
from support.examples import examples
from support.oracles import every_rate

FEATURES = 3


@torch.no_grad()
def ran(network: SpikingNetwork, x: Tensor, epsilon: float) -> Tensor:
    """Return the logits of each train of spikes that the set around x, (features,), makes, (N, classes)."""
    ends = LInf(epsilon).enclosure(x[None])
    draws = network.draws.thresholds(network.num_steps, (len(x),))
    return network(every_rate(ends.lower.flatten(), ends.upper.flatten(), draws))


def drawn_network(
    seed: int, decay: float, reset: str, steps: int, depth: int, grid: bool, spikes: bool = False
) -> SpikingNetwork:
    """Return a network whose potentials often meet their threshold exactly, where weights are of a `grid`."""
    generator = torch.Generator().manual_seed(seed)
    layers, before = list[nn.Module](), FEATURES
    for width in [4] * depth + [3]:
        layer = nn.Linear(before, width)
        for part, scale in ((layer.weight, 1.0), (layer.bias, 0.4)):
            numbers = torch.randn(part.shape, generator=generator, dtype=torch.float64) * scale
            part.data = (numbers * 4).round() / 4 if grid else numbers
        neuron = DLIF(steps, decay, 0.75, reset) if seed % 5 == 0 else LIF(decay, 0.75, reset)
        if isinstance(neuron, DLIF):
            neuron.input_scale.data = torch.linspace(-0.5, 1.5, steps)
        layers += [layer, neuron]
        before = width
    draws = RateDraws(torch.rand(steps, FEATURES, generator=generator, dtype=torch.float64))
    layers = layers if spikes else layers[:-1]
    return SpikingNetwork(*layers, num_steps=steps, encoding="rate", draws=draws).double().eval()


def known_of(network: SpikingNetwork, x: Tensor, epsilon: float, other: int) -> KnownNetwork:
    """Return what is known of the margin of class 0 over another one, of one sample."""
    found = staged(circuit(network), LInf(epsilon).enclosure(x))
    assert found is not None
    zero = torch.zeros(1, 3, dtype=torch.float64)
    asked = Specifications.of_margins(torch.tensor([0]), torch.tensor([0]), torch.tensor([other]), zero)
    known = KnownNetwork.of(found, asked)
    assert known is not None
    return known


@examples(80)
@given(
    seed=st.integers(0, 10**6),
    decay=st.sampled_from([0.0, 0.25, 0.9, 1.0]),
    reset=st.sampled_from(["zero", "subtract", "none"]),
    steps=st.integers(1, 4),
    depth=st.integers(0, 2),
    epsilon=st.sampled_from([0.0, 0.1, 0.5]),
    grid=st.booleans(),
)
def test_patterns_are_at_most_the_least_margin_of_counts(
    seed: int, decay: float, reset: str, steps: int, depth: int, epsilon: float, grid: bool
) -> None:
    """All trains of the set are run; no stretch of spikes that one of them has is refuted."""
    network = drawn_network(seed, decay, reset, steps, depth, grid, spikes=True)
    x = torch.rand(1, FEATURES, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    runs = ran(network, x[0], epsilon)
    known = known_of(network, x, epsilon, 1)
    patterns = Patterns.of(known, 0, bits_kernel())
    assert patterns is not None
    least = float((runs[:, 0] - runs[:, 1]).min()) + 1e-12
    assert patterns.run(300, Limits(), lambda fixed, ones: None) <= least
    assert BitSearch(most=300).run(known, 0, bits_kernel(), Limits()) <= least


def test_patterns_are_exact_on_small_networks_and_end_at_inputs_that_fail() -> None:
    """The bound is the least margin; where it is another class's, "bits" says so by an input that replays."""
    exact = moving = fallen = 0
    for seed in range(1, 40):
        if seed % 5 == 0:
            continue
        network = drawn_network(seed, 0.25, "zero", 3, 1, grid=False, spikes=True)
        x = torch.rand(1, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        with torch.no_grad():
            margins = ran(network, x[0], 0.3)
        low = BitSearch().run(known_of(network, x, 0.3, 1), 0, bits_kernel(), Limits())  # type: ignore[arg-type]
        least = float((margins[:, 0] - margins[:, 1]).min())
        moving += float((margins[:, 0] - margins[:, 1]).max()) > least
        exact += low > 0.0 or low == pytest.approx(least, abs=1e-4)
        label = network(x).argmax(1)
        falls = bool((margins.argmax(1) != label).any())
        (verdict,) = verify(network, x, label, LInf(0.3), BitSplitting())
        assert verdict.status != ("verified" if falls else "falsified")
        fallen += verdict.status == "falsified"
    assert exact == 32
    assert moving >= 3
    assert fallen >= 1


@examples(150)
@given(
    seed=st.integers(0, 10**6),
    decay=st.sampled_from([0.0, 0.25, 0.9, 1.0]),
    reset=st.sampled_from(["zero", "subtract", "none"]),
    steps=st.integers(1, 5),
    depth=st.integers(1, 3),
    epsilon=st.sampled_from([0.0, 0.05, 0.2, 0.5]),
    grid=st.booleans(),
    length=st.integers(1, 5),
)
def test_no_run_is_below_what_windows_bound(
    seed: int, decay: float, reset: str, steps: int, depth: int, epsilon: float, grid: bool, length: int
) -> None:
    """All trains of the set are run: the least margin is at least the bound of each length, and of counts."""
    network = drawn_network(seed, decay, reset, steps, depth, grid)
    x = torch.rand(1, FEATURES, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    runs = ran(network, x[0], epsilon)
    label = network(x).argmax(1)
    found = staged(circuit(network), LInf(epsilon).enclosure(x))
    assert found is not None
    others = torch.tensor([k for k in range(3) if k != int(label)])
    zero = torch.zeros(1, 3, dtype=torch.float64)
    asked = Specifications.of_margins(label, torch.zeros(2, dtype=torch.long), others, zero)
    known = KnownNetwork.of(found, asked)
    assert known is not None
    for row, other in enumerate(others.tolist()):
        least = float((runs[:, label] - runs[:, [other]]).min())
        cut = [window(known, row, slice(t, min(t + length, steps))) for t in range(0, steps, length)]
        for parts in (list(filter(None, made)) for made in (cut, [counted(known, row)])):
            if not parts:  # not all count
                continue
            heaps = [BitHeap.of(part, 4096) for part in parts]
            for part, heap in zip(parts, heaps, strict=True):
                bits_kernel().split(part, heap, 1 + seed % 300, torch.inf)
            assert float(known.constant[row]) + sum(heap.low for heap in heaps) <= least + 1e-12
        assert BitSearch(most=2000).run(known, row, bits_kernel(), Limits()) <= least + 1e-12


@examples(30)
@given(seed=st.integers(0, 10**6), decay=st.sampled_from([0.25, 1.0]), reset=st.sampled_from(["zero", "subtract"]))
def test_what_is_verified_moves_to_no_other_class(seed: int, decay: float, reset: str) -> None:
    """The verdict of the verifier, and of "auto", holds for all trains of the set."""
    network = drawn_network(seed, decay, reset, 4, 2, grid=seed % 2 == 0)
    x = torch.rand(2, FEATURES, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    labels = network(x).argmax(1)
    for index, verdict in enumerate(verify(network, x, labels, LInf(0.2), BitSplitting(BitSearch(most=3000)))):
        if verdict.status == "verified":
            runs = ran(network, x[index], 0.2)
            assert bool((runs.argmax(1) == labels[index]).all())


def test_splits_come_to_the_least_margin_of_all_runs() -> None:
    assert bits_agree(bits_kernel())


@pytest.mark.parametrize(("decay", "reset"), [(0.5, "zero"), (1.0, "subtract")])
def test_one_window_of_all_steps_is_exact_where_bits_are_free(decay: float, reset: str) -> None:
    """Each feature has one open bit, potentials begin at 0: the search ends at the least margin of all runs."""
    network = drawn_network(3, decay, reset, 3, 2, grid=False)
    draws = torch.tensor([[0.5, 0.1, 0.9], [0.1, 0.5, 0.9], [0.9, 0.1, 0.5]], dtype=torch.float64)
    network = SpikingNetwork(*network.layers, num_steps=3, encoding="rate", draws=RateDraws(draws)).double().eval()
    x, label = torch.full((1, 3), 0.5, dtype=torch.float64), torch.tensor([0])
    runs = ran(network, x[0], 0.2)
    found = staged(circuit(network), LInf(0.2).enclosure(x))
    assert found is not None
    zero = torch.zeros(1, 3, dtype=torch.float64)
    asked = Specifications.of_margins(label, torch.tensor([0]), torch.tensor([1]), zero)
    known = KnownNetwork.of(found, asked)
    assert known is not None
    parts = list(filter(None, (window(known, 0, slice(0, 3)), counted(known, 0))))
    assert len(parts) == 1 + (decay == 1.0)
    for part in parts:
        heap = BitHeap.of(part, 64)
        bits_kernel().split(part, heap, 64, torch.inf)
        assert heap.done
        assert float(known.constant[0]) + heap.low == pytest.approx(
            float((runs[:, 0] - runs[:, 1]).min()), abs=1e-5
        )


def test_a_full_heap_and_the_end_of_the_time_leave_a_valid_bound() -> None:
    """A heap of one node stops at its root; a search whose time is up before it begins knows nothing."""
    network = drawn_network(3, 0.25, "zero", 3, 2, grid=False)
    x = torch.full((1, 3), 0.5, dtype=torch.float64)
    found = staged(circuit(network), LInf(0.4).enclosure(x))
    assert found is not None
    zero = torch.zeros(1, 3, dtype=torch.float64)
    asked = Specifications.of_margins(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]), zero)
    known = KnownNetwork.of(found, asked)
    assert known is not None
    part = window(known, 0, slice(0, 3))
    assert part is not None
    small, large = BitHeap.of(part, 1), BitHeap.of(part, 4096)
    for heap in (small, large):
        bits_kernel().split(part, heap, 4096, torch.inf)
    assert small.done
    assert -torch.inf < small.low <= large.low
    assert BitSearch().run(known, 0, bits_kernel(), Limits(stopped=lambda: True)) == -torch.inf
    assert BitHeap.of(part, 1).low == -torch.inf


def test_searches_of_bits_and_of_patterns_keep_to_limits_and_are_told() -> None:
    """A search is told its nodes batch by batch, and one that has no room ends; its bound stays one."""
    for spikes in (False, True):
        network = drawn_network(4, 0.25, "zero", 3, 1, grid=False, spikes=spikes)
        x = torch.rand(1, FEATURES, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        known, told = known_of(network, x, 0.3, 1), []
        whole = BitSearch().run(known, 0, bits_kernel(), Limits(told=told.append))  # type: ignore[arg-type]
        little = BitSearch().run(known, 0, bits_kernel(), Limits(memory=0))  # type: ignore[arg-type]
        assert told
        assert all(figures["nodes"] >= 0 for figures in told)
        assert little <= whole


def test_what_windows_do_not_reach_keeps_the_bound_of_trains() -> None:
    """Networks without a rate code, and properties of the input, are left as they are."""
    torch.manual_seed(0)
    direct = SpikingNetwork(nn.Linear(3, 4), LIF(), nn.Linear(4, 2), num_steps=3).eval()
    assert not splits_bits(circuit(direct))
    x, label = torch.rand(1, 3), torch.tensor([0])
    problem = Problem(direct, x, label, LInf(0.1))
    assert torch.equal(BitSplitting().lower(problem), TRAINS.lower(problem))
    network = drawn_network(3, 0.25, "zero", 3, 2, grid=False)
    found = staged(circuit(network), LInf(0.1).enclosure(x.double()))
    assert found is not None
    asked = Specifications(torch.tensor([0]), torch.eye(3).double()[:1], None, torch.ones(1, 3).double())
    assert KnownNetwork.of(found, asked) is None
    assert KnownNetwork.of(found, replace(asked, inputs=None)) is not None


def test_splits_prove_what_trains_do_not() -> None:
    """Of drawn networks that have both resets some are proven by splits alone."""
    won = 0
    for seed in range(40):
        network = drawn_network(seed, (0.25, 1.0)[seed % 2], ("zero", "subtract")[seed % 2], 4, 2, grid=False)
        x = torch.rand(4, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        labels = network(x).argmax(1)
        with torch.no_grad():
            trains = verify(network, x, labels, LInf(0.1), "trains")
            splits = verify(network, x, labels, LInf(0.1), BitSplitting(BitSearch(most=1000)))
        for one, other in zip(trains, splits, strict=True):
            assert other.status == "verified" or one.status != "verified"
            won += one.status != "verified" and other.status == "verified"
    assert won >= 3


def lone(currents: tuple[float, float], widening: float, counts: bool) -> BitWindow:
    """Return a neuron of λ = θ = d = 1 with currents at two steps, whose spikes cost −1, and no bit."""

    def of(*numbers: float) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64)

    window = BitWindow(
        layers=(LayerConstants(1.0, 1.0, 1.0, 1.0, "subtract"),),
        sizes=(1,),
        step=torch.zeros(0, dtype=torch.long),
        columns=of().view(0, 1),
        lower=torch.zeros(0, dtype=torch.long),
        upper=torch.zeros(0, dtype=torch.long),
        base=of(*currents),
        matrix=of(),
        factor=of(1.0, 1.0).view(1, 2),
        low=of(0.0),
        high=of(0.0),
        widening=of(widening),
        known=torch.ones(2, dtype=torch.uint8),
        costs=of(-1.0, -1.0).view(2, 1),
        constant=0.0,
    )
    return replace(window, fewest=of(0.0, 0.0), greatest=of(2.0, 2.0)) if counts else window


@pytest.mark.parametrize("counts", [False, True])
def test_each_step_pays_for_its_own_rounding(counts: bool) -> None:
    """Two currents of .45, each .06 off, reach a threshold of 1; each .04 off they do not."""
    for widening, least in ((0.06, -1.0), (0.04, 0.0)):
        window = lone((0.45, 0.45), widening, counts)
        heap = BitHeap.of(window, 4)
        bits_kernel().split(window, heap, 4, torch.inf)
        assert heap.low == least


def test_an_open_spike_leaves_what_silence_keeps() -> None:
    """A potential in [−.05, 1.05] that stays silent may be at 1, and .55 more make it spike at the next step."""
    window = lone((0.5, 0.0), 0.55, False)
    heap = BitHeap.of(window, 4)
    bits_kernel().split(window, heap, 4, torch.inf)
    assert heap.low == -2.0


def test_currents_are_widened_by_what_the_recursion_may_stray() -> None:
    """In float32 that is far above what float64 loses, and more behind more steps."""
    torch.manual_seed(0)
    draws = RateDraws(torch.rand(6, FEATURES, dtype=torch.float64))
    layers = nn.Linear(FEATURES, 4), LIF(0.9, 0.75), nn.Linear(4, 2)
    network = SpikingNetwork(*layers, num_steps=6, encoding="rate", draws=draws).eval()
    found = staged(circuit(network), LInf(0.1).enclosure(torch.rand(1, FEATURES)))
    assert found is not None
    zero = torch.zeros(1, 2, dtype=torch.float64)
    asked = Specifications.of_margins(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]), zero)
    known = KnownNetwork.of(found, asked)
    assert known is not None
    widest = found.stages[0].lower.abs().maximum(found.stages[0].upper.abs()).amax(0).flatten()
    assert bool((known.stages[0].widening > recursion_slack(widest, 0.9, 0.75, 6, found.rounding)).all())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lengths": (0,)}, r"lengths\[0\]: got 0, expected at least 1"),
        ({"lengths": (1, -1)}, r"lengths\[1\]: got -1, expected at least 1"),
        ({"lengths": (1.5,)}, "lengths: got float, expected an integer"),
        ({"lengths": "12"}, "lengths: got str, expected integers"),
        ({"lengths": 2}, "lengths: got int, expected integers"),
        ({"most": 0}, "most: got 0, expected at least 1"),
        ({"capacity": True}, "capacity: got bool"),
    ],
)
def test_windows_of_no_step_are_refused(settings: dict[str, object], told: str) -> None:
    """They would cost nothing, and prove what is not so."""
    with pytest.raises((TypeError, ValueError), match=f"^{told}"):
        BitSearch(**settings)  # type: ignore[arg-type]
    assert BitSearch(lengths=[2, 3]).lengths == (2, 3)  # type: ignore[arg-type]


def test_bits_of_a_feature_come_by_rising_draws() -> None:
    """A bit is 1 where that of the next greater draw is; bits of other features have no say."""
    network = drawn_network(3, 0.25, "zero", 3, 1, grid=False)
    draws = torch.tensor([[0.6, 0.1, 0.5], [0.4, 0.5, 0.9], [0.5, 0.9, 0.6]], dtype=torch.float64)
    network = SpikingNetwork(*network.layers, num_steps=3, encoding="rate", draws=RateDraws(draws)).double().eval()
    part = window(known_of(network, torch.full((1, 3), 0.5, dtype=torch.float64), 0.2, 1), 0, slice(0, 3))
    assert part is not None
    assert part.step.tolist() == [0, 0, 1, 1, 2, 2]  # features 0, 2, 0, 1, 0, 2
    assert part.lower.tolist() == [4, -1, -1, -1, 2, 1]
    assert part.upper.tolist() == [-1, 5, 4, -1, 0, -1]
