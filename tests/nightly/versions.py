"""A sample of the tests under the lowest versions that `pyproject.toml` allows, or the newest.

`python tests/nightly/versions.py newest|lowest [--one-in N]`. They are installed with a copy of the tree in an
environment of their own, in build/nightly, which goes when the tests have run.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
BOUND = re.compile(r"([A-Za-z0-9_.-]+)>=([0-9.]+)")
EXTRAS = ".[dev,ray,events,tensorboard,docs]"
BESIDE = ("appdirs", "pyyaml", "ninja", "tqdm", "h5py", "loguru")
"""What the libraries of requirements/lirpa.txt and snn.txt import, as the Makefile has it."""
LEFT = {".git", ".venv", "build", "runs", "spikecert.egg-info"}
"""What the root has that is no part of the tree."""


def lowest(dependencies: list[str]) -> list[str]:
    """Return each lower bound as a constraint: "torch>=2.6" becomes "torch==2.6"."""
    found = [BOUND.match(dependency) for dependency in dependencies]
    if missing := [d for d, bound in zip(dependencies, found, strict=True) if bound is None]:
        raise ValueError(f"dependencies: got {missing[0]!r}, expected a lower bound, as in 'numpy>=2'")
    return [f"{bound[1]}=={bound[2]}" for bound in found if bound is not None]


def constraints(which: str, path: Path) -> Path:
    """Write what pip may install of each dependency: nothing is said of the newest."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    lines = lowest(project["dependencies"]) if which == "lowest" else []
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def commands(python: Path, allowed: Path, share: int) -> list[list[str]]:
    """Return what installs a copy of the tree, and then runs one test in `share` of it."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    pip += ["-c", str(allowed)]
    foreign = ["-r", "requirements/lirpa.txt", "-r", "requirements/snn.txt"]
    tests = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-p", "no:cacheprovider"]
    return [
        [*pip, "-e", EXTRAS, "--config-settings", "editable_mode=strict"],
        [*pip, *BESIDE],
        [*pip, "--no-deps", *foreign],
        [str(python), "-m", "pip", "list", "--format", "freeze"],
        [str(python), "-m", "pytest", "--one-in", str(share), *tests, "--timeout", "600"],
    ]


def main() -> int:
    """Make the environment, run the sample, and return the status of the first command that fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("newest", "lowest"))
    parser.add_argument("--one-in", type=int, default=12, metavar="N", help="run one test in N")
    asked = parser.parse_args()
    folder = ROOT / "build" / "nightly" / asked.which
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        ROOT, folder / "tree", ignore=lambda place, _: LEFT if Path(place) == ROOT else {"__pycache__"}
    )
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        python, allowed = folder / "venv" / "bin" / "python", constraints(asked.which, folder / "constraints.txt")
        for command in commands(python, allowed, asked.one_in):
            if status := subprocess.run(command, cwd=folder / "tree", check=False).returncode:
                return status
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
