"""One row and one seed of a protocol, before it runs: its keys, and the folder where it is kept."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikecert.models.files.storage import digest_of
from spikecert.training import Dataset

from .configuration import Protocol
from .grid import Cell


@dataclass(frozen=True)
class PlannedRun:
    """One row and one seed, with all that they need."""

    protocol: Protocol
    cell: Cell
    seed: int
    data: Dataset
    data_hash: str
    folder: Path
    device: str

    @property
    def training_key(self) -> str:
        """Return a hash of everything that decides the trained network.

        A setting at its default is left out: a run keeps its key when protocols learn a new one.
        """
        decided = {
            "data",
            "architecture",
            "num_steps",
            "decay",
            "threshold",
            "reset",
            "encoding",
            "network",
            "images",
        }
        return _hash(
            {
                "row": self.cell.row,
                "neuron": self.cell.neuron,
                "terms": self.cell.terms,
                "training": self.cell.training.model_dump(exclude_defaults=True),
                "start": self.cell.start.model_dump(exclude_defaults=True),
                "protocol": self.protocol.model_dump(include=decided, exclude_defaults=True),
                "seed": self.seed,
                "data": self.data_hash,
            }
        )

    @property
    def key(self) -> str:
        """Return a hash of everything that decides the result, the time limit of verifiers included."""
        evaluation = self.protocol.evaluation.model_dump(exclude_defaults=True)
        return _hash({"training": self.training_key, "evaluation": evaluation})

    @property
    def place(self) -> Path:
        """Return the folder of this training run alone: what is measured otherwise is not trained again."""
        words = re.sub(r"[^a-z0-9.]+", "-", self.cell.row.lower().replace("ρ", "rho")).strip("-")
        return self.folder / f"{words}-seed-{self.seed}-{self.training_key[:8]}"

    @property
    def label(self) -> str:
        """Return what progress bars call this run."""
        return f"{self.cell.row}, seed {self.seed}"


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def hash_of(data: Dataset) -> str:
    """Return a hash of all splits."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    tensors = {f"{name}.inputs": split.inputs for name, split in splits.items()}
    tensors |= {f"{name}.labels": split.labels for name, split in splits.items()}
    return digest_of(data.name, tensors)
