"""What a protocol found: one result a run, each in a file of its own, and all of them together."""

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from pydantic import Field, FiniteFloat, ValidationError

from spikecert.files import FileKind, write_atomically
from spikecert.reports.rows import Tally
from spikecert.reports.schema import Environment, Part, Seconds

from .configuration import Protocol

SCHEMA = "spikecert.reproduction/1"
RESULT = FileKind("out", "the result of a run", most=2**26)


class Stability(Part):
    """Figures that certify nothing by themselves.

    Attributes:
        gain_l2, gain_linf: end-to-end gains of the *surrogate network* (slopes in place of thresholds), from input
            to logits; None for residual networks.
        radius: mean ℓ∞ radius below which no first-layer spike train changes.
    """

    gain_l2: FiniteFloat | None
    gain_linf: FiniteFloat | None
    radius: FiniteFloat


class RunResult(Part):
    """One network: how it was trained, and what was found on the test samples.

    Attributes:
        row, variant, neuron, seed: which run of the protocol it is.
        key: a hash of everything that decides the run.
        network: SHA-256 of description and weights.
        epochs, best_epoch, training_seconds: of `fit`; wall time.
        training_cpu: CPU seconds of training; None where it went on after an interruption.
        points: counts of samples, per ε: clean, robust under each attack, certified by each verifier.
        seconds: of each attack and verifier.
        stability: where the protocol asks for it.
    """

    row: str
    variant: str
    neuron: str
    seed: int
    key: str
    network: str
    epochs: int
    best_epoch: int
    training_seconds: Seconds
    training_cpu: Seconds | None = None
    points: tuple[Tally, ...]
    seconds: dict[str, Seconds]
    stability: Stability | None = None
    environment: Environment


class Results(Part):
    """All runs of a protocol that are done."""

    schema_version: Literal["spikecert.reproduction/1"] = Field(SCHEMA, alias="schema")
    protocol: Protocol
    runs: tuple[RunResult, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the rows in order."""
        return tuple(dict.fromkeys(run.row for run in self.runs))

    def of(self, row: str) -> tuple[RunResult, ...]:
        """Return the runs of one row, one a seed."""
        return tuple(run for run in self.runs if run.row == row)


def save_run(result: RunResult, path: Path) -> None:
    """Write one run's result, atomically."""
    write_atomically(path, result.model_dump_json(indent=1).encode())


def load_run(path: Path, key: str) -> RunResult | None:
    """Return the result in `path`; None if there is none, or it is of another run.

    Raises:
        ValueError: for a file that is no result.
    """
    if not path.exists():
        return None
    content = RESULT.content(path)
    try:
        result = RunResult.model_validate(json.loads(content))
    except (ValidationError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"out: {path} is no result of a run: {reason}; delete it to run again") from error
    return result if result.key == key else None


def mean_and_spread(values: Iterable[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation; None for the latter of a single value.

    >>> mean_and_spread([1.0, 3.0])
    (2.0, 1.4142135623730951)
    """
    listed = list(values)
    return fmean(listed), stdev(listed) if len(listed) > 1 else None
