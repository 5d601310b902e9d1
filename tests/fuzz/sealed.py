"""Mutations of safetensors files with a text and a right hash: they get past the hash, to what lies behind it."""

import copy
import json
import random
import struct
from collections.abc import Sequence
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from spikecert.models.files.storage import pack, unpack

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
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.complex64,
    torch.int8,
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
            described = mutate_layers(rng, described) if rng.random() < 0.4 else mutate_json(rng, described)
        if kind > 3:
            tensors = mutate_tensors(rng, tensors)
        try:
            return pack(self.form, json.dumps(described), tensors)
        except (SafetensorError, RuntimeError, UnicodeError):
            return mutate_bytes(rng, data, others)


SIZES = (0, -1, 1, 2, 3, 64, 2**16, 2**17, 3 * 10**7, 2**31, 2**40, 2**63, 10**300, True, 2.0, "2", None, [2, 2])
BOX = {"limit": 1.0, "factor": 1.0, "stray": 0.0, "least": 0.0}
WRONG = ({"factor": 0.5}, {"limit": 10**400}, {"stray": True})
BOXES = ([], [BOX] * 2, [BOX] * 10**4, *([BOX | each] for each in WRONG))
SETTINGS = {
    "source": (None, 1, {}, *({"boxes": boxes, "weights": "0" * 64} for boxes in BOXES)),
    "device": ("cpu", "cuda", "meta"),
    "dtype": ("float64", "complex64"),
    "padding_mode": ("reflect", "x"),
    "channels": SIZES,
    "num_steps": SIZES,
    "groups": SIZES,
    "num_features": SIZES,
    "type": ("PLIF", "Conv1d"),
    "padding": ("same", -1, 2**20, [2**16, 2**16], [0]),
    "bias": (1, "x", None),
    "eps": (-1.0, 1, True),
    "seed": SIZES,
    "encoding": ("rate", "none", 1),
    "unconfirmed": (True, *SIZES),
    "track_running_stats": (False,),
    "affine": (0, 1),
}


def mutate_layers(rng: random.Random, described: Any) -> Any:
    """Return a description with other settings: of sizes, devices, dtypes, within sums, or of many layers."""
    found = copy.deepcopy(described)
    layers = found.get("layers") if isinstance(found, dict) else None
    if not isinstance(layers, list) or not layers:
        return mutate_json(rng, described)
    place = rng.randrange(len(layers))
    chosen = layers[place] if isinstance(layers[place], dict) and rng.random() < 0.9 else found
    kind = rng.randrange(5)
    if kind == 0:
        for _ in range(rng.choice((1, 5, 30, 200))):
            layers[place] = {"type": "Residual", "branch": [layers[place]], "shortcut": []}
    elif kind == 1:
        layers[place:place] = [layers[place]] * rng.choice((1, 20, 500))
    elif kind == 2 and chosen:
        chosen[rng.choice(sorted(map(str, chosen)))] = rng.choice(SIZES)
    else:
        name = rng.choice(sorted(SETTINGS))
        chosen[name] = rng.choice(SETTINGS[name])
    return found


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
        return (tensor.abs() if tensor.is_complex() else tensor).to(rng.choice(KINDS))
    if kind == 3:
        return torch.cat([flat, flat])[: LARGEST // 8].reshape(rng.choice(((-1,), (1, -1), (-1, 1))))
    return tensor.reshape(1, *tensor.shape)
