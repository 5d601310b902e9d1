"""Sums of a whole layer by machine integers: what whole numbers give, however long they are.

A short proof is checked as its certificate is, stored with all rules, and both say the same.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import LInf, save
from spikecert.certify.proofs import Prover
from spikecert.checking import Refused, check, read_network
from spikecert.checking.certificates import elaborate
from spikecert.checking.certificates.elaborating import Elaborator
from spikecert.checking.kernel import check_certificate
from spikecert.checking.numbers.sparse import Digits, Matrix, room, summed
from support.examples import by_night
from support.proofs import KINDS
from support.subtracting import small

from .conftest import FOLDER

ROWS, COLUMNS = 5, 4


def _number(bits):
    """Numbers of up to so many bits, the longest ones among them, and multiples of powers of two."""
    ends = st.sampled_from([-(2**bits), -(2**bits) + 1, -1, 0, 1, 2**bits - 1, 2**bits])
    return ends | st.integers(-(2**bits), 2**bits) | st.integers(-8, 8).map(lambda x: x << bits)


@st.composite
def matrices(draw):
    """Draw matrices of whole numbers, some rows and columns without entries."""
    bits = draw(st.integers(0, 300))
    places = sorted(draw(st.sets(st.integers(0, ROWS * COLUMNS - 1))))
    ints = np.array([draw(_number(bits)) for _ in places] + [None], dtype=object)[:-1]
    place = np.array(places, dtype=np.int64)
    return Matrix((ROWS, COLUMNS), place // COLUMNS, place % COLUMNS, ints, 0)


def _full(matrix):
    full = [[0] * COLUMNS for _ in range(ROWS)]
    for i, j, w in zip(matrix.row.tolist(), matrix.column.tolist(), matrix.ints.tolist(), strict=True):
        full[i][j] = w
    return full


@given(st.data(), matrices(), st.integers(0, 300))
def test_sums_of_all_rows_and_columns_are_exact(data, matrix, bits):
    values, full = [data.draw(_number(bits)) for _ in range(COLUMNS)], _full(matrix)
    assert matrix.images(values) == [sum(w * x for w, x in zip(row, values, strict=True)) for row in full]
    assert matrix.moduli.images(values) == [
        sum(abs(w) * x for w, x in zip(row, values, strict=True)) for row in full
    ]
    rows = data.draw(st.lists(st.integers(0, ROWS - 1), unique=True, min_size=1))
    costs = {i: data.draw(_number(bits)) for i in rows}
    assert matrix.pulled(costs) == [sum(full[i][j] * cost for i, cost in costs.items()) for j in range(COLUMNS)]
    assert [dict(matrix.entries(i)) for i in range(ROWS)] == [
        {j: w for k, j, w in zip(matrix.row, matrix.column, matrix.ints, strict=True) if k == i}
        for i in range(ROWS)
    ]


@given(st.integers(0, 300).flatmap(lambda bits: st.lists(_number(bits))), st.integers(1, 30))
def test_digits_add_up_and_none_is_too_long(values, bits):
    digits = Digits(values, bits)
    told = [sum(int(part[i]) << bits * k for k, part in enumerate(digits.parts)) for i in range(len(values))]
    assert [value << digits.spare for value in told] == values
    assert all(abs(int(x)) <= 2**bits for part in digits.parts for x in part)


@pytest.mark.parametrize("terms", [1, 2, 3, 1000, 1 << 20])
def test_the_longest_digits_have_room(terms):
    """As many products of the largest digits as there is room for stay below 2^63."""
    assert terms * 2 ** (2 * room(terms)) < 2**63
    longest = 2 ** (3 * room(terms)) - 1
    one = Digits([longest] * min(terms, 1000), room(terms))
    assert summed(one, one, lambda a, b: np.array([np.sum(a * b)])) == [longest**2 * min(terms, 1000)]


def check_alike(proof, model) -> None:
    """Both are accepted, with one claim, and the margin by all rules is not the lower one."""
    network = read_network(model)
    known, found = check(proof, network), check_certificate(elaborate(proof, network), network)
    for part in ("claim", "point", "label", "ties", "norm", "epsilon", "leaves", "note", "network"):
        assert getattr(known, part) == getattr(found, part), part
    assert found.margin >= known.margin - 1e-9


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.proof")))
def test_both_accept_a_kept_proof(name):
    check_alike(FOLDER / f"{name}.proof", FOLDER / f"{name}.safetensors")


@pytest.mark.parametrize("kind", by_night(*KINDS), indirect=True)
def test_both_accept_a_proof_of_each_kind(proven, kind):
    check_alike(proven.proof, proven.model)


NEEDED = {"a pair": 1, "currents": 9, "both": 11, "either": 15}
"""Samples that only a pair of counted neurons (F9b), only windows by way of currents (F9a), … prove."""


@pytest.mark.parametrize("need", NEEDED)
def test_both_accept_what_cells_alone_do_not_prove(tmp_path, need):
    network, batch = small(6), torch.rand((30, 6), generator=torch.Generator().manual_seed(0))
    sample, model, proof = batch[NEEDED[need]], tmp_path / "network.safetensors", tmp_path / "a.proof"
    save(network, model)
    Prover.of(network).prove(sample, int(network(sample[None]).argmax()), LInf(0.06)).save(proof)
    check_alike(proof, model)
    read = read_network(model)
    lines = list(elaborate(proof, read))
    without = [line for line in lines if not line.startswith(("pair ", "through "))]
    with pytest.raises(Refused, match=r"is not inductive|a leaf.s margin is only proven to be at least"):
        check_certificate(iter(without), read)


def test_the_native_kernel_is_told_nothing_that_it_does_not_read(run, tmp_path):
    network, batch = small(6), torch.rand((30, 6), generator=torch.Generator().manual_seed(0))
    save(network, tmp_path / "network.safetensors")
    label = int(network(batch[:1]).argmax())
    Prover.of(network).prove(batch[0], label, LInf(0.01)).save(tmp_path / "a.proof")
    read = read_network(tmp_path / "network.safetensors")
    assert any(line.startswith("through ") for line in elaborate(tmp_path / "a.proof", read))
    lines = list(elaborate(tmp_path / "a.proof", read, joint=False))
    assert not any(line.startswith(("through ", "pair ", "input ")) for line in lines)
    assert check_certificate(lines, read).label == label
    kept = tmp_path / "kept"
    asked = (
        "check-proof",
        tmp_path / "a.proof",
        "--model",
        tmp_path / "network.safetensors",
        "--certificates",
        kept,
    )
    assert run(*asked).status == 0
    assert "through " in (kept / "a.certificate").read_text()


@pytest.mark.parametrize(("sample", "needed"), [(0, False), (NEEDED["currents"], True)])
def test_a_prover_asks_rules_of_several_neurons_only_where_a_leaf_needs_them(sample, needed, monkeypatch):
    """One way or the other the facts are made once, and the kernel checks the records that the trials made."""
    made, elaborated = [], Elaborator.facts
    monkeypatch.setattr(Elaborator, "facts", lambda self: (made.append(self.joint), elaborated(self))[1])
    network, batch = small(6), torch.rand((30, 6), generator=torch.Generator().manual_seed(0))
    epsilon = 0.06 if needed else 0.01
    Prover.of(network).prove(batch[sample], int(network(batch[sample][None]).argmax()), LInf(epsilon))
    assert made == [False, True][: 1 + needed]
