"""`spikecert check-proof`: check proofs in exact arithmetic, apart from all that made them (and without torch)."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..output import show, show_json
from . import options
from .options import Json

if TYPE_CHECKING:
    from spikecert.checking import Network, Statement


def check_proof(
    path: Annotated[Path, typer.Argument(help="A proof, or a folder of proofs (*.proof).", metavar="PATH")],
    model: Annotated[Path, typer.Option("--model", help="The network file that the proofs are about.")],
    epsilon: Annotated[
        str | None, typer.Option("--epsilon", help="Refuse proofs about a smaller ε, such as 8/255.")
    ] = None,
    norm: Annotated[
        str, typer.Option("--norm", help="In which norm --epsilon is asked for: linf or l2.")
    ] = "linf",
    as_json: Json = False,
) -> int:
    """Check proofs that `certify --proof` wrote: exact arithmetic, no solver, no trust in the verifier.

    Status 0 if all are accepted, 1 if any is refused.
    """
    from spikecert.checking import find_proofs, read_network

    least = None if epsilon is None else options.number(epsilon, "epsilon")
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm: got {norm!r}, expected linf or l2")
    proofs = find_proofs(path)
    if not proofs or not path.exists():
        raise ValueError(f"path: got {path}, expected a proof or a folder that holds some (*.proof)")
    network = read_network(model)
    answers = [_answer(proof, network, least, norm) for proof in proofs]
    refused = sum(not answer["accepted"] for answer in answers)
    counts = {"accepted": len(answers) - refused, "refused": refused}
    if as_json:
        show_json({"network": network.digest, **counts, "proofs": answers})
    else:
        for answer in answers:
            show(_told(answer))
        show(f"{counts['accepted']} accepted, {refused} refused, of network {network.digest[:12]}…")
    return int(refused > 0)


def _answer(proof: Path, network: "Network", least: float | None, norm: str) -> dict[str, Any]:
    """Return what is to be said of one file; an ℓ∞ ball holds the ℓ2 ball of its radius, not the other way."""
    from spikecert.checking import Refused, check

    try:
        found = check(proof, network)
    except Refused as error:
        return {"file": proof.name, "accepted": False, "reason": str(error)}
    if least is not None and found.norm != norm and found.norm != "linf":
        reason = f"{proof.name}: proves a ball in {found.norm}, not in the {norm} asked for"
        return {"file": proof.name, "accepted": False, "reason": reason}
    if least is not None and found.epsilon < least:
        reason = f"{proof.name}: proves ε = {found.epsilon:g}, less than the {least:g} asked for"
        return {"file": proof.name, "accepted": False, "reason": reason}
    return {"file": proof.name, "accepted": True, **_described(found)}


def _described(found: "Statement") -> dict[str, Any]:
    return {
        "label": found.label,
        "epsilon": found.epsilon,
        "norm": found.norm,
        "lower": found.lower,
        "upper": found.upper,
        "margin": found.margin,
        "leaves": found.leaves,
        "sample_sha256": hashlib.sha256(found.sample.tobytes()).hexdigest(),
        "note": found.note,
    }


def _told(answer: dict[str, Any]) -> str:
    if not answer["accepted"]:
        return f"REFUSED {answer['reason']}"
    ball = f"ε = {answer['epsilon']:g} ({answer['norm']})"
    kept = f"class {answer['label']} within {ball}, margin ≥ {answer['margin']:.3g}"
    return f"accepted {answer['file']}: {kept}; {answer['leaves']} leaves; {answer['note']}"
