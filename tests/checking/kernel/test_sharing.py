"""Rule J against runs of networks whose first neurons share their inputs; splits of inputs by hand."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, LInf, SpikingNetwork, save
from spikecert.certify.proofs import Prover
from spikecert.checking import Refused, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.kernel import check_certificate
from spikecert.checking.kernel.contexts import Window
from spikecert.checking.kernel.narrowing import LinearForm, without_current
from spikecert.checking.kernel.numbers import ONE
from spikecert.models import Recurrent
from support.certificates import Asked, took
from support.examples import THOROUGH

from .test_bounds import allowed


def sharing(generator: np.random.Generator, decay: float) -> SpikingNetwork:
    """Return a network of several neurons behind one or two inputs; all weights are quarters."""
    steps, size, width = (int(generator.integers(*ends)) for ends in ((1, 9), (1, 3), (3, 9)))
    reset = str(generator.choice(["subtract", "subtract", "zero", "none"]))
    first = LIF(decay, reset=reset)
    layers = nn.Linear(size, width), first, nn.Linear(width, 2), LIF(1.0, reset="subtract"), nn.Linear(2, 2)
    network = SpikingNetwork(*layers, num_steps=steps).eval()
    for values in network.parameters():
        values.data = torch.tensor(np.round(generator.normal(size=tuple(values.shape)) * 4) / 4)
    layers[0].bias.data = (-layers[0].weight.data).clamp(min=0).sum(1)
    return network.double()


def test_runs_lie_where_currents_say(tmp_path):
    narrower = ends = 0
    for seed in range(300 if THOROUGH else 40):
        generator = np.random.default_rng(seed)
        decay = float(generator.choice([0.5, 1.0]))
        network = sharing(generator, decay)
        sample, radius = torch.tensor(generator.random(next(network.parameters()).shape[1])), 0.5
        asked = Asked.of(network, tmp_path, sample, radius, 0)
        if generator.random() < 0.5:
            asked.both("class 1")
            asked.both(f"rows {asked.layers[0]} 0 {generator.integers(1, 4)}")
        if asked.empty:
            continue
        with torch.no_grad():
            runs = network.trace(allowed(sample, radius, generator))
        trains = runs.spikes[0].numpy().transpose(1, 2, 0)
        rows = [r for r in range(len(trains)) if _is_here(asked, trains[r], runs.currents[0][0, r].tolist())]
        weight, bias = (part.detach().numpy() for part in network.layers[2].parameters())
        first, signs = int(generator.integers(network.num_steps)), (1, int(generator.integers(-1, 2)))
        factors = generator.integers(-64, 129, network.num_steps - first)
        if generator.random() < 0.7:
            first, factors = 0, 64 * decay ** np.arange(network.num_steps)[::-1]
        window = Window(first, tuple((int(f) * ONE // 64, int(f) * ONE // 64) for f in factors))
        context, source = asked.kernel.context, asked.nodes.spiking(asked.layers[1]).source
        form = LinearForm.of(context, source, dict(enumerate(signs)))
        plain = form.spans(context, window)
        sums = (trains[rows][:, :, first:] * factors).sum(2) @ weight.T + bias * factors.sum()
        exact = [Fraction(float(x)) / 64 for x in sums @ np.array(signs)]
        for gain in (int(factors.sum()), *map(int, generator.integers(-200, 400, 5))):
            low, high = form.spans(context, window, gain * ONE // 64)
            assert all(low <= x * ONE <= high for x in exact)
            narrower += high - low < plain[1] - plain[0] - (ONE >> 8)
            ends += (
                min(exact, default=high) * ONE - low < ONE >> 8 or high - max(exact, default=low) * ONE < ONE >> 8
            )
    assert narrower > 20
    assert ends > 20


def _is_here(asked: Asked, trains: np.ndarray, currents: list[float]) -> bool:
    """Return whether a run has rows that are left."""
    context, place = asked.kernel.context, asked.layers[0]
    table = context.tables[place]
    return all(
        any(
            table.trains[r] == tuple(map(int, train)) and table.ends[r][0] <= Fraction(c) * ONE <= table.ends[r][1]
            for r in context.rows[place][j]
        )
        for j, (train, c) in enumerate(zip(trains, currents, strict=True))
    )


def small(tmp_path, loop: bool = False) -> Asked:
    torch.manual_seed(0)
    second = LIF(0.5, reset="subtract")
    layers = nn.Linear(1, 2), LIF(0.5, reset="subtract"), nn.Linear(2, 2)
    behind = Recurrent(second, nn.Linear(2, 2)) if loop else second
    network = SpikingNetwork(*layers, behind, num_steps=2, readout="spikes").eval()
    return Asked.of(network, tmp_path, torch.tensor([0.5]), 0.25, 0, cells=4)


def test_forms_are_rounded_outward_and_pay_for_errors(tmp_path):
    asked = small(tmp_path)
    context, place = asked.kernel.context, asked.layers[0]
    form = LinearForm({place: {0: 1}}, 1, (0, 0))
    context.recall(place, (Window(0, ((1, 1),)), 0), lambda: ([(1, 1), (1, 1)], set()))
    window = Window(0, ((1, 1),))
    context._known[place][window, 0] = [(1, 1), (1, 1)], set()
    assert form.spans(context, window) == (0, 1)
    window = Window(0, ((ONE, ONE),))
    low, high = without_current(context, place, 0, window, 2 * ONE)
    context.sizes.errors(place)[0] += ONE
    assert without_current(context, place, 0, window, 2 * ONE) == (low - 2 * ONE, high + 2 * ONE)


def test_a_layer_that_hears_itself_has_no_such_windows_and_no_pairs(tmp_path):
    asked = small(tmp_path, loop=True)
    place = asked.layers[1]
    with pytest.raises(Refused, match="hears itself"):
        took(asked.kernel, [f"through {place} 0 0"])
    took(asked.kernel, ["class 1", "leaf"])
    with pytest.raises(Refused, match="hears itself"):
        took(asked.kernel, [f"pair {place} 0 1 1 0 0 0 0 0 0 0 0 0 0 0 -1 -1 -1 -1"])


FORGED = {
    "through 0 0 0": "layer 0: has no neurons",
    "through 9 0 0": "layer 9: has no neurons",
    "through 4 0": "a record is cut short",
    "through 4 0 0 0": "a record goes on behind its end",
    "input 0 0 1p1": "stands outside of all trees",
    "pair 4 0 1": "is no record that may stand here",
}
IN_A_LEAF = {
    "pair 4 0 0 1 1 1": "has no neuron 0 that is left",
    "pair 4 0 5 1 1 1": "has no neuron 5 that is left",
    "pair 3 0 1 1 1 1": "layer 3: has no neurons",
    "pair 4 0 1 99999 1 1": "expected a whole number from 0 to 65536",
    "pair 4 0 1 0 0 0": "a pair does not hold the start",
    "pair 4 0 1 1 0 0 0 0 0 0 0 0 0 0 -1 -1 -1 -1": "lead to no node",
    "through 4 0 0": "is no record that may stand here",
    "input 0 0 1p1": "is no record that may stand here",
}


@pytest.mark.parametrize("leaf", [False, True])
def test_a_record_that_is_none_is_refused_in_a_line(tmp_path, leaf):
    for record, message in (IN_A_LEAF if leaf else FORGED).items():
        asked = small(tmp_path)
        took(asked.kernel, ["class 1", "leaf"] if leaf else [])
        with pytest.raises(Refused, match=message) as error:
            asked.kernel.check([record])
        assert str(error.value).isprintable()


def test_a_split_of_an_input_proves_what_the_whole_box_does_not(tmp_path):
    """|x − ½| ≤ ⅜: one neuron is silent below ½, the other one above, and one of them always fires for class 0."""
    network = SpikingNetwork(nn.Linear(1, 2), LIF(0.5), nn.Linear(2, 2), num_steps=2).eval()
    values = ([[4.0], [-4.0]], [-0.75, 3.25]), ([[1.0, 1.0], [0.0, 0.0]], [0.0, 0.5])
    for layer, (weight, bias) in zip((network.layers[0], network.layers[2]), values, strict=True):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    save(network, tmp_path / "network.safetensors")
    read = read_network(tmp_path / "network.safetensors")
    Prover.of(network).prove(torch.tensor([0.5]), 0, LInf(0.125)).save(tmp_path / "a.proof")
    lines = list(elaborate(tmp_path / "a.proof", read))
    leaf = ["leaf", "close"]
    wide = [line.replace((0.125).hex(), (0.375).hex()) for line in lines[:2]]
    facts = list(_table(network, tmp_path, 0.375))
    with pytest.raises(Refused, match="a leaf's margin is only proven to be at least"):
        check_certificate([*wide, *facts, "class 1", *leaf], read)
    split = [*wide, *facts, "class 1", "input 0 0 1p1", *leaf, *leaf]
    assert check_certificate(split, read).leaves == 2
    for record, message in BAD.items():
        with pytest.raises(Refused, match=message):
            check_certificate([*wide, *facts, "class 1", record, *leaf, *leaf], read)
    with pytest.raises(Refused, match="outside of all trees"):
        check_certificate([*wide, *facts, "input 0 0 1p1", "class 1", *leaf], read)
    apart = [*wide, *facts, "class 1", "input 0 0 2", *leaf, "empty"]
    with pytest.raises(Refused, match="a leaf's margin is only proven"):
        check_certificate(apart, read)
    nested = [*wide, *facts, "class 1", "input 0 0 2", "input 0 0 1p1", *leaf, *leaf, "empty"]
    assert check_certificate(nested, read).leaves == 3


BAD = {
    "input 1 0 1p1": "splits an input that is not there",
    "input 0 1 1p1": "splits an input that is not there",
    "input 0 0 1p3": "a leaf's margin is only proven to be at least",
    "input 0 0": "a record is cut short",
}


def _table(network: SpikingNetwork, folder, radius: float) -> list[str]:
    return [
        line for line in Asked.of(network, folder, torch.tensor([0.5]), radius, 0).records if line[:5] == "table"
    ]


def test_no_input_of_a_rate_code_is_split(tmp_path):
    network = SpikingNetwork(nn.Linear(1, 1), LIF(0.5), nn.Linear(1, 2), num_steps=2, encoding="rate").eval()
    asked = Asked.of(network, tmp_path, torch.tensor([0.5]), 0.25, 0)
    took(asked.kernel, ["class 1"])
    with pytest.raises(Refused, match="splits an input of a rate code or a recording"):
        took(asked.kernel, ["input 0 0 1p1"])
