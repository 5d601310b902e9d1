"""Operator norms of every layer type: the explicit matrix lies in the interval, and no input exceeds it."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikecert.analysis import layer_operators, matrix_norm, operator_norm
from spikecert.analysis.gains.neuron_gains import NORMS
from spikecert.analysis.norms.operator_norms import composed_norm, torus_bound
from spikecert.analysis.operators import LayerOperator
from spikecert.models import LIF, Residual, SpikingNetwork
from spikecert.models.linear_maps import LinearMap, linear_map
from support.examples import examples

ORDER = {"l1": 1, "l2": 2, "linf": math.inf}


def in_double(layer: nn.Module) -> LinearMap:
    """Return a layer's map in float64."""
    return linear_map(layer).to(torch.float64)


def operator(*modules: nn.Module, shape: tuple[int, ...], seed: int = 0) -> LayerOperator:
    net = SpikingNetwork(*modules, LIF(), num_steps=2).double().eval()
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_var.uniform_(0.2, 3.0, generator=generator)  # type: ignore[union-attr]
            module.running_mean.normal_(generator=generator)  # type: ignore[union-attr]
            module.weight.data.normal_(generator=generator)
    return layer_operators(net, shape)[0]


def explicit(modules: list[nn.Module], shape: tuple[int, ...]) -> np.ndarray:
    """Return the matrix by running the real torch modules: f(e_j) − f(0)."""
    run = nn.Sequential(*modules).double().eval()
    size = math.prod(shape)
    with torch.no_grad():
        zero = run(torch.zeros(1, *shape, dtype=torch.float64))
        return (run(torch.eye(size, dtype=torch.float64).reshape(size, *shape)) - zero).flatten(1).T.numpy()


def exact_norms(matrix: np.ndarray) -> dict[tuple[str, str], float]:
    absolute = np.abs(matrix)
    norms = {
        ("l1", "l1"): absolute.sum(0).max(),
        ("l1", "l2"): np.linalg.norm(matrix, axis=0).max(),
        ("l1", "linf"): absolute.max(),
        ("l2", "l2"): np.linalg.norm(matrix, 2),
        ("l2", "linf"): np.linalg.norm(matrix, axis=1).max(),
        ("linf", "linf"): absolute.sum(1).max(),
    }
    return {pair: float(value) for pair, value in norms.items()}


CASES = {
    "dense": ([nn.Linear(7, 5)], (7,)),
    "dense-tall": ([nn.Linear(3, 11)], (3,)),
    "dense-batchnorm": ([nn.Linear(6, 5), nn.BatchNorm1d(5)], (6,)),
    "batchnorm-dense": ([nn.BatchNorm1d(6), nn.Linear(6, 5)], (6,)),
    "conv": ([nn.Conv2d(2, 3, 3, padding=1)], (2, 5, 6)),
    "unflatten-conv": ([nn.Unflatten(1, (2, 5, 6)), nn.Conv2d(2, 3, 3, padding=1)], (60,)),
    "conv-stride": ([nn.Conv2d(2, 4, 3, stride=2, padding=1)], (2, 7, 6)),
    "conv-stride-3": ([nn.Conv2d(1, 2, 5, stride=(3, 2), padding=(4, 1))], (1, 8, 9)),
    "conv-groups": ([nn.Conv2d(4, 6, 3, padding=1, groups=2)], (4, 5, 5)),
    "conv-depthwise": ([nn.Conv2d(3, 3, 3, groups=3)], (3, 6, 6)),
    "conv-dilated": ([nn.Conv2d(2, 2, 3, padding=2, dilation=2)], (2, 6, 7)),
    "conv-same": ([nn.Conv2d(2, 2, (3, 5), padding="same")], (2, 5, 5)),
    "conv-valid": ([nn.Conv2d(2, 2, 3, padding="valid")], (2, 5, 5)),
    "conv-circular": ([nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")], (2, 5, 4)),
    "conv-reflect": ([nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")], (2, 5, 4)),
    "conv-replicate": ([nn.Conv2d(1, 2, 5, padding=2, padding_mode="replicate")], (1, 5, 4)),
    "pool": ([nn.AvgPool2d(2)], (3, 6, 6)),
    "pool-overlapping": ([nn.AvgPool2d(3, stride=2, padding=1)], (2, 7, 7)),
    "pool-uncounted": ([nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False, ceil_mode=True)], (2, 6, 6)),
    "conv-batchnorm-pool": ([nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.AvgPool2d(2)], (2, 6, 6)),
    "pool-flatten-dense": ([nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 7)], (2, 6, 6)),
    "residual": ([Residual([nn.Linear(5, 5)])], (5,)),
    "residual-conv": ([Residual([nn.Conv2d(2, 2, 3, padding=1)], [nn.Conv2d(2, 2, 1)])], (2, 4, 4)),
}


def residual_runner(module: nn.Module) -> nn.Module:
    if not isinstance(module, Residual):
        return module

    class Run(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            branch = nn.Sequential(*module.branch).double()(x)
            return branch + (nn.Sequential(*module.shortcut).double()(x) if len(module.shortcut) else x)

    return Run()


@pytest.mark.parametrize("name", CASES)
def test_intervals_hold_the_explicit_norms(name: str) -> None:
    torch.manual_seed(1)
    modules, shape = CASES[name]
    only_weighted = [m for m in modules if isinstance(m, (nn.Linear, nn.Conv2d, Residual))]
    carrier = [] if only_weighted else [nn.Conv2d(shape[0], shape[0], 1)]
    if carrier:  # a network needs weights: an identity convolution carries a pool
        carrier[0].weight.data = torch.eye(shape[0])[:, :, None, None]
    item = operator(*carrier, *modules, shape=shape)
    matrix = explicit([residual_runner(m) for m in [*carrier, *modules]], shape)
    for (first, second), value in exact_norms(matrix).items():
        for interval in (operator_norm(item, first, second), composed_norm(item, first, second)):
            assert interval.lower <= value * (1 + 1e-12)
            assert value <= interval.upper * (1 + 1e-12)
        assert operator_norm(item, first, second).relative_width < 1e-9
        assert composed_norm(item, first, second).lower > 0.2 * value


@pytest.mark.parametrize("name", ["dense", "conv-stride", "residual-conv", "conv-batchnorm-pool"])
@pytest.mark.parametrize("first", NORMS)
@pytest.mark.parametrize("second", NORMS)
def test_no_input_exceeds_the_upper_end_and_a_vertex_stays_above_the_lower(
    name: str, first: str, second: str
) -> None:
    modules, shape = CASES[name]
    item = operator(*modules, shape=shape)
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(200, item.columns, generator=generator, dtype=torch.float64)
    x = torch.cat([x, x.sign(), torch.eye(item.columns, dtype=torch.float64)])
    with torch.no_grad():
        y = item.apply(x)
    ratios = y.norm(ORDER[second], dim=1) / x.norm(ORDER[first], dim=1)
    interval = operator_norm(item, first, second)
    assert float(ratios.max()) <= interval.upper * (1 + 1e-12)
    assert interval.lower > 0.25 * interval.upper


def test_the_all_ones_kernel_has_norm_nine_on_the_torus_and_less_on_the_plane() -> None:
    conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
    conv.weight.data.fill_(1.0)
    interval = operator_norm(operator(conv, shape=(1, 8, 8)))
    assert interval.lower <= 9.0 <= interval.upper
    assert interval.width < 1e-9
    assert torus_bound(in_double(conv), (1, 8, 8)) == pytest.approx(9.0, rel=1e-9)  # type: ignore[arg-type]
    plane = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    plane.weight.data.fill_(1.0)
    expected = (1 + 2 * math.cos(math.pi / 9)) ** 2  # the tridiagonal all-ones matrix of size 8, squared
    assert operator_norm(operator(plane, shape=(1, 8, 8))).upper == pytest.approx(expected, rel=1e-9)
    assert torus_bound(in_double(plane), (1, 8, 8)) >= expected  # type: ignore[arg-type]


@given(
    rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 10**6),
    exponent=st.integers(-320, 300), rank=st.integers(0, 9),
)  # fmt: skip
@examples(150)
def test_matrix_norm_on_any_scale(rows: int, columns: int, seed: int, exponent: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    rank = min(rank, rows, columns)
    base = rng.standard_normal((rows, rank)) @ rng.standard_normal((rank, columns))
    matrix = base * 10.0 ** float(exponent // 2) * 10.0 ** float(exponent - exponent // 2)
    interval = matrix_norm(torch.from_numpy(matrix))
    largest = np.abs(matrix).max()
    value = np.linalg.norm(matrix / largest, 2) if largest > 0 else 0.0
    assert interval.lower <= value * largest * (1 + 1e-13)
    assert value * largest <= interval.upper * (1 + 1e-13)
    if largest > 1e-290:
        assert interval.relative_width < 1e-9


@given(
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dilation=st.integers(1, 2),
    size=st.tuples(st.integers(4, 7), st.integers(4, 7)),
    seed=st.integers(0, 10**6),
)
@examples(100)
def test_the_torus_bounds_every_convolution(
    inputs, outputs, kernel, stride, padding, dilation, size, seed
) -> None:
    torch.manual_seed(seed)
    extent = [dilation * (k - 1) + 1 for k in kernel]
    if any(e > s + 2 * p for e, s, p in zip(extent, size, padding, strict=True)):
        return
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
    norm = np.linalg.norm(explicit([conv], (inputs, *size)), 2)
    bound = torus_bound(in_double(conv), (inputs, *size))  # type: ignore[arg-type]
    assert norm <= bound * (1 + 1e-12)
    assert bound <= norm * max(1.0, math.prod(kernel)) ** 0.5 * math.prod(stride) * 3 + 1e-12


def test_zero_weights_have_norm_zero() -> None:
    assert matrix_norm(torch.zeros(3, 4)) == matrix_norm(torch.zeros(1, 1))
    assert matrix_norm(torch.zeros(3, 4)).upper == 0.0
    conv = nn.Conv2d(2, 2, 3)
    conv.weight.data.zero_()
    assert operator_norm(operator(conv, shape=(2, 4, 4))).upper < 1e-150


def test_two_sources_are_stacked() -> None:
    torch.manual_seed(0)
    net = SpikingNetwork(
        nn.Linear(4, 5),
        LIF(),
        Residual([nn.Linear(5, 5), LIF(), nn.Linear(5, 5)]),
        LIF(),
        nn.Linear(5, 2),
        num_steps=3,
    )
    found = layer_operators(net)
    assert [tuple(item.sources) for item in found] == [(-1,), (0,), (0, 1), (2,)]
    inner = net.layers[2].branch[2].weight.detach().double()  # type: ignore[union-attr, operator, index]
    stacked = torch.cat([torch.eye(5).double(), inner], dim=1)
    value = float(torch.linalg.matrix_norm(stacked, 2))
    assert operator_norm(found[2]).contains(value) or abs(operator_norm(found[2]).upper / value - 1) < 1e-9
    assert composed_norm(found[2], "l2", "l2").upper >= value


def test_nan_and_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^matrix: got"):
        matrix_norm(torch.tensor([[math.nan]]))
    with pytest.raises(ValueError, match=r"^input_norm: got"):
        matrix_norm(torch.ones(1, 1), "l0")
    conv = SpikingNetwork(nn.Conv2d(3, 4, 3), LIF(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 2), num_steps=2)
    with pytest.raises(ValueError, match=r"^input_shape: got None, and square images of 4 to 5 all fit"):
        layer_operators(conv)
    with pytest.raises(ValueError, match=r"^input_shape: "):
        layer_operators(conv, (3, 9, 9))
    assert layer_operators(conv, (3, 5, 4))[0].rows == 4 * 3 * 2


VGG11 = [  # (in, out, image side), then the dense layers: theory.md section 5 on 32×32 images
    (3, 64, 32), (64, 128, 16), (128, 256, 16), (256, 512, 8), (512, 512, 8), (512, 512, 8),
    (512, 512, 4), (512, 512, 4),
]  # fmt: skip


@pytest.mark.slow
def test_all_layers_of_vgg11_within_a_minute() -> None:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    start = time.perf_counter()
    for inputs, outputs, side in VGG11:
        interval = operator_norm(operator(nn.Conv2d(inputs, outputs, 3, padding=1), shape=(inputs, side, side)))
        assert 0.0 < interval.lower <= interval.upper < 1.5 * interval.lower
    for inputs, outputs in ((8192, 4096), (4096, 4096), (4096, 10)):
        assert operator_norm(operator(nn.Linear(inputs, outputs), shape=(inputs,))).relative_width < 1e-3
    assert time.perf_counter() - start < 60, f"with {threads} threads"
