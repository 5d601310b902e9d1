"""Certificates of kept proofs, changed by lines, words and digits; and short proofs that become some."""

import random
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from spikecert.checking import Network, check, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.kernel import check_file

from .mutators import LARGEST, mutate_bytes, mutate_json_bytes

KEPT = Path(__file__).parents[1] / "checking"
FOLDER = KEPT / "proofs-0.1"
PATHS = (
    *(FOLDER / name for name in ("deep", "timed", "dense")),
    *(KEPT / "proofs-1.1" / name for name in ("rows", "first", "resting", "adapting", "whole", "events")),
)
WORDS = tuple(
    b"table graph narrow class rows spike leaf potential price close empty through pair input event 0 1 -1 2 7 99 "
    b"0000 1111 0,1,2 256,0 p1 1p1 -1p160 fffffffffffp44 99999999 0x1 nan".split()
)


@cache
def networks() -> dict[str, Network]:
    """Return the networks by the first digits of their hashes, which a claim names."""
    found = [read_network(path.with_suffix(".safetensors")) for path in PATHS]
    return {network.digest: network for network in found}


@cache
def certificates() -> list[bytes]:
    """Return the certificate of each proof."""
    return [
        "".join(f"{line}\n" for line in elaborate(path.with_suffix(".proof"), network)).encode()
        for path, network in zip(PATHS, networks().values(), strict=True)
    ]


def read(data: bytes) -> None:
    """Check a certificate of the network that it names; of the first one where it names none."""
    known = networks()
    named = [network for digest, network in known.items() if digest.encode() in data]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.certificate"
        path.write_bytes(data)
        check_file(path, named[0] if named else next(iter(known.values())))


def short_proofs() -> list[bytes]:
    """Return a short proof of a class, one of a property, one of whole numbers, and one of events."""
    return [path.with_suffix(".proof").read_bytes() for path in (PATHS[0], PATHS[3], *PATHS[-2:])]


def read_short(data: bytes) -> None:
    """Check the certificate that is made from a short proof."""
    known = networks()
    network = next((one for digest, one in known.items() if digest.encode() in data), next(iter(known.values())))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.proof"
        path.write_bytes(data)
        check(path, network)


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return a certificate with lines moved, doubled, dropped or another's, with other words, or another claim."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        place, kind = rng.randrange(len(lines)), rng.randrange(8)
        if kind == 0:
            del lines[place]
        elif kind == 1:
            lines[place:place] = lines[place : place + 1] * rng.choice((1, 1, 3, 500))
        elif kind == 2:
            lines[place:place] = [rng.choice(rng.choice(others).split(b"\n") if others else lines)]
        elif kind == 3:
            other = rng.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        elif kind == 4 and len(lines) > 1:
            lines[1] = mutate_json_bytes(rng, lines[1], [lines[1]]).replace(b"\n", b" ")
        elif kind == 5:
            lines[place] = mutate_bytes(rng, lines[place], others)
        else:
            lines[place] = _worded(rng, lines[place])
        if not lines:
            break
    return b"\n".join(lines)[:LARGEST]


def _worded(rng: random.Random, line: bytes) -> bytes:
    words = line.split(b" ")
    place = rng.randrange(len(words))
    kind = rng.randrange(4)
    if kind == 0:
        words[place:place] = [words[place]] * rng.choice((1, 2, 300))
    elif kind == 1:
        del words[place]
    elif kind == 2:
        words[place] = rng.choice((*WORDS, rng.choice(words), b"f" * rng.choice((100, 5000))))
    else:
        words[place] = mutate_bytes(rng, words[place], ()).replace(b"\n", b"")
    return b" ".join(words)
