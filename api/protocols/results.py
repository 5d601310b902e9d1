"""What a protocol found: one result a run, each in a file of its own, and all of them together."""

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from pydantic import Field, FiniteFloat

from spikecert.files import FileKind, write_atomically
from spikecert.files.texts import read_json
from spikecert.reports.records.rows import Part, Seconds, Tally
from spikecert.reports.records.schema import Environment

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


class Alignment(Part):
    """What `alignment` and `rms_current` found before training and after, on training images.

    Attributes:
        cosine_start, cosine_end: between the gradient that training follows and the true one of L_MS; None
            without a perturbation, or where one of both is 0.
        current_start, current_end: rms of the last firing layer's currents, in evaluation mode.
    """

    cosine_start: FiniteFloat | None
    cosine_end: FiniteFloat | None
    current_start: FiniteFloat
    current_end: FiniteFloat


class Measured(Part):
    """What was found for one network on the test samples.

    Attributes:
        network: SHA-256 of description and weights.
        points: counts of samples, per ε: clean, robust under each attack, certified by each verifier.
        seconds: of each attack and verifier.
        noise: samples that are right under Gaussian noise, where the protocol asks for it.
        certified: counts at small ε, on fewer samples.
        stability: where the protocol asks for it.
    """

    network: str
    points: tuple[Tally, ...]
    seconds: dict[str, Seconds]
    noise: int | None = None
    certified: tuple[Tally, ...] = ()
    stability: Stability | None = None


class RunResult(Measured):
    """One network: how it was trained, and what was found on the test samples.

    Attributes:
        row, variant, neuron, seed: which run of the protocol it is.
        key: a hash of everything that decides the run.
        epochs, best_epoch, training_seconds: of `fit`; wall time.
        training_cpu: CPU seconds of training; None where it went on after an interruption.
        alignment: where the protocol asks for it.
        last: the network of the last epoch, where the protocol asks for it beside the picked one.
    """

    row: str
    variant: str
    neuron: str
    seed: int
    key: str
    epochs: int
    best_epoch: int
    training_seconds: Seconds
    training_cpu: Seconds | None = None
    alignment: Alignment | None = None
    last: Measured | None = None
    environment: Environment

    @property
    def of_last_epoch(self) -> "RunResult | None":
        """Return the run as one whose last epoch was picked, or None where that was not measured."""
        if self.last is None:
            return None
        found = {name: getattr(self.last, name) for name in Measured.model_fields}
        return self.model_copy(update={**found, "best_epoch": self.epochs, "last": None})


class Results(Part):
    """All runs of a protocol that are done."""

    schema_version: Literal["spikecert.reproduction/1"] = Field(SCHEMA, alias="schema")
    protocol: Protocol
    runs: tuple[RunResult, ...]

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the names of the rows in order."""
        return tuple(dict.fromkeys(run.row for run in self.runs))

    @property
    def with_last_epochs(self) -> "Results":
        """Return the results with a row of its own for the last epoch, behind each row that has one measured."""
        runs: list[RunResult] = []
        for row in self.rows:
            runs += self.of(row)
            lasts = [last for run in self.of(row) if (last := run.of_last_epoch) is not None]
            runs += [last.model_copy(update={"row": f"{row}, last epoch"}) for last in lasts]
        return self.model_copy(update={"runs": tuple(runs)})

    def of(self, row: str) -> tuple[RunResult, ...]:
        """Return the runs of one row, one a seed."""
        return tuple(run for run in self.runs if run.row == row)


def training_cpu(path: Path) -> float | None:
    """Return the CPU seconds of training that the result in `path` tells, or None where there is none."""
    if not path.is_file():
        return None
    return _read(path).training_cpu


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
    result = _read(path)
    return result if result.key == key else None


def _read(path: Path) -> RunResult:
    content = RESULT.content(path)
    try:
        return RunResult.model_validate(read_json(content))
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"out: {path} is no result of a run: {reason}; delete it to run again") from error


def mean_and_spread(values: Iterable[float]) -> tuple[float, float | None]:
    """Return the mean and the sample standard deviation; None for the latter of a single value.

    >>> mean_and_spread([1.0, 3.0])
    (2.0, 1.4142135623730951)
    """
    listed = list(values)
    return fmean(listed), stdev(listed) if len(listed) > 1 else None
