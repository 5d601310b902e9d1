"""Members as tensors, sets as data: what is read back is what was found, and what is outside a set is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikecert import LIF, LInf, SpikingNetwork, StuckNeurons, Tolerance, VariedLIF, mlp, verify
from spikecert.certify.engines.certification import Repeated
from spikecert.certify.network_sets.base import NetworkSet
from spikecert.certify.network_sets.keeping import build_any, describe_any, kept_member, restored_member
from spikecert.models.files.storage import read_tensors, write_tensors

torch.manual_seed(0)
PLAIN = mlp((5, 8, 6, 3), num_steps=4, neuron=LIF(0.8, 0.5)).eval()
VARIED = SpikingNetwork(
    nn.Linear(5, 7),
    VariedLIF(decay=torch.linspace(0.5, 0.9, 7), threshold=torch.linspace(0.4, 0.6, 7)),
    nn.Linear(7, 3),
    num_steps=4,
).eval()
INPUTS = torch.rand(12, 5)
REST: dict[str, Any] = {"workers": 1, "batch": 64}
SETS: tuple[NetworkSet, ...] = (
    Tolerance(0.3),
    Tolerance(0.2, 0.2, 0.1, around=LInf(0.05)),
    Tolerance(threshold=0.8, decay=0.6),
    StuckNeurons(2),
    StuckNeurons(1, layers=(0,), around=LInf(0.02)),
)


@pytest.mark.parametrize("network", [PLAIN, VARIED], ids=["plain", "varied"])
@pytest.mark.parametrize("networks", SETS, ids=str)
def test_a_member_is_restored_bit_by_bit(network: SpikingNetwork, networks: NetworkSet):
    labels = network(INPUTS).argmax(1)
    found = [one for one in verify(network, INPUTS, labels, networks) if one.member is not None]
    assert found
    for verdict in found:
        assert verdict.member is not None
        kept = kept_member(networks, verdict.member)
        again = restored_member(networks, network, INPUTS, kept)
        assert torch.equal(again(INPUTS), verdict.member(INPUTS))
        assert all(torch.equal(kept[name], other) for name, other in kept_member(networks, again).items())


def _member(networks: NetworkSet) -> dict[str, Tensor]:
    labels = PLAIN(INPUTS).argmax(1)
    found = next(one.member for one in verify(PLAIN, INPUTS, labels, networks) if one.member is not None)
    return kept_member(networks, found)


def _first(kept: dict[str, Tensor]) -> str:
    return next(name for name in kept if name.startswith("weights"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda kept: kept | {_first(kept): kept[_first(kept)] * 1.5}, "numbers outside the set"),
        (lambda kept: kept | {_first(kept): kept[_first(kept)][:1]}, "other names, shapes or dtypes"),
        (lambda kept: kept | {_first(kept): kept[_first(kept)].double()}, "other names, shapes or dtypes"),
        (lambda kept: kept | {"more": torch.zeros(1)}, "other names, shapes or dtypes"),
        (lambda kept: kept | {_first(kept): kept[_first(kept)] * torch.nan}, "not finite"),
        (lambda kept: kept | {"neurons.0.decay": kept["neurons.0.decay"] * 1.01}, "numbers outside the set"),
        (lambda kept: kept | {"neurons.0.threshold": -kept["neurons.0.threshold"]}, "threshold: got -"),
    ],
)
def test_what_is_no_member_of_a_tolerance_is_refused(change: Any, message: str):
    networks = Tolerance(0.3)
    with pytest.raises(ValueError, match=message):
        restored_member(networks, PLAIN, INPUTS, change(_member(networks)))


@pytest.mark.parametrize(
    "rows",
    [
        [[0, 0, 1], [0, 1, 1], [1, 0, 0]],
        [[0, 0, 1], [0, 0, 0]],
        [[2, 0, 1]],
        [[0, 8, 1]],
        [[-1, 0, 1]],
        [[0, -1, 1]],
    ],
)
def test_what_is_no_fault_of_a_set_is_refused(rows: list[list[int]]):
    with pytest.raises(ValueError, match="stuck neurons that are not of"):
        restored_member(StuckNeurons(2), PLAIN, INPUTS, {"faults": torch.tensor(rows)})
    with pytest.raises(ValueError, match="other tensors than which neurons are stuck"):
        restored_member(StuckNeurons(2), PLAIN, INPUTS, {"faults": torch.tensor(rows).double()})
    with pytest.raises(ValueError, match="that are not of"):
        restored_member(StuckNeurons(2, layers=(1,)), PLAIN, INPUTS, {"faults": torch.tensor([[0, 0, 1]])})


@pytest.mark.parametrize("networks", SETS, ids=str)
def test_a_set_is_read_back_as_it_was(networks: NetworkSet):
    told, tensors = describe_any(networks)
    assert build_any(told, tensors) == networks


@pytest.mark.parametrize("networks", SETS, ids=str)
def test_a_fleet_finds_what_verify_finds_and_goes_on(networks: NetworkSet, tmp_path: Path):
    labels, rest = PLAIN(INPUTS).argmax(1), REST
    found = verify(PLAIN, INPUTS, labels, networks, **rest, resume=tmp_path)
    again = verify(PLAIN, INPUTS, labels, networks, **rest, resume=tmp_path)
    alone = verify(PLAIN, INPUTS, labels, networks, seed=0)
    assert [one.status for one in found] == [one.status for one in again]
    assert {one.status for one in found} <= {one.status for one in alone} | {"unknown"}
    for one, other in zip(found, again, strict=True):
        assert (one.member is None) == (one.status != "falsified")
        if one.member is not None:
            assert other.member is not None
            assert torch.equal(one.member(INPUTS), other.member(INPUTS))


def test_a_batch_whose_member_was_changed_is_decided_again(tmp_path: Path):
    networks, labels, rest = Tolerance(0.3), PLAIN(INPUTS).argmax(1), REST
    found = verify(PLAIN, INPUTS, labels, networks, **rest, resume=tmp_path)
    place = tmp_path / "batch-000000.safetensors"
    text, tensors = read_tensors(place, "spikecert.verdicts/1")
    name = next(key for key in tensors if ".weights." in key)
    write_tensors(place, "spikecert.verdicts/1", text, tensors | {name: tensors[name] * 2})
    with pytest.warns(Repeated, match="is decided again: member: got numbers outside the set"):
        again = verify(PLAIN, INPUTS, labels, networks, **rest, resume=tmp_path)
    assert found == again
    dropped = {key: value for key, value in tensors.items() if key != name}
    write_tensors(place, "spikecert.verdicts/1", text, dropped)
    with pytest.warns(Repeated, match="other names, shapes or dtypes"):
        assert verify(PLAIN, INPUTS, labels, networks, **rest, resume=tmp_path) == found
    with pytest.raises(ValueError, match="holds another problem"):
        verify(PLAIN, INPUTS, labels, replace(networks, weights=0.2), **rest, resume=tmp_path)
