"""Two records side by side: counts and changes by hand, and what can't be compared."""

import json

import pytest

from spikecert.asking import Threat
from spikecert.certify import SoundnessError
from spikecert.reports.comparing.compared import render_comparison, sentence, to_markdown
from spikecert.reports.comparing.comparing import Comparison, compare
from spikecert.reports.records.records import ModelRecord, Record
from spikecert.reports.records.rows import tally


def changed(record, statuses, sha256="cd" * 32, attacks=None):
    """Return the record with another network, whose verdicts of "trains" at 8/255 are those given."""
    model = record.models[0]
    rows = []
    for row in model.rows:
        if row.epsilon == 8 / 255 and row.index in statuses:
            finding = row.verdicts["trains"].model_copy(update={"status": statuses[row.index]})
            row = row.model_copy(update={"verdicts": {**row.verdicts, "trains": finding}})
        if attacks is not None and row.epsilon == 8 / 255 and row.index in attacks:
            row = row.model_copy(update={"attacks": {"ensemble": attacks[row.index]}})
        rows.append(row)
    architecture = model.architecture.model_copy(update={"sha256": sha256})
    fields = {"rows": tuple(rows), "points": tally(rows), "architecture": architecture, "radii": None}
    other = ModelRecord.model_validate({**dict(model), **fields})
    return Record.model_validate({**dict(record), "models": (other,)})


def test_changes_by_hand(handmade):
    before = handmade()
    after = changed(before, {0: "unknown", 3: "verified", 4: "verified"}, attacks={5: True})
    (model,) = compare(before, after).models
    assert [(c.index, c.before, c.after, c.worse) for c in model.changes] == [
        (0, "verified", "unknown", True),
        (3, "unknown", "verified", False),
        (4, "unknown", "verified", False),
        (5, "unknown", "falsified", True),
    ]
    point = model.points[-1]
    assert (point.before.certified, point.after.certified) == (3, 4)
    assert (point.before.falsified, point.after.falsified) == (4, 5)
    assert (point.better, point.worse) == (2, 2)
    assert [point.better + point.worse for point in model.points[:-1]] == [0, 0]
    assert model.transitions(8 / 255) == {
        ("verified", "unknown"): 1,
        ("unknown", "verified"): 2,
        ("unknown", "falsified"): 1,
    }
    assert not model.same_network


@pytest.mark.parametrize(
    ("statuses", "attacks", "by_sample", "by_share"),
    [
        ({}, {}, False, False),
        ({3: "verified"}, {}, False, False),
        ({0: "unknown", 3: "verified"}, {}, True, False),
        ({0: "unknown"}, {}, True, True),
        ({3: "verified"}, {5: True}, True, True),
    ],
)
def test_regressions_by_sample_and_by_share(handmade, statuses, attacks, by_sample, by_share):
    before = handmade()
    found = compare(before, changed(before, statuses, attacks=attacks))
    assert found.regressed() == by_sample
    assert found.regressed(by_share=True) == by_share


def test_one_network_that_is_proved_and_broken_is_a_bug(handmade):
    before = handmade()
    same = before.models[0].architecture.sha256
    after = changed(before, {0: "unknown"}, sha256=same, attacks={0: True})
    with pytest.raises(SoundnessError, match=r"about one network, and sample 0 is verified at ε = 0\.031"):
        compare(before, after)
    with pytest.raises(SoundnessError, match="about one network"):
        compare(after, before)
    compare(before, changed(before, {0: "unknown"}, attacks={0: True}))  # another network: no contradiction


def test_one_network_without_radii_agrees_with_itself(handmade):
    before = handmade()
    same = changed(before, {}, sha256=before.models[0].architecture.sha256)
    assert same.models[0].radii is None
    (model,) = compare(before, same).models
    assert (model.same_network, model.changes) == (True, ())


def test_a_radius_of_one_network_contradicts_too(handmade):
    before = handmade()
    model = before.models[0]
    samples = list(model.radii.samples)
    samples[0] = samples[0].model_copy(update={"lower": 0.001, "upper": 0.03})
    loose = changed(before, {0: "unknown"}, sha256=model.architecture.sha256)
    radii = model.radii.model_copy(update={"samples": tuple(samples)})
    broken = loose.models[0].model_copy(update={"radii": radii})
    with pytest.raises(
        SoundnessError, match=r"sample 0 is verified at ε = 0\.0313725 and broken at distance 0\.03"
    ):
        compare(before, loose.model_copy(update={"models": (broken,)}))


def other_data(record):
    return {"data": record.data.model_copy(update={"name": "mnist"})}


def other_hash(record):
    return {"data": record.data.model_copy(update={"sha256": "ef" * 32})}


def other_range(record):
    return {"threat": Threat.of("linf", record.threat.epsilons, range=(0, 2))}


def other_names(record):
    models = [record.models[0].model_copy(update={"name": name}) for name in ("x", "y")]
    return {"models": tuple(models)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_data, "records: got different data"),
        (other_range, "records: got different range"),
        (other_names, r"records: got the models \['A', 'B'\] and \['x', 'y'\], expected a name in both"),
    ],
)
def test_what_can_not_be_compared_is_one_line(handmade, change, message):
    before = handmade("A", "B")
    with pytest.raises(ValueError, match=message) as caught:
        compare(before, before.model_copy(update=change(before)))
    assert "\n" not in str(caught.value)


def test_records_without_a_hash_of_the_samples_are_compared_with_those_that_have_one(handmade):
    before = handmade()
    after = before.model_copy(update=other_hash(before))
    assert compare(before, after).models
    with pytest.raises(ValueError, match="different data"):
        compare(after, before.model_copy(update={"data": before.data.model_copy(update={"sha256": "ab" * 32})}))


def test_no_epsilon_in_common_is_told(handmade):
    before = handmade()
    other = before.model_copy(update={"threat": before.threat.sized(0.5)})
    with pytest.raises(ValueError, match="expected a common one"):
        compare(before, other)


def test_markdown_for_a_pull_request(handmade):
    before = handmade()
    found = compare(before, changed(before, {0: "unknown"}))
    text = to_markdown(found)
    assert sentence(found, found.models[0]) == (
        "MS-MPPD, ρ = 1 → MS-MPPD, ρ = 1: at ε = 8/255 = 0.03137 in ℓ∞, certified 30.0 % → 20.0 %, broken by a "
        "perturbation 30.0 % → 30.0 %; over all ε, 0 verdicts became better and 1 worse."
    )
    assert (
        "| 8/255 = 0.03137 | 90.0 % | 30.0 → 20.0 % (-10.0) | 30.0 % | 10.0 % | 30.0 → 40.0 % (+10.0) | 0 | 1 |"
        in text
    )
    assert "| 0 | 0 | 8/255 = 0.03137 | verified | undecided |" in text
    assert f"- networks: {'ab' * 6}… → {'cd' * 6}…" in text
    assert "- the networks are the same" in to_markdown(compare(before, before))
    assert "- median radius (certified to attacked): 0.01800 to 0.03251 → not measured" in text


@pytest.mark.parametrize("suffix", [".html", ".md", ".json"])
def test_each_format_is_written_and_escaped(handmade, tmp_path, suffix):
    evil = "<script>alert(1)</script>|"
    before = handmade(evil, title=evil)
    after = changed(before, {0: "unknown"})
    found = compare(before, after)
    text = render_comparison(found, before, after, tmp_path / f"c{suffix}").read_text()
    if suffix == ".json":
        assert Comparison.model_validate(json.loads(text)) == found
    else:
        assert "<script" not in text
        assert "30.0 → 20.0" in text
    if suffix == ".html":
        told = "ε from 2/255 to 8/255, inputs within [0, 1], T = 8, 10 test samples of digits; attacks: ensemble"
        assert told in text.replace("\u00a0", " ")
    with pytest.raises(ValueError, match=r"path: got 'c\.csv'"):
        render_comparison(found, before, after, tmp_path / "c.csv")
