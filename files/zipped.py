"""A zip archive that is held in memory: its directory is read first, and of its members what is asked for."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from .reading import in_proportion

MOST_MEMBERS = 1000
_ENTRY = b"PK\x01\x02"
"""How each entry of a directory begins; in packed data it stands by chance alone."""
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of packing: what unpacks others makes of few bytes any number at once."""


class Archive:
    """The members of an archive.

    Args:
        content: of the archive.
        most: bytes that the members of any may have, unpacked, as its directory says; of a small one fewer.

    Raises:
        ValueError: for what is no archive, a broken one, or a larger one; its words go on after the file's name.
    """

    def __init__(self, content: bytes, most: int) -> None:
        if content.count(_ENTRY) > MOST_MEMBERS:
            raise ValueError(f"holds more than {MOST_MEMBERS} members")
        with _told():
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        items = self._archive.infolist()
        size, most = sum(item.file_size for item in items), in_proportion(len(content), most)
        if size > most:
            expected = f"at most {most} of {len(content)} that are packed; one packed less, or not at all, is read"
            raise ValueError(f"unpacks to {size} bytes, expected {expected}")
        if any(item.compress_type not in _KINDS for item in items):
            raise ValueError("is packed by another method than deflate")
        self.sizes = {item.filename: item.file_size for item in items}
        if len(self.sizes) != len(items):
            raise ValueError("holds a name twice")

    def read(self, name: str) -> bytes:
        """Return a member; raise ValueError for a broken one."""
        with _told():
            return self._archive.read(name)


@contextmanager
def _told() -> Iterator[None]:
    """Raise ValueError for what a broken archive is found by."""
    try:
        yield
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ValueError(f"is no zip archive that can be read: {error}") from error
