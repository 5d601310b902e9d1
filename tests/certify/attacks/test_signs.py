"""What an attack says of itself: each sign where it holds, none where it doesn't, and in batches as at once."""

import pytest
import torch
from torch import Tensor, nn

from spikecert.certify import APGD, L2, EventChange, LInf, Perturbation, PixelBox, SpikeFlip, SpikeShift, attack
from spikecert.certify.attacks import PGD, SAPGD, Ensemble, Gaussian, Square, attack_module
from spikecert.certify.attacks.base import AttackResult, Signs, Tried, joined
from spikecert.models import LIF, Recurrent, SpikingNetwork

from .conftest import Subject, random_subject, silent_subject


def found(subject: Subject, threat: Perturbation, method: object = "pgd", **settings: int) -> AttackResult:
    return attack(subject.network, subject.inputs, subject.labels, threat, method, **settings)  # type: ignore[arg-type]


def test_gradients_that_vanish_and_an_output_that_is_the_same_are_told() -> None:
    subject = silent_subject()
    for method in (Ensemble((SAPGD(steps=2),)), PGD(steps=2), APGD(steps=2)):
        result = found(subject, L2(0.1), method)
        assert result.signs == Signs(samples=3, vanished=3, alike=23)
        same, zero = result.warnings
        assert same.startswith("the output is the same at all 23 inputs looked at, over the whole range")
        assert zero.startswith("the gradient is exactly 0 at 3 of 3 samples: attacks by it say little there")


def test_an_attack_without_gradients_asks_for_none() -> None:
    assert found(silent_subject(), LInf(0.1), Gaussian(2)).signs.vanished is None


def test_an_ordinary_attack_warns_of_nothing() -> None:
    result = found(random_subject(), LInf(0.1))
    assert result.signs == Signs(samples=16, vanished=0)
    assert result.warnings == ()


def test_samples_that_fail_as_they_are_are_told() -> None:
    subject = random_subject()
    labels = subject.labels.clone()
    labels[:5] = (labels[:5] + 1) % 4
    some = attack(subject.network, subject.inputs, labels, LInf(0.01), PGD(2))
    assert some.signs.wrong == 5
    assert some.warnings == (
        "5 of 16 samples fail as they are: they count as broken, and nothing is tried on them",
    )
    every = attack(subject.network, subject.inputs, (subject.labels + 1) % 4, LInf(0.01), PGD(2))
    assert every.signs == Signs(samples=16, wrong=16)
    assert every.warnings[0].endswith("look at labels, scales and the order of classes")
    assert bool(every.success.all())


EMPTY = [LInf(0.0), L2(0.0), PixelBox(torch.zeros(12)), LInf(1e-9, lower=0.25, upper=1.0), L2(1e-12, lower=0.25)]


@pytest.mark.parametrize("threat", EMPTY, ids=str)
def test_sets_without_another_number_are_told(threat: Perturbation) -> None:
    subject = random_subject()
    inputs = subject.inputs.clamp_min(0.25)
    with torch.no_grad():
        labels = subject.network(inputs).argmax(1)
    result = attack(subject.network, inputs, labels, threat, PGD(2))
    assert result.signs.still == 16
    assert any(line.startswith("no other input lies in the sets of 16 of 16 samples") for line in result.warnings)
    assert result.inputs.equal(inputs)


def test_a_number_next_to_the_sample_is_another_input() -> None:
    subject = random_subject()
    inputs = torch.zeros_like(subject.inputs)
    with torch.no_grad():
        labels = subject.network(inputs).argmax(1)
    assert attack(subject.network, inputs, labels, LInf(1e-30), PGD(2)).signs.still == 0


EVENTS: list[tuple[Perturbation, int]] = [
    (SpikeFlip(0), 16),
    (SpikeFlip(1), 0),
    (SpikeFlip(3, "insert"), 0),
    (SpikeFlip(1, where=torch.zeros(4, 12, dtype=torch.bool)), 16),
    (SpikeShift(0), 16),
    (SpikeShift(1, count=0), 16),
    (SpikeShift(1, total=0), 16),
    (SpikeShift(1), 0),
    (EventChange(SpikeFlip(0), SpikeShift(0)), 16),
    (EventChange(SpikeFlip(1), SpikeShift(0)), 0),
]


@pytest.mark.parametrize(("threat", "still"), EVENTS, ids=str)
def test_budgets_of_nothing_are_told_of_events(threat: Perturbation, still: int) -> None:
    assert found(random_subject(encoding="none"), threat, "ensemble-fast").signs.still == still


class Odd(nn.Module):
    """A linear map, of finite outputs, whose gradient is made NaN or inf."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.inner, self.value = nn.Linear(4, 3), value
        self.inner.weight.data = torch.eye(3, 4)
        self.inner.bias.data = torch.zeros(3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.inner(x)
        if out.requires_grad:
            out.register_hook(lambda gradient: gradient * self.value)
        return out


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gradients_that_are_no_numbers_are_told_and_the_walk_goes_on(value: float) -> None:
    inputs, labels = torch.tensor([[0.6, 0.5, 0.1, 0.0], [0.1, 0.9, 0.1, 0.0]]), torch.tensor([0, 1])
    result = attack_module(Odd(value), inputs, labels, LInf(0.2), PGD(20, 4))
    assert result.signs.odd == 2
    assert any(line.startswith("the gradient is NaN or infinite at 2 of 2 samples") for line in result.warnings)
    assert result.success.tolist() == [True, False]  # steps at random find the near one
    assert bool(result.inputs.isfinite().all())


class Hole(nn.Module):
    """A linear map with NaN above a limit."""

    def forward(self, x: Tensor) -> Tensor:
        out = x[:, :2] * 2.0
        return torch.where(x[:, :1] > 0.75, torch.nan, out)


@pytest.mark.parametrize("method", [Square(20), Gaussian(20), Ensemble((Gaussian(20), Square(20)))])
def test_outputs_that_are_nan_within_the_set_are_told(method: object) -> None:
    inputs, labels = torch.tensor([[0.7, 0.0], [0.5, 0.0], [0.7, 0.0]]), torch.tensor([0, 0, 0])
    result = attack_module(Hole(), inputs, labels, LInf(0.1), method, batch_size=2)  # type: ignore[arg-type]
    assert result.unanswered == {0, 2}
    assert result.signs.unanswered == 2
    assert result.warnings == (
        "the output is NaN at inputs tried on 2 of 3 samples: these inputs count neither way; look for weights "
        "whose sums overflow",
    )


def test_what_falls_without_gradients_alone_is_told() -> None:
    nothing = torch.zeros(2, 1), torch.tensor([True, False]), torch.zeros(2, 2)
    walk, blind = Tried("pgd", 9, 4), Tried("square", 5, 2, gradient=False)
    one, other = (AttackResult(*nothing, "mine", "strict", members) for members in ((walk, blind), (walk,)))
    assert joined([one, other], "mine", "strict").warnings == (
        "2 samples fell to attacks without gradients, after those before had left them: gradients may be masked; "
        'read a proof beside it, and ask method "standard", which has wider surrogates, where another was asked',
    )
    assert joined([other], "mine", "strict").warnings == ()


def test_batches_say_together_what_one_says() -> None:
    silent = silent_subject()
    whole = found(silent, LInf(0.1), Ensemble((SAPGD(steps=2), Square(3))))
    parts = found(silent, LInf(0.1), Ensemble((SAPGD(steps=2), Square(3))), batch_size=2)
    assert (parts.signs.samples, parts.signs.vanished) == (whole.signs.samples, whole.signs.vanished) == (3, 3)
    assert parts.signs.alike > 0


def test_looking_changes_nothing_of_what_is_found() -> None:
    """The signs are looked for with a generator of their own, and leave the network's mode."""
    subject = random_subject()
    subject.network.train()
    generator = torch.Generator().manual_seed(0)
    method = PGD(3, 2)
    alone = method(subject.network, subject.inputs, subject.labels, LInf(0.1), generator)
    assert found(subject, LInf(0.1), method).inputs.equal(alone.inputs)
    assert subject.network.training


def test_members_that_have_no_number_are_told() -> None:
    """A loop, so that members are run: both classes are ∞ where the neuron fires at both steps."""
    layer = Recurrent(LIF(0.0, 0.5), nn.Linear(1, 1, bias=False))
    network = SpikingNetwork(nn.Linear(1, 1, bias=False), layer, nn.Linear(1, 2), num_steps=2, encoding="none")
    for part, numbers in zip(
        network.parameters(), ([[1.0]], [[0.0]], [[3e38], [3e38]], [3e38, 1e38]), strict=True
    ):
        part.data = torch.tensor(numbers)
    result = attack(network, torch.eye(2, 1)[None], torch.tensor([0]), SpikeFlip(1), "listed-events")
    assert result.unanswered == {0}


def test_a_constant_network_of_events_is_told() -> None:
    first = nn.Linear(3, 2)
    nn.init.zeros_(first.weight)
    first.bias.data = torch.tensor([2.0, 0.0])
    network = SpikingNetwork(first, LIF(), num_steps=2, encoding="none")
    inputs = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    result = attack(network, inputs, torch.tensor([0]), SpikeFlip(2), "random-events")
    assert result.signs == Signs(samples=1, alike=21)
