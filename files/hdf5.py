"""HDF5 from anyone, read by a process of its own with limits: libhdf5 hangs or crashes on some broken files."""

import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from ..processes import command
from .errors import SpikecertError

MOST_SECONDS = 60
CHILD = Path(__file__).with_name("hdf5_child.py")


class Unreadable(SpikecertError, ValueError):
    """An HDF5 file that can't be read; the words go on after the file's name."""


def read_hdf5(content: bytes, layout: str, rows: slice = slice(0, 2**31)) -> dict[str, np.ndarray]:
    """Return arrays out of a file's content.

    Args:
        content: of the file.
        layout: which arrays, by a name of `hdf5_child.LAYOUTS`: "nir", "lava" or "spikes".
        rows: which recordings of "spikes", from a start to a stop.

    Raises:
        Unreadable: for a file that lacks them, is too large, or takes too long.
    """
    program = command(str(CHILD), layout, str(rows.start), str(rows.stop), alone=True)
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread reserves memory
    surroundings = {**os.environ, **threads}
    try:
        done = subprocess.run(program, input=content, capture_output=True, timeout=MOST_SECONDS, env=surroundings)
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"takes longer than {MOST_SECONDS} s to read") from error
    if done.returncode != 0:
        raise Unreadable(_reason(done))
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as held:
        return {name: held[name] for name in held}


def read_tree(content: bytes, layout: str) -> dict[str, Any]:
    """Return the groups of "nir" or "lava" as nested dictionaries of arrays and text, or raise as `read_hdf5`."""
    held = read_hdf5(content, layout)
    return _filled(json.loads(held["tree"].tobytes()), held)


def _filled(tree: Any, held: dict[str, Any]) -> Any:
    """Return the tree with its arrays in place."""
    if isinstance(tree, dict) and tree.keys() == {"array"} and isinstance(tree["array"], int):
        return held[f"a{tree['array']}"][()]
    if isinstance(tree, dict):
        return {key: _filled(value, held) for key, value in tree.items()}
    return tree


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
    return said if done.returncode == 1 and said else "HDF5 fails on it"
