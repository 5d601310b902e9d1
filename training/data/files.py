"""Find and open the files of a data set; a missing or broken one is one clear error."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ...files import FileKind, beginning, unpacked


def find(name: str, file: str, folders: Sequence[Path], advice: str) -> Path:
    """Return the first of `folders` that holds `file`, plain or with the suffix .gz.

    Raises:
        FileNotFoundError: if none does; the message says what to put where.
    """
    for folder in folders:
        for candidate in (folder / file, folder / f"{file}.gz"):
            if candidate.exists():
                return candidate
    searched = ", ".join(str(folder) for folder in folders) or "no folder, as root was not given"
    raise FileNotFoundError(f"dataset: {name} needs the file {file} (searched: {searched}); {advice}")


def packed(path: Path, most: int) -> bytes:
    """Return the content of a file as it is: at most `most` bytes, of a regular file."""
    return FileKind("dataset", "a file of the data set", most).content(path)


def read(path: Path, most: int) -> bytes:
    """Return the content of a file, unpacked if it is gzipped: at most `most` bytes, packed as well as unpacked.

    Raises:
        ValueError: for a file that holds more, is gzipped and broken, or is no regular file.
    """
    return _named(path, unpacked, packed(path, most), most)


def first(path: Path, content: bytes, count: int) -> bytes:
    """Return the first `count` bytes of what `packed` returned, unpacked if it is gzipped, and unpack no more.

    Raises:
        ValueError: where that much of it is broken.
    """
    return _named(path, beginning, content, count)


def _named(path: Path, unpack: Callable[[bytes, int], bytes], content: bytes, count: int) -> bytes:
    try:
        return unpack(content, count)
    except ValueError as error:
        raise ValueError(f"dataset: {path} {error}") from error
