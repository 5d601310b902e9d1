"""Small files that ask a checker of proofs for much: networks, and proofs about them, sealed with right hashes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spikecert.checking.network.model import FORMAT as NETWORK
from spikecert.checking.short import FORMAT as PROOF
from spikecert.checking.short import MOST_CELLS
from spikecert.models.files.storage import write_tensors

Layers = list[dict[str, Any]]
Tensors = dict[str, Tensor]


def linear(inputs: int, outputs: int) -> dict[str, Any]:
    """Return the description of a Linear layer without a bias."""
    return {"type": "Linear", "in_features": inputs, "out_features": outputs, "bias": False}


def lif(steps: int, decay: float = 0.97, reset: str = "subtract") -> dict[str, Any]:
    """Return the description of a neuron."""
    named = {"type": "LIF", "num_steps": steps, "decay": decay, "threshold": 1.0, "reset": reset}
    return named | {"fires_at": ">=", "surrogate": {"type": "Triangle", "width": 1.0}}


def convolution(size: int, padding: int) -> dict[str, Any]:
    """Return the description of a convolution of one channel without a bias."""
    named = {"type": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": [size] * 2, "stride": [1, 1]}
    named |= {"padding": [padding] * 2, "dilation": [1, 1], "groups": 1, "bias": False, "padding_mode": "zeros"}
    return named


def pool() -> dict[str, Any]:
    """Return the description of a pool of single pixels."""
    named = {"type": "AvgPool2d", "kernel_size": 1, "stride": 1, "padding": 0}
    return named | {"ceil_mode": False, "count_include_pad": True}


IDENTITY = {"type": "Residual", "branch": [], "shortcut": []}
FLAT = {"type": "Flatten", "start_dim": 1, "end_dim": -1}


def written(
    folder: Path,
    layers: Layers,
    weights: dict[int, Tensor],
    sample: Tensor,
    steps: int,
    proof: Tensors,
    encoding: str = "direct",
    readout: str = "mean",
    norm: str = "linf",
    radius: float = 1.0,
    told: Tensors | None = None,
    **asked: Any,
) -> tuple[Path, Path]:
    """Write a network and a proof about it; return both files. The last layer's bias makes the class certain."""
    model, path, tensors = folder / "network.safetensors", folder / "heavy.proof", {}
    tensors |= {f"layers.{name}": tensor for name, tensor in (told or {}).items()}
    *_, last = weights
    if layers[last]["type"] == "Linear" and readout == "mean":
        layers = [*layers[:last], layers[last] | {"bias": True}]
        tensors[f"layers.{last}.bias"] = torch.tensor([1e6, -1e6], dtype=weights[last].dtype)
    text = json.dumps({"num_steps": steps, "encoding": encoding, "readout": readout, "layers": layers})
    digest = write_tensors(model, NETWORK, text, tensors | {f"layers.{k}.weight": w for k, w in weights.items()})
    ball = {} if "events" in asked else {"lower": -4.0, "upper": 4.0}
    text = json.dumps({"label": 0, "norm": norm, "network": digest, **ball, **asked})
    around = {"radius": torch.tensor([radius], dtype=torch.float64)} if ball else {}
    write_tensors(path, PROOF, text, {"sample": sample, **around, **proof})
    return path, model


def one_leaf(*shapes: tuple[int, ...], value: float = 0.0) -> Tensors:
    """Return the tree of one leaf for class 1, with prices of these shapes."""
    tree = {"1.neuron": torch.tensor([-1], dtype=torch.int32), "1.current": torch.zeros(1)}
    return tree | {f"1.prices.{k}": torch.full((1, *shape), value) for k, shape in enumerate(shapes)}


def _weight(*shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * scale


def soft_reset(folder: Path) -> tuple[Path, Path]:
    """One soft reset over 64 steps, and a wide ball."""
    weights = {0: _weight(2, 2, scale=2.0), 2: _weight(2, 2)}
    return written(folder, [linear(2, 2), lif(64), linear(2, 2)], weights, torch.zeros(2), 64, one_leaf((2,)))


def near_tie(folder: Path) -> tuple[Path, Path]:
    """A current that is the threshold: at each of 256 steps either may happen."""
    layers = [linear(1, 1), lif(256, 0.0), linear(1, 2)]
    weights = {0: torch.ones(1, 1), 2: _weight(2, 1)}
    return written(folder, layers, weights, torch.ones(1), 256, one_leaf((1,)), radius=0.0)


def wide_soft_reset(folder: Path) -> tuple[Path, Path]:
    """Many neurons, each with many trains."""
    count = 4000
    layers, weights = [linear(1, count), lif(48), linear(count, 2)], {0: _weight(count, 1), 2: _weight(2, count)}
    return written(folder, layers, weights, torch.zeros(1), 48, one_leaf((count,)))


def windows(folder: Path) -> tuple[Path, Path]:
    """Windows of 256 steps for a second layer."""
    layers = [linear(1, 2), lif(256, 0.999, "zero"), linear(2, 60), lif(256, 0.999), linear(60, 2)]
    weights = {0: _weight(2, 1), 2: _weight(60, 2), 4: _weight(2, 60)}
    return written(folder, layers, weights, torch.zeros(1), 256, one_leaf((2,), (60, 256)), radius=0.1)


def over_time(folder: Path) -> tuple[Path, Path]:
    """Two layers of soft resets whose inputs change at each of 256 steps."""
    layers = [linear(1, 40), lif(256, 0.999), linear(40, 40), lif(256, 0.999), linear(40, 2)]
    weights = {0: _weight(40, 1), 2: _weight(40, 40), 4: _weight(2, 40)}
    proof = one_leaf((40, 256), (40, 256), value=1.7e38)
    return written(folder, layers, weights, torch.zeros(256, 1), 256, proof, "none")


def cells(folder: Path) -> tuple[Path, Path]:
    """As many cells as may be asked for, of two layers that subtract, over 256 steps."""
    layers = [linear(1, 40), lif(256, 0.999), linear(40, 40), lif(256, 0.999), linear(40, 2)]
    weights = {0: _weight(40, 1), 2: _weight(40, 40), 4: _weight(2, 40)}
    proof = one_leaf((40, 256), (40, 256))
    return written(folder, layers, weights, torch.zeros(256, 1), 256, proof, "none", cells=MOST_CELLS)


def pairs(folder: Path) -> tuple[Path, Path]:
    """The largest square of cells that may be asked for, of neurons whose spikes are counted."""
    layers = [linear(1, 40), lif(48, 0.9), linear(40, 2), lif(48, 0.9)]
    weights = {0: _weight(40, 1), 2: _weight(2, 40)}
    proof = one_leaf((40,), (2, 48))
    return written(folder, layers, weights, torch.zeros(1), 48, proof, readout="spikes", cells=2, side=MOST_CELLS)


def padding(folder: Path) -> tuple[Path, Path]:
    """A padding that makes millions of pixels of one."""
    layers = [convolution(1, 700), lif(8), convolution(1, 0), FLAT]
    weights = {0: torch.ones(1, 1, 1, 1), 2: torch.ones(1, 1, 1, 1)}
    return written(folder, layers, weights, torch.zeros(1, 1, 1), 8, one_leaf((1401 * 1401,)))


def image(folder: Path) -> tuple[Path, Path]:
    """A large image under a large kernel."""
    layers = [convolution(30, 0), lif(8), FLAT, linear(31 * 31, 2)]
    weights = {0: _weight(1, 1, 30, 30), 3: _weight(2, 31 * 31)}
    return written(folder, layers, weights, torch.zeros(1, 60, 60), 8, one_leaf((31 * 31,)), norm="l2")


def long_numbers(folder: Path) -> tuple[Path, Path]:
    """Two thousand layers in a row, whose products are ever longer numbers."""
    count = 2000
    layers = [*(linear(1, 1) for _ in range(count)), lif(8), linear(1, 2)]
    weights = {
        k: torch.full((1, 1), 1 / 3, dtype=torch.float64) * (1e-250 if k % 2 else 1e250) for k in range(count)
    }
    weights[count + 1] = torch.ones(2, 1, dtype=torch.float64)
    return written(folder, layers, weights, torch.zeros(1, dtype=torch.float64), 8, one_leaf((1,)))


def sums(folder: Path) -> tuple[Path, Path]:
    """Sixty residual sums of a signal with itself, behind a layer without a table."""
    layers = [linear(1, 2), lif(4), *[IDENTITY] * 60, lif(4), linear(2, 2)]
    weights = {0: _weight(2, 1), 63: _weight(2, 2)}
    return written(folder, layers, weights, torch.zeros(4, 1), 4, one_leaf((2, 4), (2, 4)), "none")


def sums_of_trains(folder: Path) -> tuple[Path, Path]:
    """Sixty residual sums of a signal with itself, behind a layer with a table."""
    layers = [linear(1, 2), lif(4), *[IDENTITY] * 60, lif(4), linear(2, 2)]
    weights = {0: _weight(2, 1), 63: _weight(2, 2)}
    return written(folder, layers, weights, torch.zeros(1), 4, one_leaf((2,), (2, 4)))


def wide_sums(folder: Path) -> tuple[Path, Path]:
    """Thousands of residual sums of a wide signal with itself."""
    layers = [convolution(1, 150), *[IDENTITY] * 2000, lif(4), convolution(1, 0), FLAT]
    weights = {0: torch.ones(1, 1, 1, 1), 2002: torch.ones(1, 1, 1, 1)}
    return written(folder, layers, weights, torch.zeros(1, 1, 1), 4, one_leaf((301 * 301,)))


def many_layers(folder: Path) -> tuple[Path, Path]:
    """Two hundred layers of one neuron over 256 steps."""
    layers, weights = [linear(1, 1), lif(256, 0.999, "zero")], {0: torch.ones(1, 1)}
    for index in range(2, 400, 2):
        layers += [linear(1, 1), lif(256, 0.999, "zero")]
        weights[index] = torch.ones(1, 1)
    weights[len(layers)] = _weight(2, 1)
    proof = one_leaf((1,), *[(1, 256)] * 199)
    return written(folder, [*layers, linear(1, 2)], weights, torch.zeros(1), 256, proof)


def pools(folder: Path) -> tuple[Path, Path]:
    """Three hundred pools of single pixels."""
    layers = [*[pool()] * 300, lif(4), FLAT, linear(10000, 2)]
    return written(
        folder, layers, {302: _weight(2, 10000)}, torch.zeros(1, 100, 100), 4, one_leaf((10000,)), norm="l2"
    )


def deep_tree(folder: Path) -> tuple[Path, Path]:
    """A tree of thousands of splits to one side, of a wide layer with many trains."""
    count, splits = 1000, 20000
    tree = {"1.neuron": torch.zeros(splits, dtype=torch.int32), "1.current": torch.full((splits,), 3.0)}
    tree["1.prices.0"] = torch.zeros(0, count)
    layers, weights = [linear(1, count), lif(24), linear(count, 2)], {0: _weight(count, 1), 2: _weight(2, count)}
    return written(folder, layers, weights, torch.zeros(1), 24, tree)


def many_leaves(folder: Path) -> tuple[Path, Path]:
    """Thousands of leaves of a small layer, of which each is to be bounded."""
    splits = 2000
    pattern = torch.tensor([0, -1] * splits + [-1], dtype=torch.int32)
    tree = {"1.neuron": pattern, "1.current": torch.full((2 * splits + 1,), -9.0)}
    tree["1.prices.0"] = torch.zeros(splits + 1, 2)
    layers = [linear(2, 2), lif(24), linear(2, 2)]
    weights = {0: _weight(2, 2), 2: torch.zeros(2, 2)}
    return written(folder, layers, weights, torch.zeros(2), 24, tree)


def narrowings(folder: Path) -> tuple[Path, Path]:
    """Multipliers that narrow one neuron thousands of times."""
    count, times = 1000, 2000
    narrow = {
        "1.narrow.sizes": torch.tensor([[times, 1]], dtype=torch.int32),
        "1.narrow.neurons": torch.zeros(times, dtype=torch.int32),
        "1.narrow.slabs": torch.zeros(1, dtype=torch.int32),
        "1.narrow.multipliers": torch.ones(2 * times + 1),
    }
    layers, weights = [linear(1, count), lif(4), linear(count, 2)], {0: _weight(count, 1), 2: _weight(2, count)}
    return written(folder, layers, weights, torch.zeros(1), 4, one_leaf((count,)) | narrow)


HEAVY: dict[str, Callable[[Path], tuple[Path, Path]]] = {
    made.__name__: made
    for made in (
        soft_reset,
        near_tie,
        wide_soft_reset,
        windows,
        over_time,
        cells,
        pairs,
        padding,
        image,
        long_numbers,
        sums,
        sums_of_trains,
        wide_sums,
        many_layers,
        pools,
        deep_tree,
        many_leaves,
        narrowings,
    )
}
