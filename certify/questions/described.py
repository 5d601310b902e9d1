"""Properties as JSON-ready data, for other processes, and back."""

from typing import Any

from ...models.validation import check_choice
from .forms import Form, Inequalities, Inequality, JointProperty, Property
from .properties import Abstains, Moves, Robust, Targeted, TopK

NAMED: dict[str, tuple[type[Property], tuple[str, ...]]] = {
    "robust": (Robust, ("label",)),
    "targeted": (Targeted, ("label",)),
    "top-k": (TopK, ("k", "label")),
    "moves": (Moves, ("delta", "place")),
    "abstains": (Abstains, ("threshold", "label")),
}
JOINED = {"all": True, "any": False}
PARTS = ("outputs", "inputs", "own")


def describe_property(prop: Property) -> dict[str, Any]:
    """Return a property as JSON-ready data.

    Raises:
        TypeError: for a class of one's own, which other processes don't know.
    """
    for name, (kind, fields) in NAMED.items():
        if type(prop) is kind:
            return {"kind": name, **{field: getattr(prop, field) for field in fields}}
    if type(prop) is JointProperty:
        return {"kind": "all" if prop.every else "any", "parts": [describe_property(part) for part in prop.parts]}
    if type(prop) is Inequalities:
        return {"kind": "clauses", "clauses": [[_told(row) for row in clause] for clause in prop.given]}
    raise TypeError(f"property: got {type(prop).__name__}, expected one that other processes know")


def build_property(told: dict[str, Any]) -> Property:
    """Return the property of `describe_property`."""
    kind = told["kind"]
    if kind in NAMED:
        make, fields = NAMED[kind]
        return make(**{field: told[field] for field in fields})
    if kind == "clauses":
        return Inequalities(tuple(tuple(map(_row, clause)) for clause in told["clauses"]))
    check_choice("kind", kind, JOINED)
    return JointProperty(tuple(map(build_property, told["parts"])), every=JOINED[kind])


def _told(row: Inequality) -> dict[str, Any]:
    terms = {name: [list(term) for term in getattr(row.form, name)] for name in PARTS}
    return {**terms, "constant": row.form.constant, "strict": row.strict}


def _row(told: dict[str, Any]) -> Inequality:
    terms = {name: tuple((place, factor) for place, factor in told[name]) for name in PARTS}
    return Inequality(Form(**terms, constant=told["constant"]), told["strict"])
