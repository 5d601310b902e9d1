"""What a spike leaves of a potential in a NIR graph: v_reset, as NIR defines it, or what many exporters mean.

    "zero"      v = v_reset
    "subtract"  v = v − d,  d = θ, or the node's `reset_amount`

NIR has no field for it. A caller says it for all neurons; else the metadata of a node, of the graph that it is in,
or of one around that do. `to_nir` writes {"reset": "zero" or "subtract"} to each node, and `reset_amount` where d
is not the threshold that is written; other tools' own words for it are read as well.
"""

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...constants import positive
from ..refusal import ConversionRefused

KEYS = ("reset", "reset_mechanism", "reset_method", "reset_mode", "reset_type")
WORDS = {
    **dict.fromkeys(("zero", "hard", "to_zero", "reset_to_zero", "v_reset", "reset_value", "constant"), "zero"),
    **dict.fromkeys(("subtract", "soft", "subtractive", "subtraction", "reset_subtract"), "subtract"),
    **dict.fromkeys(("reset_by_subtraction", "threshold_subtraction", "membrane_subtract"), "subtract"),
}
"""What snnTorch, Norse, sinabs and the papers call the two resets."""


@dataclass(frozen=True)
class Reset:
    """How a neuron resets.

    Attributes:
        kind: "zero" or "subtract".
        amount: what subtracting takes away; None for the threshold.
        told: whether the caller or the graph says so.
    """

    kind: str = "zero"
    amount: float | None = None
    told: bool = True


def resets(graph: Any, kinds: tuple[str, ...], choice: str | None) -> dict[str, Reset]:
    """Return how each node of some kinds resets, by its name among the nodes of `flattened` graphs.

    Args:
        graph: with graphs in it.
        kinds: of the nodes.
        choice: what the caller says, of all of them; None: what the metadata say.

    Raises:
        ConversionRefused: for metadata that name another reset, or two.
    """
    return dict(_within(graph, "", kinds, choice, Reset(told=False)))


def _within(
    graph: Any, prefix: str, kinds: tuple[str, ...], choice: str | None, around: Reset
) -> Iterator[tuple[str, Reset]]:
    around = _said(graph, prefix[:-1] or "graph", choice) or around
    for name, node in graph.nodes.items():
        if type(node).__name__ == "NIRGraph":
            yield from _within(node, f"{prefix}{name}.", kinds, choice, around)
        elif type(node).__name__ in kinds:
            yield f"{prefix}{name}", _said(node, f"{prefix}{name}", choice) or around


def _said(node: Any, name: str, choice: str | None) -> Reset | None:
    """Return the reset that the caller or the metadata of one node say; None for neither."""
    metadata = getattr(node, "metadata", None)
    metadata = metadata if isinstance(metadata, dict) else {}
    kind = choice or _kind(metadata, name)
    if kind is None:
        return None
    amount = metadata.get("reset_amount") if kind == "subtract" else None
    try:
        return Reset(kind, None if amount is None else positive("reset_amount", amount))
    except (TypeError, ValueError) as error:
        raise ConversionRefused(f"{name}: {error}") from error


def _kind(metadata: dict[Any, Any], name: str) -> str | None:
    said = {key: metadata[key] for key in KEYS if key in metadata}
    texts = (value.decode("utf8", "replace") if isinstance(value, bytes) else value for value in said.values())
    found = {WORDS.get(str(text).lower().replace("-", "_").replace(" ", "_")) for text in texts}
    if None in found or len(found) > 1:
        expected = 'expected "zero" or "subtract"; give reset'
        raise ConversionRefused(f"{name}: its metadata say {reprlib.repr(said)}, {expected}")
    return next(iter(found), None)
