"""Data of one's own, and networks of others: .npz archives by their members, pictures, ONNX beside its network."""

import gzip
import io
import random
import re
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from spikecert import LIF, SpikingNetwork, dataset, mlp, save
from spikecert.formats.onnx import read_onnx, write_onnx
from spikecert.models import Residual
from spikecert.training.data.features import draft, to_toml

from .mutators import LARGEST, mutate_bytes

LABELS = np.arange(20) % 2
EVENTS = [("recording", "<i4"), ("t", "<i8"), ("x", "|u1"), ("p", "|u1")]
NAMES = (
    "inputs",
    "labels",
    "names",
    "events",
    "train_inputs",
    "train_labels",
    "test_inputs",
    "test_labels",
    "junk",
    "recording",
    "t",
    "x",
    "y",
    "p",
)
KINDS = tuple(b"<f4 |b1 >u8 <i3 |O <U1 >U2 <U0 <f16 <c8 |V4 |a3 <M8 <f2 |S2 <U99999999".split())
SHAPES = tuple(
    b"() (True,) (-1, -4) (20,) (0,) (20, 0) (4, 5L) (99999999999,) (1, 1, 1, 1, 20) (2.0,)".split(b") ")
)
ODD = (b"\xff\xff\xff\x7f", b"\x00\xd8\x00\x00", bytes(8), b"\x93NUMPY\x01\x00", b"True", b"{", b"\\", b"'" * 40)
KEY = re.compile(rb"'descr': '([^']*)'|'shape': (\([^)]*\))|(True|False)")


def archives() -> list[bytes]:
    """Return archives of samples, of events, and of splits."""
    inputs = np.linspace(0, 1, 60, dtype=np.float32).reshape(20, 3)
    frames = (inputs > 0.5).astype(np.uint8).reshape(20, 3, 1)
    splits = {
        f"{part}_{name}": value
        for part in ("train", "test")
        for name, value in (("inputs", inputs), ("labels", LABELS))
    }
    held: tuple[dict[str, np.ndarray], ...] = (
        {"inputs": inputs, "labels": LABELS, "names": np.array(["é", "日本"])},
        {"events": frames, "labels": LABELS.astype(">u2")},
        splits,
        {"events": np.array([(k // 5, k % 5, k % 3, k % 2) for k in range(100)], EVENTS), "labels": LABELS},
        {"t": np.arange(20.0), "x": LABELS, "recording": np.arange(20), "labels": LABELS},
    )
    return [_zipped({f"{name}.npy": _npy(value) for name, value in arrays.items()}) for arrays in held]


def tables() -> list[bytes]:
    """Return tables of classes, of numbers to learn, with splits, quotes and other separators."""
    rows = [f"{k / 9:.3f},{k - 7},{'fair' if k % 2 else 'storm'}" for k in range(20)]
    head = '"wind [m/s]",heat (degC),label'
    plain = "\n".join([head, *rows])
    parts = [f"{row},{'test' if k > 14 else 'train'}" for k, row in enumerate(rows)]
    return [
        plain.encode(),
        plain.replace(",", ";").replace("storm", '"a;b ""c"""').encode(),
        "\r\n".join([f"{head},split", *parts]).encode(),
        "\n".join(["a\tlabel", *(f"{k / 7}\t{k / 3:.2f}" for k in range(20))]).encode(),
    ]


def read_table(data: bytes) -> None:
    """Read a table as a data set, and draft its features."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.csv"
        path.write_bytes(data)
        to_toml(path.name, draft(path))
        dataset(str(path), limits=(-1e9, 1e9))


def _npy(value: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, value)
    return file.getvalue()


def _zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def read_archive(data: bytes) -> None:
    """Read an archive as a data set."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.npz"
        path.write_bytes(data)
        dataset(str(path))


def mutate_archive(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return an archive of which members were changed, renamed, doubled, filled up, or packed otherwise."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {item.filename: archive.read(item) for item in archive.infolist() if item.file_size < 2**20}
    except Exception:  # zipfile raises whatever a broken archive makes it meet
        return mutate_bytes(rng, data, others)
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice([*members, "inputs.npy"])
        kind, content = rng.randrange(8), members.pop(name, b"")
        if kind == 0:
            name = rng.choice(NAMES) + rng.choice((".npy", "", ".npy.npy", "/", "\0"))
        elif kind == 1:
            content += bytes(rng.choice((1, 8, 2**16, 2**26)))
        elif kind == 2:
            content = mutate_bytes(rng, content, ())
        elif kind > 2:
            content = _relabelled(rng, content)
        members[name] = content
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, *[zipfile.ZIP_DEFLATED] * 9)
    changed = _zipped(members, rng.choice(kinds))
    return mutate_bytes(rng, changed, others) if rng.random() < 0.2 else changed[:LARGEST]


def _relabelled(rng: random.Random, content: bytes) -> bytes:
    """Return an array of another dtype, shape or order than its header said, or with odd values."""
    found = list(KEY.finditer(content[:200]))
    if not found or rng.random() < 0.2:
        place = rng.randrange(len(content) + 1)
        odd = rng.choice(ODD)
        return content[:place] + odd + content[place + len(odd) :]
    match = rng.choice(found)
    group = match.lastindex or 0
    other = rng.choice(
        (KINDS, tuple(shape + b")" * (not shape.endswith(b")")) for shape in SHAPES), (b"True", b"0"))[group - 1]
    )
    end = match.end(group)
    spare = content[end:200].rstrip(b" \n")
    start, rest = content[: match.start(group)] + other, content[end:]
    grown = len(other) - (end - match.start(group))  # the spaces before the values make up for it
    blank = rest.find(b" " * max(1, grown), len(spare) // 2)
    if grown > 0 and blank >= 0:
        rest = rest[:blank] + rest[blank + grown :]
    elif grown < 0:
        rest = rest.replace(b"}", b"}" + b" " * -grown, 1)
    return start + rest


def pictures() -> list[bytes]:
    """Return a picture of each format and mode that is read, and interlaced or in several scans."""
    found = []
    forms = (
        ("PNG", "L"),
        ("PNG", "1"),
        ("PNG", "P"),
        ("JPEG", "L"),
        ("JPEG", "RGB"),
        ("BMP", "RGB"),
        ("PPM", "L"),
        ("PPM", "RGB"),
    )
    for form, mode in forms:
        file = io.BytesIO()
        Image.linear_gradient("L").resize((9, 7)).convert(mode).save(file, form)
        found.append(file.getvalue())
    file = io.BytesIO()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(file, "JPEG", progressive=True)
    return [*found, file.getvalue()]


def read_picture(data: bytes) -> None:
    """Read a folder of two classes, one of which holds this picture."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("boot", "shirt"):
            (Path(folder) / name).mkdir()
            for k in range(6):
                (Path(folder) / name / f"{k}.png").write_bytes(data)
        dataset(folder)


def mutate_picture(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a picture with other sizes in its header, or other bytes; what PNG sums up is summed up again."""
    if data.startswith(b"\x89PNG") and rng.random() < 0.7:
        return _png(rng, data)
    if data[:2] in (b"P5", b"P6") and rng.random() < 0.5:
        sizes = b" ".join(
            rng.choice((b"0", b"9", b"7", b"65535", b"99999999999", b"-1", b"255", b"#", b"")) for _ in range(3)
        )
        return data[:2] + b" " + sizes + rng.choice((b"\n", b" ", b"")) + data[9:]
    return mutate_bytes(rng, data, others)


def _png(rng: random.Random, data: bytes) -> bytes:
    """Return a PNG of changed chunks with right sums."""
    chunks, place = [], 8
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    if not chunks:
        return data
    index = rng.randrange(len(chunks))
    name, content = chunks[index]
    kind = rng.randrange(5)
    if kind == 0 and name == b"IHDR":
        size = rng.choice((0, 1, 9, 4000, 2**16, 2**31 - 1)).to_bytes(4, "big")
        content = (
            size
            + content[4:8]
            + bytes((rng.choice((1, 2, 8, 16)), rng.choice((0, 2, 3, 4, 6)), 0, 0, rng.randrange(2)))
        )
    elif kind == 1:
        name = rng.choice(
            (b"acTL", b"fcTL", b"fdAT", b"tRNS", b"PLTE", b"iCCP", b"zTXt", b"eXIf", b"IEND", b"gAMA")
        )
    elif kind == 2:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[index])
    else:
        content = mutate_bytes(rng, content, ())
    chunks[index] = name, content
    return data[:8] + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    import zlib

    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def _networks() -> tuple[tuple[SpikingNetwork, tuple[int, ...]], ...]:
    torch.manual_seed(0)
    branch = Residual([nn.Conv2d(2, 2, 1), LIF(0.9)])
    image = SpikingNetwork(
        nn.Conv2d(1, 2, 3), branch, nn.Conv2d(2, 2, 1, stride=99), LIF(), nn.Flatten(), num_steps=3
    )
    return (mlp((3, 4, 2), 3, LIF(0.9)).eval(), (3,)), (image.eval(), (1, 6, 6))


def graphs() -> list[bytes]:
    """Return ONNX files of two networks, plain and packed."""
    plain = [write_onnx(network, shape) for network, shape in _networks()]
    return [*plain, *(gzip.compress(content, mtime=0) for content in plain)]


def read_graph(data: bytes) -> None:
    """Read a file beside each of two networks; raise what the last says, if it is of neither."""
    with tempfile.TemporaryDirectory() as folder:
        path, said = Path(folder) / "net.onnx.gz", None
        path.write_bytes(data)
        for network, _ in _networks():
            save(network, path.with_name("net.safetensors"))
            try:
                read_onnx(path)
                return
            except ValueError as error:
                said = error
        assert said is not None
        raise said


def mutate_graph(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a file of other inputs, or with other bytes, packed or not, maybe with a great deal of nothing."""
    content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" and data in graphs() else data
    if rng.random() < 0.5:
        sizes = "x".join(
            str(rng.choice((0, 1, 3, 6, 40_000, 99_999_999))) for _ in range(rng.randrange(1, 6))
        ).encode()
        content = re.sub(
            rb"\x01.[0-9]+(?:x[0-9]+)*", b"\x01" + bytes((len(sizes),)) + sizes, content, count=1, flags=re.DOTALL
        )
    else:
        content = mutate_bytes(rng, content, others)
    if rng.random() < 0.2:
        content += bytes(rng.choice((1, 2**16, 2**25)))
    return gzip.compress(content, 1, mtime=0) if rng.random() < 0.5 else content[: 4 * LARGEST]
