"""Networks of lava-dl as files, and what lava's neurons do, written anew in numpy's int64."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

NEURON: dict[str, Any] = {"type": b"CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1}


def net(
    weights: Sequence[np.ndarray] | None = None,
    neuron: Mapping[str, Any] | None = None,
    biases: Sequence[np.ndarray] | None = None,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a file with dense layers, as lava-dl's `export_hdf5` writes it; `more` changes its first layer."""
    random = np.random.default_rng(0)
    if weights is None:
        weights = [2 * random.integers(-100, 100, shape) for shape in ((5, 4), (3, 5))]
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        for index, weight in enumerate(weights):
            layer: dict[str, Any] = {
                "type": np.array([b"dense"], "S10"),
                "shape": np.array([len(weight)]),
                "inFeatures": weight.shape[1],
                "outFeatures": len(weight),
                "weight": weight.astype(np.float64),
                **({} if biases is None else {"bias": biases[index]}),
                **(dict(more or {}) if index == 0 else {}),
            }
            group = file.create_group(f"layer/{index}")
            for name, value in layer.items():
                if value is not None:
                    group.create_dataset(name, data=value)
            for name, value in {**NEURON, **(neuron or {})}.items():
                if value is not None:
                    group.create_dataset(
                        f"neuron/{name}", data=np.array([value], "S10") if name == "type" else value
                    )
    return held.getvalue()


def run(
    weights: Sequence[np.ndarray], said: Mapping[str, Any], events: np.ndarray, biases: Sequence[np.ndarray] | None
) -> np.ndarray:
    """Return the last layer's spikes, (T, N, outputs), of events (T, N, inputs)."""
    signal = events.astype(np.int64)
    for index, weight in enumerate(weights):
        bias = 0 if biases is None else 64 * biases[index].astype(np.int64)
        u = np.zeros((signal.shape[1], len(weight)), np.int64)
        v, spikes, before = u.copy(), [], np.zeros_like(signal[0])
        for now in signal:
            u = _cut(u * (4096 - said["iDecay"])) + 64 * (before @ weight.T.astype(np.int64))
            assert np.abs(u).max() < 2**23
            v = np.clip(_cut(v * (4096 - said["vDecay"])) + u + bias, -(2**23 - 1), 2**23 - 1)
            fires = v > 64 * said["vThMant"]
            v, before = np.where(fires, 0, v), now
            spikes.append(fires.astype(np.int64))
        signal = np.stack(spikes)
    return signal


def _cut(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * (np.abs(x) >> 12)
