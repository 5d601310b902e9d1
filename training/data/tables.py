"""A table of one's own as a data set: a row is a sample, a column a feature with its unit, or what is learned.

CSV with a line of names first, `temperature [degC],pressure [kPa],label`, and Parquet where pyarrow is installed.
Numbers stay in their units: between which ends they lie is read from the table, or said beside it (`limits`, or a
file of features). What texts, empty cells and labels become is the subject of `encoding`.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...files import FileKind
from ...models.validation import one_line
from .arrays import regression_dataset
from .encoding import TableColumn, encode_features, encode_targets, without_missing
from .own import limits_of, own_dataset
from .splits import Dataset

TABLE = FileKind("dataset", "a table with a line of names", most=2**30)
SUFFIXES = (".csv", ".tsv", ".parquet")
LABEL, SPLIT = "label", "split"
"""The column of what is learned if nobody says another, and that of "train", "validation" and "test"."""
PARTS = ("train", "validation", "test")
MOST_COLUMNS, MOST_CELLS, LONGEST_CELL = 4098, 2**28, 1000
HEAD = re.compile(r"\s*(.*?)\s*(?:\[([^\[\]]{0,40})\]|\(([^()]{0,40})\))?\s*", re.DOTALL)
"""A name, and its unit in brackets."""


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
    path: Path,
    seed: int,
    limits: tuple[float, float] | None = None,
    label: Sequence[str] | None = None,
    task: str | None = None,
    classes: Sequence[str] | None = None,
    features: Sequence[str] = (),
) -> Dataset:
    """Return the data set of a table.

    What its columns become is said in `encoding`: texts are classes or one-hot codes, rows with empty cells are
    left out. A column "split" says train, validation and test; without it parts are cut off as `own_dataset`
    does. All columns but labels and "split" are features, in their order.

    Args:
        path: of the file.
        seed: of the cuts.
        limits: the smallest and the largest value that a feature may have; None: those of the table itself.
        label: names of the columns to learn; None for "label", or the last column where there is none of that
            name.
        task: "classes" or "values": what is learned; None: by what the column holds.
        classes: names of the classes in the order of a network's outputs; None: as the table has them.
        features: names of the features that a network takes, so that categories get the same codes; empty:
            unknown.

    Raises:
        FileNotFoundError, ModuleNotFoundError, ValueError: for what is missing, or no such table, one line each.
    """
    columns = read_table(path)
    known = {column.name: column for column in columns}
    wanted, notes = label_of(columns, label)
    if missing := [name for name in wanted if name not in known]:
        names = ", ".join(map(repr, known))[:300]
        raise ValueError(f"label: got {missing[0][:60]!r}, which is no column of {path}, expected one of {names}")
    try:
        encoded = encode_features([one for one in columns if one.name not in (*wanted, SPLIT)], features)
        rows, left_out = without_missing(
            encoded.inputs, [known[name] for name in wanted], [name for name, _ in encoded.features]
        )
        chosen = {name: _rows_of(known[name], rows) for name in (*wanted, SPLIT) if name in known}
        inputs = encoded.inputs[rows]
        targets, names = encode_targets([chosen[name] for name in wanted], task, classes)
        parts = _parts(chosen.get(SPLIT), inputs, targets)
        settings: dict[str, Any] = {"seed": seed, "limits": limits or limits_of(inputs)}
        made = (
            regression_dataset(str(path), *parts, **settings)
            if targets.dtype.kind == "f"
            else own_dataset(str(path), *parts, names=names, **settings)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"dataset: {path} {one_line(error)}") from error
    return replace(made, features=encoded.features, label=wanted, notes=(*notes, *encoded.notes, *left_out))


def label_of(
    columns: Sequence[TableColumn], label: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the columns to learn, and a sentence where the table, not the user, decided."""
    if label:
        return tuple(label), ()
    names = [column.name for column in columns if column.name != SPLIT]
    if LABEL in names or not names:
        return (LABEL,), ()
    return (names[-1],), (f"The last column, {names[-1]!r}, is what is learned: --label says another one.",)


def _rows_of(column: TableColumn, rows: np.ndarray) -> TableColumn:
    """Return the chosen rows of a column."""
    return TableColumn(
        column.name, column.unit, [cell for cell, kept in zip(column.cells, rows, strict=True) if kept]
    )


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
    cut = [(inputs[of == part], targets[of == part]) for part in PARTS]
    return [part if len(part[0]) else None for part in cut]
