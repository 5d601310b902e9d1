"""A copy of the package in a folder of its own, to be changed and run."""

import importlib.util
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def building() -> ModuleType:
    """Return kernels/building.py, without the package around it."""
    spec = importlib.util.spec_from_file_location("building", ROOT / "kernels" / "building.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look for it there
    spec.loader.exec_module(found)
    return found


def copy_package(folder: Path) -> None:
    """Lay the package out below `folder` as it is installed, with its compiled kernels."""
    layout = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for package, source in layout.items():
        target = folder / package.replace(".", "/")
        target.mkdir(parents=True, exist_ok=True)
        for file in (ROOT / source).iterdir():
            if file.is_file():
                shutil.copy(file, target)
            elif not (file / "__init__.py").exists() and file.name != "__pycache__":  # what is no package: C, HTML
                shutil.copytree(file, target / file.name, dirs_exist_ok=True)
    building().build(folder / "spikecert/kernels/built", ("native",), ROOT / "build" / "kernels")
