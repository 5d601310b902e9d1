"""Reading certificates: files of any size take little memory, and no more work than their bytes allow."""

import os
import tracemalloc
from collections.abc import Iterator

import pytest

from spikecert.checking import Refused
from spikecert.checking.kernel import check_certificate, check_file
from spikecert.checking.kernel.checking import MOST_OPEN

from .conftest import FOLDER, made


def test_a_file_is_read_as_its_lines_are(tmp_path):
    kept, path = made("deep"), tmp_path / "deep.certificate"
    path.write_text("\n".join(kept.lines))
    assert check_file(path, kept.network).claim == check_certificate(iter(kept.lines), kept.network).claim
    path.write_text("\r\n".join([*kept.lines, "", ""]))
    assert check_file(path, kept.network).leaves == 6


def test_a_file_that_is_none_is_refused(tmp_path):
    kept, path = made("deep"), tmp_path / "deep.certificate"
    with pytest.raises(Refused, match=r"^deep\.certificate: can't be read: No such file"):
        check_file(path, kept.network)
    for content in (b"", b"\xff\xfe", b"\n\n", (FOLDER / "deep.proof").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(Refused, match=r"^deep\.certificate: (is no certificate|lacks a part)") as error:
            check_file(path, kept.network)
        assert str(error.value).isprintable()


def test_a_line_without_end_is_refused_before_it_is_held(tmp_path):
    kept, path = made("deep"), tmp_path / "deep.certificate"
    path.write_bytes(b"")
    os.truncate(path, 2**31)
    tracemalloc.start()
    with pytest.raises(Refused, match="has a line of more than 16777216 bytes"):
        check_file(path, kept.network)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def _longer(leaves: int) -> Iterator[str]:
    """Yield a certificate of "dense" with more leaves: each side that is split off holds no run."""
    kept = made("dense")
    start = kept.lines.index("class 0")
    yield from kept.lines[: start + 1]
    for _ in range(leaves):
        yield "rows 2 0 0"
        yield "empty"
    yield from kept.lines[start + 1 :]


def _peak(leaves: int) -> int:
    tracemalloc.start()
    assert check_certificate(_longer(leaves), made("dense").network).leaves == 5 + leaves
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_does_not_grow_with_the_number_of_leaves():
    assert _peak(4000) < 250_000


def _said_again(count: int) -> Iterator[str]:
    kept = made("deep")
    for line in kept.lines:
        yield from [line] * (count if line.startswith("graph") else 1)


def test_a_fact_that_is_stated_again_takes_no_memory():
    tracemalloc.start()
    check_certificate(_said_again(10), made("deep").network)
    assert tracemalloc.get_traced_memory()[1] < 400_000
    tracemalloc.stop()


def test_splits_within_each_other_are_bounded():
    kept = made("dense")
    deep = [*kept.lines[:4], *["rows 2 0 99"] * (MOST_OPEN + 1)]
    assert kept.lines[3] == "class 0"
    assert f"record {MOST_OPEN + 3} (rows 2 0): more than {MOST_OPEN} splits" in kept.refusal(deep)


def test_work_is_bounded_by_the_bytes():
    kept = made("deep")
    check_certificate(iter(kept.lines), kept.network, work=0.2)
    with pytest.raises(Refused, match="work: takes at least"):
        check_certificate(iter(kept.lines), kept.network, work=1e-6)


def test_a_class_of_which_no_run_is_left_is_no_proof():
    """Where all is said to be empty, nothing is bounded: only a set without inputs, or an error, could be so."""
    kept = made("dense")
    classes = [line for line in kept.lines if line.startswith("class")]
    lines = [*kept.lines[:3], *(part for line in classes for part in (line, "empty"))]
    assert "some run may be left here" in kept.refusal(lines)


def test_no_potential_may_overflow(tmp_path):
    """A current of 1e10 and a scale of 1e30 are infinite in the run: it fires once and is NaN ever after."""
    import torch
    from torch import nn

    from spikecert import DLIF, SpikingNetwork
    from support.certificates import Asked

    for encoding, shape in (("direct", (1,)), ("none", (4, 1))):
        first = DLIF(4, 0.5)
        first.input_scale.data = torch.full((4,), 1e30)
        network = SpikingNetwork(nn.Linear(1, 1), first, nn.Linear(1, 2), num_steps=4, encoding=encoding).eval()
        network.layers[0].weight.data.fill_(1e10)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        with pytest.raises(Refused, match="a membrane potential may overflow"):
            Asked.of(network, tmp_path, torch.full(shape, 0.5), 0.1, 0)


def test_the_certificate_of_the_page_is_one(tmp_path):
    """The whole example of docs/proofs.md is what `elaborate` writes of the network that the page describes."""
    import torch
    from torch import nn

    from spikecert import LIF, LInf, SpikingNetwork, save
    from spikecert.certify.proofs import Prover
    from spikecert.checking import read_network
    from spikecert.checking.certificates import elaborate

    weights = (1.0, 0.25), (1.5, 0.0), ((1.0, 0.0), (0.0, 0.25))
    affine = nn.Linear(1, 1), nn.Linear(1, 1), nn.Linear(1, 2)
    for layer, (weight, bias) in zip(affine, weights, strict=True):
        layer.weight.data = torch.tensor(weight).view(-1, 1)
        layer.bias.data = torch.tensor(bias).view(-1)
    network = SpikingNetwork(affine[0], LIF(0.5), affine[1], LIF(0.5), affine[2], num_steps=2).eval()
    save(network, tmp_path / "network.safetensors")
    Prover.of(network).prove(torch.tensor([0.75]), 0, LInf(0.125)).save(tmp_path / "a.proof")
    read = read_network(tmp_path / "network.safetensors")
    page = (FOLDER.parents[2] / "docs" / "proofs.md").read_text(encoding="utf-8")
    told = page.partition("```text\nspikecert.proof/2\n")[2].partition("```")[0].splitlines()[1:]
    made_now = list(elaborate(tmp_path / "a.proof", read))[2:]
    assert [line.split() for line in told] == [line.split() for line in made_now]
