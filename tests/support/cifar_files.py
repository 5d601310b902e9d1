"""CIFAR-10 and CIFAR-100 in their own file formats, with a few images that a seed makes."""

import pickle
import struct
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


def published(images: np.ndarray, labels: list[int], key: bytes = b"labels") -> bytes:
    """Return a batch as Python 2's cPickle wrote CIFAR's published files: protocol 2, with strings."""
    state = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    count, width = (struct.pack("<H", size) for size in images.shape)
    names = b"".join(
        b"U" + _short(b"picture_%06d.png" % k) + b"r" + struct.pack("<I", 300 + k) for k in range(len(labels))
    )
    return b"".join(
        (
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U"
            + _short(key)
            + b"q\x04]q\x05(",
            *(b"K" + bytes([label]) for label in labels),
            b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09",
            b"(K\x01M" + count + b"M" + width + b"\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b" + state,
            b"\x89T" + struct.pack("<I", images.size) + images.tobytes() + b"tb",
            b"U\x09filenamesq\x0c]q\x0d(" + names + b"eu.",
        )
    )


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text
