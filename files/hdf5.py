"""HDF5 from anyone, read by a process of its own with limits: libhdf5 hangs or crashes on some broken files."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np

from ..processes import command

MOST_SECONDS = 60
CHILD = Path(__file__).with_name("hdf5_child.py")


class Unreadable(ValueError):
    """An HDF5 file that can't be read; the words go on after the file's name."""


def read_hdf5(content: bytes, layout: str) -> dict[str, np.ndarray]:
    """Return arrays out of a file's content.

    Args:
        content: of the file.
        layout: which arrays, by a name of `hdf5_child.LAYOUTS`: "nir" or "spikes".

    Raises:
        Unreadable: for a file that lacks them, is too large, or takes too long.
    """
    program = command(str(CHILD), layout, alone=True)
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


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
    return said if done.returncode == 1 and said else "HDF5 fails on it"
