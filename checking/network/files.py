"""Read a safetensors file with numpy alone: sizes and types are checked before anything is believed.

The file is 8 bytes for the header's length, a JSON header, and the tensors' bytes. The header's metadata hold a
format, a text and the SHA-256 of text and tensors; the hash guards against damage, not against an adversary.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...files import regular_content
from ..numbers.exact import Refused

MOST_BYTES = 2**31
"""The largest file that is read."""
MOST_HEADER = 2**24
"""The longest header, which is parsed before its hash can be checked."""

TYPES = {"F32": ("<f4", "float32"), "F64": ("<f8", "float64"), "I32": ("<i4", "int32"), "I64": ("<i8", "int64")}


@dataclass(frozen=True)
class Content:
    """A file's description (JSON), its tensors, its SHA-256, and its size in bytes."""

    text: dict[str, Any]
    tensors: dict[str, np.ndarray]
    digest: str
    size: int


Form = str | tuple[str, ...]
"""A format, or several."""


def read(path: Path, form: Form) -> Content:
    """Return the content of a file of format `form`, or of one of these.

    Raises:
        Refused: for a file that is no such file, or whose hash is not that of its content.
    """
    try:
        raw = regular_content(path, MOST_BYTES)
    except OSError as error:
        raise Refused(f"{path.name}: can't be read: {error.strerror}") from error
    except ValueError as error:
        raise Refused(f"{path.name}: {error}") from error
    return parse(raw, form, path.name)


def parse(raw: bytes, form: Form, name: str) -> Content:
    """Return what the bytes of a file hold; `name` is for messages. Raise as `read` does."""
    try:
        return _parse(raw, form)
    except Refused as error:
        raise Refused(f"{name}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise Refused(f"{name}: is no complete file of format {_first(form)}") from error


def _first(form: Form) -> str:
    return form if isinstance(form, str) else form[0]


def _parse(raw: bytes, form: Form) -> Content:
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > len(raw) - 8:
        raise Refused("is cut short")
    if length > MOST_HEADER:
        raise Refused(f"has a header of {length} bytes, more than the {MOST_HEADER} that are read")
    header, body = json.loads(raw[8 : 8 + length]), memoryview(raw)[8 + length :]
    metadata = header.pop("__metadata__")
    if metadata["format"] not in ((form,) if isinstance(form, str) else form):
        raise Refused(f"has another format than {_first(form)}")
    tensors = {name: _tensor(body, entry) for name, entry in header.items()}
    if sum(tensor.nbytes for tensor in tensors.values()) != len(body):
        raise Refused("is cut short, or holds more than its header says")
    digest = _digest(metadata["text"], tensors)
    if digest != metadata["sha256"]:
        raise Refused("was changed after it was written: its hash does not match its content")
    text = json.loads(metadata["text"])
    if not isinstance(text, dict):
        raise Refused("describes nothing")
    return Content(text, tensors, digest, len(raw))


def _tensor(body: memoryview, entry: dict[str, Any]) -> np.ndarray:
    if entry["dtype"] not in TYPES:
        raise Refused(f"unknown: no proof form for a tensor of type {str(entry['dtype'])[:20]}")
    kind = np.dtype(TYPES[entry["dtype"]][0])
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= len(body):
        raise Refused("is cut short")
    return np.frombuffer(body[start:end], kind).reshape(entry["shape"])


def _digest(text: str, tensors: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    names = {np.dtype(code): name for code, name in TYPES.values()}
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}torch.{names[tensor.dtype]}{tuple(map(int, tensor.shape))}".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
