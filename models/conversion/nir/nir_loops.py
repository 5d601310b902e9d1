"""Graphs in graphs as one graph, and the loops of neurons that hear themselves.

A recurrent edge carries what the neuron gave one step before, as in snnTorch's exports; the first step hears
zeros. Only the loop of a neuron and one affine node that reads it alone, and leads to it alone, is taken.
"""

from collections.abc import Iterator
from typing import Any

from ..refusal import ConversionRefused

Edges = list[tuple[str, str]]
DENSE = ("Affine", "Linear", "Conv2d")
"""Nodes through which a neuron may hear itself."""
MOST_LEVELS = 8
"""Graphs within each other."""


def flattened(graph: Any) -> tuple[dict[str, Any], Edges]:
    """Return the nodes and edges of a graph, those of graphs within it under their names.

    Raises:
        ConversionRefused: for graphs too deep within each other, or one with several inputs or outputs.
    """
    nodes, edges = dict(graph.nodes), [(str(start), str(end)) for start, end in graph.edges]
    for _ in range(MOST_LEVELS):
        inner = [name for name, node in nodes.items() if type(node).__name__ == "NIRGraph"]
        if not inner:
            return nodes, edges
        for name in inner:
            nodes, edges = _opened(name, nodes, edges)
    raise ConversionRefused(f"graph: holds graphs within each other, more than {MOST_LEVELS} deep")


def _opened(name: str, nodes: dict[str, Any], edges: Edges) -> tuple[dict[str, Any], Edges]:
    """Return a graph with the nodes of the graph `name` in its place."""
    inner = nodes[name].nodes
    ends = [[key for key, node in inner.items() if type(node).__name__ == kind] for kind in ("Input", "Output")]
    if any(len(found) != 1 for found in ends):
        raise ConversionRefused(f"{name} (NIRGraph): has several inputs or outputs, expected one of each")
    first, last = (f"{name}.{found[0]}" for found in ends)
    within = {f"{name}.{key}": node for key, node in inner.items() if f"{name}.{key}" not in (first, last)}
    strangers = sorted(within.keys() & nodes.keys())
    if strangers:
        raise ConversionRefused(f"graph: has two nodes {strangers[0]!r}")
    around = [(last if start == name else start, first if end == name else end) for start, end in edges]
    whole = around + [(f"{name}.{start}", f"{name}.{end}") for start, end in nodes[name].edges]
    made = {key: node for key, node in nodes.items() if key != name} | within
    return made, _passed(_passed(whole, first), last)


def _passed(edges: Edges, name: str) -> Edges:
    """Return edges that lead past a node, which hands on the sum of what it is given."""
    sources = [start for start, end in edges if end == name]
    found = [pair for edge in edges for pair in (_past(edge, name, sources) if name in edge else [edge])]
    if len(set(found)) < len(found):
        raise ConversionRefused(f"{name}: adds one signal twice, expected sums of different ones")
    return found


def _past(edge: tuple[str, str], name: str, sources: list[str]) -> Iterator[tuple[str, str]]:
    if edge[0] == name:
        yield from ((source, edge[1]) for source in sources)


def without_loops(
    sources: dict[str, list[str]], kinds: dict[str, str], firing: tuple[str, ...]
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Return what leads to each node besides loops, and the node through which each neuron hears itself.

    Args:
        sources: what leads to each node.
        kinds: of the nodes.
        firing: the kinds that fire.
    """
    loops: dict[str, str] = {}
    for name, found in sources.items():
        readers = [key for key, given in sources.items() if name in given]
        if kinds[name] not in DENSE or len(found) != 1 or readers != found or kinds[found[0]] not in firing:
            continue
        if found[0] not in loops and len(sources[found[0]]) > 1:
            loops[found[0]] = name
    left = {name: [key for key in found if loops.get(name) != key] for name, found in sources.items()}
    return left, loops
