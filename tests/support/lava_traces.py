"""Runs of lava itself (lava-nc 0.10.0, lava-dl 0.6.0; Python 3.10), kept as `lava_traces.npz`, compared at length.

    PYTHONPATH=tests python tests/support/lava_traces.py write FOLDER [--runs 60]
    python3.10 -m venv V && V/bin/pip install lava-nc==0.10.0 h5py && V/bin/pip install --no-deps lava-dl==0.6.0
    V/bin/python tests/support/lava_traces.py run FOLDER
    PYTHONPATH=tests python tests/support/lava_traces.py compare FOLDER [--keep 6]

Each run is a `.net` file with random weights, constants and, without a current that is kept, biases: three dense
layers, or every third time two convolutions, "flatten" and a dense layer; and a recording of random events. lava's
`netx` reads the file and runs its bit-accurate processes (`Loihi2SimCfg`, "fixed_pt"), without torch; the last
layer's spikes are compared with those of what `from_lava` makes of the file. The first runs in which some fire are
kept for the tests.
"""

import argparse
import os
import sys
import types
from pathlib import Path

import numpy as np

TRACES = Path(__file__).with_name("lava_traces.npz")
SIZES, STEPS = (8, 24, 16, 6), 60


def drawn(seed: int) -> "tuple[bytes, np.ndarray]":
    """Return a file, and events (T, …)."""
    from support.lava_files import IMAGE, image_net, net

    random = np.random.default_rng(seed)
    images, bare = seed % 3 == 2, seed % 2 == 1
    shapes = ((4, 2, 3, 2), (4, 2, 2, 2), (6, 96)) if images else tuple(zip(SIZES[1:], SIZES, strict=False))
    weights = [2 * random.integers(-60, 80, shape) for shape in shapes]
    neuron = {
        "iDecay": 4096 if bare else int(random.integers(256, 4096)),
        "vDecay": int(random.integers(0, 4097)),
        "vThMant": int(random.integers(20, 400)),
    }
    if images:
        return image_net(weights, neuron), random.integers(0, 2, (STEPS, *IMAGE))
    biases = [random.integers(-20, 30, len(weight)) for weight in weights] if bare else None
    return net(weights, neuron, biases), random.integers(0, 2, (STEPS, SIZES[0]))


def write(folder: Path, runs: int) -> None:
    """Write files and events."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(runs):
        content, events = drawn(seed)
        (folder / f"{seed}.net").write_bytes(content)
        np.save(folder / f"{seed}.events.npy", events.astype(np.uint8))


def run(folder: Path) -> None:
    """Run all of a folder's files by lava, and write the last layer's spikes, (T, outputs)."""
    _without_torch()
    for path in sorted(folder.glob("*.net")):
        events = np.load(path.with_suffix(".events.npy"))
        np.save(path.with_suffix(".spikes.npy"), lava_spikes(path, events).astype(np.uint8))


def lava_spikes(path: Path, events: np.ndarray) -> np.ndarray:
    """Return what lava makes of a file and events."""
    from lava.lib.dl.netx.hdf5 import Network  # pyright: ignore[reportMissingImports]
    from lava.magma.core.run_conditions import RunSteps  # pyright: ignore[reportMissingImports]
    from lava.magma.core.run_configs import Loihi2SimCfg  # pyright: ignore[reportMissingImports]
    from lava.proc.io.sink import RingBuffer as Sink  # pyright: ignore[reportMissingImports]
    from lava.proc.io.source import RingBuffer as Source  # pyright: ignore[reportMissingImports]

    data = np.moveaxis(events, 0, -1).astype(int)
    if events.ndim == 4:  # lava has width, height and channels
        data = data.transpose(2, 1, 0, 3)
    network = Network(net_config=str(path), **({"input_shape": data.shape[:3]} if events.ndim == 4 else {}))
    source, sink = Source(data=data), Sink(shape=network.out.shape, buffer=len(events))
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    network.run(condition=RunSteps(num_steps=len(events)), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found = sink.data.get()
    network.stop()
    return found.T


def _without_torch() -> None:
    """Let lava-dl's netx be imported without its training, which needs torch."""
    import lava.lib  # pyright: ignore[reportMissingImports]

    (root,) = (f"{part}/dl" for part in lava.lib.__path__ if os.path.isdir(f"{part}/dl"))
    slayer = ("slayer", "slayer.neuron", "slayer.neuron.rf")
    for name in ("", "netx", "netx.sequential_modules", *slayer):
        module = types.ModuleType(f"lava.lib.dl.{name}".rstrip("."))
        module.__path__ = [f"{root}/{name.replace('.', '/')}"]
        module.__file__ = f"{root}/{name.replace('.', '/')}/__init__.py"
        module.neuron_params = None  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module


def ours(path: Path, events: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the last spikes in what `from_lava` makes of a file, (T, outputs), and its number of neurons."""
    import torch

    from spikecert import from_lava

    trace = from_lava(path, len(events)).trace(torch.from_numpy(events[None]).double())
    return trace.spikes[-1][:, 0].numpy(), sum(spikes[0, 0].numel() for spikes in trace.spikes)


def compare(folder: Path, keep: int) -> None:
    """Compare all runs, and keep the first."""
    kept, steps, differing, unknown = list[dict[str, np.ndarray]](), 0, 0, 0
    for path in sorted(folder.glob("*.net"), key=lambda each: int(each.stem)):
        events, spikes = (np.load(path.with_suffix(f".{what}.npy")) for what in ("events", "spikes"))
        mine, neurons = ours(path, events)
        steps += neurons * len(events)
        known = ~np.isnan(mine)
        differing += int((mine[known] != spikes[known]).sum())
        unknown += int((~known).sum())
        if 0.02 < spikes.mean() < 0.98:
            kept.append({"net": np.frombuffer(path.read_bytes(), np.uint8), "events": events, "spikes": spikes})
    told = f"{steps} neuron steps, {differing} output spikes differ, {unknown} have no number"
    sys.stdout.write(told + "\n")
    if keep:
        parts = {f"{k}.{name}": part for k, one in enumerate(kept[:keep]) for name, part in one.items()}
        np.savez_compressed(TRACES, **parts)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("write", "run", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--keep", type=int, default=0)
    asked = parser.parse_args()
    if asked.what == "write":
        write(asked.folder, asked.runs)
    elif asked.what == "run":
        run(asked.folder)
    else:
        compare(asked.folder, asked.keep)
