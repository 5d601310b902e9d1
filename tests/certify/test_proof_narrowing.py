"""Multipliers of a search, written as numbers that a proof can hold."""

import warnings
from typing import Any

import numpy as np
import torch

from spikecert.certify.proofs.narrowing import narrowing_of


class Asked:
    """Stands for a question whose search went beyond single precision."""

    def narrowing(self, node: Any) -> tuple[torch.Tensor, ...]:
        """Return neurons, slabs and multipliers."""
        numbers = torch.tensor([[1e300, -1e300, 0.5]], dtype=torch.float64)
        return torch.tensor([0]), torch.tensor([0, 1, 2]), numbers


def test_multipliers_beyond_single_precision_are_cut_to_it():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = narrowing_of(Asked(), None)  # pyright: ignore[reportArgumentType]
    assert found is not None
    most = np.finfo(np.float32).max
    assert found.multipliers.tolist() == [[float(most), -float(most), 0.5]]
