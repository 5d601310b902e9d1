"""One row and one seed of a protocol, before it runs: its keys, and the folder where it is kept.

From a protocol to its runs: variants times neurons times the values in arrays times seeds.

Objectives and what they are made of out of a protocol's data: "kind" is the class, the rest its arguments.
"""

import hashlib
import itertools
import json
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from spikecert.certify import EventChange, EventRegion, SpikeFlip, SpikeShift
from spikecert.models.files.storage import digest_of
from spikecert.training import (
    MSMPPD,
    SIBP,
    CertifiedEvents,
    CertifiedLoss,
    CrossEntropy,
    Dataset,
    GainPenalty,
    GaussianNoise,
    MarginOverGain,
    Objective,
    PGDTraining,
    Ramp,
    SingleStep,
)

from .configuration import Protocol, Start, TrainingSettings, Variant, as_number, merged

SIGNS = {"rho": "ρ", "epsilon": "ε", "sigma": "σ"}


@dataclass(frozen=True)
class Cell:
    """One row of the table: a variant with one neuron and one value for each array.

    Attributes:
        row: what the table calls it.
        variant: the variant's name.
        neuron: "lif" or "dlif".
        terms: the objective as data, without arrays.
        training: what `fit` is told.
        start: what differs in the untrained network.
        data: the name of the data set.
    """

    row: str
    variant: str
    neuron: str
    terms: tuple[dict[str, Any], ...]
    training: TrainingSettings
    start: Start
    data: str


def cells(protocol: Protocol) -> tuple[Cell, ...]:
    """Return the rows of the protocol's table, in order."""
    pairs = [(variant, neuron) for variant in protocol.variants for neuron in variant.neurons or protocol.neurons]
    return tuple(cell for variant, neuron in pairs for cell in _cells(protocol, variant, neuron))


def _cells(protocol: Protocol, variant: Variant, neuron: str) -> Iterator[Cell]:
    settings = merged(protocol.training.model_dump(), variant.training)
    training = TrainingSettings.model_validate(settings)
    axes = [(k, key, value) for k, term in enumerate(variant.terms) for key, value in term.items()]
    axes = [axis for axis in axes if isinstance(axis[2], list | tuple)]
    for values in itertools.product(*(axis[2] for axis in axes)):
        terms = [dict(term) for term in variant.terms]
        told = [variant.name] if len(protocol.neurons) == 1 else [variant.name, neuron.upper()]
        for (k, key, _), value in zip(axes, values, strict=True):
            terms[k][key] = value
            told.append(f"{SIGNS.get(key, key)} = {value:g}" if isinstance(value, float) else f"{key} = {value}")
        data = variant.data or protocol.data
        yield Cell(", ".join(told), variant.name, neuron, tuple(terms), training, variant.start, data)


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


_OBJECTIVES = (CrossEntropy, MSMPPD, CertifiedLoss, CertifiedEvents, SIBP, GainPenalty, MarginOverGain)
_SETS = (SpikeFlip, SpikeShift, EventChange, EventRegion)
_PERTURBATIONS = (GaussianNoise, SingleStep, PGDTraining)
KINDS: dict[str, type] = {kind.__name__: kind for kind in (*_OBJECTIVES, *_PERTURBATIONS, *_SETS, Ramp)}


def objective(terms: Sequence[Mapping[str, Any]]) -> Objective:
    """Return the sum of the terms.

    Raises:
        ValueError: for an unknown kind, or arguments that it does not take.

    >>> objective([{"kind": "MSMPPD", "rho": 0.5, "perturbation": {"kind": "SingleStep", "epsilon": "4/255"}}]).rho
    0.5
    """
    return reduce(add, (_built(term) for term in terms))


def _built(content: Mapping[str, Any]) -> Any:
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind: got {reprlib.repr(kind)}, expected one of {', '.join(KINDS)}")
    arguments = {key: _value(value) for key, value in content.items() if key != "kind"}
    try:
        return KINDS[kind](**arguments)
    except TypeError as error:
        raise ValueError(f"{kind}: {error}") from error


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _built(value)
    if isinstance(value, str) and value[:1].isdigit():
        return as_number(value)
    return value
