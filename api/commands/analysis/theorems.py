"""`spikecert gains --theorem`: the theory, and a replay of its derivations."""

from typing import TYPE_CHECKING, Any

from ...telling import show, show_json

if TYPE_CHECKING:
    from spikecert.analysis.symbolic import Derivation, Refutation, Theorem


ALL = "all"


def show_theorems(name: str, latex: bool, as_json: bool) -> int:
    """List all theorems, or show one; each derivation is replayed by sympy, step by step, before it is shown."""
    from spikecert.analysis.symbolic import theorem
    from spikecert.analysis.symbolic import theorems as everything

    asked = everything() if name == ALL else (theorem(name),)
    results = [item.verify() for item in asked]
    if as_json:
        show_json([_as_data(item, result) for item, result in zip(asked, results, strict=True)])
    elif latex:
        show("\n\n".join(item.latex() for item in asked))
    elif name == ALL:
        show("\n".join(_line(item, result) for item, result in zip(asked, results, strict=True)))
    else:
        show(f"{asked[0].text()}\n\n{_verdict(results[0])}")
    return 0


def _verdict(result: "Derivation | Refutation") -> str:
    from spikecert.analysis.symbolic import Derivation

    if isinstance(result, Derivation):
        return f"verified: {len(result.claims)} steps replayed"
    ratio, claimed, inputs = result.ratio, result.claimed, ", ".join(map(str, result.inputs))
    return f"refuted: λ = {result.decay}, T = {result.horizon}, w = ({inputs}): ‖ε‖²/‖w‖² = {ratio} > {claimed}"


def _line(item: "Theorem", result: "Derivation | Refutation") -> str:
    return f"{item.name:26} {item.title}\n{'':26} about: {item.about}; {_verdict(result)}"


def _as_data(item: "Theorem", result: "Derivation | Refutation") -> dict[str, Any]:
    from spikecert.analysis.symbolic import Derivation

    data: dict[str, Any] = {
        "name": item.name,
        "title": item.title,
        "statement": item.statement,
        "assumptions": list(item.assumptions),
        "about": item.about,
        "formulas": {key: str(formula) for key, formula in item.formulas.items()},
        "steps": [{"claim": step.claim, "formula": str(step.formula())} for step in item.steps],
        "status": item.status,
        "latex": item.latex(),
    }
    if not isinstance(result, Derivation):
        data["corrected"] = item.corrected
        data["counterexample"] = {
            "decay": str(result.decay),
            "horizon": result.horizon,
            "inputs": [str(value) for value in result.inputs],
            "outputs": [str(value) for value in result.outputs],
            "ratio": str(result.ratio),
            "claimed": str(result.claimed),
        }
    return data
