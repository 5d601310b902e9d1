"""NIR's nodes that look at one entry at a time: Scale, y = s·x; Threshold, y = 1[x > θ]; I, v += dt·R·x."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..refusal import ConversionRefused


class ScalingNode(nn.Module):
    """A Scale node; its factors stay float64 and are rounded to the input's dtype."""

    def __init__(self, node: Any, name: str) -> None:
        super().__init__()
        self.name, self.scale = f"{name} (nir Scale)", _numbers(node.scale, f"{name} (nir Scale)")

    def forward(self, x: Tensor) -> Tensor:
        """Return s·x."""
        return x * self.scale.to(x)


class StepNode(nn.Module):
    """A Threshold node: neurons without memory."""

    def __init__(self, node: Any, name: str) -> None:
        super().__init__()
        self.name, self.threshold = f"{name} (nir Threshold)", _numbers(node.threshold, f"{name} (nir Threshold)")

    def forward(self, x: Tensor) -> Tensor:
        """Return 1 where x > θ, else 0."""
        return (x > self.threshold.to(x)).to(x)


class IntegratorNode(nn.Module):
    """An I node; keeps v from call to call until `restart`."""

    def __init__(self, node: Any, name: str, dt: float) -> None:
        super().__init__()
        self.name, self.gain = f"{name} (nir I)", dt * _numbers(node.r, f"{name} (nir I)")
        self.restart()

    def restart(self) -> None:
        """Go back to v = 0."""
        self.v: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return v after one more step."""
        self.v = (torch.zeros_like(x) if self.v is None else self.v) + self.gain.to(x) * x
        return self.v


def _numbers(values: Any, name: str) -> Tensor:
    array = np.asarray(values)
    if np.iscomplexobj(array) or not np.isfinite(array.astype(np.float64)).all():
        raise ConversionRefused(f"{name}: has constants that are no finite real numbers")
    return torch.from_numpy(array.astype(np.float64))
