"""Files of tensors: safetensors with a text and a hash in the header, written atomically, checked when read.

Save and load a network: one safetensors file whose header holds the network's description as JSON.

The header also holds a hash of description and weights, so that a file that was tampered with, truncated or
written by another program is refused. Nothing is unpickled, so a file from a stranger can't run code.

The schemas are imported where a network is read or written: they take long.
"""

import hashlib
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save as packed
from torch import Tensor

from ...files import FileKind, write_atomically
from ...files.texts import read_json
from ..elements.registry import COUNTER, Shapes
from ..networks import SpikingNetwork
from ..validation import one_line

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
        return tensors_of(FileKind(argument, "a safetensors file of tensors", most=2**32).content(path))
    except _BROKEN as error:
        told = "nothing is unpickled: write it by safetensors.torch.save_file(tensors, ...)"
        raise ValueError(f"{argument}: {path} is no safetensors file ({told})") from error


def _unpacked(content: bytes, form: str, origin: str) -> tuple[str, dict[str, Tensor]]:
    try:
        tensors = tensors_of(content)
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
    return _in_order(packed(copies, {"format": form, "text": text, "sha256": digest})), digest


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


__all__ = ["FORMAT", "from_bytes", "load", "network_hash", "save", "to_bytes"]

FORMAT = "spikecert.network/1"
DTYPES = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))
"""What weights may be."""


def save(network: SpikingNetwork, path: str | Path) -> str:
    """Write `network` to `path`, atomically, and return its hash.

    Args:
        network: any `SpikingNetwork`; the written weights keep their dtype.
        path: the file to write, by custom with the suffix .safetensors.

    Raises:
        TypeError, ValueError: for a network that `load` would refuse.
    """
    return write_tensors(Path(path), FORMAT, *_content(network))


def load(path: str | Path) -> SpikingNetwork:
    """Read the network that `save` wrote, in evaluation mode.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that was tampered with, truncated, or is no spikecert network.
    """
    return built(*read_tensors(Path(path), FORMAT), origin=str(path))


def to_bytes(network: SpikingNetwork) -> bytes:
    """Return the content of the file that `save` writes: for sending a network elsewhere."""
    return pack(FORMAT, *_content(network))


def _content(network: SpikingNetwork) -> tuple[str, dict[str, Tensor]]:
    """Return description and weights, of which a network can be made again.

    Raises:
        TypeError, ValueError: where it can't: something of the network was set to what no file may hold.
    """
    text, weights = described(network), network.state_dict()
    _blank(text, weights)
    _check_constants(network)
    return text, weights


def from_bytes(content: bytes) -> SpikingNetwork:
    """Return the network of `to_bytes`, in evaluation mode.

    Raises:
        ValueError: as `load`.
    """
    return built(*unpack(content, FORMAT), origin="content")


def built(text: str, weights: dict[str, Tensor], origin: str) -> SpikingNetwork:
    """Return the network of a description and its weights, in evaluation mode.

    Raises:
        ValueError: for what describes no network that this version builds; `origin` says where it came from.
    """
    try:
        network = _blank(text, weights)
        network.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
        _check_constants(network)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        told = f"describes no network that this version can build: {one_line(error)}"
        raise ValueError(f"path: {origin} {told}") from error
    return network.eval()


def _check_constants(network: SpikingNetwork) -> None:
    """Raise ValueError for neurons with constants out of range."""
    for neuron in network.neurons:
        neuron.rule(network.num_steps)


def _blank(text: str, weights: dict[str, Tensor]) -> SpikingNetwork:
    """Return the described network without weights, which takes no memory, if the file holds what it needs."""
    from .description import Blueprint

    blueprint = Blueprint.read(read_json(text))
    _check_tensors(weights, blueprint.tensors())
    with torch.device("meta"):
        return blueprint.build()


def _check_tensors(held: Mapping[str, Tensor], shapes: Shapes) -> None:
    """Raise ValueError unless a file holds exactly the tensors of these shapes, in one dtype that networks run in.

    A batch norm's counter is int64.
    """
    if odd := held.keys() ^ shapes.keys():
        name = min(odd)
        raise ValueError(f"weights: {name!r} {'belongs to no layer' if name in held else 'is missing'}")
    for name, tensor in held.items():
        if tuple(tensor.shape) != shapes[name]:
            raise ValueError(f"weights: {name} has shape {tuple(tensor.shape)}, expected {shapes[name]}")
    counters = {held[name].dtype for name in held if name.endswith(f".{COUNTER}")}
    kinds = {held[name].dtype for name in held if not name.endswith(f".{COUNTER}")}
    if len(kinds) != 1 or not kinds <= DTYPES or not counters <= {torch.int64}:
        got = ", ".join(sorted(map(str, kinds | counters)))
        raise ValueError(f"weights: got {got}, expected one of {', '.join(sorted(map(str, DTYPES)))} in all")


def network_hash(network: SpikingNetwork) -> str:
    """Return the SHA-256 of description and weights: the same before `save` and after `load`."""
    return digest_of(described(network), network.state_dict())


def described(network: SpikingNetwork) -> str:
    """Return the description that `built` reads."""
    from .description import describe

    return json.dumps(describe(network), sort_keys=True)
