"""What a family of trains is to the prices on its layer's currents."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor


class Priced(ABC):
    """The trains of P pairs of a specification and a neuron, each of which has prices of its own."""

    @abstractmethod
    def least(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return min of Σ_t costs[t]·s[t] − prices[t]·c[t], and the spikes and what was priced there.

        Args:
            costs: A, (T, P).
            prices: on the scaled currents c, or on what they are `collected` to, (steps, P).

        Returns:
            Values (P,), spikes (T, P), currents (steps, P).
        """

    def rows(self, costs: Tensor, prices: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the least on each row of a table by itself, (P, W), and each pair's first row, (P,); or None."""
        return None

    def collected(self, currents: Tensor) -> Tensor:
        """Return what the prices are on, for scaled currents (steps, P)."""
        return currents

    def charged(self, prices: Tensor) -> Tensor:
        """Return what prices mean for each scaled current, (steps, P): the adjoint of `collected`."""
        return prices


@dataclass(frozen=True)
class Pricing:
    """The priced trains of a layer, and what its prices are about.

    Attributes:
        trains: of P pairs.
        scale: a[t] of the prices' currents, (steps,).
        slack: what rounding may add to what each price is on, (steps, P).
        reach: a bound of what each pair's prices are on, and of what else its least value is made of, (P,).
        lasting: how much larger a price must be than a coefficient on one spike, (steps, 1); 0 where no price
            reaches the layer.
    """

    trains: Priced
    scale: Tensor
    slack: Tensor
    reach: Tensor
    lasting: Tensor
