"""`spikecert range`: what an output, or a linear form, can be over the set around each sample."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import Without, command
from spikecert.asking.question import Proving, Question, Verifier, Width
from spikecert.asking.values import Numeral, text

from ..progress import Bars
from ..telling import show, show_json, table

if TYPE_CHECKING:
    from spikecert.certify import OutputRange

SCHEMA = "spikecert.ranges/2"


@dataclass(frozen=True, kw_only=True)
class Ranging(Proving):
    """What is asked about, and how.

    Attributes:
        form: what is asked about: "Y0", "Y1 - Y0", "Y0 - S0", "Y0 - 0.3*X1".
        tolerance: by how much proven and attained ends may differ.
        proof: folder for a proof of each range, for check-proof --property.
        json: print JSON on standard output and nothing else.
    """

    form: Annotated[str, text("a form")] = "Y0"
    tolerance: Width = Numeral(1e-3, "1e-3")
    verifier: Verifier = "complete"
    proof: Path | None = None
    json: bool = False


@command
def output_ranges(asked: Annotated[Question, Without("property", "ties")], how: Ranging) -> int:
    """Prove between which ends outputs lie, and attain them: Y outputs, X inputs, S the sample's own outputs."""
    from spikecert.certify import output_range
    from spikecert.certify.questions.described import form_of
    from spikecert.certify.ranges import proved_range
    from spikecert.runs import proofs
    from spikecert.runs.examining import conditions_of, subject_of

    size, subject, form = _size(asked), subject_of(asked), form_of(how.form)
    around, network, chosen = asked.threat.scale.around(size), subject.network, subject.samples
    prover, width = None if how.proof is None else proofs.prover(network, asked.threat.norm), float(how.tolerance)
    with Bars() as bars:
        rest = {"verifier": how.verifier, "seed": asked.seed, "memory": how.memory, "workers": how.workers}
        found = output_range(network, chosen.inputs, around, form, width, how.timeout, **rest, progress=bars)
        if how.proof is not None and prover is not None:
            ranges = [proved_range(form, one, width) for one in found]
            proofs.write_range_proofs(how.proof, prover, ranges, chosen.inputs, around, size, how.timeout, bars)
    conditions = _conditions(how) | conditions_of(asked, how, network, len(found))
    if how.json:
        show_json(conditions | {"ranges": [_row(index, one) for index, one in enumerate(found)]})
    else:
        show(_told(conditions, found, f"{asked.threat.norm} {size:.6g}"))
    return 0


def _conditions(how: Ranging) -> dict[str, Any]:
    return {"schema": SCHEMA, "form": how.form, "tolerance": float(how.tolerance)}


def _size(asked: Question) -> float:
    """Return the only ε."""
    sizes = list(map(float, asked.threat.epsilons))
    if len(sizes) > 1:
        told = ", ".join(map(asked.threat.short, sizes))
        raise ValueError(f"epsilon: got {told}, expected one: a range is of one set")
    return sizes[0]


def _row(index: int, one: "OutputRange") -> dict[str, Any]:
    keys = ("lower", "least", "greatest", "upper", "closed", "verifier")
    return {"index": index, **{key: getattr(one, key) for key in keys}}


def _told(conditions: dict[str, Any], found: "list[OutputRange]", sets: str) -> str:
    """Return the ranges as a table, proven ends rounded outward."""
    from spikecert.reports.records.radii import rounded_down, rounded_up

    head = (
        f"{conditions['form']} of {conditions['network']} on {conditions['data']}: {conditions['samples']} samples"
    )
    head += f", {sets}, tolerance {conditions['tolerance']:g}"
    rows = [
        (
            str(index),
            rounded_down(one.lower),
            f"{one.least:.6g}",
            f"{one.greatest:.6g}",
            rounded_up(one.upper),
            "closed" if one.closed else "open",
            one.verifier,
        )
        for index, one in enumerate(found)
    ]
    heads = ("sample", "proven ≥", "least seen", "greatest seen", "proven ≤", "ends", "proof by")
    return f"{head}\n\n{table(heads, rows)}"
