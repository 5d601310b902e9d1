"""The sentences of a report: one place for what is claimed, so that every format claims the same.

Text that may be a stranger's, as each form of a report may show it: the one place that decides.

In every form it stays on its line, and what a reader's program would act on is shown as an escape (`\x1b`,
`\u202e`): control characters, line ends, marks that turn text around, letters set from right to left.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from ...asking import Threat
from ...certify.alike import Named
from ...certify.attacks import ATTACKS
from ...certify.questions.described import in_words
from ...certify.verifiers import VERIFIERS
from ...files.plugged import is_plugged
from ...files.texts import fraction, printable
from ..records.categories import slices
from ..records.radii import rounded_down, rounded_up
from ..records.records import ModelRecord, Record
from ..records.rows import Tally
from ..records.schema import Counterexample, Data, GainTable
from .claims import claims

LEFT = {
    "undecided": "undecided",
    "broken": "broken by a perturbation",
    "tied": "tied as they are",
    "wrong": "misclassified as they are",
}

UNKNOWN = (
    "Neither a proof nor a counterexample was found, or the time limit was reached. The sample may be either."
)
TIES = {
    "argmax": "Where several classes share the greatest logit, the one of lowest index is the network's answer, "
    "as argmax takes it: a tie counts for the label where it has the lowest index, and against it elsewhere.",
    "strict": "The label must have the greatest logit alone: a tie between it and another class is never "
    "verified, and counts as a failure, which is not the same as another label.",
}
LIMITS = (
    "Robust accuracy is what is left after the named attacks: an upper bound, since a stronger attack may "
    "leave less. Certified accuracy is a lower bound. The truth lies between the two, in the shaded band.",
    "The shares are shares of the listed samples. They are estimates for the population the samples came from.",
    "Attacks and statistical methods prove nothing, and gains certify no spiking network. None of them is "
    "counted as certified here.",
)
NO_RADII = (
    "No radii were measured. `spikecert certify --radii`, or `spikecert radius` and `spikecert report --radii`, "
    "bracket the radius of each sample between a proof and a counterexample."
)
OF_PROPERTY = "What is asked is said by the property alone: strict inequalities where it has <, and no label."
NO_RADIUS = "These sets have no radius: their ε is no distance from the sample."
GROWTH_NOTE = (
    "Samples were perturbed, and the growth through each layer was measured. The proven gain bounds the "
    "simplified dynamics for every perturbation, so no bar can pass its line. It bounds the true potentials "
    "only where no train of the layer changed; elsewhere they may grow more."
)
GAINS_CAPTION = "Gains of the simplified dynamics: not a certificate of the spiking network"
GAINS_NOTE = (
    "A gain bounds how the simplified perturbation dynamics, which leave out the reset, amplify a change of"
    " the layer's input. It also bounds the true change of the potentials while both runs spike "
    "identically. Once one spike differs, potentials jump by about the threshold, and neither a layer's "
    "gain nor a product of gains bounds what follows."
)


SHOWN = 10
"""Outputs of a counterexample that are told."""


def percent(part: int, whole: int) -> str:
    """Return a share such as "71.5 %"."""
    return f"{100 * part / whole:.1f} %"


def share(part: int, whole: int) -> str:
    """Return a count with its share, such as "143 of 200 (71.5 %)"."""
    return f"{part} of {whole} ({percent(part, whole)})"


def distance_text(threat: Threat, epsilon: float) -> str:
    """Return the size of a set that holds a counterexample: as ε is told, or rounded up so that it holds."""
    text = threat.text(epsilon)
    return text if "=" in text or fraction(text) == epsilon else rounded_up(epsilon)


def no_radii(threat: Threat) -> str:
    """Return why there are no radii: none were measured, or the sets have none."""
    return NO_RADII if threat.bracketed else NO_RADIUS


def radii_conditions(record: Record) -> str:
    """Return how the radii were found, one sentence for each way."""
    tables = [(model.name, model.radii) for model in record.models if model.radii is not None]
    ways: dict[str, list[str]] = {}
    for name, table in tables:
        limit = "" if table.timeout is None else f", {table.timeout:g} s for a sample on average"
        samples = f"{len(table.samples)} of {record.data.samples} samples"
        way = f"{samples}, {record.threat.words}, proofs by {table.verifier}, "
        way += f"tolerance {table.tolerance:g}{limit}"
        ways.setdefault(way, []).append(name)
    if len(ways) == 1:
        return f"{next(iter(ways))}."
    return " ".join(f"{', '.join(names)}: {way}." for way, names in ways.items())


def over(threat: Threat) -> str:
    """Return the heading of what is drawn over ε."""
    return f"{'Accuracy' if threat.asked is None else 'Share that keeps the property'} over perturbation size"


def unbroken(model: ModelRecord, threat: Threat) -> str:
    """Return what to say where no counterexample was found."""
    if not model.attacks and not model.verifiers:
        return "Nothing was tried."
    if threat.asked is not None:
        return "Nothing found an input that violates the property of a sample that has it, at any ε tried."
    return "No attack and no verifier found an input that breaks a rightly classified sample, at any ε tried."


def repetition(record: Record) -> str:
    """Return how `spikecert run` repeats the record; "" if it has no configuration."""
    if record.configuration is None:
        return ""
    return (
        "This record holds the configuration of its run: `spikecert run record.json` repeats it, and says whether "
        "it found the same. On the same machine it does, bit for bit, unless a time limit cut it short."
    )


def steps(models: Sequence[ModelRecord]) -> str:
    """Return "T = 8", or all values where the models differ."""
    return "T = " + ", ".join(str(count) for count in sorted({model.architecture.num_steps for model in models}))


def meanings(record: Record) -> tuple[tuple[str, str], ...]:
    """Return each verdict with what it says, and what a tie between classes is."""
    claimed = claims(record.threat)
    if record.threat.asked is not None:
        words = ("verified", claimed.verified), ("falsified", claimed.falsified["strict"]), ("unknown", UNKNOWN)
        return *words, ("ties", OF_PROPERTY)
    models: dict[str, list[str]] = {}
    for model in record.models:
        models.setdefault(model.ties, []).append(model.name)
    told = [
        TIES[ties] if len(models) == 1 else f"{', '.join(names)}: {TIES[ties]}" for ties, names in models.items()
    ]
    falsified = claimed.falsified["strict" if "strict" in models else "argmax"]
    whole = [model.name for model in record.models if model.architecture.whole]
    of_chips = f" Of {', '.join(whole)} it is proved for the integers that run on the chip." if whole else ""
    words = ("verified", claimed.verified + of_chips), ("falsified", falsified), ("unknown", UNKNOWN)
    return *words, ("ties", " ".join(told))


def ties_found(model: ModelRecord) -> str:
    """Return how many samples tie as they are, and clean accuracy both ways; "" where none ties."""
    point = model.points[0]
    if point.tied == 0:
        return ""
    right = point.clean if model.ties == "argmax" else point.clean + point.kept
    strictly = right - point.kept
    return (
        f"{model.name}: the label of {share(point.tied, point.samples)} ties with another class as it is. Clean "
        f"accuracy is {percent(right, point.samples)} by argmax, which takes the lowest index, and "
        f"{percent(strictly, point.samples)} if a tie is a failure; this report is about "
        f"{'argmax' if model.ties == 'argmax' else 'the latter'}."
    )


def signs_found(model: ModelRecord, threat: Threat) -> tuple[str, ...]:
    """Return, in one line each, why what an attack left may be less robust than it seems, with what helps."""
    told = ((f"Attack {row.attack}, ε = {threat.text(row.epsilon)}", row.signs.told) for row in model.signs)
    return tuple(f"{head}: {line}." for head, lines in told for line in lines)


def outcome(case: Counterexample, data: Data) -> tuple[str, str]:
    """Return what the sample should give, and what the counterexample gives: classes, or outputs."""
    if case.outputs is None:
        return data.label(case.label), classified(case, data)
    before, after = map(_outputs, case.outputs)
    return before, after


def _outputs(values: tuple[float, ...]) -> str:
    """Return outputs for people, the first ones of many."""
    told = ", ".join(f"{value:.4g}" for value in values[:SHOWN])
    return told + (f", … ({len(values)} in all)" if len(values) > SHOWN else "")


def outcome_heads(threat: Threat) -> tuple[str, str]:
    """Return what `outcome` tells, in a word or two."""
    return ("label", "classified") if threat.asked is None else ("outputs", "then")


def classified(case: Counterexample, data: Data) -> str:
    """Return what the network makes of a counterexample, such as "3", "boot (9)", or "tied with 3"."""
    rival = data.label(case.predicted)
    return f"tied with {rival}" if case.tied else rival


def verdict(record: Record) -> str:
    """Return what is proved at the record's focus ε in one sentence; of one model also what is left."""
    threat, (first, *others) = record.threat, record.models
    limits = f"inputs within {threat.ends}, {steps(record.models)}"
    what = "network" if threat.of_networks else "perturbation"
    told = f"For every {what} up to ε = {threat.text(record.focus)} in {threat.words} ({limits}), "
    if others:
        shares = [slices(model.at(record.focus), threat)[0].count for model in record.models]
        span = f"{min(shares)}" if min(shares) == max(shares) else f"{min(shares)} to {max(shares)}"
        return (
            f"{told}{len(shares)} networks provably keep the {_kept(threat)} {span} of {_all(record)}, as "
            "the table says."
        )
    return f"{told}{_proved(record, first)} of {_all(record)}; {_rest(first.at(record.focus), threat)}."


def _proved(record: Record, model: ModelRecord) -> str:
    if not model.verifiers:
        return f"nothing is proved for {model.name}, as no verifier was run: 0"
    part = slices(model.at(record.focus), record.threat)[0]
    return f"{model.name} provably keeps the {_kept(record.threat)} {part.count} ({part.percent})"


def _kept(threat: Threat) -> str:
    return "class of" if threat.asked is None else f"property that {in_words(threat.asked)}, for"


def _all(record: Record) -> str:
    return f"{record.data.samples} {_of_samples(record)}"


def _rest(point: Tally, threat: Threat) -> str:
    parts, failing = (
        slices(point, threat)[1:],
        LEFT if threat.asked is None else LEFT | {"wrong": "failing as they are"},
    )
    told = (f"{part.count} ({part.percent}) {failing[part.category.key]}" for part in parts if part.count)
    return ", ".join(told) or "none is left"


def _of_samples(record: Record) -> str:
    return f"{record.data.split} samples of {record.data.name}"


def conditions(record: Record) -> str:
    """Return the small print of a figure: norm, range of ε, T, attacks, verifiers, samples."""
    threat = record.threat
    asked = "" if threat.asked is None else f"property: {in_words(threat.asked)}; "
    low, high = threat.short(threat.epsilons[0]), threat.short(threat.epsilons[-1])
    span = f"ε = {low}" if len(threat.epsilons) == 1 else f"ε from {low} to {high}"
    return (
        f"{asked}{threat.words}, {span}, inputs within {threat.ends}, "
        f"{steps(record.models)}, {record.data.samples} {_of_samples(record)}; attacks: "
        f"{_names(m.attacks for m in record.models)}; verifiers: "
        f"{_names(m.verifiers for m in record.models)}"
    )


def _names(groups: Iterable[Sequence[str]]) -> str:
    names = dict.fromkeys(name for group in groups for name in group)
    return ", ".join(names) or "none"


def guessing(record: Record) -> tuple[tuple[str, str], ...]:
    """Return what usually lies behind a network that is right no more often than a guess, where one is."""
    data, models = record.data, record.models
    poor = [model.name for model in models if model.points[0].clean * data.classes <= 1.5 * data.samples]
    if record.threat.asked is not None or not poor or data.samples < data.classes:
        return ()
    return (
        (
            "Look first",
            f"{', '.join(poor)}: right about as often as a guess. Mostly inputs are not what they were in "
            "training: another scale, mean and deviation (--mean, --std), order of axes or of classes. The "
            "network's own code on these samples tells.",
        ),
    )


def essentials(record: Record) -> tuple[tuple[str, str], ...]:
    """Return the assumptions and the limits of "proved", one line each, for the first screen."""
    return (*guessing(record), *_limits_of(record))


def _limits_of(record: Record) -> tuple[tuple[str, str], ...]:
    threat = record.threat
    whole = all(model.architecture.whole for model in record.models)
    runs = "proved for the integers that run on the chip" if whole else "in the arithmetic it ran in"
    if threat.of_networks:
        return (
            ("Assumed", f"{threat.change}; in the arithmetic that it ran in."),
            ("Not covered", "other networks and other inputs, wrong labels. Undecided is not safe."),
        )
    return (
        (
            "Assumed",
            f"{threat.change}, within {threat.ends}; this network, {runs}.",
        ),
        *((("On the word of", others),) if (others := word_of(record)) else ()),
        (
            "Not covered",
            "larger or other changes, other inputs, other builds of the network, "
            f"{'wrong labels' if threat.asked is None else 'any other property'}. Undecided is not safe.",
        ),
    )


def assumptions(record: Record) -> tuple[str, ...]:
    """Return what the verdicts take for granted, in plain words."""
    threat = record.threat
    if threat.of_networks:
        return (
            f"The network that runs is one of a set around this one: {threat.change}.",
            "It stays the same one at all steps and for all samples; products and sums are rounded as in this "
            "network's dtype.",
            "Pools and the scaling of inputs are exact, as in this network.",
            "The labels of the data set are taken as right; a sample that the network itself misclassifies is "
            "counted as such, apart from those that another member broke.",
        )
    return (
        f"The adversary sees the network and may change the input: {threat.change}, and the result "
        f"stays within {threat.ends}.",
        "The change is made before the network encodes its input; weights, thresholds and states can't be "
        "touched.",
        "Under direct coding the same changed input is shown at each of the T steps. Under rate coding each "
        "verdict is about the spikes that the network's own draws give, not about other draws.",
        "The labels of the data set are taken as right; a sample that is misclassified as it is is counted as "
        "such, apart from those that a perturbation broke."
        if threat.asked is None
        else f"What is asked of each sample: {in_words(threat.asked)}. A sample that fails as it is is counted as "
        "such, apart from those that a perturbation broke.",
    )


def sources(record: Record) -> tuple[tuple[str, str], ...]:
    """Return (kind and name, what it does) of each attack and verifier that was run."""
    attacks = dict.fromkeys(name for model in record.models for name in model.attacks)
    verifiers = dict.fromkeys(name for model in record.models for name in model.verifiers)
    return (
        *((f"Attack {name}", _does(ATTACKS, name)) for name in attacks),
        *((f"Verifier {name}", _does(VERIFIERS, name)) for name in verifiers),
        *((f"{kind} {name}", _does({}, name)) for kind, name in _plugged(record) if kind in ("Set", "Property")),
    )


def word_of(record: Record) -> str:
    """Return which plug-ins "proved" rests on; nothing where there are none. What attacks find is replayed."""
    names = dict.fromkeys(name for kind, name in _plugged(record) if kind != "Attack")
    return f"the plug-ins {', '.join(names)}, which nobody here checked" if names else ""


def _plugged(record: Record) -> tuple[tuple[str, str], ...]:
    """Return kind and name of all that other packages added to what was asked and answered."""
    found = [("Attack", name) for model in record.models for name in model.attacks]
    found += [("Verifier", name) for model in record.models for name in model.verifiers]
    asked = "" if record.threat.asked is None else record.threat.asked.partition("=")[0]
    return tuple(
        (kind, name)
        for kind, name in (*found, ("Set", record.threat.norm), ("Property", asked))
        if is_plugged(name)
    )


def _does(known: Mapping[str, Named[Any]], name: str) -> str:
    if is_plugged(name):
        return f"a plug-in of the package {name.partition(':')[0]}: what it says is that package's word"
    return known[name].does if name in known else "see the documentation"


def sketch(model: ModelRecord) -> str:
    """Return the layers of a model in one line, such as "Linear 64→64, DLIF (λ 0.99, θ 1, reset zero), …"."""
    description = model.architecture.description
    layers = ", ".join(_layer(layer) for layer in description.get("layers", []))
    seed = f" with the draws of seed {description['seed']}" if "seed" in description else ""
    seed = " with given draws" if "draws" in description else seed
    return f"{description.get('encoding', '?')} coding{seed}, readout {description.get('readout', '?')}: {layers}"


def _layer(layer: dict[str, Any]) -> str:
    kind = str(layer.get("type", "?"))
    if "decay" in layer:
        fires = f"fires at v {layer.get('fires_at')} θ"
        reset = " ".join(str(layer[key]) for key in ("reset", "reset_amount") if key in layer)
        return f"{kind} (λ {layer['decay']}, θ {layer.get('threshold')}, reset {reset}, {fires})"
    if "in_features" in layer:
        return f"{kind} {layer['in_features']}→{layer.get('out_features')}"
    if "in_channels" in layer:
        return f"{kind} {layer['in_channels']}→{layer.get('out_channels')}"
    return kind


NORM_SIGNS = {"linf": "ℓ∞", "l2": "ℓ2", "l1": "ℓ1"}


def gain_norms(gains: GainTable) -> str:
    """Return "ℓ2 → ℓ2, 8 steps"."""
    ends = (NORM_SIGNS.get(norm, norm) for norm in (gains.input_norm, gains.output_norm))
    return f"{' → '.join(ends)}, {gains.horizon}"


def gain_text(value: float | None) -> str:
    """Return a gain, rounded up to four digits so that it stays a bound, or "none finite"."""
    return "none finite" if value is None else rounded_up(value, 4)


def norm_ends(ends: tuple[float, float]) -> tuple[str, str]:
    """Return proven ends with four digits, the lower rounded down, the upper rounded up."""
    return rounded_down(ends[0], 4), gain_text(ends[1])


SPACE = "\u00a0"
"""Pages may hold it: it only keeps two words on one line."""
MARKDOWN = "\\`*_|[]#~$"
STARTS = re.compile(r"^(?:(\d{1,9})([.)])|()([-+=]))(?=\s|$|[-+=])")
"""What begins a list, a line or a heading where it stands first: "1. ", "- ", "===". """
LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},  # behind \\ they would be its arguments
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "λ": r"$\lambda$",
    "ρ": r"$\rho$",
    "θ": r"$\theta$",
    "σ": r"$\sigma$",
    "ε": r"$\varepsilon$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "∞": r"$\infty$",
    "ℓ": r"$\ell$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "→": r"$\to$",
    "×": r"$\times$",
}
FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What a spreadsheet may take for the start of a formula."""


def plain(text: str) -> str:
    r"""Return text as a terminal may show it, on one line.

    >>> plain("a\x1b[2K\n b")
    'a\\x1b[2K b'
    """
    return printable(" ".join(text.split()))


def markdown(text: str) -> str:
    r"""Return text that Markdown, and the HTML that it may hold, prints as it is.

    >>> print(markdown("a_b <i> | [c](d)"))
    a\_b &lt;i&gt; \| \[c\](d)
    """
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return STARTS.sub(r"\1\3\\\2\4", "".join(f"\\{sign}" if sign in MARKDOWN else sign for sign in text))


def latex(text: str) -> str:
    r"""Return text that LaTeX prints as it is.

    >>> print(latex("a_b & ρ = 1"))
    a\_b \& $\rho$ = 1
    """
    return "".join(LATEX.get(sign, sign) for sign in plain(text))


def cell(text: str) -> str:
    """Return text as a cell of a CSV file: with an apostrophe before what a spreadsheet would run as a formula.

    >>> cell("=1+1")
    "'=1+1"
    """
    text = plain(text)
    return f"'{text}" if text.startswith(FORMULAS) else text


def page(value: Any) -> Any:
    """Return a value as a page may hold it; the template escapes what HTML would act on."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return SPACE.join(map(printable, value.split(SPACE)))


def code_page(text: str) -> Markup:
    """Return one of our own sentences as a page shows it: what stands between backticks in its own type.

    >>> code_page("run `make` <now>")
    Markup('run <code>make</code> &lt;now&gt;')
    """
    parts = enumerate(map(escape, text.split("`")))
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in parts)


def code_markdown(text: str) -> str:
    r"""Return one of our own sentences as Markdown shows it, with its code, in which no sign is to escape.

    >>> code_markdown("run `make` in a_b")
    'run `make` in a\\_b'
    """
    return markdown(text).replace("\\`", "`")
