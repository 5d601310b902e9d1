"""Affine layers as every reader of a network sees them: one file a kind, found by being in this folder."""

from .averaging import FlattenMap, ShareMap
from .base import LinearMap, Shape, affine_types, linear_map, lowers
from .convolution import ConvolutionMap, PoolMap
from .dense import DenseMap
from .normalizing import ScaleMap

__all__ = [
    "ConvolutionMap",
    "DenseMap",
    "FlattenMap",
    "LinearMap",
    "PoolMap",
    "ScaleMap",
    "Shape",
    "ShareMap",
    "affine_types",
    "linear_map",
    "lowers",
]
