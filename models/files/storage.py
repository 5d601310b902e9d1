"""Files of tensors: safetensors with a text and a hash in the header, written atomically, checked when read."""

import hashlib
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from ...files import FileKind, write_atomically

STORED = FileKind("path", "a file written by spikecert", most=2**32)


def write_tensors(path: Path, form: str, text: str, tensors: dict[str, Tensor]) -> str:
    """Write `tensors` and `text` to `path`, atomically, and return the hash of both.

    Args:
        path: the file; its folder is made.
        form: the name of the file's format, which `read_tensors` asks for again.
        text: anything, by custom JSON.
        tensors: on any device; each is copied, as safetensors refuses tensors that share memory.
    """
    content, digest = _packed(form, text, tensors)
    write_atomically(path, content)
    return digest


def pack(form: str, text: str, tensors: dict[str, Tensor]) -> bytes:
    """Return the content of the file that `write_tensors` writes."""
    return _packed(form, text, tensors)[0]


def unpack(content: bytes, form: str) -> tuple[str, dict[str, Tensor]]:
    """Return the text and the tensors of what `pack` returned.

    Raises:
        ValueError: as `read_tensors`.
    """
    return _unpacked(content, form, "the content")


def read_tensors(path: Path, form: str) -> tuple[str, dict[str, Tensor]]:
    """Return the text and the tensors that `write_tensors` wrote.

    The file is read, not mapped: who cuts a mapped file short ends the process that looks at it.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that was changed, truncated, or has another format.
    """
    return _unpacked(STORED.content(path), form, str(path))


def read_state(path: Path, argument: str = "weights") -> dict[str, Tensor]:
    """Return the tensors of any safetensors file, by their names: the state of a module of torch, say.

    Args:
        path: of the file.
        argument: what messages call it.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that is no safetensors; nothing else is read, as nothing is unpickled.
    """
    try:
        return from_bytes(FileKind(argument, "a safetensors file of tensors", most=2**32).content(path))
    except _BROKEN as error:
        told = "nothing is unpickled: write it by safetensors.torch.save_file(tensors, ...)"
        raise ValueError(f"{argument}: {path} is no safetensors file ({told})") from error


def _unpacked(content: bytes, form: str, origin: str) -> tuple[str, dict[str, Tensor]]:
    try:
        tensors = from_bytes(content)
        metadata = _metadata(content)
    except _BROKEN as error:
        reason = textwrap.shorten(str(error), 200)
        raise ValueError(f"path: {origin} is not a complete safetensors file: {reason}") from error
    if metadata.get("format") != form or not {"text", "sha256"} <= metadata.keys():
        raise ValueError(f"path: {origin} was not written by spikecert as {form} (its header says so)")
    if digest_of(metadata["text"], tensors) != metadata["sha256"]:
        raise ValueError(f"path: {origin} was changed after it was saved: its hash does not match its content")
    return metadata["text"], tensors


_BROKEN = (SafetensorError, KeyError, ValueError, TypeError, RuntimeError, AssertionError, RecursionError)
"""What safetensors and torch raise for broken files, unknown types, and sizes that are beyond torch's."""


def _metadata(content: bytes) -> dict[str, str]:
    """Return what a header that safetensors has read says beside the tensors, all of it text."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__") or {}


def _packed(form: str, text: str, tensors: dict[str, Tensor]) -> tuple[bytes, str]:
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    digest = digest_of(text, copies)
    return _in_order(to_bytes(copies, {"format": form, "text": text, "sha256": digest})), digest


def _in_order(content: bytes) -> bytes:
    """Return a safetensors file with its header sorted and aligned: safetensors leaves the order to chance."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return b"".join((len(header).to_bytes(8, "little"), header, memoryview(content)[8 + length :]))


def digest_of(text: str, tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of a text and named tensors: names, dtypes, shapes and values."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Return in what a folder's configuration `there` differs from the present one, "" if in nothing.

    Both are compared as JSON keeps them.
    """
    here = json.loads(json.dumps(here))
    return "; ".join(
        f"{key} {_short(there.get(key))} there, {_short(here.get(key))} here"
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
    )


def _short(value: Any) -> str:
    return textwrap.shorten(repr(value), 60)
