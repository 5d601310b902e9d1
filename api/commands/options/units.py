"""Features of one's own data on the command line: their file, and ε in units, as in 2degC:temperature."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spikecert.files import FileKind
from spikecert.files.texts import LONGEST_TEXT, NUMBER, read_toml
from spikecert.models.validation import one_line
from spikecert.reports.records.network_rules import Feature

from ...runs.configuration import FeatureTables, first_mistake
from .options import number

FEATURES = FileKind("features", "a TOML file", most=4 * LONGEST_TEXT)


SIZED = re.compile(rf"\s*({NUMBER}(?:/{NUMBER})?)\s*([^:\d]*?)\s*:\s*(.+?)\s*")
"""A number, maybe a fraction, its unit if any, and the feature's name behind a colon."""


def load_features(path: Path) -> tuple[Feature, ...]:
    """Read a TOML file with a table for each feature, in the order of the data.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: in one line that names the feature, for what is unknown or out of range.
    """
    text = FEATURES.text(path)
    try:
        content: dict[str, Any] = read_toml(text)
    except ValueError as error:
        raise ValueError(f"features: {path} is no TOML file: {one_line(error)}") from error
    if not content:
        raise ValueError(
            f"features: {path} names none, expected a table for each feature, in the order of the data"
        )
    try:
        return FeatureTables.model_validate({"features": content}).sized()
    except ValidationError as error:
        told = first_mistake(error).removeprefix("features.")
        raise ValueError(f"features: {path.name}: {told}") from None


def in_units(texts: Sequence[str]) -> bool:
    """Return whether sizes are written feature by feature.

    >>> in_units(["2degC:temperature"]), in_units(["8/255"])
    (True, False)
    """
    return any(":" in text for text in texts)


def sized(texts: Sequence[str], features: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """Return features with the sizes that are written, 0 for those that are not named.

    Raises:
        ValueError: for what has no such form, a feature or a unit that the file does not know, or one named twice.

    >>> known = (Feature(name="temperature", unit="degC", size=0, lower=-10, upper=40),)
    >>> sized(["2degC:temperature"], known)[0].told
    'temperature by 2 degC'
    """
    units = {feature.name: feature.unit for feature in features}
    sizes: dict[str, float] = {}
    for part in (part for text in texts for part in text.split(",")):
        found = SIZED.fullmatch(part)
        if found is None:
            raise ValueError(f"epsilon: got {part!r}, expected a size and its feature, as in 2degC:temperature")
        written, unit, name = found.groups()
        if name not in units:
            raise ValueError(f"epsilon: got {part!r}, expected one of the features {', '.join(units)}")
        if unit and unit != units[name]:
            raise ValueError(f"epsilon: got {part!r}, expected {units[name] or 'no unit'}, the unit of {name}")
        if name in sizes:
            raise ValueError(f"epsilon: got {name} twice, expected each feature once")
        sizes[name] = number(written, "epsilon")
    return tuple(feature.model_copy(update={"size": sizes.get(feature.name, 0.0)}) for feature in features)
