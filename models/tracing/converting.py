"""A network by what a module computes: traced, read, proved, built, and compared spike for spike."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from traceback import walk_tb
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from ..constants import at_least, unless_none
from ..conversion.checking import ConversionCheck, Observation, are_alike, compare, readings_of
from ..conversion.converting import BEYOND, RANDOM, Conversion, beyond, check_sample, random_like
from ..conversion.populations import in_groups, votes_of
from ..conversion.refusal import ConversionRefused
from ..conversion.sources import (
    FUNCTIONS,
    UNFOLLOWED,
    DrawnSource,
    Source,
    drawing_encoder,
    drawn_source,
    library_of,
    run_once,
)
from ..files.storage import digest_of
from ..networks import SpikingNetwork
from ..running.encoding import RateDraws
from ..source import carry
from .allowing import arithmetic_of, ending_of
from .building import RowWriter
from .draws import OwnDrawnSource, own_drawn_source
from .grouping import SILENT, LayerFirings
from .reading import COMPARISONS, GraphReading
from .readouts import Readout, readout_of, steps_of
from .rests import ReadAtRest
from .traces import Traces, few_steps, lengthened, observed, traces_of
from .tracing import DrawsNumbers, copied, name_of, undisturbed
from .watching import frames_of


def converted_by_trace(
    source: Source, sample: Tensor, readout: str | None = None, seed: int = 0, classes: int | None = None
) -> Conversion:
    """Return the network of a module, by what it computes.

    Args:
        source: the module and how to run it.
        sample: some of its inputs.
        readout: one of `running.readouts`; None for the one that fits.
        seed: of random inputs that the two are compared on, and of draws.
        classes: of a population code, whose outputs are counted in as many groups; None: each output for itself.

    Raises:
        ConversionRefused: with the user's line, for what is no spiking network of this library's elements.
    """
    check_sample(source, sample)
    classes = unless_none(at_least(1))("classes", classes)
    weights = list(source.module.parameters())
    places = {str(weight.device) for weight in weights} - {"cpu"}
    if places:
        raise ConversionRefused(f"module: is on {', '.join(sorted(places))}, expected on cpu (module.cpu())")
    sample = sample.to(next((weight.dtype for weight in weights), sample.dtype))
    far = beyond(sample, BEYOND, seed, source.timed)
    more = random_like(sample, RANDOM, seed, source.timed), far.clamp_min(0.0) if source.rates else far
    with undisturbed():  # new layers draw weights
        try:
            run = ModuleRun.of(source, torch.cat([sample, *more]), seed)
            return run.first_that_fits(lambda place: run.converted(place, readout, classes))
        except ConversionRefused as error:
            if (named := _named(source, error)) is not None:
                raise ConversionRefused(f"{named} ({error})") from error
            raise
        except RecursionError as error:
            told = (
                "has too many layers in a row, or too many signals in a sum, to be followed; convert parts of it"
            )
            raise ConversionRefused(f"module: {told}") from error


def _named(source: Source, error: ConversionRefused) -> str | None:
    """Return the name of what a library has in a module that no element here is; None where there is none."""
    for path, part in source.module.named_modules():
        kind = type(part).__name__
        if (why := UNFOLLOWED.get((library_of(part), kind))) is not None:
            return f"{path}: is a {kind}, {why}"
    for frame, _ in walk_tb(error.__traceback__):
        name = frame.f_code.co_name
        if frame.f_code.co_filename.endswith("snntorch/spikegen.py") and name in FUNCTIONS:
            return f"spikegen.{name}: {FUNCTIONS[name]}"
    return None


def check_by_trace(
    source: Source, network: SpikingNetwork, inputs: Tensor, outputs: bool = True
) -> ConversionCheck:
    """Compare a network with a module on inputs, spike for spike and, unless `outputs` is False, by outputs.

    Raises:
        ConversionRefused: for a module that can't be converted.
    """
    encoder = drawing_encoder(source.module)
    if encoder is not None and encoder.steps not in (None, network.num_steps):
        steps = f"makes {encoder.steps} steps, expected those of the network, {network.num_steps}"
        raise ConversionRefused(f"{encoder.name}: {steps}")
    inputs = inputs.to(network.dtype)
    with undisturbed():
        known = network.at_hand
        if encoder is None and known is not None and (seen := known.on(source, network, inputs)) is not None:
            return compare(network, seen, inputs, outputs)
        run = ModuleRun.of(source, inputs, network.draws if network.encoding == "rate" else 0, network.num_steps)
        return run.first_that_fits(lambda place: run.compared(place, network, outputs))


INTEGRATING = ("potential", "summed", "largest", "first")
"""Readouts of which an output may be one or another."""


Parts = tuple[GraphModule, GraphReading, RowWriter, Readout, Tensor]
"""What `observed` takes, and a batch of the graph's size."""


def seen_on(parts: Parts, inputs: Tensor) -> Observation:
    """Return what a module gives on inputs, by its graph."""
    graph, reading, writer, readout, batch = parts
    return observed(graph, reading, writer, readout, (batch, inputs))


@dataclass(frozen=True)
class SourceAtHand:
    """The module that a network was made of, in memory: counterexamples are run through it, too.

    It goes with copies of the network in this process, which share it, and with no file and no pickle: another
    process has another module, or none. It is the source as long as its own parameters and buffers are what they
    were, and that of these weights and settings of a network alone; what a module keeps elsewhere, in plain
    attributes or in what a function closes over, is not watched.

    Attributes:
        source: the module and how to run it.
        place: of the output.
        state: what tells the module's tensors, and the network's and its settings.
        like: what its inputs were like, and the name of the readout.
        parts: what `observed` takes, to compare it again without a new trace; None where that is not known.
    """

    source: Source
    place: int
    state: tuple[str, str]
    like: tuple[Any, ...]
    parts: Parts | None

    def on(self, source: Source, network: SpikingNetwork, inputs: Tensor) -> Observation | None:
        """Return what a module gives on inputs; None where it is another by now, on these or as it is run."""
        same = self.source == source and self.state[0] == _state(source, network)[0]
        if not same or self.parts is None or self.like != _like(network, inputs):
            return None
        seen = seen_on(self.parts, inputs)
        return seen if are_alike(self._given(inputs), seen.outputs[0]) else None

    def holds(self, network: SpikingNetwork) -> bool:
        """Return whether it is the source of a network still."""
        return self.state == _state(self.source, network)

    def run(self, network: SpikingNetwork, inputs: Tensor) -> Tensor | None:
        """Return what the module gives, (batch, classes), in its own units; None where its readout is another."""
        more = inputs[:1].repeat(int(len(inputs) == network.num_steps > 1), *[1] * (inputs.dim() - 1))
        asked = torch.cat([inputs, more])  # as many samples as steps: either axis might be either
        with torch.no_grad():
            read = readings_of(self._given(asked.cpu()), network, network(asked).cpu())
        return read[0][: len(inputs)].to(inputs.device) if read else None

    def _given(self, inputs: Tensor) -> Tensor:
        """Return what a copy of the module gives, in evaluation mode."""
        with undisturbed(), torch.no_grad():
            return run_once(copied(self.source), inputs)[self.place]

    def __deepcopy__(self, memo: dict[int, Any]) -> "SourceAtHand":
        """Return itself: copies of a network have one source."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes None of a pickle."""
        return type(None), ()


def _state(source: Source, network: SpikingNetwork) -> tuple[str, str]:
    return digest_of("", source.module.state_dict()), digest_of(repr(network), network.state_dict())


def _like(network: SpikingNetwork, inputs: Tensor) -> tuple[Any, ...]:
    return inputs.dtype, tuple(inputs.shape[1:]), _integrating(network)


def _integrating(network: SpikingNetwork) -> str | None:
    return network.readout if network.readout in INTEGRATING else None


class ModuleRun:
    """The traces of a module, and the inputs that it is compared on.

    Attributes:
        traces: of the module, as a function of what its encoder draws where it has one.
        source: the module and how to run it.
        inputs: of the network; those of the module are `given`.
        few: the same over few steps, where these tell all.
        coding: settings of the network.
        notes: of its encoder.
    """

    def __init__(self, source: Source, inputs: Tensor, drawn: DrawnSource | None) -> None:
        self.inputs, self.given = inputs, inputs if drawn is None else drawn.spikes(inputs)
        self.coding: dict[str, Any] = {"encoding": "none" if source.timed else "direct"}
        self.notes: tuple[str, ...] = ()
        if drawn is not None:
            signed = isinstance(drawn, OwnDrawnSource) and drawn.signed
            told = "; it is the module's for inputs from 0 on alone, as that sends -1 below 0" if signed else ""
            self.notes = (f"{drawn.name}: fires by draws of the network's own, encoding 'rate'{told}",)
            self.coding = {"encoding": "rate", "draws": drawn.draws}
        self.source, self.few = source if drawn is None else drawn.source, None
        if (few := few_steps(self.source)) is not None:
            part = self.given[:, :few] if self.source.timed else self.given
            self.few = ModuleRun(replace(self.source, num_steps=few), part, None)
        else:
            self.traces  # noqa: B018 (refuses what can't be traced)

    @cached_property
    def traces(self) -> Traces:
        """Return what is recorded of all steps."""
        return traces_of(self.source, self.given)

    @staticmethod
    def of(source: Source, inputs: Tensor, draws: RateDraws | int, num_steps: int = 0) -> "ModuleRun":
        """Return the run of a module, which draws by a seed, or by what a network of so many steps has."""
        encoder = drawing_encoder(source.module)
        if encoder is not None:
            drawn = drawn_source(source, encoder, inputs, draws)
            drawn.check(inputs)
            return ModuleRun(source, inputs, drawn)
        try:
            made = ModuleRun(source, inputs, None)
        except DrawsNumbers:
            known = draws if isinstance(draws, int) else draws.thresholds(num_steps, tuple(inputs.shape[1:]))
            drawn = None if source.timed else own_drawn_source(source, inputs, known)
            if drawn is None:
                raise
            drawn.check(inputs)
            return ModuleRun(source, inputs, drawn)
        if source.rates:
            raise ConversionRefused(
                "encoding: got 'rate', and the module draws nothing; expected 'direct' or 'none'"
            )
        return made

    def first_that_fits(self, made: Any) -> Any:
        """Return what is made of the first output that a network has."""
        reasons: list[str] = []
        for place in range((self.few or self).traces.outputs):
            try:
                return made(place)
            except ConversionRefused as error:
                reasons.append(str(error))
                if not reasons[-1].startswith("output: "):
                    raise
        raise ConversionRefused(reasons[0] if reasons else "output: the module returns no tensor")

    def converted(self, place: int, readout: str | None, classes: int | None) -> Conversion:
        """Return the network of an output."""
        network, notes, seen, parts = self._seen(place, readout)
        if readout not in (None, network.readout):
            raise ConversionRefused(f"readout: got {readout!r}, and the module's output is {network.readout!r}")
        network, notes = in_groups(network, self.inputs, classes, notes)
        try:
            check = compare(network, seen, self.inputs)
        except ValueError as error:
            raise ConversionRefused(f"module: {error}") from error
        if not check.matches:
            raise ConversionRefused(check.reason)
        if self.given is self.inputs and not self.source.own and self.source.ending is None:
            state, like = _state(self.source, network), _like(network, self.inputs)
            made = SourceAtHand(self.source, place, state, like, parts)
            network.at_hand = None if made.run(network, self.inputs[:2]) is None else made
        return Conversion(network, check, (*notes, *_silent(seen, check)))

    def compared(self, place: int, network: SpikingNetwork, outputs: bool) -> ConversionCheck:
        """Return the comparison of a network with an output."""
        return compare(network, self._seen(place, _integrating(network))[2], self.inputs, outputs)

    def _seen(
        self, place: int, name: str | None
    ) -> tuple[SpikingNetwork, tuple[str, ...], Observation, Parts | None]:
        """Return the network of an output, notes, what the module gives, and what is known where all was read."""
        if self.few is not None:
            with suppress(ConversionRefused):  # which a reading of all steps says best
                network, notes, parts = self.few.built(place, name)
                seen = lengthened(network, parts, self.source, self.given)
                if seen is not None:
                    return network, notes, seen, None
        network, notes, parts = self.built(place, name)
        return network, notes, seen_on(parts, self.given), parts

    def built(self, place: int, name: str | None) -> tuple[SpikingNetwork, tuple[str, ...], Parts]:
        """Return the network of an output, notes, and by what is known what the module gives on inputs.

        What is refused is read once more, without names for long sums where it had some, and with rests that are
        counted down, if there are some.
        """
        try:
            return self._named(place, name) or self._built(place, name)
        except ConversionRefused:
            try:
                layers = self.traces.read(place, rested=True)[1]
                rests = any(map(layers.rest, range(len(layers.steps))))
            except ReadAtRest:
                raise
            except ConversionRefused:
                rests = False
            if not rests:
                raise
        return self._built(place, name, rested=True)

    def _named(self, place: int, name: str | None) -> tuple[SpikingNetwork, tuple[str, ...], Parts] | None:
        """Return the network of an output that is read with names; None where that is refused, and had some."""
        try:
            reading, layers = self.traces.read(place, names=True)
        except ConversionRefused:
            return None
        try:
            return self._from(reading, layers, place, name)
        except ConversionRefused:
            if not any(firing.names for firing in reading.firings):
                raise
            return None

    def _built(
        self, place: int, name: str | None, rested: bool = False
    ) -> tuple[SpikingNetwork, tuple[str, ...], Parts]:
        """Return the network of an output that is read without names."""
        reading, layers = self.traces.read(place, rested)
        return self._from(reading, layers, place, name)

    def _from(
        self, reading: GraphReading, layers: LayerFirings, place: int, name: str | None
    ) -> tuple[SpikingNetwork, tuple[str, ...], Parts]:
        """Return the network of a reading; potentials may be counts of votes, which a mean of them would be."""
        if name == "potential" and not self.traces.source.own:
            with suppress(ConversionRefused):
                found = self._from(reading, layers, place, None)
                if found[0].readout == name:
                    return found
        features = tuple(self.given.shape[1 + self.traces.source.timed :])
        writer = RowWriter(layers, self._coding(layers.num_steps, features), self.inputs.dtype, features)
        readout: Readout = readout_of(reading, layers, name)
        if not layers.firings and readout.decay is None and readout.weights is None:
            raise ConversionRefused(SILENT)
        network, other = writer.network(readout), self.traces.confirmed(reading, place)
        if not self.traces.source.own:
            graph, first = self.traces.graph, self.traces.inputs[0]
            ending = ending_of(graph, place, reading.node)
            apart = reading.apart(other)  # what batches of two sizes give: classes lead by more than that
            network.source = arithmetic_of(graph, reading, writer, readout, network, first, ending, apart)
            if name is None and len(steps_of(reading)) == 1:
                network, readout = self._counted(network, readout, writer)
        parts = self.traces.other, other, writer, readout, self.traces.inputs[1]
        return network, (*self.notes, *reading.notes, *writer.notes, *_left_out(self.traces.other, layers)), parts

    @staticmethod
    def _counted(network: SpikingNetwork, readout: Readout, writer: RowWriter) -> tuple[SpikingNetwork, Readout]:
        """Return the network that counts votes, where its source does so without rounding; any other as it is."""
        found = votes_of(network)
        if found is None or network.source is None or not all(box.counts for box in network.source.boxes):
            return network, readout
        made, worth = found
        carry(network, made)
        writer.notes.append(f"output: counts votes, each worth {float(worth):.6g} of the module's output")
        return made, replace(readout, name="potential", gain=worth)

    def _coding(self, num_steps: int, features: tuple[int, ...]) -> dict[str, Any]:
        """Return the settings of a network of T steps, which may be fewer than the module's: the first draws."""
        steps = self.given.shape[1] if "draws" in self.coding else num_steps
        if steps == num_steps:
            return self.coding
        return self.coding | {"draws": RateDraws(self.coding["draws"].thresholds(steps, features)[:num_steps])}


def _left_out(graph: GraphModule, layers: LayerFirings) -> list[str]:
    """Return a note where T is less than the module's own: as it compares, at first, what nothing has reached."""
    compared = Counter(frames_of(node) for node in graph.graph.nodes if name_of(node) in COMPARISONS)
    last = [layers.firings[steps[-1]] for steps in layers.steps]
    alike, taken = Counter(firing.frames for firing in last), layers.num_steps
    for firing in last:
        steps, rest = divmod(compared[firing.frames], alike[firing.frames])
        if not rest and steps > taken and steps % taken:
            told = f"T is {taken}, as steps at which nothing comes out, or goes on, were left out"
            return [f"{firing.place}: the module takes {steps} steps; {told}"]
    return []


def _silent(seen: Observation, check: ConversionCheck) -> list[str]:
    rates = zip(seen.layers, check.rates, strict=False)
    return [
        f"{layer.name}: never fired on what was compared, so little is known of it; give samples on which it does"
        for layer, rate in rates
        if rate == 0.0
    ]
