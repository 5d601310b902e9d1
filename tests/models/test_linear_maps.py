"""Each linear map against the dense matrix of the torch module itself, in float64: all that readers ask of one."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert.certify.bounds.signals.affine import affine_map
from spikecert.models.linear_maps import (
    ConvolutionMap,
    LinearMap,
    PoolMap,
    ScaleMap,
    ShareMap,
    affine_types,
    linear_map,
)
from spikecert.models.linear_maps.averaging import ReshapeMap, SelectionMap, WindowsMap
from spikecert.models.linear_maps.convolution import OneRowMap
from support.affine_layers import SEEDS, Features, layers, matrix, signals
from support.examples import examples

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")
UNIT = 2.0**-24
CLOSE = 1e-12
WEIGHTLESS = (ReshapeMap, SelectionMap, PoolMap, WindowsMap)
"""Maps whose layers hold no numbers."""
RARE = (nn.ConvTranspose1d, nn.ZeroPad1d, nn.PixelShuffle, nn.Unflatten)
MAPPED = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] if kind in RARE else []) for kind in affine_types()],
    ids=lambda kind: kind.__name__,
)


class Both:
    """A layer in float32, its map, and the same in float64 with its dense matrix."""

    def __init__(self, layer: nn.Module, features: Features) -> None:
        self.layer, self.features = layer, features
        self.single = linear_map(layer).at_rank(len(features))
        self.module = copy.deepcopy(layer).double()
        self.map = linear_map(self.module).at_rank(len(features))
        self.dense = matrix(self.module, features)

    def image(self, weight: Tensor, x: Tensor) -> Tensor:
        """Return weight·x in the shape of the outputs."""
        return (x.flatten(1) @ weight.T).reshape(len(x), *self.shape)

    @property
    def shape(self) -> torch.Size:
        with torch.no_grad():
            return self.module(torch.zeros(2, *self.features, dtype=torch.float64)).shape[1:]

    @property
    def inner(self) -> LinearMap:
        return self.map.inner if isinstance(self.map, OneRowMap) else self.map

    @property
    def repeats(self) -> bool:
        """Return whether a padding lets one pixel meet several weights of one output."""
        return isinstance(self.inner, ConvolutionMap) and self.inner.padding_mode != "zeros"


def drawn(data: st.DataObject, kind: type[nn.Module]) -> Both:
    return Both(*data.draw(layers(kind)))


def assert_close(found: Tensor, expected: Tensor, size: float | Tensor = 1.0) -> None:
    assert found.shape == expected.shape
    assert bool(((found - expected).abs() <= CLOSE * (size + expected.abs())).all()), (found, expected)


def assert_at_least(found: Tensor, least: Tensor) -> None:
    assert found.shape == least.shape
    assert bool((found >= least - CLOSE * (1.0 + least.abs())).all()), (found, least)


@MAPPED
@given(st.data(), SEEDS)
def test_the_map_is_the_modules_own(kind: type[nn.Module], data: st.DataObject, seed: int):
    both = drawn(data, kind)
    x = signals(both.features, seed)
    with torch.no_grad():
        assert_close(both.map.linear(x), both.image(both.dense, x), 10.0)
        assert_close(both.map.apply(x), both.module(x), 10.0)
        image_of_zero = both.module(torch.zeros_like(x))
        assert_close(both.map.bias.expand(image_of_zero.shape[1:]), image_of_zero[0])
        assert_close(LinearMap.apply(both.map, x), both.module(x), 10.0)
        assert both.single.linear(x.float()).dtype == torch.float32
        assert_close(both.map.linear(torch.zeros_like(x)), torch.zeros_like(image_of_zero))
    assert_at_least(both.map.bias_magnitude.expand(image_of_zero.shape[1:]), image_of_zero[0].abs())
    assert both.map.output_shape(both.features) == tuple(both.shape)
    assert both.single.output_shape(both.features) == tuple(both.shape)


@MAPPED
@given(st.data())
def test_absolute_is_the_modulus_of_each_entry(kind: type[nn.Module], data: st.DataObject):
    """A padding that repeats pixels adds moduli where W adds weights: there it is at least |W|."""
    both = drawn(data, kind)
    modulus = both.map.absolute()
    found = matrix(modulus.linear, both.features)
    (assert_at_least if both.repeats else assert_close)(found, both.dense.abs())
    assert not bool(modulus.bias.any())
    assert_close(matrix(modulus.absolute().linear, both.features), found)
    assert bool((found >= 0).all())


@MAPPED
@given(st.data())
def test_what_bounds_use_are_the_moduli_of_float32_weights(kind: type[nn.Module], data: st.DataObject):
    """A bound in float64 takes exactly the numbers of the run, not moduli that were rounded to float32."""
    both = drawn(data, kind)
    used = affine_map(both.single)
    assert_close(matrix(used.linear, both.features), both.dense)
    found = matrix(used.absolute, both.features)
    (assert_at_least if both.repeats else assert_close)(found, both.dense.abs())
    assert_close(used.bias.expand(both.shape), both.map.bias.detach().expand(both.shape), 10.0)


@MAPPED
@given(st.data(), SEEDS)
def test_squares_are_not_too_small(kind: type[nn.Module], data: st.DataObject, seed: int):
    """They are equal but for an average pool, whose entries are at most 1, and for pixels that padding repeats."""
    both = drawn(data, kind)
    exact = not (both.repeats or isinstance(both.inner, PoolMap))
    for each in (both.map, both.map.absolute()):
        x = signals(both.features, seed).abs()
        least = both.image(both.dense.square(), x)
        (assert_close if exact else assert_at_least)(each.squared(x).detach(), least)


@MAPPED
@given(st.data(), SEEDS)
def test_products_are_the_entries_once_each(kind: type[nn.Module], data: st.DataObject, seed: int):
    """Of a unit vector each output has one product that is not 0, which is the entry of W."""
    both = drawn(data, kind)
    x = signals(both.features, seed)
    products = both.map.products
    if products is None:
        assert isinstance(both.inner, ReshapeMap | PoolMap | WindowsMap) or both.repeats
        return
    assert_close(products(x).detach().sum(-1), both.image(both.dense, x), 10.0)
    size = both.dense.shape[1]
    entries = products(torch.eye(size, dtype=torch.float64).reshape(size, *both.features)).detach().flatten(1, -2)
    assert bool(((entries != 0).sum(-1) <= 1).all())
    assert_close(entries.sum(-1).T, both.dense)


@MAPPED
@given(st.data())
def test_terms_and_the_largest_entry_are_not_too_small(kind: type[nn.Module], data: st.DataObject):
    """A reshape computes nothing; an average divides a sum, so no product of it flushes."""
    both = drawn(data, kind)
    if both.map.reshapes:
        assert both.map.terms == 0
        assert int((both.dense != 0).sum(1).max()) == 1
        assert bool(((both.dense == 0) | (both.dense == 1)).all())
    else:
        assert both.map.terms >= int((both.dense != 0).sum(1).max())
    factors = [weight.detach().abs().max() for weight in both.map.tensors[:1] if weight.dim() > 1]
    if isinstance(both.inner, WEIGHTLESS):
        assert both.map.largest == 0.0
    elif both.repeats:
        assert both.map.largest >= float(factors[0])
    else:
        assert both.map.largest >= float(both.dense.abs().max()) * (1 - CLOSE)
        assert both.single.largest >= float(both.dense.abs().max()) * (1 - 8 * UNIT)


@MAPPED
@given(st.data(), SEEDS)
def test_active_counts_the_products_whose_entry_is_not_0(kind: type[nn.Module], data: st.DataObject, seed: int):
    """As a layer of ones sums marks of these entries, in float32 and float64."""
    both = drawn(data, kind)
    x = signals(both.features, seed).abs()
    ones = copy.deepcopy(both.module)
    for parameter in ones.parameters():
        parameter.data.fill_(1.0)
    found = [each.active(x.to(dtype)) for each, dtype in ((both.single, torch.float32), (both.map, torch.float64))]
    if found[0] is None:
        assert kind not in (nn.Linear, nn.Conv1d, nn.Conv2d)
        return
    expected = both.image(matrix(ones, both.features), (x != 0).double())
    for each in found:
        assert each is not None
        assert each.dtype == torch.float64
        assert torch.equal(each.expand_as(expected), expected.round())
    assert bool((expected <= both.map.terms).all())


@MAPPED
@given(st.data())
def test_what_keeps_zeros_has_no_bias_and_no_tiny_weight(kind: type[nn.Module], data: st.DataObject):
    both = drawn(data, kind)
    if both.map.keeps_zeros:
        assert not bool(both.module(torch.zeros(1, *both.features, dtype=torch.float64)).any())
        assert bool(((both.dense == 0) | (both.dense >= 2.0**-20)).all())
        assert bool((both.dense.sum(1) <= 1 + CLOSE).all())
    else:
        assert not isinstance(both.inner, WEIGHTLESS)


@MAPPED
@given(st.data())
def test_what_mixes_says_is_true(kind: type[nn.Module], data: st.DataObject):
    """2 behind inputs: a column has one entry; 1: no path twice, so powers are exact; 1 behind 1: no mixing."""
    both = drawn(data, kind)
    paths, used = both.map.mixes(2), both.dense != 0
    assert both.map.mixes(0) == 0
    assert both.map.mixes(1) in (0, 1)
    if paths == 2:
        assert int(used.sum(0).max()) <= 1
    if both.map.mixes(1) == 1:
        assert int(used.sum(1).max()) <= 1
    if paths > 0:
        for order in (1, 2):
            powers = matrix(both.map.power(order).linear, both.features)
            assert_close(powers, both.dense.abs() ** order)
    assert paths > 0 or both.repeats or isinstance(both.inner, PoolMap)


@MAPPED
@given(st.data(), SEEDS)
def test_a_copy_is_detached_and_alike(kind: type[nn.Module], data: st.DataObject, seed: int):
    both = drawn(data, kind)
    x = signals(both.features, seed)
    copied = both.single.to(torch.float64)
    assert not any(tensor.requires_grad for tensor in copied.tensors)
    assert all(tensor.dtype == torch.float64 for tensor in copied.tensors)
    assert len(copied.tensors) == len(both.single.tensors)
    for read in (copied.linear, copied.apply, copied.absolute().linear, copied.squared):
        assert not read(x).requires_grad
    assert type(copied) is type(both.single)
    assert_close(copied.apply(x), both.map.apply(x).detach(), 10.0)
    assert_close(
        matrix(copied.absolute().linear, both.features), matrix(both.map.absolute().linear, both.features)
    )
    fixed = [layer for layer in both.layer.parameters() if layer.requires_grad]
    assert both.single.linear(x.float()).requires_grad == bool(fixed and both.single.tensors)


@MAPPED
@given(st.data(), SEEDS)
def test_depth_counts_the_roundings(kind: type[nn.Module], data: st.DataObject, seed: int):
    """A path of n roundings strays by at most γ_n·|W||x|; the sums of float32 are compared with float64."""
    both = drawn(data, kind)
    x = signals(both.features, seed, 8)
    with torch.no_grad():
        run = both.single.linear(x.float()).double()
        error = (run - both.image(both.dense, x)).abs()
        reach = both.map.absolute().linear(x.abs())
    assert bool((error <= 2 * both.single.depth * UNIT * reach + 1e-30).all())
    assert both.single.depth == both.map.depth


@MAPPED
@given(st.data())
def test_ordinary_layers_pass(kind: type[nn.Module], data: st.DataObject):
    both = drawn(data, kind)
    for made in (both.single, both.map):
        made.check_run()
        made.takes(both.features) if kind is not nn.Linear or len(both.features) == 1 else None
        if made.ranged is not None:
            made.ranged(1e3)
            with pytest.raises(OverflowError):
                made.ranged(1e308)
    square = both.map.square(8)
    if square is not None:
        both.map.takes(square)
        assert both.layer(torch.zeros(2, *square)).shape[1:] == both.map.output_shape(square)
    assert (square is None) == isinstance(both.inner, (*WEIGHTLESS, ScaleMap, ShareMap))


@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv1d, nn.Conv2d])
@given(st.data())
def test_features_of_another_size_are_refused(kind: type[nn.Module], data: st.DataObject):
    both = drawn(data, kind)
    axis = -1 if kind is nn.Linear else 0
    wrong = list(both.features)
    wrong[axis] += 1
    for features in (tuple(wrong), (*both.features, 1), both.features[:-1]):
        if kind is nn.Linear and features == (both.features[-1],):
            continue
        with pytest.raises(ValueError, match="features"):
            both.map.takes(features)


@MAPPED
@given(st.data())
def test_a_shape_that_does_not_fit_is_refused_in_one_line(kind: type[nn.Module], data: st.DataObject):
    both = drawn(data, kind)
    if isinstance(both.inner, ReshapeMap | ShareMap):  # any shape fits
        return
    with pytest.raises(ValueError, match=r"^input_shape: .* can't take") as caught:
        both.map.output_shape((both.features[0] + 1, 0, 0, 0, 0))
    assert "\n" not in str(caught.value)


@given(st.data(), SEEDS)
def test_a_batch_norm_is_at_the_rank_of_its_inputs(data: st.DataObject, seed: int):
    both = drawn(data, nn.BatchNorm1d)
    assert isinstance(both.map, ScaleMap)
    x, y = signals(both.features, seed), signals((*both.features, 2), seed)
    again = both.map.at_rank(len(both.features))
    assert_close(again.linear(x), both.map.linear(x))
    with pytest.raises(ValueError, match=r"^inputs: BatchNorm1d"):
        both.map.linear(y)


@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv2d])
@given(st.data(), SEEDS)
def test_a_scale_behind_is_one_map(kind: type[nn.Module], data: st.DataObject, seed: int):
    both = drawn(data, kind)
    rank = len(both.features)
    factor = torch.randn(both.shape[0], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scaled = both.map.scaled(factor, 6, rank)
    if scaled is None:
        assert kind is nn.Linear
        assert rank > 1
        return
    rows = factor.reshape(-1, *([1] * (rank - 1))).expand(both.shape).reshape(-1, 1)
    assert_close(matrix(scaled.linear, both.features), both.dense * rows)
    assert scaled.depth == both.map.depth + 6


@examples(40)
@given(st.data())
def test_a_folded_pool_has_the_settings_of_its_layer(data: st.DataObject):
    """One number for each setting of torch stands for both axes."""
    size = data.draw(st.integers(1, 3))
    layer, same = nn.AvgPool2d(size, stride=2), nn.AvgPool2d((size, size), stride=(2, 2))
    assert linear_map(layer).__dict__ == linear_map(same).__dict__
    assert_close(matrix(linear_map(layer).linear, (1, 4, 4)), matrix(linear_map(same).linear, (1, 4, 4)))


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.AvgPool1d])
@given(st.data())
def test_a_batch_is_never_taken_for_channels(kind: type[nn.Module], data: st.DataObject):
    """torch runs a signal of one axis less as one sample, whose channels are the batch."""
    both = drawn(data, kind)
    channels = both.features[0]
    x = torch.zeros(channels, *both.features[1:], dtype=torch.float64)
    asked = [both.map.linear, both.map.apply, both.map.absolute().linear, both.map.squared]
    for read in asked if both.map.products is None else [*asked, both.map.products]:
        with pytest.raises(ValueError, match=r"^inputs: .* was given \d axes, expected \d behind the batch$"):
            read(x)


@given(st.data(), SEEDS)
def test_a_pool_of_images_takes_images_without_channels(data: st.DataObject, seed: int):
    both = drawn(data, nn.AvgPool2d)
    x = signals(both.features[1:], seed)
    assert_close(both.map.linear(x), both.module(x))
    products = both.map.products
    if products is not None:
        assert_close(products(x).sum(-1), both.module(x))


@MAPPED
@settings(max_examples=3)
@given(st.data())
def test_an_empty_batch_has_an_adjoint(kind: type[nn.Module], data: st.DataObject):
    """A search may have nothing left to price."""
    both = drawn(data, kind)
    zero = torch.zeros(0, *both.features, dtype=torch.float64, requires_grad=True)
    made = both.map.linear(zero)
    assert made.shape == (0, *both.shape)
    assert torch.autograd.grad(made, zero, torch.zeros_like(made))[0].shape == zero.shape


@MAPPED
@given(st.data())
def test_a_subclass_has_no_map(kind: type[nn.Module], data: st.DataObject):
    """It may run otherwise."""
    both = drawn(data, kind)
    both.layer.__class__ = type("Special", (kind,), {})
    with pytest.raises(TypeError, match=r"^network: got a layer of type Special, expected one of "):
        linear_map(both.layer)


def test_settings_without_a_fixed_map_are_refused():
    pool, ones = nn.AvgPool2d(2, divisor_override=3), nn.ZeroPad2d(1)
    ones.value = 1.0
    batch = nn.BatchNorm2d(2, track_running_stats=False)
    for layer, told in (
        (pool, "divides by size"),
        (batch, "track_running_stats"),
        (ones, "of value 1.0, expected 0"),
        (nn.Upsample(scale_factor=1.5), "a whole number"),
        (nn.Upsample(4), "a whole number"),
        (nn.Upsample(scale_factor=2, mode="bilinear"), "mode 'nearest'"),
        (nn.Unflatten(0, (1, 2)), "the batch alone"),
        (nn.Flatten(0), "the batch alone"),
    ):
        with pytest.raises(ValueError, match=told):
            linear_map(layer)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("part", ["weight", "running_var"])
def test_what_underflows_in_a_batch_norm_is_refused(part: str, dtype: torch.dtype):
    layer = nn.BatchNorm1d(2).to(dtype).eval()
    getattr(layer, part).data[1] = torch.finfo(dtype).tiny / 2
    with pytest.raises(OverflowError, match="a batch norm's"):
        linear_map(layer).check_run()


@pytest.mark.parametrize(("rank", "axes"), [(1, 1), (2, 2)])
def test_a_norm_is_of_vectors_or_of_sequences(rank: int, axes: int):
    for before in (1, 2):
        made = linear_map(nn.BatchNorm1d(2)).at_rank(before).at_rank(rank)
        assert isinstance(made, ScaleMap)
        assert made.axes == axes


def test_a_transposed_convolution_counts_the_channels_of_a_group():
    """An output has 2 of 4 channels times 6 weights, an entry of the adjoint 3 of 6, and a bias."""
    made = linear_map(nn.ConvTranspose2d(4, 6, (2, 3), groups=2))
    assert (made.terms, made.depth) == (2 * 6, (2 + 3) * 6 + 1)


@pytest.mark.parametrize(
    ("settings", "whole"),
    [
        ({}, True),
        ({"count_include_pad": False}, True),
        ({"padding": 1}, True),
        ({"padding": 1, "count_include_pad": False}, False),
        ({"ceil_mode": True}, False),
    ],
)
def test_windows_are_whole_unless_padding_is_left_out(settings: dict[str, Any], whole: bool):
    assert (linear_map(nn.AvgPool2d(2, **settings)).products is not None) == whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_least_normal_variance_has_a_root(dtype: torch.dtype):
    layer = nn.BatchNorm1d(2, eps=0.0).to(dtype).eval()
    layer.running_var = torch.full((2,), torch.finfo(dtype).tiny, dtype=dtype)
    linear_map(layer).check_run()


@pytest.mark.parametrize(("stride", "paths"), [(1, 0), ((2, 1), 0), ((1, 2), 0), (2, 2), (3, 2)])
def test_windows_mix_where_they_overlap(stride: int | tuple[int, int], paths: int):
    assert linear_map(nn.AvgPool2d(2, stride)).mixes(2) == paths


@pytest.mark.parametrize(("axis", "features"), [(0, (4,)), (-2, (4,)), (-3, (2, 4))])
def test_an_unflatten_of_the_batch_is_refused(axis: int, features: tuple[int, ...]) -> None:
    """torch would part the samples: 4 of them into 2 times 2."""
    with pytest.raises(ValueError, match=r"none is its own|leaves the batch alone"):
        linear_map(nn.Unflatten(axis, (2, 2))).linear(torch.zeros(4, *features))


def test_sequences_of_other_channels_are_refused_as_sequences():
    """Not as the images of one row that they are taken for inside."""
    with pytest.raises(ValueError, match=r"^inputs: got features \(2, 10\), expected \(3, length\)$"):
        linear_map(nn.Conv1d(3, 2, 3)).takes((2, 10))
