"""`spikecert ablate`: a network's accuracy without parts of its time, and trained again without memory."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import command, typed
from spikecert.asking.question import Count, ScaledSamples, Seed
from spikecert.asking.values import Naming

from ...progress import Bars
from ...runs.sources import data_of, network_of
from ...telling import show, show_json, table

if TYPE_CHECKING:
    from spikecert.analysis import Ablation, TemporalAblation
    from spikecert.models import SpikingNetwork
    from spikecert.training import Dataset, Split


@dataclass(frozen=True, kw_only=True)
class Ablating(ScaledSamples):
    """Which network, on which samples.

    Attributes:
        model: a network file as written by `train`, or zoo:NAME (see `zoo`).
        retrain: also train the network anew for so many epochs, with λ as it is and with λ = 0.
        controls: also what counts over time, and windows of a few steps, tell other classifiers: memory is needed
            only where all of them lose 20 points.
        seed: of everything random.
        json: print JSON on standard output and nothing else.
    """

    model: Annotated[Path, Naming(argument=True)]
    retrain: Count | None = None
    controls: bool = False
    seed: Seed = 0
    json: bool = False


@command
def ablate(asked: Ablating) -> int:
    """Take parts of a network's time and memory away: what accuracy is left says what they are good for."""
    from spikecert.analysis import temporal_ablation
    from spikecert.runs.building import fitting, scaled

    network = network_of(asked.model)
    source = data_of(asked, network.num_steps, asked.limits)
    network = scaled(network, source, asked)
    chosen = fitting(network, source, asked.samples, asked.device)
    with Bars() as bars:
        found = temporal_ablation(network, chosen.inputs, chosen.labels, seed=asked.seed)
        epochs = asked.retrain
        again = () if epochs is None else _retrained(network, source, chosen, epochs, asked.seed, bars)
        against = _controlled(network, source, bars) if asked.controls else None
    content = _content(asked.model.name, asked.data, found, again) | ({"controls": against} if against else {})
    show_json(content) if asked.json else show(_text(asked, found, again) + _controls_text(against))
    return 0


def _controlled(network: "SpikingNetwork", source: "Dataset", bars: Bars) -> dict[str, Any]:
    """Return the network's accuracy on the recordings that controls are asked about, and theirs."""
    import torch

    from spikecert.training.controls import memory_controls
    from spikecert.training.evaluation import accuracy

    found = memory_controls(source, progress=bars)
    own = accuracy(network, source.test.take(torch.tensor(found.distinct)))
    rows = [{"name": row.name, "accuracy": row.accuracy, "by": row.by} for row in found.rows]
    counted = {"recordings": found.recordings, "distinct": len(found.distinct), "new": found.new}
    return {**counted, "accuracy": own, "chance": found.chance, "rows": rows, "needed": found.needed(own)}


def _controls_text(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    told = (
        f"{found['distinct']} distinct recordings of {found['recordings']}, {found['new']} of them not in training"
    )
    rows = [("the network", f"{found['accuracy']:.1%}", "")]
    rows += [(row["name"], f"{row['accuracy']:.1%}", row["by"]) for row in found["rows"]]
    needs = "needs memory: all of these lose 20 points" if found["needed"] else "may not need memory: see the best"
    return f"\n\n{told}\n\n{table(('what is seen', 'right', 'by'), rows)}\n\nThe task {needs}."


def _retrained(
    network: "SpikingNetwork", source: "Dataset", chosen: "Split", epochs: int, seed: int, bars: Bars
) -> "tuple[Ablation, ...]":
    """Return what twins with new weights learn by cross-entropy, λ as it is and λ = 0, on the same samples."""
    import torch

    from spikecert.analysis import Ablation, without_loops, without_memory
    from spikecert.models.elements.learned_decay import settled
    from spikecert.training import Settings, fit

    rows = list[Ablation]()
    with torch.no_grad():
        before = network.eval()(chosen.inputs).argmax(1)
    twins = [("trained anew", copy.deepcopy), ("trained anew, λ = 0", without_memory)]
    if any(neuron.hears for neuron in network.neurons):
        twins.append(("trained anew, λ = 0, no loop", lambda twin: without_memory(without_loops(twin))))
    for name, change in twins:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            twin = _fresh(settled(network))
        settings = Settings(epochs=epochs, optimizer="adam", seed=seed)
        run = fit(
            change(twin), source, settings=settings, progress=lambda _, done, of, told=name: bars(told, done, of)
        )
        with torch.no_grad():
            classes = run.network(chosen.inputs).argmax(1)
        shares = (float((classes == other).double().mean()) for other in (chosen.labels, before))
        rows.append(Ablation(name, *shares))
    return tuple(rows)


def _told(bars: Bars, name: str, _: str, done: int, total: int) -> None:
    bars(name, done, total)


def _fresh(network: "SpikingNetwork") -> "SpikingNetwork":
    """Return the network, in place, with new weights."""
    from torch import nn

    for layer in network.modules():
        new: Any = getattr(layer, "reset_parameters", None)
        if new is not None:
            new()
        elif next(layer.parameters(recurse=False), None) is not None:
            if not hasattr(layer, "input_scale"):
                raise ValueError(
                    f"retrain: got a layer {type(layer).__name__}, expected layers with a known start"
                )
            nn.init.ones_(layer.input_scale)  # pyright: ignore[reportArgumentType] (a parameter)
    return network


def _content(name: str, data: str, found: "TemporalAblation", again: "tuple[Ablation, ...]") -> dict[str, Any]:
    rows = [{"name": one.name, "accuracy": one.accuracy, "kept": one.kept} for one in (*found.rows, *again)]
    return {
        "schema": "spikecert.ablation/1",
        "network": name,
        "data": data,
        "samples": found.samples,
        "num_steps": found.num_steps,
        "accuracy": found.accuracy,
        "rows": rows,
        "constant": list(found.constant),
        "left_out": list(found.left_out),
    }


def _text(asked: Ablating, found: "TemporalAblation", again: "tuple[Ablation, ...]") -> str:
    scale = typed("", ScaledSamples(range=asked.range, mean=asked.mean, std=asked.std)).partition("digits")[2]
    head = f"{asked.model.name} on {asked.data}: {found.samples} samples, T = {found.num_steps}{scale}"
    rows = [("as it is", f"{found.accuracy:.1%}", "100.0%")]
    rows += [(one.name, f"{one.accuracy:.1%}", f"{one.kept:.1%}") for one in (*found.rows, *again)]
    layers = ", ".join(f"{share:.1%}" for share in found.constant)
    left_out = "".join(f"\nleft out: {line}" for line in found.left_out)
    body = table(("the network", "right", "class kept"), rows)
    return f"{head}\n\n{body}\n\ntrains that are the same at all steps, by layer: {layers}{left_out}"
