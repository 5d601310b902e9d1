"""NIR files from anyone: their HDF5 is read by a process of its own, with limits."""

from pathlib import Path
from typing import Any

from ....files import FileKind, Unreadable, read_tree
from ..refusal import ConversionRefused

NIR = FileKind("graph", "a NIR file", most=2**28)


def read_file(path: Path) -> dict[str, Any]:
    """Return the content of a NIR file as nested dictionaries of arrays and text.

    Raises:
        ConversionRefused: for a file that is no NIR graph, that is too large, or that takes too long.
        FileNotFoundError: where there is no such file.
    """
    try:
        return read_tree(NIR.content(path), "nir")
    except Unreadable as error:
        raise ConversionRefused(f"graph: {path} is no NIR graph: {error}") from error
    except ValueError as error:
        raise ConversionRefused(str(error)) from error
