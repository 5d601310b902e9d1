"""Rate codes in the search: what a split and a trim leave, and decisions that agree with the list of trains."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert import LIF, LInf, RateDraws, SpikingNetwork, mlp, verify
from spikecert.certify.bounds.prices.price_search import pair_prices
from spikecert.certify.bounds.prices.prices import PricedProblem, Specifications
from spikecert.certify.branching.bounding import Climb, bound_nodes
from spikecert.certify.branching.nodes.decisions import FixedSpikes
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.rates import RateDecisions, trim_rates
from spikecert.certify.branching.search import Search
from spikecert.certify.verifiers import Complete
from spikecert.models.running.encoding import rate_code
from spikecert.testing import Case, cases
from support.examples import examples
from support.oracles import every_rate, least_margin

SEARCHED = Complete(Search(batch=16, start=Climb(10), climb=Climb(5)), enumeration=None)


def exact_margins(network: SpikingNetwork, inputs: Tensor, labels: Tensor, epsilon: float) -> list[float]:
    ends = LInf(epsilon).enclosure(inputs)
    draws = network.draws.thresholds(network.num_steps, tuple(inputs.shape[1:]))
    triples = zip(ends.lower, ends.upper, labels.tolist(), strict=True)
    return [least_margin(network, every_rate(low, high, draws), label) for low, high, label in triples]


@examples(60)
@given(
    case=cases(features=2, most_width=4, most_steps=4, dtypes=(torch.float64,), encodings=("rate",)),
    grid=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_decides_as_the_list_does(case: Case, grid: bool, seed: int):
    """With equal draws, and draws on the ends of the set, among the cases."""
    draws = torch.rand(case.network.num_steps, 2, generator=torch.Generator().manual_seed(seed)).double()
    case.network.draws = RateDraws((draws * 4).floor() / 4 if grid else draws)
    with torch.no_grad():
        labels = case.network(case.inputs).argmax(1)
    found = verify(case.network, case.inputs, labels, LInf(case.epsilon), SEARCHED)
    exact = exact_margins(case.network, case.inputs, labels, case.epsilon)
    for verdict, least in zip(found, exact, strict=True):
        assert verdict.status != "unknown" or "rounding" in verdict.reason
        assert verdict.status != "verified" or least > 0
        assert verdict.status != "falsified" or least <= 0
        assert verdict.margin is None or verdict.margin <= least + 1e-9


def test_a_code_of_one_step_is_decided():
    """Its input is constant in time, as a kernel for trains reads it."""
    seen = set[str]()
    for seed in range(4):
        network, inputs, labels = lively(seed, steps=1)
        network, inputs = network.double(), inputs.double()
        found = verify(network, inputs, labels, LInf(0.3), SEARCHED)
        exact = exact_margins(network, inputs, labels, 0.3)
        assert [verdict.status == "verified" for verdict in found] == [least > 0 for least in exact]
        seen |= {verdict.status for verdict in found}
    assert seen == {"verified", "falsified"}


def lively(seed: int, steps: int = 4) -> tuple[SpikingNetwork, Tensor, Tensor]:
    torch.manual_seed(seed)
    network = mlp((4, 8, 6, 3), num_steps=steps, neuron=LIF(decay=0.9, threshold=0.3), encoding="rate").eval()
    for name, parameter in network.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 3.0
    inputs = torch.rand(6, 4)
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1)


def test_decides_what_bounds_leave_open_of_a_deep_network():
    network, inputs, labels = lively(0)
    bounded = verify(network, inputs, labels, LInf(0.15), "linear")
    assert any(verdict.status == "unknown" for verdict in bounded), "bounds alone must not be enough for this test"
    found = verify(network, inputs, labels, LInf(0.15), SEARCHED)
    exact = exact_margins(network.double(), inputs.double(), labels, 0.15)
    assert [verdict.status for verdict in found] == ["verified" if least > 0 else "falsified" for least in exact]


@examples(40)
@given(seed=st.integers(0, 2**31), steps=st.integers(1, 5), grid=st.booleans())
def test_a_split_parts_the_trains(seed: int, steps: int, grid: bool):
    generator = torch.Generator().manual_seed(seed)
    draws, ends = (
        torch.rand(steps, 2, generator=generator).double(),
        torch.rand(2, 2, generator=generator).double(),
    )
    if grid:
        draws, ends = (draws * 4).floor() / 4, (ends * 4).round() / 4
    ends = ends.sort(0).values
    layer = FixedSpikes(torch.full((1, steps, 3), -1, dtype=torch.int8))
    node = RateDecisions(layer, ends[:1], ends[1:], draws)
    every = every_rate(ends[0], ends[1], draws)
    inside = ((draws >= node.low) & (draws < node.high)).nonzero().tolist()
    for step, feature in inside:
        left, right = node.children(torch.tensor([3 + feature]), torch.tensor([step]))
        for rate in every:
            sides = [bool(((rate >= side.low) & (rate <= side.high)).all()) for side in (left, right)]
            assert sides == [rate[feature] <= draws[step, feature], rate[feature] > draws[step, feature]]
    fewest, most = node.counts()
    counts = rate_code(every, draws).sum(0)
    assert torch.equal(fewest[0].double(), counts.amin(0))
    assert torch.equal(most[0].double(), counts.amax(0))
    again = node.within(fewest, most)
    assert torch.equal(again.low, node.low)
    assert torch.equal(again.high, node.high)


def test_a_split_of_a_neuron_leaves_the_rates_alone():
    layer = FixedSpikes(torch.full((2, 2, 3), -1, dtype=torch.int8))
    node = RateDecisions(
        layer, torch.zeros(2, 1).double(), torch.ones(2, 1).double(), torch.tensor([[0.5], [0.75]]).double()
    )
    left, right = node.children(torch.tensor([1, 3]), torch.tensor([0, 1]))
    assert left.high.flatten().tolist() == [1.0, 0.75]
    assert right.low[0].item() == 0.0
    assert right.low[1].item() > 0.75
    spikes = [side.layer.tensors()[0] for side in (left, right)]
    assert [int(s[0, 0, 1]) for s in spikes] == [0, 1]
    assert all(bool((s[1] == -1).all()) for s in spikes)


def test_what_trimming_drops_is_proven():
    """Each dropped end of a chain, as a node of its own, has a positive margin: by running all of its trains."""
    seen = 0
    for seed in range(6):
        network, inputs, labels = lively(seed)
        network, inputs = network.double(), inputs.double()
        left = torch.ones(len(inputs), 3, dtype=torch.bool).scatter(1, labels[:, None], False)
        question = MarginQuestion.of_margins(network, inputs, labels, LInf(0.1), left)
        roots = question.roots()
        assert roots is not None
        bounded = bound_nodes(question, roots, Climb(30))
        staged, _ = question.staged(roots)
        rows = torch.arange(len(roots))
        problem = PricedProblem.of(staged, Specifications(rows, question.specifications.coefficients[roots.row]))
        prices = pair_prices(problem, tuple(price.double() for price in bounded.nodes.prices))
        before, evaluation = roots.decisions, problem.evaluate(prices)
        assert isinstance(before, RateDecisions)
        after = trim_rates(problem, prices, evaluation, before)
        for node in range(len(roots)):  # where the bound is positive, all but one train of each feature may go
            every = every_rate(before.low[node], before.high[node], before.draws)
            kept = ((every >= after.low[node]) & (every <= after.high[node])).all(1)
            logits = network(every) @ question.specifications.coefficients[node]
            assert bool((logits[~kept] > 0).all())
            seen += int((~kept).sum())
    assert seen > 100, "a test of trimming must see some"
