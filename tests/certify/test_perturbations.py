"""Threat models: what they hold, decided in rational arithmetic."""

import math
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikecert.certify import L2, LInf, PixelBox, SpikeFlip
from spikecert.certify.perturbations import RangedSet
from support.examples import examples

DTYPES = (torch.float32, torch.float64)
RADII = st.sampled_from([0.0, 1e-300, 1e-12, 1e-8, 0.25, 8 / 255, 1.0, 1e30]) | st.floats(0.0, 2.0)
RANGES = st.sampled_from([(0.0, 1.0), (0.1, 0.7), (-3.0, 2.5), (0.3, 0.9)])


@st.composite
def samples(draw: st.DrawFn, low: float, high: float, features: int = 5) -> Tensor:
    """Return (3, features) within [low, high], some of them on the ends, as near as their dtype allows."""
    dtype = draw(st.sampled_from(DTYPES))
    shares = draw(
        st.lists(st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1), min_size=3 * features, max_size=3 * features)
    )
    inputs = torch.tensor([low + (high - low) * share for share in shares], dtype=torch.float64).to(dtype)
    up, down = torch.tensor(math.inf, dtype=dtype), torch.tensor(-math.inf, dtype=dtype)
    inputs = torch.where(inputs.double() < low, torch.nextafter(inputs, up), inputs)
    inputs = torch.where(inputs.double() > high, torch.nextafter(inputs, down), inputs)
    return inputs.reshape(3, features)


@st.composite
def problems(draw: st.DrawFn) -> tuple[RangedSet, Tensor]:
    """Return a real-valued threat model and samples that fit it."""
    low, high = draw(RANGES)
    inputs = draw(samples(low, high))
    kind = draw(st.sampled_from(["linf", "l2", "box"]))
    if kind == "box":
        radius = torch.tensor(draw(st.lists(RADII, min_size=5, max_size=5)), dtype=torch.float64)
        return PixelBox(radius, low, high), inputs
    return (LInf if kind == "linf" else L2)(draw(RADII), low, high), inputs


def exactly_inside(perturbation: RangedSet, candidate: Tensor, sample: Tensor) -> bool:
    """Return whether one candidate lies in the set, in rational arithmetic."""
    steps = [Fraction(a) - Fraction(b) for a, b in zip(candidate.tolist(), sample.tolist(), strict=True)]
    if not all(
        Fraction(perturbation.lower) <= Fraction(a) <= Fraction(perturbation.upper) for a in candidate.tolist()
    ):
        return False
    if isinstance(perturbation, L2):
        return sum(step**2 for step in steps) <= Fraction(perturbation.epsilon) ** 2
    if isinstance(perturbation, LInf):
        return all(abs(step) <= Fraction(perturbation.epsilon) for step in steps)
    assert isinstance(perturbation, PixelBox)
    return all(abs(step) <= Fraction(r) for step, r in zip(steps, perturbation.radius.tolist(), strict=True))


def refused_if_subnormal(perturbation: RangedSet, dtype: torch.dtype) -> AbstractContextManager[object]:
    sizes = torch.as_tensor(perturbation.extent, dtype=torch.float64)
    subnormal = bool(((sizes > 0) & (sizes < torch.finfo(dtype).tiny)).any())
    return pytest.raises(ValueError, match=r"^(epsilon|radius): got") if subnormal else nullcontext()


@examples(150)
@given(problems(), st.integers(0, 2**31), st.sampled_from([1e-9, 1e-3, 1.0, 1e20]))
def test_project_and_sample_stay_inside(problem: tuple[RangedSet, Tensor], seed: int, scale: float) -> None:
    perturbation, inputs = problem
    generator = torch.Generator().manual_seed(seed)
    with refused_if_subnormal(perturbation, inputs.dtype):
        perturbation.check(inputs)
    noise = scale * torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
    for allowed in (perturbation.project(inputs + noise, inputs), perturbation.sample(inputs, generator)):
        assert allowed.dtype == inputs.dtype
        assert all(exactly_inside(perturbation, *pair) for pair in zip(allowed, inputs, strict=True))
        assert bool(perturbation.contains(allowed, inputs).all())


@examples(150)
@given(problems(), st.integers(0, 2**31), st.sampled_from([0, 1, -1, 2]))
def test_contains_is_exact(problem: tuple[RangedSet, Tensor], seed: int, nudge: int) -> None:
    """Candidates on the boundary, and a rounding step to either side of it."""
    perturbation, inputs = problem
    generator = torch.Generator().manual_seed(seed)
    candidates = perturbation.project(inputs + torch.randn(inputs.shape, generator=generator).to(inputs), inputs)
    for _ in range(abs(nudge)):
        away = torch.sign(candidates - inputs) * math.copysign(math.inf, nudge)
        candidates = torch.where(away.isnan(), candidates, torch.nextafter(candidates, away))
    expected = [exactly_inside(perturbation, *pair) for pair in zip(candidates, inputs, strict=True)]
    assert perturbation.contains(candidates, inputs).tolist() == expected


@examples(150)
@given(problems())
def test_limits_round_inward_and_no_further(problem: tuple[RangedSet, Tensor]) -> None:
    """Each limit is allowed, and its neighbour outside is not: the corners of the box are not lost."""
    perturbation, inputs = problem
    if isinstance(perturbation, L2):
        return
    for ends, towards in zip(perturbation.limits(inputs), (-math.inf, math.inf), strict=True):
        beyond = torch.nextafter(ends, torch.full_like(ends, towards))
        for end, out, sample in zip(ends, beyond, inputs, strict=True):
            assert exactly_inside(perturbation, end, sample)
            for feature in range(len(end)):
                moved = end.clone()
                moved[feature] = out[feature]
                assert not exactly_inside(perturbation, moved, sample)


@examples(150)
@given(problems())
def test_the_enclosure_rounds_outward(problem: tuple[RangedSet, Tensor]) -> None:
    perturbation, inputs = problem
    box = perturbation.enclosure(inputs)
    extent = perturbation.extent
    radii = extent if isinstance(extent, Tensor) else torch.full((inputs.shape[1],), extent, dtype=torch.float64)
    for row in range(len(inputs)):
        for value, radius, low, high in zip(
            inputs[row].tolist(), radii.tolist(), box.lower[row].tolist(), box.upper[row].tolist(), strict=True
        ):
            exact = Fraction(value)
            assert Fraction(low) <= max(exact - Fraction(radius), Fraction(perturbation.lower))
            assert Fraction(high) >= min(exact + Fraction(radius), Fraction(perturbation.upper))
            assert perturbation.lower <= low <= value <= high <= perturbation.upper
    if isinstance(perturbation, L2):
        assert box.ball is not None
        assert float(box.ball) == perturbation.epsilon


@pytest.mark.parametrize("dtype", DTYPES)
def test_l2_projection_reaches_the_boundary(dtype: torch.dtype) -> None:
    """Rounding must not throw candidates back to the sample: they end within a relative 1e-4 of the sphere."""
    generator = torch.Generator().manual_seed(0)
    inputs = 0.25 + 0.5 * torch.rand(200, 784, generator=generator, dtype=dtype)
    step = torch.randn(200, 784, generator=generator, dtype=dtype)
    for epsilon in (0.01, 0.1, 1.0):
        moved = L2(epsilon).project(inputs + step, inputs)
        reached = (moved.double() - inputs.double()).norm(dim=1)
        assert float(reached.min()) > epsilon * (1 - 1e-3)


def test_a_point_at_a_distance_of_exactly_epsilon_is_allowed() -> None:
    inputs = torch.tensor([[0.25, 0.5]])
    assert L2(0.25).contains(torch.tensor([[0.5, 0.5]]), inputs).tolist() == [True]
    assert L2(0.625).contains(torch.tensor([[0.625, 1.0]]), inputs).tolist() == [True]  # 3-4-5
    assert L2(0.6249999999999999).contains(torch.tensor([[0.625, 1.0]]), inputs).tolist() == [False]
    assert LInf(0.25).limits(inputs)[0].tolist() == [[0.0, 0.25]]


def test_candidates_that_are_no_numbers_become_allowed_inputs() -> None:
    inputs = torch.full((2, 3), 0.5)
    bad = torch.tensor([[math.nan, 0.5, 0.5], [math.inf, 0.5, 0.5]])
    moved = L2(0.1).project(bad, inputs)
    assert bool(L2(0.1).contains(moved, inputs).all())
    events = torch.tensor([[0.0, 1.0, 0.0]])
    assert SpikeFlip(2).project(torch.full_like(events, math.nan), events).equal(events)


def test_pixel_boxes_with_equal_radii_are_the_linf_ball() -> None:
    inputs = torch.rand(4, 6, generator=torch.Generator().manual_seed(1))
    box, ball = PixelBox(torch.full((6,), 0.1, dtype=torch.float64)), LInf(0.1)
    assert all(one.equal(other) for one, other in zip(box.limits(inputs), ball.limits(inputs), strict=True))
    assert box.enclosure(inputs).lower.equal(ball.enclosure(inputs).lower)


def test_threat_models_are_frozen_and_hashable() -> None:
    radius = torch.tensor([0.1, 0.2])
    box = PixelBox(radius)
    radius[0] = 9.0
    assert box == PixelBox(torch.tensor([0.1, 0.2]))
    assert box != PixelBox(torch.tensor([0.1, 0.3]))
    assert len({box, PixelBox(torch.tensor([0.1, 0.2])), LInf(0.1), LInf(0.1), L2(0.1), SpikeFlip(1)}) == 4
    with pytest.raises(AttributeError):
        box.lower = 0.5  # pyright: ignore[reportAttributeAccessIssue]


# Spike flips


@st.composite
def events(draw: st.DrawFn) -> tuple[Tensor, int]:
    """Return binary inputs (2, T, features) and a budget."""
    shape = (2, draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    bits = draw(st.lists(st.booleans(), min_size=math.prod(shape), max_size=math.prod(shape)))
    return torch.tensor(bits, dtype=draw(st.sampled_from(DTYPES))).reshape(shape), draw(st.integers(0, 14))


@examples(100)
@given(events(), st.integers(0, 2**31))
def test_spike_flips_stay_binary_and_within_budget(case: tuple[Tensor, int], seed: int) -> None:
    inputs, count = case
    generator = torch.Generator().manual_seed(seed)
    perturbation = SpikeFlip(count)
    candidates = inputs + 2 * torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
    box = perturbation.enclosure(inputs)
    for allowed in (perturbation.project(candidates, inputs), perturbation.sample(inputs, generator)):
        assert set(allowed.unique().tolist()) <= {0.0, 1.0}
        flips = (allowed != inputs).flatten(1).sum(1)
        assert int(flips.max()) <= count
        assert bool(perturbation.contains(allowed, inputs).all())
        assert bool(((box.lower <= allowed) & (allowed <= box.upper)).all())
        if box.ball is not None and box.center is not None:
            assert all(Fraction(int(flip)) <= Fraction(float(box.ball)) ** 2 for flip in flips)
    assert (perturbation.sample(inputs, generator) != inputs).flatten(1).sum(1).tolist() == [
        min(count, inputs[0].numel())
    ] * 2


@examples(60)
@given(events(), st.integers(0, 2**31))
def test_spike_flip_projection_is_nearest(case: tuple[Tensor, int], seed: int) -> None:
    """No allowed input, of all of them, is nearer to the candidate."""
    inputs, count = case
    inputs = inputs[:1, :2, :3]
    candidates = inputs + torch.randn(inputs.shape, generator=torch.Generator().manual_seed(seed)).to(inputs)
    distance = (SpikeFlip(count).project(candidates, inputs) - candidates).norm()
    size = inputs.numel()
    every = torch.tensor([[(code >> bit) & 1 for bit in range(size)] for code in range(2**size)]).to(inputs)
    allowed = every[(every != inputs.flatten()).sum(1) <= count]
    assert float(distance) <= float((allowed - candidates.flatten()).norm(dim=1).min()) + 1e-6


def test_one_flip_too_many_is_not_contained() -> None:
    inputs = torch.zeros(1, 2, 2)
    assert SpikeFlip(2).contains(torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), inputs).tolist() == [True]
    assert SpikeFlip(1).contains(torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), inputs).tolist() == [False]
    assert SpikeFlip(4).contains(torch.tensor([[[0.5, 0.0], [0.0, 0.0]]]), inputs).tolist() == [False]


def test_a_budget_of_no_flips_is_the_sample() -> None:
    inputs = torch.tensor([[[1.0, 0.0]]])
    box = SpikeFlip(0).enclosure(inputs)
    assert box.lower.equal(inputs.double())
    assert box.upper.equal(inputs.double())
    assert SpikeFlip(0).project(1 - inputs, inputs).equal(inputs)


@pytest.mark.parametrize("threat", [LInf(0.1), L2(0.1), PixelBox(torch.full((5,), 0.1)), SpikeFlip(2)])
def test_a_batch_of_no_samples_has_none(threat: LInf | L2 | PixelBox | SpikeFlip) -> None:
    nothing, generator = torch.zeros(0, 5), torch.Generator().manual_seed(0)
    assert threat.project(nothing, nothing).shape == (0, 5)
    assert threat.sample(nothing, generator).shape == (0, 5)
    assert threat.contains(nothing, nothing).shape == (0,)
    assert threat.enclosure(nothing).lower.shape == (0, 5)
