"""Features of a table in their units: ranges that hold all samples, and sizes by which a measurement may be wrong.

A draft is read off the training split: the range of each feature, widened to round numbers. Where a validation or
test sample lies outside, the range is widened for it, and a sentence says so: a draft holds each sample of the
table that it was made of. As samples are float32, so are the numbers that ranges are made of.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .splits import Dataset
from .tables import load_table

EPSILON_SHARE = 50
"""A feature moves by one part in so many of its range, unless the user says otherwise: 2 %."""


@dataclass(frozen=True)
class DraftedFeature:
    """A feature as it may be described: its unit, a range that holds all samples, and how far it may move.

    Attributes:
        name, unit: of the column; the unit is empty where it has none.
        range: smallest and largest value, in that unit.
        epsilon: how far a measurement may be off; 0 for codes of categories, which do not move.
        outside: how many validation and test samples lie outside of the training samples' rounded range.
    """

    name: str
    unit: str
    range: tuple[float, float]
    epsilon: float
    outside: int = 0


def draft(path: Path, label: Sequence[str] | None = None) -> tuple[DraftedFeature, ...]:
    """Return the drafted features of a table's file.

    Raises:
        FileNotFoundError, ModuleNotFoundError, ValueError: as `load_table`.
    """
    return draft_features(load_table(path, 0, label=label))


def draft_features(data: Dataset) -> tuple[DraftedFeature, ...]:
    """Return the drafted features of a data set whose samples are flat vectors."""
    train = data.train.inputs.double().numpy()
    others = np.concatenate([part.inputs.double().numpy() for part in (data.validation, data.test)])
    names = data.features or tuple((f"x{k}", "") for k in range(train.shape[1]))
    return tuple(_drafted(name, unit, train[:, k], others[:, k]) for k, (name, unit) in enumerate(names))


def _drafted(name: str, unit: str, train: np.ndarray, others: np.ndarray) -> DraftedFeature:
    low, high = round_range(train)
    outside = int(((others < low) | (others > high)).sum())
    if outside:
        low, high = round_range(np.concatenate([np.array([low, high]), others]))
    is_code = "=" in name and bool(np.isin(train, (0.0, 1.0)).all())
    epsilon = 0.0 if is_code else float(f"{(high - low) / EPSILON_SHARE:.3g}")
    return DraftedFeature(name, unit, (0.0, 1.0) if is_code else (low, high), epsilon, outside)


def round_range(values: np.ndarray) -> tuple[float, float]:
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


def to_toml(name: str, features: Sequence[DraftedFeature]) -> str:
    """Return a file of features, as `--features` takes it."""
    lines = [
        f"# Features of {quoted(name)}, in the order of the data. Ranges are those of the samples, widened to",
        "# round numbers: say what your sensors can give. Each epsilon is "
        f"{100 / EPSILON_SHARE:g} % of the range:",
        "# say by how much a measurement may be wrong; without it the feature does not move.",
    ]
    for feature in features:
        unit = f"\nunit = {quoted(feature.unit)}" if feature.unit else ""
        low, high = feature.range
        lines.append(
            f"\n[{quoted(feature.name)}]{unit}\nrange = [{low!r}, {high!r}]\nepsilon = {feature.epsilon!r}"
        )
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Return a TOML string."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
