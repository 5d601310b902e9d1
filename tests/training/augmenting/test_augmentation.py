"""Augmentation: what each part does to an image, one by one against a plain loop; seeds; its place in `fit`."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from spikecert.models import vgg5
from spikecert.training import Augmentation, CrossEntropy, Dataset, Split, fit

NOTHING = Augmentation(crop=0, flip=False, cutout=0)
COUNT = 300


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Tensor:
    """Return images whose pixels all differ and are above 0."""
    return torch.arange(1, 1 + COUNT * 2 * 6 * 8).reshape(COUNT, 2, 6, 8).float()


def test_crops_are_shifted_images(images: Tensor) -> None:
    found = replace(NOTHING, crop=2)(images, seeded())
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    offsets = set()
    for image, wide in zip(found, padded, strict=True):
        windows = {(a, b): wide[:, a : a + 6, b : b + 8] for a in range(5) for b in range(5)}
        fitting = [offset for offset, window in windows.items() if torch.equal(window, image)]
        assert len(fitting) == 1
        offsets.add(fitting[0])
    assert len(offsets) == 25  # all of them, of 300 draws


def test_half_of_the_images_are_mirrored(images: Tensor) -> None:
    found = replace(NOTHING, flip=True)(images, seeded())
    mirrored = sum(torch.equal(a, b.flip(2)) for a, b in zip(found, images, strict=True))
    kept = sum(torch.equal(a, b) for a, b in zip(found, images, strict=True))
    assert mirrored + kept == COUNT
    assert 120 < kept < 180


def test_cutout_paints_a_clipped_square_at_any_middle(images: Tensor) -> None:
    found = replace(NOTHING, cutout=4)(images, seeded())
    assert torch.equal(found[found != 0], images[found != 0])
    squares = set()
    for image in found:
        black = (image == 0).all(0)
        assert torch.equal(black, (image == 0).any(0))  # all channels alike
        rows, columns = black.any(1).nonzero().flatten().tolist(), black.any(0).nonzero().flatten().tolist()
        assert int(black.sum()) == len(rows) * len(columns)
        squares.add((rows[0], rows[-1], columns[0], columns[-1]))
    spans = [{(max(0, m - 2), min(size - 1, m + 1)) for m in range(size)} for size in (6, 8)]
    assert squares == {(*a, *b) for a in spans[0] for b in spans[1]}


def test_the_generator_decides_and_the_images_are_left_alone(images: Tensor) -> None:
    before = images.clone()
    rule = Augmentation(crop=2, cutout=4)
    first, again, other = (rule(images, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
    assert torch.equal(NOTHING(images, seeded()), images)


def test_fit_trains_on_augmented_images_and_repeats(images: Tensor) -> None:
    split = Split(torch.rand(40, 3, 8, 8, generator=seeded()), torch.arange(40) % 4)
    data = Dataset("made up", split, split, split, (3, 8, 8), 4)
    torch.manual_seed(0)
    network = vgg5((3, 8, 8), 4, 4, width=1 / 64)
    chosen = [Augmentation(crop=1, cutout=4), Augmentation(crop=1, cutout=4), None]
    runs = [fit(network, data, CrossEntropy(), epochs=2, augmentation=rule) for rule in chosen]
    losses = [[epoch.loss for epoch in run.history] for run in runs]
    assert losses[0] == losses[1] != losses[2]
