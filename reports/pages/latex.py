"""A record as a LaTeX table of accuracies over ε, for a paper: booktabs, one block of rows a model."""

from collections.abc import Sequence

from ...certify.questions.words import in_words
from ..records.radii import rounded_down, rounded_up
from ..records.records import ModelRecord, Record
from ..records.rows import Tally
from ..records.schema import Threat
from .norms import NORM_SIGNS, sign
from .text import latex
from .wording import steps, ties_found

NORMS = {**NORM_SIGNS, "linf": r"$\ell_\infty$", "l2": r"$\ell_2$"}
NOTE = (
    "Robust: under the named attack, an upper bound. Certified: proved by the named verifier, a lower bound. "
    "The truth lies between the two."
)


def to_latex(record: Record) -> str:
    """Return a `table` environment; it needs \\usepackage{booktabs}."""
    attacks = tuple(dict.fromkeys(name for model in record.models for name in model.attacks))
    verifiers = tuple(dict.fromkeys(name for model in record.models for name in model.verifiers))
    heads = ["Model", r"$\varepsilon$", "Clean", *(f"Robust ({latex(name)})" for name in attacks)]
    heads += [*(f"Certified ({latex(name)})" for name in verifiers), "Undecided"]
    blocks = [_block(model, record.threat, attacks, verifiers) for model in record.models]
    lines = [
        r"% needs \usepackage{booktabs}",
        rf"% fingerprint of the results: {record.fingerprint}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(record)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        _row(heads),
        r"\midrule",
        "\n\\midrule\n".join(blocks),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _caption(record: Record) -> str:
    threat, data = record.threat, record.data
    where = f"{data.samples} {data.split} samples of {data.name}"
    asked = None if threat.asked is None else f"for which this holds: {latex(in_words(threat.asked))}; "
    text = "Accuracy in \\% " if asked is None else f"Share in \\% {asked}"
    text += f"over {NORMS[threat.norm]} perturbations, "
    text += f"{latex(told)}, " if (told := sign(threat).removeprefix(NORM_SIGNS[threat.norm]).strip()) else ""
    text += f"inputs in $[{threat.lower:g}, {threat.upper:g}]$, "
    text += f"{latex(steps(record.models))}, {latex(where)}. {NOTE}"
    for model in record.models:
        text += f" {latex(found)}" if (found := ties_found(model)) else ""
        if model.radii is not None:
            low, high = model.radii.medians
            text += f" {latex(model.name)}: median radius over {len(model.radii.samples)} samples between "
            text += f"{rounded_down(low)} (certified) and {rounded_up(high)} (attacked)."
    return text


def _block(model: ModelRecord, threat: Threat, attacks: Sequence[str], verifiers: Sequence[str]) -> str:
    lines = []
    for place, point in enumerate(model.points):
        counts = [point.clean, *(point.robust.get(name) for name in attacks)]
        counts += [*(point.certified.get(name) for name in verifiers), point.undecided]
        name = latex(model.name) if place == 0 else ""
        size = f"${threat.short(point.epsilon)}$"
        lines.append(_row([name, size, *(_share(count, point) for count in counts)]))
    return "\n".join(lines)


def _share(count: int | None, point: Tally) -> str:
    return "--" if count is None else f"{100 * count / point.samples:.1f}"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
