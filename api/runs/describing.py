"""Describe the data of a new network: in words before it is trained, and in files beside it for later commands."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikecert.asking.boxes import FEATURES, Feature, OwnFeatures
from spikecert.asking.question import ARRAYS, DATA_SETS, TABLES, ScaledSamples
from spikecert.asking.trained_on import DESCRIPTION, is_path
from spikecert.files import write_atomically
from spikecert.training.data.features import DraftedFeature, draft_features, quoted, to_toml

if TYPE_CHECKING:
    from spikecert.training import Dataset

FEATURE_FILE = "features.toml"
GREY_LEVELS = 8 / 255
"""The default ε, as a share of the range of inputs, for data whose features have no sizes of their own."""
NAMES_SHOWN = 6


def drafts_features(asked: ScaledSamples, data: "Dataset") -> bool:
    """Return whether features are to be drafted: of a table for which neither features nor a range was said."""
    return asked.data.lower().endswith(TABLES) and asked.range is None and len(data.shape) == 1


def drafted_features(data: "Dataset") -> tuple[OwnFeatures, tuple[DraftedFeature, ...]]:
    """Return the features that are drafted of a table, as `--features` reads them, and how they were drafted."""
    drafted = draft_features(data)
    tables = {one.name: {"unit": one.unit, "range": list(one.range), "epsilon": one.epsilon} for one in drafted}
    return FEATURES.read(tables), drafted


def data_in_words(data: "Dataset", drafted: Sequence[DraftedFeature]) -> str:
    """Return what was read of a table, and what was decided, in whole sentences."""
    rows = sum(len(part) for part in (data.train, data.validation, data.test))
    names = [name for name, _ in data.features]
    shown = ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")
    if data.train.real:
        learned = f"{data.classes} value{'s' if data.classes > 1 else ''} to learn"
    else:
        told = ", ".join(data.names[:NAMES_SHOWN]) + (", …" if len(data.names) > NAMES_SHOWN else "")
        learned = f"{data.classes} classes" + (f" ({told})" if told else "")
    lines = [f"{data.name}: {rows} rows, {len(names)} features ({shown}), {learned}.", *data.notes]
    if drafted:
        lines.append(f"The range of each feature was read from the {len(data.train)} training rows.")
    if outside := [feature for feature in drafted if feature.outside]:
        count = sum(feature.outside for feature in outside)
        named = ", ".join(feature.name for feature in outside[:NAMES_SHOWN])
        lines.append(f"{count} other values lie outside, and the ranges of {named} were widened for them.")
    return " ".join(lines)


def describe(asked: ScaledSamples, data: "Dataset", features: OwnFeatures | None, folder: Path) -> None:
    """Write data.toml, and features.toml beside it, to the folder of a trained network, for the commands about it.

    A features.toml that is there and has the same features stays as it is: its sizes may be the user's own by now.
    Data that Python code makes are not described: no file may say that code is to be run.
    """
    if ":" in asked.data:
        return
    options: dict[str, str] = {"data": asked.data}
    if asked.root is not None:
        options["root"] = os.path.relpath(asked.root, folder)
    elif is_path(asked.data) or (asked.data not in DATA_SETS and Path(asked.data).exists()):
        options["data"] = os.path.join(os.curdir, os.path.relpath(asked.data, folder))
    if data.label:
        options["label"] = ",".join(data.label)
        options["task"] = "values" if data.train.real else "classes"
        if data.names and not any("," in name for name in data.names):
            options["class-names"] = ",".join(data.names)
    if asked.duration is not None:
        options["duration"] = asked.duration.text
    low, high = data.limits
    if features:
        if not _same_features(folder / FEATURE_FILE, features):
            text = to_toml(Path(asked.data).name, [_as_drafted(feature) for feature in features])
            write_atomically(folder / FEATURE_FILE, text.encode())
        options["features"] = FEATURE_FILE
        low = min(float(feature.range[0]) for feature in features)
        high = max(float(feature.range[1]) for feature in features)
    if asked.data.lower().endswith((*TABLES, *ARRAYS)) and (low, high) != (0.0, 1.0):
        options["range"] = f"{low!r},{high!r}"
        options |= {} if features else {"epsilon": f"{GREY_LEVELS * (high - low):.3g}"}
    if data.num_steps is not None:
        options |= {"norm": "flips", "epsilon": "1"}
    lines = (f"{name} = {quoted(value)}" for name, value in options.items())
    head = "# The data of this network. Commands about it take these options unless others are typed.\n"
    write_atomically(folder / DESCRIPTION, (head + "\n".join(lines) + "\n").encode())


def _same_features(path: Path, features: OwnFeatures) -> bool:
    """Return whether a file has features of the same names, units and ranges."""
    if not path.is_file():
        return False
    kept = FEATURES.read(str(path))
    return [(one.name, one.unit, one.range) for one in kept] == [
        (one.name, one.unit, one.range) for one in features
    ]


def _as_drafted(feature: Feature) -> DraftedFeature:
    """Return a feature to be written as it is."""
    low, high = map(float, feature.range)
    return DraftedFeature(feature.name, feature.unit, (low, high), float(feature.epsilon))
