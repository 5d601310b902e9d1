"""Read the file that `spikecert run` repeats."""

from pathlib import Path
from typing import Any

from spikecert.asking.run_files import Configuration
from spikecert.asking.values import Mistake, read
from spikecert.files import FileKind
from spikecert.files.texts import LONGEST_TEXT, read_toml
from spikecert.models.validation import one_line
from spikecert.reports import load_record

RUN = FileKind("file", "a TOML file or a record", most=4 * LONGEST_TEXT)


def load_configuration(path: Path) -> tuple[Configuration, str | None]:
    """Read a TOML file, or the configuration that a record holds; return it, and the record's fingerprint.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: in one line that names the key, for what is missing, unknown or out of range.
    """
    if path.suffix == ".json":
        record = load_record(path)
        if record.configuration is None:
            raise ValueError(f"file: {path} was not made by `spikecert run` and holds no configuration")
        return parsed(record.configuration, path), record.fingerprint
    text = RUN.text(path)
    try:
        content = read_toml(text)
    except ValueError as error:
        raise ValueError(f"file: {path} is no TOML file: {one_line(error)}") from error
    return parsed(content, path), None


def parsed(content: dict[str, Any], path: Path) -> Configuration:
    """Return checked content; `path` is for the message."""
    try:
        return read(Configuration, content)
    except Mistake as error:
        raise ValueError(f"{path.name}: {one_line(error)}") from None
