"""The built wheel, and new environments that it is installed in."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]


def sources() -> list[Path]:
    """Return tracked and new files, without what git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


def copied(folder: Path) -> None:
    """Copy the sources."""
    for path in sources():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist, and from it the wheel, of a copy of the sources; the build tools come from this environment."""
    copy, dist = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    copied(copy)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(copy)],
        check=True,
        capture_output=True,
    )
    return dist


class Installed(NamedTuple):
    """A new environment with the wheel."""

    folder: Path
    site: Path

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, with nothing of this one's settings."""
        settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        program = str(self.folder / "bin" / command[0])
        return subprocess.run([program, *command[1:]], cwd=cwd, env=settings, capture_output=True, text=True)


def installed(built: Path, folder: Path) -> Installed:
    """Install the wheel in a new environment.

    Dependencies are lent by a .pth file: installing torch again would take minutes.
    """
    (wheel,) = built.glob("*.whl")
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "zz_lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(folder, site)
