"""What is installed: every folder of the library, and a wheel that works elsewhere."""

import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("models", "analysis", "training", "certify", "checking", "reports", "formats", "testing")


def package_of(folder: Path) -> str:
    parts = folder.relative_to(ROOT).parts
    return ".".join(("spikecert", *(parts[1:] if parts[0] == "api" else parts)))


def test_every_folder_with_modules_is_a_listed_package():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent for name in ("api", *FOLDERS) for path in (ROOT / name).rglob("__init__.py")}
    found = {package_of(folder): folder.relative_to(ROOT).as_posix() for folder in folders}
    assert setuptools["package-dir"] == found
    assert sorted(setuptools["packages"]) == sorted(found)


def test_no_module_lies_in_a_folder_without_init():
    modules = [path for name in ("api", *FOLDERS) for path in (ROOT / name).rglob("*.py")]
    assert not [path for path in modules if not (path.parent / "__init__.py").is_file()]


def sources() -> list[Path]:
    """Return tracked and new files, without what git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist, and from it the wheel, of a copy of the sources; the build tools come from this environment."""
    copy, dist = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for path in sources():
        target = copy / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(copy)],
        check=True,
        capture_output=True,
    )
    return dist


@pytest.mark.slow
def test_sdist_and_wheel_hold_the_library(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("spikecert/py.typed", "spikecert/cli.py", "spikecert/reports/templates/report.html"):
        assert name in names
    modules = [path for name in FOLDERS for path in (ROOT / name).rglob("*.py")]
    assert all(f"spikecert/{path.relative_to(ROOT).as_posix()}" in names for path in modules)
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("/pyproject.toml") for name in archive.getnames())


@pytest.mark.slow
def test_the_wheel_runs_the_demo_in_another_environment(built, tmp_path):
    """Dependencies are lent to the new environment by a .pth file: installing torch again would take minutes."""
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    pip = [str(binaries / "pip"), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (site / "zz_lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = "import spikecert, pathlib; print(pathlib.Path(spikecert.__file__).parent)"
    python = [str(binaries / "python"), "-c", where]
    found = subprocess.run(python, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()
    assert Path(found) == site / "spikecert"
    demo = [str(binaries / "spikecert"), "demo", "--epochs", "1", "--samples", "2", "--out", "out"]
    subprocess.run(demo, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "out" / "report.html").is_file()
