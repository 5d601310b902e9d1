"""Find and open the files of a data set; a missing or broken one is one clear error."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path


def find(name: str, file: str, folders: Sequence[Path], advice: str) -> Path:
    """Return the first of `folders` that holds `file`, plain or with the suffix .gz.

    Raises:
        FileNotFoundError: if none does; the message says what to put where.
    """
    for folder in folders:
        for candidate in (folder / file, folder / f"{file}.gz"):
            if candidate.is_file():
                return candidate
    searched = ", ".join(str(folder) for folder in folders) or "no folder, as root was not given"
    raise FileNotFoundError(f"dataset: {name} needs the file {file} (searched: {searched}); {advice}")


def read(path: Path) -> bytes:
    """Return the content of a file, uncompressed if it is gzipped.

    Raises:
        ValueError: if the file is gzipped and broken.
    """
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"dataset: {path} is not a complete gzip file: {error}") from error
