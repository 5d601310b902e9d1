"""Changes of bytes, texts and JSON values, by a generator: the same seed gives the same inputs."""

import copy
import json
import math
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

LARGEST = 1 << 16
"""Bytes: what grows beyond is cut."""

INTERESTING = (
    *(None, True, False, 0, -1, 1, 2, 7, 255, 2**31, -(2**63), 2**63, 2**64, 10**12, 10**40),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, 1e999, math.nan, "", "0", "nan", "zero", "mean", "x" * 300),
    *(
        "<script>alert(1)</script>",
        "\u0000",
        "\x1b[2K\r\x9b",
        "=1+1",
        "\u2028",
        "\ud800",
        "\u202e",
        "../../etc/passwd",
        "{{7*7}}",
        "{% raw %}",
    ),
    *([], {}, [[]], [0], [1e308, 1e308], {"type": "Linear"}, {"": None}),
)
TOKEN = re.compile(rb"\s+|[A-Za-z_]+|[-+0-9.eE]+|.", re.DOTALL)

Bytes = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutate_bytes(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return `data` after one to eight changes of bits, bytes, blocks, or with a part of another input."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        place, size = rng.randrange(len(changed) + 1), rng.choice((1, 2, 4, 8, 32))
        kind = rng.randrange(7)
        if kind == 0 and changed:
            changed[min(place, len(changed) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place : place + size] = rng.randbytes(size)
        elif kind == 2:
            del changed[place : place + size]
        elif kind == 3:
            changed[place:place] = changed[place : place + size] * rng.choice((1, 2, 50))
        elif kind == 4:
            value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 2**31 - 1, 2**32, 2**63 - 1))
            changed[place : place + 8] = value.to_bytes(8, "little")
        elif kind == 5:
            changed = changed[: max(1, place)]
        elif others:
            other = rng.choice(others)
            changed[place : place + size] = other[place : place + rng.choice((4, 64, 1024))]
    return bytes(changed[:LARGEST])


def mutate_text(rng: random.Random, data: bytes, others: Sequence[bytes], words: Sequence[bytes] = ()) -> bytes:
    """Return `data` after changes of whole tokens: dropped, doubled, swapped, nested, replaced."""
    tokens = TOKEN.findall(data)
    pool = [*words, *TOKEN.findall(rng.choice(others))] if others else [*words, *tokens]
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        place, size = rng.randrange(len(tokens) + 1), rng.choice((1, 1, 2, 5, 20))
        kind = rng.randrange(6)
        if kind == 0:
            del tokens[place : place + size]
        elif kind == 1:
            tokens[place:place] = tokens[place : place + size] * rng.choice((1, 1, 3, 200))
        elif kind == 2 and tokens:
            other = rng.randrange(len(tokens))
            place = min(place, len(tokens) - 1)
            tokens[place], tokens[other] = tokens[other], tokens[place]
        elif kind == 3 and pool:
            tokens[place : place + 1] = [rng.choice(pool)]
        elif kind == 4:
            depth = rng.choice((1, 3, 70, 3000))
            tokens[place:place] = [b"("] * depth
            tokens[place + depth + size : place + depth + size] = [b")"] * depth
        else:
            number = rng.choice((b"1e400", b"-0", b"1e-400", b"9" * 500, b"1e99999999", b".", b"0.1", b"1e9"))
            tokens[place : place + 1] = [number]
    return b"".join(tokens)[:LARGEST]


def mutate_json(rng: random.Random, value: Any) -> Any:
    """Return a changed copy of a JSON value: nodes replaced, dropped, doubled, moved, renamed, nested deeply."""
    root = [copy.deepcopy(value)]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(root))
        holder, key = rng.choice(places)
        other, other_key = rng.choice(places)
        kind = rng.randrange(8)
        if kind <= 2:
            holder[key] = copy.deepcopy(rng.choice(INTERESTING))
        elif kind == 3 and holder is not root:
            del holder[key]
        elif kind == 4:
            holder[key] = copy.deepcopy(other[other_key])
        elif kind == 5 and isinstance(holder, dict):
            holder[rng.choice([*map(str, holder), "extra", "type", "__class__"])] = holder.pop(key)
        elif kind == 6 and isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[key]) for _ in range(rng.choice((1, 3, 40))))
        elif kind == 7:
            holder[key] = _nested(holder[key], rng.choice((1, 3, 200)))
        elif isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * rng.choice((-1, 2, 1000, 0.5, 1 + 1e-9)) + rng.choice((0, 1, -1))
    return root[0]


def _places(root: Any) -> Any:
    """Yield (container, key) of every node below `root`."""
    pending = [root]
    while pending:
        holder = pending.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                pending.append(holder[key])


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


ODD = (
    *(b"NaN", b"-Infinity", b"1e999", b"1e30000000", b"9" * 500, b"-" + b"9" * 5000, b"0." + b"7" * 3000),
    *(b"[" * 70, b"]" * 70, b'{"a":' * 300, b'"\\ud800"', b'"\\u001b[2J"', b'"type": "Linear",', b"true", b"1.0"),
)
"""Words that JSON has, or has not, beside what a parsed value can be changed into."""


def mutate_json_words(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return JSON text of which words were changed: keys may stand twice, numbers have any length."""
    return mutate_text(rng, data, others, ODD)


def doubled(words: Sequence[bytes], count: int) -> bytes:
    """Return so many words, in turn."""
    return b" ".join(words[index % len(words)] for index in range(count))


def mutate_formula(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a VNN-LIB text with a large assertion: a sum, a product, a disjunction, a box, many times."""
    numbers = (b"1e400", b"1e-400", b"3.7e-399", b"-0", b"1" * 390, b"0.1", b"2")
    names = (b"Y_0", b"Y_1", b"X_0", b"Y[0]", b"Y[1]", b"X[0,0]")
    either = b"(or (<= Y_0 1) (<= Y_1 1))", b"(or (and (<= X_0 0.2) (>= Y_0 1)) (<= Y_1 1))", b"(<= Y_0 1)"
    count = rng.choice((1, 7, 60, 900, 6000))
    several = rng.sample(numbers, rng.randrange(1, 4)), rng.sample(names, rng.randrange(1, 3))
    terms = doubled([word for words in several[: rng.randrange(1, 3)] for word in words], count)
    head = rng.choice((b"+", b"-", b"*", b"<=", b"=="))
    formula = rng.choice(
        (
            b"(<= Y_0 (%s %s))" % (head, terms),
            b"(<= (* (+ %s) %s) 1)" % (doubled(several[1], count), doubled(several[0], count)),
            b"(%s %s)" % (rng.choice((b"and", b"or")), doubled(rng.sample(either, 2), count)),
            b"(and %s)" % (b"(or (and %s))" % doubled(either, 12) * rng.choice((1, 3, 40))),
        )
    )
    times = min(rng.choice((1, 1, 2, 200)), 1 + 4 * LARGEST // len(formula))
    return (data + b"(assert %s)" % formula * times)[: 4 * LARGEST]


def mutate_json_bytes(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return JSON text whose value was changed; text that is no JSON is changed as tokens."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_text(rng, data, others)
    return dumped(mutate_json(rng, value))


def dumped(value: Any) -> bytes:
    """Return JSON text, of which lone surrogates stay escaped."""
    return json.dumps(value)[: 4 * LARGEST].encode()
