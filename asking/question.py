"""A question: for all inputs of the set around each sample, does the network keep the class, or a property?

And how it is answered: by whom, in which time, by which processes, and where the answer goes.
"""

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from .events import BLOCK, Border, EventBlock, Kind, Limit
from .threats import ANY, RANGE, LInfThreat, Threat
from .values import Mistake, Naming, Notation, Numeral, Saying, added, choice, many, real, text, whole


def table_keys(folder: str, *tables: str) -> tuple[str, ...]:
    """Return the names in tables of a package, read off its source: a command line has no time to import it.

    >>> table_keys("certify/verifiers", "VERIFIERS")[0]
    'interval'
    """
    loader: Any = __loader__
    source = loader.get_data(str(Path(__file__).parents[1].joinpath(folder, "__init__.py")))
    nodes = (node for node in ast.parse(source).body if isinstance(node, ast.AnnAssign))
    found = {ast.unparse(node.target): node.value for node in nodes}
    return tuple(ast.literal_eval(key) for table in tables for key in found[table].keys)  # type: ignore[union-attr]


VERIFIERS = table_keys("certify/verifiers", "VERIFIERS")
ATTACKS = table_keys("certify/attacks", "ATTACKS")
DATA_SETS = table_keys("training/data", "IMAGES", "EVENTS")

TABLES, ARRAYS = (".csv", ".tsv", ".parquet"), (".npz",)
"""Endings of data sets in files."""

Seconds = Annotated[Numeral, real("a positive number of seconds", above=0.0)]
WIDTH = real("a number above 0, such as 1e-3", above=0.0)
Width = Annotated[Numeral, WIDTH]
Share = Annotated[Numeral, real("a share from 0 to 1", 0.0, 1.0)]
Count = Annotated[int, whole(1, 2**31)]
Seed = Annotated[int, whole(), Naming(always=True)]
Verifier = Annotated[str, added(choice(*VERIFIERS)), Naming(always=True)]
Verifiers = Annotated[tuple[str, ...], many(added(choice(*VERIFIERS))), Naming(always=True)]
Methods = Annotated[tuple[str, ...], many(added(choice(*ATTACKS))), Naming(always=True)]
Channels = Annotated[tuple[Numeral, ...], many(real())]
Ties = Literal["argmax", "strict"]
UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def _bytes(raw: Any) -> int:
    """Return the bytes of "4GiB", "500 MB" or 1048576."""
    found = re.fullmatch(r"(\d{1,20}(?:\.\d{1,20})?) ?([a-z]*)", str(raw).strip().lower(), re.ASCII)
    if isinstance(raw, bool) or found is None or not 1 <= float(found[1]) * UNITS.get(found[2], 0) < 2**63:
        raise ValueError
    return int(float(found[1]) * UNITS[found[2]])


BYTES = Notation(_bytes, "a size such as 4GiB or 500MB", "SIZE", schema={"type": ["integer", "string"]})


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Which samples: the first of the test split.

    Attributes:
        data: digits, mnist, …; your own: x.csv, x.npz (see --data x.csv --help), a folder of pictures,
            file.py:function (its code is run).
        label: Of a table: the column of classes, or columns of values, to learn. Default: the column "label", or
            else the last one.
        task: Of a table: classes or values, what the network learns. Default: by what the label column holds
            (texts and few whole numbers are classes, other numbers are values).
        class_names: Of a table: names of the classes in the order of the network's outputs. Default: as the table
            has them, in alphabetical order.
        duration: of recordings of events, in the unit of their times; default: until the last event.
        root: folder of the data set's files.
        samples: first test samples; default: all.
        mean: what the network normalises by, or one a channel.
        std: as --mean.
    """

    data: Annotated[str, text("a data set", longest=4096), Naming("name", "data", always=True)] = "digits"
    label: Annotated[tuple[str, ...], many(text("a column")), Naming(forms=TABLES)] | None = None
    task: Annotated[Literal["classes", "values"], Naming(forms=TABLES)] | None = None
    class_names: Annotated[tuple[str, ...], many(text("a class")), Naming(forms=TABLES)] | None = None
    duration: Annotated[Numeral, real("a number above 0", above=0.0), Naming(forms=ARRAYS)] | None = None
    root: Annotated[Path | None, Naming(local=True)] = None
    samples: Count | None = None
    mean: Channels | None = None
    std: Channels | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise Mistake(("std" if self.std is None else "mean",), Saying("none"), "mean and std, or neither")


@dataclass(frozen=True, kw_only=True)
class ScaledSamples(Samples):
    """Which samples, and how they are scaled.

    Attributes:
        range: Smallest and largest possible input value of your own data, such as 0,1. Default: read from the
            data.
        device: cpu, cuda, cuda:1, …
    """

    range: Annotated[tuple[Numeral, ...], RANGE, Naming("range", forms=(*TABLES, *ARRAYS))] | None = None
    device: str = "cpu"

    @property
    def limits(self) -> tuple[float, float]:
        """Return between which ends all inputs lie; [0, 1] where nothing is said."""
        return (0.0, 1.0) if self.range is None else (float(self.range[0]), float(self.range[1]))


@dataclass(frozen=True, kw_only=True)
class BaseQuestion:
    """What is asked of a network: on which samples, with what done to them.

    Attributes:
        threat: linf, l2; of events flips, shift, flips+shift; of features box; of networks tolerance, stuck (see
            --norm shift --help).
        ties: argmax (the lowest index wins) or strict (it fails).
        seed: of everything random.
        device: cpu, cuda, cuda:1, …
    """

    samples: Samples = Samples()
    threat: Annotated[Threat, ANY] = LInfThreat()
    ties: Ties | None = None
    seed: Seed = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.ties is not None and self.threat.asked is not None:
            told = "none: a property says itself what a tie is"
            raise Mistake(("ties",), Saying(f"{self.ties!r} beside a property"), told)


@dataclass(frozen=True, kw_only=True)
class Question(BaseQuestion):
    """What is asked of one network.

    Attributes:
        model: a network file (`train` writes one), or zoo:NAME.
    """

    model: Annotated[Path, Naming(argument=True)]


@dataclass(frozen=True, kw_only=True)
class TimeLimit:
    """In which time a question is answered.

    Attributes:
        timeout: seconds for a sample, on average.
    """

    timeout: Seconds | None = None


@dataclass(frozen=True, kw_only=True)
class SearchLimits(TimeLimit):
    """Within which limits a question is answered.

    Attributes:
        memory: what a search may keep; default: about 2GiB.
    """

    memory: Annotated[int, BYTES] | None = None


@dataclass(frozen=True, kw_only=True)
class Proving(SearchLimits):
    """How a question is answered.

    Attributes:
        verifier: who proves.
        workers: processes that share a hard sample.
    """

    verifier: Verifier = "auto"
    workers: Count | None = None


@dataclass(frozen=True, kw_only=True)
class ProvingBySeveral(SearchLimits):
    """How a question is answered by several verifiers.

    Attributes:
        verifier: with commas.
    """

    verifier: Verifiers = ("auto",)


def _width(raw: Any) -> Numeral:
    if isinstance(raw, str) and raw.strip().endswith("%"):
        cure = f"a width of radii; networks within it are --norm tolerance --epsilon {raw.strip()}"
        raise Mistake((), raw, cure)
    return WIDTH.read(raw)


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A build for a chip.

    Attributes:
        target: the build for loihi, xylo, spinnaker or q8.8; ε counts units of its inputs.
        bits: of each weight, with --target.
    """

    target: Annotated[str, text("a chip")] | None = None
    bits: Annotated[int, whole(2, 8)] = 8


@dataclass(frozen=True, kw_only=True)
class Certifying(ProvingBySeveral):
    """What is asked besides, and how it is answered.

    Attributes:
        chip: the build that is asked about.
        attack: also attack, as `attack --method`; repeatable.
        radii: also bracket radii, by the last verifier.
        tolerance: at which a radius is exact.
        gains: report gains and measured growth.
        proof: folder for a proof of each verified sample.
        require_certified: status 1 below this share, such as 0.9.
    """

    chip: Chip = Chip()
    attack: Methods = ()
    radii: bool = False
    tolerance: Annotated[Numeral, replace(WIDTH, read=_width)] = Numeral(1e-3, "1e-3")
    gains: bool = True
    proof: Path | None = None
    require_certified: Share | None = None


@dataclass(frozen=True, kw_only=True)
class Fan:
    """Who decides the batches, and where they are kept.

    Attributes:
        engine: local (processes) or ray (machines); default: none.
        workers: batches decided at once.
        resume: folder of finished batches: a killed run goes on.
        ray_address: auto, HOST:6379 or ray://HOST:10001.
    """

    engine: Literal["local", "ray"] | None = None
    workers: Count | None = None
    resume: Path | None = None
    ray_address: str | None = None

    def __post_init__(self) -> None:
        if self.ray_address is not None and self.engine != "ray":
            raise Mistake(("ray_address",), Saying(f"{self.ray_address!r} without --engine ray"), "what it is for")


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where answers go.

    Attributes:
        out: folder for record.json, report.html, samples.csv, …
        json: print JSON on standard output and nothing else.
    """

    out: Path | None = None
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class ChangedEvents:
    """Which events change, and how, beside a norm that is known from elsewhere; see the threat models of events.

    Attributes:
        kind: of flips: flip (events come or go), insert or delete; default: flip.
        where: the events that may change, such as steps=0:3,polarities=1:2; default: all.
        budget: of shifts: what ε is: total (steps in all), count (how many events) or jitter (how far each).
        jitter: of shifts: how far an event moves at most.
        count: of shifts: how many events move at most.
        total: of shifts: the sum of all moves at most.
        merge: of shifts: two events in one entry are one (or), two (add) or refused (refuse); default: or.
        border: of shifts: events stay in the recording, or may leave it; default: stay.
    """

    kind: Kind | None = None
    where: Annotated[EventBlock, BLOCK] | None = None
    budget: Literal["total", "count", "jitter"] | None = None
    jitter: Limit | None = None
    count: Limit | None = None
    total: Limit | None = None
    merge: Literal["or", "add", "refuse"] | None = None
    border: Border | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Return what was given, by its name."""
        return {name: value for name, value in vars(self).items() if value is not None}
