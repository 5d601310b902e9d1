"""What all parts of a run record are made of: frozen data that refuse what they don't know."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema

from ...files.fractions import NUMBER, fraction

MOST_KEYS = 100
"""More than any part has."""

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[FiniteFloat, Field(ge=0)]
Scalar = bool | int | FiniteFloat | str | None
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Ties = Literal["argmax", "strict"]
"""What a tie between logits is: the lowest index wins, or a failure."""
Train = Annotated[str, Field(pattern=r"^[01]+$")]
"""Spikes of one neuron, one digit for each step."""
Written = Annotated[str, Field(pattern=f"^{NUMBER}(/{NUMBER}|%)?$")]
"""A number, a fraction of two, or a percentage, as a person wrote it."""


def _fail_fast(node: Any) -> None:
    """Let all lists and mappings of a schema end at their first error, in place."""
    for item in node.values() if isinstance(node, dict) else node:
        if isinstance(item, dict) and item.get("type") in ("tuple", "dict"):
            item["fail_fast"] = True
        if isinstance(item, dict | list):
            _fail_fast(item)


class Part(BaseModel):
    """Base of all parts of a record: frozen, and a field that is not known is an error.

    A list or a mapping is left at its first wrong item, and an object of very many keys at once: each error takes
    far more memory than what is wrong.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the usual schema, in which lists and mappings fail fast."""
        schema = handler(source)
        _fail_fast(schema)
        return schema

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, content: Any) -> Any:
        if isinstance(content, dict) and len(content) > MOST_KEYS:
            raise ValueError(f"got {len(content)} keys, expected at most {MOST_KEYS}")
        return content

    def to_json(self) -> str:
        """Return it as JSON text, which is read back to an equal one."""
        return self.model_dump_json(by_alias=True, indent=1)


def checked_written(written: tuple[str, ...], values: tuple[float, ...]) -> None:
    """Raise ValueError unless texts, where there are any, say these numbers."""
    if any(written) and tuple(map(fraction, written)) != values:
        raise ValueError(f"written: got {written}, expected {values} in the same order")
