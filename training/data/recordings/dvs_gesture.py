"""DVS-Gesture from its usual files: recordings in AEDAT 3.1, and beside each a table of its gestures."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ....files import FileKind
from ..digit_events import frames
from ..splits import Dataset, Split, split_off
from .aedat import Events, read_aedat

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
