"""Configurations of Xylo as files."""

import json
from typing import Any

import numpy as np


def configuration(case: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return what Rockpool would save of a kept run's network."""

    def neurons(layer: int, count: int) -> list[dict[str, Any]]:
        mem, syn = case["dashes"][layer].tolist()
        threshold = int(case["thresholds"][layer])
        one = {"i_syn_decay": syn, "i_syn2_decay": 0, "v_mem_decay": mem, "threshold": threshold, "v_mem_bias": 0}
        return [dict(one) for _ in range(count)]

    hidden, outputs = case["weights_out"].shape
    return {
        "synapse2_enable": False,
        "bias_enable": False,
        "debug": {"ram_power_enable": True},
        "input": {"weights": case["weights_in"].tolist(), "weight_bit_shift": 0},
        "reservoir": {
            "weights": np.zeros((hidden, hidden), int).tolist(),
            "weight_bit_shift": 0,
            "aliasing": False,
            "neurons": neurons(0, hidden),
        },
        "readout": {
            "weights": case["weights_out"].tolist(),
            "weight_bit_shift": 0,
            "neurons": neurons(1, outputs),
        },
    }


def small() -> bytes:
    """Return a small file."""
    case = {
        "weights_in": np.array([[30, -20], [10, 40]]),
        "weights_out": np.array([[5, 6, 7], [1, -2, 3]]),
        "dashes": np.array([[2, 1], [3, 1]]),
        "thresholds": np.array([40, 9]),
    }
    return json.dumps(configuration(case)).encode()
