"""NIR files from anyone: their HDF5 is read by a process of its own, with limits."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .refusal import ConversionRefused

MOST_BYTES = 2**28
MOST_SECONDS = 60
CHILD = Path(__file__).with_name("hdf5_child.py")


def read_file(path: Path) -> dict[str, Any]:
    """Return the content of a NIR file as nested dictionaries of arrays and text.

    Raises:
        ConversionRefused: for a file that is no NIR graph, that is too large, or that takes too long.
        FileNotFoundError: where there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"graph: got {path}, expected a NIR file")
    if path.stat().st_size > MOST_BYTES:
        raise ConversionRefused(f"graph: {path} has more than {MOST_BYTES} bytes")
    command = [sys.executable, "-I", str(CHILD), str(path)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread reserves memory
    try:
        done = subprocess.run(command, capture_output=True, timeout=MOST_SECONDS, env={**os.environ, **threads})
    except subprocess.TimeoutExpired as error:
        raise ConversionRefused(f"graph: {path} takes longer than {MOST_SECONDS} s to read") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").split()
        reason = " ".join(said)[-300:] if done.returncode == 1 and said else "HDF5 fails on it"
        raise ConversionRefused(f"graph: {path} is no NIR graph: {reason}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as held:
        tree = json.loads(held["tree"].tobytes())
        return _filled(tree, held)


def _filled(tree: Any, held: Any) -> Any:
    """Return the tree with its arrays in place."""
    if isinstance(tree, dict) and tree.keys() == {"array"} and isinstance(tree["array"], int):
        return held[f"a{tree['array']}"][()]
    if isinstance(tree, dict):
        return {key: _filled(value, held) for key, value in tree.items()}
    return tree
