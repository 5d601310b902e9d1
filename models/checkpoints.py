"""Save and load a network: one safetensors file whose header holds the network's description as JSON.

The header also holds a hash of description and weights, so that a file that was tampered with, truncated or
written by another program is refused. Nothing is unpickled, so a file from a stranger can't run code.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from .description import build, describe
from .networks import SpikingNetwork

FORMAT = "spikecert.network/1"


def save(network: SpikingNetwork, path: str | Path) -> str:
    """Write `network` to `path`, atomically, and return its hash.

    Args:
        network: any `SpikingNetwork`; the written weights keep their dtype.
        path: the file to write, by custom with the suffix .safetensors.
    """
    description = json.dumps(describe(network), sort_keys=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    digest = _digest(description, weights)
    metadata = {"format": FORMAT, "network": description, "sha256": digest}
    write_atomically(Path(path), to_bytes(weights, metadata))
    return digest


def load(path: str | Path) -> SpikingNetwork:
    """Read the network that `save` wrote, in evaluation mode.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file that was tampered with, truncated, or is no spikecert network.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: got {path}, expected a file written by spikecert")
    metadata, weights = _read(path)
    if _digest(metadata["network"], weights) != metadata["sha256"]:
        raise ValueError(f"path: {path} was changed after it was saved: its hash does not match its content")
    try:
        network = build(json.loads(metadata["network"]))
        network.to(next(tensor.dtype for tensor in weights.values() if tensor.is_floating_point()))
        network.load_state_dict(weights)
    except (ValueError, KeyError, TypeError, RuntimeError, StopIteration) as error:
        raise ValueError(f"path: {path} describes no network that this version can build: {error}") from error
    return network.eval()


def network_hash(network: SpikingNetwork) -> str:
    """Return the SHA-256 of description and weights: the same before `save` and after `load`."""
    description = json.dumps(describe(network), sort_keys=True)
    return _digest(description, {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()})


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader, or a killed run, sees the old file or the new, never half."""
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


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"path: {path} is not a complete safetensors file: {error}") from error
    if metadata.get("format") != FORMAT or not {"network", "sha256"} <= metadata.keys():
        raise ValueError(f"path: {path} is no spikecert network (its header lacks format {FORMAT!r})")
    return metadata, weights


def _digest(description: str, weights: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(description.encode())
    for name in sorted(weights):
        tensor = weights[name].contiguous()
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    return tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b""
