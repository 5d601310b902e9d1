"""A finished proof, and its file."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...checking.conclusions import StatedProperty
from ...checking.events.recordings import Rules
from ...checking.short import FORMAT, ROWS_FORMAT
from ...files import write_atomically
from ...models.files.storage import pack
from .tree import Tree, written


@dataclass(frozen=True)
class Proof:
    """That a network keeps its class, or a property, everywhere within `radius` of `sample`, in [lower, upper].

    Of events: for every recording that `rules` make of `sample`.

    Attributes:
        network: `network_hash` of the network.
        label: the class; None of a property.
        sample: one input, in the network's dtype; radius: (1,) or of its shape, float64.
        norm: of the radius, "linf" or "l2"; of events that of their set.
        lower, upper: the range of inputs.
        trees: one for each other class, or clause.
        ties: what a tie between logits is, "argmax" or "strict".
        nodes: how many nodes the search bounded.
        rules: of events: what may flip and move; radius and range are not written then.
        prop: the property, where it is about one.
    """

    network: str
    label: int | None
    sample: np.ndarray
    radius: np.ndarray
    norm: str
    lower: float
    upper: float
    trees: tuple[Tree, ...]
    nodes: int
    ties: str
    rules: Rules | None = None
    prop: StatedProperty | None = None

    @property
    def leaves(self) -> int:
        """Return the number of leaves of all trees."""
        return sum(len(tree.leaves) for tree in self.trees)

    @property
    def _cells(self) -> dict[str, int]:
        """Return what the checker is told of cells: nothing where no layer has any."""
        trials = self.trees[0].trials if self.trees else None
        if trials is None or not trials.celled:
            return {}
        return {"cells": trials.maker.cells, "side": trials.maker.side}

    def save(self, path: str | Path, note: str = "") -> None:
        """Write the file that `spikecert check-proof` checks, atomically; `note` is for people."""
        write_atomically(path, self.packed(note))

    def packed(self, note: str = "") -> bytes:
        """Return the content of that file."""
        text: dict[str, object] = {"network": self.network, "norm": self.norm}
        text |= {"label": self.label, "ties": self.ties} if self.prop is None else self.prop.described
        cells = self._cells
        text |= cells
        tensors = {"sample": self.sample}
        if self.rules is None:
            text |= {"lower": self.lower, "upper": self.upper}
            tensors |= {"radius": self.radius}
        else:
            text |= {"events": self.rules.described}
            tensors |= self.rules.masks
        for tree in self.trees:
            neurons, currents, layers, leaves = tree.listed()
            tensors |= {f"{tree.other}.neuron": neurons, f"{tree.other}.current": currents}
            priced = {layer: prices for layer, prices in enumerate(layers) if prices.any() or not cells}
            tensors |= {f"{tree.other}.prices.{layer}": prices for layer, prices in priced.items()}
            tensors |= {
                f"{tree.other}.narrow.{part}": flat
                for part, flat in written([leaf.narrowing for leaf in leaves]).items()
            }
            if len(tree.rows) > 1:
                tensors[f"{tree.other}.row"] = np.array([leaf.row for leaf in leaves], dtype=np.int32)
        described = json.dumps(text | {"note": note}, sort_keys=True)
        form = FORMAT if self.prop is None else ROWS_FORMAT
        return pack(form, described, {name: torch.from_numpy(x) for name, x in tensors.items()})
