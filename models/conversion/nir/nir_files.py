"""NIR files from anyone: their HDF5 is read by a process of its own, with limits."""

import json
from pathlib import Path
from typing import Any

from ....files import FileKind, Unreadable, read_hdf5
from ..refusal import ConversionRefused

NIR = FileKind("graph", "a NIR file", most=2**28)


def read_file(path: Path) -> dict[str, Any]:
    """Return the content of a NIR file as nested dictionaries of arrays and text.

    Raises:
        ConversionRefused: for a file that is no NIR graph, that is too large, or that takes too long.
        FileNotFoundError: where there is no such file.
    """
    try:
        held = read_hdf5(NIR.content(path), "nir")
    except Unreadable as error:
        raise ConversionRefused(f"graph: {path} is no NIR graph: {error}") from error
    except ValueError as error:
        raise ConversionRefused(str(error)) from error
    return _filled(json.loads(held["tree"].tobytes()), held)


def _filled(tree: Any, held: dict[str, Any]) -> Any:
    """Return the tree with its arrays in place."""
    if isinstance(tree, dict) and tree.keys() == {"array"} and isinstance(tree["array"], int):
        return held[f"a{tree['array']}"][()]
    if isinstance(tree, dict):
        return {key: _filled(value, held) for key, value in tree.items()}
    return tree
