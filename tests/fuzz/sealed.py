"""Mutations of safetensors files with a text and a right hash: they get past the hash, to what lies behind it."""

import json
import random
import struct
from collections.abc import Sequence

import torch
from safetensors import SafetensorError
from torch import Tensor

from spikecert.models.storage import pack, unpack

from .mutators import LARGEST, mutate_bytes, mutate_json, mutate_json_bytes

KINDS = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)
VALUES = (0.0, -1.0, 1.0, 0.25, 1e30, -1e38, 1e-45, float("nan"), float("inf"), -float("inf"))


class Sealed:
    """Mutates files of one format."""

    def __init__(self, form: str) -> None:
        self.form = form

    def __call__(self, rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
        """Return a file with its description or tensors changed and sealed anew, or with other bytes changed."""
        kind = rng.randrange(8)
        if kind == 0:
            return mutate_bytes(rng, data, others)
        if kind == 1:
            return mutate_header(rng, data, others)
        try:
            text, tensors = unpack(data, self.form)
            described = json.loads(text)
        except (ValueError, RecursionError):
            return mutate_bytes(rng, data, others)
        if kind < 5:
            described = mutate_json(rng, described)
        if kind > 3:
            tensors = mutate_tensors(rng, tensors)
        try:
            return pack(self.form, json.dumps(described), tensors)
        except (SafetensorError, RuntimeError, UnicodeError):
            return mutate_bytes(rng, data, others)


def mutate_header(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return the file with its JSON header changed, and the header's length set right."""
    (length,) = struct.unpack("<Q", data[:8].ljust(8, b"\0"))
    header = mutate_json_bytes(rng, data[8 : 8 + length], others)[:LARGEST]
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def mutate_tensors(rng: random.Random, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of which some were dropped, renamed, reshaped, converted or given other values."""
    found: dict[str, Tensor] = dict(tensors)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not found:
            break
        name = rng.choice(sorted(found))
        found[name] = _changed(rng, found[name])
        if rng.random() < 0.15:
            found[rng.choice([*sorted(found), "extra", "layers.0.weight"])] = found.pop(name)
        elif rng.random() < 0.1:
            del found[name]
    return found


def _changed(rng: random.Random, tensor: Tensor) -> Tensor:
    kind, flat = rng.randrange(5), tensor.flatten().clone()
    if kind == 0 and len(flat):
        flat[rng.randrange(len(flat))] = rng.choice(VALUES if flat.is_floating_point() else (0, 1, 100))
        return flat.reshape(tensor.shape)
    if kind == 1:
        return flat[: rng.randrange(len(flat) + 1)]
    if kind == 2:
        return tensor.to(rng.choice(KINDS))
    if kind == 3:
        return torch.cat([flat, flat])[: LARGEST // 8].reshape(rng.choice(((-1,), (1, -1), (-1, 1))))
    return tensor.reshape(1, *tensor.shape)
