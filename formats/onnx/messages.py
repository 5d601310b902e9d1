"""ONNX's messages as bytes, as far as unrolled networks need them: fields are integers, texts or messages."""

import struct
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

Shape = tuple[int, ...]
IR_VERSION, OPSET = 8, 17
PRODUCER = "spikecert"
_FLOAT = 1
_KIND_INT, _KIND_INTS = 2, 7


def model(graph: bytes, version: str) -> bytes:
    """Return a whole file; its first bytes are the same but for `version`, which says what wrote it."""
    operators = _bytes(1, b"") + _integer(2, OPSET)
    head = _integer(1, IR_VERSION) + _text(2, PRODUCER) + _text(3, version)
    return head + _bytes(7, graph) + _bytes(8, operators)


def graph(nodes: Iterable[bytes], constants: Iterable[bytes], inputs: bytes, outputs: bytes) -> bytes:
    """Return a graph of one input and one output; nodes come behind what they read."""
    parts = [*(_bytes(1, node) for node in nodes), _text(2, "network")]
    parts += [_bytes(5, constant) for constant in constants]
    return b"".join((*parts, _bytes(11, inputs), _bytes(12, outputs)))


def node(operator: str, sources: Sequence[str], target: str, settings: Mapping[str, int | Shape]) -> bytes:
    """Return one operation; settings are integers, or several."""
    read = b"".join(_text(1, source) for source in sources)
    attributes = b"".join(_bytes(5, _attribute(name, value)) for name, value in settings.items())
    return read + _text(2, target) + _text(3, target) + _text(4, operator) + attributes


def constant(name: str, values: Tensor) -> bytes:
    """Return a float32 tensor."""
    dims = b"".join(_integer(1, size) for size in values.shape)
    flat = values.detach().cpu().flatten().tolist()
    return dims + _integer(2, _FLOAT) + _text(8, name) + _bytes(9, struct.pack(f"<{len(flat)}f", *flat))


def value(name: str, shape: Shape) -> bytes:
    """Return the name and the shape of an input or an output."""
    dims = b"".join(_bytes(1, _integer(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _integer(1, _FLOAT) + _bytes(2, dims)))


def _attribute(name: str, value: int | Shape) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, _KIND_INT)
    return _text(1, name) + b"".join(_integer(8, number) for number in value) + _integer(20, _KIND_INTS)


def _integer(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Return a number of at least 0, seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
