"""What is installed: every folder of the library, and a wheel that works elsewhere."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import spikecert
from support.modules import INSIDE as FOLDERS
from support.wheels import ROOT, built, copied, installed, sources

__all__ = ["built"]


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


@pytest.mark.slow
def test_sdist_and_wheel_hold_the_library(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("spikecert/py.typed", "spikecert/cli.py", "spikecert/reports/pages/templates/report.html"):
        assert name in names
    for name in (f"spikecert/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "kernels").rglob("*.c")):
        assert name in names
    modules = [path for name in FOLDERS for path in (ROOT / name).rglob("*.py")]
    assert all(f"spikecert/{path.relative_to(ROOT).as_posix()}" in names for path in modules)
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    ours = {path.relative_to(ROOT).as_posix() for path in sources()}
    assert ours <= held, "a source distribution holds all that is tracked: tests, docs, Makefile"


@pytest.mark.slow
def test_the_wheel_runs_the_demo_in_another_environment(built, tmp_path):
    fresh = installed(built, tmp_path / "venv")
    where = "import spikecert, pathlib; print(pathlib.Path(spikecert.__file__).parent)"
    assert Path(fresh.run("python", "-c", where, cwd=tmp_path).stdout.strip()) == fresh.site / "spikecert"
    done = fresh.run("spikecert", "demo", "--epochs", "1", "--samples", "2", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.py")]
INSTALL = re.compile(r"pip install (?:--\S+ )*('?[^\s`'\"),;]+)")


def test_what_pages_install_is_this_checkout_or_a_package_of_an_index():
    """spikecert is on no index: pages install the checkout and its extras, the library names packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pages = "\n".join(path.read_text(encoding="utf-8") for path in PAGES if "generated" not in path.parts)
    extras = set(re.findall(r"pip install '\.\[([a-z]+)\]'", pages))
    assert {"snn", "spikingjelly", "testing"} <= extras <= set(project["optional-dependencies"])
    code = [path.read_text(encoding="utf-8") for name in ("api", *FOLDERS) for path in (ROOT / name).rglob("*.py")]
    told = INSTALL.findall("\n".join((pages, *code)))
    assert {"nir", "ray", "hypothesis", "h5py", "pandas"} <= set(told)
    assert not [name for name in told if "spikecert" in name]


@pytest.mark.slow
def test_without_the_extras_their_absence_is_said_in_one_line(built, tmp_path):
    """In an environment that lends all but one package, the library names what to install."""
    fresh = installed(built, tmp_path / "venv")
    for module, use in (
        ("hypothesis", "import spikecert.testing"),
        ("nir", "from spikecert import from_nir; from_nir('graph.nir')"),
        ("ray", "from spikecert.certify.engines import Ray; Ray().run(b'', [], 1).__next__()"),
    ):
        hidden = f"import sys; sys.modules[{module!r}] = None; "
        done = fresh.run("python", "-c", hidden + use, cwd=tmp_path)
        assert done.returncode == 1
        assert f"pip install {module}" in done.stderr.strip().splitlines()[-1]


def test_versions_agree():
    assert metadata.version("spikecert") == spikecert.__version__
    assert f"version: {spikecert.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_no_link_of_the_page_on_an_index_leads_nowhere(tmp_path):
    """There a link to a file of this repository has nothing to lead to; whole addresses stay."""
    copied(tmp_path / "copy")
    make = (
        "import sys; from setuptools import build_meta; build_meta.prepare_metadata_for_build_wheel(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", make, tmp_path], cwd=tmp_path / "copy", check=True, capture_output=True)
    (path,) = tmp_path.glob("*.dist-info/METADATA")
    made = email.message_from_string(path.read_text(encoding="utf-8"))
    page, readme = str(made.get_payload()), (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.compile(r"\]\((?!https?://)[^)]*\)")
    assert links.search(readme)
    assert not links.search(page)
    assert made["Description-Content-Type"] == "text/markdown"
    for kept in ("(https://docs.ray.io)", "docs/certification.md says what each verifier proves", "# spikecert\n"):
        assert kept in page
    assert page.count("\n") >= readme.rstrip().count("\n")


def test_nothing_unpickles():
    """CIFAR's published files are pickles; they are read by instructions of our own."""
    risky = re.compile(
        r"(?:import|from) (?:pickle|cloudpickle|dill|shelve|marshal|joblib)\b"
        r"|\btorch\.load\(|allow_pickle\s*=\s*True|yaml\.load\(|(?<![\w.])eval\(|(?<![\w.])exec\("
    )
    found = {
        path.relative_to(ROOT).as_posix()
        for name in ("api", *FOLDERS)
        for path in (ROOT / name).rglob("*.py")
        if risky.search(path.read_text(encoding="utf-8"))
    }
    assert found == set()
