"""Radii in a record: what they must agree with, and how they are shown."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spikecert.reports import RENDERERS, load_record, render
from spikecert.reports.figures.sandwich import BOTTOM, TOP, sandwiches, summary_of, ticks
from spikecert.reports.pages.html_page import to_html
from spikecert.reports.pages.wording import radii_conditions
from spikecert.reports.records.radii import rounded_down, rounded_up


def reloaded(handmade, tmp_path, change):
    content = json.loads(handmade().to_json())
    change(content["models"][0])
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content))
    return load_record(path)


def break_within_a_proof(model):
    model["radii"]["samples"][0] |= {"lower": 0.001, "upper": 0.002, "exact": True}  # verified at 8/255


def prove_what_an_attack_broke(model):
    model["radii"]["samples"][8] |= {"lower": 0.0158, "upper": 0.02, "verifier": "linear"}  # broken at 4/255


def prove_a_misclassified_sample(model):
    model["radii"]["samples"][9] |= {"lower": 0.001, "upper": 0.001}


def other_label(model):
    model["radii"]["samples"][4]["label"] = 7


def other_norm(model):
    model["radii"]["norm"] = "l2"


def too_exact(model):
    model["radii"]["samples"][0]["exact"] = True


def upside_down(model):
    model["radii"]["samples"][0] |= {"lower": 0.3}


def measured_above_the_bound(model):
    model["growth"][0]["simplified"] = 7.95


def activity_of(model):
    return model["counterexamples"][0]["activity"][0]


def no_neurons(model):
    activity_of(model)["shown"] = []


def more_changed_than_neurons(model):
    activity_of(model)["changed"] = 5


def fewer_changed_than_shown(model):
    activity_of(model)["changed"] = 0


def half_of_the_potentials(model):
    activity_of(model)["shown"][0]["clean_potentials"] = []


def neuron_beyond_the_layer(model):
    activity_of(model)["shown"][1]["index"] = 4


def trains_of_two_lengths(model):
    activity_of(model)["shown"][1] |= {"clean": "10", "perturbed": "10"}


def shorter_picture(model):
    model["counterexamples"][0]["clean"].pop()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (break_within_a_proof, "unsound: sample 0 is verified at ε = 0.00784314 and broken at distance 0.002"),
        (prove_what_an_attack_broke, "unsound: sample 8 is verified within 0.0158 and broken at ε = 0.0156863"),
        (prove_a_misclassified_sample, "unsound: sample 9 is verified within 0.001 and broken at ε = 0"),
        (other_label, "radii: sample 4 with label 7 is not among the rows"),
        (other_norm, "has radii in 'l2' beside verdicts in 'linf'"),
        (too_exact, "sample 0 is not as exact as it says"),
        (upside_down, "sample 0 has 0.3 > 0.2"),
        (measured_above_the_bound, "simplified: got 7.95 in layer 0, above the proven 7.896"),
        (shorter_picture, "expected 16 as shape"),
        (no_neurons, "shown: Tuple should have at least 1 item"),
        (more_changed_than_neurons, "got 5 changed neurons of 4"),
        (fewer_changed_than_shown, "got 0 changed neurons of 4"),
        (half_of_the_potentials, "got the potentials of one run"),
        (neuron_beyond_the_layer, "got a neuron beyond the 4"),
        (trains_of_two_lengths, "got trains of different lengths"),
    ],
)
def test_what_contradicts_the_rows_is_refused(handmade, tmp_path, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        reloaded(handmade, tmp_path, change)
    assert "\n" not in str(caught.value)


def test_records_before_radii_are_read_and_keep_their_fingerprint(handmade, tmp_path):
    def strip(model):
        for key in ("radii", "growth"):
            del model[key]
        for case in model["counterexamples"]:
            del case["activity"]

    def empty(model):
        model |= {"radii": None, "growth": []}
        for case in model["counterexamples"]:
            case["activity"] = []

    older, newer = (reloaded(handmade, tmp_path, change) for change in (strip, empty))
    assert older.models[0].radii is None
    assert older.fingerprint == newer.fingerprint != handmade().fingerprint
    assert "No radii were measured" in to_html(older)


def test_the_sandwich_is_sorted_and_holds_its_order(handmade):
    (plot,) = sandwiches(handmade())
    assert len(plot.brackets) == 10
    assert all(TOP <= found.upper <= found.lower <= BOTTOM for found in plot.brackets)
    heights = [found.upper for found in plot.brackets]
    assert heights == sorted(heights, reverse=True)  # y grows downwards
    assert [found.attacked for found in plot.brackets] == [True] * 9 + [False]
    assert "not broken by any input tried" in plot.brackets[-1].text
    assert plot.brackets[0].text == "sample 9 (label 9): proved up to 0.00000, broken at 0.00000, exact"


def test_the_sandwich_in_words(handmade):
    table = handmade().models[0].radii
    assert table.medians == pytest.approx((0.018, 0.0325))
    assert summary_of(table) == (
        "10 samples, 2 of them exact up to 0.001. Median: proved up to 0.01800, broken at 0.03251. "
        "Nothing broke 1: their upper ends are cut off at the top."
    )
    assert radii_conditions(handmade("a", "b")) == "10 of 10 samples, ℓ∞, proofs by linear, tolerance 0.001."


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e300, 1.7e308])
def test_numbers_without_measure_are_drawn_and_written_all_the_same(handmade, tmp_path, size):
    def enlarge(model):
        model["radii"]["samples"][3] |= {"upper": size + 0.02, "attacked": True, "exact": size < 1e-3}
        model["growth"][0] |= {"bound": size, "simplified": 0.0, "exact_same": 0.0, "exact": size}
        model["gains"]["layers"][0]["gain"] = size

    found = reloaded(handmade, tmp_path, enlarge)
    for suffix in RENDERERS:
        assert render(found, tmp_path / f"out{suffix}").stat().st_size > 500


@given(st.floats(1e-9, 1e9))
def test_ticks_are_few_and_inside(top):
    found = ticks(top)
    assert found[0] == 0
    assert found[-1] <= top * (1 + 1e-6)
    assert 4 <= len(found) <= 9


@given(st.floats(0, 1e300))
def test_rounding_keeps_a_bracket_a_bracket(value):
    down, up = Fraction(rounded_down(value)), Fraction(rounded_up(value))
    assert down <= Fraction(value) <= up
    assert up - down <= Fraction(1, 100_000)


def test_a_train_has_one_digit_a_step(handmade):
    (case,) = handmade().models[0].counterexamples
    neuron = case.activity[0].shown[0].model_dump()
    with pytest.raises(ValidationError, match="expected one number of steps"):
        type(case.activity[0].shown[0]).model_validate({**neuron, "clean": "01"})
