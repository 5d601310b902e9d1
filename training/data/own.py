"""Data of one's own as a `Dataset`: tensors, arrays, or what has a length and gives (input, label) by index."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.constants import at_least, real
from .splits import Dataset, Split, split_off

TEST_SHARE, VALIDATION_SHARE = 5, 10
"""Of data without splits a fifth becomes the test split, of what is left a tenth the validation split."""
MOST_COUNT = 2**24
"""The greatest whole number up to which float32 has all."""
NOTHING = "expected a pair of inputs and labels, or samples by index, (input, label) each"


def own_dataset(
    name: str,
    train: Any,
    validation: Any = None,
    test: Any = None,
    *,
    events: bool = False,
    classes: int | None = None,
    seed: int = 0,
    names: Sequence[str] = (),
    limits: tuple[float, float] = (0.0, 1.0),
) -> Dataset:
    """Return a data set of one's own samples.

    Each part is a pair (inputs, labels) of tensors or arrays, samples first, or an object with a length that gives
    (input, label) by index, as torchvision's and tonic's data sets do. Bytes become float32 in [0, 1]; floats must
    lie there. Where `test` is None a fifth of `train` is cut off for it, and where `validation` is None a tenth of
    what is left, each class in proportion.

    Args:
        name: for records and messages.
        train, validation, test: the parts.
        events: whether inputs are event frames of 0 and 1, (samples, T, ...).
        classes: how many there are; None for as many as `names`, or the greatest label + 1.
        seed: of the cuts.
        names: of the classes, for reports.
        limits: the least and the greatest value that floats may have.

    Raises:
        TypeError, ValueError: for parts that don't fit, one line each.

    >>> own_dataset("mine", (torch.rand(40, 3), torch.arange(40) % 2)).shape
    (3,)
    """
    seed, limits = at_least(0)("seed", seed), checked_limits(limits)
    if events and limits != (0.0, 1.0):
        raise ValueError(f"limits: got {limits}, expected (0, 1) for events")
    last = None if test is None else _split("test", test, events, limits)
    middle = None if validation is None else _split("validation", validation, events, limits)
    first, middle, last = cut_parts(_split("train", train, events, limits), middle, last, seed)
    parts = {"train": first, "validation": middle, "test": last}
    shape = tuple(first.inputs.shape[1:])
    for told, part in parts.items():
        if tuple(part.inputs.shape[1:]) != shape:
            raise ValueError(
                f"{told}: got inputs of shape {tuple(part.inputs.shape[1:])}, expected {shape} as train"
            )
    names = tuple(map(str, names))
    count = _classes(parts, len(names) if names and classes is None else classes)
    if names and len(names) != count:
        raise ValueError(f"names: got {len(names)}, expected one for each of {count} classes")
    steps, frame = (shape[0], shape[1:]) if events else (None, shape)
    return Dataset(name, first, middle, last, frame, count, steps, names, limits)


def checked_limits(limits: tuple[float, float]) -> tuple[float, float]:
    """Return the least and the greatest value of inputs as floats.

    Raises:
        ValueError, TypeError: for what is no pair of rising finite numbers.
    """
    low, high = (real("limits", end) for end in limits)
    if not low < high:
        raise ValueError(f"limits: got {low:g} and {high:g}, expected the least value below the greatest")
    return low, high


def limits_of(inputs: np.ndarray) -> tuple[float, float]:
    """Return ends between which all inputs lie as float32: [0, 1] if that is enough, or where there is none."""
    rounded = inputs.astype(np.float32)
    if not rounded.size or not bool(np.isfinite(rounded).all()):
        return 0.0, 1.0
    low, high = float(rounded.min()), float(rounded.max())
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return (low, high) if low < high else (low, low + max(1.0, abs(low)))


def cut_parts(train: Split, validation: Split | None, test: Split | None, seed: int) -> tuple[Split, ...]:
    """Return all three splits, those that are missing cut off the first."""
    if test is None:
        train, test = _cut(train, TEST_SHARE, seed)
    if validation is None:
        train, validation = _cut(train, VALIDATION_SHARE, seed)
    return train, validation, test


def _cut(whole: Split, share: int, seed: int) -> tuple[Split, Split]:
    """Cut one in `share` samples off, and at least one of each class."""
    return split_off(whole, max(len(whole) // share, 1 if whole.real else len(whole.labels.unique())), seed)


def _classes(parts: dict[str, Split], classes: int | None) -> int:
    most = max(int(part.labels.max()) for part in parts.values()) + 1
    count = most if classes is None else at_least(1)("classes", classes)
    if count < most:
        raise ValueError(f"classes: got {count}, expected at least the greatest label + 1, {most}")
    return count


def _split(told: str, part: Any, events: bool, limits: tuple[float, float]) -> Split:
    """Return one part as inputs and labels that are checked."""
    inputs, labels = pair_of(told, part)
    _check_shape(told, inputs, events)
    if labels.shape != inputs.shape[:1]:
        raise ValueError(f"{told}: got labels of shape {tuple(labels.shape)} for {len(inputs)} inputs")
    kind, whole = labels.dtype, labels.long()
    if kind.is_floating_point or kind.is_complex or kind == torch.bool or int(whole.min()) < 0:
        raise ValueError(f"{told}: got labels of {kind} from {whole.min()}, expected integers from 0 on")
    return Split(inputs_of(told, inputs, events, limits), whole)


def pair_of(told: str, part: Any) -> tuple[Tensor, Tensor]:
    """Return inputs and labels of one part."""
    if isinstance(part, Split):
        return part.inputs, part.labels
    if isinstance(part, tuple | list) and len(part) == 2 and all(_is_array(item) for item in part):
        inputs, labels = (_tensor(told, item) for item in part)
        return inputs, labels
    return _gathered(told, part)


def inputs_of(told: str, inputs: Tensor, events: bool, limits: tuple[float, float]) -> Tensor:
    """Return inputs that are checked: event frames, or numbers within limits."""
    _check_shape(told, inputs, events)
    return _events(told, inputs) if events else _numbers(told, inputs, limits)


def _check_shape(told: str, inputs: Tensor, events: bool) -> None:
    if inputs.dim() < (3 if events else 2) or inputs.numel() == 0:
        expected = "(samples, T, ...)" if events else "(samples, ...)"
        raise ValueError(f"{told}: got inputs of shape {tuple(inputs.shape)}, expected {expected}")


def _is_array(item: Any) -> bool:
    return isinstance(item, Tensor | np.ndarray)


def _tensor(told: str, item: Tensor | np.ndarray) -> Tensor:
    try:
        if isinstance(item, Tensor):
            return item.detach().cpu()
        signed = item.astype(np.int64) if item.dtype.kind == "u" and item.dtype.itemsize > 1 else item
        return torch.from_numpy(np.ascontiguousarray(signed))
    except TypeError as error:
        raise TypeError(f"{told}: got an array of {item.dtype}, expected numbers") from error


def _gathered(told: str, part: Any) -> tuple[Tensor, Tensor]:
    """Return the samples of an object that gives them by index."""
    if not hasattr(part, "__len__") or not hasattr(part, "__getitem__"):
        raise TypeError(f"{told}: got {type(part).__name__}, {NOTHING}")
    samples: Sequence[Any] = [part[index] for index in range(len(part))]
    pairs = all(isinstance(sample, tuple | list) and len(sample) == 2 for sample in samples)
    if not samples or not pairs:
        raise TypeError(f"{told}: got {type(part).__name__} of {len(samples)} samples, {NOTHING}")
    inputs = [
        torch.as_tensor(np.asarray(value) if not isinstance(value, Tensor) else value) for value, _ in samples
    ]
    shapes = {tuple(value.shape) for value in inputs}
    if len(shapes) > 1:
        raise ValueError(f"{told}: got inputs of shapes {sorted(shapes)[:3]}, expected one shape")
    return torch.stack(inputs), torch.as_tensor([int(label) for _, label in samples])


def _numbers(told: str, inputs: Tensor, limits: tuple[float, float]) -> Tensor:
    """Return inputs within their limits: bytes divided by 255, other numbers as they are, in float32."""
    if inputs.dtype == torch.uint8:
        inputs = inputs.float().div_(255.0)
    if inputs.dtype == torch.bool or inputs.is_complex():
        raise TypeError(f"{told}: got inputs of {inputs.dtype}, expected bytes, whole numbers or floats")
    if not inputs.is_floating_point() and int(inputs.abs().max()) > MOST_COUNT:
        raise ValueError(f"{told}: got whole numbers beyond {MOST_COUNT}, which float32 rounds")
    inputs = inputs.float()
    low, high = float(inputs.min()), float(inputs.max())
    least, most = torch.tensor(limits, dtype=torch.float32).tolist()  # as inputs are rounded, so are their ends
    if not (low >= least and high <= most):  # NaN too
        raise ValueError(
            f"{told}: got inputs from {low:g} to {high:g}, expected [{limits[0]:g}, {limits[1]:g}]; say the range "
            "that they have (--range), widen the ranges in the file of features, or scale the inputs"
        )
    return inputs


def _events(told: str, inputs: Tensor) -> Tensor:
    if not bool(((inputs == 0) | (inputs == 1)).all()):
        raise ValueError(f"{told}: got events that are neither 0 nor 1, expected frames of both")
    return inputs.to(torch.uint8)
