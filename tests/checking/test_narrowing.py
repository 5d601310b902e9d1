"""Multipliers of leaves, as a short proof holds them."""

import numpy as np
import pytest

from spikecert.checking import Refused
from spikecert.checking.short import read_narrowings


def test_flat_multipliers_are_read_leaf_by_leaf():
    tensors = {
        "3.narrow.sizes": np.array([[1, 2], [0, 0], [0, 1]]),
        "3.narrow.neurons": np.array([4]),
        "3.narrow.slabs": np.array([5, 6, 7]),
        "3.narrow.multipliers": np.arange(7.0),
    }
    one, none, two = read_narrowings(tensors, 3, 3)
    assert one is not None
    assert two is not None
    assert none is None
    assert one.neurons.tolist() == [4]
    assert one.slabs.tolist() == [5, 6]
    assert one.multipliers.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert two.slabs.tolist() == [7]
    assert two.multipliers.tolist() == [[6.0]]
    assert read_narrowings(tensors, 2, 3) == [None, None, None]
    for name in tensors:
        with pytest.raises(Refused, match="sizes that do not fit"):
            read_narrowings(tensors | {name: tensors[name][:-1]}, 3, 3)
    with pytest.raises(Refused, match="sizes that do not fit"):
        read_narrowings(tensors | {"3.narrow.sizes": np.array([[1, 2], [0, 0], [-1, 1]])}, 3, 3)
