"""Write a network, a box and a certificate as the stream that main.ml reads. Plain networks only. python export.py MODEL PROOF > stream

Untrusted in the making of the certificate; what it says of the network and the box is what gets proven.
"""

import sys
from pathlib import Path

from spikecert.certify.certificates import elaborating
from spikecert.checking import read_network
from spikecert.checking.claims import read_claim
from spikecert.checking.network import graph as described
from spikecert.checking.network.files import read
from spikecert.checking.network.graph import arrange
from spikecert.checking.proof import FORMAT


def word(value: int, bits: int) -> str:
    """Return value / 2^bits."""
    return f"{value:x}p{bits}"


def fraction(value) -> str:
    bits = value.denominator.bit_length() - 1
    assert value.denominator == 1 << bits, "no dyadic number"
    return word(value.numerator, bits)


def rows(affine):
    """Yield the rows of an affine map."""
    matrix, found = affine.matrix, [[] for _ in range(affine.matrix.shape[0])]
    for r, c, w in zip(matrix.row.tolist(), matrix.column.tolist(), map(int, matrix.ints)):
        if w:
            found[r].append((c, w))
    for row, bias in zip(found, affine.bias.ints.ravel()):
        yield " ".join(
            ["row", word(int(bias), affine.bias.shift), *(f"{c} {word(w, matrix.shift)}" for c, w in sorted(row))]
        )


def stream(model, proof, work=1.0):
    network = read_network(Path(model))
    content = read(Path(proof), FORMAT)
    claim = read_claim(content.text, content.tensors, network)
    graph = arrange(network, claim.inputs.shape[1:] if network.timed else claim.inputs.shape)
    yield f"steps {network.steps}"
    low, high = claim.inputs.low, claim.inputs.high
    assert low.ints.shape[1] == 1 and claim.inputs.ball is None, "not plain"
    for a, b in zip(low.ints.ravel(), high.ints.ravel()):
        yield f"input {word(int(a), low.shift)} {word(int(b), high.shift)}"
    pending, last = None, None
    for place, node in enumerate(graph.nodes):
        if isinstance(node, described.Through):
            pending = node.affine
        elif isinstance(node, described.Spikes):
            assert node.feedback is None and pending is not None
            yield f"layer {place}"
            yield from rows(pending)
            n = node.neuron
            assert all(a == 1 for a in n.scale), "not plain"
            for _ in range(graph.widths[place]):
                yield f"neuron {fraction(n.decay)} {fraction(n.threshold)} {n.reset} {fraction(n.drop)}"
            pending = None
        else:
            assert isinstance(node, (described.Entrance, described.Mean)), "not plain"
    if pending is not None:
        yield "last"
        yield from rows(pending)
    assert network.integrator is None, "not plain"
    yield f"ties {claim.ties}"
    yield f"label {claim.labelled(graph.widths[-1])}"
    lines = elaborating.elaborate(proof, network)
    next(lines), next(lines)
    yield from lines


if __name__ == "__main__":
    for line in stream(*sys.argv[1:3]):
        print(line)
