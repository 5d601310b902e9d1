"""CIFAR-10 and CIFAR-100 from their usual Python files.

These files are pickles, and unpickling runs whatever a file asks for. So they are not unpickled: `read_plain`
reads the few instructions that arrays of bytes, numbers and strings need, and refuses every other.

Read a pickle of arrays of bytes, whole numbers, strings and lists, without unpickling it.

A pickle is a program for a small machine with a stack and a memo. The machine here knows the instructions that
CIFAR's published files have (Python 2 wrote them, protocol 2), and what Python 3 makes of the same content in
protocols 2 and 4. It makes plain values only. A name of Python is never looked up: it stays a name, and the three
calls that an array of bytes takes are known by their names and read as what they mean. All else is refused.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .splits import Dataset, Split, find, from_bytes, read, split_off

MOST_STEPS = 600_000
"""Instructions of one file: CIFAR-100's published one has about 200,000, and Python 3 makes 500,000 of it."""
_LONGEST_NAME = 100
_MOST_AXES = 4
_ENCODINGS = (b"latin1", "latin1")
_STATES = tuple((3, sign, None, None, None, -1, -1, 0) for sign in (b"|", "|"))
"""Of the type of bytes: no fields, no other size, no other order."""


class NotPlain(ValueError):
    """A pickle that holds anything else; the message says what."""


@dataclass(frozen=True)
class Name:
    """A name that a pickle asks for."""

    text: str


@dataclass(frozen=True)
class ByteType:
    """What a pickle calls `numpy.dtype("u1")`."""


class ByteArray:
    """An array of bytes: made empty, then given its content."""

    def __init__(self) -> None:
        self.values: np.ndarray | None = None


class _PartStart:
    """Where a tuple, or the new part of a list or a dictionary, starts on the stack."""


_ITEMS = int | str | bytes
_VALUES = int | str | bytes | list | ByteArray
_PICKLE_PARTS = int | str | bytes | tuple | Name | ByteType | None
_ARRAY, _TYPE, _ENCODE = "numpy.ndarray", "numpy.dtype", "_codecs.encode"
_MAKERS = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_NAMES = (_ARRAY, _TYPE, _ENCODE, *_MAKERS)


def read_plain(content: bytes) -> Any:
    """Return what a pickle holds: a number, a string, a list, an array of bytes, or a dictionary of these.

    Raises:
        NotPlain: for a pickle that is cut short, holds anything else, or has more than `MOST_STEPS` instructions.
    """
    try:
        return _finished(_Machine(content).run())
    except (IndexError, struct.error, UnicodeError) as error:
        raise NotPlain(f"it is cut short, or its parts do not fit: {error}") from error


def _finished(value: Any) -> Any:
    """Return a value with the arrays in their places."""
    if isinstance(value, dict):
        return {key: _finished(part) for key, part in value.items()}
    if isinstance(value, ByteArray):
        if value.values is None:
            raise NotPlain("it has an array without content")
        return value.values
    return value


class _Machine:
    """The stack, the memo, and the place in the pickle."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def run(self) -> Any:
        """Return what is on the stack at the end."""
        for _ in range(MOST_STEPS):
            code = self.take(1)
            if code == b".":
                if len(self.stack) != 1:
                    raise NotPlain(f"it ends with {len(self.stack)} values, expected one")
                return self.stack[0]
            if code not in _CODES:
                raise NotPlain(
                    f"it has the instruction {code!r}, which arrays of bytes, numbers and strings do not need"
                )
            _CODES[code](self)
        raise NotPlain(f"it has more than {MOST_STEPS} instructions")

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        found = self.content[self.place : self.place + count]
        if len(found) != count:
            raise NotPlain("it is cut short")
        self.place += count
        return found

    def number(self, form: str) -> int:
        """Return the next number."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """Return the next line of a name."""
        end = self.content.find(b"\n", self.place, self.place + _LONGEST_NAME)
        if end < 0:
            raise NotPlain(f"it has a name that is not closed within {_LONGEST_NAME} bytes")
        found = self.take(end - self.place).decode("ascii")
        self.place += 1
        return found

    def pop(self) -> Any:
        """Return what lies on top, and take it off."""
        if isinstance(self.stack[-1], _PartStart):
            raise NotPlain("it takes more from its stack than there is")
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        """Return what lies above the last mark, and take both off."""
        for place in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[place], _PartStart):
                found = self.stack[place + 1 :]
                del self.stack[place:]
                return found
        raise NotPlain("it takes more from its stack than there is")

    def top(self, kind: type[Any]) -> Any:
        """Return what lies on top, of that type, and leave it there."""
        if not isinstance(self.stack[-1], kind):
            raise NotPlain(f"it fills {_told(self.stack[-1])} as if it were a {kind.__name__}")
        return self.stack[-1]

    def encode(self, text: str) -> bytes:
        """Return text as bytes; all of them together are no longer than the file, where each occurs once."""
        self.encoded += len(text)
        if self.encoded > len(self.content):
            raise NotPlain("it makes more bytes of its texts than it has")
        return text.encode("latin1")


def _told(value: object) -> str:
    return f"the name {value.text}" if isinstance(value, Name) else f"a {type(value).__name__.lstrip('_')}"


def _checked(values: list[Any], kinds: Any, holder: str) -> list[Any]:
    for value in values:
        if not isinstance(value, kinds):
            raise NotPlain(f"it puts {_told(value)} into {holder}")
    return values


def _push(value: Any) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value)


def _push_number(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.number(form))


def _push_bytes(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.take(machine.number(form)))


def _push_text(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.take(machine.number(form)).decode("utf-8"))


def _tuple(count: int) -> Callable[[_Machine], None]:
    return lambda machine: _push_tuple(machine, [machine.pop() for _ in range(count)][::-1])


def _push_tuple(machine: _Machine, parts: list[Any]) -> None:
    """Push a tuple; one in another is flat itself, as shapes are: nothing is nested more deeply."""
    nested = (part for part in _checked(parts, _PICKLE_PARTS, "a tuple") if isinstance(part, tuple))
    for inner in nested:
        _checked(list(inner), int | None, "a tuple in a tuple")
    machine.stack.append(tuple(parts))


def _append(machine: _Machine) -> None:
    (item,) = _checked([machine.pop()], _ITEMS, "a list")
    machine.top(list).append(item)


def _appends(machine: _Machine) -> None:
    items = _checked(machine.since_mark(), _ITEMS, "a list")
    machine.top(list).extend(items)


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _fill(machine.top(dict), [key, value])


def _set_items(machine: _Machine) -> None:
    pairs = machine.since_mark()
    _fill(machine.top(dict), pairs)


def _fill(found: dict[Any, Any], pairs: list[Any]) -> None:
    if len(pairs) % 2:
        raise NotPlain("it puts a key without a value into a dictionary")
    keys = _checked(pairs[::2], _ITEMS, "the keys of a dictionary")
    found.update(zip(keys, _checked(pairs[1::2], _VALUES, "a dictionary"), strict=True))


def _put(form: str) -> Callable[[_Machine], None]:
    def put(machine: _Machine) -> None:
        machine.memo[machine.number(form)] = machine.stack[-1]

    return put


def _memoize(machine: _Machine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


def _get(form: str) -> Callable[[_Machine], None]:
    def get(machine: _Machine) -> None:
        index = machine.number(form)
        if index not in machine.memo:
            raise NotPlain(f"it asks for entry {index} of its memo, which is not there")
        machine.stack.append(machine.memo[index])

    return get


def _global(machine: _Machine) -> None:
    machine.stack.append(_name(machine.line(), machine.line()))


def _stacked_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.stack.append(_name(module, name))


def _name(module: object, name: object) -> Name:
    if not isinstance(module, str) or not isinstance(name, str):
        raise NotPlain(f"it asks for {_told(name)} in {_told(module)}, expected names")
    text = f"{module[:_LONGEST_NAME]}.{name[:_LONGEST_NAME]}"
    if text not in _NAMES:
        shown = text if text.isprintable() else ascii(text)
        raise NotPlain(f"it asks for {shown}, which arrays of numbers do not need")
    return Name(text)


def _called(machine: _Machine) -> None:
    """Push what one of the three known calls means."""
    arguments, function = machine.pop(), machine.pop()
    called = function.text if isinstance(function, Name) else _told(function)
    if called == _ENCODE and _is_text(arguments):
        machine.stack.append(machine.encode(arguments[0]))
    elif called in _MAKERS and arguments in ((Name(_ARRAY), (0,), b"b"), (Name(_ARRAY), (0,), "b")):
        machine.stack.append(ByteArray())
    elif called == _TYPE and arguments in ((b"u1", 0, 1), ("u1", 0, 1)):
        machine.stack.append(ByteType())
    else:
        raise NotPlain(f"it calls {called} with other arguments than an array of bytes needs")


def _is_text(arguments: Any) -> bool:
    fits = isinstance(arguments, tuple) and len(arguments) == 2
    return fits and isinstance(arguments[0], str) and arguments[1] in _ENCODINGS


def _build(machine: _Machine) -> None:
    """Give an array its content, or a type the state that the type of bytes has."""
    state, target = machine.pop(), machine.stack[-1]
    if isinstance(target, ByteType) and state in _STATES:
        return
    if isinstance(target, ByteArray) and target.values is None and isinstance(state, tuple) and len(state) == 5:
        target.values = _array(*state)
        return
    raise NotPlain(f"it gives {_told(target)} a state that bytes do not have")


def _array(version: Any, shape: Any, kind: Any, by_columns: Any, content: Any) -> np.ndarray:
    """Return the array of a state: as many bytes as its shape says, and nothing else."""
    if version != 1 or kind != ByteType() or by_columns not in (0, 1) or not isinstance(content, bytes):
        raise NotPlain("it has an array that is not of bytes")
    if not _is_shape(shape) or math.prod(shape) != len(content):
        raise NotPlain(f"it has an array of another shape than its {len(content)} bytes")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if by_columns else "C")


def _is_shape(shape: Any) -> bool:
    fits = isinstance(shape, tuple) and len(shape) <= _MOST_AXES
    return fits and all(type(size) is int and size >= 0 for size in shape)


_CODES: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda machine: machine.take(1),  # the protocol
    b"\x95": lambda machine: machine.take(8),  # how long a frame is
    b"(": lambda machine: machine.stack.append(_PartStart()),
    b"N": _push(None),
    b"\x88": _push(True),
    b"\x89": _push(False),
    b"K": _push_number("<B"),
    b"M": _push_number("<H"),
    b"J": _push_number("<i"),
    b"U": _push_bytes("<B"),
    b"T": _push_bytes("<I"),
    b"C": _push_bytes("<B"),
    b"B": _push_bytes("<I"),
    b"\x8e": _push_bytes("<Q"),
    b"\x8c": _push_text("<B"),
    b"X": _push_text("<I"),
    b")": lambda machine: machine.stack.append(()),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"t": lambda machine: _push_tuple(machine, machine.since_mark()),
    b"]": lambda machine: machine.stack.append([]),
    b"a": _append,
    b"e": _appends,
    b"}": lambda machine: machine.stack.append({}),
    b"s": _set_item,
    b"u": _set_items,
    b"q": _put("<B"),
    b"r": _put("<I"),
    b"\x94": _memoize,
    b"h": _get("<B"),
    b"j": _get("<I"),
    b"c": _global,
    b"\x93": _stacked_global,
    b"R": _called,
    b"b": _build,
}
"""The instructions by their bytes, in the words of Python's `pickletools`: PROTO, FRAME, MARK, NONE, NEWTRUE, …"""


HELD_OUT_SHARE = 10  # one tenth of the training images: 5,000 of 50,000


_BYTES_A_SAMPLE, _BYTES_BESIDE = 2 * 3072, 2**23
"""The most that a file may have for a sample (Python 3 writes bytes as text in protocol 2), and for the rest."""


@dataclass(frozen=True)
class Layout:
    """Where a data set's files lie, and what they hold.

    Attributes:
        folder, train, test: the files.
        labels: the name of their entry.
        classes: how many there are.
        most: samples of one file.
    """

    folder: str
    train: tuple[str, ...]
    test: str
    labels: bytes
    classes: int
    most: int


_PARTS = tuple(f"data_batch_{k}" for k in range(1, 6))
LAYOUTS = {
    "cifar10": Layout("cifar-10-batches-py", _PARTS, "test_batch", b"labels", 10, most=10_000),
    "cifar100": Layout("cifar-100-python", ("train",), "test", b"fine_labels", 100, most=50_000),
}


def load_cifar(name: str, root: Path | None, seed: int) -> Dataset:
    """Return the 3×32×32 images of `name`, the validation split cut off the training images.

    Raises:
        FileNotFoundError, ValueError: if a file is missing, broken or asks for more than arrays of numbers.

    References: krizhevsky2009cifar
    """
    layout = LAYOUTS[name]
    whole = _split(name, layout, layout.train, root)
    train, validation = split_off(whole, len(whole) // HELD_OUT_SHARE, seed)
    test = _split(name, layout, (layout.test,), root)
    return Dataset(name, train, validation, test, (3, 32, 32), layout.classes)


def _split(name: str, layout: Layout, files: tuple[str, ...], root: Path | None) -> Split:
    folders = [] if root is None else [root, root / layout.folder]
    advice = f"unpack the data set's Python version so that root/{layout.folder} holds it, and pass root"
    parts = [read_batch(find(name, file, folders, advice), layout) for file in files]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return from_bytes(images, labels)


def read_batch(path: Path, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Return images (samples, 3, 32, 32) and labels of one file.

    Raises:
        ValueError: for a file that is broken, too large, or holds more than arrays of bytes, numbers and strings.
    """
    try:
        content = read_plain(read(path, layout.most * _BYTES_A_SAMPLE + _BYTES_BESIDE))
    except NotPlain as error:
        raise ValueError(f"dataset: {path} is no pickle of plain arrays: {error}") from error
    if not isinstance(content, dict) or not {b"data", layout.labels} <= content.keys():
        raise ValueError(f"dataset: {path} lacks the entries of a CIFAR batch: data and {layout.labels.decode()}")
    images, labels = content[b"data"], content[layout.labels]
    fits = isinstance(images, np.ndarray) and images.ndim == 2 and images.shape[1] == 3072
    if not fits or not _counts(labels, len(images)):
        raise ValueError(f"dataset: {path} holds no batch of 3072 bytes and one label a sample")
    if len(labels) > layout.most:
        raise ValueError(f"dataset: {path} holds {len(labels)} samples, expected at most {layout.most}")
    if not all(0 <= label < layout.classes for label in labels):
        raise ValueError(f"dataset: {path} holds a label outside 0 to {layout.classes - 1}")
    return images.reshape(-1, 3, 32, 32), np.array(labels, np.int64)


def _counts(labels: object, count: int) -> bool:
    """Return whether labels are a list of so many whole numbers."""
    return isinstance(labels, list) and len(labels) == count and all(type(label) is int for label in labels)
