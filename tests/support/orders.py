"""Sums in float32 in every way that a library may take them."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np


def nearest(value: Fraction) -> np.float32:
    """Return the float32 next to a fraction, rounded once: a fused multiply-add of what it stands for."""
    about = np.float32(float(value))
    near = (np.nextafter(about, np.float32(-np.inf)), about, np.nextafter(about, np.float32(np.inf)))
    return min(near, key=lambda one: abs(Fraction(float(one)) - value))


def sums(weight: np.ndarray, x: np.ndarray, bias: np.float32, generator: np.random.Generator) -> Iterator[float]:
    """Yield what runs in float32 may make of Σ w·x + b: in order, fused, by trees, in blocks filled with zeros."""
    products, order = weight * x, generator.permutation(len(x))
    for terms in (
        products,
        products[::-1],
        products[order],
        np.sort(products),
        products[np.argsort(-abs(products))],
    ):
        yield float(np.add.accumulate(np.concatenate(([bias], terms)))[-1])
        yield float(np.add.accumulate(terms)[-1] + bias)
    total = bias
    for w, each in zip(weight, x, strict=True):
        total = nearest(Fraction(float(w)) * Fraction(float(each)) + Fraction(float(total)))
    yield float(total)
    for fold in (
        lambda part: part[0::2] + part[1::2],
        lambda part: part[: len(part) // 2] + part[len(part) // 2 :],
    ):
        part = products
        while len(part) > 1:
            part = fold(np.append(part, np.zeros(len(part) % 2, np.float32)))
        yield float(part[0] + bias)
    trees = [*products, bias]
    while len(trees) > 1:
        generator.shuffle(trees)
        trees.append(trees.pop() + trees.pop())
    yield float(trees[0])
