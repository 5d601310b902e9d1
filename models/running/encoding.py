"""How inputs become signals over time, and what logits are read off a network's last signal.

Encodings of inputs over time: direct, rate codes and latency codes.

How inputs become signals over time: encodings, and the draws of the rate code.

Latency codes: one event an input, the brighter the earlier.

What logits are read off a network's last signal.

mean        (1/T)·Σ_t x[t] of the last affine layer
spikes      (1/T)·Σ_t s[t] of a last neuron
potential   u[T] of a last neuron that never fires
summed      Σ_t u[t] of such a neuron
largest     max_t u[t] of such a neuron, or max_t x[t] of a last affine layer
first       −τ of a last neuron, τ the step of its first spike, T + 1 without one: the class that fires first
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ..constants import at_least, settle, whole, wholes

ENCODINGS = ("direct", "none", "rate", "latency")


@dataclass(frozen=True, eq=False)
class RateDraws:
    """The numbers that a rate code compares its inputs with: step t spikes iff u[t] < x.

    From a seed, u[t] is uniform on [0, 1), drawn for each step and feature and the same for all samples, so
    s[t] ~ Bernoulli(x) over the seeds, while for one seed the spikes are a function of x alone. What is proved of
    a network is proved for its draws. Two are equal iff their numbers are.

    Args:
        seed: of the draws, 0 ≤ seed < 2⁶³; or u itself, (T, ...), or (T, batch, ...) where each sample has draws
            of its own. It is copied, as float64.

    Raises:
        TypeError, ValueError: for a seed that is no such integer, or draws that are not finite real numbers.

    >>> RateDraws(seed=3).thresholds(4, (784,)).shape
    torch.Size([4, 784])
    >>> RateDraws(torch.tensor([[0.5], [0.25]])).name
    'tensor de92a8b0'
    """

    seed: int | Tensor = 0

    def __post_init__(self) -> None:
        if isinstance(self.seed, Tensor) and self.seed.dim() > 0:
            object.__setattr__(self, "seed", _given(self.seed))
            return
        settle(self, whole, "seed")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed: got {self.seed}, expected 0 ≤ seed < 2⁶³")

    @property
    def name(self) -> str:
        """Return "seed 3", or "tensor" with the start of a hash of the numbers."""
        if isinstance(self.seed, int):
            return f"seed {self.seed}"
        shape = str(tuple(self.seed.shape)).encode()
        return f"tensor {hashlib.sha256(shape + self.seed.numpy().tobytes()).hexdigest()[:8]}"

    def thresholds(self, num_steps: int, features: tuple[int, ...]) -> Tensor:
        """Return u, (num_steps, *features), float64, on the CPU: a copy, so that no one writes into the cache.

        Raises:
            ValueError: for draws of another shape, or of each sample's own.
        """
        shape = (at_least(1)("num_steps", num_steps), *wholes("features", features))
        if isinstance(self.seed, int):
            return _drawn(self.seed, shape[0], shape[1:]).clone()
        if tuple(self.seed.shape) != shape:
            raise ValueError(f"draws: got shape {tuple(self.seed.shape)}, expected {shape}")
        return self.seed.clone()

    def apart(self, features: tuple[int, ...]) -> "tuple[RateDraws, ...] | None":
        """Return each sample's draws where samples of `features` have their own, None where they share them."""
        if isinstance(self.seed, int) or self.seed.dim() != len(features) + 2:
            return None
        return tuple(RateDraws(own) for own in self.seed.unbind(1))

    def of_batch(self, num_steps: int, inputs: Tensor) -> Tensor:
        """Return u for a batch of inputs, (num_steps, *features), or (num_steps, batch, *features).

        Raises:
            ValueError: for draws of another shape, or of another number of samples.
        """
        own = self.apart(tuple(inputs.shape[1:]))
        if own is None:
            return self.thresholds(num_steps, tuple(inputs.shape[1:]))
        if len(own) != len(inputs):
            raise ValueError(f"draws: got those of {len(own)} samples, expected {len(inputs)}, one for each input")
        return torch.stack([draws.thresholds(num_steps, tuple(inputs.shape[1:])) for draws in own], 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RateDraws):
            return NotImplemented
        if isinstance(self.seed, Tensor) and isinstance(other.seed, Tensor):
            return torch.equal(self.seed, other.seed)
        return self.name == other.name and not isinstance(self.seed, Tensor)

    def __hash__(self) -> int:
        return hash(self.name)


def _given(draws: Tensor) -> Tensor:
    """Return draws as a copy in float64.

    Raises:
        TypeError, ValueError: unless they are finite real numbers, (T, ...).
    """
    if type(draws) is not Tensor or draws.dtype == torch.bool or draws.is_complex():
        got = draws.dtype if type(draws) is Tensor else type(draws).__name__
        raise TypeError(f"seed: got {got}, expected a torch.Tensor of real numbers")
    found = draws.detach().to("cpu", torch.float64).clone().contiguous()
    if found.dim() < 2 or not found.numel():
        raise ValueError(f"seed: got shape {tuple(found.shape)}, expected (T, ...) or (T, batch, ...)")
    if not bool(found.isfinite().all()):
        raise ValueError("seed: got NaN or inf, expected finite numbers")
    return found


@lru_cache(maxsize=16)
def _drawn(seed: int, num_steps: int, features: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((num_steps, *features), generator=generator, dtype=torch.float64)


def fresh_thresholds(rates: Tensor, num_steps: int, generator: torch.Generator | None) -> Tensor:
    """Return new draws for each step, sample and feature, (num_steps, *rates.shape), float64."""
    device = rates.device if generator is None else generator.device
    shape = (num_steps, *rates.shape)
    return torch.rand(shape, generator=generator, dtype=torch.float64, device=device).to(rates.device)


def rate_code(rates: Tensor, thresholds: Tensor) -> Tensor:
    """Return spikes s[t] = 1 where u[t] < x and 0 elsewhere, (T, batch, ...).

    The comparison is exact. The backward pass takes ds[t]/dx = 1 at every step (straight through): the slope of
    the firing probability, where a spike's own slope is 0.

    Args:
        rates: x, (batch, ...); below 0 never spikes, 1 and above always.
        thresholds: u, float64, (T, ...) or (T, batch, ...).
    """
    if thresholds.dim() == rates.dim():
        thresholds = thresholds.unsqueeze(1)
    spikes = (thresholds < rates.detach().double()).to(rates.dtype)
    return spikes + (rates - rates.detach()) if rates.requires_grad else spikes


def latency_code(inputs: Tensor, num_steps: int) -> Tensor:
    """Return events with one for each input, at step ⌊(1 − x)·(T − 1) + ½⌋, (batch, T, ...).

    They are inputs of networks with encoding "none". `SpikeShift` moves them in time: with `total=δ` it asks
    whether a class holds for all shifts whose sum is at most δ. No two events of one feature can meet.

    Args:
        inputs: x in [0, 1], (batch, ...).
        num_steps: T ≥ 1.

    Raises:
        TypeError: for inputs that are no floating-point tensor.
        ValueError: for inputs outside [0, 1] or NaN, or T < 1.

    >>> latency_code(torch.tensor([[1.0, 0.4, 0.0]]), 3).tolist()
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]
    """
    steps = at_least(1)("num_steps", num_steps)
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
        got = getattr(inputs, "dtype", type(inputs).__name__)
        raise TypeError(f"inputs: got {got}, expected a floating-point tensor")
    if not bool(((inputs >= 0) & (inputs <= 1)).all()):
        raise ValueError("inputs: got values outside [0, 1] or NaN, expected a share of full brightness")
    times = ((1.0 - inputs.double()) * (steps - 1) + 0.5).floor().long()
    places = torch.arange(steps, device=inputs.device).view(1, -1, *([1] * (inputs.dim() - 1)))
    return (times.unsqueeze(1) == places).to(inputs.dtype)


READOUTS = ("mean", "spikes", "potential", "summed", "largest", "first")
MEANS = ("mean", "spikes")
"""Those that are means over time."""
LINEAR = (*MEANS, "potential", "summed")
"""Those that are weighted sums over time."""


def reads_potentials(readout: str, neuron_last: bool) -> bool:
    """Return whether a readout is of the potentials of a last neuron, which then never fires."""
    return readout in ("potential", "summed") or (readout == "largest" and neuron_last)


def fits(readout: str, neuron_last: bool) -> bool:
    """Return whether a readout has what it reads: a last neuron, or none."""
    return readout == "largest" or neuron_last == (readout != "mean")


def over_time(readout: str, signal: Tensor) -> Tensor:
    """Return what "potential", "summed", "largest" or "first" makes of a signal (T, ...).

    τ − 1 is the number of steps t with no spike up to t, Σ_t Π_{k≤t} (1 − s[k]): exact, and gradients reach
    spikes.
    """
    if readout == "potential":
        return signal[-1]
    if readout == "summed":
        return signal.sum(0)
    return signal.amax(0) if readout == "largest" else -(1.0 + (1.0 - signal).cumprod(0).sum(0))
