"""A converted network carries its source's rounding and range: no verdict that the source's run contradicts."""

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx import Interpreter, Node

from spikecert import (
    LIF,
    LInf,
    SpikingNetwork,
    Tolerance,
    certified_radius,
    equivalent,
    from_torch,
    load,
    output,
    save,
    verify,
)
from spikecert.certify.ties import Goal, settled_ties
from spikecert.models.circuit import circuit
from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.source import SourceArithmetic, SourceBox, weights_of
from support.examples import THOROUGH, by_night
from support.sources import SPELLINGS, answers, drawn, planted

REFUSED = {"subnormal", "subnormal potential"}
"""What a source with such numbers is not even converted for."""
FEW = {"little memory", "softmax of little", "log_softmax of little"}
"""Modules of which few classes change, by these seeds none perhaps."""


def network_of(name: str, seed: int) -> tuple[torch.nn.Module, SpikingNetwork]:
    """Return a module and its network."""
    module = drawn(name, seed)
    return module, from_torch(module, torch.rand(32, 4, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name not in REFUSED])
@pytest.mark.parametrize(
    ("epsilon", "share"), [(1e-3, 0.9999), (1e-5, 0.99), *by_night((1e-3, 0.99), (1e-3, 0.99999))]
)
def test_no_flip_of_a_source_that_is_planted_in_a_set_is_verified(name: str, epsilon: float, share: float) -> None:
    for seed in range(20 if THOROUGH else 1):
        module, network = network_of(name, seed)
        ends = (-4.0, 4.0) if name == "overflow" else (0.0, 1.0)
        asked = planted(module, ends, epsilon, share, 100 if THOROUGH else 40, seed)
        assert len(asked.samples) or name in FEW
        for verifier in ("trains", "complete", "auto") if THOROUGH else ("trains", "auto"):
            found = answers(network, asked, verifier) if len(asked.samples) else []
            assert "verified" not in found


def test_a_search_proves_the_lead_that_an_ending_needs() -> None:
    _, network = network_of("softmax", 8)
    x = torch.rand(60, 4, generator=torch.Generator().manual_seed(1))
    asked = x, network(x).argmax(1), LInf(0.06, 0.0, 1.0)
    quick, found = (verify(network, *asked, verifier) for verifier in ("linear", "complete"))
    proven = [sum(verdict.status == "verified" for verdict in each) for each in (quick, found)]
    assert network.source is not None
    least = network.source.boxes[-1].least
    assert proven[0] < proven[1]
    assert least > 0
    assert all(
        verdict.margin is not None and verdict.margin > least for verdict in found if verdict.status == "verified"
    )


@pytest.mark.parametrize("name", ["softmax of little", "log_softmax of little", "softmax"])
def test_what_an_ending_makes_ties_of_is_not_verified(name: str) -> None:
    module, network = network_of(name, 4)
    x = torch.rand(200, 4, generator=torch.Generator().manual_seed(1))
    labels = network(x).argmax(1)
    verdicts = verify(network, x, labels, LInf(0.001), "trains")
    proven = torch.tensor([verdict.status == "verified" for verdict in verdicts])
    assert torch.equal(module(x[proven]).argmax(1), labels[proven])
    if name == "softmax":
        assert int(proven.sum()) > 100
    members = verify(network, x[:20], labels[:20], Tolerance(threshold=1e-9), "auto", ties="argmax")
    assert [verdict.status for verdict in members] == ["verified" if name == "softmax" else "unknown"] * 20
    twins = equivalent(network, copy.deepcopy(network), x[:20], LInf(1e-6))
    assert [each.status for each in twins] == ["equivalent" if name == "softmax" else "unknown"] * 20


@pytest.mark.parametrize("name", ["as usual", "products", "partial sums", "softmax of little"])
def test_what_is_falsified_is_so_by_the_source(name: str) -> None:
    module, network = network_of(name, 2)
    x = torch.rand(24, 4, generator=torch.Generator().manual_seed(3))
    labels = network(x).argmax(1)
    verdicts = verify(network, x, labels, LInf(0.05), "auto", timeout=1.0, ties="argmax")
    found = [(one.counterexample, int(label)) for one, label in zip(verdicts, labels, strict=True)]
    falsified = [(point, label) for point, label in found if point is not None]
    assert falsified or name == "softmax of little"
    for point, label in falsified:
        assert int(module(point[None]).argmax()) != label


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_source_whose_own_rounding_decides_is_refused(name: str) -> None:
    with pytest.raises(ConversionRefused, match="rounding decides its spikes"):
        network_of(name, 0)


def test_a_question_beyond_what_the_source_is_known_for_is_refused() -> None:
    module, network = network_of("overflow", 0)
    assert network.source is not None
    limit = network.source.boxes[-1].limit
    assert 3.0 < limit < 3.41  # 1e38·x is finite up to 3.403
    assert bool(module(torch.full((1, 4), limit)).isfinite().all())
    x = torch.full((1, 4), 3.9)
    with pytest.raises(
        ValueError, match=r"inputs: reach 4, expected at most 3.*source's own numbers may overflow"
    ):
        verify(network, x, torch.tensor([0]), LInf(0.1, 0.0, 5.0), "trains")


@pytest.mark.parametrize("name", ["as usual", "subtracting", "no decay", "little memory", "many steps", "softmax"])
def test_an_ordinary_source_costs_nothing(name: str) -> None:
    _, network = network_of(name, 0)
    assert network.source is not None
    assert {(box.factor, box.stray) for box in network.source.boxes} == {(1.0, 0.0)}
    assert (network.source.boxes[0].least > 0) == (name == "softmax")


class ByBatch(torch.nn.Module):
    """Adds a little to one output in batches of more than four."""

    def __init__(self, little: float) -> None:
        super().__init__()
        self.inner, self.little = drawn("as usual", 0), little

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        return self.inner(x) + torch.tensor([self.little if len(x) > 4 else 0.0, 0.0, 0.0])


def test_what_batches_of_two_sizes_differ_by_is_paid_or_refused() -> None:
    x = torch.rand(32, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ConversionRefused, match="another size of the batch"):
        from_torch(ByBatch(1e-2).eval(), x)
    source = from_torch(ByBatch(2.0**-22).eval(), x).source
    assert source is not None
    assert min(box.least for box in source.boxes) >= 2 * 2.0**-22


def test_a_radius_ends_at_a_counterexample_that_stands() -> None:
    module, network = network_of("products", 2)
    x = torch.rand(6, 4, generator=torch.Generator().manual_seed(3))
    labels = network(x).argmax(1)
    found = certified_radius(network, x, labels, "linf", "trains", tolerance=1e-2, ties="argmax")
    points = [(one.counterexample, int(label)) for one, label in zip(found, labels, strict=True)]
    assert any(point is not None for point, _ in points)
    for point, label in points:
        assert point is None or int(module(point[None]).argmax()) != label


class Recorded(Interpreter):
    """Runs a graph in double precision on the spikes of its run in single precision; keeps what is compared."""

    def __init__(self, graph: torch.fx.GraphModule, compared: dict[Node, Any], spikes: dict[Node, Tensor]) -> None:
        super().__init__(graph)
        self.compared, self.spikes, self.kept = compared, spikes, dict[Node, Tensor]()

    def run_node(self, n: Node) -> Any:
        """Run a node, or take its spikes."""
        found = super().run_node(n)
        if n in self.compared:
            one, other = (self.env[each] if isinstance(each, Node) else each for each in self.compared[n])
            self.kept[n] = torch.as_tensor(one).double() - torch.as_tensor(other).double()
            return self.spikes.setdefault(n, found)
        return (
            found.double()
            if isinstance(found, Tensor) and found.dtype == torch.float32 and self.spikes_known
            else found
        )

    spikes_known = False


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name not in REFUSED])
def test_no_potential_strays_further_than_is_said(name: str) -> None:
    from spikecert.models.conversion.sources import Source
    from spikecert.models.tracing.reading import needed, read
    from spikecert.models.tracing.rounded_calls import HANDLERS
    from spikecert.models.tracing.straying import OwnLayers, Straying, ends_of  # noqa: F401
    from spikecert.models.tracing.traces import traces_of

    module = drawn(name, 5)
    traces = traces_of(Source.of(module, "direct", None, None, None), torch.rand(8, 4))
    reading = read(traces.graph, False, 0)
    live = needed(traces.graph, {reading.node, *(firing.node for firing in reading.firings)})[0]
    straying = Straying(traces.graph, live, OwnLayers(frozenset(), False), torch.float32, HANDLERS)
    sample = traces.inputs[0]
    ones = torch.ones_like(sample, dtype=torch.float64)
    straying.over(-ones, ones, reading.node)
    allowed = {node: straying.error(value) for node, value in straying.fired.items()}
    compared = {node: straying.same.compared(node) for node in allowed}
    shares = []
    for seed in range(100 if THOROUGH else 8):
        x = torch.rand(sample.shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        spikes: dict[Node, Tensor] = {}
        single = Recorded(traces.graph, compared, spikes)
        double = Recorded(traces.graph, compared, spikes)
        double.spikes_known = True
        with torch.no_grad():
            single.run(x)
            double.run(x.double())
        for node, error in allowed.items():
            strayed = (single.kept[node] - double.kept[node]).abs()
            assert bool((strayed <= error + 1e-12).all())
            shares.append(float((strayed / (error + 1e-30)).max()))
    assert max(shares) > 0.003  # what is said is not many times what happens


def test_what_a_network_carries_goes_with_it_and_not_with_other_weights(tmp_path: Path) -> None:
    _, network = network_of("products", 0)
    source = network.source
    assert source is not None
    assert source.boxes[0].factor > 1
    save(network, tmp_path / "a.safetensors")
    assert load(tmp_path / "a.safetensors").source == source
    assert copy.deepcopy(network).source == source
    x = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    margins = [one.margin for one in verify(network, x, network(x).argmax(1), LInf(0.001), "trains")]
    other = copy.deepcopy(network)
    with torch.no_grad():
        next(other.parameters())[0, 0] += 0.0
        unchanged = [one.margin for one in verify(other, x, network(x).argmax(1), LInf(0.001), "trains")]
        other.source = None
        own = [one.margin for one in verify(other, x, network(x).argmax(1), LInf(0.001), "trains")]
        next(other.parameters())[0, 0] += 2.0**-20
        plain = verify(other, x, other(x).argmax(1), LInf(0.001), "trains")
        other.source = source
        moved = verify(other, x, other(x).argmax(1), LInf(0.001), "trains")
    assert unchanged == margins
    assert any(one < two for one, two in zip(margins, own, strict=True) if one is not None and two is not None)
    assert moved == plain


@pytest.mark.parametrize(
    "boxes",
    [
        (),
        (SourceBox(1.0, 0.5),),
        (SourceBox(1.0, stray=-1.0),),
        (SourceBox(float("nan")),),
        (SourceBox(float("inf")),),
        (SourceBox(2.0), SourceBox(1.0)),
        (SourceBox(1.0, 2.0), SourceBox(2.0, 1.0)),
    ],
)
def test_numbers_that_are_no_allowance_are_refused(boxes: tuple[SourceBox, ...]) -> None:
    with pytest.raises(ValueError, match=r"^source: got .*expected"):
        SourceArithmetic(boxes, "")


def test_a_kernel_takes_what_its_own_rounding_pays_for_alone(tmp_path: Path) -> None:
    from spikecert.checking.network.model import read_network
    from spikecert.checking.numbers.exact import Refused

    _, network = network_of("as usual", 0)
    save(network, tmp_path / "plain.safetensors")
    found = read_network(tmp_path / "plain.safetensors")
    assert network.source is not None
    assert found.limit == network.source.boxes[-1].limit
    found.check_reach(1.0)
    with pytest.raises(Refused, match="as the source is known"):
        found.check_reach(2.0 * network.source.boxes[-1].limit)
    for box in (SourceBox(4.0, 1.5), SourceBox(4.0, stray=1e-6), SourceBox(4.0, least=1e-6)):
        network.source = SourceArithmetic((box,), weights_of(network))
        save(network, tmp_path / "other.safetensors")
        with pytest.raises(Refused, match="source that rounds more"):
            read_network(tmp_path / "other.safetensors")
    counting = SpikingNetwork(torch.nn.Linear(4, 3), LIF(), num_steps=3)
    for counts in (True, False):  # ties of spikes are proven, and must be the source's
        counting.source = SourceArithmetic((SourceBox(4.0, counts=counts),), weights_of(counting))
        save(counting, tmp_path / f"{counts}.safetensors")
        assert load(tmp_path / f"{counts}.safetensors").source == counting.source
    assert read_network(tmp_path / "True.safetensors").limit == 4.0
    with pytest.raises(Refused, match="source that rounds more"):
        read_network(tmp_path / "False.safetensors")
    plain = SpikingNetwork(torch.nn.Linear(4, 3), LIF(), torch.nn.Linear(3, 2), num_steps=3)
    save(plain, tmp_path / "own.safetensors")
    assert read_network(tmp_path / "own.safetensors").limit is None


class Votes(torch.nn.Module):
    """Counts the spikes of ten neurons a class, by an average pool at each step, as sums of tenths."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = drawn("as usual", 0), torch.nn.Linear(12, 30)
        self.pool, self.told = torch.nn.AvgPool1d(10), "votes"

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time."""
        if self.told == "broken":
            raise ArithmeticError("by itself")
        v, total = torch.zeros(len(x), 12), torch.zeros(len(x), 3)
        for _ in range(4):
            v = 0.9 * v + self.inner.first(x)
            s = (v > 1.0).float()
            v = v * (1 - s)
            total = total + self.pool((self.last(s) > 0.1).float()[:, None])[:, 0]
        return -total / 4 if self.told == "turned" else total / 4


@pytest.fixture(scope="module")
def voting() -> tuple[Votes, SpikingNetwork, Tensor, Tensor]:
    """Return a module whose votes tie often, its network, samples and their classes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Votes().eval()
        x = torch.rand(60, 4)
    network = from_torch(module, x[:32])
    return module, network, x, module(x).argmax(1)


@contextmanager
def replaced(module: Votes, told: str) -> Iterator[None]:
    """Let a module do something else for a while, of which its tensors tell nothing."""
    module.told = told
    try:
        yield
    finally:
        module.told = "votes"


def test_a_counterexample_is_one_of_the_source_where_that_is_at_hand(voting: Any) -> None:
    module, network, x, labels = voting
    own = network(x)
    assert int((own.argmax(1) != labels).sum()) > 0  # by ties, which the two break otherwise
    for ties in ("argmax", "strict"):
        verdicts = verify(network, x, labels, LInf(1e-5), "trains", ties=ties)
        assert any("the source keeps its class" in each.reason for each in verdicts)
        assert any(each.status == "falsified" for each in verdicts) == (ties == "strict")
        for verdict, label in zip(verdicts, labels.tolist(), strict=True):
            if verdict.counterexample is not None:
                found = module(verdict.counterexample[None])[0]
                rest = torch.cat([found[:label], found[label + 1 :]])
                assert (
                    float(found[label]) <= float(rest.max()) if ties == "strict" else int(found.argmax()) != label
                )
    turned = own.argmin(1)
    assert {each.status for each in verify(network, x, turned, LInf(1e-5), "trains")} == {"falsified"}
    with replaced(module, "turned"):
        kept = verify(network, x, turned, LInf(1e-5), "trains", ties="argmax")
        least = certified_radius(network, x[:2], turned[:2], "linf", "trains", tolerance=0.1, ties="argmax")
        lost = (module(x).argmax(1) != turned).tolist()  # by ties, which a processor's own sums may break
    assert [each.status for each in kept] == ["falsified" if broken else "unknown" for broken in lost]
    assert not any(lost[:2])
    assert "the source keeps its class" in kept[0].reason
    assert [each.counterexample for each in least] == [None, None]


class Counting(torch.nn.Module):
    """Counts the spikes of a few neurons a class in one of several spellings, some of which round nothing."""

    def __init__(self, spelling: str, steps: int, voters: int) -> None:
        super().__init__()
        self.inner, self.last = drawn("as usual", 0), torch.nn.Linear(12, 3 * voters)
        self.pool, self.spelling, self.steps = torch.nn.AvgPool1d(voters), spelling, steps

    def forward(self, x: Tensor) -> Tensor:
        """Return what the votes come to."""
        v, w, found = torch.zeros(len(x), 12), 0.0, []
        for _ in range(self.steps):
            v = 0.9 * v + self.inner.first(x)
            s = (v > 1.0).float()
            v = v * (1 - s)
            w = 0.8 * w + self.last(s)
            found.append((w > 0.4).float())
            w = w * (1 - found[-1])
        steps, pool = torch.stack(found), lambda each: self.pool(each[:, None])[:, 0]
        spellings = {
            "pooled sum": lambda: pool(steps.sum(0)),
            "pooled mean": lambda: pool(steps.mean(0)),
            "mean of pools": lambda: torch.stack([pool(each) for each in found]).mean(0),
            "mean of groups": lambda: steps.sum(0).view(len(x), 3, -1).mean(2),
            "sum": lambda: steps.sum(0),
            "sum of tenths": lambda: (0.1 * steps).sum(0),
        }
        return spellings[self.spelling]()


@pytest.mark.parametrize(
    ("spelling", "steps", "voters", "counts"),
    [
        ("pooled sum", 5, 10, True),
        ("pooled mean", 4, 3, True),
        ("pooled mean", 5, 10, False),
        ("mean of pools", 4, 4, True),
        ("mean of pools", 4, 10, False),
        ("mean of groups", 10, 5, True),
        ("sum", 3, 1, True),
        ("sum of tenths", 10, 1, False),
    ],
)
def test_ties_are_proven_of_votes_that_a_source_counts_without_rounding(
    spelling: str, steps: int, voters: int, counts: bool
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(steps + voters)
        module, x = Counting(spelling, steps, voters).eval(), torch.rand(60, 4)
    network = from_torch(module, x[:32])
    assert network.source is not None
    assert [box.counts for box in network.source.boxes] == [counts] * len(network.source.boxes)
    assert settled_ties(network, None) == ("argmax" if counts else "strict")
    logits = module(x)
    labels, (top, next_best) = logits.argmax(1), logits.topk(2, 1).values.T
    near, tied, proven = LInf(1e-4), top == next_best, torch.zeros(60, dtype=torch.bool)
    for verifier in ("trains", "complete"):
        proven = torch.tensor([each.status == "verified" for each in verify(network, x, labels, near, verifier)])
        assert bool((proven & tied).any()) == counts
        for share in (-1.0, -0.3, 0.5, 1.0):
            moved = (x + share * 1e-4 * torch.sign(x - 0.5)).clamp(0.0, 1.0)
            assert torch.equal(module(moved).argmax(1)[proven], labels[proven])
        wrong = verify(network, x, logits.argmin(1), near, verifier)
        assert not any(
            each.status == "verified" for each, one in zip(wrong, logits, strict=True) if len(one.unique()) > 1
        )
    goal = Goal.of(circuit(network), "argmax")
    assert (goal.steps is not None) == counts


class Ended(torch.nn.Module):
    """A few counts, made small, and what ends a module behind them."""

    def __init__(self, spelling: str, size: float, ending: str | None) -> None:
        super().__init__()
        self.counts, self.size, self.ending = Counting(spelling, 8, 1 if spelling == "sum" else 4), size, ending

    def forward(self, x: Tensor) -> Tensor:
        """Return what the ending makes."""
        made = self.size * self.counts(x)
        return made if self.ending is None else getattr(made, self.ending)(1)


@pytest.mark.parametrize("size", [1e-9, 2.0**-30, 1e-7, 1e-3, 1e-40])
@pytest.mark.parametrize("ending", ["softmax", "log_softmax", None])
@pytest.mark.parametrize("spelling", ["sum", "pooled sum"])
def test_counts_that_an_ending_or_the_least_numbers_make_ties_of_are_none(
    spelling: str, ending: str | None, size: float
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module, x = Ended(spelling, size, ending).eval(), torch.rand(60, 4)
    network = from_torch(module, x[:8])
    assert network.source is not None
    kept = size == 1e-3 or (ending is None and size > 1e-40)
    assert {box.counts for box in network.source.boxes} == {kept}
    for labels in (module(x).argmax(1), network(x).argmax(1)):
        verdicts = verify(network, x, labels, LInf(1e-4), "trains", ties="argmax")
        proven = torch.tensor([each.status == "verified" for each in verdicts])
        assert torch.equal(module(x).argmax(1)[proven], labels[proven])
        assert bool(proven.any()) or not kept


def test_a_source_that_fails_is_told_of_and_one_that_changed_is_none(voting: Any, tmp_path: Path) -> None:
    module, network, x, _ = voting
    asked = x[:2], network(x[:2]).argmin(1), LInf(1e-5), "trains"
    with replaced(module, "broken"):
        for found in verify(network, *asked), verify(copy.deepcopy(network), *asked):
            assert {each.status for each in found} == {"unknown"}
            assert "its source could not be run on a counterexample: ArithmeticError: by itself" in found[0].reason
        held = pickle.loads(pickle.dumps(network))
        save(network, tmp_path / "a.safetensors")
        for other in held, load(tmp_path / "a.safetensors"):
            assert other.at_hand is None
            assert {each.status for each in verify(other, *asked)} == {"falsified"}
        changed = copy.deepcopy(network)
        with torch.no_grad():
            next(changed.parameters()).add_(0.25)
        assert verify(changed, asked[0], changed(asked[0]).argmin(1), *asked[2:])[0].status == "falsified"
        kept = module.last.bias.data.clone()
        module.last.bias.data.add_(1.0)
        assert {each.status for each in verify(network, *asked)} == {"falsified"}
        module.last.bias.data = kept


def test_a_source_runs_in_evaluation_mode_and_stays_in_its_own(voting: Any) -> None:
    module, network, x, _ = voting
    drawn_before = torch.get_rng_state()
    module.train()
    found = verify(network, x[:2], network(x[:2]).argmin(1), LInf(1e-5), "trains")
    assert {each.status for each in found} == {"falsified"}
    assert all(part.training for part in module.modules())
    module.eval()
    assert torch.equal(torch.get_rng_state(), drawn_before)


def test_a_property_fails_in_the_numbers_of_the_source(voting: Any) -> None:
    module, network, x, _ = voting
    top = float(module(x[:1])[0, 0])
    no = output[0] <= top - 0.05
    assert verify(network, x[:1], no, LInf(1e-5), "trains")[0].status == "falsified"
    with replaced(module, "broken"):
        assert "by itself" in verify(network, x[:1], no, LInf(1e-5), "trains")[0].reason
