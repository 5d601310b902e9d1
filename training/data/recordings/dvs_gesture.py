"""DVS-Gesture from its usual files: recordings in AEDAT 3.1, and beside each a table of its gestures.

Events of a camera from AEDAT 3.1, as its authors' page describes it: a header of text, then packets of events.

A packet is 28 bytes (type, source, bytes an event, where its time stands, overflows of the clock, room,
events, valid events; little endian) and its room's events. A polarity event, type 1, is 8 bytes: from the lowest
bit on, valid, polarity, 15 bits of y, 15 of x; then 31 bits of µs.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ....files import FileKind
from ..digit_events import frames
from ..splits import Dataset, Split, split_off

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


HELD_OUT_SHARE = 12
SIDE, CLASSES = 128, 11
NAMES = (
    "hand clapping",
    "right hand wave",
    "left hand wave",
    "right arm clockwise",
    "right arm counter clockwise",
    "left arm clockwise",
    "left arm counter clockwise",
    "arm roll",
    "air drums",
    "air guitar",
    "other gestures",
)
MOST_TRIALS, MOST_GESTURES = 1_000, 100
"""Recordings of a part, and gestures of a recording."""
TEXT = FileKind("dataset", "a list of DVS-Gesture", most=2**16)
_HEAD = "class,startTime_usec,endTime_usec"
_FOLDERS = (".", "DvsGesture", "DVSGesture", "DVS128Gesture/extract/DvsGesture", "dvs-gesture")


@dataclass(frozen=True)
class Gesture:
    """Which gesture was made, from 0 on, and when: µs of the recording's clock, its end left out."""

    label: int
    start: int
    end: int


def load_gestures(name: str, root: Path | None, seed: int, num_steps: int) -> Dataset:
    """Return the gestures as uint8 frames (samples, num_steps, 2, 128, 128), polarity off first.

    The frames of a gesture cover the time from its start to its end, however long that is. Those held out
    to validate on are of the same people as those to train on; those to test on are of others.

    Raises:
        FileNotFoundError, ValueError: if a file is missing or broken.

    References: amir2017low
    """
    whole = _part(name, "train", root, num_steps)
    train, validation = split_off(whole, len(whole) // HELD_OUT_SHARE, seed)
    test = _part(name, "test", root, num_steps)
    return Dataset(name, train, validation, test, (2, SIDE, SIDE), CLASSES, num_steps, NAMES)


def _part(name: str, part: str, root: Path | None, num_steps: int) -> Split:
    places = [] if root is None else [root / folder / f"trials_to_{part}.txt" for folder in _FOLDERS]
    listed = next((place for place in places if place.exists()), None)
    if listed is None:
        searched = ", ".join(str(place.parent) for place in places) or "no folder, as root was not given"
        advice = "unpack DvsGesture.tar.gz and pass its folder as root"
        raise FileNotFoundError(f"dataset: {name} needs trials_to_{part}.txt (searched: {searched}); {advice}")
    found = [read_trial(listed.parent / trial, num_steps) for trial in _trials(listed)]
    return Split(torch.cat([one.inputs for one in found]), torch.cat([one.labels for one in found]))


def _trials(path: Path) -> list[str]:
    """Return the names of recordings, none of which leads out of the folder."""
    trials = TEXT.text(path).split()
    if not 1 <= len(trials) <= MOST_TRIALS or not all(re.fullmatch(r"\w[\w.-]*\.aedat", name) for name in trials):
        raise ValueError(f"dataset: {path} is no list of 1 to {MOST_TRIALS} names such as user01_led.aedat")
    return trials


def read_trial(path: Path, num_steps: int) -> Split:
    """Return the gestures of one recording; its table lies beside it, NAME_labels.csv beside NAME.aedat.

    Raises:
        FileNotFoundError: where one of the two is missing.
        ValueError: for files that are broken, or too large.
    """
    gestures = _gestures(path.with_name(f"{path.stem}_labels.csv"))
    events = read_aedat(path)
    if len(events.times) and max(events.x.max(), events.y.max()) >= SIDE:
        raise ValueError(f"dataset: {path} is no DVS-Gesture recording, expected events with x and y below {SIDE}")
    inputs = torch.empty((len(gestures), num_steps, 2, SIDE, SIDE), dtype=torch.uint8)
    for row, gesture in zip(inputs, gestures, strict=True):
        row.copy_(torch.from_numpy(_frames(path, events, gesture, num_steps)))
    return Split(inputs, torch.tensor([gesture.label for gesture in gestures]))


def _gestures(path: Path) -> list[Gesture]:
    head, *rows = TEXT.text(path).split() or [""]
    if head != _HEAD or not 1 <= len(rows) <= MOST_GESTURES:
        raise ValueError(f"dataset: {path} is no table of 1 to {MOST_GESTURES} gestures under {_HEAD}")
    return [_gesture(path, row) for row in rows]


def _gesture(path: Path, row: str) -> Gesture:
    numbers = [int(part) for part in row.split(",")] if re.fullmatch(r"[0-9]{1,2}(,[0-9]{1,18}){2}", row) else []
    if len(numbers) != 3 or not 1 <= numbers[0] <= CLASSES or numbers[1] >= numbers[2]:
        expected = f"a class from 1 to {CLASSES}, a start and a later end in µs"
        raise ValueError(f"dataset: {path} holds the row {row[:60]!r}, expected {expected}")
    return Gesture(numbers[0] - 1, numbers[1], numbers[2])


def _frames(path: Path, events: Events, gesture: Gesture, num_steps: int) -> np.ndarray:
    """Return the frames of a gesture."""
    first, last = np.searchsorted(events.times, (gesture.start, gesture.end))
    if first == last or (events.cut and last == len(events.times)):
        told = "is cut off within" if events.cut else "holds no event of"
        raise ValueError(f"dataset: {path} {told} the gesture from {gesture.start} to {gesture.end} µs")
    part = slice(first, last)
    places = (events.on[part] * SIDE + events.y[part]) * SIDE + events.x[part]
    times, lasting = events.times[part] - gesture.start, gesture.end - gesture.start
    return frames(times, places, num_steps, lasting, 2 * SIDE * SIDE).reshape(num_steps, 2, SIDE, SIDE)
