"""The settings of a training run, checked, with the tables of optimisers and learning-rate schedules.

Random shifts of recordings for batches of training events, without a loop over samples.

Random crops, mirror images and Cutout for batches of training images, without a loop over samples.

The regulariser of "AT+Reg": after each step of the optimiser, the weights step towards orthogonality.

First-layer neurons that each look at one spot of the image, and go on doing so through training.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models.chips import ChipWeights
from ..models.constants import at_least, nonnegative, positive, real, settle, share, unless_none, whole
from ..models.elements.layers import WEIGHTED, Residual
from ..models.elements.neurons import fires
from ..models.linear_maps.averaging import Share
from ..models.networks import SpikingNetwork
from ..models.validation import check_choice


@dataclass(frozen=True)
class EventAugmentation:
    """What is done afresh to each training recording: all of its events move together, over pixels and in time.

    Row, column and step of each move by whole numbers drawn alike from −reach to reach. What leaves the recording
    is gone, and nothing comes in.

    Args:
        pixels: how far rows and columns move at most; 0 for not at all, as recordings without pixels need it.
        steps: how far time moves at most.

    Raises:
        ValueError: for a negative number.

    >>> EventAugmentation(steps=1)(torch.ones(2, 5, 2, 34, 34), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 5, 2, 34, 34])
    """

    pixels: int = 2
    steps: int = 0

    def __post_init__(self) -> None:
        settle(self, at_least(0), "pixels", "steps")

    def __call__(self, events: Tensor, generator: torch.Generator) -> Tensor:
        """Return new recordings of the same shape.

        Args:
            events: (batch, T, ..., height, width), or (batch, T, ...) where no pixels move, on any device.
            generator: the source of all randomness; it draws on its own device: the same for events on any.

        Raises:
            ValueError: for a tensor that lacks an axis.
        """
        if events.dim() < (4 if self.pixels else 2):
            told = "recordings (T, ..., height, width)" if self.pixels else "recordings (T, ...)"
            raise ValueError(f"augmentation: got inputs {tuple(events.shape[1:])}, expected {told}")
        for axis, reach in ((1, self.steps), (events.dim() - 2, self.pixels), (events.dim() - 1, self.pixels)):
            if reach:
                events = _moved(events, axis, reach, generator)
        return events


def _moved(events: Tensor, axis: int, reach: int, generator: torch.Generator) -> Tensor:
    """Return events that moved along one axis, each sample by a number of its own."""
    drawn = torch.randint(2 * reach + 1, (len(events), 1), generator=generator, device=generator.device)
    source = torch.arange(events.shape[axis], device=events.device) + drawn.to(events.device) - reach
    inside = (source >= 0) & (source < events.shape[axis])
    ahead = events.movedim(axis, 1)
    batch = torch.arange(len(events), device=events.device)[:, None]
    found = ahead[batch, source.clamp(0, events.shape[axis] - 1)]
    kept = inside.view(*inside.shape, *[1] * (events.dim() - 2))
    return torch.where(kept, found, torch.zeros_like(found)).movedim(1, axis).contiguous()


@dataclass(frozen=True)
class Augmentation:
    """What is done afresh to each training image, in this order.

    1. Crop: pad all sides with `crop` black pixels, and cut the image's size out at a random place.
    2. Flip: mirror left and right, one time in two.
    3. Cutout: paint a square of side `cutout` black; its middle is any pixel, what lies outside is cut off.

    Args:
        crop: pixels of padding; 0 for no crop.
        flip: whether to mirror. Meaningless for digits.
        cutout: the side of the square, even; 0 for none. The paper's is 16 for 32×32 images.

    Raises:
        ValueError: for a negative number or an odd side.

    >>> Augmentation()(torch.ones(2, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3, 32, 32])

    References: ding2024robust, devries2017cutout
    """

    crop: int = 4
    flip: bool = True
    cutout: int = 16

    def __post_init__(self) -> None:
        settle(self, at_least(0), "crop")
        settle(self, whole, "cutout")
        if self.cutout < 0 or self.cutout % 2:
            raise ValueError(f"cutout: got {self.cutout}, expected an even number of at least 0")

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return new images of the same shape.

        Args:
            images: (batch, channels, height, width), on any device.
            generator: the source of all randomness; it draws on its own device: the same for images on any.

        Raises:
            ValueError: for a tensor that is not four-dimensional.
        """
        if images.dim() != 4:
            raise ValueError(f"augmentation: got inputs {tuple(images.shape[1:])}, expected images (c, h, w)")
        if self.crop:
            images = _cropped(images, self.crop, generator)
        if self.flip:
            images = _flipped(images, generator)
        return _cut_out(images, self.cutout // 2, generator) if self.cutout else images


def _draw(images: Tensor, end: int, generator: torch.Generator) -> Tensor:
    """Return one integer in [0, end) for each image."""
    drawn = torch.randint(end, (len(images),), generator=generator, device=generator.device)
    return drawn.to(images.device)


def _span(images: Tensor, dim: int) -> Tensor:
    return torch.arange(images.shape[dim], device=images.device)


def _cropped(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    rows = _draw(images, 2 * padding + 1, generator)[:, None] + _span(images, 2)
    columns = _draw(images, 2 * padding + 1, generator)[:, None] + _span(images, 3)
    padded = F.pad(images, (padding,) * 4).permute(0, 2, 3, 1)
    batch = _span(images, 0)[:, None, None]
    return padded[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    mirrored = _draw(images, 2, generator).bool()
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def _cut_out(images: Tensor, half: int, generator: torch.Generator) -> Tensor:
    hidden = [_near(images, dim, half, generator) for dim in (2, 3)]
    square = hidden[0][:, :, None] & hidden[1][:, None, :]
    return images.masked_fill(square[:, None], 0.0)


def _near(images: Tensor, dim: int, half: int, generator: torch.Generator) -> Tensor:
    """Return which pixels along `dim` are in [middle − half, middle + half), (batch, pixels)."""
    offset = _span(images, dim) - _draw(images, images.shape[dim], generator)[:, None]
    return (offset >= -half) & (offset < half)


MANY_ROWS = 200
"""A dense layer with as many rows is one of which only a share may move."""


@dataclass(frozen=True)
class Retraction:
    """W ← (1+β)·W − β·W·Wᵀ·W for each dense and convolutional layer, its weight flattened to a matrix.

    Each singular value moves by σ ← σ + β·σ·(1 − σ²): those in (0, √((1+β)/β)) go to 1, so that orthonormal rows
    (or columns, where there are fewer) are the fixed points. In the paper it stands in for weight decay, which
    `fit` must then be told to leave out. Where both paths of a residual sum end with a `Share`, the two numbers
    are put back on the simplex, to the nearest pair that is not negative and adds up to 1.

    Args:
        beta: β in (0, 1/2]; the authors' script has 5e-4.
        share: of the rows of each dense layer with at least `MANY_ROWS` rows, drawn afresh at each step: those are
            moved, W being these rows alone, and the others stay. The authors' code has .3.

    Raises:
        ValueError: for a β or a share out of range.

    >>> layer = nn.Linear(2, 2)
    >>> _ = nn.init.eye_(layer.weight)
    >>> Retraction(0.1)(layer)
    >>> torch.equal(layer.weight, torch.eye(2))
    True

    References: ding2024robust, cisse2017parseval
    """

    beta: float = 0.002
    share: float = 1.0

    def __post_init__(self) -> None:
        settle(self, partial(real, finite=False), "beta", "share")
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share: got {self.share!r}, expected a number in (0, 1]")
        if not 0.0 < self.beta <= 0.5:
            raise ValueError(f"beta: got {self.beta!r}, expected a number above 0 and up to 1/2")

    @torch.no_grad()
    def __call__(self, network: nn.Module, generator: torch.Generator | None = None) -> None:
        """Move the weights of `network` in place; biases, batch norms and neurons stay.

        Args:
            network: the network under training.
            generator: draws the rows, where `share` is below 1; None for torch's global one.
        """
        for module in network.modules():
            if isinstance(module, WEIGHTED):
                rows = self._rows(module, generator)
                weight = module.weight.flatten(1)
                moved = _retracted(weight if rows is None else weight[rows], self.beta)
                module.weight[slice(None) if rows is None else rows] = moved.unflatten(1, module.weight.shape[1:])
            elif isinstance(module, Residual):
                _on_simplex(module)

    def _rows(self, module: nn.Module, generator: torch.Generator | None) -> Tensor | None:
        """Return the rows that move, or None for all."""
        weight = module.weight
        assert isinstance(weight, Tensor)
        if self.share == 1.0 or not isinstance(module, nn.Linear) or len(weight) < MANY_ROWS:
            return None
        device = "cpu" if generator is None else generator.device
        order = torch.randperm(len(weight), generator=generator, device=device)
        return order[: int(self.share * len(weight))].to(weight.device)


def _retracted(weight: Tensor, beta: float) -> Tensor:
    """Return the moved matrix; the smaller of both Gram matrices is the one that is formed."""
    rows, columns = weight.shape
    cubed = (weight @ weight.T) @ weight if rows <= columns else weight @ (weight.T @ weight)
    return (1.0 + beta) * weight - beta * cubed


def _on_simplex(residual: Residual) -> None:
    """Put the shares of both paths on the simplex: of two numbers (a, b), a moves to clip((1 + a − b)/2, 0, 1)."""
    paths = residual.branch, residual.shortcut
    ends = [path[-1] for path in paths if len(path)]
    shares = [end.share for end in ends if isinstance(end, Share)]
    if len(shares) == len(paths):
        branch, shortcut = shares
        part = ((1.0 + branch - shortcut) / 2.0).clamp(0.0, 1.0)
        branch.copy_(part)
        shortcut.copy_(1.0 - part)


@dataclass(frozen=True)
class LocalFields:
    """Gives each first-layer neuron a small receptive field, outside of which its weights stay zero.

    An ℓ∞ ball of radius ε moves a neuron's current by up to ε·‖w‖₁. Neighbouring pixels agree, so that a sum
    over a few of them differs much from image to image for its ‖w‖₁, and a sum over all pixels little. Interval
    training finds local weights only slowly from dense ones. The field is a Gaussian blob, w ∝ exp(−d²/2σ²), or
    the difference of two, cut off at distance reach·σ. Where it lies, σ and the difference's direction are
    random.

    `start` sets weights and biases; as `fit(..., after_step=fields)` it keeps the weights outside of the fields at
    zero.

    Args:
        height, width: of the images, in pixels.
        smallest, largest: the range of σ in pixels, drawn with a uniform logarithm.
        opposed: the share of neurons that take a difference.
        norm: ‖w‖₁ at the start.
        reach: where fields end, in σ.
        seed: of everything random.

    Raises:
        ValueError: for a number out of range.

    >>> from spikecert import LIF, dataset, mlp
    >>> network, fields = mlp((64, 16, 10), 1, LIF(0.5)), LocalFields(8, 8, largest=1.0)
    >>> fields.start(network, dataset("digits").train.inputs)
    >>> bool((network.layers[0].weight == 0).any())
    True
    """

    height: int = 28
    width: int = 28
    smallest: float = 0.7
    largest: float = 2.5
    opposed: float = 0.5
    norm: float = 3.0
    reach: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        settle(self, at_least(1), "height", "width")
        settle(self, positive, "smallest", "norm", "reach")
        settle(self, partial(real, finite=False), "largest")
        settle(self, share, "opposed")
        settle(self, whole, "seed")
        if not self.smallest <= self.largest < math.inf:
            raise ValueError(
                f"largest: got {self.largest!r}, expected a finite number of at least {self.smallest}"
            )

    @torch.no_grad()
    def start(self, network: SpikingNetwork, images: Tensor) -> None:
        """Set the first layer's weights to fields, and its biases: each neuron is at its threshold on one image.

        The image is drawn for each neuron, so that thresholds are spread as what the neurons see.

        Args:
            network: its first layer with weights is Linear, a spiking one follows; set in place.
            images: (samples, ...) of the training split.

        Raises:
            ValueError: for a network that begins otherwise, or images of another size.
        """
        weight, bias = self._first(network)
        weights, _ = _fields(self, *weight.shape)
        generator = torch.Generator().manual_seed(self.seed)
        chosen = torch.randint(len(images), (len(weights),), generator=generator)
        seen = images[chosen].flatten(1).to(weights)
        if seen.shape[1] != weights.shape[1]:
            raise ValueError(f"images: got {seen.shape[1]} values each, expected {weights.shape[1]}")
        neuron = next(module for module in network.modules() if fires(module))
        weight.copy_(weights)
        bias.copy_(neuron.dynamics.threshold - (weights * seen).sum(1))

    @torch.no_grad()
    def __call__(self, network: nn.Module, generator: torch.Generator | None = None) -> None:
        """Zero the first layer's weights outside of the fields, in place; nothing is drawn."""
        weight, _ = self._first(network)
        weight.mul_(_fields(self, *weight.shape)[1].to(weight))

    def _first(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Return W and b of the first layer with weights."""
        layer = next((module for module in network.modules() if isinstance(module, WEIGHTED)), None)
        pixels = self.height * self.width
        if layer is None or layer.bias is None or layer.weight.dim() != 2 or layer.weight.shape[1] % pixels:
            size = f"{self.height}×{self.width}"
            raise ValueError(f"network: its first layer is {layer}, expected Linear over {size} pixels, with bias")
        return layer.weight, layer.bias


@lru_cache(maxsize=8)
def _fields(fields: LocalFields, neurons: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Return the weights at the start and where they may differ from zero, each (neurons, inputs), float64."""
    generator = torch.Generator().manual_seed(fields.seed)

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(neurons, 1, 1, generator=generator, dtype=torch.float64)

    sigma = draw(math.log(fields.smallest), math.log(fields.largest)).exp()
    row, column = draw(0.0, fields.height - 1.0), draw(0.0, fields.width - 1.0)
    angle, distance = draw(0.0, 2.0 * math.pi), sigma * draw(1.5, 4.0)
    there = (row + distance * angle.sin()).clamp(0.0, fields.height - 1.0)
    across = (column + distance * angle.cos()).clamp(0.0, fields.width - 1.0)
    apart = torch.hypot(there - row, across - column) >= 1.0  # a border may have pushed both onto one spot
    two = ((draw(0.0, 1.0) < fields.opposed) & apart).double()
    channels = inputs // (fields.height * fields.width)
    channel = draw(0.0, float(channels)).long().clamp_max(channels - 1) == torch.arange(channels)[:, None]
    one, other = _blob(fields, row, column, sigma), _blob(fields, there, across, sigma)
    inside = (one > 0) | (two * other > 0)
    weights = one / one.sum((1, 2), keepdim=True) - two * other / other.sum((1, 2), keepdim=True)
    weights *= fields.norm / weights.abs().sum((1, 2), keepdim=True)
    pair = [(channel[..., None] * part[:, None]).flatten(1) for part in (weights, inside.double())]
    return pair[0], pair[1]


def _blob(fields: LocalFields, row: Tensor, column: Tensor, sigma: Tensor) -> Tensor:
    """Return exp(−d²/2σ²) up to a factor, and zero further off than `reach`, (neurons, height, width)."""
    rows = torch.arange(fields.height, dtype=torch.float64)[:, None]
    columns = torch.arange(fields.width, dtype=torch.float64)
    squared = ((rows - row) ** 2 + (columns - column) ** 2) / sigma**2
    nearest = squared.flatten(1).amin(1).view(-1, 1, 1)  # a narrow blob between pixels keeps its nearest one
    return torch.exp(-0.5 * (squared - nearest)) * ((squared <= fields.reach**2) | (squared == nearest))


@dataclass(frozen=True)
class Settings:
    """How a network is trained: all that decides what comes out besides network, data and objective.

    Attributes:
        epochs: passes over the train split.
        batch_size: the most samples a step; an epoch's batches are of nearly equal size.
        learning_rate: at the start; default .1 for "sgd", .001 for "adam".
        optimizer: "sgd" (with momentum) or "adam" (weight decay decoupled).
        momentum: of "sgd".
        weight_decay: of all parameters.
        schedule: "cosine" (to zero over the run, step by step), "cosine-epochs" (one rate through an epoch, as the
            paper's authors have it), "held-cosine" (held over the first 60 % of the run, then to zero) or
            "constant".
        seed: of the order of the samples, of the perturbations and of the augmentation.
        augmentation: what is done to each batch before the objective sees it: `Augmentation()` of images,
            `EventAugmentation()` of recordings.
        after_step: what is done to the weights after each step, such as `Retraction(beta)` or `LocalFields()`.
        precision: "full" (the network's own), or "bfloat16" for matrix products and convolutions in training
            (membranes stay in float32, validation in full).
        steps_at_once: keep the activations of so many steps, not of all T, and run each part again in the backward
            pass: memory for time. Passes that need all currents (MS-MPPD with ρ > 0) don't get smaller.
        accumulate: work on each batch in so many parts, one after another, whose gradients add up to those of the
            whole but for rounding: less memory. Batch norm and rate codes, which need the whole, are refused.
        through: `ChipWeights(target, bits)`: losses, gradients and validation are of the values that a chip holds
            in the place of weights and biases; None: of the weights themselves.

    Raises:
        ValueError, TypeError: for a setting out of range.

    >>> Settings(optimizer="adam").rate
    0.001
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float | None = None
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    seed: int = 0
    augmentation: Augmentation | EventAugmentation | None = None
    after_step: Retraction | LocalFields | None = None
    precision: str = "full"
    steps_at_once: int | None = None
    accumulate: int = 1
    through: ChipWeights | None = None

    def __post_init__(self) -> None:
        settle(self, at_least(1), "epochs", "batch_size", "accumulate")
        settle(self, unless_none(positive), "learning_rate")
        settle(self, nonnegative, "weight_decay")
        settle(self, unless_none(at_least(1)), "steps_at_once")
        settle(self, at_least(0), "seed")
        settle(self, real, "momentum")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum: got {self.momentum!r}, expected a number in [0, 1)")
        if self.through is not None and type(self.through) is not ChipWeights:
            raise TypeError(f"through: got {type(self.through).__name__}, expected ChipWeights or None")
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)

    @property
    def rate(self) -> float:
        """Return the learning rate at the start."""
        return OPTIMIZERS[self.optimizer].learning_rate if self.learning_rate is None else self.learning_rate


def _sgd(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        network.parameters(),
        lr=settings.rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


def _adam(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)


@dataclass(frozen=True)
class _OptimizerKind:
    make: Callable[[nn.Module, Settings], torch.optim.Optimizer]
    learning_rate: float


PRECISIONS = ("full", "bfloat16")

HELD = 0.6
"""The share of a run over which "held-cosine" keeps the learning rate."""

OPTIMIZERS: dict[str, _OptimizerKind] = {
    "sgd": _OptimizerKind(_sgd, learning_rate=0.1),
    "adam": _OptimizerKind(_adam, learning_rate=1e-3),
}

SCHEDULES: dict[str, Callable[[int, int, int], float]] = {
    "cosine": lambda done, steps, epochs: _cosine(done / (steps * epochs)),
    "cosine-epochs": lambda done, steps, epochs: _cosine(done // steps / epochs),
    "held-cosine": lambda done, steps, epochs: _cosine(max(0.0, done / (steps * epochs) - HELD) / (1.0 - HELD)),
    "constant": lambda done, steps, epochs: 1.0,
}
"""From the steps done, the steps of an epoch and the epochs to the factor of the learning rate."""


def _cosine(share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * share))


@contextmanager
def weights_of(network: SpikingNetwork, settings: Settings) -> Iterator[None]:
    """Give `network` the weights that losses are of, for a while."""
    if settings.through is None:
        yield
        return
    with settings.through.of(network):
        yield


def make_optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters of `network`."""
    return OPTIMIZERS[settings.optimizer].make(network, settings)
