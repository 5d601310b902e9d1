"""The spectral norm of a large convolution, bounded by that of a circular convolution that contains it.

Claim. Put the image on a torus with n ≥ max(H + max(top, bottom), H + top + bottom − K + 1) rows (K: the extent of
the dilated kernel; columns alike), n a multiple of the stride. Then every output of the zero-padded convolution is
the output of the circular one at some site, different outputs at different sites: the padding positions −top..−1
and H..H+bottom−1 fall, modulo n, on sites outside the image. So A = P·C·E with an isometric embedding E and a
selection P, and ‖A‖₂ ≤ ‖C‖₂. The discrete Fourier transform makes C block-diagonal: one c_out × s²c_in block B a
frequency (s² phases for stride s), so ‖C‖₂ is the greatest of their norms, each closed by Cholesky of τI − BᴴB.

A circular padding that preserves the size is that torus itself, and ‖A‖₂ = ‖C‖₂. Any other padding is a linear map
of norm √(the most copies that a pixel has), times the convolution of the padded image.

References: sedghi2019singular
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from ...models.deadline import check_time
from ...models.linear_maps import ConvolutionMap, Shape
from ..arithmetic.definite import gram_error, largest_eigenvalue_bound
from ..arithmetic.intervals import accumulated, multiply_up, root_up

_BATCH_ENTRIES = 1 << 22


def torus_bound(convolution: ConvolutionMap, shape: Shape) -> float:
    """Return a proven upper end of ‖A‖₂ for a convolution of images (channels, H, W) = shape."""
    _, height, width = shape
    if convolution.padding_mode == "zeros":
        return _spectral_bound(convolution, _torus(convolution, height, width))
    top, bottom, left, right = convolution.padding
    if convolution.padding_mode == "circular" and _preserves_size(convolution):
        return _spectral_bound(convolution, (height, width))
    inner = replace(convolution, padding=(0, 0, 0, 0), padding_mode="zeros")
    padded = (height + top + bottom, width + left + right)
    return multiply_up(_copies(convolution, height, width), _spectral_bound(inner, _torus(inner, *padded)))


def _preserves_size(convolution: ConvolutionMap) -> bool:
    totals = (sum(convolution.padding[:2]), sum(convolution.padding[2:]))
    return convolution.stride == (1, 1) and all(
        total == extent - 1 for total, extent in zip(totals, _extent(convolution), strict=True)
    )


def _extent(convolution: ConvolutionMap) -> tuple[int, int]:
    rows, columns = convolution.weight.shape[2:]
    return (convolution.dilation[0] * (rows - 1) + 1, convolution.dilation[1] * (columns - 1) + 1)


def _torus(convolution: ConvolutionMap, height: int, width: int) -> tuple[int, int]:
    top, bottom, left, right = convolution.padding
    rows, columns = _extent(convolution)
    sides = (
        max(height + max(top, bottom), height + top + bottom - rows + 1),
        max(width + max(left, right), width + left + right - columns + 1),
    )
    row_stride, column_stride = convolution.stride
    return (math.ceil(sides[0] / row_stride) * row_stride, math.ceil(sides[1] / column_stride) * column_stride)


def _copies(convolution: ConvolutionMap, height: int, width: int) -> float:
    """Return √(the most copies of one pixel): the norm of the padding, whose columns are orthogonal."""
    image = torch.zeros(1, 1, height, width, dtype=torch.float64, requires_grad=True)
    padded = convolution.pad(image)
    (counts,) = torch.autograd.grad(padded, image, torch.ones_like(padded))
    return root_up(float(counts.max()))


def _spectral_bound(convolution: ConvolutionMap, torus: tuple[int, int]) -> float:
    groups = convolution.weight.chunk(convolution.groups)
    return root_up(max(_group_bound(convolution, weight, torus) for weight in groups))


def _group_bound(convolution: ConvolutionMap, weight: Tensor, torus: tuple[int, int]) -> float:
    """Return a proven upper end of max over frequencies of σ_max(B)²."""
    if not bool(weight.any()):
        return 0.0
    frequencies = _frequencies(convolution, torus)
    blocks_at_once = max(1, _BATCH_ENTRIES // max(1, weight[:, :, 0, 0].numel() * math.prod(convolution.stride)))
    error = _block_gram_error(convolution, weight)
    grams = (_grams(_symbol(convolution, weight, torus, chunk)) for chunk in frequencies.split(blocks_at_once))
    return max(largest_eigenvalue_bound(gram, error) for gram in grams)


def _frequencies(convolution: ConvolutionMap, torus: tuple[int, int]) -> Tensor:
    """Return one of each pair of conjugate frequencies (f₁, f₂), as integers, (count, 2)."""
    rows, columns = torus[0] // convolution.stride[0], torus[1] // convolution.stride[1]
    first, second = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    all_pairs = torch.stack([first.flatten(), second.flatten()], 1)
    mirror = (-all_pairs) % torch.tensor([rows, columns])
    keep = all_pairs[:, 0] * columns + all_pairs[:, 1] <= mirror[:, 0] * columns + mirror[:, 1]
    return all_pairs[keep]


def _symbol(convolution: ConvolutionMap, weight: Tensor, torus: tuple[int, int], frequencies: Tensor) -> Tensor:
    """Return the blocks B(f), (frequencies, c_out, phases·c_in): B_r(f) = Σ_m K[s·m + r]·exp(2πi f·m/(n/s))."""
    check_time()
    phases: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            position = (row * convolution.dilation[0], column * convolution.dilation[1])
            steps = [divmod(p, s) for p, s in zip(position, convolution.stride, strict=True)]
            shift = _rotation(frequencies, (steps[0][0], steps[1][0]), torus, convolution.stride)
            phases.setdefault((steps[0][1], steps[1][1]), []).append((shift, weight[:, :, row, column]))
    return torch.cat([_combine(terms) for terms in phases.values()], dim=2)


def _rotation(
    frequencies: Tensor, step: tuple[int, int], torus: tuple[int, int], stride: tuple[int, int]
) -> Tensor:
    rows, columns = torus[0] // stride[0], torus[1] // stride[1]
    turns = (frequencies[:, 0] * step[0] % rows).double() / rows + (
        frequencies[:, 1] * step[1] % columns
    ).double() / columns
    angle = 2.0 * math.pi * turns
    return torch.complex(torch.cos(angle), torch.sin(angle))


def _combine(terms: list[tuple[Tensor, Tensor]]) -> Tensor:
    shifts = torch.stack([shift for shift, _ in terms], 1)
    kernels = torch.stack([kernel for _, kernel in terms]).to(torch.complex128)
    return (shifts @ kernels.flatten(1)).reshape(len(shifts), *kernels.shape[1:])


def _grams(blocks: Tensor) -> Tensor:
    return blocks @ blocks.mH if blocks.shape[1] <= blocks.shape[2] else blocks.mH @ blocks


def _block_gram_error(convolution: ConvolutionMap, weight: Tensor) -> float:
    """Bound ‖fl(BᴴB) − BᴴB‖₂ at every frequency.

    |B| ≤ Σ_k |K_k| entry by entry (phases side by side), and ‖·‖₂² ≤ ‖·‖₁‖·‖_∞. A rotation is off by less than
    100u (its angle, below 4π, by 5 roundings), a sum over k terms by γ_{2k}, complex products by 4u each.
    """
    terms = weight.shape[2] * weight.shape[3]
    total = weight.abs().sum((2, 3))
    slack = 1.0 + accumulated(sum(weight.shape[:2]) + terms + 8)
    # rows hold all phases side by side, a column holds one phase: its sum is at most the sum over all
    square = multiply_up(float(total.sum(1).max()) * slack, float(total.sum(0).max()) * slack)
    entry = 100 + 8 * terms + convolution.roundings
    depth = 2 * entry + 8 * (max(weight.shape[:2]) * math.prod(convolution.stride) + 4)
    return gram_error(depth, square, max(weight.shape[:2]) * math.prod(convolution.stride))
