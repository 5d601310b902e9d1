"""The loop: mutate, read, judge."""

import random
import re
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .readers import Reader

SLOWEST = 5.0
"""Seconds that one input may take: more counts as a hang."""
MOST_KEPT = 400

Signature = tuple[object, ...]


@dataclass(frozen=True)
class Finding:
    """An input that a reader did not answer as documented."""

    reader: str
    data: bytes
    problem: str


@dataclass(frozen=True)
class Campaign:
    """What a campaign saw.

    Attributes:
        runs, accepted: inputs read, and read without an error.
        places: different places in the code that refused an input.
        slowest: seconds of the slowest input.
        peak: the greatest resident memory of the process, bytes.
        findings: each problem once.
    """

    reader: str
    runs: int
    accepted: int
    places: int
    slowest: float
    peak: int
    findings: tuple[Finding, ...]


def fuzz(
    reader: Reader,
    seconds: float,
    seed: int = 0,
    runs: int | None = None,
    least: int = 0,
    before: Callable[[bytes], None] = lambda data: None,
) -> Campaign:
    """Read mutated files for some time, or a number of runs if that is less.

    Args:
        reader: what is tried.
        seconds: how long.
        seed: of the mutations.
        runs, least: at most and at least so many inputs.
        before: told each input before it is read, for the case that nothing returns.
    """
    rng, pool = random.Random(seed), reader.seeds()
    for data in pool:
        reader.read(data)
    seen: set[Signature] = set()
    findings: dict[Signature, Finding] = {}
    done, accepted, slowest, until = 0, 0, 0.0, time.monotonic() + seconds
    while done < least or (time.monotonic() < until and (runs is None or done < runs)):
        data = _mutated(reader, rng, pool)
        before(data)
        started = time.perf_counter()
        signature, problem = _judge(reader, data)
        took = time.perf_counter() - started
        slowest, done, accepted = max(slowest, took), done + 1, accepted + (signature == ())
        if took > SLOWEST:
            problem = f"took {took:.1f} s"
        if problem is not None:
            findings.setdefault(signature, Finding(reader.name, data, problem))
        if signature not in seen or (signature == () and rng.random() < 0.05):
            seen.add(signature)
            pool.append(data) if len(pool) < MOST_KEPT else pool.__setitem__(rng.randrange(len(pool)), data)
    return Campaign(reader.name, done, accepted, len(seen), slowest, peak_memory(), tuple(findings.values()))


def _mutated(reader: Reader, rng: random.Random, pool: list[bytes]) -> bytes:
    """Return a changed input of the pool, or a seed where one is nested too deeply for the mutator to copy."""
    try:
        return rng.choice(reader.mutators)(rng, rng.choice(pool), pool)
    except RecursionError:
        return rng.choice(reader.seeds())


def _judge(reader: Reader, data: bytes) -> tuple[Signature, str | None]:
    """Return where an input ended, () if it was read, and what is wrong with that, or None."""
    try:
        reader.read(data)
    except Exception as error:  # all that is not documented is a finding
        documented = isinstance(error, reader.errors)
        line = str(error).splitlines()
        problem = None if documented else "".join(traceback.format_exception(error))[-3000:]
        if documented and len(line) != 1:
            problem = f"an error of {len(line)} lines: {error!r:.300}"
        return _signature(error), problem
    return (), None


def _signature(error: BaseException | None) -> Signature:
    """Return an error's words, its type and those of its causes, and the lines they passed."""
    found: list[object] = [re.sub(r"/\S+|\d+", "", str(error))[:160]]
    while error is not None:
        found += [type(error).__name__, *_lines(error.__traceback__)]
        error = error.__cause__ or error.__context__
    return tuple(found[:60])


def _lines(trace: TracebackType | None) -> list[object]:
    lines: list[object] = []
    while trace is not None:
        lines.append((Path(trace.tb_frame.f_code.co_filename).name, trace.tb_lineno))
        trace = trace.tb_next
    return lines[-12:]


def peak_memory() -> int:
    """Return the greatest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
