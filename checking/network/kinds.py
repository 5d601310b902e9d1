"""A layer whose neurons differ: each kind of them reads its own rows of the current, and spikes by itself."""

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from ..maps.affine import Affine
from ..numbers.exact import Arithmetic, Refused, whole
from ..numbers.sparse import Matrix
from ..work import hold, spend
from .neurons import Described

FIELDS = {"type", "shape", "amounts", "reset", "fires_at", "surrogate"}


@dataclass(frozen=True)
class Kinds:
    """Neurons of several kinds.

    Attributes:
        kinds: each once.
        which: the kind of each entry, laid out as it is stretched to the features of a signal.
    """

    kinds: tuple[Described, ...]
    which: np.ndarray

    @staticmethod
    def read(
        tensors: dict[str, np.ndarray], name: str, layer: dict[str, Any], steps: int, arithmetic: Arithmetic
    ) -> "Kinds":
        """Return the layer of a description, and take its constants out of `tensors`.

        Raises:
            Refused: for constants outside their range or subnormal, of other sizes, or fields that are not known.
        """
        if layer.keys() != FIELDS or not isinstance(layer["amounts"], bool):
            raise Refused("unknown: no proof form for neurons that differ and are described otherwise")
        names = ("decay", "threshold", *(["reset_amount"] * layer["amounts"]))
        arrays = [tensors.pop(f"{name}.{constant}") for constant in names]
        if any(array.shape != tuple(layer["shape"]) or array.size == 0 for array in arrays):
            raise Refused(f"{name}: has constants of another shape than it says")
        spend(64 * arrays[0].size)
        rows = np.stack([array.astype(float).ravel() for array in arrays], 1)
        each, which = np.unique(rows, axis=0, return_inverse=True)
        which = which.reshape(-1)
        hold("neurons of all kinds", len(each) * len(which))
        plain = {key: layer[key] for key in ("reset", "fires_at", "surrogate")} | {"type": "LIF"}
        kinds = []
        for index in _in_order(which):
            constants = dict(zip(names, each[index].tolist(), strict=True))
            kinds.append(Described.read({}, name, plain | constants, steps, arithmetic))
        order = np.argsort(_in_order(which))
        return Kinds(tuple(kinds), order[which].reshape(arrays[0].shape))

    def over(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Return the places of each kind's neurons among the flat features of a signal of `shape`, rising.

        Raises:
            Refused: for a shape that the constants do not fit.
        """
        own = self.which.shape
        fits = len(own) <= len(shape) and all(
            a in (1, b) for a, b in zip(reversed(own), reversed(shape), strict=False)
        )
        if not fits:
            raise Refused("neurons that differ do not fit their inputs")
        hold("neurons of all kinds", prod(shape) * len(self.kinds))
        which = np.broadcast_to(self.which, shape).ravel()
        return [np.flatnonzero(which == kind) for kind in range(len(self.kinds))]


def chosen(places: np.ndarray, width: int) -> Affine:
    """Return the map to the entries at `places` of `width`: it moves numbers, and never rounds."""
    return _moved((len(places), width), np.arange(len(places)), places)


def spread(places: np.ndarray, width: int) -> Affine:
    """Return the map from numbers to `places` of `width`, with 0 elsewhere: it never rounds."""
    return _moved((width, len(places)), places, np.arange(len(places)))


def _moved(shape: tuple[int, int], row: np.ndarray, column: np.ndarray) -> Affine:
    matrix, none = Matrix.of(shape, row, column, whole(np.ones(len(row), dtype=int))), Fraction(0)
    zeros = whole(np.zeros((shape[0], 1), dtype=int))
    return Affine(matrix, zeros, matrix, zeros, none, none, Fraction(1))


def _in_order(which: np.ndarray) -> np.ndarray:
    """Return kinds in the order in which they first come."""
    return which[np.sort(np.unique(which, return_index=True)[1])]
