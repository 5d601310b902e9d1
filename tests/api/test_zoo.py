"""The zoo: eight bits are exact both ways, files say what was proved, and commands take its names."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import L2, LIF, LInf, SpikeFlip, SpikeShift, dataset, load, load_zoo, verify, zoo
from spikecert.analysis import temporal_ablation
from spikecert.certified_networks import Ablated, Entry, Proven, names, pack
from spikecert.certified_networks.keeping import EXPONENTS, FOLDER, from_bits, to_bits, unpacked
from spikecert.cli import main
from spikecert.models import network_hash, strided
from support.examples import examples

TASKS = {"order", "delayed-xor", "gap", "coincidence", "copying", "digit-recall"}
"""Data sets that make themselves."""
MOST_BYTES = 5 * 2**20
ENTRY = Entry(
    name="small",
    title="A small network",
    data="digits",
    samples=10,
    clean=9,
    num_steps=4,
    verifier="trains",
    points=(Proven(epsilon=0.1, certified=5, attacked=None),),
    spikes=(0.2, 0.1),
    trained="spikecert train",
)


@examples(100)
@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([1e-30, 1e-3, 1.0, 127.0, 128.0, 1e20]),
    shape=st.sampled_from([(1, 1), (3, 5), (4, 2, 3, 3)]),
)
def test_eight_bits_are_near_and_come_back_as_they_are(seed: int, size: float, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = size * torch.randn(shape, generator=generator)
    weight[0] *= 0.0 if seed % 5 == 0 else 1.0
    stored = to_bits({"weight": weight, "bias": torch.ones(3)})
    assert stored["weight"].dtype == stored["weight" + EXPONENTS].dtype == torch.int8
    found = from_bits(stored)
    assert found.keys() == {"weight", "bias"}
    assert torch.equal(found["weight"], from_bits(to_bits(found))["weight"])
    rows = weight.flatten(1).abs().amax(1)
    away = (found["weight"] - weight).flatten(1).abs().amax(1)
    assert bool((away <= (rows / 127).clamp_min(2.0**-101)).all())


def test_a_network_comes_back_with_rounded_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = strided((1, 8, 8), 3, 4, LIF(1.0, reset="subtract"), (2, 3, 4)).eval()
    path = pack(network, ENTRY, tmp_path)
    found = unpacked(path)
    assert network_hash(found) != network_hash(network)
    assert network_hash(unpacked(pack(found, ENTRY, tmp_path))) == network_hash(found)
    inputs = torch.rand(20, 1, 8, 8)
    assert float((found(inputs) - network(inputs)).detach().abs().mean()) < 0.05
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ValueError, match=r"^path: .* was changed after it was saved"):
        unpacked(path)


def test_names_are_those_of_files() -> None:
    with pytest.raises(ValueError, match=r"^name: got '\.\./x', expected small letters"):
        pack(strided((1, 8, 8), widths=(2, 2)), ENTRY.model_copy(update={"name": "../x"}))
    with pytest.raises(ValueError, match=r"^name: got 'mnist', expected one of .*mnist-linf-0\.1"):
        load_zoo("mnist")


def test_what_is_kept_is_small_and_said_whole() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES
    assert [entry.name for entry in zoo()] == list(names())
    for entry in zoo():
        assert entry.samples >= entry.clean > 0
        assert entry.shares == {point.epsilon: point.certified / entry.samples for point in entry.points}
        assert entry.points
        assert all(point.certified <= (point.attacked or entry.clean) <= entry.clean for point in entry.points)
        assert len(entry.spikes) == len(load_zoo(entry.name).neurons)
        assert entry.num_steps == load_zoo(entry.name).num_steps
        if entry.num_steps > 1:
            assert entry.ablated is not None
            assert entry.ablated.startswith(f"spikecert ablate zoo:{entry.name} --data {entry.data}")
            for part in ("first step", "λ = 0", "trained anew", "trained anew, λ = 0"):
                assert entry.without(part) is not None


def test_what_is_around_a_sample_is_of_the_entrys_norm() -> None:
    shifts = {"norm": "shift", "events": {"budget": "jitter", "merge": "add"}}
    for told, epsilon, expected in (
        ({}, 0.1, LInf(0.1)),
        ({"norm": "l2"}, 0.5, L2(0.5)),
        ({"norm": "flips"}, 2.0, SpikeFlip(2)),
        (shifts, 1.0, SpikeShift(1, merge="add")),
    ):
        assert ENTRY.model_copy(update=told).around(epsilon) == expected
    written = ENTRY.model_copy(update=shifts).model_dump(mode="json")
    assert Entry.model_validate(json.loads(json.dumps(written))).around(1.0) == SpikeShift(1, merge="add")
    assert ENTRY.without("first step") is None
    kept = ENTRY.model_copy(update={"ablation": (Ablated(name="first step", right=4),)})
    assert kept.without("first step") == 0.4


@pytest.mark.parametrize("name", [entry.name for entry in zoo() if entry.data in TASKS])
def test_networks_of_tasks_that_make_themselves_are_proved_again(name: str) -> None:
    """All that is told of them but what was trained anew: accuracy, certificates, what is left without time."""
    entry, network = next(one for one in zoo() if one.name == name), load_zoo(name)
    test = dataset(entry.data).test
    inputs, labels = test.inputs.float(), test.labels
    for point in entry.points:
        verdicts = verify(network, inputs, labels, entry.around(point.epsilon), entry.verifier)
        assert sum(verdict.status == "verified" for verdict in verdicts) == point.certified
    found = temporal_ablation(network, inputs, labels)
    assert round(found.accuracy * entry.samples) == entry.clean
    rows = {row.name: round(row.accuracy * entry.samples) for row in found.rows}
    assert rows == {one.name: one.right for one in entry.ablation if "anew" not in one.name}


def test_commands_take_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zoo", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == list(names())
    assert main(["zoo"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{entry.ablated}" in listed for entry in zoo())
    columns = listed.splitlines()[0]
    assert all(head in columns for head in ("T", "step 1 %", "λ = 0 %", "anew %", "norm"))
    line = next(line for line in listed.splitlines() if line.startswith("mnist-linf-0.1 "))
    assert line.split()[:6] == ["mnist-linf-0.1", "mnist", "4", "98.6", "98.5", "98.5"]
    assert main(["certify", "zoo:nothing"]) == 2
    assert capsys.readouterr().err.startswith("spikecert: name: got 'nothing', expected one of ")


def test_a_network_file_is_written_for_the_checker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "network.safetensors"
    assert main(["zoo", "mnist-linf-0.1", "--out", str(out)]) == 0
    assert network_hash(load(out)) == network_hash(load_zoo("mnist-linf-0.1"))
    assert capsys.readouterr().out.startswith(f"{out}: network {network_hash(load(out))[:12]}")
    assert main(["zoo", "mnist-linf-0.1"]) == 2
    assert "expected both or none" in capsys.readouterr().err
    (tmp_path / "a.proof").touch()
    assert main(["check-proof", str(tmp_path), "--model", "zoo:mnist-linf-0.1"]) == 2
    assert "spikecert zoo mnist-linf-0.1 --out FILE writes it" in capsys.readouterr().err


@pytest.mark.parametrize("name", [entry.name for entry in zoo() if entry.data not in TASKS])
def test_each_network_is_certified_where_nothing_moves(name: str) -> None:
    network = load_zoo(name)
    shape = {"mnist": (1, 28, 28), "fashion": (1, 28, 28), "cifar10": (3, 32, 32)}[name.split("-")[0]]
    inputs = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    labels = network(inputs).argmax(1)
    verdicts = verify(network, inputs, labels, LInf(0.0), "trains")
    assert [verdict.status for verdict in verdicts] == ["verified"] * 4
