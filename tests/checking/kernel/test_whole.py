"""Rule Z, of whole neurons: what is an interval too short, a wrap, or about other constants is refused."""

import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import LIF, IntegerLIF, LInf, SpikingNetwork, WholeInput, save
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Refused
from spikecert.checking.certificates.trials import ShortFile
from spikecert.checking.certificates.whole import rows_of, states_of
from spikecert.checking.kernel import check_certificate
from spikecert.checking.kernel.certificates import opening
from spikecert.checking.kernel.invariants import Driven
from spikecert.checking.kernel.numbers import ONE, Box, scaled, times
from spikecert.checking.kernel.whole import WholeNeuron, WholeNode, checked_whole, inductive_whole
from spikecert.checking.network.files import Content, parse
from spikecert.checking.network.integers import CUTS, IntegerNeuron, WholeLeak
from spikecert.checking.network.model import Network, parse_network
from spikecert.checking.short import FORMATS
from spikecert.models import WholeDecay
from spikecert.models.files import storage as checkpoints

from . import natively

STEPS = 4


def leak(draw: random.Random) -> list[Any]:
    cut, shift = draw.choice(CUTS), draw.choice((0, 1, 2, 4))
    return [cut, shift, draw.randint(0, 2**shift) if cut in CUTS[:3] else 0]


def constants(draw: random.Random) -> dict[str, Any]:
    reset, bits = draw.choice(("zero", "subtract", "none")), draw.choice((5, 6, 8, 24))
    return {
        "type": "IntegerLIF",
        "leak": leak(draw),
        "threshold": draw.randint(1, 12),
        "reset": reset,
        "fires_at": draw.choice((">=", ">")),
        "bits": bits,
        "overflow": draw.choice(("saturate", "saturate", "refuse")),
        "symmetric": draw.random() < 0.5,
        "most": draw.choice((1, 3, 31)) if reset == "subtract" else 1,
        "synapse": leak(draw) if draw.random() < 0.4 else None,
        "decays_last": draw.random() < 0.5,
        "current_bits": draw.choice((bits, 24)),
        "saturating_sums": False,
        "towards": draw.random() < 0.3,
        "rest": draw.choice((0, 1, 2)) if reset == "zero" else 0,
    }


def layer(told: dict[str, Any]) -> IntegerLIF:
    """Return the library's neurons of a description."""
    own = {name: value for name, value in told.items() if name not in ("type", "leak", "threshold")}
    own["synapse"] = None if own["synapse"] is None else WholeDecay(*own["synapse"])
    return IntegerLIF(WholeDecay(*told["leak"]), told["threshold"], **own)


def neuron(told: dict[str, Any], steps: int = STEPS) -> WholeNeuron:
    return WholeNeuron(IntegerNeuron.read("layers.1", told, steps))


def driven(whole: WholeNeuron, boxes: list[Box]) -> Driven:
    """Return what is known of currents in boxes of whole numbers, step by step."""

    def window(a: int, t: int) -> Box:
        low = high = 0
        for least, most in boxes[a:t]:
            low, high = (times(whole.real.decay, end)[side] for side, end in enumerate((low, high)))
            more = scaled((least * ONE, most * ONE), whole.real.scale[0])
            low, high = low + more[0], high + more[1]
        return low, high

    bits = ((0, whole.own.most),) * len(boxes)
    return Driven(whole.real, [(low * ONE, high * ONE) for low, high in boxes], 0, window, bits)


# ---- decays and steps --------------------------------------------------------------------------------------
def test_decays_are_those_of_the_library_and_slow():
    draw = random.Random(0)
    for _ in range(60):
        told = leak(draw)
        own, other = WholeLeak.read("leak", told), WholeDecay(*told)
        values = [*range(-300, 301), *(draw.randint(-(2**31), 2**31) for _ in range(50))]
        assert [own.of(v) for v in values] == other(torch.tensor(values, dtype=torch.float64)).tolist(), told
        assert all(0 <= own.of(v + 1) - own.of(v) <= 1 for v in values)
        assert all(abs(own.of(v) - own.share * v) < 1 for v in values)
        assert own.share == other.share


def held(told: dict[str, Any], draw: random.Random) -> tuple[WholeNeuron, Driven, list[list[WholeNode]]] | None:
    """Return an invariant of drawn currents, or None where a number may wrap."""
    whole = neuron(told)
    boxes = [(low, low + draw.choice((0, 0, 1, 3))) for low in (draw.randint(-6, 14) for _ in range(STEPS))]
    given = driven(whole, boxes)
    try:
        return whole, given, states_of(whole, given, draw.random() < 0.5)
    except Refused:
        return None


def test_invariants_hold_the_library_s_runs_and_no_end_may_be_one_less():
    """Exact: each end of each node is one that some move leads to, so a certificate has nothing to spare."""
    tried = refused = counted = 0
    for seed in range(400):
        draw = random.Random(seed)
        told = constants(draw)
        found = held(told, draw)
        if found is None:
            continue
        whole, given, levels = found
        invariant = inductive_whole(whole, given, levels)
        boxes = [(low // ONE, high // ONE) for low, high in given.boxes]
        drawn = torch.tensor([[draw.randint(*box) for _ in range(60)] for box in boxes], dtype=torch.float64)
        spikes = layer(told)(drawn[:, None], STEPS)[:, 0]
        for t, (least, most) in enumerate(invariant.bits):
            assert bool(((spikes[t] >= least) & (spikes[t] <= most)).all()), (seed, t)
        counted += int(spikes.max()) > 1
        for t, level in enumerate(levels):
            for index, node in enumerate(level):
                for shorter in _shorter(node):
                    forged = [list(each) for each in levels]
                    forged[t][index] = shorter
                    tried += 1
                    try:
                        inductive_whole(whole, given, forged)
                    except Refused:
                        refused += 1
    assert counted > 10
    assert tried == refused > 3000


def _shorter(node: WholeNode) -> list[WholeNode]:
    return [
        node._replace(low=node.low + 1),
        node._replace(high=node.high - 1),
        node._replace(synapse=(node.synapse[0] + 1, node.synapse[1])),
        node._replace(synapse=(node.synapse[0], node.synapse[1] - 1)),
    ]


def test_a_target_that_is_missing_or_another_one_is_refused():
    wrong = told_apart = 0
    for seed in range(200):
        draw = random.Random(seed)
        found = held(constants(draw), draw)
        if found is None:
            continue
        whole, given, levels = found
        for t, index in [(t, i) for t, level in enumerate(levels[:-1]) for i in range(len(level))]:
            node = levels[t][index]
            for n, target in enumerate(node.targets):
                if target < 0:
                    continue
                for other in {-1, len(levels[t + 1]), (target + 1) % len(levels[t + 1])} - {target}:
                    forged = [list(each) for each in levels]
                    forged[t][index] = node._replace(targets=(*node.targets[:n], other, *node.targets[n + 1 :]))
                    wrong += 1
                    try:
                        accepted = inductive_whole(whole, given, forged)
                    except Refused:
                        told_apart += 1
                        continue  # else the other node holds what comes, and all is well
                    assert accepted.bits
    assert told_apart > 0.9 * wrong > 300


def test_rests_parents_and_cuts_that_are_not_so_are_refused():
    told = constants(random.Random(1)) | {
        "leak": ["shift", 1, 0], "threshold": 4, "reset": "zero", "fires_at": ">=", "bits": 8, "rest": 0,
        "overflow": "saturate", "synapse": None, "towards": False, "most": 1, "current_bits": 24,
    }  # fmt: skip
    whole = neuron(told)
    given = driven(whole, [(1, 5)] * STEPS)
    levels = states_of(whole, given, True)
    inductive_whole(whole, given, levels)
    forged = [list(level) for level in levels]
    spiked = next(i for i, node in enumerate(levels[1]) if node.parent == -1)
    forged[1][spiked] = forged[1][spiked]._replace(parent=0)
    with pytest.raises(Refused, match="parent is not the only way"):
        inductive_whole(whole, given, forged)
    forged = [list(level) for level in levels]
    forged[2][0] = forged[2][0]._replace(cuts=(7,))
    with pytest.raises(Refused, match="a cut goes 7 steps back"):
        inductive_whole(whole, given, forged)
    resting = neuron(told | {"rest": 1})
    with pytest.raises(Refused):
        inductive_whole(resting, driven(resting, [(1, 5)] * STEPS), levels)


def test_windows_are_not_of_what_a_synapse_keeps():
    whole = neuron(PLAIN | {"reset": "zero", "overflow": "saturate", "bits": 8, "synapse": ["shift", 1, 0]})
    given = driven(whole, [(1, 2)] * STEPS)
    levels = [list(level) for level in states_of(whole, given, False)]
    levels[1][0] = levels[1][0]._replace(parent=0)
    inductive_whole(whole, given, levels)
    levels[1][0] = levels[1][0]._replace(cuts=(1,))
    with pytest.raises(Refused, match="windows of what a synapse keeps"):
        inductive_whole(whole, given, levels)


def test_windows_end_where_a_width_may_cut():
    """Behind a cut at the bottom a potential is above what came in, so windows would say too little."""
    whole = neuron(PLAIN | {"reset": "zero", "overflow": "saturate", "leak": ["truncate", 0, 1]})
    given = driven(whole, [(-12, -12), (-12, -12), (-2, 0), (1, 1)])
    levels = [list(level) for level in states_of(whole, given, True)]
    assert [level[0].parent for level in levels] == [-1, 0, -1, -1, 0]
    levels[2][0] = levels[2][0]._replace(parent=0)
    with pytest.raises(Refused, match="a width may cut there"):
        inductive_whole(whole, given, levels)


# ---- wraps -------------------------------------------------------------------------------------------------
PLAIN = {
    "type": "IntegerLIF", "leak": ["shift", 3, 0], "threshold": 9, "reset": "none", "fires_at": ">=", "bits": 5,
    "overflow": "refuse", "symmetric": False, "most": 1, "synapse": None, "decays_last": False,
    "current_bits": 24, "saturating_sums": False, "towards": False, "rest": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "current", "fits"),
    [
        ({}, 15, True), ({}, 16, False), ({}, -16, True), ({}, -17, False), ({"symmetric": True}, -16, False),
        ({"overflow": "saturate"}, 16, True),
        ({"bits": 24, "current_bits": 5}, 15, True), ({"bits": 24, "current_bits": 5}, 16, False),
        ({"bits": 24, "current_bits": 5}, -15, True), ({"bits": 24, "current_bits": 5}, -16, False),
        ({"overflow": "saturate", "current_bits": 5}, 16, False),
    ],
)  # fmt: skip
def test_numbers_that_may_wrap_are_refused_at_the_first_that_does(changed, current, fits):
    whole = neuron(PLAIN | changed, 1)
    levels = [[WholeNode(0, 0, (0, 0), -1, (0, 0), ())], [WholeNode(-99, 99, (-99, 99), -1, (), ())]]
    given = driven(whole, [(min(0, current), max(0, current))])
    rows = [((int(c >= 9),), (c * ONE, c * ONE)) for c in range(min(0, current), max(0, current) + 1)]
    if fits:
        inductive_whole(whole, given, levels)
        checked_whole(whole, rows, given.boxes)
        return
    with pytest.raises(Refused, match="where a chip would wrap"):
        inductive_whole(whole, given, levels)
    with pytest.raises(Refused, match="where a chip would wrap"):
        checked_whole(whole, rows, given.boxes)


@pytest.mark.parametrize(("most", "fits"), [(2, True), (1, False)])
def test_a_sum_whose_parts_may_be_cut_is_refused(most, fits):
    """g(w) + size: of "floor" the greater modulus is that of a negative sum."""
    told = PLAIN | {"synapse": ["floor", 1, 1], "saturating_sums": True, "current_bits": 4}
    own = replace(neuron(told, 3).own, current_top=7 + most)
    if fits:
        own.largest(5, None)  # pyright: ignore  # 5, 3 + 5, 4 + 5
    else:
        with pytest.raises(Refused, match="its order would count"):
            own.largest(5, None)  # pyright: ignore


# ---- tables ------------------------------------------------------------------------------------------------
def test_tables_hold_each_current_and_no_row_may_be_another():
    forged_rows = several = 0
    for seed in range(150):
        draw = random.Random(seed)
        told = constants(draw)
        whole = neuron(told)
        low, high = draw.randint(-8, 0), draw.randint(0, 20)
        currents = [(low * ONE, high * ONE)]
        try:
            rows = rows_of(whole, currents)
        except Refused:
            continue
        assert rows is not None
        table = checked_whole(whole, rows, currents)
        values = torch.arange(low, high + 1, dtype=torch.float64)
        trains = layer(told)(values[None, None], STEPS)[:, 0].T
        for value, train in zip(values.tolist(), trains.tolist(), strict=True):
            row = next(r for r, ends in enumerate(table.ends) if ends[0] <= value * ONE <= ends[1])
            assert list(table.trains[row]) == train
        several += bool((trains > 1).any())
        for index, (train, ends) in enumerate(rows):
            others = [
                (train, (ends[0] - ONE, ends[1])), (train, (ends[0], ends[1] + ONE)),
                (train, (ends[0] + ONE, ends[1])), (train, (ends[0], ends[1] - ONE)),
                ((train[0] + 1, *train[1:]), ends), (train[:-1], ends),
            ]  # fmt: skip
            for other in others[index == 0 :]:
                if other[1][1] > high * ONE:
                    continue  # the same train may go on there
                forged_rows += 1
                with pytest.raises(Refused, match=r"current .* has no row|have another train|wrap"):
                    checked_whole(whole, [*rows[:index], other, *rows[index + 1 :]], currents)
    assert forged_rows > 800
    assert several > 5


# ---- certificates ------------------------------------------------------------------------------------------
def made(seed: int, encoding: str = "direct") -> tuple[SpikingNetwork, list[str]]:
    """Return a network and a certificate of it that splits inputs."""
    generator = torch.Generator().manual_seed(seed)
    layers = [WholeInput(0, 7), nn.Linear(3, 4), layer(PLAIN | {"reset": "zero", "bits": 8, "threshold": 6})]
    layers += [nn.Linear(4, 3), layer(PLAIN | {"reset": "subtract", "bits": 8, "most": 1, "threshold": 5})]
    network = SpikingNetwork(
        *layers, nn.Linear(3, 2), LIF(1.0, reset="none"), num_steps=4, encoding=encoding, readout="potential"
    ).double()
    for parameter in network.parameters():
        parameter.data = torch.randint(-4, 5, parameter.shape, generator=generator).double()
    network.eval()
    shape = (3,) if encoding == "direct" else (4, 3)
    sample = torch.randint(2, 6, shape, generator=generator).double()
    proof = Prover.of(network).prove(sample, int(network(sample[None]).argmax()), LInf(1), ties="argmax")
    return network, list(ShortFile.of(parse(proof.packed(), FORMATS, "proof"), read(network)).lines())


def read(network: SpikingNetwork) -> Network:
    return parse_network(checkpoints.to_bytes(network), "network")


CASES = {"direct": 28, "none": 2}


@pytest.fixture(scope="module", params=CASES)
def kept(request) -> tuple[SpikingNetwork, list[str]]:
    return made(CASES[request.param], request.param)


def refusal(network: SpikingNetwork, lines: list[str]) -> str:
    try:
        check_certificate(lines, read(network))
    except Refused as error:
        return str(error)
    return ""


def test_a_kept_certificate_is_accepted_and_none_without_a_record(kept):
    network, lines = kept
    assert not refusal(network, lines)
    words = {line.split()[0] for line in lines[2:]}
    assert words >= {"graph", "class", "input", "leaf", "potential", "close"}
    for index, line in enumerate(lines):
        if line.split()[0] not in ("graph", "potential"):
            assert refusal(network, [*lines[:index], *lines[index + 1 :]]), line[:60]


def test_a_leaf_closes_for_no_neuron_without_an_invariant(kept):
    """For then nothing says that it does not wrap."""
    network, lines = kept
    place, j = [line for line in lines if line.startswith("graph")][-1].split()[1:3]
    left = [line for line in lines if not line.startswith(f"graph {place} {j} ")]
    assert f"layer {place}: neuron {j} has no invariant, and may wrap" in refusal(network, left)


def test_another_class_another_set_and_another_network_are_refused(kept):
    network, lines = kept
    claim = json.loads(lines[1])
    other = [lines[0], json.dumps(claim | {"label": 1 - claim["label"]}), *lines[2:]]
    assert refusal(network, other)
    wider = json.loads(lines[1])
    wider["arrays"]["radius"]["values"] = [(2.0).hex()]
    assert refusal(network, [lines[0], json.dumps(wider), *lines[2:]])
    assert "about another network" in refusal(made(5)[0], lines)


def test_under_other_constants_a_certificate_is_refused_or_true(kept):
    """The kernel reads the constants by itself: what it takes of another network holds of that."""
    network, lines = kept
    claim, refused, accepted = json.loads(lines[1]), 0, 0
    for place in (2, 4):
        rule = network.layers[place].stepped
        for change in (
            {"threshold": rule.threshold - 1}, {"threshold": rule.threshold + 1}, {"fires_at": ">"}, {"bits": 4},
            {"leak": WholeDecay("dash", 3)}, {"leak": WholeDecay("floor", 3, 4)}, {"towards": True},
            {"synapse": WholeDecay("shift", 1)}, {"reset": "none", "rest": 0}, {"current_bits": 4},
        ):  # fmt: skip
            try:
                network.layers[place].stepped = replace(rule, **change)
                told = json.dumps(claim | {"network": read(network).digest})
                if refusal(network, [lines[0], told, *lines[2:]]):
                    refused += 1
                    continue
                accepted += 1
                assert _true(network, claim), change
            finally:
                network.layers[place].stepped = rule
    assert refused > 8 > accepted


@torch.no_grad()
def _true(network: SpikingNetwork, claim: dict[str, Any]) -> bool:
    sample = torch.tensor([float.fromhex(x) for x in claim["arrays"]["sample"]["values"]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    moved = sample + torch.randint(-1, 2, (4000, len(sample)), generator=generator).double()
    outputs = network(moved.clamp(0, 7).view(-1, *claim["arrays"]["sample"]["shape"]))
    return not bool(outputs.isnan().any()) and bool((outputs.argmax(1) == claim["label"]).all())


@pytest.mark.parametrize("end", [0, 1])
def test_graphs_that_are_an_interval_shorter_by_one_are_refused(kept, end):
    network, lines = kept
    found = 0
    for index, line in enumerate(lines):
        if not line.startswith("graph"):
            continue
        words = line.split()
        first = 3 + 4 + 1  # behind the word, place, neuron and the sizes of all levels
        words[first + end] = "-1" if end else "1"  # of the start, whose w is 0
        assert "does not hold the start" in refusal(
            network, [*lines[:index], " ".join(words), *lines[index + 1 :]]
        )
        found += 1
    assert found


def test_splits_of_whole_inputs_are_between_whole_numbers(kept):
    network, lines = kept
    index = next(i for i, line in enumerate(lines) if line.startswith("input"))
    forged = [*lines[:index], " ".join([*lines[index].split()[:3], "7p1"]), *lines[index + 1 :]]
    assert "not whole" in refusal(network, forged)


def test_a_potential_of_a_whole_neuron_has_no_slope(kept):
    network, lines = kept
    index = next(i for i, line in enumerate(lines) if line.startswith("potential"))
    words = lines[index].split()
    words[3 + 4 + 2] = "1"  # behind prices: the number of pieces, a, b
    assert "has a slope" in refusal(network, [*lines[:index], " ".join(words), *lines[index + 1 :]])


def test_a_pair_of_whole_neurons_is_refused(kept):
    network, lines = kept
    index = next(i for i, line in enumerate(lines) if line.startswith("leaf"))
    told = refusal(network, [*lines[: index + 1], "pair 4 0 1 0 0 0 0 0", *lines[index + 1 :]])
    assert "a pair is of whole neurons" in told


# ---- splits of spikes --------------------------------------------------------------------------------------
def test_a_split_of_spikes_is_between_none_and_some_however_many():
    rule = PLAIN | {"reset": "subtract", "overflow": "saturate", "bits": 8, "most": 3, "threshold": 2}
    network = SpikingNetwork(
        WholeInput(0, 7), nn.Linear(1, 1), layer(rule), nn.Linear(1, 2), LIF(1.0, reset="none"),
        num_steps=2, encoding="none", readout="potential",
    ).double()  # fmt: skip
    for parameter in network.parameters():
        parameter.data = parameter.data.round() * 0 + 1
    sample = torch.full((2, 1), 3.0, dtype=torch.float64)
    text = {"label": 0, "network": read(network).digest, "norm": "linf", "lower": 0.0, "upper": 7.0}
    tensors = {"sample": sample.numpy(), "radius": np.array([3.0])}
    maker = ShortFile.of(Content(text, tensors, "", 0), read(network)).maker
    list(maker.facts())
    assert maker.context.bits[2][0] == ((0, 3), (0, 3))
    maker.said("class 1")
    assert maker.split(0, 1.0) == "spike 2 0 1"
    assert maker.context.bits[2][0] == ((0, 3), (0, 0))
    maker.checker._done()
    assert maker.context.bits[2][0] == ((0, 3), (1, 3))


# ---- readouts ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"bits": 8}, ""),
        ({"bits": 8, "fires_at": ">"}, ""),
        ({"bits": 5}, "a potential that is read, or what it adds up, may pass 15"),
        ({"bits": 8, "current_bits": 3}, "a potential that is read, or what it adds up, may pass 3"),
        ({"bits": 8, "current_bits": 4, "saturating_sums": True}, "a part of a sum of currents may pass 7"),
    ],
)
def test_potentials_that_are_read_must_not_be_cut(changed, told):
    """The classes' sums are 5·s and −4·s + 4·s', s = s' = 1 at each of 4 steps: up to 20, by parts of up to 8."""
    adds = PLAIN | {"leak": ["truncate", 0, 1], "overflow": "saturate"}
    always = IntegerLIF(WholeDecay("shift", 0), 1)
    layers = [WholeInput(0, 7), nn.Linear(2, 2), always, nn.Linear(2, 2), layer(adds | changed)]
    network = SpikingNetwork(*layers, num_steps=4, readout="potential").double()
    for parameter, values in zip(
        network.parameters(), ([[1, 0], [0, 1]], [1, 1], [[5, 0], [-4, 4]], [0, 0]), strict=True
    ):
        parameter.data = torch.tensor(values, dtype=torch.float64)
    prover, sample = Prover.of(network.eval()), torch.tensor([3.0, 3.0], dtype=torch.float64)
    if not told:
        assert prover.prove(sample, 0, LInf(1)).leaves == 1
        return
    with pytest.raises(Unproven):
        prover.prove(sample, 0, LInf(1))
    own = read(network)
    certificate = made_of(own, sample)
    assert told in refusal(network, certificate)


def made_of(own: Network, sample: torch.Tensor) -> list[str]:
    """Return a certificate of class 0 whose only leaf is at the root, whatever the kernel says of it."""
    text = {"label": 0, "network": own.digest, "norm": "linf", "ties": "strict", "lower": 0.0, "upper": 7.0}
    tensors = {"sample": sample.numpy(), "radius": np.array([1.0])}
    maker = ShortFile.of(Content(text, tensors, "", 0), own).maker
    return [*opening(text, tensors), *maker.facts(), "class 1", "leaf", "close"]


# ---- the native kernel -------------------------------------------------------------------------------------
@natively.HERE
def test_the_native_kernel_has_no_rule_for_whole_numbers(kept, tmp_path):
    network, lines = kept
    save(network, tmp_path / "build.safetensors")
    assert "no rule for a WholeInput layer" in natively.refusal(tmp_path / "build.safetensors", lines) or (
        "no rule for encoding none" in natively.refusal(tmp_path / "build.safetensors", lines)
    )
