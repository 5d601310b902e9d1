"""Small pictures of inputs as PNG data, so that a page needs no other file."""

import base64
import math
import struct
import zlib
from collections.abc import Sequence

from ..records.schema import Counterexample


def picture(values: Sequence[float], shape: Sequence[int], low: float, high: float) -> str | None:
    """Return a data URI of `values` as a picture, dark at `low`, light at `high`; None if they are no image.

    Args:
        values: flattened, one grey channel or three colour channels.
        shape: (n²,), (height, width), (1, height, width) or (3, height, width).
        low, high: the values shown as 0 and 255.
    """
    size = _size(shape)
    if size is None or not high > low:
        return None
    channels, height, width = size
    levels = [round(255 * min(max((value - low) / (high - low), 0.0), 1.0)) for value in values]
    area = height * width
    pixels = [levels[c * area + place] for place in range(area) for c in range(channels)]
    return "data:image/png;base64," + base64.b64encode(_png(bytes(pixels), channels, height, width)).decode()


def change(counterexample: Counterexample) -> tuple[float, ...]:
    """Return the perturbation itself: perturbed minus clean."""
    return tuple(
        after - before for after, before in zip(counterexample.perturbed, counterexample.clean, strict=True)
    )


def _size(shape: Sequence[int]) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of an image, or None."""
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (1, side, side) if side * side == shape[0] and side > 1 else None
    if len(shape) == 2:
        return 1, shape[0], shape[1]
    if len(shape) == 3 and shape[0] in (1, 3):
        return shape[0], shape[1], shape[2]
    return None


def _png(pixels: bytes, channels: int, height: int, width: int) -> bytes:
    stride = channels * width
    lines = b"".join(b"\0" + pixels[row * stride : (row + 1) * stride] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
