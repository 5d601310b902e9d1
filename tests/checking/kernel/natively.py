"""The native kernel, as tests ask it."""

import json
import re
from pathlib import Path

from spikecert.checking import Refused
from spikecert.checking import short as native
from support.native import HERE

from .conftest import FOLDER

__all__ = ["HERE", "arrays", "model", "refusal", "told"]


def refusal(model: Path, lines) -> str:
    """Return why the native kernel refuses, nothing where it accepts."""
    try:
        native.check_native(model, lines, seconds=60)
    except Refused as error:
        told = str(error)
        assert told.isprintable()
        assert not re.search("ended without an answer|fails the kernel", told)
        return told
    return ""


def model(name: str) -> Path:
    return FOLDER / f"{name}.safetensors"


def told(lines, **changed) -> list[str]:
    """Return lines whose claim says something else."""
    return [lines[0], json.dumps(json.loads(lines[1]) | changed), *lines[2:]]


def arrays(lines, **changed) -> list[str]:
    """Return lines whose claim has other arrays."""
    return told(lines, arrays=json.loads(lines[1])["arrays"] | changed)
