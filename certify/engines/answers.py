"""What a file of verdicts must hold before anything in it is believed: it may be damaged, or someone else's."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError


class _Strict(BaseModel):
    """No field is converted, and one that is not known is an error."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True)


class WrittenVerdict(_Strict):
    """A `Verdict` but for its counterexample."""

    status: Literal["verified", "falsified", "unknown"]
    margin: float | None
    verifier: str
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    reason: str
    ties: Literal["argmax", "strict"]


class WrittenBatch(_Strict):
    """The verdicts of one batch, in the order of its samples, and whose they are."""

    problem: str
    index: Annotated[int, Field(ge=0)]
    verdicts: tuple[WrittenVerdict, ...]


def parsed(text: str) -> WrittenBatch:
    """Return the answer of a file's text.

    Raises:
        ValueError: for anything else, in one line.
    """
    try:
        return WrittenBatch.model_validate_json(text)
    except ValidationError as error:
        first, more = error.errors(include_url=False)[0], error.error_count() - 1
        place = ".".join(map(str, first["loc"])) or "text"
        others = f" (and {more} more)" if more else ""
        raise ValueError(f"{place}: {' '.join(first['msg'].split())}{others}") from None
