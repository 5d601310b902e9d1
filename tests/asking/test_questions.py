"""Questions through TOML, JSON and a command line and back: the same, spellings kept; wrong ones in one line."""

import json
import math
import shlex
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from spikecert.asking import THREATS, Mistake, Numeral, Threat
from spikecert.asking.options import command, typed
from spikecert.asking.question import Certifying, Fan, Proving, ProvingBySeveral, Question, Samples
from spikecert.asking.run_files import Configuration, TrainStep
from spikecert.asking.threats import plain_threat, read_threat, short, write_threat
from spikecert.asking.values import number, read, written
from support.examples import examples

SIZES = st.sampled_from(["8/255", "0.5", ".25", "1e-3", "5%", "2/3", 0.125, 0.1, 1e-30, "  1 / 7 "])
WHOLE = st.integers(1, 9)
BLOCKS = st.dictionaries(
    st.sampled_from(["steps", "polarities", "rows", "columns"]),
    st.tuples(st.integers(0, 4), st.integers(5, 9)).map(list),
    min_size=1,
)
FEATURES = st.fixed_dictionaries(
    {"a": st.fixed_dictionaries({"unit": st.sampled_from(["", "K"]), "epsilon": st.sampled_from(["1/2", 3])}),
     "b c": st.just({"range": [-1, "5/2"]})}
)  # fmt: skip


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


KINDS, BORDERS = st.sampled_from(["flip", "insert", "delete"]), st.sampled_from(["stay", "leave"])
BALL = {"with_epsilon": SIZES, "with_norm": st.sampled_from(["linf", "l2"])}
RANGE = {"range": st.sampled_from([[-1, 1], ["-1/3", 2.5], [0.0, 7]])}
PROPERTY = {"property": st.sampled_from(["moves=.1", "robust", "Y0 - 2*Y1 <= 0.3", "top-k=3"])}
BESIDE = {
    "linf": maybe(**RANGE, **PROPERTY),
    "l2": maybe(**RANGE, **PROPERTY),
    "box": st.builds(lambda told, more: {"features": told, **more}, FEATURES, maybe(**PROPERTY)),
    "flips": maybe(kind=KINDS, where=BLOCKS, **PROPERTY),
    "shift": maybe(jitter=WHOLE, count=WHOLE, border=BORDERS, merge=st.sampled_from(["or", "add"]), where=BLOCKS),
    "flips+shift": st.builds(lambda j, more: {"jitter": j, **more}, WHOLE, maybe(kind=KINDS, count=WHOLE)),
    "tolerance": maybe(threshold_tolerance=SIZES, decay_tolerance=SIZES, with_epsilon=SIZES, **RANGE),
    "stuck": st.builds(lambda at, e, n: {"stuck_layers": at, "with_epsilon": e, "with_norm": n},
                       st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True), *BALL.values()),
}  # fmt: skip
COUNTED = {"flips", "shift", "flips+shift", "stuck"}


@st.composite
def threats(draw: st.DrawFn) -> Threat:
    norm = draw(st.sampled_from([*THREATS]))
    sizes = WHOLE if norm in COUNTED else SIZES
    return Threat.of(norm, draw(st.lists(sizes, min_size=1, max_size=4)), **draw(BESIDE[norm]))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    threat = draw(threats())
    normalised = {"mean": (number(".5"), number("1/3")), "std": (number(2), number("25%"))}
    scale: dict[str, Any] = draw(st.sampled_from([{}, normalised]))
    samples = Samples(
        data=draw(st.sampled_from(["digits", "my data.npz", "it's.npz"])),
        samples=draw(st.none() | WHOLE),
        root=draw(st.none() | st.just(Path("a folder"))),
        **scale,
    )
    ties = draw(st.sampled_from([None, "argmax", "strict"])) if threat.asked is None else None
    rest = {"ties": ties, "seed": draw(st.integers(0, 2**63 - 1)), "threat": threat, "samples": samples}
    model = Path(draw(st.sampled_from(["net.safetensors", "zoo:a", "a b/c"])))
    return Question(model=model, device=draw(st.sampled_from(["cpu", "cuda:1"])), **rest)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, float) else repr(value)


def spelled(threat: Threat) -> list[str]:
    return [size.text for size in threat.epsilons]


@examples(600)
@given(threats())
def test_a_threat_is_read_back_from_toml_and_json(threat: Threat) -> None:
    told = write_threat(threat)
    for again in (json.loads(json.dumps(told)), tomllib.loads(f"x = {toml(told)}")["x"]):
        found = read_threat(again)
        assert found == threat
        assert spelled(found) == spelled(threat)
        assert write_threat(found) == told
        assert plain_threat(found) == plain_threat(threat)
    assert hash(read_threat(told)) == hash(threat)
    assert threat.words
    assert threat.change
    assert threat.ends


@command
def asks(asked: Question, how: Certifying, fan: Fan) -> int:
    """Keep what was asked."""
    KEPT.append((asked, how, fan))
    return 0


KEPT: list[tuple[Question, Certifying, Fan]] = []
APP = typer.Typer()
APP.command()(asks)


def asked_by(words: list[str]) -> tuple[Question, Certifying, Fan]:
    KEPT.clear()
    typer.main.get_command(APP).main(words, standalone_mode=False)
    return KEPT[0]


@st.composite
def answers(draw: st.DrawFn) -> tuple[Certifying, Fan]:
    told = draw(maybe(
        verifier=st.lists(st.sampled_from(["trains", "linear"]), min_size=1, unique=True), timeout=SIZES,
        memory=st.sampled_from(["4GiB", "500 MB", 7]),
        attack=st.lists(st.sampled_from(["pgd", "fgsm"]), min_size=1),
        radii=st.booleans(), gains=st.booleans(), proof=st.just("a folder"), tolerance=WHOLE,
        chip=st.just({"target": "loihi", "bits": 4}),
    ))  # fmt: skip
    fan = draw(maybe(workers=WHOLE, resume=st.just("here"), engine=st.sampled_from(["local", "ray"])))
    return read(Certifying, told), read(Fan, fan)


@examples(600)
@given(questions(), answers())
def test_a_command_asks_again_what_it_was_asked(asked: Question, how: tuple[Certifying, Fan]) -> None:
    """Features come from a file there, which alone is not told."""
    if asked.threat.norm == "box":
        asked = replace(asked, threat=Threat.of("linf", asked.threat.epsilons))
    found = asked_by(shlex.split(typed("asks", asked, *how))[2:])
    assert found == (asked, *how)
    assert spelled(found[0].threat) == spelled(asked.threat)


WRONG = [
    ({"norm": "l7"}, "norm", "'l7'", "linf, l2"),
    ({"norm": ["linf"]}, "norm", "['linf']", "linf, l2"),
    ({"epsilon": 0}, "epsilon", "0", "above 0"),
    ({"epsilon": -1}, "epsilon", "-1", "above 0"),
    ({"epsilon": math.nan}, "epsilon", "nan", "above 0"),
    ({"epsilon": math.inf}, "epsilon", "inf", "above 0"),
    ({"epsilon": "1/0"}, "epsilon", "'1/0'", "above 0"),
    ({"epsilon": "x"}, "epsilon", "'x'", "above 0"),
    ({"epsilon": True}, "epsilon", "True", "above 0"),
    ({"epsilon": []}, "epsilon", "[]", "above 0"),
    ({"epsilon": {}}, "epsilon", "{}", "above 0"),
    ({"epsilon": [[0.1]]}, "epsilon", "[0.1]", "above 0"),
    ({"epsilon": [1] * 1001}, "epsilon", "1001 of them", "at most 1000"),
    ({"epsilon": 10**400}, "epsilon", "1000", "above 0"),
    ({"range": [1, 0]}, "range", "1,0", "least and the greatest"),
    ({"range": [0]}, "range", "[0]", "least and the greatest"),
    ({"range": 3}, "range", "3", "least and the greatest"),
    ({"range": [0, math.inf]}, "range", "inf", "a number"),
    ({"property": "nonsense"}, "property", "'nonsense'", "robust, moves=.1"),
    ({"property": "moves=nan"}, "property", "'moves=nan'", "a number"),
    ({"property": 3}, "property", "3", "robust, moves"),
    ({"kind": "insert"}, "kind", "one with norm linf", "norm flips or flips+shift"),
    ({"jitter": 1}, "jitter", "one with norm linf", "norm shift or flips+shift"),
    ({"stuck_layers": [0]}, "stuck_layers", "one with norm linf", "norm stuck"),
    ({"surprise": 1}, "surprise", "a key that is not known", "epsilon, range, property"),
    ({"norm": "flips", "epsilon": 1.5}, "epsilon", "1.5", "whole number of events"),
    ({"norm": "flips", "kind": "swap"}, "kind", "'swap'", "flip, insert or delete"),
    ({"norm": "flips", "range": [0, 2]}, "range", "[0, 2]", "[0, 1]"),
    ({"norm": "flips", "where": "steps=3:3"}, "where", "'steps=3:3'", "first below last"),
    ({"norm": "flips", "where": "time=0:3"}, "where", "'time=0:3'", "intervals"),
    ({"norm": "flips", "where": {"steps": [0]}}, "where", "{'steps': [0]}", "intervals"),
    ({"norm": "flips", "where": {"steps": 3}}, "where", "{'steps': 3}", "intervals"),
    ({"norm": "flips", "where": 3}, "where", "3", "intervals"),
    ({"norm": "flips", "where": {}}, "where", "{}", "intervals"),
    ({"norm": "shift", "jitter": -1}, "jitter", "-1", "whole number from 0"),
    ({"norm": "shift", "jitter": 1.0}, "jitter", "1.0", "whole number from 0"),
    ({"norm": "shift", "jitter": True}, "jitter", "True", "whole number from 0"),
    ({"norm": "shift", "jitter": "1_0"}, "jitter", "'1_0'", "whole number from 0"),
    ({"norm": "shift", "total": 2}, "total", "2", "none: it is what ε is"),
    ({"norm": "shift", "budget": "all"}, "budget", "'all'", "total, count or jitter"),
    ({"norm": "shift", "merge": None, "border": "go"}, "border", "'go'", "stay or leave"),
    ({"norm": "flips+shift"}, "jitter", "neither it nor count", "one, or both"),
    ({"norm": "flips+shift", "jitter": 1, "merge": "or"}, "merge", "one with norm flips+shift", "norm shift"),
    ({"norm": "tolerance", "epsilon": 1}, "epsilon", "1", "below 1"),
    ({"norm": "tolerance", "epsilon": "100%"}, "epsilon", "100%", "below 1"),
    ({"norm": "tolerance", "weight_tolerance": ".1"}, "weight_tolerance", ".1", "none: it is what ε is"),
    ({"norm": "tolerance", "decay_tolerance": 1}, "decay_tolerance", "1", "share below 1"),
    ({"norm": "tolerance", "varied": "all"}, "varied", "'all'", "weights, threshold or decay"),
    ({"norm": "tolerance", "property": "robust"}, "property", "one with norm tolerance", "none: labels alone"),
    ({"norm": "tolerance", "with_norm": "l2"}, "with_norm", "'l2' alone", "beside with-epsilon"),
    ({"norm": "tolerance", "with_epsilon": 0}, "with_epsilon", "0", "above 0"),
    ({"norm": "stuck", "epsilon": 0.5}, "epsilon", "0.5", "whole number of neurons"),
    ({"norm": "stuck", "stuck_layers": [0, 0]}, "stuck_layers", "[0, 0]", "different numbers"),
    ({"norm": "stuck", "stuck_layers": [-1]}, "stuck_layers", "-1", "whole number from 0 to"),
    ({"norm": "box", "epsilon": 1}, "features", "none", "a table for each feature"),
    ({"features": {}, "epsilon": 1}, "features", "none", "a table for each feature"),
    ({"features": {"a": 3}, "epsilon": 1}, "features.a", "3", "a table"),
    ({"features": {"a": {"range": [2, 1]}}, "epsilon": 1}, "features.a.range", "[2.0, 1.0] of a", "lower < upper"),
    ({"features": {"a": {}}, "epsilon": 1}, "features", "0 as the size of each", "one that moves"),
    ({"features": {"a": {"epsilon": -1}}, "epsilon": 1}, "features.a.epsilon", "-1", "from 0 on"),
    ({"features": {"a": {}}, "epsilon": "2:b"}, "epsilon", "'2:b'", "one of the features a"),
    ({"features": {"a": {}}, "epsilon": "2K:a"}, "epsilon", "'2K:a'", "no unit, the unit of a"),
    ({"features": {"a": {}}, "epsilon": "2:a,1:a"}, "epsilon", "a twice", "each feature once"),
    ({"features": {"a": {}}, "epsilon": "x:a"}, "epsilon", "'x:a'", "2degC:temperature"),
    ({"features": {"a": {"epsilon": 1}}, "norm": "l2"}, "features", "one with norm l2", "norm box"),
]


def options(told: dict[str, Any]) -> list[str]:
    """Return a threat as options; None where it holds what no option can say."""
    words = []
    for key, value in told.items():
        values = value if isinstance(value, list) and key != "norm" else [value]
        plain = all(type(one) in (int, float, str) for one in values)
        if not plain or not values or key == "surprise":
            raise ValueError
        words += [f"--{key.replace('_', '-')}={','.join(map(str, values))}"]
    return words


@pytest.mark.parametrize(("told", "place", "got", "expected"), WRONG, ids=[str(told)[:60] for told, *_ in WRONG])
def test_what_is_wrong_is_one_line_everywhere(told: dict[str, Any], place: str, got: str, expected: str) -> None:
    with pytest.raises(Mistake) as refused:
        read_threat(told)
    with pytest.raises(Mistake) as within:
        read(Configuration, {"model": {"path": "x"}, "certify": {}, "threat": told})
    lines = [str(refused.value), str(within.value)]
    assert lines[0].startswith(f"{place}: got ")
    assert lines[1] == f"threat.{lines[0]}"
    try:
        words = options(told)
    except ValueError:
        words = []
    if words:
        with pytest.raises(ValueError, match="got") as typed_wrong:
            asked_by(["net", *words])
        lines.append(str(typed_wrong.value))
        assert lines[2].startswith(place.replace("_", "-"))
    for line in lines:
        assert expected.replace("norm ", "") in line.replace("--norm ", "").replace("norm ", "")
        assert "\n" not in line
        assert len(line) < 400
    assert got in lines[0]


@pytest.mark.parametrize(("table", "told", "message"), [
    (Samples, {"mean": 1}, "std: got none, expected mean and std, or neither"),
    (Samples, {"samples": 0}, "samples: got 0, expected a whole number from 1 on"),
    (Samples, {"name": ""}, "name: got '', expected a data set"),
    (Samples, {"data": "digits"}, "data: got a key that is not known, expected name, label, task, class_names"),
    (Samples, [], "got [], expected a table"),
    (Proving, {"verifier": "magic"}, "verifier: got 'magic', expected interval, trains"),
    (Proving, {"timeout": 0}, "timeout: got 0, expected a positive number of seconds"),
    (ProvingBySeveral, {"verifier": ["trains", 3]}, "verifier: got 3, expected interval, trains"),
    (Fan, {"ray_address": "auto"}, "ray_address: got 'auto' without --engine ray"),
    (Fan, {"engine": "mule"}, "engine: got 'mule', expected local or ray"),
    (Certifying, {"memory": "4 TB"}, "memory: got '4 TB', expected a size such as 4GiB"),
    (Certifying, {"memory": True}, "memory: got True, expected a size such as 4GiB"),
    (Certifying, {"gains": 1}, "gains: got 1, expected true or false"),
    (TrainStep, {"decay": 2}, "decay: got 2, expected a share from 0 to 1"),
    (TrainStep, {"events": {"jitter": -1}}, "events.jitter: got -1, expected a whole number from 0 on"),
    (Configuration, {"certify": {}}, "model: got neither it nor train"),
    (Configuration, {"model": {}}, "model.path: got none, expected a path"),
    (Configuration, {"model": {"path": "x"}}, "attack: got none, expected one of the tables"),
    (Configuration, {"schema": "spikecert.run/1"}, "schema: got 'spikecert.run/1', expected spikecert.run/2"),
])  # fmt: skip
def test_other_tables_are_told_alike(table: type, told: Any, message: str) -> None:
    with pytest.raises(Mistake) as refused:
        read(table, told)
    assert message in str(refused.value)


def test_a_property_has_no_ties_of_its_own() -> None:
    with pytest.raises(Mistake, match="ties: got 'strict' beside a property"):
        Question(model=Path("x"), threat=Threat.of(property="robust"), ties="strict")


def test_a_configuration_is_written_as_it_is_read() -> None:
    told = {"model": {"path": "x"}, "data": {"name": "mine.npz"}, "radius": {"tolerance": "1/8"}, "seed": 3}
    found = read(Configuration, told)
    assert read(Configuration, json.loads(json.dumps(written(found, full=True)))) == found
    assert written(found) == told


def test_sizes_are_asked_anew_and_checked_again() -> None:
    flips = Threat.of("flips", 3, kind="insert")
    assert flips.sized(1, 2).epsilons == (1, 2)
    assert flips.sized(1).differing(flips) == ""
    assert flips.differing(Threat.of("flips", 3)) == "kind"
    assert flips.differing(Threat.of("linf", 3)) == "norm"
    with pytest.raises(Mistake, match=r"epsilon: got 0.5, expected a whole number of events"):
        flips.sized(0.5)


@pytest.mark.parametrize(("value", "told"), [
    (8 / 255, "8/255"), (Numeral(8 / 255, "8/255"), "8/255"), (Numeral(0.02, "2%"), "2%"), (3.0, "3"),
    (1e300, "1e+300"),
])  # fmt: skip
def test_numbers_are_told_as_they_were_written(value: float, told: str) -> None:
    assert short(value) == told
