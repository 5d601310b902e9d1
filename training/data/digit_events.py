"""Event streams made from the real 8×8 digits: what an event camera would see that makes N-MNIST's saccades.

Events become frames here for all event streams: (time, place) binned into T binary frames.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ...models.constants import at_least, share
from .mnist import load_digits_splits
from .splits import Dataset, Split

DEFAULT_STEPS = 10
"""T where nobody says how many frames a stream is binned into."""
SIDE = 8
REACH = 1.0
"""Pixels between the digit's place and the corners of its path, a triangle as in N-MNIST."""

CONTRAST = 0.15
"""The least change of brightness between two steps that makes an event."""


def digit_events(num_steps: int = DEFAULT_STEPS, noise: float = 0.01, seed: int = 0) -> Dataset:
    """Return the digits as uint8 frames (samples, num_steps, 2, 8, 8) of events, polarity off first.

    The image moves once along a triangle, in equal steps and with bilinear interpolation. A pixel that grows
    darker (brighter) by at least `CONTRAST` in a step emits an off (on) event; noise flips entries at random.

    Args:
        num_steps: T ≥ 1.
        noise: the chance of each entry to be flipped, in [0, 1].
        seed: of the noise and of the cuts; the latter are those of `dataset("digits", seed=seed)`.

    Raises:
        ValueError: for a number outside its range.

    >>> data = digit_events(num_steps=6)
    >>> data.train.inputs.shape, data.num_steps
    (torch.Size([1197, 6, 2, 8, 8]), 6)

    References: alpaydin1998digits, orchard2015converting
    """
    num_steps, noise, seed = at_least(1)("num_steps", num_steps), share("noise", noise), at_least(0)("seed", seed)
    still = load_digits_splits("digits", None, seed)
    generator = torch.Generator().manual_seed(seed)
    train, validation, test = (
        _events(split, num_steps, noise, generator) for split in (still.train, still.validation, still.test)
    )
    return Dataset("digit-events", train, validation, test, (2, SIDE, SIDE), still.classes, num_steps)


def load_digit_events(name: str, root: Path | None, seed: int, num_steps: int) -> Dataset:
    """Return `digit_events` with its usual noise; `root` is not used."""
    return digit_events(num_steps, seed=seed)


def _events(split: Split, num_steps: int, noise: float, generator: torch.Generator) -> Split:
    images = split.inputs.view(-1, 1, SIDE, SIDE)
    seen = torch.stack([_shifted(images, place) for place in _path(num_steps)], 1)
    change = seen.diff(dim=1)
    events = torch.cat((change <= -CONTRAST, change >= CONTRAST), 2)
    flips = torch.rand(events.shape, generator=generator) < noise
    return Split((events ^ flips).to(torch.uint8), split.labels)


def _path(num_steps: int) -> list[tuple[float, float]]:
    """Return num_steps + 1 places, evenly along the triangle from its first corner back to it."""
    corners = [(REACH * math.sin(2 * math.pi * k / 3), REACH * math.cos(2 * math.pi * k / 3)) for k in range(4)]
    places = []
    for step in range(num_steps + 1):
        side, share = divmod(3 * step, num_steps)
        start, end = corners[side], corners[min(side + 1, 3)]
        x, y = (a + (b - a) * share / num_steps for a, b in zip(start, end, strict=True))
        places.append((x, y))
    return places


def _shifted(images: Tensor, place: tuple[float, float]) -> Tensor:
    """Return the images moved by (x, y) pixels, dark where nothing is known."""
    x, y = (-2.0 * shift / SIDE for shift in place)
    matrix = torch.tensor([[1.0, 0.0, x], [0.0, 1.0, y]]).expand(len(images), 2, 3)
    grid = affine_grid(matrix, list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def frames(times: np.ndarray, places: np.ndarray, num_steps: int, duration: float, features: int) -> np.ndarray:
    """Return uint8 frames (num_steps, features): 1 where at least one event fell into a bin, 0 elsewhere.

    Args:
        times: of the events, (events,), in [0, ∞); the last bin also takes what comes after `duration`.
        places: the feature that each event is of, (events,), in [0, features).
        num_steps: T, the number of bins of equal length.
        duration: what the bins cover together, in the unit of `times`.
        features: of one frame.

    >>> frames(np.array([0.0, 0.9, 7.0]), np.array([0, 1, 1]), 2, 1.0, 3).tolist()
    [[1, 0, 0], [0, 1, 0]]
    """
    bins = np.minimum(times * (num_steps / duration), num_steps - 1).astype(np.int64)
    result = np.zeros((num_steps, features), np.uint8)
    result[bins, places] = 1
    return result
