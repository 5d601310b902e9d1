"""Import auto_LiRPA, and keep what it does to the process to itself.

PyPI's 0.3 was written for torch below 1.13 and numpy below 2: two names are put back that its import asks for.
"""

import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ...models.deadline import TimeIsUp
from ...models.validation import one_line

INSTALL = "pip install appdirs pyyaml ninja tqdm && pip install --no-deps auto_LiRPA==0.3"
DEPTH = 100_000
"""Calls within calls: auto_LiRPA walks the graph by recursion, once per step and layer."""


class LibraryError(ValueError):
    """auto_LiRPA itself raised."""


def load() -> ModuleType:
    """Return the package auto_LiRPA.

    Raises:
        ImportError: where it is not installed, or can't be imported beside this torch; it says what to install.
    """
    sets: Any = ModuleType("numpy.lib.arraysetops")
    sets.isin = np.isin
    sys.modules.setdefault(sets.__name__, sets)
    try:
        with _contained():
            helper: Any = importlib.import_module("torch.onnx.symbolic_helper")
            if not hasattr(helper, "_set_opset_version"):
                helper._set_opset_version = None
            return importlib.import_module("auto_LiRPA")
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f'verifier: "lirpa" needs auto_LiRPA, which can\'t be imported beside torch {torch.__version__}: '
            f"{error}; install with: {INSTALL}",
            name=error.name,
        ) from error


@contextmanager
def asking() -> Iterator[None]:
    """Call auto_LiRPA; what it raises becomes one line, but for what our own nodes raise on purpose."""
    try:
        with _contained():
            yield
    except (OverflowError, TimeIsUp):
        raise
    except Exception as error:
        told = one_line(error) or "no message"
        raise LibraryError(f"network: auto_LiRPA raised {type(error).__name__}: {told}") from error


@contextmanager
def _contained() -> Iterator[None]:
    """Drop warnings, allow deep recursion and make float64 torch's default; put all back, and the log handlers.

    auto_LiRPA makes some matrices in the default dtype, and α-CROWN even rounds its result to it, in either
    direction. Warnings are recorded, not ignored: its import adds a filter of its own, which would win.
    """
    root, depth, dtype = logging.getLogger(), sys.getrecursionlimit(), torch.get_default_dtype()
    handlers = list(root.handlers)
    try:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("ignore")
            sys.setrecursionlimit(max(depth, DEPTH))
            torch.set_default_dtype(torch.float64)
            yield
    finally:
        sys.setrecursionlimit(depth)
        torch.set_default_dtype(dtype)
        root.handlers[:] = handlers
