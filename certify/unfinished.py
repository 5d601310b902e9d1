"""Ctrl-C while samples are decided: what is proven by then is not lost."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from .verdicts import Verdict

INTERRUPTED = "it was interrupted"


class Unfinished(KeyboardInterrupt):
    """Ctrl-C came while samples were decided.

    Attributes:
        verdicts: one per sample, in order; an open one is "unknown", with the best margin that was proven, if any.
    """

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        decided = sum(verdict.status != "unknown" for verdict in verdicts)
        super().__init__(f"interrupted with {decided} of {len(verdicts)} samples decided{_least(verdicts)}")
        self.verdicts: tuple[Verdict, ...] = tuple(verdicts)


def left_open(verifier: str, ties: str) -> Verdict:
    """Return the verdict of a sample that had no turn."""
    return Verdict("unknown", None, None, verifier, 0.0, f"{INTERRUPTED} before the first bound", ties)


@contextmanager
def keeping(
    verdicts: Sequence[Verdict], count: int, verifier: str, ties: str, told: Callable[[Verdict], Verdict] = replace
) -> Iterator[None]:
    """Raise Unfinished where Ctrl-C comes within: `verdicts`, what it cut short has, open ones up to `count`.

    `told` says what each of them is about.
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        known = [*map(told, (*verdicts, *getattr(stopped, "verdicts", ())))]
        none = left_open(verifier, known[0].ties if known else ties)
        raise Unfinished([*known, *[none] * (count - len(known))]) from None


def _least(verdicts: Sequence[Verdict]) -> str:
    """Return the least margin that is proven of an open sample, as text; empty where none is."""
    known = [
        (verdict.margin, index)
        for index, verdict in enumerate(verdicts)
        if verdict.status == "unknown" and verdict.margin is not None
    ]
    if not known:
        return ""
    margin, index = min(known)
    return f"; of the others the least proven margin is {margin:.4g}, of sample {index}"
