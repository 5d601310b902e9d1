"""Affine layers as every reader of a network sees them: one file a kind, found by being in this folder."""

import importlib
import pkgutil

from .base import LinearMap, NoPlainModule, Shape, affine_types, linear_map, lowers
from .convolution import ConvolutionMap
from .dense import DenseMap
from .flattening import FlattenMap
from .normalizing import ScaleMap
from .pooling import PoolMap
from .sharing import ShareMap

for _file in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_file.name)

__all__ = [
    "ConvolutionMap",
    "DenseMap",
    "FlattenMap",
    "LinearMap",
    "NoPlainModule",
    "PoolMap",
    "ScaleMap",
    "Shape",
    "ShareMap",
    "affine_types",
    "linear_map",
    "lowers",
]
