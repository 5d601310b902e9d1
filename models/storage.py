"""Files of tensors: safetensors with a text and a hash in the header, written atomically, checked when read."""

import hashlib
import json
import os
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

MOST_BYTES = 2**32
"""The largest file that is read."""


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
    with tempfile.TemporaryDirectory() as folder:  # a header's text can be read from a file only
        path = Path(folder) / "content.safetensors"
        path.write_bytes(content)
        return read_tensors(path, form)


def read_tensors(path: Path, form: str) -> tuple[str, dict[str, Tensor]]:
    """Return the text and the tensors that `write_tensors` wrote.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that was changed, truncated, or has another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"path: got {path}, expected a file written by spikecert")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"path: {path} has {path.stat().st_size} bytes, expected at most {MOST_BYTES}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:  # sizes may be beyond torch's
        reason = textwrap.shorten(str(error), 200)
        raise ValueError(f"path: {path} is not a complete safetensors file: {reason}") from error
    if metadata.get("format") != form or not {"text", "sha256"} <= metadata.keys():
        raise ValueError(f"path: {path} was not written by spikecert as {form} (its header says so)")
    if digest_of(metadata["text"], tensors) != metadata["sha256"]:
        raise ValueError(f"path: {path} was changed after it was saved: its hash does not match its content")
    return metadata["text"], tensors


def _packed(form: str, text: str, tensors: dict[str, Tensor]) -> tuple[bytes, str]:
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    digest = digest_of(text, copies)
    return to_bytes(copies, {"format": form, "text": text, "sha256": digest}), digest


def digest_of(text: str, tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of a text and named tensors: names, dtypes, shapes and values."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
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


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new, never half, killed run or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _bytes(tensor: Tensor) -> Any:
    return tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b""


def _short(value: Any) -> str:
    return textwrap.shorten(repr(value), 60)
