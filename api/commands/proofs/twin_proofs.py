"""`spikecert check-proof --twin`: pairs of proofs, one of each build, that both give one class on one set."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...telling import printable, show, show_json
from .asked_proof import LeastAsked
from .kernels import checker, network_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from spikecert.checking import Statement


def check_twins(
    folder: Path, models: tuple[Path, Path], asked: LeastAsked, kernel: str, work: float, as_json: bool
) -> int:
    """Check each pair of files of a folder's `a` and `b`, and say what both builds are proven to give.

    Status 0 if all pairs are accepted, 1 if any is refused.
    """
    from spikecert.checking import find_proofs
    from spikecert.checking.twins import SIDES, twin_files

    proofs = [
        proof for side in SIDES for proof in (find_proofs(folder / side) if (folder / side).is_dir() else [])
    ]
    if not proofs:
        raise ValueError(f"path: got {folder}, expected a folder that holds a and b, with proofs of both builds")
    networks = [network_of(model, work) for model in models]
    checks = [checker(kernel, model) for model in models]

    def state(side: int, proof: Path) -> "Statement":
        return checks[side](proof, networks[side], work)

    answers = [_pair(*pair, asked, state) for pair in twin_files(folder, proofs)]
    refused = sum(not answer["accepted"] for answer in answers)
    questions = {answer["question_sha256"] for answer in answers if answer["accepted"]}
    counts = {"equivalent": len(questions), "refused": refused}
    digests = {"a": networks[0].digest, "b": networks[1].digest}
    if as_json:
        show_json({"schema": "spikecert.twin-proofs/1", "networks": digests, **counts, "pairs": answers})
    else:
        for answer in answers:
            show(_told(answer))
        both = " and ".join(f"{digest[:12]}…" for digest in digests.values())
        both += ", not confirmed by their sources" * any(network.unconfirmed for network in networks)
        show(f"{counts['equivalent']} equivalent, {refused} refused, of networks {both}")
    return int(refused > 0)


def _pair(
    name: str, a: Path | None, b: Path | None, asked: LeastAsked, state: "Callable[[int, Path], Statement]"
) -> dict[str, Any]:
    """Return what is to be said of two files of one name."""
    from spikecert.checking import Refused
    from spikecert.checking.twins import TwinStatement

    if a is None or b is None:
        side = "a" if a is None else "b"
        return {"file": name, "accepted": False, "reason": f"{printable(name)}: there is no proof of build {side}"}
    try:
        found = TwinStatement(state(0, a), state(1, b))
        for statement in (found.a, found.b):
            if missing := asked.missing(statement):
                raise Refused(missing)
    except Refused as error:
        told = str(error).removeprefix(f"{name}: ")
        return {"file": name, "accepted": False, "reason": f"{printable(name)}: {told}"}
    return {"file": name, "accepted": True, **_described(found.a), "margins": [found.a.margin, found.b.margin]}


def _described(one: "Statement") -> dict[str, Any]:
    told = f"of {one.norm}" if one.rules is None else f"under {one.rules}"
    if one.rules is None:
        told = f"within ε = {one.epsilon:g} ({one.norm}) and [{one.lower:g}, {one.upper:g}]"
    return {"label": one.label, "norm": one.norm, "told": told, "question_sha256": one.question}


def _told(answer: dict[str, Any]) -> str:
    name = printable(answer["file"])
    if not answer["accepted"]:
        return f"REFUSED {answer['reason']}"
    low, high = sorted(answer["margins"])
    return f"equivalent {name}: class {answer['label']} {answer['told']}, margins ≥ {low:.3g} and {high:.3g}"
