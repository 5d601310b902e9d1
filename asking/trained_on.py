"""The data that a network was trained on, described beside it, so that later commands need not repeat it.

`spikecert train` writes data.toml beside network.safetensors: names of options and their values. A command about
that network takes those of them that it knows and that were not typed. So `spikecert certify
runs/mine/network.safetensors` asks about the table, the label, the classes and the features that the network was
trained on, and its record says all of them as if they had been typed. The file is a stranger's: it names data,
and never code that would be run.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .question import ARRAYS, TABLES

DESCRIPTION = "data.toml"
PATHS = ("root", "features")
"""Options whose values are paths, relative to the folder of the description."""
DATA_OPTIONS = ("data", "label", "task", "class-names", "root", "duration", "range", "features")
QUESTION_OPTIONS = ("norm", "epsilon")
"""What a command asks of a network by default, for kinds of data that have a default of their own."""


def read_trained_on(path: Path) -> dict[str, str]:
    """Return the options that a description holds; a description that is not there holds none.

    Raises:
        ValueError: for a file that is no TOML, an option that is none of these, a value that is no text, or data
            that are Python code; in one line.
    """
    from ..files import FileKind
    from ..files.texts import LONGEST_TEXT, read_toml

    if not path.is_file():
        return {}
    try:
        content = read_toml(FileKind("data.toml", "a TOML file", most=4 * LONGEST_TEXT).text(path))
    except ValueError as error:
        raise ValueError(
            f"{path} describes the data of the network and is no TOML file: {str(error)[:200]}"
        ) from None
    for name, value in content.items():
        if name not in (*DATA_OPTIONS, *QUESTION_OPTIONS) or not isinstance(value, str):
            known = ", ".join((*DATA_OPTIONS, *QUESTION_OPTIONS))
            raise ValueError(
                f"{path}: got {name[:40]!r}, expected texts for {known}; correct the file, or remove it and say "
                "the data with --data"
            )
    if ":" in content.get("data", ""):
        raise ValueError(
            f"{path}: got data {content['data'][:60]!r}, which would run code, expected the name of a data set or "
            "a file; say it with --data if you trust it"
        )
    folder = path.parent
    moved = {name: _from(folder, content[name]) for name in PATHS if name in content}
    if "data" in content and is_path(content["data"]) and "root" not in content:
        moved["data"] = _from(folder, content["data"])
    return content | moved


def is_path(data: str) -> bool:
    """Return whether a data set is named by a path: one of the user's own."""
    return data.lower().endswith((*TABLES, *ARRAYS)) or os.sep in data


def _from(folder: Path, told: str) -> str:
    """Return a path as it is seen from the current folder."""
    if os.path.isabs(told):
        return told
    return os.path.normpath(folder / told)


def completed(given: Mapping[str, Any], keys: Mapping[str, str], data_are_optional: bool) -> dict[str, Any]:
    """Return the values of a command's options, those that were not typed as the network's description has them.

    Nothing is taken where other data are typed, except for a table: its columns are described all the same. A
        typed
    norm or range takes the place of features, whose overall range then counts.

    Args:
        given: values by the key of the option; None for what was not typed.
        keys: of the command's options, by their names.
        data_are_optional: whether the command asks about data only if samples are typed.

    Raises:
        ValueError: as `read_trained_on`.
    """
    model = _model_of(given)
    if model is None or "data" not in keys:
        return dict(given)
    typed = {name: given.get(key) for name, key in keys.items() if given.get(key) not in (None, [])}
    if data_are_optional and "samples" not in typed:
        return dict(given)  # data are asked about only where samples are
    if "data" in typed and not str(typed["data"]).lower().endswith(TABLES):
        return dict(given)
    described = read_trained_on(Path(model).parent / DESCRIPTION)
    if "data" in typed:
        described = {name: value for name, value in described.items() if name not in ("data", "root")}
    own_set = bool({"norm", "features", "range", "set"} & {*typed})
    if "features" not in keys or (own_set and "features" not in typed):
        described.pop("features", None)
    elif "features" in described or "features" in typed:
        described.pop("range", None)
    if own_set or ("norm" in described and "norm" not in keys):  # an ε is of its norm alone
        described = {name: value for name, value in described.items() if name not in QUESTION_OPTIONS}
    texts = {keys[name]: value for name, value in described.items() if name in keys and name not in typed}
    return {**given, **{key: _as_given(given.get(key), value) for key, value in texts.items()}}


def _as_given(before: Any, value: str) -> Any:
    return [value] if isinstance(before, list) else value


def _model_of(given: Mapping[str, Any]) -> str | None:
    """Return the path of the network that a command is about, of several the first; None for zoo:NAME and code."""
    for key, value in given.items():
        if key.rpartition("__")[2] in ("model", "models") and value:
            first = value[0] if isinstance(value, list) else value
            return None if ":" in str(first) else str(first)
    return None
