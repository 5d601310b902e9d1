"""Save and load a network: one safetensors file whose header holds the network's description as JSON.

The header also holds a hash of description and weights, so that a file that was tampered with, truncated or
written by another program is refused. Nothing is unpickled, so a file from a stranger can't run code.
"""

import json
import warnings
from pathlib import Path

import torch
from torch import Tensor

from .description import build, describe
from .networks import SpikingNetwork
from .storage import digest_of, pack, read_tensors, unpack, write_tensors

__all__ = ["FORMAT", "from_bytes", "load", "network_hash", "save", "to_bytes"]

FORMAT = "spikecert.network/1"
MOST_STEPS = 2**16
"""The longest simulation that a file may ask for."""


def save(network: SpikingNetwork, path: str | Path) -> str:
    """Write `network` to `path`, atomically, and return its hash.

    Args:
        network: any `SpikingNetwork`; the written weights keep their dtype.
        path: the file to write, by custom with the suffix .safetensors.
    """
    return write_tensors(Path(path), FORMAT, _describe(network), network.state_dict())


def load(path: str | Path) -> SpikingNetwork:
    """Read the network that `save` wrote, in evaluation mode.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that was tampered with, truncated, or is no spikecert network.
    """
    return _built(*read_tensors(Path(path), FORMAT), origin=str(path))


def to_bytes(network: SpikingNetwork) -> bytes:
    """Return the content of the file that `save` writes: for sending a network elsewhere."""
    return pack(FORMAT, _describe(network), network.state_dict())


def from_bytes(content: bytes) -> SpikingNetwork:
    """Return the network of `to_bytes`, in evaluation mode.

    Raises:
        ValueError: as `load`.
    """
    return _built(*unpack(content, FORMAT), origin="content")


def _built(text: str, weights: dict[str, Tensor], origin: str) -> SpikingNetwork:
    try:
        network = _blank(text)
        if network.num_steps > MOST_STEPS:
            raise ValueError(f"num_steps: got {network.num_steps}, expected at most {MOST_STEPS}")
        kinds = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
        if len(kinds) != 1:
            raise ValueError(f"weights: got {len(kinds)} floating-point types, expected one")
        network.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"path: {origin} describes no network that this version can build: {reason}") from error
    return network.eval()


def _blank(text: str) -> SpikingNetwork:
    """Return the described network without weights: a description may ask for any size, and gets no memory."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of layers of size 0
        return build(json.loads(text))


def network_hash(network: SpikingNetwork) -> str:
    """Return the SHA-256 of description and weights: the same before `save` and after `load`."""
    return digest_of(_describe(network), network.state_dict())


def _describe(network: SpikingNetwork) -> str:
    return json.dumps(describe(network), sort_keys=True)
