"""Networks of lava-dl as files, and what lava's neurons do, written anew in numpy's int64."""

import io
from collections.abc import Callable, Mapping, Sequence
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


IMAGE = (2, 6, 5)
"""Channels, height and width of what `image_net` takes."""
SETTINGS: tuple[dict[str, Any], ...] = (
    {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 1), "groups": 1},
    {"stride": (1, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2},
)


def image_net(
    weights: Sequence[np.ndarray] | None = None,
    neuron: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a file with two convolutions, "flatten" and a dense layer; `more` changes the second convolution."""
    weights = weights or [np.full(shape, 6) for shape in ((4, 2, 3, 2), (4, 2, 2, 2), (3, 96))]
    held, shape = io.BytesIO(), IMAGE
    layers: list[dict[str, Any]] = []
    for weight, settings in zip(weights[:2], SETTINGS, strict=True):
        shape = correlated(np.zeros((1, *shape), np.int64), weight, settings).shape[1:]
        layers.append(
            {
                "type": np.array([b"conv"], "S10"),
                "shape": np.array(shape),
                "inChannels": weight.shape[1] * settings["groups"],
                "outChannels": len(weight),
                "kernelSize": np.array(weight.shape[2:]),
                "weight": weight.astype(np.float64),
                **{name: np.array(value) for name, value in settings.items()},
            }
        )
    layers[1] |= more or {}
    layers.append({"type": np.array([b"flatten"], "S10"), "shape": np.array(int(np.prod(shape)))})
    outputs, inputs = weights[2].shape
    layers.append(
        {
            "type": np.array([b"dense"], "S10"),
            "shape": np.array([outputs]),
            "inFeatures": inputs,
            "weight": weights[2],
        }
    )
    with h5py.File(held, "w") as file:
        for index, layer in enumerate(layers):
            group = file.create_group(f"layer/{index}")
            told = {} if layer["type"][0] == b"flatten" else {**NEURON, **(neuron or {})}
            for name, value in (layer | {f"neuron/{name}": value for name, value in told.items()}).items():
                if value is not None:
                    group.create_dataset(name, data=np.array([value], "S10") if name == "neuron/type" else value)
    return held.getvalue()


def correlated(images: np.ndarray, weight: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Return correlations of images (N, C, H, W), sum by sum."""
    (rows, columns), (down, right) = settings["stride"], settings["padding"]
    (far, wide), groups = settings["dilation"], settings["groups"]
    padded = np.pad(images, ((0, 0), (0, 0), (down, down), (right, right)))
    height, width = (
        (padded.shape[2 + axis] - settings["dilation"][axis] * (weight.shape[2 + axis] - 1) - 1)
        // settings["stride"][axis]
        + 1
        for axis in (0, 1)
    )
    found = np.zeros((len(images), len(weight), height, width), np.int64)
    each, own = len(weight) // groups, weight.shape[1]
    for out, channel, y, x in np.ndindex(weight.shape):
        part = padded[:, out // each * own + channel, y * far :, x * wide :]
        found[:, out] += weight[out, channel, y, x] * part[:, ::rows, ::columns][:, :height, :width]
    return found


def run_images(weights: Sequence[np.ndarray], said: Mapping[str, Any], events: np.ndarray) -> np.ndarray:
    """Return the last layer's spikes, (T, N, outputs), of events (T, N, C, H, W)."""
    signal = events.astype(np.int64)
    for weight, settings in zip(weights[:2], SETTINGS, strict=True):
        signal = _fired(signal, lambda x, w=weight, s=settings: correlated(x, w, s), said, 0)
    flat = signal.reshape(*signal.shape[:2], -1)
    return _fired(flat, lambda x: x @ weights[2].T.astype(np.int64), said, 0)


def run(
    weights: Sequence[np.ndarray], said: Mapping[str, Any], events: np.ndarray, biases: Sequence[np.ndarray] | None
) -> np.ndarray:
    """Return the last layer's spikes, (T, N, outputs), of events (T, N, inputs)."""
    signal = events.astype(np.int64)
    for index, weight in enumerate(weights):
        bias = 0 if biases is None else 64 * biases[index].astype(np.int64)
        signal = _fired(signal, lambda x, w=weight: x @ w.T.astype(np.int64), said, bias)
    return signal


def _fired(
    signal: np.ndarray, image: Callable[[np.ndarray], np.ndarray], said: Mapping[str, Any], bias: np.ndarray | int
) -> np.ndarray:
    """Return a layer's spikes, from those before it."""
    u = np.zeros_like(image(signal[0]))
    v, spikes, before = u.copy(), [], np.zeros_like(signal[0])
    for now in signal:
        u = _cut(u * (4096 - said["iDecay"])) + 64 * image(before)
        assert np.abs(u).max() < 2**23
        v = np.clip(_cut(v * (4096 - said["vDecay"])) + u + bias, -(2**23 - 1), 2**23 - 1)
        fires = v > 64 * said["vThMant"]
        v, before = np.where(fires, 0, v), now
        spikes.append(fires.astype(np.int64))
    return np.stack(spikes)


def _cut(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * (np.abs(x) >> 12)
