"""Describe the data of a new network: in words before it is trained, and in files beside it for later commands."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spikecert.asking.boxes import FEATURES, OwnFeatures
from spikecert.asking.question import ARRAYS, TABLES, ScaledSamples
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


def drafted_features(data: "Dataset", folder: Path) -> tuple[OwnFeatures, tuple[DraftedFeature, ...]]:
    """Return the features that are drafted of a table, as `--features` reads them from the file in `folder`."""
    drafted = draft_features(data)
    write_atomically(folder / FEATURE_FILE, to_toml(Path(data.name).name, drafted).encode())
    return FEATURES.read(str(folder / FEATURE_FILE)), drafted


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
    """Write data.toml, and features.toml beside it, to the folder of a network, for the commands about it.

    Data that Python code makes are not described: no file may say that code is to be run.
    """
    if ":" in asked.data:
        return
    own = is_path(asked.data) or Path(asked.data).exists()
    options: dict[str, str] = {"data": asked.data}
    if asked.root is not None:
        options["root"] = os.path.relpath(asked.root, folder)
    elif own:
        options["data"] = os.path.join(os.curdir, os.path.relpath(asked.data, folder))
    if asked.data.lower().endswith(TABLES):
        options["label"] = ",".join(asked.label or _learned(asked))
        options["task"] = "values" if data.train.real else "classes"
        if data.names and not any("," in name for name in data.names):
            options["class-names"] = ",".join(data.names)
    if asked.duration is not None:
        options["duration"] = asked.duration.text
    low, high = data.limits
    if features:
        if not (folder / FEATURE_FILE).is_file() or features.source != str(folder / FEATURE_FILE):
            kept = [
                DraftedFeature(f.name, f.unit, (float(f.range[0]), float(f.range[1])), float(f.epsilon))
                for f in features
            ]
            write_atomically(folder / FEATURE_FILE, to_toml(Path(asked.data).name, kept).encode())
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


def _learned(asked: ScaledSamples) -> tuple[str, ...]:
    """Return the label columns of a table for which none was said."""
    from spikecert.training.data.tables import label_of, read_table

    path = Path(asked.data) if asked.root is None else asked.root / asked.data
    return label_of(read_table(path), None)[0]
