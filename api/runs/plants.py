"""The file that `spikecert loop` reads: a plant, what its controller sees and gives, and the box of states."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Tag, ValidationError, model_validator

from spikecert.files import FileKind
from spikecert.files.texts import LONGEST_TEXT, read_toml
from spikecert.models.validation import one_line
from spikecert.reports.records.rows import Part

from .configuration import FORMS, Finite, Form, Name, Positive, Weight, first_mistake

MOST_STATES = 64
"""And inputs, and numbers that the controller sees."""


PLANT = FileKind("plant", "a TOML file", most=4 * LONGEST_TEXT)


Row = Annotated[tuple[Finite, ...], Field(min_length=1, max_length=MOST_STATES)]


Matrix = Annotated[tuple[Row, ...], Field(min_length=1, max_length=MOST_STATES)]


Radii = Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MOST_STATES)]


Bounds = Annotated[tuple[Weight, ...], Field(min_length=1, max_length=MOST_STATES)]


Spread = Annotated[tuple[Bounds, ...], Field(min_length=1, max_length=MOST_STATES)]


One, Several = Tag(FORMS[0]), Tag(FORMS[1])


Scales = Annotated[Annotated[Positive, One] | Annotated[Radii, Several], Form]


Sizes = Annotated[Annotated[Weight, One] | Annotated[Bounds, Several], Form]


class Plant(Part):
    """x⁺ = A·x + B·u + w under a controller that sees C·x/scale and gives u/gain; see `ClosedLoop`.

    `box` is the region that is asked about, `G` the linear controller of what the network sees that it is compared
    with (left out: fitted), `spread` by how much each entry of A and of B may be off at each step, `names` are
    those of the states, and `dt` is the step in seconds, for pages alone.
    """

    schema_version: Literal["spikecert.plant/1"] = Field("spikecert.plant/1", alias="schema")
    A: Matrix
    B: Matrix
    box: Radii
    C: Matrix | None = None
    G: Matrix | None = None
    scale: Scales = 1.0
    gain: Scales = 1.0
    disturbance: Sizes = 0.0
    noise: Sizes = 0.0
    spread: tuple[Spread, Spread] | None = None
    membranes: Literal["reset", "kept"] = "reset"
    time: Literal["discrete", "continuous"] = "discrete"
    dt: Weight | None = None
    names: Annotated[tuple[Name, ...], Field(max_length=MOST_STATES)] = ()

    @model_validator(mode="after")
    def _check(self) -> "Plant":
        if self.dt == 0:
            raise ValueError('dt: got 0, a continuous plant, expected a discrete one: see time = "continuous"')
        if len(self.box) != len(self.A):
            raise ValueError(f"box: got {len(self.box)} numbers, expected {len(self.A)}, one a state")
        if self.names and len(self.names) != len(self.A):
            raise ValueError(f"names: got {len(self.names)}, expected {len(self.A)}, one a state")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"names: got {list(self.names)}, expected each once")
        return self

    @property
    def states(self) -> tuple[str, ...]:
        """Return the names of the states."""
        return self.names or tuple(f"x{place}" for place in range(len(self.A)))

    @property
    def loop(self) -> dict[str, Any]:
        """Return what `ClosedLoop` takes beside the network."""
        names = ("A", "B", "C", "scale", "gain", "disturbance", "noise", "spread", "membranes", "time")
        return {name: getattr(self, name) for name in names}


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
        return Plant.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"plant: {path.name}: {first_mistake(error)}") from None
