"""The file that `spikecert loop` reads: a plant, what its controller sees and gives, and the box of states."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from spikecert.asking.run_files import Weight
from spikecert.asking.values import (
    Mistake,
    Naming,
    Notation,
    Numeral,
    Saying,
    choice,
    many,
    plain,
    read,
    real,
    text,
)
from spikecert.files import FileKind
from spikecert.files.texts import LONGEST_TEXT, read_toml
from spikecert.models.validation import one_line

MOST_STATES = 64
"""And inputs, and numbers that the controller sees."""
PLANT = FileKind("plant", "a TOML file", most=4 * LONGEST_TEXT)
ANY, ABOVE, FROM = real("a number"), real("a number above 0", above=0.0), real("a number from 0 on", 0.0)


def _list(one: Notation) -> Notation:
    return many(one, most=MOST_STATES)


def _either(one: Notation) -> Notation:
    """Return one number, or one for each entry."""
    several = _list(one)

    def told(value: Any) -> Notation:
        return several if isinstance(value, list | tuple) else one

    expected = f"{one.expected}, or a list of them"
    return Notation(lambda raw: told(raw).read(raw), expected, write=lambda value: told(value).write(value))


Entries = tuple[Numeral, ...]
Matrix = Annotated[tuple[Entries, ...], _list(_list(ANY))]
Radii = Annotated[Entries, _list(ABOVE)]
Scales = Annotated[Numeral | Entries, _either(ABOVE)]
Sizes = Annotated[Numeral | Entries, _either(FROM)]
Spread = Annotated[tuple[tuple[Entries, ...], ...], many(_list(_list(FROM)), 2, 2, "two matrices, of A and of B")]


@dataclass(frozen=True, kw_only=True)
class Plant:
    """x⁺ = A·x + B·u + w under a controller that sees C·x/scale and gives u/gain; see `ClosedLoop`.

    Attributes:
        schema_version: of the file.
        A, B, C: matrices.
        box: the region that is asked about.
        G: the linear controller of what the network sees that it is compared with; default: fitted.
        scale, gain: of what the controller sees and gives.
        disturbance, noise: bounds of w, and of what is added to what it sees.
        spread: by how much each entry of A and of B may be off at each step.
        membranes: whether potentials are reset at each control step, or kept.
        time: of the plant.
        dt: the step in seconds, for pages alone.
        names: those of the states.
    """

    schema_version: Annotated[str, choice("spikecert.plant/1"), Naming("schema")] = "spikecert.plant/1"
    A: Matrix
    B: Matrix
    box: Radii
    C: Matrix | None = None
    G: Matrix | None = None
    scale: Scales = Numeral(1.0)
    gain: Scales = Numeral(1.0)
    disturbance: Sizes = Numeral(0.0)
    noise: Sizes = Numeral(0.0)
    spread: Spread | None = None
    membranes: Literal["reset", "kept"] = "reset"
    time: Literal["discrete", "continuous"] = "discrete"
    dt: Weight | None = None
    names: Annotated[tuple[str, ...], many(text(longest=200), 0, MOST_STATES)] = ()

    def __post_init__(self) -> None:
        if self.dt == 0:
            told = 'a discrete one: see time = "continuous"'
            raise Mistake(("dt",), Saying("0, a continuous plant"), told)
        one_each = f"{len(self.A)}, one a state"
        if len(self.box) != len(self.A):
            raise Mistake(("box",), Saying(f"{len(self.box)} numbers"), one_each)
        if self.names and len(self.names) != len(self.A):
            raise Mistake(("names",), Saying(str(len(self.names))), one_each)
        if len(set(self.names)) < len(self.names):
            raise Mistake(("names",), list(self.names), "each once")

    @property
    def states(self) -> tuple[str, ...]:
        """Return the names of the states."""
        return self.names or tuple(f"x{place}" for place in range(len(self.A)))

    @property
    def loop(self) -> dict[str, Any]:
        """Return what `ClosedLoop` takes beside the network."""
        names = ("A", "B", "C", "scale", "gain", "disturbance", "noise", "spread", "membranes", "time")
        return {name: plain(getattr(self, name)) for name in names}


def load_plant(path: Path) -> Plant:
    """Read a TOML file that describes a plant.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: in one line that names the key, for what is missing, unknown or out of range.
    """
    text = PLANT.text(path)
    try:
        content = read_toml(text)
    except ValueError as error:
        raise ValueError(f"plant: {path} is no TOML file: {one_line(error)}") from error
    try:
        return read(Plant, content)
    except Mistake as error:
        raise ValueError(f"plant: {path.name}: {one_line(error)}") from None
