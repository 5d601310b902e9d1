"""From a protocol to its runs: variants times neurons times the values in arrays times seeds."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .configuration import Protocol, Start, TrainingSettings, Variant, merged

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
