"""Read regular files, never more of them than is stated."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .errors import SpikecertError
from .texts import read_json

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OTHERS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


LEAST, TIMES = 2**26, 64
"""What a file may become: so many bytes, whatever its size, and so many for each of its own; gzip makes 1032."""


class NotAFile(SpikecertError, ValueError):
    """A pipe, a device, a socket or a folder in a file's place."""


@dataclass(frozen=True)
class FileKind:
    """What a reader says of the files that it takes.

    Attributes:
        argument: by which messages call the path.
        expected: what the file should be.
        most: bytes of the largest file that is read.
    """

    argument: str
    expected: str
    most: int

    def content(self, path: str | Path) -> bytes:
        """Return the bytes of a file.

        Raises:
            FileNotFoundError: where there is none.
            NotAFile: for what is no regular file.
            ValueError: for one that is too large; in one line.
            OSError: for a file that can't be read, with its name.
        """
        try:
            return regular_content(path, self.most)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.argument}: got {path}, no such file, expected {self.expected}"
            ) from None
        except ValueError as error:
            raise type(error)(f"{self.argument}: {path} {error}") from None

    def text(self, path: str | Path) -> str:
        """Return a file's text; raise as `content` does, and ValueError for what is no UTF-8."""
        content = self.content(path)
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.argument}: {path} is no text file: {error}") from error

    def json(self, path: str | Path) -> Any:
        """Return a file's JSON; raise as `content` does, and ValueError for what is none."""
        content = self.content(path)
        try:
            return read_json(content)
        except ValueError as error:
            raise ValueError(f"{self.argument}: {path} is no JSON file: {error}") from error


def regular_content(path: str | Path, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes, or of one that a link leads to.

    What is no regular file is not opened. It is looked at again once it is open, as the name may lead elsewhere by
    then: such an open neither waits for a pipe's other end nor takes a terminal.

    Raises:
        FileNotFoundError, OSError: as `open` does.
        NotAFile, ValueError: for anything else; their words go on after the file's name.
    """
    _check(os.stat(path), most)
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        size = _check(os.fstat(file.fileno()), most)
        content = file.read(size + 1)
    if len(content) != size:
        raise ValueError(f"has {size} bytes and another number when read, expected a file that stays as it is")
    return content


@contextmanager
def regular_lines(path: str | Path, most: int, longest: int) -> Iterator[Iterator[str]]:
    """Give the lines of a regular file of at most `most` bytes, one after the other, as text; raise as above.

    A line of more than `longest` bytes, or one that is no UTF-8, is a ValueError once it is reached.
    """
    _check(os.stat(path), most)
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        _check(os.fstat(file.fileno()), most)
        yield _lines(file, longest)


def _lines(file: BinaryIO, longest: int) -> Iterator[str]:
    while line := file.readline(longest + 1):
        if len(line) > longest:
            raise ValueError(f"has a line of more than {longest} bytes")
        yield line.decode("utf-8")


def in_proportion(size: int, most: int, least: int = LEAST) -> int:
    """Return how many bytes a file of `size` bytes may become, of `most` that any may.

    >>> in_proportion(0, 2**33) == LEAST, in_proportion(2**30, 2**33) == 2**33
    (True, True)
    """
    return min(most, least + TIMES * size)


def _check(found: os.stat_result, most: int) -> int:
    """Return a regular file's size."""
    if not stat.S_ISREG(found.st_mode):
        raise NotAFile(f"is {kind_of(found)}, expected a regular file")
    if found.st_size > most:
        raise ValueError(f"has {found.st_size} bytes, expected at most {most}")
    return found.st_size


def kind_of(found: os.stat_result) -> str:
    """Return what a thing that is no regular file is."""
    return _OTHERS.get(stat.S_IFMT(found.st_mode), "no file")
