"""Why a sample stands where it stands, as sentences, a text and one HTML page."""

from ...certify.explaining import SampleExplained
from ..records.radii import rounded_down, rounded_up
from .html_page import page_of

HEADS = ("verifier", "seconds at most", "took s", "says", "lead it proves", "why")
LAYER_HEADS = ("layer", "neurons", "open %", "seen to change %", "open by step %")


def to_html(found: SampleExplained, name: str, size: str, command: str) -> str:
    """Return the page.

    Args:
        found: the explanation.
        name: of the sample, such as "sample 12 of digits".
        size: ε as people wrote it.
        command: that gives the page again.
    """
    return page_of(
        "explained.html",
        None,
        verdict=verdict(found, name, size),
        lines=[*where(found), *advice(found)],
        layers=found.layers,
        steps=range(1, 1 + max((len(layer.open) for layer in found.layers), default=0)),
        heads=HEADS,
        rungs=rungs(found),
        sizes=[(f"{size:g}", f"{lead:.4g}") for size, lead in found.sizes],
        command=command,
    )


def verdict(found: SampleExplained, name: str, size: str) -> str:
    """Return where the sample stands, in one sentence."""
    told = {
        "verified": f"is proved to keep class {found.label}",
        "falsified": f"does not keep class {found.label}: an input that changes it was found",
        "unknown": f"is neither proved to keep class {found.label} nor broken",
    }
    return f"{name[:1].upper()}{name[1:]} {told[found.status]} at ε = {size}."


def where(found: SampleExplained) -> list[str]:
    """Return what is known of the sample's lead, of its radius, and of its layers, one sentence a line."""
    lines = [
        f"At the sample itself class {found.label} leads by {found.lead:.4g}. In {found.runs} runs within the set "
        f"the least lead is {found.seen:.4g}; the best that is proved is {_best(found)}.",
        f"An attack breaks it at ε = {rounded_up(found.radius.upper)}.",
    ]
    loose = found.loosest
    if loose is not None:
        lines.append(
            f"The bound loses most in {loose.name}: {100 * loose.mean_open:.1f} % of its spikes are open, "
            f"{100 * loose.mean_changed:.1f} % were seen to change."
        )
    elif found.layers:
        lines.append("In no layer does the bound leave much open that runs do not show to change.")
    if found.late:
        lines.append("The time was up before all was asked.")
    return lines


def advice(found: SampleExplained) -> list[str]:
    """Return what would help, most useful first."""
    if found.status == "falsified" or found.seen <= 0:
        return ["No verifier can prove it: train the network for this ε, or ask for a smaller one."]
    if found.status == "verified":
        decided = next(rung for rung in found.rungs if rung.status == "verified")
        return [f'"{decided.verifier}" is the cheapest verifier here that proves it.']
    lines = [*_time(found), *_size(found)]
    if found.loosest is not None and found.loosest is not found.layers[0]:
        lines.append(
            "Bounds widen from layer to layer: fewer spiking layers, or bounds in the loss (`CertifiedLoss`), "
            "make networks that are proved more easily."
        )
    elif found.layers and found.loosest is None:
        lines.append("The runs themselves differ in what is open: the network, not the bound, is what is loose.")
    return lines


def rungs(found: SampleExplained) -> list[tuple[str, ...]]:
    """Return one row a verifier."""
    return [
        (
            rung.verifier,
            "" if rung.limit is None else f"{rung.limit:g}",
            f"{sum(seconds for _, seconds in rung.took):.2g}",
            rung.status,
            "–" if rung.margin is None else f"{rung.margin:.4g}",
            rung.reason,
        )
        for rung in found.rungs
    ]


def layers(found: SampleExplained) -> list[tuple[str, ...]]:
    """Return one row a layer."""
    return [
        (
            layer.name,
            str(layer.neurons),
            f"{100 * layer.mean_open:.1f}",
            f"{100 * layer.mean_changed:.1f}",
            " ".join(f"{100 * share:.0f}" for share in layer.open),
        )
        for layer in found.layers
    ]


def _best(found: SampleExplained) -> str:
    margins = [rung.margin for rung in found.rungs if rung.margin is not None]
    return f"{max(margins):.4g}" if margins else "nothing"


def _time(found: SampleExplained) -> list[str]:
    """Say what three times the time bought the search."""
    first, last = found.rungs[-2:]
    if first.margin is None or last.margin is None:
        return []
    gained, left = last.margin - first.margin, -last.margin
    told = f'From {first.limit:g} to {last.limit:g} s "complete" raised the proved lead by {gained:.3g}'
    if left <= 0:
        return [f"{told}."]
    if gained <= 0:
        return [f"{told}: more time of this order will not prove it."]
    return [
        f"{told}, {left:.3g} are missing: {'more time may' if gained > left / 8 else 'time alone will not'} do."
    ]


def _size(found: SampleExplained) -> list[str]:
    lower = found.radius.lower
    return [f'At ε = {rounded_down(lower)} and below "trains" proves it.'] if lower else []
