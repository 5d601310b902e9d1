"""Options out of tables: a command's parameters are tables, and their fields are its options."""

import functools
import inspect
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Annotated, Any, get_args, get_origin

import typer

from .trained_on import completed
from .values import FLAG, Mistake, Naming, Notation, OneOf, TableField, is_table, read, table_fields

LISTED = 12
"""Names that help lists."""


@dataclass(frozen=True)
class Without:
    """Options that a command does not take, by name or by place: "ties", "threat.epsilon"."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        key: of the function's parameter.
        owner: the parameter of the command whose table it is in.
        asked: the field.
        forms: the norms, or whatever names one of several tables, or endings of the data's name, that have it;
            empty: all.
    """

    key: str
    owner: str
    asked: TableField
    forms: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return how people call it."""
        return self.asked.named.option or self.asked.place[-1].replace("_", "-")


def _options(owner: str, table: type, without: Sequence[str], place: tuple[str, ...] = ()) -> Iterator[Option]:
    """Yield the options of a table in their order, those of tables within in their place."""
    for one in table_fields(table, place):
        if isinstance(one.kind, OneOf):
            yield from _of_each(owner, one, without)
        elif is_table(one.kind):
            yield from _options(owner, one.kind, without, one.place)
        elif not _left_out(one, without):
            yield Option(f"{owner}__{'__'.join(one.place)}", owner, one, one.named.forms)


def _left_out(one: TableField, without: Sequence[str]) -> bool:
    return one.place[-1] in without or ".".join(one.place) in without


def _of_each(owner: str, one: TableField, without: Sequence[str]) -> Iterator[Option]:
    """Yield the option that names a table, and the fields of all that it may be, each once."""
    kind: OneOf = one.kind
    named = Notation(str, "", "NAME", tuple(kind.known))
    key = TableField(kind.key, (*one.place, kind.key), named, kind.usual, one.doc, Naming(always=True))
    found: dict[str, tuple[Option, list[str]]] = {}
    for name, form in kind.known.items():
        for option in _options(owner, form, without, one.place):
            found.setdefault(option.key, (option, []))[1].append(name)
    if kind.key not in without:
        yield Option(f"{owner}__{'__'.join(key.place)}", owner, key)
    if kind.added is not None and "set" not in without:
        yield Option(f"{owner}__{'__'.join((*one.place, FIELDS))}", owner, _fields_of_others((*one.place, FIELDS)))
    for option, names in found.values():
        forms = () if len(names) == len(kind.known) else tuple(names)
        asked = option.asked if name_has_usual(kind, names) else _open(option.asked)
        yield Option(option.key, owner, asked, forms)


FIELDS = "set"
"""The option that says fields of tables which other packages add."""


def _fields_of_others(place: tuple[str, ...]) -> TableField:
    kind = Notation(str, "NAME=VALUE", "NAME=VALUE", listed=True)
    return TableField(FIELDS, place, kind, None, "of a --norm package:name: its field.")


def name_has_usual(kind: OneOf, names: Sequence[str]) -> bool:
    """Return whether a field is one of the table that is usual: its default is then what help shows."""
    return kind.usual in names


def _open(one: TableField) -> TableField:
    default = None if one.default is MISSING else one.default
    return TableField(one.name, one.place, one.kind, default, one.doc, one.named)


def _parameter(option: Option) -> inspect.Parameter:
    """Return an option as typer takes it: as texts, which `read` reads; the default is the table's own."""
    one, kind = option.asked, option.asked.kind
    if one.named.argument:
        required = one.default is MISSING
        told = typer.Argument(help=one.doc, metavar=option.name.upper(), show_default=False)
        form: Any = str if required else str | None
        default = inspect.Parameter.empty if required else None
        place = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Parameter(option.key, place, annotation=Annotated[form, told], default=default)
    form = bool | None if kind is FLAG else list[str] | None if kind.listed else str | None
    names = f"--{option.name}" + (f"/--no-{option.name}" if kind is FLAG and one.default else "")
    usual = "" if kind is FLAG or one.default in (None, MISSING, ()) else kind.text(one.default)
    names_told = f"{one.doc.rstrip('.')}: {', '.join(kind.known)}." if _short(one) else one.doc
    doc = f"{names_told}  [default: {usual}]" if usual else names_told
    rest: dict[str, Any] = {} if kind is FLAG else {"metavar": kind.shown}
    rest |= {"autocompletion": _completed(kind.known)} if kind.known else {}
    told = typer.Option(names, help=doc, show_default=False, **rest)
    return inspect.Parameter(
        option.key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[form, told]
    )


def _short(one: TableField) -> bool:
    """Return whether help lists the names that a field may have, which its own words do not."""
    return 0 < len(one.kind.known) <= LISTED and not all(name in one.doc for name in one.kind.known)


def _completed(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what completes a value to one of `names`, or the last of several with commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in names if name.startswith(last)]

    return complete


def command(function: Callable[..., int]) -> Callable[..., int]:
    """Return a command whose options are the fields of those of its parameters that are tables.

    Other parameters stay options as typer knows them.
    """
    signature = inspect.signature(function, eval_str=True)
    tables, plain, options = dict[str, type](), list[inspect.Parameter](), list[Option]()
    for name, parameter in signature.parameters.items():
        table, without = _table(parameter.annotation)
        if is_table(table):
            tables[name] = table
            options += _options(name, table, without)
        else:
            plain.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    keys = {option.name: option.key for option in options}
    optional = any(option.name == "data" and option.asked.default == "" for option in options)

    @functools.wraps(function)
    def run(**given: Any) -> int:
        """Run the command, its options read as its parameters."""
        known = completed(given, keys, optional)
        found = {name: _read(name, table, options, known) for name, table in tables.items()}
        return function(**found, **{one.name: given[one.name] for one in plain if one.name in given})

    parameters = sorted([*map(_parameter, options), *plain], key=_order)
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    vars(run)["__signature__"] = inspect.Signature(parameters)
    vars(run)["forms"] = {option.key: option.forms for option in options if option.forms}
    return run


def _order(parameter: inspect.Parameter) -> tuple[bool, bool]:
    """Return what puts arguments first, and of them those that have no default."""
    argument = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    return not argument, argument and parameter.default is not inspect.Parameter.empty


def _table(annotation: Any) -> tuple[Any, tuple[str, ...]]:
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    table, *extra = get_args(annotation)
    return table, next((one.names for one in extra if isinstance(one, Without)), ())


def _read(owner: str, table: type, options: Sequence[Option], given: Mapping[str, Any]) -> Any:
    """Return a table of what was given; mistakes under the names of options."""
    nested: dict[str, Any] = {}
    mine = [option for option in options if option.owner == owner]
    for option in mine:
        value = given.get(option.key)
        if value is None or value == [] or value == ():
            continue
        inner = nested
        for name in option.asked.place[:-1]:
            inner = inner.setdefault(name, {})
        inner[option.asked.place[-1]] = value if isinstance(value, bool | str) else list(value)
        if option.asked.place[-1] == FIELDS:
            inner |= _split(inner.pop(FIELDS))
    names = {option.asked.place: option.name for option in mine}
    try:
        return read(table, nested)
    except Mistake as error:
        place = next((error.place[:k] for k in range(len(error.place), 0, -1) if error.place[:k] in names), ())
        name = names.get(place, error.place[-1].replace("_", "-"))
        within = ".".join(error.place[len(place) :]) if place else ""
        told = error.told(f"{name}: {within}" if within else name)
        raise ValueError(re.sub(r"(?<![\w-])norm (?=[a-z])", "--norm ", told)) from None


def _split(words: Sequence[str]) -> dict[str, str]:
    """Return the fields of "reach=2"."""
    pairs = [word.partition("=") for word in words]
    if any(not name or not equals for name, equals, _ in pairs):
        raise ValueError(
            f"{FIELDS}: got {', '.join(words)[:100]!r}, expected a field and its value, as in reach=2"
        )
    return {name: value for name, _, value in pairs}


def typed(name: str, *tables: Any, without: Sequence[str] = ()) -> str:
    """Return what to type to ask the same again.

    Args:
        name: of the command.
        tables: its parameters.
        without: options that it does not take, as in `Without`.
    """
    words = [word for table in tables for word in _typed(table, without)]
    arguments = [word for word in words if not word.startswith("--")]
    return " ".join([f"spikecert {name}", *arguments, *(word for word in words if word.startswith("--"))])


def _told_of(kind: OneOf, table: Any, without: Sequence[str], place: tuple[str, ...]) -> Iterator[str]:
    """Yield the options of one of several tables; fields that only another package's has by `--set`."""
    known = {one.place[-1] for form in kind.known.values() for one in table_fields(form)}
    own = [one for one in table_fields(type(table)) if one.place[-1] not in known]
    yield from _typed(table, (*without, *(one.place[-1] for one in own)), place)
    for one in own:
        if (value := getattr(table, one.name)) is not None and value != one.default:
            yield f"--{FIELDS} {shlex.quote(f'{one.place[-1]}={one.kind.text(value)}')}"


def _typed(table: Any, without: Sequence[str], place: tuple[str, ...] = ()) -> Iterator[str]:
    for one in table_fields(type(table), place):
        value, kind = getattr(table, one.name), one.kind
        name = one.named.option or one.place[-1].replace("_", "-")
        if isinstance(kind, OneOf):
            yield f"--{kind.key} {kind.name_of(value)}"
            yield from _told_of(kind, value, without, one.place)
        elif is_table(kind):
            yield from _typed(value, without, one.place)
        elif _left_out(one, without) or value is None or (value == one.default and not one.named.always):
            continue
        elif kind is FLAG:
            yield f"--{'' if value else 'no-'}{name}"
        elif told := kind.text(value):
            quoted = shlex.quote(told)
            joint = "=" if told.startswith("-") else " "
            yield quoted if one.named.argument else f"--{name}{joint}{quoted}"
