"""DVS-Gesture: its reader held against small files in AEDAT 3.1, whole, cut and crafted."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from spikecert.training import dataset
from spikecert.training.data.recordings import dvs_gesture as aedat
from spikecert.training.data.recordings.dvs_gesture import MOST_GESTURES, NAMES, read_aedat, read_trial

HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n"
HEADER += b"#Start-Time: 2015-01-01 00:00:00 (TZ-0800)\r\n#!END-HEADER\r\n"
HEAD = "class,startTime_usec,endTime_usec\n"

Event = tuple[int, int, int, int]
"""x, y, polarity, microseconds of 31 bits."""


def packet(events: Sequence[Event], overflow: int = 0, kind: int = 1, valid: int = 1, room: int = 0) -> bytes:
    count = len(events)
    head = struct.pack("<hh6i", kind, 1, 8, 4, overflow, count + room, count, count * valid)
    words = [struct.pack("<II", (x << 17) | (y << 2) | (on << 1) | valid, when) for x, y, on, when in events]
    return head + b"".join(words) + bytes(8 * room)


def write_trial(folder: Path, name: str, *packets: bytes, table: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.aedat"
    path.write_bytes(HEADER + b"".join(packets))
    (folder / f"{name}_labels.csv").write_text(HEAD + table)
    return path


def write_gestures(folder: Path, trials: int = 12) -> None:
    """Write recordings of gestures of one event each, at the place of its class, a second after its start."""
    for part, first, count in (("train", 1, trials), ("test", 24, 2)):
        names = [f"user{k:02d}_led" for k in range(first, first + count)]
        for name in names:
            events = [(k, 100 + k, k % 2, 2_000_000 * k + 1_000_000) for k in range(11)]
            table = "".join(f"{k + 1},{2_000_000 * k},{2_000_000 * (k + 1)}\n" for k in range(11))
            write_trial(folder, name, packet(events[:6]), packet(events[6:]), table=table)
        (folder / f"trials_to_{part}.txt").write_text("".join(f"{name}.aedat\n" for name in names))


@pytest.mark.parametrize("folder", [".", "DvsGesture"])
def test_gestures_are_read(tmp_path: Path, folder: str) -> None:
    write_gestures(tmp_path / folder)
    data = dataset("dvs-gesture", tmp_path, num_steps=4)
    assert (len(data.train), len(data.validation), len(data.test)) == (121, 11, 22)
    assert (data.shape, data.classes, data.num_steps, data.names) == ((2, 128, 128), 11, 4, NAMES)
    assert data.test.labels.tolist() == [*range(11)] * 2
    assert data.train.inputs.dtype == torch.uint8
    places = data.test.inputs[:11].nonzero().tolist()  # sample, step, polarity, y, x
    assert places == [[k, 2, k % 2, 100 + k, k] for k in range(11)]


def test_events_are_read_by_rising_time_over_the_clocks_overflow(tmp_path: Path) -> None:
    packets = (
        packet([(9, 8, 1, 5)], overflow=1),
        packet([(1, 2, 0, 2**31 - 1), (127, 126, 1, 7)], room=3),
        packet([(3, 3, 1, 8)], kind=0),
        packet([(4, 4, 1, 9)], valid=0),
    )
    events = read_aedat(write_trial(tmp_path, "user01_lab", *packets, table="1,0,9\n"))
    assert events.times.tolist() == [7, 2**31 - 1, 2**31 + 5]
    assert list(zip(events.x.tolist(), events.y.tolist(), events.on.tolist(), strict=True)) == [
        (127, 126, 1),
        (1, 2, 0),
        (9, 8, 1),
    ]
    assert not events.cut


def test_gestures_may_overlap_and_an_end_is_left_out(tmp_path: Path) -> None:
    path = write_trial(
        tmp_path, "user22_led", packet([(1, 1, 1, 10), (2, 2, 1, 19), (3, 3, 1, 20)]), table="3,10,20\n4,15,30\n"
    )
    split = read_trial(path, num_steps=10)
    assert split.labels.tolist() == [2, 3]
    assert split.inputs.nonzero().tolist() == [
        [0, 0, 1, 1, 1],
        [0, 9, 1, 2, 2],
        [1, 2, 1, 2, 2],
        [1, 3, 1, 3, 3],
    ]


def test_a_recording_may_be_cut_behind_its_gestures_alone(tmp_path: Path) -> None:
    """Each cut is either read as if it were whole, or refused; never a gesture of fewer events."""
    packets = (packet([(1, 1, 1, 5), (2, 2, 0, 9)]), packet([(3, 3, 1, 12)]), packet([(4, 4, 1, 30)]))
    path = write_trial(tmp_path, "user01_led", *packets, table="2,0,10\n")
    whole, content = read_trial(path, num_steps=3), path.read_bytes()
    ends = [len(HEADER) + sum(len(one) for one in packets[:k]) for k in range(4)]
    for size in range(len(HEADER), len(content)):
        path.write_bytes(content[:size])
        if size >= ends[2] or size == ends[1]:  # where a packet ends nothing tells that another would follow
            assert torch.equal(read_trial(path, num_steps=3).inputs, whole.inputs)
        else:
            with pytest.raises(ValueError, match=r"the gesture from 0 to 10 µs"):
                read_trial(path, num_steps=3)


def changed(field: int, value: int) -> Callable[[bytes], bytes]:
    """Return what sets a field of the first packet's header."""

    def change(content: bytes) -> bytes:
        fields = list(struct.unpack_from("<hh6i", content, len(HEADER)))
        fields[field] = value
        return HEADER + struct.pack("<hh6i", *fields) + content[len(HEADER) + 28 :]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[len(HEADER) :], "is no AEDAT 3.1 file"),
        (lambda content: content.replace(b"3.1", b"2.0", 1), "is no AEDAT 3.1 file"),
        (lambda content: content.replace(b"#!END-HEADER", b"#!THE-HEADER"), "is no AEDAT 3.1 file"),
        (lambda content: HEADER[:-2], "is no AEDAT 3.1 file"),
        (lambda content: HEADER, "holds no event of the gesture from 0 to 10 µs"),
        (lambda content: b"", "is no AEDAT 3.1 file"),
        (changed(2, 9), f"is broken at byte {len(HEADER)}, expected a packet of events"),
        (changed(2, 0), "is broken at byte"),
        (changed(4, -1), "is broken at byte"),
        (changed(5, -1), "is broken at byte"),
        (changed(6, 9), "is broken at byte"),
        (changed(7, 3), "is broken at byte"),
        (changed(7, -1), "is broken at byte"),
        (changed(5, 2**31 - 1), "is cut off within the gesture from 0 to 10 µs"),
        (lambda content: HEADER + packet([(1, 1, 1, 2**31)]), "holds a time below 0"),
        (lambda content: HEADER + packet([(128, 1, 1, 5)]), "expected events with x and y below 128"),
        (lambda content: HEADER + packet([(1, 32767, 1, 5)]), "expected events with x and y below 128"),
    ],
)
def test_a_broken_recording_is_one_line(tmp_path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    path = write_trial(tmp_path, "user01_led", packet([(1, 1, 1, 5), (2, 2, 0, 9)]), table="2,0,10\n")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as caught:
        read_trial(path, num_steps=3)
    assert str(caught.value).startswith("dataset: ")
    assert "\n" not in str(caught.value)


def test_a_recording_of_too_many_packets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_trial(
        tmp_path, "user01_led", *(packet([]) for _ in range(40)), packet([(1, 1, 1, 5)]), table="2,0,10\n"
    )
    assert len(read_trial(path, num_steps=3)) == 1
    monkeypatch.setattr(aedat, "MOST_PACKETS", 40)
    with pytest.raises(ValueError, match="holds more than 40 packets"):
        read_trial(path, num_steps=3)


def test_a_gesture_recording_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = write_trial(tmp_path, "user01_led", table="2,0,10\n")
    with path.open("r+b") as file:
        file.truncate(2**28 + 1)
    with pytest.raises(ValueError, match="has 268435457 bytes, expected at most 268435456"):
        read_trial(path, num_steps=3)
    path.with_name("user01_led_labels.csv").write_text(HEAD + "2,0,10\n" * 10_000)
    with pytest.raises(ValueError, match="has 70034 bytes, expected at most 65536"):
        read_trial(path, num_steps=3)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "is no table of 1 to 100 gestures under class,startTime_usec,endTime_usec"),
        ("class,start,end\n1,0,9\n", "is no table of 1 to 100 gestures"),
        (HEAD, "is no table of 1 to 100 gestures"),
        (HEAD + "1,0,9\n" * (MOST_GESTURES + 1), "is no table of 1 to 100 gestures"),
        (HEAD + "0,0,9\n", "holds the row '0,0,9', expected a class from 1 to 11, a start and a later end in µs"),
        (HEAD + "12,0,9\n", "holds the row '12,0,9'"),
        (HEAD + "1,9,9\n", "holds the row '1,9,9'"),
        (HEAD + "1,-1,9\n", "holds the row '1,-1,9'"),
        (HEAD + "1,0\n", "holds the row '1,0'"),
        (HEAD + "1,0,9,9\n", "holds the row '1,0,9,9'"),
        (HEAD + "1,0,1e9\n", "holds the row '1,0,1e9'"),
        (HEAD + "1,0,\u0669\n", "holds the row"),
        (HEAD + f"1,0,{'9' * 19}\n", "holds the row"),
        (HEAD + "1,20,30\n", "holds no event of the gesture from 20 to 30 µs"),
    ],
)
def test_a_broken_table_of_gestures_is_one_line(tmp_path: Path, table: str, message: str) -> None:
    path = write_trial(tmp_path, "user01_led", packet([(1, 1, 1, 5)]), table="")
    path.with_name("user01_led_labels.csv").write_text(table, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_trial(path, num_steps=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "listed", ["", "../user01_led.aedat", "/etc/passwd", "user01_led", "a/b.aedat", ".aedat", "-.aedat"]
)
def test_a_list_of_recordings_leads_nowhere_else(tmp_path: Path, listed: str) -> None:
    write_gestures(tmp_path)
    (tmp_path / "trials_to_train.txt").write_text(listed)
    with pytest.raises(ValueError, match=r"trials_to_train.txt is no list of 1 to 1000 names"):
        dataset("dvs-gesture", tmp_path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (
            "trials_to_train.txt",
            r"needs trials_to_train.txt \(searched: .*\); unpack DvsGesture.tar.gz and pass its folder",
        ),
        ("trials_to_test.txt", "needs trials_to_test.txt"),
        ("user02_led.aedat", "user02_led.aedat, no such file, expected a recording in AEDAT 3.1"),
        ("user02_led_labels.csv", "user02_led_labels.csv, no such file, expected a list of DVS-Gesture"),
    ],
)
def test_a_missing_file_of_gestures_is_one_line(tmp_path: Path, missing: str, message: str) -> None:
    write_gestures(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=message) as caught:
        dataset("dvs-gesture", tmp_path)
    assert "\n" not in str(caught.value)


def test_no_folder_of_gestures_is_one_line() -> None:
    with pytest.raises(FileNotFoundError, match="searched: no folder, as root was not given"):
        dataset("dvs-gesture")


def test_binary_text_of_a_table_is_one_line(tmp_path: Path) -> None:
    path = write_trial(tmp_path, "user01_led", packet([(1, 1, 1, 5)]), table="")
    path.with_name("user01_led_labels.csv").write_bytes(b"\xff\xfe" + np.arange(9, dtype=np.uint8).tobytes())
    with pytest.raises(ValueError, match="is no text file"):
        read_trial(path, num_steps=3)
