"""The native kernel, as tests ask it."""

import json
import re
from pathlib import Path

import pytest

from spikecert.checking import Refused, native

from .conftest import FOLDER


def is_built() -> bool:
    try:
        native.find_native()
    except Refused:
        return False
    return True


HERE = pytest.mark.skipif(not is_built(), reason="no native kernel here: `make native` builds it from the proofs")


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
