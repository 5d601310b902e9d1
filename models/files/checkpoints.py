"""Save and load a network: one safetensors file whose header holds the network's description as JSON.

The header also holds a hash of description and weights, so that a file that was tampered with, truncated or
written by another program is refused. Nothing is unpickled, so a file from a stranger can't run code.

The schemas are imported where a network is read or written: they take long.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...files.json_text import read_json
from ..elements.fields import COUNTER, Shapes
from ..networks import SpikingNetwork
from ..validation import one_line
from .storage import digest_of, pack, read_tensors, unpack, write_tensors

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
