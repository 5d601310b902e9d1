"""Save and load a network: one safetensors file whose header holds the network's description as JSON.

The header also holds a hash of description and weights, so that a file that was tampered with, truncated or
written by another program is refused. Nothing is unpickled, so a file from a stranger can't run code.
"""

import json
from pathlib import Path

from .description import build, describe
from .networks import SpikingNetwork
from .storage import digest_of, read_tensors, write_atomically, write_tensors

__all__ = ["FORMAT", "load", "network_hash", "save", "write_atomically"]

FORMAT = "spikecert.network/1"


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
    text, weights = read_tensors(Path(path), FORMAT)
    try:
        network = build(json.loads(text))
        network.to(next(tensor.dtype for tensor in weights.values() if tensor.is_floating_point()))
        network.load_state_dict(weights)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, StopIteration) as error:
        raise ValueError(f"path: {path} describes no network that this version can build: {error}") from error
    return network.eval()


def network_hash(network: SpikingNetwork) -> str:
    """Return the SHA-256 of description and weights: the same before `save` and after `load`."""
    return digest_of(_describe(network), network.state_dict())


def _describe(network: SpikingNetwork) -> str:
    return json.dumps(describe(network), sort_keys=True)
