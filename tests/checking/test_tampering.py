"""Whatever is changed in a proof, or in the network, is refused in one line."""

import math
import re

import numpy as np
import pytest
import torch

from spikecert.checking import Refused, check, read_network
from spikecert.checking.network.model import FORMAT as NETWORK
from spikecert.checking.short import FORMAT as PROOF
from support.examples import by_night
from support.proofs import KINDS


def _scaled(name, factor):
    def change(text, tensors):
        tensors[name] = tensors[name] * factor

    return change


def _wider(text, tensors):
    tensors["radius"] = torch.full_like(tensors["radius"], 0.2)


def _other_label(text, tensors):
    text["label"] = (text["label"] + 1) % 10


def _moved_sample(text, tensors):
    tensors["sample"] = 1.0 - tensors["sample"]


def _all_prices(value):
    """Prices and multipliers: with good multipliers a leaf may close without prices."""

    def change(text, tensors):
        for name in tensors:
            if ".prices." in name or name.endswith(".multipliers"):
                tensors[name] = torch.full_like(tensors[name], value)

    return change


def _tree(tensors):
    """Return the name of a class whose tree has a split."""
    return next(name.split(".")[0] for name, x in tensors.items() if name.endswith("neuron") and len(x) > 1)


def _first_leaves(tensors, name, count):
    """Keep prices and multipliers of the first leaves of a tree alone; a negative `count` drops the last ones."""
    for part in [part for part in tensors if part.startswith(f"{name}.prices")]:
        tensors[part] = tensors[part][:count]
    if f"{name}.narrow.sizes" in tensors:
        sizes = tensors[f"{name}.narrow.sizes"] = tensors[f"{name}.narrow.sizes"][:count]
        neurons, slabs = sizes.long().unbind(1)
        ends = {"neurons": neurons, "slabs": slabs, "multipliers": (2 * neurons + 1) * slabs}
        for part, counts in ends.items():
            tensors[f"{name}.narrow.{part}"] = tensors[f"{name}.narrow.{part}"][: int(counts.sum())]


def _dropped_subtree(text, tensors):
    name = _tree(tensors)
    for part in (f"{name}.neuron", f"{name}.current"):
        tensors[part] = tensors[part][:-1]
    _first_leaves(tensors, name, -1)


def _dropped_class(text, tensors):
    for part in [part for part in tensors if part.startswith(f"{_tree(tensors)}.")]:
        del tensors[part]


def _leaf_for_split(text, tensors):
    """The root becomes a leaf, with the first leaf's prices."""
    name = _tree(tensors)
    tensors[f"{name}.neuron"] = torch.tensor([-1], dtype=torch.int32)
    tensors[f"{name}.current"] = torch.zeros(1, dtype=torch.float64)
    _first_leaves(tensors, name, 1)


def _other_rows(text, tensors):
    """The root's right side gets all the rows, and nothing narrows them; the left side's leaves stay."""
    name = _tree(tensors)
    tensors[f"{name}.current"][0] = -100.0
    tensors[f"{name}.narrow.multipliers"].zero_()


def _multipliers(part, made):
    def change(text, tensors):
        name = next(name for name in tensors if name.endswith(f".narrow.{part}") and len(tensors[name]))
        tensors[name] = made(tensors[name])

    return change


def _unknown_neuron(text, tensors):
    tensors[f"{_tree(tensors)}.neuron"][0] = 999


def _longer_tree(text, tensors):
    name = _tree(tensors)
    tensors[f"{name}.neuron"] = torch.cat([tensors[f"{name}.neuron"], torch.tensor([-1], dtype=torch.int32)])
    tensors[f"{name}.current"] = torch.cat([tensors[f"{name}.current"], torch.zeros(1, dtype=torch.float64)])
    for part in [part for part in tensors if part.startswith(f"{name}.prices")]:
        tensors[part] = torch.cat([tensors[part], tensors[part][-1:]])
    if f"{name}.narrow.sizes" in tensors:
        sizes = tensors[f"{name}.narrow.sizes"]
        tensors[f"{name}.narrow.sizes"] = torch.cat([sizes, torch.zeros_like(sizes[:1])])


def _set(key, value):
    def change(text, tensors):
        text[key] = value

    return change


def _nan_sample(text, tensors):
    tensors["sample"][3] = math.nan


def _negative_radius(text, tensors):
    tensors["radius"] = -tensors["radius"]


def _nan_split(text, tensors):
    tensors[f"{_tree(tensors)}.current"][0] = math.nan


SPIKES = {
    "a step behind the last": (4.0, "splits step 4"),
    "a step before the first": (-1.0, "splits step -1"),
    "half a step": (0.5, "splits step 0.5"),
}


@pytest.mark.parametrize("name", SPIKES)
def test_a_proof_that_splits_no_step_is_refused(timed, sealed, name):
    value, message = SPIKES[name]

    def change(text, tensors):
        tensors[f"{_tree(tensors)}.current"][0] = value

    with pytest.raises(Refused, match=message):
        check(sealed(timed.proof, PROOF, change), timed.model)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_sample_of_fewer_steps_is_refused(timed, sealed, steps):
    def change(text, tensors):
        tensors["sample"] = tensors["sample"][:steps]

    with pytest.raises(Refused, match="has no first axis of 4 steps"):
        check(sealed(timed.proof, PROOF, change), timed.model)


def _other_shape(text, tensors):
    tensors["sample"] = tensors["sample"].view(2, -1)


TAMPERED = {
    "a wider radius": (_wider, "is only proven to be at least"),
    "another label": (_other_label, "lacks a part|is only proven"),
    "another sample": (_moved_sample, "is only proven"),
    "no prices": (_all_prices(0.0), "is only proven"),
    "wild prices": (_all_prices(1e30), "is only proven"),
    "infinite prices": (_all_prices(math.inf), "got NaN or inf"),
    "NaN prices": (_all_prices(math.nan), "got NaN or inf"),
    "a dropped subtree": (_dropped_subtree, "the tree is cut short"),
    "a dropped class": (_dropped_class, "lacks a part"),
    "a leaf for a split": (_leaf_for_split, "is only proven"),
    "other rows": (_other_rows, "is only proven"),
    "an unknown neuron": (_unknown_neuron, "splits neuron 999"),
    "multipliers of too few leaves": (_multipliers("sizes", lambda x: x[:-1]), "sizes that do not fit"),
    "multipliers of the other sign": (_multipliers("multipliers", lambda x: -x), "is only proven"),
    "infinite multipliers": (_multipliers("multipliers", lambda x: x / 0.0), "got NaN or inf"),
    "a longer tree": (_longer_tree, "goes on behind its end"),
    "a NaN sample": (_nan_sample, "sample: got NaN or inf"),
    "a NaN split": (_nan_split, "a split: got NaN or inf"),
    "a negative radius": (_negative_radius, "got a negative number"),
    "an infinite range": (_set("lower", -math.inf), "lower: got NaN or inf"),
    "a range that excludes the sample": (_set("upper", -1.0), "holds no input"),
    "a label out of range": (_set("label", 10), "expected a class below 10"),
    "a label that is none": (_set("label", "seven"), "expected a class below 10"),
    "a true label": (_set("label", True), "expected a class below 10"),
    "another network": (_set("network", "0" * 64), "is about another network"),
    "a list for a range": (_set("lower", [0.0]), "lacks a part"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_proof_is_refused(shallow, sealed, name):
    change, reason = TAMPERED[name]
    with pytest.raises(Refused) as error:
        check(sealed(shallow.proof, PROOF, change), shallow.model)
    assert re.search(reason, str(error.value))
    assert "\n" not in str(error.value)


def test_multipliers_of_an_unknown_neuron_are_refused(deep, sealed):
    with pytest.raises(Refused, match="none of"):
        check(sealed(deep.proof, PROOF, _multipliers("neurons", lambda x: x + 999)), deep.model)


@pytest.mark.parametrize("change", [_all_prices(1e30), _wider, _dropped_subtree, _leaf_for_split, _other_shape])
@pytest.mark.parametrize("kind", [*KINDS[:3], *by_night(*KINDS[3:])], indirect=True)
def test_a_tampered_proof_of_any_network_is_refused(proven, sealed, change):
    with pytest.raises(Refused):
        check(sealed(proven.proof, PROOF, change), proven.model)


@pytest.mark.parametrize("kind", [*KINDS[:3], *by_night(*KINDS[3:])], indirect=True)
def test_a_sealed_copy_is_accepted(proven, sealed):
    assert check(sealed(proven.proof, PROOF, lambda text, tensors: None), proven.model).leaves == proven.leaves


def test_other_weights_are_refused_even_if_the_proof_names_them(shallow, sealed, tmp_path):
    model = sealed(shallow.model, NETWORK, _scaled("layers.0.weight", 1.5))
    with pytest.raises(Refused, match="is about another network"):
        check(shallow.proof, model)
    claimed = _set("network", read_network(model).digest)
    with pytest.raises(Refused, match="is only proven"):
        check(sealed(shallow.proof, PROOF, claimed), model)


def test_any_changed_byte_is_refused(shallow, tmp_path):
    content, path = shallow.proof.read_bytes(), tmp_path / "changed.proof"
    generator = np.random.default_rng(0)
    for place in [*range(64), *generator.integers(0, len(content), 150).tolist()]:
        changed = bytearray(content)
        changed[place] ^= 1 << int(generator.integers(0, 8))
        path.write_bytes(changed)
        with pytest.raises(Refused, match=r"^changed\.proof: ") as error:
            check(path, shallow.model)
        assert "\n" not in str(error.value)


def test_a_truncated_file_is_refused(shallow, tmp_path):
    content, path = shallow.proof.read_bytes(), tmp_path / "cut.proof"
    for length in [*range(40), *range(40, len(content), 397), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(Refused, match=r"^cut\.proof: "):
            check(path, shallow.model)


def test_a_file_that_is_too_large_or_missing_is_refused(shallow, tmp_path, monkeypatch):
    with pytest.raises(Refused, match="can't be read"):
        check(tmp_path / "none.proof", shallow.model)
    network = read_network(shallow.model)
    monkeypatch.setattr("spikecert.checking.network.files.MOST_BYTES", 1000)
    with pytest.raises(Refused, match=r"has \d+ bytes, expected at most 1000"):
        check(shallow.proof, network)


NORMS = {
    "a box for a ball": ("norm", "linf", "is only proven"),
    "another norm": ("norm", "l1", "no proof form for norm 'l1'"),
    "a list": ("norm", ["l2"], "no proof form for norm"),
}


@pytest.mark.parametrize("name", NORMS)
def test_a_proof_of_another_ball_is_refused(ball, sealed, name):
    key, value, message = NORMS[name]
    with pytest.raises(Refused, match=message):
        check(sealed(ball.proof, PROOF, _set(key, value)), ball.model)


def test_a_ball_has_one_radius(ball, sealed):
    def change(text, tensors):
        tensors["radius"] = tensors["radius"].expand(64).contiguous()

    with pytest.raises(Refused, match="have shapes that do not fit"):
        check(sealed(ball.proof, PROOF, change), ball.model)
