"""What a split would decide: never more than runs show, the cut neuron at least, and fewer nodes for it."""

from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikecert import LIF, LInf, mlp
from spikecert.certify.bounds.trains.train_table import TrainRows
from spikecert.certify.branching.question import MarginQuestion
from spikecert.certify.branching.ranges import FirstLayer, RangeSearch, cut_rows
from spikecert.certify.branching.search import Search
from spikecert.kernels.ranges import CutRows, ranges_kernel
from spikecert.testing import Case, cases
from support.examples import examples

from .test_ranges import asked, first_layer, first_trains

ADAM = (8, 0.4, (0.5, 0.7))


def halved(layer: FirstLayer, generator: torch.Generator) -> tuple[TrainRows, Tensor, Tensor]:
    """Return rows that some decisions leave, which neurons these restrict, and inputs, NaN elsewhere."""
    rows, box = layer.rows, layer.source.box
    low, high = box.lower[0].flatten(1), box.upper[0].flatten(1)
    inputs = low + (high - low) * torch.rand(400, *low.shape, generator=generator, dtype=low.dtype)
    currents = inputs @ layer.matrix.T + layer.bias
    split = torch.rand(layer.lower.shape, generator=generator) < 0.3
    first, last = rows.first.flatten(1).clone(), rows.last.flatten(1).clone()
    last = torch.where(split, (first + last) // 2, last)
    inside = (currents <= rows.table.upper[last]) | ~split
    return (
        TrainRows(rows.table, first, last),
        split & (last < rows.last.flatten(1)),
        torch.where(inside.all(2, keepdim=True), inputs, torch.nan),
    )


@examples(60)
@given(case=cases(), seed=st.integers(0, 2**31))
def test_no_cut_decides_what_runs_leave_open(case: Case, seed: int):
    question = asked(case.network, case.inputs, case.labels, LInf(case.epsilon))
    if case.network.encoding != "direct" or first_trains(question) is None:
        return
    layer, generator = question._currents, torch.Generator().manual_seed(seed)
    if not isinstance(layer, FirstLayer) or layer.packed is None:
        return
    found, split, inputs = halved(layer, generator)
    score = torch.rand(found.first.shape, generator=generator, dtype=torch.float64)
    rows, ends, chosen = cut_rows(found, score, 1.0 + score.flip(1)), found.currents, found.first < found.last
    nodes = torch.arange(len(score)), ends.lower, ends.upper, split, chosen
    below, above = torch.zeros(2, *score.shape, len(rows.low), dtype=torch.float64)
    neuron, row = ranges_kernel().foresee(layer.packed, nodes, rows, ADAM, (below, above))
    spared = 1e-3 * below.maximum(above).amax((1, 2), keepdim=True)
    cut = torch.arange(len(rows.low))
    inside = chosen[..., None] & (found.first[..., None] <= cut) & (cut < found.last[..., None])
    worth = ((below + spared) * (above + spared) * rows.weights[..., None]).masked_fill(~inside, -1.0)
    best = worth.flatten(1).amax(1)
    at = worth[torch.arange(len(score)), neuron, row]
    assert bool((at == best)[chosen.any(1)].all()), "what both sides decide, multiplied, is greatest there"
    before = rows.opened[found.first, found.last]
    currents = inputs @ layer.matrix.T + layer.bias  # (400, batch, n); NaN where other rows are left
    slack = 1e-4 * (1.0 + currents.nan_to_num().abs().amax())
    for sample, neuron in chosen.nonzero().tolist():
        for row in range(int(found.first[sample, neuron]), int(found.last[sample, neuron])):
            for side, sides in enumerate((below, above)):
                gain, own = float(sides[sample, neuron, row]), (row + 1, int(found.last[sample, neuron]))
                own = own if side else (int(found.first[sample, neuron]), row)
                decided = before[sample, neuron] - rows.opened[own]
                assert gain >= float(rows.worth[sample, neuron] * decided) - 1e-9
                end = rows.low[row + 1] if side else rows.high[row]
                now = currents[:, sample, neuron]
                kept = currents[(now >= end + slack) if side else (now <= end - slack), sample]
                if not len(kept):
                    continue
                low, high = (place(end, rows) for end in (kept.amin(0) + slack, kept.amax(0) - slack))
                opened = rows.opened[low.minimum(high), high]
                most = rows.worth[sample] * (before[sample] - opened.minimum(before[sample]))
                assert gain <= float(most[chosen[sample]].sum()) + 1e-6


def place(currents: Tensor, rows: CutRows) -> Tensor:
    """Return the row of each current."""
    return torch.searchsorted(rows.high, currents).clamp_max(len(rows.high) - 1)


def alike() -> MarginQuestion:
    """Ask about four neurons that hear one input, and one that hears another."""
    network = mlp((2, 5, 2), num_steps=3, neuron=LIF(0.5)).eval()
    first, last = network.layers[0], network.layers[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    first.weight.data = torch.tensor([[2.0, 0.0]] * 4 + [[0.0, 2.0]])
    first.bias.data.zero_()
    last.weight.data[0] = 1.0 - last.weight.data[1]
    inputs = torch.full((1, 2), 0.5)
    return asked(network, inputs, network(inputs).argmax(1), LInf(0.5))


def cut(question: MarginQuestion, weights: list[float], cuts: int = 64) -> int:
    """Return which neuron is cut, all of the same score."""
    layer = first_layer(question)
    found = TrainRows(layer.rows.table, layer.rows.first.flatten(1), layer.rows.last.flatten(1))
    one = torch.ones(1, 5, dtype=torch.float64)
    given = torch.zeros(1, dtype=torch.long), found, one == 0, one, one * torch.tensor(weights)
    neuron, row = (int(place) for place in RangeSearch(cuts=cuts).best_cuts(layer, *given))
    assert int(found.first[0, neuron]) <= row < int(found.last[0, neuron])
    return neuron


def test_what_decides_most_is_cut_unless_experience_says_otherwise():
    assert cut(alike(), [1.0] * 5) in range(4)
    assert cut(alike(), [1.0, 1.0, 1.5, 1.0, 1.0]) == 2
    assert cut(alike(), [1.0] * 4 + [1e6]) == 4
    assert cut(alike(), [1.0] * 4 + [1.1], cuts=1) == 4
    assert alike().foresees
    assert not replace(alike(), ranges=RangeSearch(cuts=0)).foresees


def test_a_search_takes_fewer_nodes():
    counts = []
    for cuts in (0, 64):
        torch.manual_seed(3)
        network = mlp((6, 24, 12, 3), num_steps=5, neuron=LIF(0.9)).eval()
        for layer in network.layers:
            if isinstance(layer, nn.Linear):
                layer.weight.data *= 2.0
        inputs = torch.rand(4, 6)
        question = asked(network, inputs, network(inputs).argmax(1), LInf(0.1))
        question = replace(question, ranges=RangeSearch(cuts=cuts))
        answer = Search(patience=2000 * question.bytes_each).run(question, lambda *_: False, None)
        assert answer is not None
        counts.append((int(answer.nodes.sum()), (answer.bound > 0).tolist()))
    assert counts[1][0] < counts[0][0]
    assert counts[1][1] >= counts[0][1]
