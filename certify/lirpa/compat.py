"""Import auto_LiRPA, whichever version is there, and keep what it does to the process to itself.

PyPI's 0.3 was written for torch below 1.13. Beside a newer torch it lacks a few names, which are put back before
the import; a release that imports without them finds nothing changed that it would look at. Importing it also
adds warning filters and a log handler that writes to standard output, and raises the recursion limit; all of
that is taken back.
"""

import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch

INSTALL = "pip install appdirs pyyaml ninja tqdm && pip install --no-deps auto_LiRPA==0.3"
DEPTH = 100_000


@lru_cache(maxsize=1)
def load() -> ModuleType:
    """Return the package auto_LiRPA.

    Raises:
        ModuleNotFoundError: where it is not installed; the message says what to install.
        ImportError: where it is installed but can't be imported beside this torch.
    """
    _restore_names()
    try:
        with _importing():
            library = importlib.import_module("auto_LiRPA")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'verifier: "lirpa" needs auto_LiRPA, but the module {error.name} is missing; install with: {INSTALL}',
            name=error.name,
        ) from error
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f'verifier: "lirpa" needs auto_LiRPA, which fails beside torch {torch.__version__}: {error}'
        ) from error
    _accept_remove_duplicate(library.BoundedModule)
    return library


def submodule(name: str) -> ModuleType:
    """Return auto_LiRPA's submodule `name`."""
    load()
    with _importing():
        return importlib.import_module(f"auto_LiRPA.{name}")


@contextmanager
def quiet() -> Iterator[None]:
    """Drop warnings for a while, and every change to the warning filters.

    They are recorded, not ignored: auto_LiRPA's import adds a filter of its own, which would win.
    """
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def working() -> Iterator[None]:
    """Be quiet, make float64 torch's default, and allow deep recursion, for a while: what a bound needs.

    auto_LiRPA makes some matrices in the default dtype, and α-CROWN even rounds its result to it, in either
    direction. It walks the graph by recursion, once per step and layer.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with quiet(), _recursion(DEPTH):
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _importing() -> Iterator[None]:
    """Be quiet, and undo what the import adds to the root logger and to the recursion limit."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        with quiet(), _recursion(sys.getrecursionlimit()):
            yield
    finally:
        root.handlers[:] = handlers


@contextmanager
def _recursion(depth: int) -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, depth))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _restore_names() -> None:
    """Put back the names that 0.3 imports and that newer numpy and torch have dropped; harmless where unused."""
    if not _importable("numpy.lib.arraysetops"):
        sets: Any = ModuleType("numpy.lib.arraysetops")
        sets.isin = np.isin
        sys.modules["numpy.lib.arraysetops"] = sets
    with quiet():
        helper: Any = importlib.import_module("torch.onnx.symbolic_helper")
    if not hasattr(helper, "_set_opset_version"):
        helper._set_opset_version = _set_opset_version
    node: Any = torch._C.Node
    if not hasattr(node, "__getitem__"):
        node.__getitem__ = lambda self, key: getattr(self, self.kindOf(key))(key)


def _importable(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        with quiet():
            importlib.import_module(name)
    except ImportError:
        return False
    return True


def _set_opset_version(version: int) -> None:
    """Set the version of ONNX that torch's exporter writes."""
    for place in ("torch.onnx._internal.torchscript_exporter._globals", "torch.onnx._globals"):
        if _importable(place):
            sys.modules[place].GLOBALS.export_onnx_opset_version = version
            return
    raise ImportError(f"torch {torch.__version__} has no ONNX exporter that auto_LiRPA 0.3 could set")


def _accept_remove_duplicate(module: Any) -> None:
    """Let 0.3's `_named_members` take the argument that torch passes since version 2."""
    original = module._named_members
    if "remove_duplicate" in original.__code__.co_varnames or original is torch.nn.Module._named_members:
        return

    def named_members(self: Any, get: Any, prefix: str = "", recurse: bool = True, **_: Any) -> Any:
        return original(self, get, prefix, recurse)

    module._named_members = named_members
