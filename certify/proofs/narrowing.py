"""What narrows the first layer's currents at a leaf, as the checker reads it."""

from collections.abc import Sequence

import numpy as np

from ...checking.short import Narrowing
from ..branching.nodes.nodes import Nodes
from ..branching.question import MarginQuestion


def narrowing_of(question: MarginQuestion, node: Nodes) -> Narrowing | None:
    """Return the multipliers that the search has for one node, or None where it has none."""
    found = question.narrowing(node)
    if found is None:
        return None
    neurons, slabs, multipliers = (part.numpy() for part in found)
    most = float(np.finfo(np.float32).max)  # any multipliers narrow, if less well
    written = np.nan_to_num(multipliers.clip(-most, most)).astype(np.float32)
    return Narrowing(neurons.astype(np.int32), slabs.astype(np.int32), written)


def written(narrowings: Sequence[Narrowing | None]) -> dict[str, np.ndarray]:
    """Return the arrays that `read_narrowings` reads; none where no leaf has any."""
    found = [narrowing for narrowing in narrowings if narrowing is not None]
    if not found:
        return {}
    sizes = [(0, 0) if n is None else (len(n.neurons), len(n.slabs)) for n in narrowings]
    return {
        "sizes": np.array(sizes, dtype=np.int32),
        "neurons": np.concatenate([n.neurons for n in found]),
        "slabs": np.concatenate([n.slabs for n in found]),
        "multipliers": np.concatenate([n.multipliers.ravel() for n in found]),
    }
