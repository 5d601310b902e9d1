"""`spikecert explain`: why a sample of a record is proved, broken or neither."""

import math
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import Without, command, typed
from spikecert.asking.question import DATA_SETS, Question, Samples, Seconds
from spikecert.asking.trained_on import DESCRIPTION, read_trained_on
from spikecert.asking.values import Naming, Numeral, number, text, whole

from ...progress import Bars
from ...telling import json_text, show, show_json, table, write_files

if TYPE_CHECKING:
    from spikecert.certify.explaining import SampleExplained
    from spikecert.models import SpikingNetwork
    from spikecert.reports import Record

JSON, HTML = "explained.json", "explained.html"
SUFFIXES = (".safetensors",)


@dataclass(frozen=True, kw_only=True)
class Explaining(Samples):
    """Which sample of which record, and how it is looked at.

    Attributes:
        record: record.json of a report.
        sample: its index in the record.
        model: the network's file; default: that of the record's command.
        epsilon: one of the record's; default: the ε of its verdict.
        data: as in `certify`; default: the record's.
        timeout: seconds in all.
        runs: random members of the set, to look at.
        out: folder for explained.json and explained.html.
        json: print JSON on standard output and nothing else.
    """

    record: Annotated[Path, Naming(argument=True)]
    sample: Annotated[int, whole()]
    model: Path | None = None
    epsilon: Numeral | None = None
    data: Annotated[str, text("a data set", longest=4096), Naming("name", "data")] = ""
    timeout: Seconds = Numeral(30.0, "30")
    runs: Annotated[int, whole(1, 100_000)] = 256
    out: Path | None = None
    json: bool = False


@command
def explain(how: Annotated[Explaining, Without("samples")]) -> int:
    """Say why a sample is unknown: what bounds leave open, layer by layer, and what more time would bring.

    The network and the samples are those of the record, by their hashes.
    """
    from spikecert.certify import explaining
    from spikecert.reports import load_record
    from spikecert.reports.pages import explained_page as words
    from spikecert.runs.building import described
    from spikecert.runs.examining import subject_of

    known = load_record(how.record)
    asked, size = _question(known, how), _epsilon(known, how.epsilon)
    subject = subject_of(asked)
    network, chosen = subject.network, subject.samples
    _check(known, network, described(subject.data, chosen), how.sample)
    with Bars() as bars:
        rest = {"timeout": float(how.timeout), "runs": how.runs, "seed": asked.seed, "progress": bars}
        one = chosen.inputs[how.sample], int(chosen.labels[how.sample]), known.threat.scale, size
        found = explaining.explain(network, *one, ties=known.models[0].ties, **rest)
    name, written = network.called(f"sample {how.sample} of {known.data.name}"), known.threat.short(size)
    content = _content(found, name)
    told = typed("explain", replace(how, model=asked.model, epsilon=number(written), out=None, json=False))
    write_files(how.out, {JSON: json_text(content), HTML: words.to_html(found, name, written, told)})
    show_json(content) if how.json else show(_told(found, name, written))
    return 0


def _question(known: "Record", how: Explaining) -> Question:
    """Return what the record asked, of the network and the samples that are said, or that it names."""
    if known.threat.asked is not None:
        raise ValueError("record: got one of a property, expected one of labels: explain asks about the class")
    place = how.model or named_network(known, how.record)
    named = bool(how.data) or known.data.name in DATA_SETS
    described = {} if named else read_trained_on(place.parent / DESCRIPTION)
    columns = {name: tuple(described[name].split(",")) for name in ("label", "class-names") if name in described}
    samples = Samples(
        data=how.data or described.get("data") or _data(known),
        label=how.label or columns.get("label"),
        class_names=how.class_names or columns.get("class-names"),
        task=how.task,
        duration=how.duration,
        root=how.root or (Path(described["root"]) if "root" in described else None),
        samples=known.data.samples,
        mean=how.mean,
        std=how.std,
    )
    return Question(model=place, threat=known.threat, samples=samples, seed=known.seeds.get("seed", 0))


def _told(found: "SampleExplained", name: str, written: str) -> str:
    from spikecert.reports.pages import explained_page as words

    lines = [words.verdict(found, name, written), *words.where(found), *words.advice(found)]
    bodies = [table(words.HEADS, words.rungs(found)), table(words.LAYER_HEADS, words.layers(found))]
    return "\n".join(lines) + "\n\n" + "\n\n".join(bodies)


def named_network(known: "Record", record: Path) -> Path:
    """Return the network's file that the record's command names: weights or one of the zoo, never code.

    It lies where the command says, beside the record or in the folder above.
    """
    try:
        words = shlex.split(known.command)
    except ValueError:
        words = []
    named = [word for word in words[2:3] if word.startswith("zoo:") or Path(word).suffix in SUFFIXES]
    if not named:
        raise ValueError("model: got none, and the record's command names none, expected --model FILE")
    if named[0].startswith("zoo:"):
        return Path(named[0])
    places = [Path(named[0]), *(folder / Path(named[0]).name for folder in record.absolute().parents[:2])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        told = f"{named[0][:100]!r} in the record's command, which is not here"
        raise ValueError(f"model: got {told}, expected --model FILE")
    return found


def _data(known: "Record") -> str:
    """Return the record's data set, where it is one of the names that are known: never code or a file."""
    if known.data.name not in DATA_SETS:
        raise ValueError(f"data: got none beside a record of {known.data.name!r}, expected --data as it was then")
    return known.data.name


def _epsilon(known: "Record", asked: Numeral | None) -> float:
    """Return the ε that is asked about, one of the record's."""
    size = known.focus if asked is None else float(asked)
    if size not in known.threat.epsilons:
        told = ", ".join(map(known.threat.short, known.threat.epsilons))
        raise ValueError(f"epsilon: got {asked and asked.text!r}, expected one of the record's: {told}")
    return size


def _check(known: "Record", network: "SpikingNetwork", data: object, sample: int) -> None:
    """Raise ValueError unless network, samples and index are those of the record."""
    from spikecert.models import network_hash

    found = network_hash(network)
    if all(model.architecture.sha256 != found for model in known.models):
        raise ValueError(
            f"model: got a network of hash {found[:12]}…, expected one of the record's (--model, --mean)"
        )
    if not known.data.agrees(data):  # type: ignore[arg-type]
        raise ValueError("data: got other samples than the record's, expected the same (--data, --root)")
    if sample >= known.data.samples:
        raise ValueError(f"sample: got {sample}, expected at most {known.data.samples - 1}")


def _content(found: "SampleExplained", name: str) -> dict[str, Any]:
    radius = {"lower": found.radius.lower, "upper": found.radius.upper}
    rest = {key: value for key, value in asdict(found).items() if key != "radius"}
    sizes = [[size, None if math.isnan(lead) else lead] for size, lead in found.sizes]
    return {
        "schema": "spikecert.explained/1",
        "sample": name,
        "status": found.status,
        **rest,
        "sizes": sizes,
        "radius": radius,
    }
