"""The corpus as it is kept, and which functions of the kernel each of its certificates leads through."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from spikecert.checking.kernel.certificates import claim_of
from spikecert.checking.kernel.checking import Checker
from spikecert.checking.network.model import Network, parse_network

FOLDER = Path(__file__).parents[2] / "checking" / "corpus"
Step = tuple[str, int, int]


class Kept(NamedTuple):
    """A certificate of the corpus."""

    name: str
    raw: bytes
    lines: tuple[str, ...]

    @property
    def network(self) -> Network:
        """Return the network, read anew: what is known of it is not remembered."""
        return parse_network(self.raw, self.name)

    @property
    def margins(self) -> dict[str, int | None]:
        """Return what the kernel says of each clause: its least bound, on the grid; None: no run is there."""
        return {str(clause): bound for clause, bound in margins(self.lines, self.network).items()}

    def steps(self) -> set[Step]:
        """Return the steps from line to line that the kernel takes, by file and function."""
        with _Steps() as found:
            margins(self.lines, self.network)
        return found


def margins(lines: Sequence[str], network: Network) -> dict[int, int | None]:
    """Return what the kernel says of each clause."""
    checker = Checker.of(network, claim_of(lines[1], network))
    checker.check(iter(lines[2:]))
    return checker.margins


class _Steps:
    """Traces the kernel's lines."""

    def __enter__(self) -> set[Step]:
        self.found: set[Step] = set()
        sys.settrace(self._called)
        return self.found

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        if "/checking/kernel/" not in code.co_filename:
            return None
        last, name = code.co_firstlineno, f"{Path(code.co_filename).stem} {code.co_qualname}"

        def local(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            self.found.add((name, last, frame.f_lineno))
            last = frame.f_lineno
            return local

        return local


def read() -> list[Kept]:
    """Return the corpus."""
    return [
        Kept(
            name,
            (FOLDER / f"{name}.safetensors").read_bytes(),
            tuple((FOLDER / f"{name}.certificate").read_text().splitlines()),
        )
        for name in sorted(said())
    ]


def said() -> dict[str, dict[str, int | None]]:
    """Return the bounds of each certificate as they were when it was kept."""
    return json.loads((FOLDER / "expected.json").read_text())
