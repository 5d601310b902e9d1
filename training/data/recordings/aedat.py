"""Events of a camera from AEDAT 3.1, as its authors' page describes it: a header of text, then packets of events.

A packet is 28 bytes (type, source, bytes an event, where its time stands, overflows of the clock, room,
events, valid events; little endian) and its room's events. A polarity event, type 1, is 8 bytes: from the lowest
bit on, valid, polarity, 15 bits of y, 15 of x; then 31 bits of µs.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....files import FileKind

AEDAT = FileKind("dataset", "a recording in AEDAT 3.1", most=2**28)
MOST_PACKETS = 2**20
_START, _END = b"#!AER-DAT3.1", b"#!END-HEADER"
_HEADER = struct.Struct("<hh6i")
_POLARITY, _BYTES = 1, 8


@dataclass(frozen=True)
class Events:
    """What a camera saw, by rising time.

    Attributes:
        times: µs, whole numbers.
        x, y: where.
        on: 1 where it grew brighter, 0 where darker.
        cut: whether the file ends within a packet.
    """

    times: np.ndarray
    x: np.ndarray
    y: np.ndarray
    on: np.ndarray
    cut: bool


def read_aedat(path: Path) -> Events:
    """Return the valid polarity events of a file; other packets are passed over.

    A recording may be cut off within its last packet, as one that was stopped hard is; then what is whole is read.

    Raises:
        ValueError: for a file that is broken, or too large.
    """
    content = AEDAT.content(path)
    words, clock, cut = _packets(path, content, _after_header(path, content))
    pairs = np.concatenate([np.zeros((0, 2), np.uint32), *words])
    overflows = np.repeat(np.array(clock, np.int64), [len(one) for one in words])
    pairs, overflows = (values[(pairs[:, 0] & 1) == 1] for values in (pairs, overflows))
    if (pairs[:, 1] >> 31).any():
        raise ValueError(f"dataset: {path} holds a time below 0, expected 31 bits of µs")
    times = (overflows << 31) + pairs[:, 1]
    order, place = np.argsort(times, kind="stable"), pairs[:, 0]
    place = place[order].astype(np.int64)
    return Events(times[order], place >> 17, (place >> 2) & 0x7FFF, (place >> 1) & 1, cut)


def _after_header(path: Path, content: bytes) -> int:
    """Return where packets begin."""
    end = content.find(b"\n", content.find(b"\n" + _END) + 1) if content.startswith(_START) else -1
    if end < 0 or b"\n" + _END not in content[: end + 1]:
        raise ValueError(
            f"dataset: {path} is no AEDAT 3.1 file, expected {_START.decode()} to {_END.decode()} first"
        )
    return end + 1


def _packets(path: Path, content: bytes, place: int) -> tuple[list[np.ndarray], list[int], bool]:
    """Return the polarity events of each packet, how often the clock had overflowed, and if the file is cut."""
    words, clock = list[np.ndarray](), list[int]()
    for _ in range(MOST_PACKETS):
        if place == len(content):
            return words, clock, False
        if place + _HEADER.size > len(content):
            return words, clock, True
        kind, _, size, _, overflow, room, count, valid = _HEADER.unpack_from(content, place)
        place += _HEADER.size
        fits = size >= 1 and 0 <= valid <= count <= room and overflow >= 0
        if not fits or (kind == _POLARITY and size != _BYTES):
            raise ValueError(
                f"dataset: {path} is broken at byte {place - _HEADER.size}, expected a packet of events"
            )
        if place + room * size > len(content):
            return words, clock, True
        if kind == _POLARITY:
            words.append(np.frombuffer(content, "<u4", 2 * count, place).reshape(-1, 2))
            clock.append(overflow)
        place += room * size
    raise ValueError(f"dataset: {path} holds more than {MOST_PACKETS} packets")
