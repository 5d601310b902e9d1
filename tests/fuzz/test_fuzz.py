"""A few hundred mutated files for each reader, and a fuzzer that finds what is planted."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.fuzzing import SLOWEST, fuzz
from fuzz.mutators import mutate_bytes
from fuzz.readers import Reader, readers

READERS = readers()
SECONDS = 0.4
MOST_MEMORY = 2**30


@pytest.mark.parametrize("name", READERS)
def test_no_mutated_file_surprises_its_reader(name: str) -> None:
    found = fuzz(READERS[name], SECONDS, seed=3, least=4)
    assert [finding.problem for finding in found.findings] == []
    assert found.places > 1


def planted(read: Callable[[bytes], object]) -> Reader:
    """Return a reader of texts that begin with "spike"."""

    def check(data: bytes) -> None:
        if not data.startswith(b"spike"):
            raise ValueError("data: expected spikes")
        read(data)

    return Reader("planted", check, lambda: [b"spikes: 1, 2, 3"], (mutate_bytes,))


def test_an_undocumented_error_is_found() -> None:
    found = fuzz(planted(lambda data: 1 / data.count(b",")), 5, runs=3000)
    assert [finding.problem.splitlines()[-1] for finding in found.findings] == [
        "ZeroDivisionError: division by zero"
    ]


def test_an_error_of_several_lines_is_found() -> None:
    def read(data: bytes) -> None:
        if b"1" not in data:
            raise ValueError("one\ntwo")

    (finding,) = fuzz(planted(read), 5, runs=1000).findings
    assert finding.problem.startswith("an error of 2 lines")
    assert b"1" not in finding.data


def test_the_same_seed_gives_the_same_inputs() -> None:
    seen: list[list[bytes]] = [[], []]
    for inputs in seen:
        fuzz(READERS["result"], 60, seed=7, runs=100, before=inputs.append)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 50


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_minute_of_mutated_files(name: str, tmp_path: Path) -> None:
    found = fuzz(READERS[name], 60, seed=1)
    assert [finding.problem for finding in found.findings] == []
    assert found.slowest < SLOWEST
    assert found.peak < MOST_MEMORY
