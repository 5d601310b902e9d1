"""One setting of a build that may be exchanged for the other's, and the table of what differs."""

from dataclasses import dataclass

KINDS = ("weight", "bias", "decay", "threshold", "reset", "order", "delay", "loop", "ties", "saturation")
"""What a cause begins with."""


@dataclass(frozen=True)
class Exchange:
    """A setting that differs, or a dialect that may be spoken.

    Attributes:
        kind: one of `KINDS`.
        layer: where, by its name in the build that is changed.
        words: what differs, A's against B's.
        place: the index of the spiking layer whose trains it changes first; as many as there are for the outputs.
        key: by which it is told apart from others.
        rounding: whether it is no more than a rounding of floats.
    """

    kind: str
    layer: str
    words: str
    place: int
    key: tuple[int | str, ...]
    rounding: bool = False

    @property
    def text(self) -> str:
        """Return it in one line."""
        return f"{self.kind}: {self.layer}: {self.words}"


def joined(exchanges: list[Exchange]) -> str:
    """Return several in one line; those of one kind and one difference in several layers are told once."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in exchanges:
        groups.setdefault((each.kind, each.words), []).append(each.layer)
    return "; and ".join(f"{kind}: {', '.join(layers)}: {words}" for (kind, words), layers in groups.items())
