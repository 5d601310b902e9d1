"""What every attack must keep: a concrete attack inherits the contract by naming itself."""

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from spikecert.certify import (
    APGD,
    FGSM,
    L2,
    PGD,
    Attack,
    AttackResult,
    Ensemble,
    EventChange,
    LInf,
    Perturbation,
    PixelBox,
    SpikeFlip,
    SpikeFlips,
    SpikeShift,
    Square,
    attack,
)
from spikecert.certify.attacks import (
    ATTACKS,
    SAPGD,
    Boundary,
    Expected,
    Guided,
    Momentum,
    ProjectedLogits,
    RandomEvents,
    RateGradient,
    SpikeShifts,
)
from spikecert.certify.replay import fails, replays
from spikecert.certify.ties import settled_ties
from spikecert.models import Triangle

from .conftest import Subject, random_subject, silent_subject

RANGED = [
    LInf(0.0),
    LInf(1e-9),
    LInf(0.1),
    LInf(1e6),
    L2(0.0),
    L2(1e-9),
    L2(0.5),
    L2(1e6),
    LInf(0.2, -0.3, 1.1),
    PixelBox(torch.linspace(0, 0.3, 12)),
    PixelBox(torch.linspace(0, 0.3, 12), torch.linspace(-0.1, 0, 12), torch.linspace(1, 1.3, 12)),
]


def ends_inside(perturbation: Perturbation, candidate: Tensor, sample: Tensor) -> bool:
    """Return whether one candidate lies in its set, in rational arithmetic."""
    one, other = candidate.flatten().tolist(), sample.flatten().tolist()
    steps = [abs(Fraction(a) - Fraction(b)) for a, b in zip(one, other, strict=True)]
    if isinstance(perturbation, SpikeShift | EventChange):
        return bool(perturbation.contains(candidate[None], sample[None]))  # held to lists in tests/soundness
    if isinstance(perturbation, SpikeFlip):
        return set(one) <= {0.0, 1.0} and sum(step != 0 for step in steps) <= perturbation.count
    assert isinstance(perturbation, LInf | L2 | PixelBox)
    both = torch.as_tensor(perturbation.lower), torch.as_tensor(perturbation.upper)
    lows, highs = (end.double().expand(len(one)).tolist() for end in both)
    if not all(
        Fraction(low) <= Fraction(a) <= Fraction(high) for low, a, high in zip(lows, one, highs, strict=True)
    ):
        return False
    if isinstance(perturbation, L2):
        return sum(step**2 for step in steps) <= Fraction(perturbation.epsilon) ** 2
    if isinstance(perturbation, PixelBox):
        return all(step <= Fraction(r) for step, r in zip(steps, perturbation.radius.tolist(), strict=True))
    return max(steps) <= Fraction(perturbation.epsilon)


class AttackContract:
    """The promises, for an attack on real-valued sets."""

    name: str
    method: Attack | None = None
    strong: Attack | None = None
    sets: list[Perturbation] = list(RANGED)  # noqa: RUF012 (read only)
    encoding = "direct"

    def run(self, subject: Subject, perturbation: Perturbation, **settings: Any) -> AttackResult:
        """Attack with a smaller budget, where a subclass names one."""
        method = self.method or self.name
        return attack(subject.network, subject.inputs, subject.labels, perturbation, method, **settings)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_inputs_lie_in_their_sets_and_success_replays(self, dtype: torch.dtype) -> None:
        subject = random_subject(dtype, self.encoding)
        for perturbation in self.sets:
            result = self.run(subject, perturbation)
            assert result.inputs.dtype == dtype
            assert result.inputs.shape == subject.inputs.shape
            assert bool(perturbation.contains(result.inputs, subject.inputs).all())
            for candidate, sample in zip(result.inputs, subject.inputs, strict=True):
                assert ends_inside(perturbation, candidate, sample)
            assert result.ties == settled_ties(subject.network, None)
            assert result.success.equal(fails(result.logits, subject.labels, result.ties))
            for index in result.success.nonzero()[:, 0].tolist():
                assert replays(subject.network, result.inputs[index], int(subject.labels[index]), result.ties)

    def test_it_reproduces_from_the_seed(self) -> None:
        subject, perturbation = random_subject(encoding=self.encoding), self.sets[2]
        runs = [self.run(subject, perturbation, seed=7) for _ in range(2)]
        assert runs[0].inputs.equal(runs[1].inputs)
        assert runs[0].success.equal(runs[1].success)

    def test_it_leaves_no_trace(self) -> None:
        """The network's weights, mode and gradients, the samples and the global generator stay as they are."""
        subject = random_subject(encoding=self.encoding)
        network, inputs = subject.network.train(), subject.inputs.clone()
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        state = torch.get_rng_state()
        attack(network, subject.inputs, subject.labels, self.sets[2], self.name)
        assert network.training
        assert torch.is_grad_enabled()
        assert subject.inputs.equal(inputs)
        assert torch.get_rng_state().equal(state)
        assert all(value.equal(weights[name]) for name, value in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())

    def test_a_misclassified_sample_is_its_own_counterexample(self) -> None:
        subject = random_subject(encoding=self.encoding)
        wrong = (subject.labels + 1) % 4
        result = attack(subject.network, subject.inputs, wrong, self.sets[2], self.name)
        assert bool(result.success.all())
        assert result.inputs.equal(subject.inputs)

    def test_a_set_of_one_point_changes_nothing(self) -> None:
        subject = random_subject(encoding=self.encoding)
        result = self.run(subject, self.sets[0])
        assert not bool(result.success.any())
        assert result.inputs.equal(subject.inputs)

    def test_batches_cover_all_samples(self) -> None:
        subject, calls = random_subject(encoding=self.encoding), []
        result = self.run(
            subject,
            self.sets[2],
            batch_size=9,
            progress=lambda label, done, total: calls.append((done, total)),
        )
        assert len(result.success) == 16
        assert calls == [(9, 16), (16, 16)]
        assert result.method == ATTACKS[self.name]().name


class RangedContract(AttackContract):
    """What only real-valued sets can ask."""

    def test_vanishing_gradients_are_survived(self) -> None:
        """Nothing changes this network's mind; the search must still move and end."""
        subject = silent_subject()
        result = self.run(subject, LInf(0.4))
        assert not bool(result.success.any())
        assert bool(result.inputs.isfinite().all())

    def test_flips_are_refused(self) -> None:
        subject = random_subject(encoding="none")
        with pytest.raises(TypeError, match=f"^perturbation: got SpikeFlip, expected .* {self.name!r}$"):
            attack(subject.network, subject.inputs, subject.labels, SpikeFlip(2), self.name)


class GradientContract(RangedContract):
    """What an attack with some power must manage."""

    def test_it_breaks_a_trained_network(self, digits: Subject) -> None:
        """Where random signs break next to nothing."""
        method = self.strong or self.method or self.name
        clean = attack(digits.network, digits.inputs, digits.labels, LInf(0.0), method).success
        broken = attack(digits.network, digits.inputs, digits.labels, LInf(0.2), method).success
        assert clean.float().mean() < 0.15
        assert broken.float().mean() > 0.6
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, digits.inputs.shape, generator=generator) * 2 - 1
        moved = (digits.inputs + 0.2 * signs).clamp(0, 1)
        with torch.no_grad():
            assert (digits.network(moved).argmax(1) != digits.labels).float().mean() < 0.15


class TestFGSM(GradientContract):
    name = "fgsm"


class TestGaussian(RangedContract):
    name = "gaussian"


class TestPGD(GradientContract):
    name = "pgd"
    method = PGD(steps=7)


class TestPublishedPGD(GradientContract):
    name = "pgd-paper"


class TestAPGDCrossEntropy(GradientContract):
    name = "apgd-ce"
    method = APGD(steps=15, name="apgd-ce")


class TestAPGDLogitsRatio(GradientContract):
    name = "apgd-dlr"
    method = APGD(steps=15, loss="dlr", name="apgd-dlr")


class TestSquare(GradientContract):
    name = "square"
    method = Square(queries=80)
    strong = Square(queries=400)


class TestSAPGD(GradientContract):
    name = "sapgd"
    method = SAPGD(steps=15)


class TestBoundary(GradientContract):
    name = "boundary"
    method = Boundary(80)
    strong = Boundary(400)


class TestMomentum(GradientContract):
    name = "momentum"
    method = Momentum(steps=10)


class TestTransfer(GradientContract):
    name = "mi-ti-di"
    method = Momentum(steps=10, smoothing=3, diversity=0.5, name="mi-ti-di")


class TestExpected(GradientContract):
    name = "eot"
    method = Expected(steps=10, draws=2)


class TestGuided(GradientContract):
    name = "guided"
    method = Guided(4)
    strong = Guided(64)


@pytest.mark.slow
class TestStandard(AttackContract):
    name = "standard"
    method = Ensemble((SAPGD(steps=5), APGD(5, surrogate=RateGradient("hart")), Guided(2)), name="standard")


class TestEnsembleFast(AttackContract):
    name = "ensemble-fast"
    sets: list[Perturbation] = [LInf(0.0), L2(0.5), LInf(0.1)]  # noqa: RUF012
    test_it_breaks_a_trained_network = GradientContract.test_it_breaks_a_trained_network


class TestEnsemble(AttackContract):
    name = "ensemble"
    method = Ensemble(members=(FGSM(), PGD(steps=5), APGD(steps=10, rank=1), Square(queries=30)))
    test_it_breaks_a_trained_network = GradientContract.test_it_breaks_a_trained_network


class FlipContract(AttackContract):
    """The promises, for an attack on events."""

    sets: list[Perturbation] = [SpikeFlip(0), SpikeFlip(1), SpikeFlip(3), SpikeFlip(1000)]  # noqa: RUF012
    encoding = "none"


class TestSpikeFlips(FlipContract):
    name = "spike-flip"

    def test_real_valued_sets_are_refused(self) -> None:
        subject = random_subject(encoding="none")
        with pytest.raises(TypeError, match=r"^perturbation: got LInf, expected SpikeFlip for the attack"):
            attack(subject.network, subject.inputs, subject.labels, LInf(0.1), self.name)


class TestSparseFlips(FlipContract):
    name = "sparse-flip"


class ShiftContract(AttackContract):
    """The promises, for an attack on when events come."""

    sets: list[Perturbation] = [  # noqa: RUF012
        *(SpikeShift(0), SpikeShift(1, 2), SpikeShift(3, total=4, merge="add", border="leave"), SpikeShift(2)),
        *(SpikeShift(2, merge="refuse"), SpikeShift(3, 2, merge="refuse", border="leave")),
    ]
    encoding = "none"


class TestSpikeShifts(ShiftContract):
    name = "spike-shift"


class TestProjectedLogits(ShiftContract):
    name = "pil"
    method = ProjectedLogits(steps=15)


class TestEventChanges(AttackContract):
    name = "event-change"
    sets: list[Perturbation] = [  # noqa: RUF012
        *(EventChange(SpikeFlip(0), SpikeShift(0)), EventChange(SpikeFlip(1, "delete"), SpikeShift(1, 2))),
        EventChange(SpikeFlip(2), SpikeShift(2, total=4, border="leave")),
    ]
    encoding = "none"


@pytest.mark.slow
class TestRandomEventsOnShifts(ShiftContract):
    name = "random-events"
    method = RandomEvents(20)


@pytest.mark.slow
class TestRandomEventsOnFlips(FlipContract):
    name = "random-events"
    method = RandomEvents(20)


class TestListedEventsOnShifts(ShiftContract):
    name = "listed-events"


class TestListedEventsOnFlips(FlipContract):
    name = "listed-events"


@pytest.mark.slow
class TestEnsembleOnShifts(ShiftContract):
    name = "ensemble"
    method = Ensemble(shifts=(SpikeShifts(trials=4, swaps=5), SpikeShifts(steps=0, surrogate=Triangle(2.0))))


class TestEnsembleOnFlips(FlipContract):
    name = "ensemble"
    method = Ensemble(flips=(SpikeFlips(trials=4, swaps=5), SpikeFlips(swaps=0, surrogate=Triangle(2.0))))


class TestEnsembleFastOnFlips(FlipContract):
    name = "ensemble-fast"


def test_every_attack_has_its_contract() -> None:
    tests = [kind for name, kind in globals().items() if name.startswith("Test")]
    assert all(issubclass(kind, AttackContract) for kind in tests)
    tested = {kind.name for kind in tests}
    assert tested == set(ATTACKS)
