"""Events as frames: streams of (time, place) binned into T binary frames."""

import numpy as np

DEFAULT_STEPS = 10
"""T where nobody says how many frames a stream is binned into."""


def frames(times: np.ndarray, places: np.ndarray, num_steps: int, duration: float, features: int) -> np.ndarray:
    """Return uint8 frames (num_steps, features): 1 where at least one event fell into a bin, 0 elsewhere.

    Args:
        times: of the events, (events,), in [0, ∞); the last bin also takes what comes after `duration`.
        places: the feature that each event is of, (events,), in [0, features).
        num_steps: T, the number of bins of equal length.
        duration: what the bins cover together, in the unit of `times`.
        features: of one frame.

    >>> frames(np.array([0.0, 0.9, 7.0]), np.array([0, 1, 1]), 2, 1.0, 3).tolist()
    [[1, 0, 0], [0, 1, 0]]
    """
    bins = np.minimum(times * (num_steps / duration), num_steps - 1).astype(np.int64)
    result = np.zeros((num_steps, features), np.uint8)
    result[bins, places] = 1
    return result
