"""What a user writes, and what is refused in one line."""

import math
import re
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikecert import (
    L2,
    LIF,
    LInf,
    RateDraws,
    SpikingNetwork,
    abstains,
    attack,
    certified_radius,
    inputs,
    mlp,
    moves_at_most,
    output,
    output_range,
    robust,
    sample,
    targeted,
    top_k,
    verify,
)
from spikecert.certify.branching.search import Search
from spikecert.certify.questions.described import form_of
from spikecert.certify.questions.forms import Form, Inequalities
from spikecert.certify.verifiers import Complete
from support.properties import holds_at

X = torch.full((2, 3), 0.5)


def network(outputs: int = 3) -> SpikingNetwork:
    """Return a small network."""
    torch.manual_seed(0)
    return mlp((3, 5, outputs), num_steps=3).eval()


def test_forms_are_what_their_numbers_say():
    form = 2 * output[1] - (output[0] - 1) / 4 + np.float64(0.5) * sample[2]
    assert form.outputs == ((0, -0.25), (1, 2.0))
    assert (form.own, form.constant) == (((2, 0.5),), 0.25)
    assert (np.array([0.5, 0.0, -1.0]) @ inputs).inputs == ((0, 0.5), (2, -1.0))
    assert output[0] - output[0] == Form()
    assert output[1].at_sample == sample[1]
    assert form_of("2*Y1 - (Y0 - 1)/4 + .5*S2") == form
    assert len((abs(output[0]) <= 1).clauses([0.0])) == 2
    assert len((abs(output[0]) >= 1).clauses([0.0])) == 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: 0 <= output[0] <= 1, "property: got a truth value"),
        (lambda: output[0] == 0.5, "form: got == 0.5"),
        (lambda: output[0] * output[1], "form: got a product of two forms"),  # type: ignore[operator]
        (lambda: output[0] * math.nan, "factor: got nan"),
        (lambda: output[0] + math.inf, "form: got inf"),
        (lambda: output[0] * 1e-200, "outputs: got 1e-200"),
        (lambda: output[0] * 1e200, "outputs: got 1e+200"),
        (lambda: output[-1], "outputs: got place -1"),
        (lambda: output[True], "outputs: got place True"),
        (lambda: [[1.0]] @ output, "weights: got list"),  # type: ignore[operator]
        (lambda: inputs[0].at_sample, "at_sample: got"),
        (lambda: Inequalities(()), "property: got an empty conjunction"),
        (lambda: Inequalities(((),)), "property: got an empty disjunction"),
        (lambda: (output[0] <= 1) & 3, "property: got int"),  # type: ignore[operator]
        (lambda: moves_at_most(-1.0), "delta: got -1.0"),
        (lambda: moves_at_most(math.nan), "delta: got nan"),
        (lambda: abstains(0.0), "threshold: got 0.0"),
        (lambda: top_k(0), "k: got 0"),
        (lambda: form_of("Y0 +"), "form: got 'Y0 +'"),
        (lambda: form_of("__import__('os')"), "form: got"),
        (lambda: form_of("Y0 * Y1"), "form: got"),
        (lambda: form_of("(" * 500 + "Y0" + ")" * 500), "form: got"),
        (lambda: form_of("-" * 200 + "Y0"), "form: got"),
    ],
)
def test_what_is_no_question_is_refused(make, told):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("prop", "told"),
    [
        (output[3] <= 1, "property: got outputs[3]"),
        (inputs[3] <= 1, "property: got inputs[3]"),
        (sample[3] <= 1, "property: got sample[3]"),
        (targeted(3), "property: got output 3"),
        (top_k(3), "k: got 3"),
        (moves_at_most(0.1, 7), "property: got output 7"),
    ],
)
def test_what_the_network_lacks_is_refused(prop, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        verify(network(), X, prop, LInf(0.1), "trains")


def test_normal_forms_that_grow_are_refused():
    prop = (output[0] <= 1) & (output[1] <= 1)
    for _ in range(12):
        prop = prop | ((output[0] <= 1) & (output[1] <= 2))
    with pytest.raises(ValueError, match="property: got more than"):
        verify(network(), X, prop, LInf(0.1), "trains")


@pytest.mark.parametrize("verifier", ["gain", "lirpa"])
def test_verifiers_that_take_none_are_named(verifier):
    with pytest.raises(ValueError, match=f"verifier: got '{verifier}', expected one that takes properties"):
        verify(network(), X, moves_at_most(0.1), LInf(0.1), verifier)


def test_a_property_says_what_a_tie_is():
    prop: Any = moves_at_most(0.1)
    for ask in (verify, partial(verify, engine="local")):
        with pytest.raises(ValueError, match="ties: got 'strict' beside a property"):
            ask(network(), X, prop, LInf(0.1), ties="strict")
    with pytest.raises(ValueError, match="ties: got 'strict' beside a property"):
        certified_radius(network(), X, prop, ties="strict")
    rated, drawn = network(), torch.rand(network().num_steps, len(X), *X.shape[1:]).double()
    for draws in (drawn[:, 0], drawn):  # which samples share, and of their own
        rated.encoding, rated.draws = "rate", RateDraws(draws)
        told = attack(rated, X, prop, LInf(0.1))
        assert {told.ties} == {verdict.ties for verdict in verify(rated, X, prop, LInf(0.1), "trains")}


def test_one_output_has_no_class():
    for prop in (robust(), targeted(0), abstains(0.1)):
        with pytest.raises(ValueError, match=r"(network: got 1 output|property: got an empty)"):
            verify(network(1), X, prop, LInf(0.1), "trains")
    found = verify(network(1), X, moves_at_most(9.0), LInf(0.1), "trains")
    assert [one.status for one in found] == ["verified"] * 2


def test_robust_is_the_question_about_the_class():
    made = network()
    with torch.no_grad():
        labels = made(X).argmax(1)
    for ball in (LInf(0.05), L2(0.1)):
        asked = verify(made, X, labels, ball, "linear", ties="strict")
        assert asked == verify(made, X, robust(), ball, "linear")


def test_ties_exactly_on_a_row():
    """A row of zeros holds iff its constant lets it, and one output of counts may lie exactly on its bound."""
    made = network()
    for prop, status in ((output[0] - output[0] <= 0, "verified"), (output[0] - output[0] < 0, "falsified")):
        assert verify(made, X, prop, LInf(0.1), "trains")[0].status == status
    counts = SpikingNetwork(*made.layers, *network().layers[1:2], num_steps=3, readout="spikes").eval()
    with torch.no_grad():
        own = counts(X[:1])[0, 0].item()
    for verifier in ("interval", "trains", "linear", "complete", "milp", "enumeration"):
        found = [verify(counts, X[:1], p, LInf(0.0), verifier)[0] for p in (output[0] <= own, output[0] < own)]
        assert [one.status for one in found] == ["verified", "falsified"]
        assert found[0].margin == 0.0
    assert verify(counts, X[:1], moves_at_most(0.0), LInf(0.0), "trains")[0].status == "verified"


def test_attacks_break_properties():
    """What is broken fails in exact arithmetic, and what is verified stands."""
    made = network()
    with torch.no_grad():
        own = made(X)
    for prop in (moves_at_most(0.01), abs(output[0] - sample[0]) <= 9.0, robust()):
        found, verdicts = attack(made, X, prop, LInf(0.5), "pgd"), verify(made, X, prop, LInf(0.5), "complete")
        assert found.logits.shape == own.shape
        for index, one in enumerate(verdicts):
            held = holds_at(prop, found.logits[index], own[index], found.inputs[index])
            assert bool(found.success[index]) == (not held)
            assert not (one.status == "verified" and bool(found.success[index]))
    assert bool(attack(made, X, moves_at_most(0.01), LInf(0.5), "pgd").success.any())
    assert bool(attack(made, X, moves_at_most(9.0), LInf(0.5), "pgd").success.any()) is False


def test_boxes_and_trains_agree_about_labels():
    made = network()
    inputs_ = torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = made(inputs_).argmax(1)
    for ball in (LInf(0.02), LInf(0.2)):
        found = [
            [one.status for one in verify(made, inputs_, labels, ball, Complete(split=how))]
            for how in ("inputs", "trains")
        ]
        assert all("unknown" in pair or pair[0] == pair[1] for pair in zip(*found, strict=True))
        assert "verified" in found[0] or "falsified" in found[0]
    with pytest.raises(ValueError, match="split: got 'both'"):
        Complete(split="both")


@pytest.mark.parametrize("verifier", ["interval", "trains", "linear", "milp", "enumeration", "complete"])
def test_a_row_is_as_wide_as_its_spikes(verifier):
    """One neuron fires or not: y is 0 or 2, and nothing below 2 bounds it."""
    first, last = nn.Linear(1, 1), nn.Linear(1, 1)
    for layer, weight in ((first, 2.0), (last, 2.0)):
        layer.weight.data.fill_(weight)
        layer.bias.data.zero_()
    made = SpikingNetwork(first, LIF(0.0), last, num_steps=1).eval()
    x, ball = torch.full((1, 1), 0.25), LInf(0.5)
    assert verify(made, x, output[0] <= 1.95, ball, verifier)[0].status != "verified"
    assert verify(made, x, (output[0] <= 1.95) | (output[0] >= 2.05), ball, verifier)[0].status != "verified"
    if verifier != "enumeration":
        assert verify(made, x, output[0] <= 2.001, ball, verifier)[0].status == "verified"
        assert verify(made, x, (output[0] <= 0.01) | (output[0] <= 2.001), ball, verifier)[0].status == "verified"


def test_a_clause_that_a_search_leaves_open_is_open():
    """Rows of a clause on which no node was spent prove nothing."""
    torch.manual_seed(3)
    made, x, ball = mlp((4, 8, 8, 2), num_steps=5).eval(), torch.full((1, 4), 0.5), LInf(0.3)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2.0)
    (known,) = output_range(made, x, ball, output[0], 1e-3)
    clause = (output[0] >= known.lower) | (output[1] >= 99.0)
    searches = [Complete(one, None, programs=None, split="trains") for one in (Search(patience=0), Search())]
    found = [verify(made, x, clause, ball, one)[0] for one in searches]
    assert [one.status for one in found] == ["unknown", "verified"]
