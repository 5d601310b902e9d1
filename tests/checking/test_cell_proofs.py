"""Proofs of networks that subtract: written by cells, checked, and worth nothing once changed."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikecert import LInf, SpikingNetwork, save, verify
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Network, Refused, check, read_network
from spikecert.checking.network.graph import arrange
from spikecert.checking.short import FORMAT
from spikecert.models.files.storage import read_tensors, write_tensors
from spikecert.testing import Case, inputs, points
from support.examples import examples
from support.oracles import line_margin
from support.subtracting import small, subtracting_networks

RADII = st.sampled_from([0.0, 0.01, 0.05])


def own_labels(network: SpikingNetwork, batch: torch.Tensor) -> torch.Tensor:
    """Return the classes that the network gives."""
    with torch.no_grad():
        return network(batch).argmax(1)


@examples(25)
@given(st.data(), subtracting_networks(most_steps=6), RADII, st.integers(0, 2**31))
def test_what_trains_verifies_has_a_proof_that_no_run_contradicts(tmp_path_factory, data, network, epsilon, seed):
    batch, folder = data.draw(inputs(network, batch=2)), tmp_path_factory.mktemp("subtracting")
    case = Case(network, batch, own_labels(network, batch), epsilon)
    save(network, folder / "network.safetensors")
    verdicts, prover = (
        verify(network, batch, case.labels, LInf(epsilon), "trains", ties="strict"),
        Prover.of(network),
    )
    with torch.no_grad():
        sampled = points(case, 40, torch.Generator().manual_seed(seed))
        logits = torch.stack([network(part) for part in sampled]).double()
    for index, label in enumerate(case.labels.tolist()):
        try:
            proof = prover.prove(batch[index], label, LInf(epsilon), timeout=10.0, ties="strict")
        except Unproven:
            assert verdicts[index].status != "verified" or (verdicts[index].margin or 0.0) < 1e-3
            continue
        proof.save(folder / "sample.proof")
        margin = check(folder / "sample.proof", folder / "network.safetensors").margin
        others = logits[:, index].clone()
        others[:, label] = -torch.inf
        assert float((logits[:, index, label] - others.amax(1)).min()) >= margin >= 0
        assert bool((logits[:, index].argmax(1) == label).all())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a network's file and a proof by cells, which windows from spike to spike do not give."""
    folder, network = tmp_path_factory.mktemp("small"), small()
    save(network, folder / "network.safetensors")
    batch = torch.rand((30, 6), generator=torch.Generator().manual_seed(0))
    labels = own_labels(network, batch)
    verdicts = verify(network, batch, labels, LInf(0.02), "trains")
    index = [verdict.status for verdict in verdicts].index("verified")
    sample, label = batch[index], int(labels[index])
    proof = Prover.of(network).prove(sample, label, LInf(0.02))
    assert proof.leaves == len(proof.trees) == 2
    proof.save(folder / "sample.proof")
    return folder / "sample.proof", folder / "network.safetensors"


def changed(source, target, change):
    """Return a sealed copy of a proof after `change` of its text and its tensors."""
    text, tensors = read_tensors(source, FORMAT)
    described = json.loads(text)
    change(described, tensors)
    write_tensors(target, FORMAT, json.dumps(described), tensors)
    return target


def test_a_proof_by_cells_alone_holds_no_prices(written):
    text, tensors = read_tensors(written[0], FORMAT)
    assert json.loads(text)["cells"] == 16
    assert json.loads(text)["side"] == 32
    assert not [name for name in tensors if "prices" in name]
    assert check(*written).margin > 0


def shapes_of(network: Network, sample: torch.Tensor) -> list[tuple[int, ...]]:
    """Return the shapes of prices of a network with one layer of neurons and of one that reads it."""
    first, *later = arrange(network, tuple(sample.shape)).spiking
    widths = arrange(network, tuple(sample.shape)).widths
    return [(widths[first],), *((widths[place], network.steps) for place in later)]


CHANGES = {
    "no cells": ({"cells": 0, "side": 0}, "is only proven"),
    "one cell": ({"cells": 1}, "cells: got '1', expected 0, or 2 to 64"),
    "too many cells": ({"cells": 65}, "cells: got '65'"),
    "a negative side": ({"side": -2}, "side: got '-2'"),
    "too long a side": ({"side": 10**9}, "side: got '1000000000'"),
    "half a cell": ({"cells": 2.5}, "cells: got '2.5'"),
    "a true cell": ({"cells": True}, "cells: got 'True'"),
    "a word": ({"side": "many"}, "side: got 'many'"),
    "a wider radius": ({}, "is only proven"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_proof_is_refused(written, tmp_path, name):
    parts, message = CHANGES[name]

    def change(text, tensors):
        text |= parts
        if not parts:
            tensors["radius"] = torch.full_like(tensors["radius"], 0.5)

    with pytest.raises(Refused, match=message):
        check(changed(written[0], tmp_path / "changed.proof", change), written[1])


def test_prices_may_be_left_out_and_wrong_ones_close_nothing(written, tmp_path):
    network = read_network(written[1])

    def priced(size):
        def change(text, tensors):
            text["side"] = 0
            for layer, shape in enumerate(shapes_of(network, tensors["sample"])):
                for other in {name.partition(".")[0] for name in tensors if name.endswith("neuron")}:
                    tensors[f"{other}.prices.{layer}"] = torch.full((1, *shape), size, dtype=torch.float32)

        return change

    assert check(changed(written[0], tmp_path / "zero.proof", priced(0.0)), written[1]).leaves == 2
    with pytest.raises(Refused, match="is only proven"):
        check(changed(written[0], tmp_path / "wild.proof", priced(1e20)), written[1])
    with pytest.raises(Refused, match="got NaN or inf"):
        check(changed(written[0], tmp_path / "nan.proof", priced(float("nan"))), written[1])


def test_a_neuron_with_too_many_trains_has_cells(tmp_path, monkeypatch):
    network = small(6)
    save(network, tmp_path / "network.safetensors")
    batch, prover = torch.rand((20, 6), generator=torch.Generator().manual_seed(0)), Prover.of(network)
    monkeypatch.setattr("spikecert.checking.certificates.elaborating.MOST_ROWS", 3)
    proven, trials = 0, None
    for sample, label in zip(batch, own_labels(network, batch).tolist(), strict=True):
        try:
            proof = prover.prove(sample, label, LInf(0.01), timeout=5.0)
        except Unproven:
            continue
        proof.save(tmp_path / "sample.proof")
        proven += check(tmp_path / "sample.proof", tmp_path / "network.safetensors").margin > 0
        trials = proof.trees[0].trials
    assert proven > 3
    assert trials is not None
    assert trials.kind(trials.first) == "cells"


def test_what_only_a_table_splits_says_so(tmp_path, monkeypatch):
    network = small(6)
    sample = torch.rand(6, generator=torch.Generator().manual_seed(0))
    prover, label = Prover.of(network), int(own_labels(network, sample[None]))
    monkeypatch.setattr("spikecert.checking.certificates.elaborating.MOST_ROWS", 3)
    with pytest.raises(Unproven, match="no proof form for neurons with so many trains"):
        prover.prove(sample, label, LInf(0.3), timeout=5.0)


LINES = subtracting_networks(most_steps=6, features=1, encodings=("direct",), dtypes=(torch.float64,))


@examples(25)
@given(LINES, st.floats(0.0, 1.0), st.integers(0, 2**31))
def test_no_lie_proves_what_the_line_oracle_falsifies(tmp_path_factory, network, middle, seed):
    """A proof of a small ball is changed into one of a ball with a counterexample: any prices and cells."""
    folder, generator = tmp_path_factory.mktemp("lies"), np.random.default_rng(seed)
    sample, wide = torch.tensor([middle], dtype=torch.float64), 0.5
    label = int(own_labels(network, sample[None]))
    if line_margin(network, max(0.0, middle - wide), min(1.0, middle + wide), label) > 0:
        return
    save(network, folder / "network.safetensors")
    try:
        Prover.of(network).prove(sample, label, LInf(1e-4), 5.0, ties="strict").save(folder / "sample.proof")
    except Unproven:
        return
    shapes = shapes_of(read_network(folder / "network.safetensors"), sample)

    def lie(text, tensors):
        text["cells"], text["side"] = (int(generator.choice([0, 2, 3, 16, 64])) for _ in range(2))
        tensors["radius"] = torch.tensor([wide], dtype=torch.float64)
        for name in [name for name in tensors if name.endswith(".neuron")]:
            other, leaves = name.partition(".")[0], int((tensors[name] == -1).sum())
            for layer, shape in enumerate(shapes):
                prices = generator.normal(size=(leaves, *shape)) * generator.choice([0.0, 0.1, 1.0, 1e3])
                tensors[f"{other}.prices.{layer}"] = torch.from_numpy(prices)

    for _ in range(6):
        with pytest.raises(Refused):
            check(changed(folder / "sample.proof", folder / "lie.proof", lie), folder / "network.safetensors")
