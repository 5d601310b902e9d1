"""Affine layers as every reader of a network sees them: one file a kind, found by being in this folder."""

from .averaging import FlattenMap
from .base import LinearMap, Shape, affine_types, linear_map, lowers
from .convolution import ConvolutionMap
from .dense import DenseMap
from .entrywise import ShareMap
from .normalizing import ScaleMap
from .sequences import PoolMap

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
