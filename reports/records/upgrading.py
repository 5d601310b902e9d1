"""Records of older schemas, as the schema of today says them."""

from typing import Any

from .schema import SCHEMA

FIRST = "spikecert.record/1"
"""Had no `lost` in its counts, no `written` of its threat, and no `names` of its classes."""
OLDER = (FIRST,)


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Return a record's content in the newest schema; what is no record stays wrong, for validation to say how."""
    if content.get("schema") != FIRST:
        return content
    models = content.get("models")
    changed = [_model(model) for model in models] if isinstance(models, list) else models
    return {**content, "schema": SCHEMA, "models": changed}


def _model(model: Any) -> Any:
    if not isinstance(model, dict) or not isinstance(model.get("points"), list):
        return model
    strict = model.get("ties", "strict") == "strict"
    return {**model, "points": [_point(point, strict) for point in model["points"]]}


def _point(point: Any, strict: bool) -> Any:
    """Add how many ties are failures: all of them, or those that argmax gives to another class."""
    if not isinstance(point, dict) or "lost" in point:  # which the first schema does not know
        return point
    tied, kept = (point.get(name, 0) for name in ("tied", "kept"))
    if not (isinstance(tied, int) and isinstance(kept, int)):
        return point
    return {**point, "lost": tied if strict else tied - kept}
