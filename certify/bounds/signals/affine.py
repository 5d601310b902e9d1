"""Affine layers on boxes: what a layer's map, its modulus and its square make of a set.

For y = Wx + b and x in a box of middle m and radius r, y lies in W·m + b ± |W|·r, exactly. For x in a ball of
radius ε around c, y_i lies in (Wc + b)_i ± ‖W_i‖₂·ε, exactly. For at most k changes of events c, y_i falls and
rises by sums of the k greatest of them (flips.py, moved_events.py). All ends are widened by the rounding error of
the run and of the bound (see rounding.py).

Products of a layer's weights with boxes in float32: by oneDNN where that is the faster library.

For float32 torch takes MKL, which runs at half the speed of oneDNN on processors with AVX-512 that it does not
know (AMD's); torch has both. A product in plain float32 is within γ_n·Σ|w||x| by either, whatever the order of
summation, and more is not asked of it (see rounding.py). The run itself is left alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ....models.linear_maps import DenseMap, LinearMap
from ...arithmetic import reduced_precision
from ...rounding import Rounding, lost_products, own_error, product_error, widened
from ..events.flips import Heaviest
from .windows import Box, Spans, Spread

WORTH = 1 << 22
"""Products of fewer multiplications are not worth oneDNN's copies."""


def affine_rows(signal: Tensor, weight: Tensor, plus: Tensor) -> Tensor:
    """Return W·x + c for each row, (rows, batch, outputs).

    Args:
        signal: x, (rows, batch, n).
        weight: W, (outputs, n).
        plus: c, (outputs,) or (1,).
    """
    plus = plus.expand(len(weight))
    if not by_onednn(signal, weight):
        return F.linear(signal, weight, plus)
    rows, own, added = (tensor.contiguous().to_mkldnn() for tensor in (signal.flatten(0, 1), weight, plus))
    return F.linear(rows, own, added).to_dense().unflatten(0, signal.shape[:2])


def by_onednn(signal: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN takes the product: large, plain float32 on a processor's wide units."""
    return (
        signal.numel() * len(weight) >= WORTH
        and signal.dtype == weight.dtype == torch.float32
        and signal.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and not reduced_precision()
    )


MOST_SHARES = 2.0**31
"""More than any window has entries: each has more than 1 over that of its mean."""


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
            one output; None where a layer does not offer them: a budget of changes is then left to the ball.
        weights: W and |W| of a Linear layer, whose products then take fewer passes; None for other layers.
        ranged: what raises OverflowError where the run may overflow for |x| up to a number, beside its sums.
        active: bounds of |x| ↦ how many of an output's products may be other than 0, in float64, broadcastable to
            the outputs; None where the layer does not say.
        keeps_zeros: whether outputs are means or copies of inputs, or 0.
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
    ranged: Callable[[float], None] | None = None
    active: Callable[[Tensor], Tensor | None] | None = None
    keeps_zeros: bool = False

    def spread(self, source: Spread, magnitude: Tensor, rounding: Rounding) -> Spread:
        """Return where W·x + b lies for x in `source`, (T, batch, ...), widened by the rounding of run and bound.

        The error γ·|W||x| is part of the radius' own product, |W|(r + γ|x|), unless |x| is alike for all samples.

        Args:
            source: what is known of x.
            magnitude: a bound of |x[t]| for every t, broadcastable to (batch, ...), or of each, (T, batch, ...).
            rounding: the dtype of the run.

        Raises:
            OverflowError: where the run may overflow its dtype.
        """
        if self.reshapes:
            return behind(self.linear, self.linear, source)
        if magnitude.dim() == source.radius.dim():
            return self._stepwise(source, magnitude, rounding)
        radius = source.radius
        if len(magnitude) == 1:
            slack = self.slack(magnitude, rounding, counted=False)
        else:
            gamma = product_error(self.terms, rounding)
            slack = self.bias_magnitude * gamma + self.underflow(magnitude, rounding)
            radius = torch.add(radius, magnitude, alpha=gamma)
        found = self._rows(Spread(source.middle, radius), slack)
        if len(magnitude) > 1:
            self._check(found.radius, magnitude, rounding)
        return found

    def _stepwise(self, source: Spread, size: Tensor, rounding: Rounding) -> Spread:
        """Return `spread` for a bound of |x[t]| of each t: γ is that of a sample's and step's fullest output.

        The source's radius is overwritten.
        """
        most = self._terms(size.flatten(0, 1)).flatten(1).amax(1).expand(size.shape[0] * size.shape[1])
        gamma = product_error(most, rounding).to(size).view(*size.shape[:2], *([1] * (size.dim() - 2)))
        radius, lost = source.radius.addcmul_(size, gamma), self.underflow(size, rounding)
        if self.keeps_zeros:  # what is lost of a mean is lost of its entries
            radius, lost = radius.add_(size.sign(), alpha=lost * MOST_SHARES), 0.0
        found = self._rows(Spread(source.middle, radius), size.new_full((1,), lost))
        found.radius.addcmul_(gamma, self.bias_magnitude.to(size))
        self._check(found.radius, size, rounding)
        return found

    def _terms(self, magnitude: Tensor) -> Tensor:
        """Return how many products of each output may be other than 0, float64, broadcastable to the outputs."""
        found = None if self.active is None else self.active(magnitude)
        return magnitude.new_full((1, 1), self.terms, dtype=torch.float64) if found is None else found

    def _rows(self, source: Spread, slack: Tensor) -> Spread:
        """Return W·middle + b and |W|·radius + slack."""
        if self.weights is None or source.middle.dim() != 3:
            found = behind(self.linear, self.absolute, source)
            found.middle.add_(self.bias)
            found.radius.add_(slack)
            return found
        weight, modulus = self.weights
        return Spread(
            affine_rows(source.middle, weight, self.bias), affine_rows(source.radius, modulus, slack.flatten())
        )

    def _check(self, radius: Tensor, magnitude: Tensor, rounding: Rounding) -> None:
        """Raise OverflowError where the run may overflow; a small `radius`, γ·|W||x| and more, rules it out."""
        if rounding.whole or not float(radius.max()) <= rounding.largest * product_error(0, rounding):
            size = magnitude.flatten(0, 1) if magnitude.dim() == radius.dim() else magnitude
            _check_range(self.absolute(size) + self.bias_magnitude, rounding)

    def image(
        self,
        box: Box,
        magnitude: Tensor,
        bias_scale: Tensor,
        weight: Tensor,
        rounding: Rounding,
        steps: int,
        kept: dict[int, Heaviest],
    ) -> Box:
        """Return the box of Σ_t rows[k,t]·(W·x[t] + b), for the box of Σ_t rows[k,t]·x[t].

        Args:
            box: (k, batch, ...).
            magnitude: a bound of |x[t]| for every t, broadcastable to (batch, ...).
            bias_scale: Σ_t rows[k,t], (k,).
            weight: Σ_t |rows[k,t]|, (k,).
            rounding: the dtype of the run.
            steps: how many further roundings the run adds to each output (those of the sum over t).
            kept: what other rows left to know of the budget's products.

        Raises:
            OverflowError: where the run may overflow its dtype.
        """
        if self.reshapes:
            return self.renamed(box)
        slack = self.slack(magnitude, rounding, steps)
        return self.cut(self.images(box), box, bias_scale, slack * weight.reshape(-1, *([1] * slack.dim())), kept)

    def images(self, box: Box) -> "Images":
        """Return what W and |W| make of a box, (k, batch, ...)."""
        found = behind(self.linear, self.absolute, box.spread)
        if box.center is None:
            return Images(found.middle, found.radius)
        return Images(found.middle, found.radius, fold(self.linear, box.center), self._norms(box.center[0]))

    def cut(self, images: "Images", box: Box, bias_scale: Tensor, slack: Tensor, kept: dict[int, Heaviest]) -> Box:
        """Return `image` from the images of a box, which are overwritten, and its ball and budget.

        Args:
            images: of the box.
            box: whose ball and budget cut them.
            bias_scale, kept: as in `image`.
            slack: what run and bound may be off, (k, batch, ...).
        """
        bias = self.bias * _column(bias_scale, images.middle)
        found = Spread(images.middle.add_(bias), images.radius.add_(slack)).box
        if images.center is None:
            return found
        middle, lower, upper = images.center.add_(bias), found.lower, found.upper
        if box.ball is not None and images.norms is not None:
            radius = images.norms * _column(box.ball, middle) + slack
            lower, upper = lower.fmax(middle - radius), upper.fmin(middle + radius)
        if box.budget is not None and self.products is not None:
            fall, rise = box.budget.reach(self.products, kept, self.signed)
            lower, upper = lower.maximum(middle - fall - slack), upper.minimum(middle + rise + slack)
        return Box(lower, upper)

    def signed(self, marks: Tensor) -> tuple[Tensor, Tensor]:
        """Return at least W⁺x and W⁻x for x ≥ 0, (|W|x ± Wx)/2, (batch, ...) each.

        Both products carry n roundings of |W|x; twice their half is paid, and what is 0 stays 0.
        """
        size, found = self.absolute(marks), self.linear(marks)
        paid = size * (1.0 + 2.0 * own_error(self.terms + 8))
        return (paid + found) / 2.0, (paid - found) / 2.0

    def slack(self, magnitude: Tensor, rounding: Rounding, steps: int = 0, counted: bool = True) -> Tensor:
        """Return how far the run's output may be from the exact W·x + b of the run's own x.

        Args:
            magnitude: a bound of |x|.
            rounding, steps: as in `image`.
            counted: whether each output pays for those of its products alone that may be other than 0.

        Raises:
            OverflowError: where the run may overflow its dtype.
        """
        if self.reshapes:
            return self.linear(torch.zeros_like(magnitude))
        error = self.absolute(magnitude)
        error += self.bias_magnitude
        _check_range(error, rounding)
        gamma = product_error(self._terms(magnitude) if counted else self.terms, rounding, steps)
        return error.mul_(gamma).add_(self.underflow(magnitude, rounding))

    def magnitude(self, magnitude: Tensor, rounding: Rounding) -> Tensor:
        """Return a bound of the run's |Wx + b| for |x| up to `magnitude`: |W|·|x| + |b|, widened.

        It is 0 only where the run's outputs are: not where products have vanished, which no mean of signs does.
        """
        found = widened(self.absolute(magnitude) + self.bias_magnitude, self.terms, rounding)
        lost = self.underflow(magnitude, rounding)
        return found + (self.absolute(magnitude.sign()).sign() * lost if self.keeps_zeros else lost)

    def underflow(self, magnitude: Tensor, rounding: Rounding) -> float:
        """Return what underflow may take from one output: of each product, of its weight and of its x.

        Raises:
            OverflowError: where the run may overflow its dtype on the way.
        """
        reach = float(magnitude.max())
        if self.ranged is not None:
            self.ranged(reach)
        return lost_products(self.terms, self.largest, reach, rounding)

    def adjoint(self, outputs: Tensor, shape: torch.Size) -> Tensor:
        """Return Wᵀy, (batch, *shape), for y of shape (batch, ...)."""
        if self.weights is not None and outputs.dtype == self.weights[0].dtype:
            return outputs @ self.weights[0]
        zero = outputs.new_zeros(len(outputs), *shape)
        with torch.enable_grad():
            zero.requires_grad_()
            (pulled,) = torch.autograd.grad(self.linear(zero), zero, outputs)
        return pulled

    def renamed(self, box: Box) -> Box:
        """Return a box, (k, batch, ...), with the coordinates that a map which `reshapes` gives it."""
        center = None if box.center is None else fold(self.linear, box.center)
        budget = None if box.budget is None else box.budget.moved(lambda marks: fold(self.linear, marks))
        return Box(fold(self.linear, box.lower), fold(self.linear, box.upper), center, box.ball, budget)

    def _norms(self, like: Tensor) -> Tensor:
        """Return at least ‖W_i‖₂ for each output i, (1, ...); each square pays for its underflow."""
        ones = torch.ones_like(like[:1])
        return (self.squared(ones) + self.terms * torch.finfo(ones.dtype).tiny).sqrt()


@dataclass(frozen=True)
class Images:
    """What W and |W| make of a box, without the bias: W·middle, |W|·radius, W·center, (k, batch, ...), and ‖W_i‖₂.

    They commute with sums over independent steps: Σ_t A[t]·W·x[t] lies in Σ A·(W·m) ± Σ |A|·(|W|·r). So hundreds
    of windows take no more products than the steps do. Windows add their roundings, below T, in place of those of
    the rows: `over_rows` pays for either.
    """

    middle: Tensor
    radius: Tensor
    center: Tensor | None = None
    norms: Tensor | None = None

    def windows(self, asked: Spans, ends: range) -> "Images":
        """Return the images of windows from those of the steps."""
        center = None if self.center is None else asked.totals(self.center, ends)
        middle, radius = asked.totals(self.middle, ends), asked.absolute.totals(self.radius, ends)
        return Images(middle, radius, center, self.norms)

    def combined(self, rows: Tensor) -> "Images":
        """Return the images of Σ_t rows[k,t]·x[t] from those of the steps."""
        center = None if self.center is None else torch.tensordot(rows, self.center, 1)
        middle, radius = torch.tensordot(rows, self.middle, 1), torch.tensordot(rows.abs(), self.radius, 1)
        return Images(middle, radius, center, self.norms)

    def copy(self) -> "Images":
        """Return the same, to be overwritten."""
        center = None if self.center is None else self.center.clone()
        return Images(self.middle.clone(), self.radius.clone(), center, self.norms)


def behind(linear: Callable[[Tensor], Tensor], absolute: Callable[[Tensor], Tensor], source: Spread) -> Spread:
    """Return where W·x lies for x in `source`, or W·x + b for a `linear` that adds it: W·m + b ± |W|·r."""
    return Spread(fold(linear, source.middle), fold(absolute, source.radius))


def fold(operator: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """Apply a batched operator to (k, batch, ...)."""
    return operator(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])


def _column(per_row: Tensor, like: Tensor) -> Tensor:
    return per_row.reshape(-1, *([1] * (like.dim() - 1)))


def _check_range(error: Tensor, rounding: Rounding) -> None:
    reach = float(error.max())
    if not reach <= rounding.largest:
        raise OverflowError(f"a sum of products may reach {reach:.3g}, beyond {rounding.dtype}")


def affine_map(layer: LinearMap, dtype: torch.dtype = torch.float64) -> AffineMap:
    """Return an affine layer as an `AffineMap` in `dtype`, which must hold its weights exactly.

    Raises:
        OverflowError: where the run's arithmetic strays from the layer by more than rounding.
    """
    layer.check_run()
    exactly = layer.to(dtype)
    modulus = exactly.absolute()
    return AffineMap(
        linear=exactly.linear,
        absolute=modulus.linear,
        squared=exactly.squared,
        bias=exactly.bias,
        bias_magnitude=exactly.bias_magnitude,
        terms=exactly.terms,
        largest=exactly.largest,
        reshapes=exactly.reshapes,
        products=exactly.products,
        weights=_weights(exactly, modulus),
        ranged=layer.ranged,
        active=exactly.active,
        keeps_zeros=exactly.keeps_zeros,
    )


def _weights(layer: LinearMap, modulus: LinearMap) -> tuple[Tensor, Tensor] | None:
    if isinstance(layer, DenseMap) and isinstance(modulus, DenseMap):
        return layer.weight, modulus.weight
    return None
