"""The files of the zoo: one a network, with its entry and its description in the header."""

import json
import re
from pathlib import Path

from pydantic import ValidationError

from spikecert.models import SpikingNetwork
from spikecert.models.files.checkpoints import built, described
from spikecert.models.files.storage import read_tensors, write_tensors
from spikecert.models.validation import check_choice, one_line

from .entry import Entry
from .rounding import from_bits, to_bits

FORMAT = "spikecert.zoo/1"
FOLDER = Path(__file__).parent / "networks"


def names() -> tuple[str, ...]:
    """Return the names of all networks."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.safetensors")))


def zoo() -> tuple[Entry, ...]:
    """Return what is known of each certified network of the package, which `load_zoo` loads by its name.

    >>> [(entry.data, entry.norm, min(entry.shares)) for entry in zoo() if entry.name == "mnist-linf-0.1"]
    [('mnist', 'linf', 0.1)]
    """
    return tuple(_read(_path(name))[0] for name in names())


def load_zoo(name: str) -> SpikingNetwork:
    """Return a certified network of the package, in evaluation mode.

    Args:
        name: such as "mnist-linf-0.1"; `zoo` lists them.

    Raises:
        ValueError: for an unknown name.

    >>> load_zoo("mnist-linf-0.1").num_steps
    4
    """
    check_choice("name", name, names())
    return _read(_path(name))[1]


def pack(network: SpikingNetwork, entry: Entry, folder: Path = FOLDER) -> Path:
    """Write a network to the zoo with its weights rounded to eight bits, and return the path.

    Raises:
        ValueError: for a name that is none of a file.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", entry.name):
        raise ValueError(f"name: got {entry.name!r}, expected small letters, digits, points and hyphens")
    text = json.dumps({"entry": entry.model_dump(), "network": json.loads(described(network))}, sort_keys=True)
    path = folder / f"{entry.name}.safetensors"
    write_tensors(path, FORMAT, text, to_bits(network.state_dict()))
    return path


def unpacked(path: Path) -> SpikingNetwork:
    """Return the network in a file that `pack` wrote."""
    return _read(path)[1]


def _path(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


def _read(path: Path) -> tuple[Entry, SpikingNetwork]:
    text, tensors = read_tensors(path, FORMAT)
    content = json.loads(text)
    try:
        entry = Entry.model_validate(content["entry"])
    except ValidationError as error:
        raise ValueError(f"path: {path} says nothing of its network: {one_line(str(error))}") from error
    return entry, built(json.dumps(content["network"]), from_bits(tensors), str(path))
