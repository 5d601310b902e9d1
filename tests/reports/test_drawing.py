"""Where figures draw what the hand-made record says, and how they say it: worked out on paper."""

from dataclasses import replace

import pytest

from spikecert.reports import Threat
from spikecert.reports.figures import panels, scene
from spikecert.reports.figures.accuracy import _spread
from spikecert.reports.figures.charts import growths
from spikecert.reports.figures.membranes import _height
from spikecert.reports.figures.sandwich import sandwiches, ticks
from spikecert.reports.pages.advice import _smaller, _training, advice
from spikecert.reports.pages.wording import conditions


def test_accuracies_lie_between_the_axes(handmade):
    """ε = 0 to 8/255 is from 52 to 326 across, 0 to 100 % is from 272 up to 18."""
    (panel,) = panels(handmade())
    assert panel.x_ticks == ((52.0, "0"), (120.5, "2/255"), (189.0, "4/255"), (326.0, "8/255"))
    assert panel.y_ticks == ((272, "0 %"), (208.5, "25 %"), (145, "50 %"), (81.5, "75 %"), (18, "100 %"))
    assert panel.band == "120.5,43.4 189.0,68.8 326.0,119.6 326.0,195.8 189.0,119.6 120.5,68.8"
    assert panel.band_label == (282, pytest.approx((119.6 + 195.8) / 2 + 4))
    assert panel.focus_x == 189.0
    places = {line.label: [(mark.x, round(mark.y, 6)) for mark in line.marks] for line in panel.series}
    assert places == {
        "clean": [(52.0, 43.4), (326.0, 43.4)],
        "robust: ensemble": [(52.0, 43.4), (120.5, 43.4), (189.0, 68.8), (326.0, 119.6)],
        "proved: interval": [(120.5, 119.6), (189.0, 195.8), (326.0, 272.0)],
        "proved: trains": [(120.5, 68.8), (189.0, 119.6), (326.0, 195.8)],
    }
    assert panel.summary == (
        "MS-MPPD, ρ = 1: clean accuracy 90.0 %. At ε = 2/255: robust 90.0 % under ensemble; proved 60.0 % by "
        "interval, 80.0 % by trains; 10.0 % undecided. At ε = 8/255: robust 60.0 % under ensemble; proved 0.0 % "
        "by interval, 30.0 % by trains; 30.0 % undecided."
    )


def test_labels_that_would_overlap_move_up_from_the_foot_in_their_order(handmade):
    (panel,) = panels(handmade())
    line = panel.series[0]
    crowded = [replace(line, label=name, label_y=y) for name, y in (("a", 268.0), ("b", 272.0), ("c", 40.0))]
    moved = {line.label: line.label_y for line in _spread(crowded)}
    assert moved == {"a": 257.0, "b": 272.0, "c": 40.0}


def test_growth_is_drawn_on_one_scale(handmade):
    (chart,) = growths(handmade())
    unit = (chart.x_ticks[1][0] - chart.x_ticks[0][0]) / 2
    assert [label for _, label in chart.x_ticks] == ["0", "2", "4", "6", "8", "10"]
    noise, pgd = chart.rows
    assert [noise.simplified, noise.bound] == pytest.approx([168 + 3.948 * unit, 168 + 7.896 * unit])
    assert [pgd.simplified, pgd.exact] == pytest.approx([168 + 5.0 * unit, 168 + 6.0 * unit])
    assert noise.exact == pytest.approx(168 + 9.5 * unit)
    assert (chart.bottom, chart.height) == (14 + 2 * 30, 14 + 2 * 30 + 40)
    model = handmade().models[0]
    open_rows = tuple(row.model_copy(update={"exact": None, "bound": None}) for row in model.growth)
    changed = model.model_copy(update={"growth": open_rows})
    (chart,) = growths(handmade().model_copy(update={"models": (changed,)}))
    assert [(row.exact, row.bound) for row in chart.rows] == [(None, None)] * 2


def test_the_axis_of_radii_ends_above_what_was_broken(handmade):
    """The farthest that broke is 0.2, and 1.0 of sample 3, which nothing broke, is cut off."""
    (chart,) = sandwiches(handmade())
    unit = (272 - 18) / (1.08 * 0.2)
    assert [label for _, label in chart.y_ticks] == ["0", "0.05", "0.1", "0.15", "0.2"]
    assert [y for y, _ in chart.y_ticks] == pytest.approx([272 - unit * k / 20 for k in range(5)])
    bars = {bar.text.split(" ")[1]: (bar.lower, bar.upper) for bar in chart.brackets}
    assert bars["0"] == pytest.approx((272 - 0.05 * unit, 272 - 0.2 * unit))
    assert bars["3"] == pytest.approx((272 - 0.02 * unit, 18))
    assert ticks(0.8) == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # nine at most
    assert chart.focus_y == pytest.approx(272 - 4 / 255 * unit)


def test_potentials_are_drawn_from_the_least_to_the_greatest(handmade):
    """Of 0, 0.25, …, 1.5 the least is at the foot and the greatest at the head; the threshold 1 two thirds up."""
    picture = scene(handmade().models[0].counterexamples[0])
    assert picture is not None
    (membrane,) = picture.membranes
    heights = {x.split(",")[0]: float(x.split(",")[1]) for x in membrane.perturbed.split()}
    foot, head = _height(0.0, 0.0, 1.5, 15), _height(1.5, 0.0, 1.5, 15)
    assert head < foot
    assert heights["107.3"] == pytest.approx(head, abs=0.05)
    assert membrane.threshold_y == pytest.approx(foot + (head - foot) * 2 / 3)
    assert _height(0.0, 0.0, 0.0, 15) == foot  # nothing but zeros lies at the foot


def test_conditions_name_one_epsilon_or_the_ends_of_several(handmade):
    told = conditions(handmade())
    assert told == (
        "ℓ∞, ε from 2/255 to 8/255, inputs within [0, 1], T = 8, 10 test samples of digits; attacks: ensemble; "
        "verifiers: interval, trains"
    )
    record = handmade()
    threat = record.threat.sized(*record.threat.epsilons[:1])
    assert conditions(record.model_copy(update={"threat": threat})).startswith("ℓ∞, ε = 2/255, inputs within")


@pytest.mark.parametrize(
    ("norm", "rules", "told"),
    [
        ("shift", {}, "events may come earlier or later, by ε steps in all"),
        (
            "shift",
            {"budget": "count", "jitter": 2, "merge": "add", "border": "leave"},
            "at most ε events may come earlier or later, each by at most 2 steps, two in one entry are two, "
            "those at the border may leave",
        ),
        ("flips", {"kind": "insert"}, "at most ε events may be inserted, over all steps together"),
    ],
)
def test_sets_of_events_in_words(norm: str, rules: dict, told: str):
    assert Threat.of(norm, 1, **rules).change == told


@pytest.mark.parametrize(
    ("norm", "epsilon", "told"),
    [
        ("linf", 0.02, "Try smaller ε: `--epsilon 0.005,0.01`"),
        ("flips", 3.0, "Try smaller ε: `--epsilon 1` is the least"),
        ("flips", 1.0, "Ask about fewer changes: `--kind insert`"),
        ("shift", 1.0, "Ask about fewer moves: `--jitter 1`"),
    ],
)
def test_advice_where_nothing_is_proved_fits_the_set(handmade, norm: str, epsilon: float, told: str):
    threat = Threat.of(norm, epsilon)
    (advice,) = _smaller(handmade().model_copy(update={"threat": threat}), epsilon)
    assert advice.startswith(told)


def test_advice_to_train_with_bounds_is_for_records_without_such_a_network(handmade):
    record = handmade("A", "B")
    assert "Train for it" in " ".join(advice(record))
    first, second = record.models
    trained = second.training.model_copy(update={"settings": {"objective": "CertifiedLoss"}})
    both = (first, second.model_copy(update={"training": trained}))
    assert "Train for it" not in " ".join(advice(record.model_copy(update={"models": both})))


def test_a_tie_at_one_size_is_told(handmade):
    points = list(handmade().models[0].points)
    told = " ".join(_training(handmade(), points))
    assert "Some labels tie with another class" not in told
    points[-1] = points[-1].model_copy(update={"tied": 1, "lost": 1})
    assert "Some labels tie with another class" in " ".join(_training(handmade(), points))
