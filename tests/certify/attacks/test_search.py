"""What the searches do: exhaustive where they can be, stronger where they should be, square where they say so.

The standard attack: as strong as each of its members, and it says where gradients tell little.
"""

import itertools

import pytest
import torch
from torch import nn

from spikecert.certify import (
    APGD,
    L2,
    PGD,
    Attack,
    Ensemble,
    LInf,
    PixelBox,
    SpikeFlip,
    SpikeFlips,
    SpikeShift,
    Square,
    attack,
    verify,
)
from spikecert.certify.attacks import SAPGD, Guided, RateGradient, SparseFlips, SpikeShifts
from spikecert.certify.attacks.base import Search, Target
from spikecert.certify.attacks.blind import patches, signs
from spikecert.certify.attacks.pgd import Checkpoints
from spikecert.certify.attacks.standard import standard_members
from spikecert.certify.perturbations import Perturbation
from spikecert.certify.replay import margins, replays
from spikecert.models import LIF, SpikingNetwork, mlp
from support.examples import by_night

from .conftest import Subject, random_subject


def event_subject(seed: int) -> Subject:
    """Return a random 3-5-3 network on events of 3 steps: 9 entries, few enough to enumerate."""
    generator = torch.Generator().manual_seed(seed)
    network = mlp((3, 5, 3), num_steps=3, neuron=LIF(decay=0.8), encoding="none").eval()
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    inputs = (torch.rand(6, 3, 3, generator=generator) > 0.5).float()
    with torch.no_grad():
        return Subject(network, inputs, network(inputs).argmax(1))


def least_margins(network: SpikingNetwork, subject: Subject, count: int) -> torch.Tensor:
    """Return the least margin over all inputs with at most `count` flips, by enumeration."""
    size = subject.inputs[0].numel()
    subsets = [set_ for k in range(count + 1) for set_ in itertools.combinations(range(size), k)]
    flips = torch.zeros(len(subsets), size)
    for row, chosen in enumerate(subsets):
        flips[row, list(chosen)] = 1.0
    moved = (subject.inputs.flatten(1)[:, None] - flips).abs().reshape(-1, *subject.inputs.shape[1:])
    with torch.no_grad():
        found = margins(network(moved), subject.labels.repeat_interleave(len(subsets)))
    return found.reshape(len(subject.inputs), -1).amin(1)


@pytest.mark.parametrize("seed", range(6))
def test_one_flip_is_searched_exhaustively(seed: int) -> None:
    subject = event_subject(seed)
    result = attack(subject.network, subject.inputs, subject.labels, SpikeFlip(1), SpikeFlips(trials=9))
    assert result.success.equal(least_margins(subject.network, subject, 1) <= 0)


def test_the_first_trial_deletes_the_event_that_matters_most() -> None:
    """Events of weights .1, .2, .6, .3 drive one neuron over θ = 1; without the greatest it is silent."""
    first, last = nn.Linear(4, 1), nn.Linear(1, 2)
    network = SpikingNetwork(first, LIF(decay=0.0), last, num_steps=1, encoding="none").eval()
    first.weight.data, first.bias.data = torch.tensor([[0.1, 0.2, 0.6, 0.3]]), torch.zeros(1)
    last.weight.data, last.bias.data = torch.tensor([[1.0], [-1.0]]), torch.tensor([-0.5, 0.5])
    result = attack(network, torch.ones(1, 1, 4), torch.tensor([0]), SpikeFlip(1), SpikeFlips(trials=1, swaps=0))
    assert result.success.tolist() == [True]
    assert result.inputs.flatten().tolist() == [1.0, 1.0, 0.0, 1.0]


def test_more_flips_find_most_of_what_enumeration_finds() -> None:
    found, possible = 0, 0
    for seed in range(10):
        subject = event_subject(seed)
        result = attack(subject.network, subject.inputs, subject.labels, SpikeFlip(2), "ensemble-fast")
        exact = least_margins(subject.network, subject, 2)
        assert not bool((result.success & (exact > 0)).any())
        assert bool((margins(result.logits, subject.labels) >= exact - 1e-6)[~result.success].all())
        found, possible = found + int(result.success.sum()), possible + int((exact <= 0).sum())
    assert possible >= 15
    assert found >= 0.9 * possible


def test_the_ensemble_leaves_no_more_than_its_members(digits: Subject) -> None:
    inputs, labels, left = digits.inputs[:30], digits.labels[:30], {}
    for name in ("pgd", "apgd-ce", "apgd-dlr", "gaussian", "ensemble-fast", "ensemble"):
        left[name] = int((~attack(digits.network, inputs, labels, LInf(0.08), name).success).sum())
    assert left["ensemble"] <= min(left.values())
    assert left["ensemble-fast"] < left["gaussian"]


def test_published_pgd_starts_at_random_and_keeps_the_last_iterate() -> None:
    """One step of 0 leaves the start: random in the set, the same from the same seed, or the sample itself."""
    subject = random_subject()
    still = PGD(steps=1, restarts=1, step_size=1e-12, random_start=True, iterate="last")
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1)]
    target = Target(subject.network, subject.inputs, subject.labels, LInf(0.1), "strict")
    points = [next(still.propose(target, generator)) for generator in generators]
    assert torch.equal(points[0], points[1])
    assert not torch.equal(points[0], points[2])
    moved = (points[0] - subject.inputs).abs()
    assert float(moved.mean()) > 0.01
    assert float(moved.max()) <= 0.1 + 1e-6
    near = next(PGD(steps=1, restarts=1, step_size=1e-12, iterate="last").propose(target, generators[0]))
    torch.testing.assert_close(near, subject.inputs)


def test_the_last_iterate_alone_breaks_no_more_than_the_worst(digits: Subject) -> None:
    """On the way to the last iterate more samples fall than there; only the last is proposed."""
    inputs, labels, threat = digits.inputs[:100], digits.labels[:100], LInf(0.06)
    left: dict[str, int] = {}
    for iterate in ("worst", "last"):
        method = PGD(steps=10, restarts=1, step_size=0.5, halve=False, random_start=True, iterate=iterate)
        left[iterate] = int((~attack(digits.network, inputs, labels, threat, method).success).sum())
    assert left["worst"] < left["last"]
    target = Target(digits.network, inputs, labels, threat, "strict")
    assert len(list(method.propose(target, torch.Generator().manual_seed(0)))) == 1


class Careless(Attack):
    """Proposes what no set allows."""

    name = "careless"

    def propose(self, target: Target, generator: torch.Generator) -> Search:
        yield torch.full_like(target.inputs, torch.nan)
        yield torch.full_like(target.inputs, torch.inf)
        yield torch.full_like(target.inputs, 1e30)


@pytest.mark.parametrize("perturbation", [LInf(0.2), L2(0.2), PixelBox(torch.full((12,), 0.1))])
def test_the_base_class_trusts_no_attack(perturbation: LInf) -> None:
    subject = random_subject()
    result = attack(subject.network, subject.inputs, subject.labels, perturbation, Careless())
    assert bool(perturbation.contains(result.inputs, subject.inputs).all())
    with torch.no_grad():
        assert torch.allclose(result.logits, subject.network(result.inputs))


class Fickle(SpikingNetwork):
    """Right whenever it is run on one sample, wrong in any batch: as rounding may do to a sample on the edge."""

    def forward(self, inputs: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        right = torch.tensor([[1.0, 0.0]]).expand(len(inputs), 2)
        return right + 0.0 * super().forward(inputs, generator) if len(inputs) == 1 else right.flip(1)


def test_what_fails_in_a_batch_only_is_no_success() -> None:
    network = Fickle(nn.Linear(3, 2), num_steps=1).eval()
    result = attack(
        network, torch.full((4, 3), 0.5), torch.zeros(4, dtype=torch.int64), LInf(0.1), Square(queries=5)
    )
    assert not bool(result.success.any())
    assert result.logits.tolist() == [[1.0, 0.0]] * 4


def test_a_fixed_feature_stays_fixed() -> None:
    subject = random_subject()
    radius = torch.full((12,), 0.3)
    radius[::2] = 0.0
    for method in (PGD(), APGD(steps=20), Square(queries=50)):
        result = attack(subject.network, subject.inputs, subject.labels, PixelBox(radius), method)
        assert result.inputs[:, ::2].equal(subject.inputs[:, ::2])
        assert not result.inputs.equal(subject.inputs)


def test_checkpoints_come_at_the_papers_shares_of_the_steps() -> None:
    """w_j = ⌈p_j·N⌉, p_0 = 0, p_1 = .22, p_{j+1} = p_j + max(p_j − p_{j−1} − .03, .06) (Croce & Hein, 2020)."""
    checkpoints, found = Checkpoints.of(100), []
    for step in range(1, 101):
        if checkpoints.due():
            found.append(step)
            checkpoints.shorten()
    assert found == [22, 41, 57, 70, 80, 87, 93, 99]


def test_patches_of_an_image_are_squares_of_the_same_place_in_all_channels() -> None:
    images = torch.zeros(20, 3, 9, 11)
    mask = patches(images, 0.2, torch.Generator().manual_seed(0))
    side = round((0.2 * 99) ** 0.5)
    assert mask[:, :1].expand_as(mask).equal(mask)
    for square in mask[:, 0]:
        assert int(square.any(1).sum()) == int(square.any(0).sum()) == side
        assert int(square.sum()) == side * side
    assert len({tuple(square.flatten().tolist()) for square in mask[:, 0]}) > 5
    assert signs(images, torch.Generator().manual_seed(0)).shape == (20, 3, 1, 1)


def test_patches_of_features_are_sets_of_their_share() -> None:
    mask = patches(torch.zeros(20, 10), 0.3, torch.Generator().manual_seed(0))
    assert mask.sum(1).tolist() == [3] * 20
    assert len({tuple(row.tolist()) for row in mask}) > 5


def test_square_attacks_images() -> None:
    """A convolution network is attacked through squares, in LInf and in L2."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = SpikingNetwork(
            nn.Conv2d(2, 4, 3), LIF(decay=0.9), nn.Flatten(), nn.Linear(4 * 16, 3), num_steps=4
        ).eval()
        images = torch.rand(12, 2, 6, 6)
    with torch.no_grad():
        labels = network(images).argmax(1)
    for perturbation in (LInf(0.5), L2(4.0)):
        result = attack(network, images, labels, perturbation, Square(queries=200))
        assert bool(perturbation.contains(result.inputs, images).all())
        assert int(result.success.sum()) > 0


def test_an_ensemble_of_nothing_is_the_sample_itself() -> None:
    subject = random_subject()
    result = attack(subject.network, subject.inputs, subject.labels, LInf(0.1), Ensemble(members=()))
    assert result.inputs.equal(subject.inputs)


@pytest.mark.parametrize("epsilon", [1e20, 1e200, 1e308])
def test_square_spends_a_budget_whose_square_no_float_holds(epsilon: float) -> None:
    network, inputs = mlp((4, 8, 3), num_steps=4), torch.rand(3, 4)
    found = attack(network, inputs, torch.zeros(3, dtype=torch.long), L2(epsilon), method="square")
    assert bool(L2(epsilon).contains(found.inputs, inputs).all())


def test_moves_go_on_where_the_samples_left_have_fewer_events_of_an_entry() -> None:
    """The first has two of one, and falls at its first move; the second has one of one, and never falls."""
    network = SpikingNetwork(nn.Linear(1, 2, bias=False), LIF(0.0, 2.0), num_steps=3, encoding="none")
    network.layers[0].weight.data = torch.tensor([[1.0], [2.0]])
    inputs = torch.tensor([[[2.0], [1.0], [0.0]], [[1.0], [0.0], [0.0]]])
    found = attack(network, inputs, torch.tensor([1, 1]), SpikeShift(1, merge="add"), SpikeShifts(steps=0))
    assert found.success.tolist() == [True, False]


EXPECTED = """large steps, cross-entropy, AdaptiveArctan(width=4.0)"""


def test_its_members_are_told_apart_and_start_with_large_steps_and_end_with_the_search() -> None:
    told = [member.told for member in standard_members()]
    assert told[0] == EXPECTED
    assert told[-1] == "guided"
    assert len(told) == 46
    assert len(set(told)) == len(told)


def test_a_member_runs_on_what_those_before_it_left(digits: Subject) -> None:
    members = (SAPGD(steps=5, loss="dlr"), APGD(10, surrogate=RateGradient("bptr")), Guided(8), Square(50))
    asked = digits.network, digits.inputs, digits.labels, LInf(0.05)
    result = attack(*asked, Ensemble(members), batch_size=40)
    assert [one.name for one in result.members] == [member.told for member in members]
    clean = int(attack(*asked[:3], LInf(0.0), SAPGD(steps=1)).success.sum())
    standing = len(digits.labels) - clean
    for one in result.members:
        assert one.samples == standing
        assert one.gradient == (one.name != "square")
        standing -= one.broken
    assert standing == int((~result.success).sum())
    for member in members:
        alone = attack(*asked, member).success
        assert int(alone.sum()) <= int(result.success.sum())
    assert result.signs.vanished == 0
    assert result.signs.blind == result.members[-1].broken
    assert result.signs.wrong == clean


@pytest.mark.slow
def test_it_breaks_no_sample_that_is_proven_and_the_search_breaks_more_than_walks(digits: Subject) -> None:
    asked = digits.network, digits.inputs[20:48], digits.labels[20:48], LInf(0.05)
    walks = attack(*asked, "ensemble").success
    search = attack(*asked, Ensemble((Guided(32),), name="searched")).success
    proven = torch.tensor([verdict.status == "verified" for verdict in verify(*asked, "auto", timeout=1.0)])
    assert not bool((proven & (walks | search)).any())
    assert int((walks | search).sum()) > int(walks.sum())


FLIPPING = {"spike-flip", "sparse-flip", "random-events", "listed-events"}


def test_events_have_members_of_their_own() -> None:
    subject = random_subject(encoding="none")
    result = attack(subject.network, subject.inputs, subject.labels, SpikeFlip(2), "standard")
    assert {one.name.split(",")[0] for one in result.members} == FLIPPING


def test_sparse_flips_are_few_of_all_entries() -> None:
    subject = random_subject(encoding="none", seed=3)
    network, inputs = subject.network, subject.inputs
    for parameter in network.parameters():  # sums of sixteenths are exact: every machine goes the same way
        parameter.data = (parameter.data * 16).round() / 16
    with torch.no_grad():
        labels = network(inputs).argmax(1)
    found = attack(network, inputs, labels, SpikeFlip(inputs[0].numel()), SparseFlips())
    counts = (found.inputs != inputs).flatten(1).sum(1)
    assert int(found.success.sum()) == 14  # two are left whose helpful flips don't help together
    assert float(counts[found.success].float().median()) == 1.0  # of 48
    for budget in (1, 2, 4):
        within = attack(network, inputs, labels, SpikeFlip(budget), SparseFlips()).success
        assert bool((within | ~found.success | (counts > budget)).all())


@pytest.mark.parametrize("weight", [1e30, 3e38])
def test_the_search_tries_nothing_where_bounds_say_nothing(weight: float) -> None:
    """Potentials that may overflow."""
    network = SpikingNetwork(nn.Linear(2, 2), LIF(1.0), nn.Linear(2, 2), num_steps=4).eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, weight)
    result = attack(network, torch.rand(3, 2), torch.zeros(3, dtype=torch.long), LInf(0.1), Guided(2))
    assert bool(result.inputs.isfinite().all())


def test_the_search_reaches_what_a_verifier_splits_only() -> None:
    """A rate code is split by its inputs, a single step by nothing."""
    for network in (mlp((4, 6, 3), num_steps=1), mlp((4, 6, 3), num_steps=4, encoding="rate")):
        inputs, labels = torch.rand(5, 4), torch.arange(5) % 3
        result = attack(network.eval(), inputs, labels, LInf(0.3), Guided(8))
        assert bool(LInf(0.3).contains(result.inputs, inputs).all())


@pytest.mark.parametrize("threat", [LInf(0.2), *by_night(L2(0.4))], ids=repr)
def test_what_it_returns_is_allowed_and_fails_alone(threat: Perturbation) -> None:
    """More networks by night."""
    torch.manual_seed(0)
    network, inputs = mlp((4, 6, 3), num_steps=2, neuron=LIF(0.9)).eval(), torch.rand(3, 4)
    labels = torch.arange(3)
    result = attack(network, inputs, labels, threat, "standard")
    assert bool(threat.contains(result.inputs, inputs).all())
    for candidate, label, broken in zip(result.inputs, labels.tolist(), result.success, strict=True):
        assert not bool(broken) or replays(network, candidate, label, result.ties)
