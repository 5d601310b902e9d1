"""`spikecert check-proof`: check proofs in exact arithmetic, apart from all that made them (and without torch).

What `spikecert check-proof --property` asks of a proof's claim.

`spikecert check-proof --twin`: pairs of proofs, one of each build, that both give one class on one set.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import command
from spikecert.asking.values import Mistake, Naming, Numeral, Saying, real, text

from ...telling import printable, show, show_json
from .asked_proof import LeastAsked
from .kernels import PYTHON, checker, keeping, network_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from spikecert.checking import Network, Statement
    from spikecert.commands.proofs.kernels import Check
    from spikecert.models import SpikingNetwork

    Missing = Callable[[Statement], str]


@dataclass(frozen=True)
class PropertyAsked:
    """A property, as `certify --property` takes it, of one model file, whose run of the sample counts."""

    text: str
    network: "SpikingNetwork"

    @staticmethod
    def of(text: str, model: Path) -> "PropertyAsked":
        """Return what is asked.

        Raises:
            ValueError: for a text that is no property, or a file that is no network.
        """
        from spikecert.certify.questions.described import property_of
        from spikecert.models import load

        property_of(text)
        return PropertyAsked(text, load(model))

    def missing(self, statement: "Statement") -> str:
        """Return what a proof lacks, or nothing: this property, about the outputs of the sample's run."""
        import torch

        from spikecert.certify.proofs import Prover
        from spikecert.certify.questions.described import property_of

        sample = torch.from_numpy(statement.sample)
        asked = Prover.of(self.network).claimed(property_of(self.text), sample, None)
        if asked.stated is None or statement.prop is None:
            claimed = f"class {statement.label}" if statement.prop is None else str(statement.prop)
            same = asked.stated is statement.prop and (asked.label, asked.ties) == (
                statement.label,
                statement.ties,
            )
            return "" if same else f"proves {claimed} ({statement.ties}), not the property asked for"
        if asked.stated.clauses != statement.prop.clauses:
            return f"proves another property: {statement.prop}"
        if statement.prop.relative and asked.stated.own != statement.prop.own:
            told = f"{list(statement.prop.own)}, and a run here gives {list(asked.stated.own)}"
            return f"says that the sample's own outputs are {told}"
        return ""


def check_twins(
    folder: Path, models: tuple[Path, Path], asked: LeastAsked, kernel: str, work: float, as_json: bool
) -> int:
    """Check each pair of files of a folder's `a` and `b`, and say what both builds are proven to give.

    Status 0 if all pairs are accepted, 1 if any is refused.
    """
    from spikecert.checking import find_proofs
    from spikecert.checking.short import SIDES, twin_files

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
            show(_twin_told(answer))
        both = " and ".join(f"{digest[:12]}…" for digest in digests.values())
        both += ", not confirmed by their sources" * any(network.unconfirmed for network in networks)
        show(f"{counts['equivalent']} equivalent, {refused} refused, of networks {both}")
    return int(refused > 0)


def _pair(
    name: str, a: Path | None, b: Path | None, asked: LeastAsked, state: "Callable[[int, Path], Statement]"
) -> dict[str, Any]:
    """Return what is to be said of two files of one name."""
    from spikecert.checking import Refused
    from spikecert.checking.short import TwinStatement

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
    return {
        "file": name,
        "accepted": True,
        **_twin_described(found.a),
        "margins": [found.a.margin, found.b.margin],
    }


def _twin_described(one: "Statement") -> dict[str, Any]:
    told = f"of {one.norm}" if one.rules is None else f"under {one.rules}"
    if one.rules is None:
        told = f"within ε = {one.epsilon:g} ({one.norm}) and [{one.lower:g}, {one.upper:g}]"
    return {"label": one.label, "norm": one.norm, "told": told, "question_sha256": one.question}


def _twin_told(answer: dict[str, Any]) -> str:
    name = printable(answer["file"])
    if not answer["accepted"]:
        return f"REFUSED {answer['reason']}"
    low, high = sorted(answer["margins"])
    return f"equivalent {name}: class {answer['label']} {answer['told']}, margins ≥ {low:.3g} and {high:.3g}"


@dataclass(frozen=True, kw_only=True)
class Checking(LeastAsked):
    """Which proofs are checked, and what they must be about at least.

    Attributes:
        path: a proof, or a folder of proofs (*.proof, *.certificate).
        model: the network file that the proofs are about.
        work: how many times the usual limit of work one proof may take.
        prop: refuse proofs of anything but this property, as certify takes it.
        kernel: which kernel checks: python, or native where it is built.
        certificates: folder for the certificate of each proof, which is long: what the kernel then checks.
        twin: another build's network file: PATH holds a and b, with proofs of both builds by one name.
        json: print JSON on standard output and nothing else.
    """

    path: Annotated[Path, Naming(argument=True)]
    model: Path
    work: Annotated[Numeral, real("a number above 0", above=0.0)] = Numeral(1.0, "1")
    prop: Annotated[str, text("a property"), Naming("property")] | None = None
    kernel: str = PYTHON
    certificates: Path | None = None
    twin: Path | None = None
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.twin is not None and self.prop is not None:
            raise Mistake(("prop",), self.prop, "none beside --twin: pairs of proofs are about a class")
        if self.twin is not None and self.certificates is not None:
            raise Mistake(
                ("certificates",), Saying(str(self.certificates)), "none beside --twin: ask for those of one build"
            )


@command
def check_proof(asked: Checking) -> int:
    """Check proofs that `certify --proof` wrote: exact arithmetic, no solver, no trust in the verifier.

    A proof is about the inputs of its ball that lie in its range, [0, 1] where certify wrote it; or about events.
    Of a property each line says the rows; --property compares them, and the sample's own outputs by a run.
    Copies of one proof count once, and so does a sample that is proven at several radii.
    Certificates that --certificates wrote are checked as they are. With --twin, two proofs of one name that are
    about one set and one class prove that both builds give that class there.
    Status 0 if all are accepted, 1 if any is refused.
    """
    from spikecert.checking import find_proofs

    limit, proofs = float(asked.work), find_proofs(asked.path)
    if asked.twin is not None:
        return check_twins(asked.path, (asked.model, asked.twin), asked, asked.kernel, limit, asked.json)
    if not proofs or not asked.path.exists():
        raise ValueError(f"path: got {asked.path}, expected a proof or a folder that holds some (*.proof)")
    check = checker(asked.kernel, asked.model)
    check = check if asked.certificates is None else keeping(check, asked.certificates, asked.kernel)
    network = network_of(asked.model, limit)
    missing: list[Missing] = [asked.missing]
    missing += [] if asked.prop is None else [PropertyAsked.of(asked.prop, asked.model).missing]
    answers = _without_copies([_answer(proof, network, missing, check, limit) for proof in proofs])
    counts = _counted(answers)
    if asked.json:
        show_json({"network": network.digest, **counts, "proofs": answers})
    else:
        for answer in answers:
            show(_told(answer))
        show(_summary(counts, network.digest))
    return int(counts["refused"] > 0)


def _answer(
    proof: Path, network: "Network", asked: "list[Missing]", check: "Check", work: float
) -> dict[str, Any]:
    """Return what is to be said of one file."""
    from spikecert.checking import Refused

    try:
        statement = check(proof, network, work)
    except Refused as error:
        return {"file": proof.name, "accepted": False, "reason": str(error)}
    missing = next(filter(None, (lacks(statement) for lacks in asked)), "")
    if missing:
        reason = f"{printable(proof.name)}: {missing}"
        return {"file": proof.name, "accepted": False, "reason": reason}
    return {"file": proof.name, "accepted": True, **_described(statement)}


def _described(statement: "Statement") -> dict[str, Any]:
    return {
        "label": statement.label,
        "property": None if statement.prop is None else {**statement.prop.described, "told": str(statement.prop)},
        "norm": statement.norm,
        **_set(statement),
        "margin": statement.margin,
        "ties": statement.ties,
        "integers": statement.whole,
        "leaves": statement.leaves,
        "claim_sha256": statement.claim,
        "point_sha256": statement.point,
        "sample_sha256": hashlib.sha256(statement.sample.tobytes()).hexdigest(),
        "note": statement.note,
    }


def _set(statement: "Statement") -> dict[str, Any]:
    """Return what is to be said of a ball and its range, or of rules of events."""
    if statement.rules is None:
        return {"epsilon": statement.epsilon, "lower": statement.lower, "upper": statement.upper}
    masks = {name: int(mask.sum()) for name, mask in statement.rules.masks.items()}
    return {"events": statement.rules.described, "entries": masks, "told": str(statement.rules)}


def _without_copies(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the answers, those that prove what one before them proves as copies of it."""
    first: dict[str, str] = {}
    found = []
    for answer in answers:
        if answer["accepted"]:
            original = first.setdefault(answer["claim_sha256"], answer["file"])
            answer = answer if original == answer["file"] else {**answer, "copy_of": original}
        found.append(answer)
    return found


def _counted(answers: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many proofs are accepted, each once, their samples, the copies left out, and what is refused."""
    accepted = [answer for answer in answers if answer["accepted"]]
    copies = sum("copy_of" in answer for answer in accepted)
    return {
        "accepted": len(accepted) - copies,
        "samples": len({answer["point_sha256"] for answer in accepted}),
        "copies": copies,
        "refused": len(answers) - len(accepted),
    }


def _summary(counts: dict[str, int], digest: str) -> str:
    samples, copies = counts["samples"], counts["copies"]
    found = f"{counts['accepted']} accepted, {counts['refused']} refused, of network {digest[:12]}…"
    proven = f"{samples} sample{'' if samples == 1 else 's'} proven"
    left = f", {copies} cop{'y' if copies == 1 else 'ies'} left out" if copies else ""
    return f"{found}: {proven}{left}"


def _told(answer: dict[str, Any]) -> str:
    """Return one line about a file: its name and its note can't turn it into another one."""
    name = printable(answer["file"])
    if not answer["accepted"]:
        return f"REFUSED {answer['reason']}"
    if "copy_of" in answer:
        return f"copy {name}: proves what {printable(answer['copy_of'])} proves"
    order = "" if answer["ties"] == "strict" else " (argmax)"
    if "told" in answer:
        within = f"under {answer['told']}"
    else:
        within = f"within ε = {answer['epsilon']:g} ({answer['norm']}) and "
        within += f"[{answer['lower']:g}, {answer['upper']:g}]"
    kept = f"class {answer['label']}{order}" if answer["property"] is None else f"{answer['property']['told']}"
    kept += ", proved for the integers that run on the chip" if answer["integers"] else ""
    kept += f" {within}, margin ≥ {answer['margin']:.3g}"
    return f"accepted {name}: {kept}; {answer['leaves']} leaves; {answer['note']}"
