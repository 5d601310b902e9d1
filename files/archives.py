"""Zip archives and gzip, unpacked no further than is asked for.

Unpack gzip, never more of it than is asked for.
"""

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


MOST_GZIP_MEMBERS = 2**16
"""Of one file: what many tiny members cost has nothing to do with what they hold."""
_MAGIC = b"\x1f\x8b"
_FIRST, _CHUNK = 2**10, 2**20
"""Bytes that are fed to a member at first, and the most that are fed, or unpacked, at once."""
_GZIP = 31


def beginning(content: bytes, count: int) -> bytes:
    """Return the first `count` bytes of what gzip packed, or of `content` where it is not packed, or all of it.

    Raises:
        ValueError: where that much of it is broken; its words go on after the file's name.

    >>> import gzip
    >>> beginning(gzip.compress(b"spikes"), 3)
    b'spi'
    """
    if not content.startswith(_MAGIC):
        return content[:count]
    found, place = bytearray(), 0
    for _ in range(MOST_GZIP_MEMBERS):
        if place == len(content) or len(found) == count:
            return bytes(found)
        try:
            place = _unpack_member(memoryview(content), place, found, count)
        except (EOFError, zlib.error) as error:
            raise ValueError(f"is not a complete gzip file: {error}") from error
    raise ValueError(f"has more than {MOST_GZIP_MEMBERS} gzip members, expected one")


def _unpack_member(content: memoryview, place: int, found: bytearray, count: int) -> int:
    """Append what a member at `place` holds to `found`, up to `count` bytes in all; return where it ends."""
    member, size = zlib.decompressobj(_GZIP), _FIRST
    while not member.eof and len(found) < count:
        packed = member.unconsumed_tail
        if not packed:
            packed = content[place : place + size]
            place, size = place + len(packed), min(2 * size, _CHUNK)
        if not packed:
            raise EOFError("it is cut short")
        found += member.decompress(packed, min(_CHUNK, count - len(found)))
    return place - len(member.unused_data)


def unpacked(content: bytes, most: int) -> bytes:
    """Return all of what gzip packed, or `content` where it is not packed: at most `most` bytes.

    Raises:
        ValueError: for more, or what is broken; its words go on after the file's name.
    """
    found = beginning(content, most + 1)
    if len(found) > most:
        raise ValueError(f"has more than {most} bytes unpacked, expected at most {most}")
    return found
