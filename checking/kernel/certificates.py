"""Read a certificate, a stream of lines: its format, its claim (JSON), and its records."""

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ..claims import Claim, Statement, read_claim
from ..network.graph import arrange
from ..network.model import Network
from ..refusal import Refused
from .checking import Checker
from .network import Nodes
from .numbers import GRID

FORMAT = "spikecert.proof/2"
TYPES = ("float32", "float64", "int32")


def check_certificate(lines: Iterable[str], network: Network) -> Statement:
    """Return what a certificate proves of a network.

    Args:
        lines: of the certificate, one after the other.
        network: as read from its model file.

    Raises:
        Refused: for anything but a complete certificate, saying why.
    """
    stream = iter(lines)
    if next(stream, "").strip() != FORMAT:
        raise Refused(f"is no certificate of format {FORMAT}")
    try:
        claim = _claim(next(stream, ""), network)
        graph = arrange(network, claim.inputs.shape[1:] if network.timed else claim.inputs.shape)
        label = claim.labelled(graph.widths[-1])
        checker = Checker(network, Nodes.of(network, graph, claim.inputs), label, claim.ties)
        checker.check(stream)
    except Refused:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise Refused(f"lacks a part, or has one of another kind: {error}") from error
    least = min(margin for margin in checker.margins.values() if margin is not None)
    return claim.stated(Fraction(least, 1 << GRID) * graph.unit, checker.leaves)


def _claim(line: str, network: Network) -> Claim:
    text: dict[str, Any] = json.loads(line)
    arrays = {name: _array(given) for name, given in text.pop("arrays").items()}
    return read_claim(text, arrays, network)


def _array(given: dict[str, Any]) -> np.ndarray:
    if given["type"] not in TYPES:
        raise Refused(f"got numbers of type {str(given['type'])[:20]!r}, expected one of {', '.join(TYPES)}")
    whole = given["type"] == "int32"
    values = [value if whole and type(value) is int else float.fromhex(value) for value in given["values"]]
    return np.array(values, dtype=given["type"]).reshape(given["shape"])


def described(array: np.ndarray) -> dict[str, Any]:
    """Return an array as a claim holds it."""
    whole = array.dtype == np.int32
    values = array.ravel().tolist()
    return {
        "type": str(array.dtype),
        "shape": list(array.shape),
        "values": values if whole else [value.hex() for value in values],
    }


def opening(text: dict[str, Any], arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """Yield the first lines of a certificate."""
    yield FORMAT
    yield json.dumps({**text, "arrays": {name: described(array) for name, array in arrays.items()}})
