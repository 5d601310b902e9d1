"""`differ`: run two builds of one network on the same inputs, find where trains part, and test why."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from ..deadline import LATE, Progress, TimeIsUp, check_time, checked_timeout, ending, lasts, silent, until
from .adopting import by_adopting
from .builds import Build, opened
from .difference import DeclaredDifference, Difference, LayerDifference, Moment
from .explaining import MOST_TIES, Explanation, Judge, by_dialect, by_exchange
from .parting import OUTPUTS, Pairs, Parting, Partings, corresponding, threshold_of
from .recorded import firing_names
from .settings.exchanges import joined
from .settings.meanings import in_meaning
from .settings.pairing import Pairing, paired

BATCH = 64
"""Inputs that are run at once."""
FEW = 24
"""Inputs on which settings are tried; what mends them is then tried on all."""
ROUNDS = 4
"""How often inputs that it does not mend are added to them."""
ROUNDING = "ties: the settings are the same, and potentials within rounding of θ fire in one build alone"
OPAQUE = "order: both builds only run as they are, and nothing of them can be exchanged"
ARITHMETIC = "order: the settings are the same, but sums are taken in another order or precision"


def differ(
    a: Any,
    b: Any,
    inputs: Tensor,
    *,
    num_steps: int | None = None,
    dt: float | None = None,
    reset: str | None = None,
    timeout: float | None = None,
    progress: Progress = silent,
) -> Difference:
    """Return whether two builds of one network give the same trains on inputs; if not, where these part, and why.

    Both are run, and compared layer by layer. A cause is named after it was tested: the setting of B is exchanged
    for A's, and all trains are compared again. Of a module that only runs as it is nothing can be exchanged: there
    the other build is made to speak the dialects of platforms (`dialects.py`) until it spikes as the module does.

    Args:
        a, b: a `SpikingNetwork`, a file of one, a NIR graph or its file, or a module or function of PyTorch, which
            is run as it is.
        inputs: (batch, ...), or (batch, T, ...) where builds take an input for each step.
        num_steps: T of a module that does one step a call, and of a graph that does not say it; None for a module
            that loops over time itself.
        dt, reset: of a NIR graph, as in `from_nir`.
        timeout: seconds in all; None for no limit. What was compared and tried by then is told; a note says so.
        progress: told after each batch, and while settings are tried.

    Returns:
        A `Difference`; its `report` says all of it in words.

    Raises:
        TypeError, ValueError: for what is no build, inputs that are empty or not finite, and builds of another
            input shape, T, encoding, readout or number of classes.

    >>> import torch
    >>> from spikecert.models import LIF, SpikingNetwork
    >>> a = SpikingNetwork(nn.Linear(3, 2), LIF(0.9), num_steps=5)
    >>> b = SpikingNetwork(a.layers[0], LIF(0.8), num_steps=5)
    >>> differ(a, b, 4 * torch.rand(20, 3)).declared[0].words
    'λ = 0.9 against 0.8'

    References: pedersen2024neuromorphic
    """
    deadline = until(checked_timeout(timeout))
    one, other = opened(a, b, inputs, num_steps, dt, reset)
    alike = corresponding(one.record(inputs[:1]), other.record(inputs[:1]))
    pairing = None
    if one.network is not None and other.network is not None:
        pairing = paired(one.network, other.network)
    with ending(deadline):
        tally = _tallied(one, other, inputs, alike, "runs", progress)
        compared = inputs[: tally.samples]
        found = None if not tally.parted else _explained(one, other, compared, tally, pairing, progress)
        return _difference(one, other, inputs, tally, pairing, found)


def _tallied(a: Build, b: Build, inputs: Tensor, pairs: Pairs, label: str, progress: Progress) -> Partings:
    """Run both builds on all inputs, or on those that the time suffices for: on the first batch at least."""
    tally = Partings(pairs, a.num_steps)
    for start in range(0, len(inputs), BATCH):
        if start and not lasts(0.0):
            break
        part = inputs[start : start + BATCH]
        tally.add(a, b, a.record(part), b.record(part))
        progress(label, min(start + BATCH, len(inputs)), len(inputs))
    return tally


def _explained(
    a: Build, b: Build, inputs: Tensor, tally: Partings, pairing: Pairing | None, progress: Progress
) -> Explanation | None:
    """Return why trains part; None where nothing is known of either build, or rounding alone does it."""
    if pairing is not None:
        serious = [each for each in pairing.exchanges if not each.rounding]
        if not pairing.exchanges or (not serious and tally.tied == tally.parted):
            return None
    elif a.network is None and b.network is None:
        return None
    chosen, found = tally.chosen[:FEW], Explanation((), False, None, ())
    with suppress(TimeIsUp):
        for _ in range(ROUNDS):
            found = _tried(a, b, inputs[chosen], tally.pairs, pairing, progress)
            if not found.mended:
                return found
            again = _again(a, b, found, inputs, progress)
            if again.parted == again.tied <= MOST_TIES * tally.parted:
                return replace(found, tied=again.tied)
            chosen += [index for index in again.chosen if index not in chosen][:FEW]
    return replace(found, mended=False, network=None)


def _tried(
    a: Build, b: Build, inputs: Tensor, pairs: Pairs, pairing: Pairing | None, progress: Progress
) -> Explanation:
    """Return what mends some inputs."""
    known, other, side = (a, b, 0) if pairing is None and a.network is not None else (b, a, 1)

    def judge(ties: bool = False) -> Judge:
        return Judge(other, known, inputs, pairs, side, ties)

    if pairing is not None:
        found = by_exchange(judge(), pairing, progress)
        return found if found.mended or not lasts(0.0) else by_exchange(judge(ties=True), pairing, progress)
    if (found := by_adopting(judge(), progress)) is not None:
        return found
    found = by_dialect(judge(), other.name.upper(), progress)
    done = found.mended or not lasts(0.0)
    near = found if done else by_dialect(judge(ties=True), other.name.upper(), progress)
    return near if near.mended else found


def _again(a: Build, b: Build, found: Explanation, inputs: Tensor, progress: Progress) -> Partings:
    """Compare all inputs with the exchange made; TimeIsUp where there is no time for all."""
    assert found.network is not None
    changed = a if b.network is None else b
    made = replace(changed, network=found.network, source=None, layers=firing_names(found.network))
    a, b = (made, b) if changed is a else (a, made)
    pairs = corresponding(a.record(inputs[:1]), b.record(inputs[:1]))
    again = _tallied(a, b, inputs, pairs, "exchanged", progress)
    check_time()
    return again


def _difference(
    a: Build, b: Build, inputs: Tensor, tally: Partings, pairing: Pairing | None, found: Explanation | None
) -> Difference:
    declared = () if pairing is None else pairing.exchanges
    causes = () if found is None else found.causes
    needed = {each.key for each in causes}
    layers = tuple(
        LayerDifference(a.layers[i], b.layers[j], *counts)
        for (i, j), *counts in zip(tally.pairs, tally.counts, tally.wrong, tally.inputs, strict=True)
    )
    late = () if lasts(0.0) else (f"{LATE}: {tally.samples} of {len(inputs)} inputs were compared",)
    first, moment = _first(a, b, inputs, tally)
    return Difference(
        same=not tally.parted,
        first=first,
        cause=_cause(tally, pairing, found, [each.source.module for each in (a, b) if each.source is not None]),
        mended=found is not None and found.mended,
        repaired=None if found is None else found.network,
        changed="b" if b.network is not None else "a",
        samples=tally.samples,
        num_steps=a.num_steps,
        parted=tally.parted,
        answers=tally.answers,
        layers=layers,
        alone=_alone(a, b, tally.pairs),
        steps=tuple(tally.steps),
        declared=tuple(DeclaredDifference(e.kind, e.layer, e.words, e.key in needed) for e in declared),
        tried=() if found is None else found.tried,
        moment=moment,
        notes=(*late, *_notes(a, b, tally, 0 if found is None else found.tied)),
    )


def _cause(tally: Partings, pairing: Pairing | None, found: Explanation | None, modules: list[nn.Module]) -> str:
    """Return why, in one line; `modules`: those whose conversions were compared."""
    if not tally.parted:
        return ""
    if found is None:
        if pairing is None:
            return OPAQUE
        if tally.tied:
            told = f"{ROUNDING} ({tally.tied} of {tally.parted} inputs)"
            return told if tally.tied == tally.parted else f"{told}; the others are not explained"
        return ARITHMETIC
    causes = (
        list(found.causes)
        if pairing is None
        else in_meaning(found.causes, pairing, bool(modules), _rests(modules))
    )
    if found.mended:
        return joined(causes)
    missing = "no setting that was tried mends it" if lasts(0.0) else f"{LATE} before one was found that mends it"
    if causes:
        return f"{joined(causes)}; nearest, but {missing}"
    return f"order: {missing}, and none comes nearer"


def _rests(modules: list[nn.Module]) -> list[float]:
    """Return what parts of modules say that they reset to, where that is one number."""
    found = (getattr(part, "v_reset", None) for module in modules for part in module.modules())
    return [float(value) for value in found if isinstance(value, float | int)]


def _first(a: Build, b: Build, inputs: Tensor, tally: Partings) -> tuple[Parting | None, Moment | None]:
    """Return the first parting, and what both builds did there."""
    if tally.first is None:
        return (None, None) if not tally.parted else (_first_output(a, b, inputs, tally), None)
    step, pair, neuron, sample = tally.first
    places, builds = tally.pairs[pair], (a, b)
    part = inputs[sample : sample + 1]
    runs = [build.record(part) for build in builds]
    sides = list(zip(builds, runs, places, strict=True))
    moment = Moment(
        sample,
        tuple(_threshold(build, place, neuron) for build, _, place in sides),  # type: ignore[arg-type]
        tuple(_of_neuron(run.potentials, place, neuron) for _, run, place in sides),  # type: ignore[arg-type]
        tuple(_of_neuron(run.currents, place, neuron) for _, run, place in sides),  # type: ignore[arg-type]
        tuple(run.spikes[place][:, 0] for _, run, place in sides),  # type: ignore[arg-type]
    )
    return Parting(a.layers[places[0]], neuron, step + 1), moment


def _threshold(build: Build, place: int, neuron: int) -> float | None:
    return None if build.network is None else threshold_of(build.network.neurons[place], neuron)


def _of_neuron(signals: tuple[Tensor, ...] | None, place: int, neuron: int) -> Tensor | None:
    return None if signals is None else signals[place][:, 0, neuron]


def _first_output(a: Build, b: Build, inputs: Tensor, tally: Partings) -> Parting | None:
    """Return the output that differs most, of the first input that differs; at the last step, when it is read."""
    part = inputs[tally.chosen[0] : tally.chosen[0] + 1]
    one, other = a.record(part).outputs[0], b.record(part).outputs[0]
    if one.shape != other.shape:
        return Parting(OUTPUTS, 0, a.num_steps)
    return Parting(OUTPUTS, int((one.double() - other.double()).abs().flatten().argmax()), a.num_steps)


def _alone(a: Build, b: Build, pairs: Pairs) -> tuple[str, ...]:
    found = [{pair[side] for pair in pairs} for side in (0, 1)]
    return tuple(
        f"{build.name}: {name}"
        for build, taken in zip((a, b), found, strict=True)
        for place, name in enumerate(build.layers)
        if place not in taken
    )


def _notes(a: Build, b: Build, tally: Partings, left: int) -> tuple[str, ...]:
    """Return how builds were read, and what could not be compared."""
    found = [f"{build.name}: {note}" for build in (a, b) for note in build.notes]
    kinds = {build.network.dtype for build in (a, b) if build.network is not None}
    found += [f"dtypes: {' and '.join(sorted(map(str, kinds)))}"] if len(kinds) > 1 else []
    found += [] if tally.comparable else ["outputs: the module returns none that can be compared with logits"]
    found += (
        []
        if tally.pairs
        else ["trains: no layer of one build stands for one of the other: outputs alone are compared"]
    )
    if tally.tied:
        found.append(f"rounding: of {tally.tied} inputs the first parting is within rounding of a threshold")
    if left:
        found.append(f"rounding: with the exchange {left} inputs still part within rounding of a threshold")
    return tuple(found)
