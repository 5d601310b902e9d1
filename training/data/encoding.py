"""What the columns of a table become: numbers, codes of categories, classes or values to learn; and which rows go.

A network takes numbers. A column of numbers stays as it is. A column of a few texts becomes one column of 0 and 1
for each text (a one-hot code). A row with an empty cell is left out, and so is a column whose texts are almost all
different, such as names or identifiers. Each of these decisions is told in one sentence (`EncodedColumns.notes`).
Read `tables` for how the file itself is read, and `features` for the ranges that are drafted from the result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

MISSING_TEXTS = frozenset({"", "na", "n/a", "nan", "null", "?"})
"""How tables write that a value is not known; letters in either case. "none" is a text like others."""
MAX_CATEGORIES = 32
"""Different texts of a column that still become a code; a column of more is left out."""
MAX_CLASSES_OF_FEW_ROWS = 20
"""Different whole numbers of a label that are classes whatever their rows; of more each needs ten rows."""
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class TableColumn:
    """One column: its name, its unit if it has one, and its cells as they are written."""

    name: str
    unit: str
    cells: Sequence[Any]

    @cached_property
    def numbers(self) -> np.ndarray | None:
        """Return the cells as float64, NaN where a cell is empty; None where a cell is no number."""
        try:
            return np.asarray(self.cells, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):  # empty cells, or texts
            known = [math.nan if is_missing(cell) else cell for cell in self.cells]
        try:
            return np.array([float(cell) for cell in known])
        except (ValueError, TypeError, OverflowError):
            return None

    @cached_property
    def missing(self) -> np.ndarray:
        """Return which cells are empty, (rows,)."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        return np.array([is_missing(cell) for cell in self.cells])

    @cached_property
    def texts(self) -> np.ndarray:
        """Return the cells as texts without blanks around them."""
        return np.array([str(cell).strip() for cell in self.cells])

    def values(self) -> np.ndarray:
        """Return the cells as numbers, NaN where one is empty.

        Raises:
            ValueError: for a cell that is no number or not finite in float32, with its sample's number.
        """
        numbers = self.numbers
        if numbers is not None:
            beyond = np.abs(numbers) > LARGEST_FLOAT32
            if not bool(beyond.any()):
                return numbers
            row = int(beyond.argmax())
        else:
            row = next(k for k, cell in enumerate(self.cells) if not (is_missing(cell) or _is_number(cell)))
        raise ValueError(
            f"holds {str(self.cells[row])[:40]!r} in column {self.name[:60]!r}, sample {row + 1}, expected a "
            "finite number as in its other cells; correct that cell, or empty it to leave the row out"
        )


def is_missing(cell: Any) -> bool:
    """Return whether a cell says that its value is not known."""
    return (
        cell is None
        or (isinstance(cell, float) and math.isnan(cell))
        or str(cell).strip().lower() in MISSING_TEXTS
    )


def _is_number(cell: Any) -> bool:
    try:
        return math.isfinite(float(cell))
    except (ValueError, TypeError, OverflowError):
        return False


@dataclass(frozen=True)
class EncodedColumns:
    """Feature columns as numbers.

    Attributes:
        inputs: (rows, features), float64, NaN where a cell was empty.
        features: name and unit of each feature; of a code "column=text" and no unit.
        notes: sentences that say which columns became codes, and which were left out.
    """

    inputs: np.ndarray
    features: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def encode_features(columns: Sequence[TableColumn], expected: Sequence[str] = ()) -> EncodedColumns:
    """Return feature columns as numbers: as they are, or as one-hot codes of texts.

    Args:
        columns: of the table, without labels.
        expected: names of the features that a network takes, if they are known: texts then get these codes, and
            columns of texts that have none are left out.

    Raises:
        ValueError: for a cell among numbers that is none, a text without a code, or no feature at all.
    """
    inputs, features, notes = list[np.ndarray](), list[tuple[str, str]](), list[str]()
    for column in columns:
        if bool(column.missing.all()):
            notes.append(f"Column {column.name!r} is empty and was left out.")
        elif column.numbers is not None or _mostly_numbers(column):
            inputs.append(column.values())
            features.append((column.name, column.unit))
        else:
            categories = _categories(column, expected)
            if categories:
                inputs += [np.where(column.missing, np.nan, column.texts == text) for text in categories]
                features += [(f"{column.name}={text}", "") for text in categories]
                notes.append(
                    f"Column {column.name!r} became {len(categories)} columns of 0 and 1, one for each text."
                )
            else:
                notes.append(
                    f"Column {column.name!r} has {len({*column.texts.tolist()})} different texts and was left out."
                )
    if not inputs:
        raise ValueError(
            "has no column but those of labels, expected at least one column of numbers or categories"
        )
    return EncodedColumns(np.stack(inputs, axis=1).astype(np.float64), tuple(features), tuple(notes))


def _mostly_numbers(column: TableColumn) -> bool:
    """Return whether at least half of the cells that are not empty are numbers: the others are then mistakes."""
    known = [cell for cell, missing in zip(column.cells, column.missing, strict=True) if not missing]
    return 2 * sum(map(_is_number, known)) >= len(known)


def _categories(column: TableColumn, expected: Sequence[str]) -> list[str]:
    """Return the texts of a column that get a code, in order; none for a column that is left out."""
    categories = sorted({*column.texts[~column.missing].tolist()})
    if not expected:
        few = len(categories) <= min(MAX_CATEGORIES, max(2, len(column.cells) // 2))
        return categories if few else []
    prefix = f"{column.name}="
    coded = [name.removeprefix(prefix) for name in expected if name.startswith(prefix)]
    if coded and (unknown := sorted({*categories} - {*coded})):
        raise ValueError(
            f"holds {unknown[0][:40]!r} in column {column.name[:60]!r}, expected one of the texts that the "
            f"network was trained on: {', '.join(coded)[:200]}"
        )
    return coded


def without_missing(
    inputs: np.ndarray, labels: Sequence[TableColumn], names: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return which rows have no empty cell, (rows,), and sentences that say how many were left out and why.

    Raises:
        ValueError: where more than half of the rows would go, with the column that is emptiest.
    """
    empty = np.isnan(inputs)
    unlabelled = np.any([column.missing for column in labels], axis=0)
    kept = ~(empty.any(1) | unlabelled)
    count = len(kept) - int(kept.sum())
    if 2 * count > len(kept):
        shares = [*empty.mean(0), *(column.missing.mean() for column in labels)]
        worst = int(np.argmax(shares))
        name = [*names, *(column.name for column in labels)][worst]
        raise ValueError(
            f"has an empty cell in {count} of {len(kept)} rows, expected at most half of them; column "
            f"{name[:60]!r} is empty in {100 * shares[worst]:.0f} % of the rows: fill it or remove it"
        )
    note = f"{count} of {len(kept)} rows have an empty cell and were left out."
    return kept, (note,) if count else ()


def encode_targets(
    columns: Sequence[TableColumn], task: str | None, classes: Sequence[str] | None
) -> tuple[np.ndarray, list[str]]:
    """Return classes as whole numbers, with their names where they have any; or values that are learned.

    Texts are classes, in the order of the alphabet. Whole numbers without a point are classes, too, if there are
    few of them (`MAX_CLASSES_OF_FEW_ROWS`, or ten rows for each): from 0 on as they are, others by their order.
    All other numbers, and several columns, are values.

    Args:
        columns: of labels, without empty cells.
        task: "classes" or "values", where the user says which; None: by the rule above.
        classes: names of the classes in the order of a network's outputs, where they are known.

    Raises:
        ValueError: for texts that are to be values, or a label that is none of the known classes.
    """
    if len(columns) > 1 or task == "values":
        return np.stack([column.values() for column in columns], axis=1), []
    (column,) = columns
    if task is None and classes is None and not _has_classes(column):
        return column.values(), []
    if classes is None and _counts_from_zero(column):
        assert column.numbers is not None
        return column.numbers.astype(np.int64), []
    ordered = [*classes] if classes is not None else _in_order(column)
    index = {name: k for k, name in enumerate(ordered)}
    if unknown := sorted({*column.texts.tolist()} - {*index}):
        told = ", ".join(ordered)[:200]
        raise ValueError(
            f"holds {unknown[0][:40]!r} in column {column.name[:60]!r}, expected one of the classes {told}"
        )
    return np.array([index[text] for text in column.texts.tolist()], dtype=np.int64), ordered


def _whole_texts(column: TableColumn) -> bool:
    """Return whether all cells are whole numbers that are written without a point."""
    return column.numbers is not None and all(_is_whole(text) for text in column.texts.tolist())


def _is_whole(text: str) -> bool:
    digits = text[1:] if text[:1] in ("+", "-") else text
    return digits.isascii() and digits.isdigit() and len(digits) <= 9


def _has_classes(column: TableColumn) -> bool:
    if column.numbers is None or isinstance(column.cells[0], bool):
        return True
    different = len(np.unique(column.numbers))
    few = different <= MAX_CLASSES_OF_FEW_ROWS or different * 10 <= len(column.cells)
    return _whole_texts(column) and few


def _counts_from_zero(column: TableColumn) -> bool:
    if not _whole_texts(column) or isinstance(column.cells[0], bool):
        return False
    assert column.numbers is not None
    return bool(column.numbers.min() == 0)


def _in_order(column: TableColumn) -> list[str]:
    names = np.unique(column.texts).tolist()
    return sorted(names, key=float) if column.numbers is not None and not _is_bool(column) else names


def _is_bool(column: TableColumn) -> bool:
    return isinstance(column.cells[0], bool)
