"""`spikecert data`: a file of features for a table of one's own."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from spikecert.asking.options import command
from spikecert.asking.values import Mistake, Naming, Saying, choice, many, text

from ..telling import say, show, show_json, table, write_files

FEATURES = Path("features.toml")


@dataclass(frozen=True, kw_only=True)
class Drafting:
    """What is drafted.

    Attributes:
        what: draft: write names, units and ranges of a table's columns.
        file: a table, .csv or .parquet, a line of names first, units in brackets: temperature [degC].
        label: its column of classes, or columns of numbers to learn.
        out: the file to write, which must not be there yet.
        json: print JSON on standard output and nothing else.
    """

    what: Annotated[str, choice("draft"), Naming(argument=True)]
    file: Annotated[Path, Naming(argument=True)]
    label: Annotated[tuple[str, ...], many(text("a column"))] = ("label",)
    out: Path = FEATURES
    json: bool = False

    def __post_init__(self) -> None:
        if self.out.exists():
            raise Mistake(("out",), Saying(f"{self.out}, which is there"), "another: what you said there is kept")


@command
def data(asked: Drafting) -> int:
    """Write what your own data's features are, to be looked over: names, units, ranges, and how far each may move.

    Training and certifying then speak of your units: --features FILE, --epsilon 2degC:temperature.
    """
    from spikecert.training.data.tables import draft, to_toml

    features = draft(asked.file, asked.label)
    write_files(asked.out.parent, {asked.out.name: to_toml(asked.file.name, features)})
    rows: list[dict[str, Any]] = [asdict(one) for one in features]
    if asked.json:
        show_json({"schema": "spikecert.features/1", "features": rows})
        return 0
    heads = ("feature", "unit", "least", "greatest", "epsilon")
    show(table(heads, [(one.name, one.unit, *map("{:g}".format, (*one.range, one.epsilon))) for one in features]))
    told = [f"--data {shlex.quote(str(asked.file))}", f"--features {shlex.quote(str(asked.out))}"]
    told += [f"--label {shlex.quote(','.join(asked.label))}"] if asked.label != ("label",) else []
    say(f"look it over, then: spikecert train {' '.join(told)} --out runs/mine")
    return 0
