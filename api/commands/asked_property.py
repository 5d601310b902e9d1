"""`spikecert certify --property`: which samples provably keep a property, and how far they may be moved."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import Bars
from ..telling import say, show, show_json, table
from .options.certify_options import FleetOptions
from .options.options import epsilons
from .options.question_options import QuestionOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spikecert.certify import Radius, Verdict

JSON = "property.json"
STATUSES = ("verified", "falsified", "unknown")


def certify_property(
    model: Path,
    text: str,
    epsilon: list[str],
    asked: QuestionOptions,
    verifiers: tuple[str, ...],
    limits: tuple[float | None, int | None],
    tolerance: float | None,
    fan: FleetOptions,
    bar: float | None,
    proof: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Certify a property of all samples at each ε, and bracket its radii where a tolerance is given.

    Status 1 if any sample is falsified; with a bar, instead, if the certified share is below it at any ε.
    """
    from spikecert.certify import certified_radius, verify
    from spikecert.certify.questions.texts import property_of
    from spikecert.files import write_atomically
    from spikecert.models import network_hash
    from spikecert.reports import Plan
    from spikecert.runs import building, proofs

    if asked.ties is not None:
        raise ValueError(f"ties: got {asked.ties!r} beside a property, which says itself what a tie is")
    prop, sizes, subject = property_of(text), epsilons(epsilon), asked.subject(model)
    network, inputs = subject.network, subject.samples.inputs
    plan = Plan(asked.threat(sizes), (), verifiers, seed=asked.seed)
    fleet = building.fleet(fan.engine, fan.workers, fan.resume, fan.ray_address)
    points, radii = list[dict[str, Any]](), list["Radius"]()
    prover = None if proof is None else proofs.prover(network, asked.norm)
    with Bars() as bars:
        for size in sizes:
            for name in verifiers:
                decide = verify if fleet is None else fleet.within(f"{name}-{asked.norm}-{size!r}").verify
                rest = {"seed": asked.seed, "memory": limits[1], "progress": bars, "figures": bars.figures}
                found = decide(network, inputs, prop, plan.perturbation(size), name, limits[0], **rest)
                points.append(_point(size, sizes[size], name, found))
        if proof is not None and prover is not None:
            kept = _verified(points)
            around = [(index, size, plan.threat.scale.around(size)) for index, size in kept]
            proofs.write_property_proofs(proof, prover, prop, inputs, around, limits[0], asked.data, bars)
        if tolerance is not None:
            rest = {"timeout": limits[0], "seed": asked.seed, "progress": bars}
            radii = certified_radius(network, inputs, prop, plan.threat.scale, verifiers[-1], tolerance, **rest)
    content = {
        "schema": "spikecert.property/1",
        "network": model.name,
        "sha256": network_hash(network),
        "data": asked.data,
        "samples": len(inputs),
        "property": text,
        "norm": asked.norm,
        "seed": asked.seed,
        "timeout": limits[0],
        "points": points,
        "radii": [_radius(index, one) for index, one in enumerate(radii)],
    }
    if out is not None:
        write_atomically(out / JSON, json.dumps(content, indent=1, allow_nan=False).encode())
        say(f"wrote {shlex.quote(str(out / JSON))}")
    show_json(content) if as_json else show(_told(content))
    return _status(content, bar)


def _verified(points: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """Return index and ε of what some verifier proved."""
    found = [
        (row["index"], point["epsilon"])
        for point in points
        for row in point["verdicts"]
        if row["status"] == "verified"
    ]
    return list(dict.fromkeys(found))


def _point(size: float, written: str, verifier: str, found: "Sequence[Verdict]") -> dict[str, Any]:
    """Return one verifier's answers at one ε, with counts of each status."""
    keys = ("status", "margin", "verifier", "seconds", "reason", "ties")
    rows = [
        {"index": index, **{key: getattr(one, key) for key in keys}}
        | {"counterexample": None if one.counterexample is None else one.counterexample.flatten().tolist()}
        for index, one in enumerate(found)
    ]
    counts = {status: sum(one.status == status for one in found) for status in STATUSES}
    return {"epsilon": size, "written": written, "verifier": verifier, **counts, "verdicts": rows}


def _radius(index: int, one: "Radius") -> dict[str, Any]:
    keys = ("lower", "upper", "exact", "verifier")
    return {"index": index, **{key: getattr(one, key) for key in keys}}


def _told(content: dict[str, Any]) -> str:
    """Return the counts as a table, and below it the radii."""
    from spikecert.reports.records.radii import rounded_down, rounded_up

    head = f"{content['property']} of {content['network']} on {content['data']}: {content['samples']} samples, "
    rows = [
        (point["written"], point["verifier"], *(str(point[status]) for status in STATUSES))
        for point in content["points"]
    ]
    text = f"{head}{content['norm']}\n\n{table(('ε', 'verifier', *STATUSES), rows)}"
    if not content["radii"]:
        return text
    brackets = [
        (
            str(row["index"]),
            rounded_down(row["lower"]),
            rounded_up(row["upper"]),
            "exact" if row["exact"] else "open",
        )
        for row in content["radii"]
    ]
    return f"{text}\n\n{table(('sample', 'holds up to', 'fails at', 'bracket'), brackets)}"


def _status(content: dict[str, Any], bar: float | None) -> int:
    if bar is None:
        return int(any(point["falsified"] for point in content["points"]))
    best = {point["epsilon"]: 0 for point in content["points"]}
    for point in content["points"]:
        best[point["epsilon"]] = max(best[point["epsilon"]], point["verified"])
    for size, count in best.items():
        if count / content["samples"] < bar:
            say(f"certified share {count / content['samples']:.4f} at ε = {size:g} is below the required {bar:g}")
            return 1
    return 0
