"""Texts that would move a cursor, turn a line around, or run; and what must not be left of them."""

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

HOSTILE = (
    "a\x1b[2K\x1b]0;b\x07\r\n\x08\x9b\x7f\u202e\u2066\u200f\u2028\ufeffש<script>alert(1)</script>&amp;\"'`|$_{}"
)
"""One text with something against each form of output."""

CHARACTERS = st.one_of(
    st.characters(),
    st.sampled_from(
        "\x00\x07\x08\t\n\r\x1b\x7f\x85\x9b\xa0\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069"
    ),
    st.sampled_from("\\`*_{}[]()#+-.!|<>&$~^\"'%@=:ש\ud800\ufeff＝"),
)
TEXTS = st.text(CHARACTERS, max_size=40)

TURNING = {"R", "AL", "AN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def unsafe(text: str, kept: str = "") -> list[str]:
    """Return the characters of a text that a terminal would act on; line ends of `kept` are no part of them."""
    return [char for char in text if char not in kept and _acts(char)]


def _acts(char: str) -> bool:
    control = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return control or unicodedata.bidirectional(char) in TURNING


def spoiled(value: Any, accepts: Callable[[Any], bool]) -> tuple[Any, int]:
    """Return JSON data of which each text, and each key, is hostile where it is accepted, and how many are."""
    count = 0
    for path in list(_texts(value)):
        changed = _changed(value, path)
        if accepts(changed):
            value, count = changed, count + 1
    return value, count


def changes(value: Any) -> Iterator[Any]:
    """Yield copies of JSON data, each with one text or key that is hostile."""
    yield from (_changed(value, path) for path in _texts(value))


def _texts(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each text, and after those in it to each key, which is a way that ends in None."""
    if isinstance(value, str):
        yield ()
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, item in items:
        yield from ((key, *path) for path in _texts(item))
        if isinstance(key, str):
            yield key, None


def _changed(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return HOSTILE
    key, *rest = path
    if rest == [None]:
        return {HOSTILE if name == key else name: item for name, item in value.items()}
    changed = _changed(value[key], tuple(rest))
    if isinstance(value, dict):
        return {**value, key: changed}
    return [*value[:key], changed, *value[key + 1 :]]
