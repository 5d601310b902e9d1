"""What classifiers make of recordings without memory over all of them: what a claim of memory is held against.

A network that is right on a task may have needed no memory for it: counts over time may tell the classes apart, or
a few steps. Of each class of controls the best that is found counts, of a linear model, a small network and the
nearest neighbour, by its accuracy on the held-out recordings themselves, in favour of the control. Recordings that
occur in training, or twice, are left out; where training has all of them, those that differ count. No control is
below the share of the greatest class, which a constant answer gets.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..models.constants import at_least
from ..models.deadline import Progress, silent
from .data import Dataset, Split

LONGEST = 5
"""Steps of the longest window."""
MOST = 2000
"""Training recordings that controls learn from, drawn by the seed."""
NEEDED = 0.2
"""What each control must lose against a network for its memory to be needed."""


@dataclass(frozen=True)
class Control:
    """The best that a class of controls gets.

    Attributes:
        name: what it sees.
        accuracy: on the distinct held-out recordings.
        by: which of its classifiers, and what it saw.
    """

    name: str
    accuracy: float
    by: str


@dataclass(frozen=True)
class Controls:
    """What memory is held against, on one data set.

    Attributes:
        rows: a class of controls each.
        distinct: the places of the held-out recordings that count.
        new: how many of these do not occur in training: all, or none.
        recordings: how many are held out in all.
        chance: the share of their greatest class.
    """

    rows: tuple[Control, ...]
    distinct: tuple[int, ...]
    new: int
    recordings: int
    chance: float

    @property
    def best(self) -> Control:
        """Return the best of all."""
        return max(self.rows, key=lambda row: row.accuracy)

    def needed(self, accuracy: float) -> bool:
        """Return whether a network of this accuracy on these recordings needs its memory: 20 points over all."""
        return accuracy - self.best.accuracy >= NEEDED


def memory_controls(data: Dataset, seeds: int = 3, progress: Progress = silent) -> Controls:
    """Return the best that counts over time, and windows of 1 to 5 steps, get on a data set of recordings.

    Args:
        data: events or frames, (samples, T, ...), with labels.
        seeds: of the drawn training recordings, and of the small network's start; the best counts.
        progress: told "controls", classifiers fitted and how many in all.

    Raises:
        ValueError: for data without time or without labels.
    """
    if data.num_steps is None or data.test.real:
        told = "no time" if data.num_steps is None else "real targets"
        raise ValueError(f"controls: got {data.name}, which has {told}, expected recordings with labels")
    seeds = at_least(1)("seeds", seeds)
    new = _distinct(data, (data.train, data.validation))
    places = new or _distinct(data, ())
    held = data.test.take(torch.tensor(places))
    chance = float(held.labels.bincount().max() / len(held))
    views = list(_views(data.num_steps))
    best = {name: Control(name, chance, "the greatest class") for name, _, _ in views}
    for seed in range(seeds):
        order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[:MOST]
        train = data.train.take(order)
        for place, (name, of, see) in enumerate(views):
            for by, accuracy in _fitted(train, held, see, seed):
                if accuracy > best[name].accuracy:
                    best[name] = Control(name, accuracy, f"{by}{of}")
            progress("controls", seed * len(views) + place + 1, seeds * len(views))
    return Controls(tuple(best.values()), tuple(places), len(new), len(data.test), chance)


def _distinct(data: Dataset, parts: Sequence[Split]) -> list[int]:
    """Return the first place of each held-out recording that no such part has."""
    known = {one.tobytes() for part in parts for one in part.inputs.numpy()}
    found: dict[bytes, int] = {}
    for place, one in enumerate(data.test.inputs.numpy()):
        if (content := one.tobytes()) not in known:
            found.setdefault(content, place)
    return list(found.values())


def _views(num_steps: int) -> Iterator[tuple[str, str, Callable[[np.ndarray], np.ndarray]]]:
    """Yield a class of controls, which of it, and what it makes of recordings, (samples, T, features)."""
    yield "counts over time", "", lambda x: x.sum(1)
    for length in range(1, min(LONGEST, num_steps - 1) + 1):
        name = f"{length} step{'s' * (length > 1)} in a row"
        for start in range(num_steps - length + 1):
            span = slice(start, start + length)
            yield name, f", from step {start + 1}", lambda x, span=span: x[:, span].reshape(len(x), -1)


def _fitted(
    train: Split, held: Split, see: Callable[[np.ndarray], np.ndarray], seed: int
) -> Iterator[tuple[str, float]]:
    """Yield each classifier with its share of held-out recordings."""
    from sklearn.linear_model import LogisticRegression  # imported here: it takes a second
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen, asked = (see(part.inputs.flatten(2).numpy().astype(np.float32)) for part in (train, held))
    if len(train.labels.unique()) < 2:
        return
    makes: dict[str, Any] = {
        "a linear model": LogisticRegression(max_iter=300),
        "a small network": MLPClassifier((64,), max_iter=300, early_stopping=True, random_state=seed),
        "the nearest neighbour": KNeighborsClassifier(1),
    }
    for name, model in makes.items():
        fitted = make_pipeline(StandardScaler(), model).fit(seen, train.labels.numpy())
        yield name, float(fitted.score(asked, held.labels.numpy()))
