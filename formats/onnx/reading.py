"""Tell whether an ONNX file is a network of ours: the one beside it, written again, must be the same bytes."""

import re
from collections.abc import Callable
from pathlib import Path

from ...files import FileKind, beginning, in_proportion, unpacked
from ...models.files.checkpoints import load
from ...models.networks import SpikingNetwork
from . import messages
from .writing import written

MOST_BYTES, FEW_BYTES = 2**30, 2**20
"""Of a file unpacked, however large it is packed, and however small."""
_LONGEST_HEAD = 64
ONNX = FileKind("path", "an ONNX file", most=MOST_BYTES)
_HEAD = re.compile(
    re.escape(messages.model(b"", "?").partition(b"\x01?")[0]) + rb"[\x01-\x7f]([0-9]{1,8}(?:x[0-9]{1,8}){0,3})"
)
"""The first bytes of each file that is written here, and the shape of one sample."""


def read_onnx(path: Path | str) -> SpikingNetwork:
    """Return the network that an ONNX file (or what gzip packed of one) was written of, which lies beside it.

    Nothing of the file is interpreted but the shape of inputs in its first bytes. It counts if `write_onnx` makes
    of NAME.safetensors, beside NAME.onnx, exactly these bytes: then it is that network, and any other is refused.

    Raises:
        ValueError: for a file that is not known, in one line.
        OSError: for one that can't be read.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz").removesuffix(".onnx")
    content = ONNX.content(path)
    kept = path.with_name(f"{name}.safetensors")
    head = _HEAD.match(_of(path, beginning, content, _LONGEST_HEAD))
    if head is None or not kept.is_file():
        raise ValueError(
            f"path: got {path}, expected an ONNX file that spikecert wrote, with {kept.name} beside it"
        )
    content = _of(path, unpacked, content, in_proportion(len(content), MOST_BYTES, FEW_BYTES))
    network = load(kept)
    try:
        same = written(network, tuple(map(int, head[1].split(b"x"))), len(content)) == content
    except (TypeError, ValueError) as error:
        raise ValueError(f"path: got {path}, which {kept.name} beside it does not make: {error}") from error
    if not same:
        raise ValueError(f"path: got {path}, which is another network than {kept.name} beside it")
    return network


def _of(path: Path, unpack: Callable[[bytes, int], bytes], content: bytes, count: int) -> bytes:
    try:
        return unpack(content, count)
    except ValueError as error:
        raise ValueError(f"path: {path} {error}") from error
