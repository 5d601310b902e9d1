"""Convert, then compare: a network comes out only if it spikes as its source does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from spikecert.models.constants import at_least, unless_none, whole
from spikecert.models.conversion.populations import in_groups
from spikecert.models.conversion.refusal import ConversionRefused
from spikecert.models.files.checkpoints import network_hash
from spikecert.models.networks import SpikingNetwork
from spikecert.models.validation import one_line

from .building import build
from .checking import ConversionCheck, compare
from .observing.drawing import DrawnSpikes, Encoder, drawing_encoder, draws_of, in_place_of
from .observing.observing import Observation, Source, observe, run_once

RANDOM = 32
"""Random inputs that a conversion is compared on, besides the sample."""
BEYOND = 21
"""More of them, outside of the sample's range, in a batch of their own, behind one alone."""


@dataclass(frozen=True)
class Conversion:
    """A network and how it was made.

    Attributes:
        network: in evaluation mode.
        check: the comparison with the source, on the sample and on random inputs.
        notes: what was folded where, a line each.
    """

    network: SpikingNetwork
    check: ConversionCheck
    notes: tuple[str, ...]


def converted(
    source: Source, sample: Tensor, readout: str | None, seed: int, classes: int | None = None
) -> Conversion:
    """Return the network of `source`, compared on `sample` and random inputs like it.

    Args:
        source, sample, readout, seed: as of `from_snntorch`.
        classes: of a population code, whose outputs are counted in as many groups; None: each output for itself.

    Raises:
        ConversionRefused: with what does not match.
    """
    check_sample(source, sample)
    classes = unless_none(at_least(1))("classes", classes)
    places = {str(weight.device) for weight in source.module.parameters()} - {"cpu"}
    if places:
        raise ConversionRefused(f"module: is on {', '.join(sorted(places))}, expected on cpu (module.cpu())")
    sample = sample.to(next((weight.dtype for weight in source.module.parameters()), sample.dtype))
    inputs = torch.cat([sample, random_like(sample, RANDOM, seed, source.timed)])
    encoder = drawing_encoder(source.module)
    others = inputs[:1], *(beyond(sample, count, seed, source.timed) for count in (1, BEYOND))
    if encoder is None:
        return _settled(source, inputs, others, readout, classes)
    features, steps = tuple(inputs.shape[1:]), _steps_of(source, inputs, encoder)
    stand_in = DrawnSpikes(encoder, draws_of(encoder, steps, features, seed), steps, features)
    with in_place_of(encoder, stand_in):
        return _settled(source, inputs, others, readout, classes)


def _settled(
    source: Source, inputs: Tensor, others: tuple[Tensor, ...], readout: str | None, classes: int | None
) -> Conversion:
    """Return the conversion that is the same, and matches, for one input alone and in every other batch."""
    found = _built(source, inputs, readout, classes)
    for batch in others:
        if network_hash(_built(source, batch, readout, classes).network) != network_hash(found.network):
            raise ConversionRefused(
                f"module: does otherwise in a batch of {len(batch)} than of {len(inputs)}, or outside of the "
                "sample's range; expected the same for all inputs"
            )
    return found


def _steps_of(source: Source, inputs: Tensor, encoder: Encoder) -> int:
    """Return T of a module whose encoder draws."""
    if source.timed:
        raise ConversionRefused(
            f"{encoder.name}: draws its spikes of inputs over time, expected encoding='direct'"
        )
    if encoder.steps is not None and source.num_steps is not None:
        raise ConversionRefused(
            f"{encoder.name}: makes all {encoder.steps} steps of one input, and num_steps is given; expected None"
        )
    return encoder.steps or source.num_steps or _counted(source, inputs, encoder)


def _counted(source: Source, inputs: Tensor, encoder: Encoder) -> int:
    """Return how many steps a module that loops over time by itself asks of its encoder."""
    stand_in = DrawnSpikes(encoder, None, 1, tuple(inputs.shape[1:]))
    modes = {module: module.training for module in source.module.modules()}
    source.module.eval()
    try:
        with in_place_of(encoder, stand_in), torch.no_grad(), _refusing(inputs):
            source.library.reset(source.module)
            run_once(source, inputs)
    finally:
        source.library.reset(source.module)
        for module, mode in modes.items():
            module.training = mode
    if stand_in.calls == 0:
        raise ConversionRefused(f"{encoder.name}: draws spikes, and is never called; expected it to be first")
    return stand_in.calls


def _built(source: Source, inputs: Tensor, readout: str | None, classes: int | None) -> Conversion:
    """Return the network of a module that does the same at each run, compared with it."""
    seen = _observed(source, inputs)
    reasons: list[str] = []
    for choice in _readouts(seen, readout):
        try:
            network, notes = build(source, seen, inputs, choice)
            network, notes = in_groups(network, inputs, classes, notes)
        except ConversionRefused as error:
            reasons.append(str(error))
            continue
        if seen.random:
            raise ConversionRefused(
                "module: has a layer that draws random numbers, so that no two runs are the same"
            )
        check = compare(network, seen, inputs)
        if check.matches:
            return Conversion(network, check, (*notes, *_silent(seen, check)))
        reasons.append(check.reason)
    raise ConversionRefused(reasons[0])


def _silent(seen: Observation, check: ConversionCheck) -> list[str]:
    names = [observed.name for observed in seen.layers if observed.neuron is not None]
    return [
        f"{name}: never fired on what was compared, so little is known of it; give samples on which it does"
        for name, rate in zip(names, check.rates, strict=False)
        if rate == 0.0
    ]


def _observed(source: Source, inputs: Tensor) -> Observation:
    with _refusing(inputs):
        return observe(source, inputs)


@contextmanager
def _refusing(inputs: Tensor) -> Iterator[None]:
    """Refuse a module that can't run on inputs."""
    try:
        yield
    except ConversionRefused:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        told = f"module: can't run on inputs of shape {tuple(inputs.shape)}: {one_line(error)}"
        raise ConversionRefused(told) from error


def _readouts(seen: Observation, readout: str | None) -> list[str | None]:
    """Return the readouts to try, the usual one first; a last neuron that does not reset may be read any way."""
    last = seen.layers[-1].neuron
    if readout is not None:
        return [readout]
    if last is None:
        return [None, "largest"]
    if last.threshold is None:
        return [None, "summed", "largest"]
    if last.reset != "none":
        return [None, "first"]
    return ["spikes", "potential", "summed", "largest", "first"]


def check_sample(source: Source, sample: Tensor) -> None:
    """Raise TypeError or ValueError unless `sample` is a batch of floats, with time second where it has time."""
    if not isinstance(sample, Tensor) or not sample.is_floating_point():
        got = getattr(sample, "dtype", type(sample).__name__)
        raise TypeError(f"sample: got {got}, expected a batch of inputs, a tensor of floats")
    if sample.dim() < (3 if source.timed else 2) or len(sample) == 0:
        expected = "(batch, T, ...)" if source.timed else "(batch, ...)"
        raise ValueError(f"sample: got shape {tuple(sample.shape)}, expected {expected}")
    if source.timed and source.num_steps is not None and sample.shape[1] != source.num_steps:
        raise ValueError(f"sample: got {sample.shape[1]} steps, expected num_steps = {source.num_steps}")


def random_like(sample: Tensor, count: int, seed: int, events: bool = False) -> Tensor:
    """Return random inputs of the sample's shape.

    The first half is uniform between its least and greatest value, the second half holds only those two, where
    potentials go farthest; with `events`, where the sample is all 0 and 1, all are fair coins.
    """
    draws = _draws(sample, count, seed)
    if events and _is_binary(sample):
        return (draws < 0.5).to(sample)
    draws[count // 2 :] = draws[count // 2 :].round()
    return _within(sample, draws)


def beyond(sample: Tensor, count: int, seed: int, events: bool = False) -> Tensor:
    """Return random inputs as far outside of the sample's range, on either side, as that is wide.

    With `events`, where the sample is all 0 and 1, the first half are counts from 0 to 3, which a merge of events
    gives, and the second half numbers from −1 to 2.
    """
    draws = 3.0 * _draws(sample, count, seed) - 1.0
    if events and _is_binary(sample):
        draws[: count // 2] = ((draws[: count // 2] + 1.0) * 4.0 / 3.0).floor()
        return draws.to(sample)
    return _within(sample, draws)


def _draws(sample: Tensor, count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(whole("seed", seed))
    return torch.rand((count, *sample.shape[1:]), generator=generator, dtype=torch.float64)


def _is_binary(sample: Tensor) -> bool:
    return bool(((sample == 0) | (sample == 1)).all())


def _within(sample: Tensor, shares: Tensor) -> Tensor:
    """Return numbers at shares of the way from the sample's least value, 0, to its greatest, 1."""
    low, high = float(sample.min()), float(sample.max())
    if low == high:
        low, high = min(low, 0.0), max(high, 1.0)
    return (low + (high - low) * shares).to(sample)
