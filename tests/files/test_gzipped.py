"""Gzip is unpacked as far as is asked for, and no further."""

import gzip
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.files import beginning, unpacked
from spikecert.files.gzipped import MOST_MEMBERS


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
