"""A table of one's own as a data set: a row is a sample, a column a feature with its unit, or what is learned.

CSV with a line of names first, `temperature [degC],pressure [kPa],label`, and Parquet where pyarrow is installed.
Numbers stay in their units: between which ends they lie is said beside them (`limits`, or a file of features).
"""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...files import FileKind
from ...models.validation import one_line
from .arrays import regression_dataset
from .own import own_dataset
from .splits import Dataset

TABLE = FileKind("dataset", "a table with a line of names", most=2**30)
SUFFIXES = (".csv", ".tsv", ".parquet")
LABEL, SPLIT = "label", "split"
"""The column of what is learned if nobody says another, and that of "train", "validation" and "test"."""
PARTS = ("train", "validation", "test")
MOST_COLUMNS, MOST_CELLS, LONGEST_CELL = 4098, 2**28, 1000
WHOLE = re.compile(r"[+-]?\d{1,9}")
"""A class; numbers that are to be learned have a point, as 3.0."""
HEAD = re.compile(r"\s*(.*?)\s*(?:\[([^\[\]]{0,40})\]|\(([^()]{0,40})\))?\s*", re.DOTALL)
"""A name, and its unit in brackets."""


@dataclass(frozen=True)
class TableColumn:
    """One column: its name, its unit if it has one, and its cells as they are written."""

    name: str
    unit: str
    cells: Sequence[Any]

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """Return the cells as float64; None where one of them is no number."""
        try:
            return np.asarray(self.cells, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            return None

    def values(self) -> np.ndarray:
        """Return the cells as numbers.

        Raises:
            ValueError: for a cell that is none, or none that is finite, with its line.
        """
        found = self.numbers
        if found is not None and bool(np.isfinite(found).all()):
            return found
        place = next(k for k, cell in enumerate(self.cells) if not _finite(cell))
        got = f"{str(self.cells[place])[:40]!r} in column {self.name[:60]!r}, sample {place + 1}"
        raise ValueError(f"holds {got}, expected numbers, but for classes (--label says which column has them)")


def _finite(cell: Any) -> bool:
    try:
        return math.isfinite(float(cell))
    except (ValueError, TypeError, OverflowError):
        return False


def read_table(path: Path) -> tuple[TableColumn, ...]:
    """Return the columns of a table.

    Raises:
        FileNotFoundError, ValueError: for a file that is missing, too large, or no table.
        ModuleNotFoundError: for Parquet without pyarrow.
    """
    if path.suffix.lower() == ".parquet":
        names, columns = _parquet(path)
    else:
        names, columns = _csv(path, TABLE.text(path).removeprefix("\ufeff"))
    heads = [HEAD.fullmatch(name) for name in names]
    told = [
        (head[1], head[2] or head[3] or "") if head else (name, "")
        for name, head in zip(names, heads, strict=True)
    ]
    for place, (name, _) in enumerate(told):
        if not name or len(name) > LONGEST_CELL or name in (one for one, _ in told[:place]):
            got = f"{name[:60]!r} twice" if name else f"none for column {place + 1}"
            raise ValueError(f"dataset: {path} has the name {got}, expected one for each column in its first line")
    if not columns[0]:
        raise ValueError(f"dataset: {path} holds names and no sample")
    return tuple(TableColumn(*names, cells) for names, cells in zip(told, columns, strict=True))


def _csv(path: Path, text: str) -> tuple[list[str], list[Sequence[str]]]:
    head = text.partition("\n")[0]
    between = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    try:
        found = [row for row in rows if row]
    except csv.Error as error:
        raise ValueError(f"dataset: {path} is no table, line {rows.line_num}: {one_line(error)}") from None
    width = len(found[0]) if found else 0
    if not 2 <= width <= MOST_COLUMNS or width * len(found) > MOST_CELLS:
        got = f"{width} columns of {len(found)} lines"
        raise ValueError(
            f"dataset: {path} has {got}, expected a line of 2 to {MOST_COLUMNS} names, and the samples"
        )
    odd = next((k for k, row in enumerate(found) if len(row) != width), None)
    if odd is not None:
        got = f"{len(found[odd])} cells in line {odd + 1}"
        raise ValueError(f"dataset: {path} has {got}, expected {width}, as many as names")
    return found[0], list(zip(*found[1:], strict=True)) or [()] * width


def _parquet(path: Path) -> tuple[list[str], list[Sequence[Any]]]:
    try:
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"dataset: {path} needs pyarrow: pip install pyarrow, or save it as CSV"
        ) from None
    try:
        file = parquet.ParquetFile(io.BytesIO(TABLE.content(path)))
        about = file.metadata
        if not 2 <= about.num_columns <= MOST_COLUMNS or about.num_columns * about.num_rows > MOST_CELLS:
            raise ValueError(f"{about.num_columns} columns of {about.num_rows} samples")
        held = file.read().to_pydict()
    except (OSError, ValueError, ArithmeticError, LookupError, NotImplementedError) as error:
        raise ValueError(f"dataset: {path} is no Parquet table: {one_line(error)}") from None
    return list(held), list(held.values())


def load_table(
    path: Path, seed: int, limits: tuple[float, float] = (0.0, 1.0), label: Sequence[str] | None = None
) -> Dataset:
    """Return the data set of a table.

    One label column of texts, or of whole numbers without a point, has the classes (texts by their order); one of
    other numbers, or several columns, have what is to be learned as numbers. A column "split" says train,
    validation and test; without it parts are cut off as `own_dataset` does. All other columns are features, in
    their order.

    Args:
        path: of the file.
        seed: of the cuts.
        limits: the least and the greatest value of all features.
        label: names of columns; None for "label".

    Raises:
        FileNotFoundError, ModuleNotFoundError, ValueError: for what is missing, or no such table, one line each.
    """
    columns, wanted = read_table(path), tuple(label or (LABEL,))
    known = {column.name: column for column in columns}
    if missing := [name for name in wanted if name not in known]:
        told = ", ".join(map(repr, known))[:300]
        raise ValueError(f"label: got {missing[0][:60]!r}, which is no column of {path}, expected one of {told}")
    features = [column for column in columns if column.name not in (*wanted, SPLIT)]
    try:
        if not features:
            raise ValueError("has no column but those of labels, expected features")
        inputs = np.stack([column.values() for column in features], axis=1)
        targets, names = _targets([known[name] for name in wanted])
        parts = _parts(known.get(SPLIT), inputs, targets)
        settings: dict[str, Any] = {"seed": seed, "limits": limits}
        made = (
            regression_dataset(str(path), *parts, **settings)
            if targets.dtype.kind == "f"
            else own_dataset(str(path), *parts, names=names, **settings)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"dataset: {path} {one_line(error)}") from error
    return replace(made, features=tuple((column.name, column.unit) for column in features))


def _targets(columns: list[TableColumn]) -> tuple[np.ndarray, list[str]]:
    """Return classes as whole numbers, with their names where these are texts; or numbers that are learned."""
    if len(columns) > 1:
        return np.stack([column.values() for column in columns], axis=1), []
    (column,) = columns
    texts = [str(cell).strip() for cell in column.cells]
    if column.numbers is None or isinstance(column.cells[0], bool):
        names, classes = np.unique(np.array(texts), return_inverse=True)
        return classes, names.tolist()
    if not all(map(WHOLE.fullmatch, texts)):
        return column.values(), []
    if column.numbers.min() < 0:
        got = f"whole numbers below 0 in column {column.name[:60]!r}"
        raise ValueError(f"holds {got}, expected classes from 0 on or as texts, or numbers with a decimal point")
    return column.numbers.astype(np.int64), []


def _parts(
    split: TableColumn | None, inputs: np.ndarray, targets: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray] | None]:
    if split is None:
        return [(inputs, targets)]
    of = np.array([str(cell).strip() for cell in split.cells])
    odd = sorted({*of.tolist()} - {*PARTS})
    if odd or not {"train", "test"} <= {*of.tolist()}:
        got = f"{odd[0][:40]!r}" if odd else "no train, or no test"
        raise ValueError(f"has {got} in its column {SPLIT}, expected train, test and maybe validation")
    found = [(inputs[of == part], targets[of == part]) for part in PARTS]
    return [part if len(part[0]) else None for part in found]


@dataclass(frozen=True)
class Drafted:
    """A feature as it may be told: its unit, a range that holds all samples, a twentieth of that as its size."""

    name: str
    unit: str
    range: tuple[float, float]
    epsilon: float


def draft(path: Path, label: Sequence[str] = (LABEL,)) -> tuple[Drafted, ...]:
    """Return features of a table, to be looked over: units of its header, ranges of its numbers.

    Raises:
        FileNotFoundError, ModuleNotFoundError, ValueError: as `read_table`, and for features that are no numbers.
    """
    features = [column for column in read_table(path) if column.name not in (*label, SPLIT)]
    try:
        ends = [_round_ends(column.values()) for column in features]
    except ValueError as error:
        raise ValueError(f"dataset: {path} {error}") from None
    sizes = [float(f"{(high - low) / 20:.3g}") for low, high in ends]
    return tuple(
        Drafted(column.name, column.unit, both, size)
        for column, both, size in zip(features, ends, sizes, strict=True)
    )


def to_toml(name: str, features: Sequence[Drafted]) -> str:
    """Return a file of features, as `--features` takes it."""
    lines = [
        f"# Features of {_quoted(name)}, in the order of the data. Ranges are those of the samples, widened to",
        "# round numbers: say what your sensors can give. epsilon is a twentieth of the range: say by how much a",
        "# measurement may be wrong; without it the feature does not move.",
    ]
    for one in features:
        unit = f"\nunit = {_quoted(one.unit)}" if one.unit else ""
        low, high = one.range
        lines.append(f"\n[{_quoted(one.name)}]{unit}\nrange = [{low!r}, {high!r}]\nepsilon = {one.epsilon!r}")
    return "\n".join(lines) + "\n"


def _round_ends(values: np.ndarray) -> tuple[float, float]:
    """Return ends that hold all values: multiples of a power of ten that is about a tenth of their span."""
    low, high = float(values.min()), float(values.max())
    span = high - low or abs(high) or 1.0
    digits = 1 - math.floor(math.log10(span))
    unit = 10.0**-digits
    least, most = (
        round(math.floor(low / unit) * unit, max(0, digits)),
        round(math.ceil(high / unit) * unit, max(0, digits)),
    )
    return (min(least, low), max(most, high)) if least < most else (low, low + unit)


def _quoted(text: str) -> str:
    """Return a TOML string."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
