"""A network by what a module computes: traced, read, proved, built, and compared spike for spike."""

from typing import Any

import torch
from torch import Tensor

from ..constants import at_least, unless_none
from ..conversion.checking import ConversionCheck, Observation, compare
from ..conversion.converting import BEYOND, RANDOM, Conversion, beyond, check_sample, random_like
from ..conversion.encoders import DrawnSource, drawing_encoder, drawn_source
from ..conversion.populations import in_groups
from ..conversion.refusal import ConversionRefused
from ..conversion.sources import Source
from ..networks import SpikingNetwork
from .building import RowWriter
from .readouts import Readout, readout_of
from .traces import Traces, observed, traces_of
from .tracing import undisturbed


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
    more = random_like(sample, RANDOM, seed, source.timed), beyond(sample, BEYOND, seed, source.timed)
    with undisturbed():  # new layers draw weights
        run = ModuleRun.of(source, torch.cat([sample, *more]), seed)
        return run.first_that_fits(lambda place: run.converted(place, readout, classes))


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
    with undisturbed():
        run = ModuleRun.of(source, inputs.to(network.dtype), network.draws if network.encoding == "rate" else 0)
        return run.first_that_fits(lambda place: run.compared(place, network, outputs))


class ModuleRun:
    """The traces of a module, and the inputs that it is compared on.

    Attributes:
        traces: of the module, as a function of what its encoder draws where it has one.
        inputs: of the network; those of the module are `given`.
        coding: settings of the network.
        notes: of its encoder.
    """

    def __init__(self, source: Source, inputs: Tensor, drawn: DrawnSource | None) -> None:
        self.inputs, self.given = inputs, inputs if drawn is None else drawn.spikes(inputs)
        self.coding: dict[str, Any] = {"encoding": "none" if source.timed else "direct"}
        self.notes: tuple[str, ...] = ()
        if drawn is not None:
            self.notes = (f"{drawn.name}: fires by draws of the network's own, encoding 'rate'",)
            self.coding = {"encoding": "rate", "draws": drawn.draws}
        self.traces: Traces = traces_of(source if drawn is None else drawn.source, self.given)

    @staticmethod
    def of(source: Source, inputs: Tensor, draws: Any) -> "ModuleRun":
        """Return the run of a module, whose encoder draws by `draws` or by a seed."""
        encoder = drawing_encoder(source.module)
        if encoder is None:
            return ModuleRun(source, inputs, None)
        drawn = drawn_source(source, encoder, inputs, draws)
        drawn.check(inputs)
        return ModuleRun(source, inputs, drawn)

    def first_that_fits(self, made: Any) -> Any:
        """Return what is made of the first output that a network has."""
        reasons: list[str] = []
        for place in range(self.traces.outputs):
            try:
                return made(place)
            except ConversionRefused as error:
                reasons.append(str(error))
                if not reasons[-1].startswith("output: "):
                    raise
        raise ConversionRefused(reasons[0] if reasons else "output: the module returns no tensor")

    def converted(self, place: int, readout: str | None, classes: int | None) -> Conversion:
        """Return the network of an output."""
        network, notes, seen = self.built(place, readout)
        if readout not in (None, network.readout):
            raise ConversionRefused(f"readout: got {readout!r}, and the module's output is {network.readout!r}")
        network, notes = in_groups(network, self.inputs, classes, notes)
        check = compare(network, seen, self.inputs)
        if not check.matches:
            raise ConversionRefused(check.reason)
        return Conversion(network, check, (*notes, *_silent(seen, check)))

    def compared(self, place: int, network: SpikingNetwork, outputs: bool) -> ConversionCheck:
        """Return the comparison of a network with an output."""
        readout = network.readout if network.readout in ("potential", "summed", "largest", "first") else None
        return compare(network, self.built(place, readout)[2], self.inputs, outputs)

    def built(self, place: int, name: str | None) -> tuple[SpikingNetwork, tuple[str, ...], Observation]:
        """Return the network of an output, notes, and what the module gives on the inputs."""
        reading, layers = self.traces.read(place)
        features = tuple(self.given.shape[1 + self.traces.source.timed :])
        writer = RowWriter(layers, self.coding, self.inputs.dtype, features)
        readout: Readout = readout_of(reading, layers, name)
        network, other = writer.network(readout), self.traces.confirmed(reading, place)
        seen = observed(self.traces.other, other, writer, readout, (self.traces.inputs[1], self.given))
        return network, (*self.notes, *reading.notes, *writer.notes), seen


def _silent(seen: Observation, check: ConversionCheck) -> list[str]:
    rates = zip(seen.layers, check.rates, strict=False)
    return [
        f"{layer.name}: never fired on what was compared, so little is known of it; give samples on which it does"
        for layer, rate in rates
        if rate == 0.0
    ]
