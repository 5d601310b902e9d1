"""Unpack gzip, never more of it than is asked for."""

import zlib

MOST_MEMBERS = 2**16
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
    for _ in range(MOST_MEMBERS):
        if place == len(content) or len(found) == count:
            return bytes(found)
        try:
            place = _unpack_member(memoryview(content), place, found, count)
        except (EOFError, zlib.error) as error:
            raise ValueError(f"is not a complete gzip file: {error}") from error
    raise ValueError(f"has more than {MOST_MEMBERS} gzip members, expected one")


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
