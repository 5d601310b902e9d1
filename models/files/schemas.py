"""How files are read: strictly. Nothing is converted, nothing else is let through, what is wrong is one line."""

import reprlib
from functools import lru_cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, field_validator

from ..elements.registry import Element


class Schema(BaseModel):
    """Data with a type for each field."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value  # JSON has no tuples

    @classmethod
    def read(cls, content: Any, place: str) -> Self:
        """Return checked content.

        Raises:
            ValueError: in one line, for what is missing, unknown, of another type or out of range.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ValueError(f"{place}.{_told(error)}") from None


@lru_cache(None)
def schema_of(element: Element) -> type[Schema]:
    """Return the schema of an element's fields."""
    return _schema(element.name, dict(element.fields or {}))


def _schema(name: str, fields: dict[str, Any]) -> type[Schema]:
    """Return a schema of fields: a type, a dictionary of the fields inside, or (type, default)."""
    forms: dict[str, Any] = {}
    for key, form in fields.items():
        form = _schema(f"_{key.title()}Schema", form) if isinstance(form, dict) else form
        forms[key] = form if isinstance(form, tuple) else (form, ...)
    return create_model(name, __base__=Schema, **forms)


def _told(error: ValidationError) -> str:
    """Return the first error in one line: the field, what came, what was expected."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"]))[:80]
    if first["type"] in ("extra_forbidden", "missing"):
        return f"{field}: {'unknown key' if first['type'] == 'extra_forbidden' else 'missing'}"
    return f"{field}: got {reprlib.repr(first['input'])}, expected {first['msg'].removeprefix('Input should be ')}"
