"""Proofs beside verdicts: each verified sample has a file that the checker accepts, or a reason why not."""

from pathlib import Path
from typing import Any

import pytest
import torch

from spikecert import (
    L2,
    LInf,
    RateDraws,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    Tolerance,
    mlp,
    moves_at_most,
    quantize,
    verify,
)
from spikecert.certify import PixelBox
from spikecert.certify.proofs import Prover
from spikecert.checking import check


def asked(kind: str) -> tuple[SpikingNetwork, torch.Tensor, Any, Any]:
    """Return a network, samples, labels or a property, and a set."""
    torch.manual_seed(0)
    draws: dict[str, Any] = {"draws": RateDraws(3)} if kind == "rate" else {}
    encoding = kind if kind in ("rate", "none", "latency") else "direct"
    layers = mlp((4, 6, 3), num_steps=3).layers
    network, inputs = SpikingNetwork(*layers, num_steps=3, encoding=encoding, **draws).eval(), torch.rand(12, 4)
    if kind == "none":
        inputs = (torch.rand(12, 3, 4) < 0.5).float()
    if kind == "chip":
        network = quantize(network, "loihi", bits=8)
        inputs = (inputs * 255).round().to(network.dtype)
    sets = {
        "none": SpikeFlip(1),
        "l2": L2(0.05),
        "box": PixelBox(torch.full((4,), 0.05)),
        "latency": SpikeShift(1),
    }
    around = sets.get(kind, LInf(1.0, 0.0, 255.0) if kind == "chip" else LInf(0.05))
    if kind == "property":
        return network, inputs, moves_at_most(0.4), around
    with torch.no_grad():
        return network, inputs, network(inputs).argmax(1), around


@pytest.mark.parametrize("kind", ["linf", "l2", "box", "property", "rate", "none", "chip"])
@pytest.mark.parametrize("how", [{}, {"engine": "local", "workers": 1}], ids=["here", "batches"])
def test_each_verified_sample_has_a_proof_that_is_about_it(kind: str, how: dict[str, Any], tmp_path: Path):
    network, inputs, labels, around = asked(kind)
    found = verify(network, inputs, labels, around, "auto", 20, proof=tmp_path, **how)
    exact, written = Prover.of(network).exact, {path.name for path in tmp_path.iterdir()}
    verified = {f"{index:05d}.proof": index for index, one in enumerate(found) if one.status == "verified"}
    assert set() != written <= verified.keys()
    assert len(verified) - len(written) <= (kind == "rate")  # bits that are split have no proof form
    for name, index in verified.items():
        assert name in written or "; no proof: " in found[index].reason
        if name in written:
            statement = check(tmp_path / name, exact)
            assert torch.as_tensor(statement.sample).to(inputs.dtype).equal(inputs[index])
            assert statement.label == (int(labels[index]) if isinstance(labels, torch.Tensor) else None)
            assert found[index].reason.endswith(f"; proved in {name}")


def test_what_is_proved_is_not_sought_again_and_what_is_damaged_is(tmp_path: Path):
    network, inputs, labels, around = asked("linf")
    first = verify(network, inputs, labels, around, proof=tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(tmp_path.iterdir())}
    cut, *whole = before
    cut.write_bytes(before[cut][1][:40])
    again = verify(network, inputs, labels, around, proof=tmp_path)
    assert [one.reason for one in first] == [one.reason for one in again]
    assert {path: path.stat().st_mtime_ns for path in whole} == {path: before[path][0] for path in whole}
    assert check(cut, Prover.of(network).exact)
    wider = verify(network, inputs, labels, LInf(0.06), proof=tmp_path)  # what is there is about less
    changed = {path for path in whole if path.stat().st_mtime_ns != before[path][0]}
    verified = {f"{index:05d}.proof" for index, one in enumerate(wider) if one.status == "verified"}
    assert {path.name for path in changed} >= verified - {cut.name}


def test_what_has_no_proof_says_why(tmp_path: Path):
    network, inputs, labels, _ = asked("linf")
    draws = RateDraws(torch.rand(3, 12, 4))
    own = SpikingNetwork(*network.layers, num_steps=3, encoding="rate", draws=draws).eval()
    with torch.no_grad():
        labels = own(inputs).argmax(1)
    found = verify(own, inputs, labels, LInf(0.01), "trains", proof=tmp_path)
    assert "verified" in {one.status for one in found}
    assert all("; no proof: " in one.reason for one in found if one.status == "verified")
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_proof_form_is_refused_before_anything_is_decided(tmp_path: Path):
    network, inputs, labels, _ = asked("linf")
    with pytest.raises(ValueError, match=r"^proof: got a folder beside Tolerance"):
        verify(network, inputs, labels, Tolerance(weights=0.01), proof=tmp_path / "p")
    with pytest.raises(ValueError, match=r"^proof: .*no proof form for encoding 'latency'"):
        verify(*asked("latency"), proof=tmp_path / "p")
    assert not (tmp_path / "p").exists()
