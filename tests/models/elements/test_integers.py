"""Neurons of whole numbers: their decays, their widths, what they refuse, and their files."""

from pathlib import Path

import pytest
import torch
from torch import nn

from spikecert import LIF, IntegerLIF, SpikingNetwork, WholeInput, circuit, load, save
from spikecert.models import WholeDecay
from spikecert.models.elements.integers import NOTHING_LOST, Stepped

DECAYS = (
    WholeDecay("truncate", 12, 3686),
    WholeDecay("truncate", 12, 0),
    WholeDecay("truncate", 12, 4096),
    WholeDecay("floor", 8, 200),
    WholeDecay("nearest", 8, 230),
    WholeDecay("nearest", 15, 29491),
    *(WholeDecay(cut, shift) for cut in ("shift", "dash") for shift in (0, 1, 3, 15)),
)
ALL = torch.arange(-(2**15), 2**15, dtype=torch.float64)


def ones(value: float, features: int = 1) -> torch.Tensor:
    return torch.full((1, 1, features), value, dtype=torch.float64)


@pytest.mark.parametrize("decay", DECAYS, ids=str)
def test_decays_are_slow_and_monotone_on_all_sixteen_bits(decay: WholeDecay):
    steps = decay(ALL).diff()
    assert bool(((steps == 0) | (steps == 1)).all())
    assert bool((decay(ALL).abs() <= ALL.abs()).all())
    assert decay(torch.zeros(1)) == 0


@pytest.mark.parametrize(
    ("decay", "exact"),
    [
        (WholeDecay("truncate", 12, 3686), lambda v: (abs(v) * 3686 >> 12) * (1 if v > 0 else -1)),
        (WholeDecay("floor", 8, 200), lambda v: v * 200 >> 8),
        (WholeDecay("nearest", 8, 230), lambda v: (v * 230 + 128) >> 8),
        (WholeDecay("shift", 3), lambda v: v - (v >> 3)),
        (WholeDecay("dash", 3), lambda v: v - (1 if v >> 3 == 0 and v > 0 else v >> 3)),
    ],
)
def test_decays_are_those_of_python_s_integers(decay: WholeDecay, exact):
    values = [*range(-70, 71), -(2**31), 2**31 - 1, 2**23 - 1, -(2**23)]
    found = decay(torch.tensor(values, dtype=torch.float64))
    assert found.tolist() == [exact(v) for v in values]


def test_a_potential_is_cut_at_its_width():
    layer = IntegerLIF(NOTHING_LOST, 127, reset="none", bits=8)
    assert layer.run(ones(100.0), 3).potentials.flatten().tolist() == [100.0, 127.0, 127.0]
    assert layer.run(ones(-100.0), 3).potentials.flatten().tolist() == [-100.0, -128.0, -128.0]
    layer = IntegerLIF(NOTHING_LOST, 127, reset="none", bits=8, symmetric=True)
    assert layer.run(ones(-100.0), 3).potentials.flatten().tolist() == [-100.0, -127.0, -127.0]


def test_where_a_chip_wraps_there_is_no_number():
    layer = IntegerLIF(NOTHING_LOST, 127, reset="none", bits=8, overflow="refuse")
    assert layer(ones(100.0), 3).isnan().flatten().tolist() == [False, True, True]
    layer = IntegerLIF(NOTHING_LOST, 100, synapse=NOTHING_LOST, current_bits=8)
    assert layer(ones(100.0), 3).isnan().flatten().tolist() == [False, True, True]


def test_several_thresholds_are_several_spikes_up_to_the_most():
    layer = IntegerLIF(NOTHING_LOST, 10, reset="subtract", most=3)
    assert layer(ones(25.0), 3).flatten().tolist() == [2.0, 3.0, 2.0]
    assert layer.run(ones(45.0), 2).potentials.flatten().tolist() == [45.0, 60.0]
    layer = IntegerLIF(NOTHING_LOST, 10, reset="subtract", fires_at=">", most=3)
    assert layer(ones(20.0), 2).flatten().tolist() == [1.0, 2.0]


def test_a_rest_is_deaf():
    layer = IntegerLIF(NOTHING_LOST, 10, rest=2)
    assert layer(ones(20.0), 7).flatten().tolist() == [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]


def test_a_run_in_parts_is_the_run():
    layer = IntegerLIF(WholeDecay("dash", 2), 30, reset="subtract", most=4, synapse=WholeDecay("dash", 1))
    current = torch.randint(-20, 40, (7, 3, 5), generator=torch.Generator().manual_seed(0)).double()
    first, residue = layer.resume(current[:3], None, 0, 3, 7)
    second, _ = layer.resume(current[3:], residue, 3, 4, 7)
    assert torch.equal(torch.cat((first, second)), layer(current, 7))


def network(*layers: nn.Module, **settings) -> SpikingNetwork:
    dense = nn.Linear(2, 2).double()
    with torch.no_grad():
        dense.weight.copy_(torch.tensor([[3.0, -2.0], [1.0, 4.0]]))
        dense.bias.copy_(torch.tensor([1.0, 0.0]))
    made = layers or (WholeInput(0, 9), dense, IntegerLIF(WholeDecay("shift", 2), 8))
    return SpikingNetwork(*made, num_steps=4, readout=settings.pop("readout", "spikes"), **settings).double()


def test_a_file_says_all_of_it(tmp_path: Path):
    decays = {"leak": WholeDecay("dash", 3), "synapse": WholeDecay("dash", 1)}
    rare = IntegerLIF(threshold=7, reset="subtract", fires_at=">", bits=9, most=5, saturating_sums=True, **decays)
    dense = network().layers[1]
    made = network(WholeInput(-3, 9), dense, rare, dense, IntegerLIF(WholeDecay("truncate", 12, 5), 3, rest=2))
    save(made, tmp_path / "chip.safetensors")
    again = load(tmp_path / "chip.safetensors")
    assert [repr(layer) for layer in again.layers] == [repr(layer) for layer in made.layers]
    inputs = torch.randint(-3, 10, (5, 2), generator=torch.Generator().manual_seed(1)).double()
    assert torch.equal(again(inputs), made(inputs))


@pytest.mark.parametrize(
    ("constants", "told"),
    [
        ({"leak": 0.9}, "leak: got float"),
        ({"synapse": 3}, "synapse: got int"),
        ({"threshold": 0}, "threshold: got 0"),
        ({"threshold": 2.5}, "threshold: got float"),
        ({"threshold": 2**23}, "threshold: got 8388608, expected at most 8388607 in 24 bits"),
        ({"bits": 33}, "bits: got 33"),
        ({"most": 2}, "most: got 2 with reset 'zero'"),
        ({"most": 300, "reset": "subtract"}, "most: got 300"),
        ({"rest": 1, "reset": "subtract"}, "rest: got 1"),
        ({"overflow": "wrap"}, "overflow: got 'wrap'"),
        ({"towards": 1}, "towards: got int"),
    ],
)
def test_constants_out_of_range_are_refused(constants: dict, told: str):
    given = {"leak": NOTHING_LOST, "threshold": 8} | constants
    with pytest.raises((TypeError, ValueError), match=told):
        IntegerLIF(**given)


@pytest.mark.parametrize(
    "wrong", [("round", 3, 0), ("shift", 17, 0), ("truncate", 3, 9), ("shift", 3, 1), ("floor", -1, 0)]
)
def test_decays_out_of_range_are_refused(wrong: tuple):
    with pytest.raises(ValueError, match=r"cut|decay|shift"):
        WholeDecay(*wrong)


def test_the_constants_are_one_thing_and_no_other_says_them():
    layer = IntegerLIF(NOTHING_LOST, 8)
    with pytest.raises(AttributeError, match="dynamics: of integer neurons"):
        layer.dynamics = LIF().dynamics
    with pytest.raises(AttributeError, match="threshold"):
        layer.threshold = 3
    layer.stepped = Stepped(WholeDecay("shift", 1), 4)
    assert layer.dynamics.threshold == 4.0
    assert layer.dynamics.decay == 0.5


def test_currents_that_are_not_whole_are_refused():
    with pytest.raises(ValueError, match="not whole"):
        IntegerLIF(NOTHING_LOST, 8)(ones(0.5), 2)
    with pytest.raises(ValueError, match=r"float32.*float64"):
        IntegerLIF(NOTHING_LOST, 8)(ones(1.0).float(), 2)
    with pytest.raises(ValueError, match=r"got 0\.5, expected whole numbers from 0 to 9"):
        network()(torch.full((1, 2), 0.5, dtype=torch.float64))
    with pytest.raises(ValueError, match="got 10"):
        network()(torch.full((1, 2), 10.0, dtype=torch.float64))
    with pytest.raises(ValueError, match="least ≤ most"):
        WholeInput(3, 2)


def halved() -> nn.Linear:
    dense = network().layers[1]
    assert isinstance(dense, nn.Linear)
    with torch.no_grad():
        dense.weight.mul_(0.5)
    return dense


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: network(network().layers[1], IntegerLIF(NOTHING_LOST, 8)), "without a WholeInput"),
        (lambda: network(WholeInput(), halved(), IntegerLIF(NOTHING_LOST, 8)), "weights that are not whole"),
        (lambda: network(WholeInput(), network().layers[1], LIF()), "neurons of rule Leaky"),
        (
            lambda: network(WholeInput(), network().layers[1], nn.AvgPool1d(1), IntegerLIF(NOTHING_LOST, 8)),
            "expected whole numbers alone",
        ),
        (lambda: network(*network().layers, network().layers[1], readout="mean"), "read as a mean"),
        (
            lambda: network(
                WholeInput(), network().layers[1], IntegerLIF(NOTHING_LOST, 8, reset="subtract", most=3)
            ),
            "may fire 3 times a step",
        ),
        (
            lambda: network(*network().layers, network().layers[1], LIF(0.9, reset="none"), readout="potential"),
            "no sums of whole numbers",
        ),
        (lambda: network().float(), "float64"),
        (lambda: network(encoding="rate"), "encoding 'rate'"),
    ],
)
def test_a_network_that_is_whole_in_part_is_refused(made, told: str):
    with pytest.raises(ValueError, match=told):
        circuit(made())


def test_what_is_cut_downwards_keeps_more_below_0():
    """−4, −2 − 4, −3 − 4, −4 − 4: of a positive sum no part passes 7, of a negative one some may."""
    rule = Stepped(
        WholeDecay("shift", 1), 3, synapse=WholeDecay("floor", 1, 1), current_bits=4, saturating_sums=True
    )
    size = torch.tensor([4.0], dtype=torch.float64)
    rule.admit(size, 3)
    with pytest.raises(OverflowError, match="a part of a sum of currents may reach 8, beyond 7"):
        rule.admit(size, 4)


def wrapped(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Return whole numbers as a register of so many bits has them."""
    return (x + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


@pytest.mark.parametrize("synapse", [None, WholeDecay("truncate", 4, 11)], ids=str)
@pytest.mark.parametrize("rest", [1, 3])
def test_where_a_run_has_numbers_they_are_those_of_a_chip_that_wraps(
    synapse: WholeDecay | None, rest: int
) -> None:
    leak = WholeDecay("truncate", 4, 9)
    layer = IntegerLIF(leak, 5, current_bits=6, synapse=synapse, rest=rest)
    current = torch.randint(-20, 40, (8, 512, 1), generator=torch.Generator().manual_seed(0)).double()
    v, u, waits, hidden = torch.zeros(4, 512, 1).double()
    trains = []
    for step in current:
        entering = step if synapse is None else synapse(u) + step
        u = wrapped(entering, 6)
        hidden = hidden + (u != entering)
        v = torch.where(waits > 0, 0.0, leak(v) + u)
        trains.append((v >= 5).double())
        v, waits = v * (1 - trains[-1]), torch.where(v >= 5, float(rest), (waits - 1).clamp(0))
    run = layer(current, num_steps=8)
    numbers = ~run.isnan().any(0).flatten()
    assert set(hidden[numbers].bool().flatten().tolist()) == {False, True}
    assert not numbers.all()
    assert torch.equal(run[:, numbers], torch.stack(trains)[:, numbers])
