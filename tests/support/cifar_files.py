"""CIFAR-10 and CIFAR-100 in their own file formats, with a few images that a seed makes."""

import pickle
from pathlib import Path

import numpy as np

PRESENT = 4
"""Labels that occur: few, so that a tenth of few images holds each."""


def write_cifar(root: Path, images: int = 60) -> Path:
    """Write both data sets under `root`, in torchvision's layout, and return it."""
    generator = np.random.default_rng(0)
    ten, hundred = root / "cifar-10-batches-py", root / "cifar-100-python"
    for k in range(1, 6):
        _write(ten / f"data_batch_{k}", b"labels", images // 5, generator)
    _write(ten / "test_batch", b"labels", 12, generator)
    _write(hundred / "train", b"fine_labels", images, generator)
    _write(hundred / "test", b"fine_labels", 12, generator)
    return root


def _write(path: Path, labels: bytes, count: int, generator: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
    content = {b"data": data, labels: [k % PRESENT for k in range(count)]}
    path.write_bytes(pickle.dumps(content))
