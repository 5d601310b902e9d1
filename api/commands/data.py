"""`spikecert data`: a file of features for a table of one's own."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from spikecert.asking.options import command
from spikecert.asking.values import Naming, choice, many, text

from ..telling import say, show, show_json, table, write_files

FEATURES = Path("features.toml")


@dataclass(frozen=True, kw_only=True)
class Drafting:
    """What is drafted.

    Attributes:
        what: The word draft: write names, units, ranges and sizes of a table's features to a file.
        file: The table, .csv, .tsv or .parquet, with a line of names first and units in brackets:
            temperature [degC].
        label: The column of classes, or columns of values, to learn. Default: the column "label", or the last one.
        out: The file to write.
        force: Replace that file if it exists already.
        json: Print JSON on standard output and nothing else.
    """

    what: Annotated[str, choice("draft"), Naming(argument=True)]
    file: Annotated[Path, Naming(argument=True)]
    label: Annotated[tuple[str, ...], many(text("a column"))] | None = None
    out: Path = FEATURES
    force: bool = False
    json: bool = False

    def __post_init__(self) -> None:
        if self.out.exists() and not self.force:
            raise ValueError(
                f"out: {self.out} already exists and was not overwritten, as it may hold what you wrote; choose "
                "another --out, or add --force to replace it"
            )


@command
def data(asked: Drafting) -> int:
    """Write what your own data's features are, to be looked over: names, units, ranges, and how far each may move.

    Training and certifying then speak of your units: --features FILE, --epsilon 2degC:temperature.
    """
    from spikecert.training.data.features import draft, to_toml

    features = draft(asked.file, asked.label)
    write_files(asked.out.parent, {asked.out.name: to_toml(asked.file.name, features)})
    rows: list[dict[str, Any]] = [asdict(one) for one in features]
    if asked.json:
        show_json({"schema": "spikecert.features/1", "features": rows})
        return 0
    heads = ("feature", "unit", "smallest", "largest", "epsilon")
    show(table(heads, [(one.name, one.unit, *map("{:g}".format, (*one.range, one.epsilon))) for one in features]))
    told = [f"--data {shlex.quote(str(asked.file))}", f"--features {shlex.quote(str(asked.out))}"]
    told += [f"--label {shlex.quote(','.join(asked.label))}"] if asked.label else []
    say(f"look it over, then: spikecert train {' '.join(told)} --out runs/mine")
    return 0
