"""Momentum, smoothed and diverse gradients, expectation over draws, the boundary walk: against their equations."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert.certify import L2, PGD, LInf, PixelBox, attack
from spikecert.certify.attacks import Boundary, Ensemble, Expected, Momentum, attack_module
from spikecert.certify.attacks.transfer import diverse, smoothed
from spikecert.models import LIF, RateDraws, SpikingNetwork, mlp

from .conftest import Subject, random_subject, silent_subject


def test_momentum_is_what_its_paper_says(digits: Subject) -> None:
    """g ← μ·g + ∇/‖∇‖₁, x ← P(x + ε/steps·sign(g)); the last of the points that no search stopped before."""
    network, inputs, labels = digits.network, digits.inputs[:8], digits.labels[:8]
    ball, steps, decay = LInf(0.002), 3, 0.75
    found = attack(network, inputs, labels, ball, Momentum(steps=steps, decay=decay))
    point, sums, best, least = (
        inputs.clone(),
        torch.zeros_like(inputs),
        inputs.clone(),
        torch.full((8,), torch.inf),
    )

    def margins(points: Tensor) -> Tensor:
        logits = network(points)
        others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        return logits.gather(1, labels[:, None])[:, 0] - others

    least = margins(inputs).detach()
    for _ in range(steps):
        leaf = point.clone().requires_grad_()
        (slope,) = torch.autograd.grad(nn.functional.cross_entropy(network(leaf), labels, reduction="sum"), leaf)
        sums = decay * sums + slope / slope.abs().flatten(1).sum(1)[:, None]
        point = ball.project(point + ball.epsilon / steps * sums.sign(), inputs)
        now = margins(point).detach()
        lower = now < least
        best[lower], least[lower] = point[lower], now[lower]
    right = margins(inputs) > 0
    assert torch.equal(found.inputs[right], best[right])


def test_a_smoothed_gradient_is_the_mean_over_translations() -> None:
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(3, 2, 7, 8, generator=generator)
    found = smoothed(gradient, 3)
    places = torch.tensor([-1.0, 0.0, 1.0])
    line = (-0.5 * (places / (3**0.5 / 2)) ** 2).exp()
    weights = line[:, None] * line / line.sum() ** 2
    expected, padded = torch.zeros_like(gradient), nn.functional.pad(gradient, (1, 1, 1, 1))
    for row in range(3):
        for column in range(3):
            expected += weights[row, column] * padded[:, :, row : row + 7, column : column + 8]
    assert torch.allclose(found, expected, atol=1e-6)
    assert float(weights.sum()) == pytest.approx(1.0)
    assert smoothed(gradient, 1) is gradient
    flat = gradient.flatten(1)
    assert smoothed(flat, 5) is flat


def test_a_diverse_input_is_a_smaller_picture_somewhere() -> None:
    image, generator = torch.ones(2, 1, 20, 30), torch.Generator().manual_seed(0)
    sizes = set()
    for _ in range(40):
        found = diverse(image, 1.0, generator)
        assert found.shape == image.shape
        mask = found[0, 0] > 0
        rows, columns = int(mask.any(1).sum()), int(mask.any(0).sum())
        assert int(mask.sum()) == rows * columns
        assert 17 <= rows <= 20
        assert 25 <= columns <= 30
        sizes.add((rows, columns, *mask.nonzero()[0].tolist()))
    assert len(sizes) > 10
    assert diverse(image, 0.0, generator) is image
    flat = image.flatten(1)
    assert diverse(flat, 1.0, generator) is flat


def test_a_transfer_attack_asks_for_no_gradient_of_the_attacked(digits: Subject) -> None:
    """A source of the same weights finds what its own gradients find, where the attacked one has none to give."""

    class Cut(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return digits.network(x).detach()

    asked = digits.inputs, digits.labels, LInf(0.1)
    blind = attack_module(Cut(), *asked, PGD(10, 1))
    source = copy.deepcopy(digits.network)
    by_transfer = Momentum(source=source)
    found = attack_module(Cut(), *asked, by_transfer)
    own = attack(digits.network, *asked, Momentum())
    assert torch.equal(found.inputs, own.inputs)
    assert int(found.success.sum()) > int(blind.success.sum()) + 10
    assert not by_transfer.by_gradient
    assert Momentum().by_gradient
    masked = attack_module(Cut(), *asked, Ensemble((PGD(5, 1), by_transfer)))
    assert masked.signs.blind == masked.members[1].broken > 10
    assert any("gradients may be masked" in line for line in masked.warnings)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"smoothing": 2}, "smoothing: got 2, expected an odd size"),
    ({"diversity": 1.5}, "diversity: got 1.5, expected a probability"),
    ({"steps": 0}, "steps: got 0"),
    ({"loss": "mine"}, "loss: got 'mine'"),
]


@pytest.mark.parametrize(("settings", "told"), WRONG)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Momentum(**settings)
    with pytest.raises(TypeError, match="source: got int"):
        Momentum(source=3)  # type: ignore[arg-type]
    for make in (lambda: Boundary(0), lambda: Expected(draws=0)):
        with pytest.raises(ValueError, match="got 0"):
            make()


def rate_coded() -> Subject:
    torch.manual_seed(0)
    network = mlp((12, 16, 3), num_steps=6, neuron=LIF(decay=0.9), encoding="rate").eval()
    first = network.layers[0]
    assert isinstance(first, nn.Linear)
    first.weight.data *= 4.0
    inputs = torch.rand(24, 12)
    with torch.no_grad():
        return Subject(network, inputs, network(inputs).argmax(1))


def test_a_rate_code_falls_to_its_own_draws_alone() -> None:
    subject = rate_coded()
    result = attack(subject.network, subject.inputs, subject.labels, LInf(0.4), Expected(draws=4), ties="argmax")
    with torch.no_grad():
        here = subject.network(result.inputs).argmax(1) != subject.labels
    assert torch.equal(here, result.success)
    assert 0 < int(result.success.sum()) < 24
    assert isinstance(subject.network.draws, RateDraws)


def test_expectation_averages_gradients_over_draws() -> None:
    """One step from the sample goes along the sum of the gradients of its own draws and of the new ones."""
    subject = rate_coded()
    network, inputs, labels, ball = subject.network, subject.inputs, subject.labels, LInf(0.01)
    method = Expected(steps=1, draws=3)
    found = attack(network, inputs, labels, ball, method, ties="argmax")
    generator, total = torch.Generator().manual_seed(0), torch.zeros_like(inputs)
    for draw in range(4):
        leaf = inputs.clone().requires_grad_()
        logits = network(leaf) if draw == 0 else network(leaf, generator)
        others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        loss = (others - logits.gather(1, labels[:, None])[:, 0]).sum()
        total += torch.autograd.grad(loss, leaf)[0]
    alive = (total != 0).any(1)
    moved = ball.project(inputs + 0.01 * total.sign(), inputs)
    changed = (found.inputs != inputs).any(1) & alive
    assert int(changed.sum()) > 0
    assert torch.equal(found.inputs[changed], moved[changed])


def test_the_boundary_walk_needs_decisions_alone(digits: Subject) -> None:
    """Logits that are 1 for what is predicted and 0 elsewhere tell it all it asks for."""

    class Decisions(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.one_hot(digits.network(x).argmax(1), 10).float()

    for ball in (LInf(0.15), L2(1.0)):
        result = attack_module(Decisions(), digits.inputs, digits.labels, ball, Boundary(150))
        assert float(result.success.float().mean()) > 0.35  # a fifteenth is wrong as it is
        assert bool(ball.contains(result.inputs, digits.inputs).all())
        with torch.no_grad():
            wrong = digits.network(result.inputs).argmax(1) != digits.labels
        assert torch.equal(wrong, result.success)


@pytest.mark.parametrize(
    "ball", [LInf(1e300, -torch.inf, torch.inf), L2(1e30, -torch.inf), LInf(0.0), L2(0.0)], ids=str
)
def test_the_boundary_walk_keeps_numbers_finite(ball: LInf | L2) -> None:
    subject = random_subject()
    result = attack(subject.network, subject.inputs, subject.labels, ball, Boundary(5))
    assert bool(result.inputs.isfinite().all())


def test_the_boundary_walk_leaves_what_may_not_change() -> None:
    subject, radius = random_subject(), torch.full((12,), 0.3)
    radius[::2] = 0.0
    result = attack(subject.network, subject.inputs, subject.labels, PixelBox(radius), Boundary(40))
    assert torch.equal(result.inputs[:, ::2], subject.inputs[:, ::2])
    assert bool(result.success.any())


def test_a_network_of_one_answer_has_no_boundary() -> None:
    subject = silent_subject()
    result = attack(subject.network, subject.inputs, subject.labels, LInf(0.4), Boundary(10))
    assert not bool(result.success.any())
    assert isinstance(subject.network, SpikingNetwork)
