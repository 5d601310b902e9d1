"""Products that are surely 0 round nothing: what is paid for the others covers every order of summation."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.certify.bounds.signals.windows import Spread
from spikecert.certify.rounding import Rounding
from spikecert.checking.maps.layers import Linear
from spikecert.checking.numbers.exact import ARITHMETIC, Dyadic
from spikecert.models.linear_maps import linear_map
from support.exact_numbers import values
from support.examples import examples
from support.orders import sums

SINGLE = ARITHMETIC[np.dtype("<f4")]
U = Fraction(1, 2**24)


def allowed(weight: np.ndarray, bias: np.float32, x: np.ndarray, size: np.ndarray) -> dict[str, Fraction]:
    """Return how far bounds and checker let a run of one output be from the exact sum, |x| ≤ size."""
    layer = nn.Linear(len(weight), 1)
    layer.load_state_dict({"weight": torch.from_numpy(weight)[None], "bias": torch.from_numpy(np.array([bias]))})
    exactly = Fraction(0)
    for w, each in zip((*weight, bias), (*x, 1.0), strict=True):
        exactly += Fraction(float(w)) * Fraction(float(each))
    found = {"exact": exactly}
    for dtype in (torch.float64, torch.float32):
        map_, rounding = affine_map(linear_map(layer), dtype), Rounding(torch.float32, dtype)
        middle, reach = torch.from_numpy(x).to(dtype)[None, None], torch.from_numpy(size).to(dtype)[None]
        if dtype == torch.float64:
            found["slack"] = Fraction(float(map_.slack(reach, rounding)))
        steps = map_.spread(Spread(middle, torch.zeros_like(middle)), reach[None], rounding).box
        ends = (Fraction(float(end)) for end in (steps.lower, steps.upper))
        found[f"steps in {dtype}"] = min(abs(end - exactly) for end in ends)
    affine, _ = Linear(Dyadic.of(weight[None]), Dyadic.of(np.array([bias]))).over((len(weight),), SINGLE)
    found["checker"] = values(affine.measured(Dyadic.of(size[:, None]), SINGLE)[1])[0, 0]
    return found


@examples(400)
@given(
    st.integers(1, 40),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.sampled_from([0, 3, 30, 60]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_every_order_is_paid_for(count: int, share: float, spread: int, spikes: bool, seed: int):
    """Spikes or numbers, some of them 0, weights of sizes 2^±spread that nearly cancel."""
    generator = np.random.default_rng(seed)
    weight = (generator.normal(size=count) * 2.0 ** generator.integers(-spread, spread + 1, count)).astype(
        np.float32
    )
    weight[count // 2 :] -= weight[: count - count // 2]
    size = (generator.random(count) < share).astype(np.float32)
    if not spikes:
        size *= generator.random(count).astype(np.float32)
    x, bias = (size * (generator.random(count) < 0.8)).astype(np.float32), np.float32(generator.normal())
    found = allowed(weight, bias, x, size)
    exactly = found.pop("exact")
    for total in sums(weight, x, bias, generator):
        for name, most in found.items():
            assert abs(Fraction(total) - exactly) <= most, name


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_a_run_may_use_up_what_is_paid(count: int):
    """A product that is rounded by a unit, and k sums that are: k + 1 units in all, and hardly more is paid."""
    zeros, tiny = 100, np.float32(2.0**-24 * (1 + 2.0**-10))
    x = np.zeros(count + zeros, np.float32)
    x[0] = 1 + 2.0**-12
    weight = np.full(len(x), tiny)
    weight[0] = 1 + 2.0**-12 + 2.0**-23  # the product is 1 + 2^-11 + 2^-23 + 2^-24 + 2^-35: up by almost a unit
    x[1:count] = 1.0
    found = allowed(weight, tiny, x, x)
    total, exactly = float(np.add.accumulate(np.append(weight * x, tiny))[-1]), found.pop("exact")
    used = Fraction(total) - exactly
    assert used > (count + Fraction(9, 10)) * U
    for name, most in found.items():
        assert used <= most < (count + 2 + Fraction(3, 100)) * U * (1 if "float32" not in name else 6), name


def test_no_output_pays_for_what_is_0():
    """An output whose inputs are all 0 is its bias; without a bias nothing but underflow is paid."""
    layer = affine_map(linear_map(nn.Linear(1000, 3)))
    rounding, none = Rounding(torch.float32), torch.zeros(1, 1000).double()
    assert bool((layer.slack(none, rounding) <= layer.bias_magnitude * 2.01 * rounding.unit + 1e-30).all())
    plain = affine_map(linear_map(nn.Linear(1000, 3, bias=False)))
    assert float(plain.slack(none, rounding).max()) < 1e-30


def test_a_spikes_product_may_be_flushed():
    """A subnormal weight may be taken for 0: what it is worth is paid, and what an overflow makes is refused."""
    layer, one = nn.Linear(1, 1, bias=False), torch.ones(1, 1, 1).double()
    for weight in (1e-40, 3e38):
        layer.weight.data.fill_(weight)
        map_, rounding = affine_map(linear_map(layer)), Rounding(torch.float32)
        if weight > 1:
            with pytest.raises(OverflowError, match=r"a sum of products may reach 3e\+38"):
                map_.spread(Spread(one, 0 * one), one, rounding)
        else:
            assert float(map_.spread(Spread(one, 0 * one), one, rounding).radius) >= weight
            assert float(map_.slack(one[0], rounding)) >= weight


@examples(60)
@given(st.integers(0, 2**31))
def test_less_is_paid_than_for_all_products_of_1(seed: int):
    torch.manual_seed(seed)
    layer = affine_map(linear_map(nn.Conv2d(4, 6, 3, padding=1, groups=2)))
    size, rounding = (torch.rand(2, 3, 4, 5, 5) < torch.rand(())).double(), Rounding(torch.float32)
    known = size, size.new_ones(1, 4, 5, 5)
    found, whole = (layer.spread(Spread(size, torch.zeros_like(size)), most, rounding) for most in known)
    assert torch.equal(found.middle, whole.middle)
    assert bool((found.radius <= whole.radius * (1 + 1e-12)).all())
    for step, each in enumerate(size):
        one = layer.slack(each, rounding)
        assert bool((one <= layer.slack(each, rounding, counted=False)).all())
        assert bool((one <= found.radius[step] * (1 + 1e-12)).all())  # of the fullest output


def vanishing(size: float, **settings: bool) -> Tensor:
    """Return a bound of what a layer with a tiny weight makes of inputs up to `size`."""
    layer = nn.Linear(2, 1, **settings).double()
    layer.weight.data = torch.tensor([[1e-300, 0.0]]).double()
    return affine_map(linear_map(layer)).magnitude(torch.full((1, 2), size).double(), Rounding(torch.float64))


def test_what_vanishes_is_not_0():
    """A bound of 0 says that nothing is there; a product that underflows in the bound may be there in the run."""
    assert float(vanishing(1e-300, bias=False)) > 0
    pool = affine_map(linear_map(nn.AvgPool2d(2)))
    image = torch.zeros(1, 1, 4, 4).double()
    image[0, 0, 0, 0] = 5e-324
    found = pool.magnitude(image, Rounding(torch.float64)).flatten().tolist()
    assert found[0] > 0
    assert found[1:] == [0.0, 0.0, 0.0]
