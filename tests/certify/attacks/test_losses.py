"""Losses and gradients of attacks, against hand-computed numbers."""

import pytest
import torch

from spikecert.certify import L2, LInf
from spikecert.certify.attacks.backward import attack_view
from spikecert.certify.attacks.gradients import climb, differentiate
from spikecert.certify.attacks.losses import LOSSES, cross_entropy, logits_ratio, runner_up, targeted
from spikecert.models import Sigmoid

from .conftest import random_subject, silent_subject

LOGITS = torch.tensor([[4.0, 1.0, 3.0, 0.0], [0.0, 2.0, 6.0, 1.0]])
LABELS = torch.tensor([0, 3])


def test_the_margin_loss_is_best_wrong_less_right() -> None:
    assert LOSSES["margin"](LOGITS, LABELS).tolist() == [-1.0, 5.0]


def test_the_logits_ratio_divides_by_first_less_third() -> None:
    assert logits_ratio(LOGITS, LABELS).tolist() == pytest.approx([-1 / 3, 5 / 5])


def test_the_logits_ratio_ignores_scale_and_shift() -> None:
    assert logits_ratio(7 * LOGITS - 3, LABELS).tolist() == pytest.approx(logits_ratio(LOGITS, LABELS).tolist())


def test_the_logits_ratio_of_two_classes_is_the_margin() -> None:
    assert logits_ratio(LOGITS[:, :2], torch.tensor([0, 0])).tolist() == [-3.0, 2.0]


def test_the_logits_ratio_of_equal_logits_is_finite() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(logits_ratio(logits, torch.tensor([1])).sum(), logits)
    assert bool(gradient.isfinite().all())


def test_the_targeted_loss_divides_by_first_less_mean_of_third_and_fourth() -> None:
    values = targeted(torch.tensor([2, 1]))(LOGITS, LABELS)
    assert values.tolist() == pytest.approx([-1 / 3.5, 1 / 5.5])


def test_runners_up_are_ranked_without_the_label() -> None:
    assert runner_up(LOGITS, LABELS, 1).tolist() == [2, 2]
    assert runner_up(LOGITS, LABELS, 3).tolist() == [3, 0]


def test_a_view_shares_weights_and_forward_pass_but_not_the_gradient() -> None:
    subject = random_subject()
    view = attack_view(subject.network, Sigmoid(0.7))
    assert view(subject.inputs).equal(subject.network(subject.inputs))
    own = differentiate(subject.network, subject.inputs, subject.labels, cross_entropy)
    other = differentiate(view, subject.inputs, subject.labels, cross_entropy)
    assert not own.gradient.equal(other.gradient)
    assert own.losses.equal(other.losses)
    assert not any(parameter.requires_grad for parameter in view.network.parameters())
    pairs = zip(view.network.parameters(), subject.network.parameters(), strict=True)
    assert all(one.data_ptr() == two.data_ptr() for one, two in pairs)


@pytest.mark.parametrize("perturbation", [LInf(0.2), L2(0.2)])
def test_a_vanished_gradient_becomes_a_random_step_of_full_length(perturbation: LInf | L2) -> None:
    subject = silent_subject()
    slope = differentiate(subject.network, subject.inputs, subject.labels, cross_entropy)
    assert int(slope.gradient.count_nonzero()) == 0
    step = climb(perturbation, slope.gradient, torch.Generator().manual_seed(0))
    order = float("inf") if isinstance(perturbation, LInf) else 2
    assert step.norm(order, dim=1).tolist() == pytest.approx([0.2] * 3)
    assert not step[0].equal(step[1])


def test_tiny_gradients_keep_their_direction() -> None:
    gradient = torch.tensor([[3e-30, -4e-30]])
    assert L2(1.0).ascent(gradient)[0].tolist() == pytest.approx([0.6, -0.8])
