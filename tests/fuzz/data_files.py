"""Files of data sets: CIFAR's pickles by their instructions, IDX plain and packed, recordings of events."""

import gzip
import io
import pickle
import pickletools
import random
import struct
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from spikecert.training.data.cifar import LAYOUTS, read_batch
from spikecert.training.data.mnist import read_idx
from spikecert.training.data.recordings.dvs_gesture import read_trial
from spikecert.training.data.recordings.neuromorphic import SHD, SSC, read_recording, read_words
from support.cifar_files import published

from .mutators import LARGEST, mutate_bytes

INSTRUCTIONS = tuple(code.code.encode("latin1") for code in pickletools.opcodes)
NAMES = (b"cos\nsystem\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n", b"U\x02O8", b"U\x02u1")


def in_a_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], None]:
    """Return a reader of bytes, which reads them as a file of that name."""

    def reader(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            read(path)

    return reader


read_cifar = in_a_file("data_batch_1", lambda path: read_batch(path, LAYOUTS["cifar10"]))
read_images = in_a_file("train-images-idx3-ubyte", lambda path: read_idx(path, dimensions=3))
read_events = in_a_file("00001.bin", lambda path: read_recording(path, num_steps=5))
read_gestures = in_a_file("user01_led.aedat", lambda path: _with_table(path, path.read_bytes(), b"2,0,12\n"))
read_table = in_a_file("user01_led.aedat", lambda path: _with_table(path, gestures()[0], path.read_bytes()))
read_commands = in_a_file("ssc_test.h5", lambda path: read_words(path, SSC, num_steps=5))
read_spikes = in_a_file("shd_train.h5", lambda path: read_words(path, SHD, num_steps=5))


def _with_table(path: Path, recording: bytes, table: bytes) -> None:
    path.write_bytes(recording)
    path.with_name("user01_led_labels.csv").write_bytes(b"class,startTime_usec,endTime_usec\n" + table)
    read_trial(path, num_steps=3)


def cifar() -> list[bytes]:
    """Return batches of two images, as Python 2 wrote them and as Python 3 does."""
    images, labels = np.arange(6144, dtype=np.uint16).astype(np.uint8).reshape(2, 3072), [3, 7]
    content = {b"data": images, b"labels": labels, b"batch_label": b"one", "n": ["a", "b", -70000]}
    return [published(images, labels), *(pickle.dumps(content, protocol) for protocol in (2, 4))]


def mutate_pickle(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a pickle whose instructions were dropped, doubled, swapped, or mixed with others."""
    parts = _instructions(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        place, size = rng.randrange(len(parts) + 1), rng.choice((1, 1, 2, 5, 30))
        kind = rng.randrange(6)
        if kind == 0:
            del parts[place : place + size]
        elif kind == 1:
            parts[place:place] = parts[place : place + size] * rng.choice((1, 2, 300))
        elif kind == 2:
            parts.insert(place, rng.choice(INSTRUCTIONS) + rng.randbytes(rng.choice((0, 1, 2, 4, 8))))
        elif kind == 3:
            parts.insert(place, rng.choice(NAMES))
        elif kind == 4 and place < len(parts):
            parts[place] = mutate_bytes(rng, parts[place], ())
        else:
            other = _instructions(rng.choice(others)) if others else parts
            parts[place:place] = other[place : place + size]
    return b"".join(parts)[:LARGEST]


def _instructions(data: bytes) -> list[bytes]:
    """Return a pickle's instructions, and what comes after the last that is one."""
    places = [0]
    try:
        places.extend(place or 0 for _, _, place in pickletools.genops(data))
    except Exception:  # pickletools raises whatever a broken pickle makes it meet
        places.append(len(data))
    return [data[start:end] for start, end in zip(places, [*places[1:], len(data)], strict=True) if end > start]


def idx() -> list[bytes]:
    """Return images, plain and packed."""
    content = struct.pack(">BBBB3I", 0, 0, 8, 3, 3, 4, 5) + bytes(range(60))
    return [
        content,
        gzip.compress(content, mtime=0),
        gzip.compress(content[:30], mtime=0) + gzip.compress(content[30:]),
    ]


def mutate_packed(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a changed file, packed again, more of them, or a great deal of nothing."""
    try:
        content = gzip.GzipFile(fileobj=io.BytesIO(data)).read(LARGEST)
    except Exception:  # gzip raises whatever a broken file makes it meet
        content = data
    changed = mutate_bytes(rng, content, others)
    if rng.random() < 0.2:
        sizes = (rng.choice((0, 1, 3, 28, 60_000, 2**26, 2**32 - 1)) for _ in range(3))
        changed = struct.pack(">BBBB3I", 0, 0, 8, 3, *sizes) + changed[16:] + bytes(rng.choice((0, 2**20, 2**25)))
    return (gzip.compress(changed, 1, mtime=0) * rng.choice((1, 1, 1, 2, 1000)))[: 16 * LARGEST]


def events() -> list[bytes]:
    """Return a recording with an overflow of its clock."""
    words = [
        (x << 32) | (y << 24) | (on << 23) | time
        for x, y, on, time in ((3, 5, 1, 9), (0, 240, 0, 0), (33, 1, 0, 7))
    ]
    return [b"".join(word.to_bytes(5, "big") for word in words)]


def gestures() -> list[bytes]:
    """Return recordings of two packets: whole, cut, and with a clock that overflows between them."""
    head = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    first, second, late = (
        struct.pack(
            "<hh6i4I", 1, 1, 8, 4, overflow, 2, 2, 2, (3 << 17) | (9 << 2) | 3, when, (127 << 17) | 1, when + 9
        )
        for overflow, when in ((0, 5), (0, 120), (1, 6))
    )
    return [head + first + second, head + first + second[:-3], head + first + late]


def tables() -> list[bytes]:
    """Return rows of gestures."""
    return [b"2,0,99\n", b"1,4,15\n11,100,150\n3,5,6\n"]


def spikes() -> list[bytes]:
    """Return a file of two recordings."""
    held = io.BytesIO()
    with h5py.File(held, "w") as content:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            ragged = content.create_dataset(f"spikes/{name}", (2,), dtype=h5py.vlen_dtype(kind))
            for k in range(2):
                ragged[k] = np.arange(3 + k).astype(kind)
        content["labels"] = np.array([0, 19], np.uint16)
    return [held.getvalue()]
