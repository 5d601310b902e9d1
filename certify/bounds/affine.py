"""Affine layers on boxes: one table from layer type to the operator, its modulus and its square.

For y = Wx + b and x in a box of middle m and radius r, y lies in W·m + b ± |W|·r, exactly. For x in a ball of
radius ε around c, y_i lies in (Wc + b)_i ± ‖W_i‖₂·ε, exactly. For at most k flips of events c, y_i falls and rises
by sums of the k greatest changes, exactly (see flips.py). All ends are widened by the rounding error of the run
and of the bound (see rounding.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .box import Box, Spread
from .products import affine_rows
from .rounding import Rounding


@dataclass(frozen=True)
class AffineMap:
    """An affine layer in the dtype of its bound.

    Attributes:
        linear, absolute, squared: x ↦ Wx, |W|x and at least (W∘W)x where x ≥ 0, for x of shape (batch, ...).
        bias: b, broadcastable to one output, or 0.
        bias_magnitude: the sum of moduli that the layer adds up to form b.
        terms: n, how many products one output sums.
        largest: a bound of |W|'s entries, where a library's product may flush factors to zero; 0 for other layers.
        reshapes: whether the layer only renames coordinates (nn.Flatten).
        products: x ↦ the products W_i·x_i that each output sums, (batch, outputs, terms), no entry of x twice in
            one output; None where a layer does not offer them: a budget of flips is then left to the ball.
        weights: W and |W| of a Linear layer, whose products then take fewer passes; None for other layers.
    """

    linear: Callable[[Tensor], Tensor]
    absolute: Callable[[Tensor], Tensor]
    squared: Callable[[Tensor], Tensor]
    bias: Tensor
    bias_magnitude: Tensor
    terms: int
    largest: float = 0.0
    reshapes: bool = False
    products: Callable[[Tensor], Tensor] | None = None
    weights: tuple[Tensor, Tensor] | None = None

    def spread(self, source: Spread, magnitude: Tensor, rounding: Rounding) -> Spread:
        """Return where W·x + b lies for x in `source`, (T, batch, ...), widened by the rounding of run and bound.

        The error γ·|W||x| is part of the radius' own product, |W|(r + γ|x|), unless |x| is alike for all samples.

        Args:
            source: what is known of x.
            magnitude: a bound of |x[t]| for every t, broadcastable to (batch, ...).
            rounding: the dtype of the run.

        Raises:
            OverflowError: where the run may overflow its dtype.
        """
        if self.reshapes:
            return Spread(fold(self.linear, source.middle), fold(self.linear, source.radius))
        radius = source.radius
        if len(magnitude) == 1:
            slack = self.slack(magnitude, rounding)
        else:
            gamma = rounding.gamma(self.terms)
            slack = self.bias_magnitude * gamma + self.underflow(magnitude, rounding)
            radius = torch.add(radius, magnitude, alpha=gamma)
        found = self._rows(Spread(source.middle, radius), slack)
        if len(magnitude) > 1:
            self._check(found.radius, magnitude, rounding)
        return found

    def _rows(self, source: Spread, slack: Tensor) -> Spread:
        """Return W·middle + b and |W|·radius + slack."""
        if self.weights is None or source.middle.dim() != 3:
            middle, radius = fold(self.linear, source.middle), fold(self.absolute, source.radius)
            middle += self.bias
            radius += slack
            return Spread(middle, radius)
        weight, modulus = self.weights
        return Spread(
            affine_rows(source.middle, weight, self.bias), affine_rows(source.radius, modulus, slack.flatten())
        )

    def _check(self, radius: Tensor, magnitude: Tensor, rounding: Rounding) -> None:
        """Raise OverflowError where the run may overflow; a small `radius`, γ·|W||x| and more, rules it out."""
        if not float(radius.max()) <= rounding.largest * rounding.gamma(self.terms):
            _check_range(self.absolute(magnitude) + self.bias_magnitude, rounding)

    def image(
        self, box: Box, magnitude: Tensor, bias_scale: Tensor, weight: Tensor, rounding: Rounding, steps: int
    ) -> Box:
        """Return the box of Σ_t rows[k,t]·(W·x[t] + b), for the box of Σ_t rows[k,t]·x[t].

        Args:
            box: (k, batch, ...).
            magnitude: a bound of |x[t]| for every t, broadcastable to (batch, ...).
            bias_scale: Σ_t rows[k,t], (k,).
            weight: Σ_t |rows[k,t]|, (k,).
            rounding: the dtype of the run.
            steps: how many further roundings the run adds to each output (those of the sum over t).

        Raises:
            OverflowError: where the run may overflow its dtype.
        """
        if self.reshapes:
            return self._renamed(box)
        middle = fold(self.linear, box.middle)
        middle += self.bias * _column(bias_scale, middle)
        slack = self.slack(magnitude, rounding, steps) * _column(weight, middle)
        radius = fold(self.absolute, box.radius)
        radius += slack
        return self._cut(Box(middle - radius, middle.add_(radius)), box, bias_scale, slack)

    def slack(self, magnitude: Tensor, rounding: Rounding, steps: int = 0) -> Tensor:
        """Return how far the run's output may be from the exact W·x + b of the run's own x.

        Args:
            magnitude: a bound of |x|.
            rounding, steps: as in `image`.

        Raises:
            OverflowError: where the run may overflow its dtype.
        """
        if self.reshapes:
            return self.linear(torch.zeros_like(magnitude))
        error = self.absolute(magnitude)
        error += self.bias_magnitude
        _check_range(error, rounding)
        return error.mul_(rounding.gamma(self.terms + steps)).add_(self.underflow(magnitude, rounding))

    def underflow(self, magnitude: Tensor, rounding: Rounding) -> float:
        """Return what underflow may take from one output: of each product, of its weight and of its x."""
        return rounding.smallest * self.terms * (1.0 + float(magnitude.max()) + self.largest)

    def adjoint(self, outputs: Tensor, shape: torch.Size) -> Tensor:
        """Return Wᵀy, (batch, *shape), for y of shape (batch, ...)."""
        zero = outputs.new_zeros(len(outputs), *shape)
        with torch.enable_grad():
            zero.requires_grad_()
            (pulled,) = torch.autograd.grad(self.linear(zero), zero, outputs)
        return pulled

    def _renamed(self, box: Box) -> Box:
        center = None if box.center is None else fold(self.linear, box.center)
        flips = box.flips
        flips = None if flips is None else replace(flips, direction=fold(self.linear, flips.direction))
        return Box(fold(self.linear, box.lower), fold(self.linear, box.upper), center, box.ball, flips)

    def _cut(self, image: Box, box: Box, bias_scale: Tensor, slack: Tensor) -> Box:
        """Intersect the image of the box with the images of the ball and of the flips, where there are any."""
        if box.center is None:
            return image
        middle = fold(self.linear, box.center)
        middle = middle + self.bias * _column(bias_scale, middle)
        lower, upper = image.lower, image.upper
        if box.ball is not None:
            radius = self._norms(box.center) * _column(box.ball, middle) + slack
            lower, upper = lower.fmax(middle - radius), upper.fmin(middle + radius)
        if box.flips is not None and self.products is not None:
            fall, rise = box.flips.reach(self.products)
            lower, upper = lower.maximum(middle - fall - slack), upper.minimum(middle + rise + slack)
        return Box(lower, upper)

    def _norms(self, like: Tensor) -> Tensor:
        """Return at least ‖W_i‖₂ for each output i, (1, ...); each square pays for its underflow."""
        ones = torch.ones_like(like[0, :1])
        return (self.squared(ones) + self.terms * torch.finfo(ones.dtype).tiny).sqrt()


def fold(operator: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Apply a batched operator to (k, batch, ...)."""
    return operator(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])


def _column(per_row: Tensor, like: Tensor) -> Tensor:
    return per_row.reshape(-1, *([1] * (like.dim() - 1)))


def _check_range(error: Tensor, rounding: Rounding) -> None:
    reach = float(error.max())
    if not reach <= rounding.largest:
        raise OverflowError(f"a sum of products may reach {reach:.3g}, beyond {rounding.dtype}")


def affine_map(layer: nn.Module, dtype: torch.dtype = torch.float64) -> AffineMap:
    """Return `layer` (in evaluation mode) as an `AffineMap` in `dtype`, which must hold its weights exactly.

    Raises:
        TypeError: for a layer that is not in the table.
    """
    for kind, make in _MAPS.items():
        if isinstance(layer, kind):
            return make(layer, dtype)
    raise TypeError(f"layer: got {type(layer).__name__}, expected one of {', '.join(k.__name__ for k in _MAPS)}")


def _weighted(
    apply: Callable[[Tensor, Tensor], Tensor],
    weight: Tensor,
    bias: Tensor,
    terms: int,
    products: Callable[[Tensor], Tensor] | None,
    dense: bool = False,
) -> AffineMap:
    modulus = weight.abs()
    return AffineMap(
        linear=lambda x: apply(x, weight),
        absolute=lambda x: apply(x, modulus),
        squared=lambda x: apply(x, weight.square()),
        bias=bias,
        bias_magnitude=bias.abs(),
        terms=terms,
        largest=float(modulus.max()),
        products=products,
        weights=(weight, modulus) if dense else None,
    )


def _exact(parameter: Tensor | None, like: Tensor) -> Tensor:
    return like.new_zeros(1) if parameter is None else parameter.detach().to(like.dtype)


def _linear(layer: nn.Linear, dtype: torch.dtype) -> AffineMap:
    weight = layer.weight.detach().to(dtype)
    bias = _exact(layer.bias, weight)
    return _weighted(F.linear, weight, bias, layer.in_features, lambda x: x.unsqueeze(-2) * weight, True)


def _conv(layer: nn.Conv2d, dtype: torch.dtype) -> AffineMap:
    weight = layer.weight.detach().to(dtype)
    bias = _exact(layer.bias, weight).reshape(-1, 1, 1)
    products = partial(_conv_products, layer, weight) if layer.padding_mode == "zeros" else None
    plain = _weighted(lambda x, w: layer._conv_forward(x, w, None), weight, bias, weight[0].numel(), products)
    if layer.padding_mode == "zeros":
        return plain
    lost = plain.terms * torch.finfo(dtype).tiny  # by squares that vanish

    def squared(x: Tensor) -> Tensor:
        return (plain.squared(x) + lost) * _repeats(layer, x)

    return replace(plain, squared=squared)


def _repeats(layer: nn.Conv2d, images: Tensor) -> Tensor:
    """Return m, (rows, columns): each output reads no pixel by more than m of its weights.

    A padding that repeats pixels adds up to m weights to one entry of W, whose square is at most m times the sum
    of theirs.
    """
    sides = layer._reversed_padding_repeated_twice
    counts = []
    for axis, pads in ((0, sides[2:]), (1, sides[:2])):
        size = images.shape[2 + axis]
        places = torch.arange(size, dtype=images.dtype, device=images.device).view(1, 1, size)
        places = F.pad(places, pads, mode=layer.padding_mode).flatten()
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
        taps = places.unfold(0, reach, layer.stride[axis])[:, :: layer.dilation[axis]]
        counts.append((taps[:, :, None] == taps[:, None]).sum(2).amax(1).to(images.dtype))
    return counts[0][:, None] * counts[1]


def _conv_products(layer: nn.Conv2d, weight: Tensor, images: Tensor) -> Tensor:
    """Return the products under each kernel, (n, channels, height, width, terms); padding adds products of 0."""
    padded = F.pad(images, layer._reversed_padding_repeated_twice)
    pixels = _windows(padded, weight.shape[2:], layer.dilation, layer.stride)
    grouped = pixels.unflatten(1, (layer.groups, 1, -1)).movedim(3, -1)
    weight = weight.flatten(1).unflatten(0, (layer.groups, -1))
    return (grouped * weight[:, :, None, None]).flatten(1, 2)


def _windows(images: Tensor, size: Sequence[int], dilation: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Return the pixels of each window, (n, channels·height·width of the window, rows, columns)."""
    rows = (images.shape[2] - dilation[0] * (size[0] - 1) - 1) // stride[0] + 1
    pixels = F.unfold(images, tuple(size), tuple(dilation), 0, tuple(stride))
    return pixels.unflatten(2, (rows, -1))


def _average_pool(layer: nn.AvgPool2d, dtype: torch.dtype) -> AffineMap:
    """Average pooling: all entries of W are positive, so |W| = W; ‖W_i‖₂² ≤ max|W|·Σ|W| ≤ 1·Σ|W|."""
    size = _pair(layer.kernel_size)
    zero = torch.zeros((), dtype=dtype)
    padded = _pair(layer.padding) != (0, 0) and not layer.count_include_pad
    whole = not (layer.ceil_mode or padded or layer.divisor_override)
    products = partial(_pool_products, layer) if whole else None
    return AffineMap(layer, layer, layer, zero, zero, size[0] * size[1], products=products)


def _pool_products(layer: nn.AvgPool2d, images: Tensor) -> Tensor:
    """Return the pixels of each window over its size, (n, channels, height, width, terms)."""
    (rows, columns), size = _pair(layer.padding), _pair(layer.kernel_size)
    padded = F.pad(images, (columns, columns, rows, rows)).flatten(0, 1).unsqueeze(1)
    pixels = _windows(padded, size, (1, 1), _pair(layer.stride)).movedim(1, -1)
    return pixels.unflatten(0, images.shape[:2]) / (size[0] * size[1])


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, dtype: torch.dtype) -> AffineMap:
    """Batch norm in evaluation mode: y = s·x + (b − s·mean), s = w/√(var + eps)."""
    if layer.running_mean is None or layer.running_var is None:
        raise ValueError("layer: got a batch norm without running statistics, which has no fixed affine map")
    column = (-1, *([1] * (2 if isinstance(layer, nn.BatchNorm2d) else 0)))
    mean, variance = layer.running_mean.to(dtype), layer.running_var.to(dtype)
    _check_variance(layer.running_var, layer.eps)
    weight = torch.ones_like(mean) if layer.weight is None else layer.weight.detach().to(dtype)
    scale = (weight / (variance + layer.eps).sqrt()).reshape(column)
    _check_range(scale.abs(), Rounding(layer.running_var.dtype))  # the run multiplies it out before it meets x
    own = _exact(layer.bias, mean)
    shift = scale * mean.reshape(column)
    own = own.reshape(column) if own.numel() > 1 else own

    def channels(x: Tensor) -> Tensor:
        """Return x, (batch, channels) or images: of sequences, channels are not where this map looks for them."""
        if x.dim() != 1 + len(column):
            raise ValueError(f"inputs: {layer} was given sequences, expected (batch, {layer.num_features})")
        return x

    return AffineMap(
        linear=lambda x: channels(x) * scale,
        absolute=lambda x: channels(x) * scale.abs(),
        squared=lambda x: channels(x) * scale.square(),
        bias=own - shift,
        bias_magnitude=own.abs() + shift.abs(),
        terms=12,
        products=lambda x: (channels(x) * scale).unsqueeze(-1),
    )


def _check_variance(variance: Tensor, eps: float) -> None:
    """Raise OverflowError where the run's var + eps is not normal, or a difference: its root may be anything."""
    least = float(variance.min())
    if not (least >= 0.0 and least + eps >= torch.finfo(variance.dtype).tiny):
        raise OverflowError(f"a batch norm's variance of {least:.3g} + {eps:.3g} has no accurate root")


def _flatten(layer: nn.Flatten, dtype: torch.dtype) -> AffineMap:
    zero = torch.zeros((), dtype=dtype)
    return AffineMap(layer, layer, layer, zero, zero, 0, reshapes=True)


_MAPS: dict[type[nn.Module], Callable[..., AffineMap]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.AvgPool2d: _average_pool,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.Flatten: _flatten,
}
