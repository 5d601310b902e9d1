"""A copy of the package in a folder of its own, to be changed and run."""

import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_package(folder: Path) -> None:
    """Lay the package out below `folder` as it is installed."""
    layout = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for package, source in layout.items():
        target = folder / package.replace(".", "/")
        target.mkdir(parents=True, exist_ok=True)
        for file in (ROOT / source).iterdir():
            if file.is_file():
                shutil.copy(file, target)
            elif not (file / "__init__.py").exists() and file.name != "__pycache__":  # what is no package: C, HTML
                shutil.copytree(file, target / file.name, dirs_exist_ok=True)
