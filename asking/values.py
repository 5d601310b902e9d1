"""What a field of a question holds: how people write it, how files do, and what is expected of it.

Any frozen dataclass is a table of fields: their types say what they hold, the `Attributes:` of its docstring what
they mean. From that alone tables are read from TOML, JSON and command lines, and written back, and what is wrong
is told in one line that names the field, what came and what was expected. Nothing here imports torch or pydantic.
"""

import math
import re
import reprlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from functools import cache
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..files.errors import SpikecertError
from ..files.plugged import is_plugged

Place = tuple[str, ...]
MOST = 1000
"""Items of a list."""
LONGEST = 10_000
"""Characters of a text."""
WHOLE = re.compile(r"[+-]?[0-9]{1,30}")


class Mistake(SpikecertError, ValueError):
    """What is wrong in a table: where, what came, and what was expected. Who reads says how the place is called.

    Args:
        place: names of tables and of the field.
        got: the value, or, as `Saying`, what is said of it.
        expected: in words.
    """

    def __init__(self, place: Place, got: object, expected: str) -> None:
        self.place, self.got, self.expected = place, got, expected
        super().__init__(self.told(".".join(place)))

    def told(self, name: str) -> str:
        """Return it in one line, under the name that the writer used."""
        got = self.got if isinstance(self.got, Saying) else reprlib.repr(self.got)
        return f"{name}: got {got}, expected {self.expected}" if name else f"got {got}, expected {self.expected}"

    @staticmethod
    def of(place: Place, got: object, error: Exception) -> "Mistake":
        """Return what another part of the program, or a plug-in, says of a value."""
        told, found, expected = str(error).partition(", expected ")
        return Mistake(place, got, expected if found else f"one that can be made: {told}")

    def within(self, place: Place) -> "Mistake":
        """Return the same mistake of a table that lies deeper."""
        return Mistake((*place, *self.place), self.got, self.expected)


class Saying(str):
    """Of a mistake: no value that came, but what is said of it."""

    __slots__ = ()


class Numeral(float):
    """A float that knows how it was written: "8/255", "5%"."""

    text: str

    def __new__(cls, value: float, text: str = "") -> "Numeral":
        """Return a number; `text` is how it was written, by default as Python writes it."""
        made = super().__new__(cls, value)
        made.text = text or repr(value)
        return made


def number(raw: object) -> Numeral:
    """Return a number of a number or of a text such as "0.03", "8/255" or "3%".

    Raises:
        ValueError: for anything else, infinities and NaN among it.

    >>> number("8/255") == 8 / 255, number(" 5 %").text
    (True, '5%')
    """
    from ..files.texts import fraction

    if isinstance(raw, str):
        made = Numeral(fraction(raw), "".join(raw.split()))
    elif isinstance(raw, Numeral):
        made = raw
    elif isinstance(raw, Real) and not isinstance(raw, bool):
        made = Numeral(raw if type(raw) in (int, float) else float(raw))  # type: ignore[arg-type]
    else:
        raise ValueError
    if not math.isfinite(made):
        raise ValueError
    return made


@dataclass(frozen=True, eq=False)
class Notation:
    """How one value is read and written.

    Attributes:
        read: from what files or people wrote; raises ValueError, or a `Mistake` that says more.
        expected: of it, in words.
        shown: what help calls it; empty for flags.
        known: all values, where they have names.
        write: into what JSON and TOML hold.
        text: as people write it.
        listed: whether an option may be repeated.
        schema: of what `write` gives, in JSON's words.
    """

    read: Callable[[Any], Any]
    expected: str
    shown: str = "TEXT"
    known: tuple[str, ...] = ()
    write: Callable[[Any], Any] = lambda value: value
    text: Callable[[Any], str] = str
    listed: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Naming:
    """How outsiders call a field.

    Attributes:
        name: in place of the attribute's.
        option: on the command line, in place of that.
        argument: on the command line it has a place and no name.
        always: it is told in commands to repeat even where it is as usual.
        local: it says where something lies, and is no part of what is asked: no file holds it.
        forms: endings of the data's name for which help shows it; empty: all.
    """

    name: str = ""
    option: str = ""
    argument: bool = False
    always: bool = False
    local: bool = False
    forms: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class OneOf:
    """A table that is one of several dataclasses, which its field `key` names.

    Attributes:
        known: the dataclasses by name.
        key: the field's name.
        usual: the name where none is given.
        implied: names of dataclasses by a field that only these have, and that says so by being there.
        added: the dataclass that another package adds under `package:name`.
    """

    known: Mapping[str, type]
    key: str
    usual: str
    implied: Mapping[str, str] = field(default_factory=dict)
    added: Callable[[str], type] | None = None

    def form(self, name: object) -> type | None:
        """Return the dataclass of a name, also of `package:name` where other packages may add some; None: none."""
        if self.added is not None and is_plugged(name):
            return self.added(str(name))
        return self.known.get(name) if isinstance(name, str) else None

    def name_of(self, table: object) -> str:
        """Return the name of a table."""
        return next(
            (name for name, form in self.known.items() if form is type(table)), getattr(table, self.key, "")
        )


def _refused(*_: object) -> Any:
    raise ValueError


def whole(least: int = 0, most: int = 2**63 - 1) -> Notation:
    """Return whole numbers."""

    def read(raw: Any) -> int:
        found = int(raw) if isinstance(raw, str) and WHOLE.fullmatch(raw.strip()) else raw
        return found if type(found) is int and least <= found <= most else _refused()

    ends = f"from {least} on" if most >= 2**31 else f"from {least} to {most}"
    return Notation(
        read, f"a whole number {ends}", "N", schema={"type": "integer", "minimum": least, "maximum": most}
    )


def real(
    expected: str = "a number or a fraction such as 8/255",
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> Notation:
    """Return real numbers that keep how they were written."""

    def read(raw: Any) -> Numeral:
        found = number(raw)
        return found if least <= found <= most and above < found < below else _refused()

    return Notation(read, expected, "X", write=_written, text=lambda value: value.text, schema=NUMBERS)


NUMBERS: Mapping[str, Any] = {"type": ["number", "string"]}


def _written(value: Numeral) -> int | float | str:
    """Return a number as files hold it: as a text where it was written as a fraction or by other digits."""
    for plain in (int(value), float(value)):
        if value.text == repr(plain):
            return plain
    return value.text


def many(one: Notation, least: int = 1, most: int = MOST, expected: str = "") -> Notation:
    """Return tuples of values, as a text with commas between them."""

    def read(raw: Any) -> tuple[Any, ...]:
        items = list(raw) if isinstance(raw, list | tuple) else [raw]
        if not one.listed:  # commas are between numbers, and not between rows
            items = [part for item in items for part in (item.split(",") if isinstance(item, str) else [item])]
        if len(items) > most:
            raise Mistake((), Saying(f"{len(items)} of them"), f"at most {most}")
        found = tuple(_one(item.strip() if isinstance(item, str) else item) for item in items)
        return found if len(found) >= least else _refused()

    def _one(part: Any) -> Any:
        try:
            return one.read(part)
        except Mistake:
            raise
        except (ValueError, TypeError, OverflowError):
            raise Mistake((), part, one.expected) from None

    told = expected or (one.expected if one.listed else f"{one.expected}; several: with commas")
    items = {"type": "array", "items": dict(one.schema), "minItems": least, "maxItems": most}
    return Notation(
        read,
        told,
        f"{one.shown},…",
        one.known,
        lambda value: [one.write(part) for part in value],
        lambda value: ",".join(map(one.text, value)),
        listed=True,
        schema=items,
    )


def choice(*known: str) -> Notation:
    """Return one of some names."""
    told = " or ".join(filter(None, (", ".join(known[:-1]), known[-1])))

    def read(raw: Any) -> str:
        return raw if isinstance(raw, str) and raw in known else _refused()

    return Notation(read, told, "NAME", known, schema={"enum": list(known)})


def added(one: Notation) -> Notation:
    """Return one of some names, or another package's: `package:name`, which is looked for when it is used."""

    def read(raw: Any) -> str:
        return raw if isinstance(raw, str) and re.fullmatch(r"[\w.-]{1,100}:[\w.-]{1,100}", raw) else one.read(raw)

    schema = {"anyOf": [dict(one.schema), {"type": "string", "pattern": ":"}]}
    return replace(one, read=read, schema=schema)


def text(expected: str = "a text", shown: str = "TEXT", least: int = 1, longest: int = LONGEST) -> Notation:
    """Return texts, not empty by default."""

    def read(raw: Any) -> str:
        return raw if isinstance(raw, str) and least <= len(raw) <= longest else _refused()

    return Notation(read, expected, shown, schema={"type": "string", "minLength": least, "maxLength": longest})


PATH = Notation(
    lambda raw: Path(raw) if isinstance(raw, str | Path) and len(str(raw)) <= LONGEST else _refused(),
    "a path",
    "PATH",
    write=str,
    schema={"type": "string"},
)
FLAG = Notation(
    lambda raw: raw if isinstance(raw, bool) else _refused(), "true or false", "", schema={"type": "boolean"}
)


@dataclass(frozen=True)
class TableField:
    """A field of a table.

    Attributes:
        name: of the attribute.
        place: where outsiders find it: the names of tables and of the field.
        kind: what it holds: a `Notation`, a table, or `OneOf` several.
        default: what it is where nothing is said; MISSING: it must be said.
        doc: what it means.
        named: how outsiders call it.
    """

    name: str
    place: Place
    kind: Any
    default: Any
    doc: str
    named: Naming = Naming()


def table_fields(table: type, place: Place = ()) -> Iterator[TableField]:
    """Yield the fields of a dataclass."""
    for name, kind, default, doc, named in _fields(table):
        yield TableField(name, (*place, named.name or name), kind, default, doc, named)


@cache
def _fields(table: type) -> tuple[tuple[str, Any, Any, str, Naming], ...]:
    hints, docs = get_type_hints(table, include_extras=True), _docs(table)
    found = []
    for one in fields(table):
        kind, named = _kind(hints[one.name])
        found.append((one.name, kind, _default(one), docs.get(one.name, ""), named))
    return tuple(found)


def _default(one: "Field[Any]") -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


@cache
def _docs(table: type) -> dict[str, str]:
    """Return each field's meaning: the `Attributes:` of the docstring, and of those of its bases."""
    found: dict[str, str] = {}
    for form in reversed(table.__mro__):
        _, _, part = (form.__dict__.get("__doc__") or "").partition("Attributes:\n")
        for names, told in re.findall(r"^ +([a-z_0-9, ]+): (.*?)(?=^ +[a-z_0-9, ]+: |\Z)", part, re.S | re.M):
            found |= dict.fromkeys(names.split(", "), " ".join(told.split()))
    return found


def _kind(hint: Any) -> tuple[Any, Naming]:
    """Return what a type holds, and how its field is called."""
    if get_origin(hint) is Annotated:
        inner, *extra = get_args(hint)
        named = next((one for one in extra if isinstance(one, Naming)), Naming())
        kind = next((one for one in extra if isinstance(one, Notation | OneOf)), None)
        return _kind(inner)[0] if kind is None else kind, named
    if get_origin(hint) in (Union, types.UnionType):
        return next(_kind(one) for one in get_args(hint) if one is not type(None))
    if get_origin(hint) is Literal:
        return choice(*get_args(hint)), Naming()
    return {str: text(), Path: PATH, bool: FLAG, int: whole(), float: real(), Numeral: real()}.get(
        hint, hint
    ), Naming()


def is_table(kind: Any) -> bool:
    """Return whether a field holds a table of fields of its own."""
    return isinstance(kind, type) and is_dataclass(kind)


def read(table: type, given: Any, place: Place = ()) -> Any:
    """Return a dataclass of a mapping, as TOML, JSON or a command line gives it.

    Raises:
        Mistake: with its place, the first that there is.
    """
    if not isinstance(given, Mapping):
        raise Mistake(place, given, "a table")
    asked = {one.place[-1]: one for one in table_fields(table, place)}
    for name in given:
        if name not in asked:
            raise Mistake((*place, str(name)[:100]), Saying("a key that is not known"), _listed(asked))
    found = {}
    for name, one in asked.items():
        if given.get(name) is not None:
            found[one.name] = read_field(one, given[name])
        elif one.default is MISSING:
            raise Mistake(one.place, Saying("none"), getattr(one.kind, "expected", "a table"))
    try:
        return table(**found)
    except Mistake as error:
        raise error.within(place) from None


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(names)


def read_field(one: TableField, raw: Any) -> Any:
    """Return what a field holds.

    Raises:
        Mistake: with its place.
    """
    if isinstance(one.kind, OneOf):
        return read_one(one.kind, raw, one.place)
    if is_table(one.kind):
        return read(one.kind, raw, one.place)
    try:
        return one.kind.read(raw)
    except Mistake as error:
        raise error.within(one.place) from None
    except (ValueError, TypeError, OverflowError):
        raise Mistake(one.place, raw, one.kind.expected) from None


def read_one(kind: OneOf, raw: Any, place: Place = ()) -> Any:
    """Return the table that a mapping is of, one of several.

    Raises:
        Mistake: also for a field that another one of them has.
    """
    if not isinstance(raw, Mapping):
        raise Mistake(place, raw, "a table")
    usual = next((name for told, name in kind.implied.items() if raw.get(told) is not None), kind.usual)
    name = raw.get(kind.key) or usual
    try:
        form = kind.form(name)
    except (ValueError, TypeError) as error:
        raise Mistake.of((*place, kind.key), name, error) from None
    if form is None:
        raise Mistake((*place, kind.key), name, _listed(kind.known))
    rest = {key: value for key, value in raw.items() if key != kind.key and value is not None}
    for key in rest:
        fits = [other for other, known in kind.known.items() if _has(known, key)]
        if fits and not _has(form, key):
            raise Mistake((*place, key), Saying(f"one with {kind.key} {name}"), f"{kind.key} {' or '.join(fits)}")
    return read(form, rest, place)


def _has(table: type, name: str) -> bool:
    return any(one.place[-1] == name for one in table_fields(table))


def written(table: Any, full: bool = False) -> dict[str, Any]:
    """Return what `read` takes, as JSON and TOML hold it, without what is as usual unless `full`."""
    told: dict[str, Any] = {}
    for one in table_fields(type(table)):
        value = getattr(table, one.name)
        if value is None or one.named.local or (not full and value == one.default):
            continue
        if isinstance(one.kind, OneOf):
            told[one.place[-1]] = written_one(one.kind, value, full)
        else:
            told[one.place[-1]] = written(value, full) if is_table(one.kind) else one.kind.write(value)
    return told


def written_one(kind: OneOf, table: Any, full: bool = False) -> dict[str, Any]:
    """Return what `read_one` takes."""
    return {kind.key: kind.name_of(table), **written(table, full)}


def schema_of(table: type) -> dict[str, Any]:
    """Return the JSON schema of what `read` takes."""
    asked = list(table_fields(table))
    return {
        "type": "object",
        "description": (table.__doc__ or "").partition("\n")[0],
        "properties": {one.place[-1]: _schema(one) for one in asked if not one.named.local},
        "required": [one.place[-1] for one in asked if one.default is MISSING],
        "additionalProperties": False,
    }


def _schema(one: TableField) -> dict[str, Any]:
    if isinstance(one.kind, OneOf):
        return schema_of_one(one.kind)
    inner = schema_of(one.kind) if is_table(one.kind) else dict(one.kind.schema)
    return {**inner, "description": one.doc} if one.doc else inner


def schema_of_one(kind: OneOf) -> dict[str, Any]:
    """Return the JSON schema of what `read_one` takes."""
    forms = []
    for name, form in kind.known.items():
        found, said = schema_of(form), name != kind.usual and name not in kind.implied.values()
        required = [*[kind.key] * said, *found["required"]]
        forms.append(
            {**found, "properties": {kind.key: {"enum": [name]}, **found["properties"]}, "required": required}
        )
    return {"oneOf": forms}


def plain(value: Any) -> Any:
    """Return a table as data that are the same however its numbers were written: what tells questions apart."""
    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return float(value) if isinstance(value, float) else str(value) if isinstance(value, Path) else value
