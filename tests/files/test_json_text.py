"""JSON of strangers: what is odd is refused in one line, and nothing takes long or much memory.

What a file says is shown on one line, in the order in which it was written.

Gzip is unpacked as far as is asked for, and no further.
"""

import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.analysis.certificates.checking import FORMAT, load_certificates
from spikecert.checking import Refused
from spikecert.files import beginning, unpacked
from spikecert.files.archives import MOST_GZIP_MEMBERS as MOST_MEMBERS
from spikecert.files.texts import DEEPEST, printable, read_json
from spikecert.reports import load_record
from spikecert.reports.making.combining import load_radii

finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(value=values)
def test_what_python_writes_is_read(value: object) -> None:
    assert read_json(json.dumps(value)) == value
    assert read_json(json.dumps(value).encode()) == value


def nested(depth: int) -> str:
    """Return lists and objects within each other."""
    middle = "[]" if depth % 2 else "0"
    return '[{"a":' * (depth // 2) + middle + "}]" * (depth // 2)


REFUSED = {
    "no JSON": ("{", "Expecting property name"),
    "deep": (nested(DEEPEST + 1), "within each other, expected at most 64 deep"),
    "very deep": (nested(10**6), "within each other, expected at most 64 deep"),
    "not a number": ("[NaN]", "got NaN, expected finite numbers"),
    "infinite": ("[-Infinity]", "got -Infinity, expected finite numbers"),
    "beyond float64": ("[1e999]", "got 1e999, expected finite numbers"),
    "a huge exponent": ("1e30000000", "got 1e30000000, expected finite"),
    "a key twice": ('{"a": {"b": 1, "b": 1}}', "names a key twice"),
    "digits": ("9" * 10**6, "got an integer of 1000000 characters, expected at most 4000"),
    "digits before a point": ("9" * 10**6 + ".5", "got 99999999999999999999, expected finite numbers"),
}


@pytest.mark.parametrize(("text", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_odd_texts_are_one_line(text: str, told: str) -> None:
    started = time.process_time()
    with pytest.raises(ValueError, match=told) as refused:
        read_json(text)
    assert time.process_time() - started < 2
    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


def test_what_is_just_allowed_is_read() -> None:
    assert read_json(nested(DEEPEST))
    assert read_json("9" * 4000) == int("9" * 4000)
    assert read_json(f"0.{'1' * 10**6}") == pytest.approx(1 / 9)


READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "record": (load_record, '"schema": "spikecert.record/3"'),
    "radii": (load_radii, '"schema": "spikecert.radii/2"'),
    "certificates": (load_certificates, f'"format": "{FORMAT}"'),
}


@pytest.mark.parametrize(("read", "head"), READERS.values(), ids=READERS.keys())
@pytest.mark.parametrize("odd", ["NaN", "1e999", "9" * 10**5, "[" * 500 + "]" * 500, '{"a": 1, "a": 2}', '"\\u'])
def test_each_reader_refuses_them(tmp_path: Path, read: Callable[[Path], object], head: str, odd: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(f'{{{head}, "certificates": {odd}, "title": {odd}}}')
    with pytest.raises(ValueError, match="is no JSON") as refused:
        read(path)
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


WRONG = ",".join(f'"{k:x}": ""' for k in range(50_000))
ZEROS, NULLS, SIZES = "0," * 100_000, "null," * 100_000, ",".join(["9" * 4000] * 100)
MANY = {
    "rows": f'"models": [{{"rows": [{ZEROS}0]}}]',
    "seeds": f'"seeds": {{{WRONG}}}',
    "numbers": f'"threat": {{"epsilons": [{NULLS}0]}}',
    "unknown keys": WRONG,
    "sizes": f'"models": [{{"counterexamples": [{{"clean": [], "shape": [{SIZES}]}}]}}]',
}


@pytest.mark.parametrize("content", MANY.values(), ids=MANY.keys())
def test_many_mistakes_take_memory_in_proportion(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(f'{{"schema": "spikecert.record/3", {content}}}')
    tracemalloc.start()
    with pytest.raises(ValueError, match="is not valid: ") as refused:
        load_record(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * path.stat().st_size + 2**20
    assert len(str(refused.value)) < 600


HOSTILE = {
    "an escape sequence": "\x1b[2K\x1b[1Aε = 9",
    "a carriage return": "\rε = 9",
    "a backspace": "3\b9",
    "a C1 control": "\x9b2K",
    "a line end": "a\nb\x0bc\x85d\u2028e\u2029f",
    "a bidirectional override": "\u202eε = 9",
    "an isolate": "\u2066ε\u2069",
    "a mark without width": "a\u200bb\ufeffc",
    "an unpaired surrogate": "a\udc9bb",
    "letters from right to left": "\u05d0\u0627\u0661",
    "a tag": "\U000e0041",
    "a null": "\x00\x7f",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_terminal_does_not_just_print_is_escaped(name):
    shown = printable(HOSTILE[name])
    assert shown.isprintable()
    assert shown.replace("ε", "").isascii()
    assert "\\" in shown
    assert printable(shown) == shown
    assert str(Refused(HOSTILE[name])) == shown
    shown.encode()


@pytest.mark.parametrize("text", ["sample 3 of digits", "ε = 0,5 für Ziffern, 数字 à 8×8", "C:\\proofs", ""])
def test_other_text_stays_as_it_is(text):
    assert printable(text) == text


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(0, 9000))
def test_it_is_what_gzip_makes_of_it(parts: list[bytes], count: int) -> None:
    packed, whole = b"".join(map(gzip.compress, parts)), b"".join(parts)
    assert unpacked(packed, 12000) == gzip.decompress(packed) == whole
    assert beginning(packed, count) == whole[:count]


def test_a_large_file_is_unpacked_in_parts() -> None:
    whole = bytes(range(256)) * 20_000
    assert unpacked(gzip.compress(whole) + gzip.compress(whole), 2 * len(whole)) == 2 * whole


def test_a_bomb_takes_as_much_as_is_asked_for() -> None:
    """Nine megabytes that would be nine thousand."""
    packed = gzip.compress(bytes(2**23), 9) * 1000
    tracemalloc.start()
    started = time.monotonic()
    assert beginning(packed, 16) == bytes(16)
    with pytest.raises(ValueError, match=f"has more than {2**20} bytes unpacked"):
        unpacked(packed, 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert time.monotonic() - started < 5


def test_a_file_of_tiny_members_is_refused() -> None:
    empty = gzip.compress(b"")
    assert unpacked(empty * 1000, 10) == b""
    started = time.process_time()
    with pytest.raises(ValueError, match=f"has more than {MOST_MEMBERS} gzip members"):
        unpacked(empty * 400_000, 10)
    assert time.process_time() - started < 5


def test_what_is_broken_is_refused_in_one_line() -> None:
    packed = gzip.compress(b"spikes and trains" * 50)
    for end in range(2, len(packed)):
        with pytest.raises(ValueError, match="is not a complete gzip file: ") as caught:
            unpacked(packed[:end], 10_000)
        assert "\n" not in str(caught.value)
    for place in range(3, len(packed)):
        changed = packed[:place] + bytes([packed[place] ^ 255]) + packed[place + 1 :]
        if place >= len(packed) - 8 or place == 3:
            with pytest.raises(ValueError, match="is not a complete gzip file"):
                unpacked(changed, 10_000)
    with pytest.raises(ValueError, match="is not a complete gzip file"):
        unpacked(packed + b"more", 10_000)
