"""The repository's own files: workflows call what is there, and forms can be read."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import yaml
from packaging.requirements import Requirement

import spikecert
from spikecert import mlp, save

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_and_files_that_are_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    commands = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    called = set(re.findall(r"\bmake ([a-z-]+)", commands))
    assert called <= targets
    for file in re.findall(r"\b(?:tests|api)/\S+?\.py\b", commands):
        assert (ROOT / file).is_file(), file
    assert called or "python -m build" in commands


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_ask_with_names_that_differ(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    asked = [part["id"] for part in form["body"]]
    assert form["name"]
    assert form["description"]
    assert len(asked) == len(set(asked)) > 0


def test_the_version_stands_in_one_place() -> None:
    """pyproject.toml takes it from `spikecert.__version__`; a release is refused where the tag is another."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version", ' in project
    assert not re.search(r'^version = "', project, re.MULTILINE)


def test_the_conda_recipe_asks_for_what_the_wheel_does() -> None:
    recipe = (ROOT / "conda" / "meta.yaml").read_text(encoding="utf-8")
    asked = dict(
        re.findall(
            r"^    - ([a-z0-9-]+) (\S+)$", recipe.partition("  run:\n")[2].partition("\ntest:")[0], re.MULTILINE
        )
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
    parts = [re.split(r"(?=[<>=])", text, maxsplit=1) for text in project["dependencies"]]
    assert asked == {named.get(name, name): limits for name, limits in parts} | {
        "python": project["requires-python"]
    }
    assert f"'{spikecert.__version__}'" in recipe


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_named_by_commit(path: Path) -> None:
    """A tag can be moved by who owns it, or took it over."""
    used = re.findall(r"\buses: (.+)", path.read_text(encoding="utf-8"))
    assert used
    assert not [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", name)]


def test_what_a_release_and_the_image_install_is_named_by_hash() -> None:
    installing = (ROOT / "Dockerfile", ROOT / ".github" / "workflows" / "release.yml")
    commands = [
        command
        for path in installing
        for command in re.findall(r"\bpip install\b[^&\n]*", path.read_text(encoding="utf-8"))
    ]
    assert len(commands) == 7
    for command in commands:
        known = "--require-hashes -r" in command or "--no-deps --no-index" in command
        assert known, command
        assert all((ROOT / name).is_file() for name in re.findall(r"requirements/[\w.]+", command))
    assert "python -m build --no-isolation --sdist" in installing[1].read_text(encoding="utf-8")


def locked(name: str) -> dict[str, str]:
    """Return the version of each package of a list, all of which must have hashes."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).strip())
    form = re.compile(r"([\w.-]+)==([\w.]+)(?: ; [^\\]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+")
    found = [form.fullmatch(block) for block in blocks]
    assert all(found), [block for block, match in zip(blocks, found, strict=True) if not match]
    return {match[1]: match[2] for match in found if match}


def test_the_lists_by_hash_are_of_the_constraints_and_of_the_project() -> None:
    run, release = locked("run.txt"), locked("release.txt")
    lines = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8").split()
    constraints = {
        name.replace("_", "-").lower(): version for name, version in (line.split("==") for line in lines)
    }
    for name, version in (run | release).items():
        assert constraints.get(name, version) == version, name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for text in (*project["project"]["dependencies"], *project["build-system"]["requires"], "build"):
        asked = Requirement(text)
        assert asked.specifier.contains((run | release)[asked.name]), text


def test_the_image_is_named_by_digest_and_runs_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert all(
        re.search(r"@sha256:[0-9a-f]{64}$", name) for name in re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    )
    users = re.findall(r"^USER (\S+)", text, re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")
    assert "\nRUN " not in text.rpartition("USER ")[2]


def test_make_sets_up_anew_where_any_module_of_the_package_changes() -> None:
    """The strict editable install links each file: one that `make` does not look at would stay away."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "package-dir"
    ]
    looked_at = re.search(r"^SOURCES := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert looked_at is not None
    assert set(looked_at[1].split()) == {folder.partition("/")[0] for folder in folders.values()}


def test_the_action_reports_what_is_proved_and_fails_where_less_is_asked_than_found(tmp_path: Path) -> None:
    """The action of pull requests, its steps run as GitHub runs them."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = {step["name"]: step for step in action["runs"]["steps"]}
    model, out, shown = tmp_path / "model.safetensors", tmp_path / "out", tmp_path / "summary.md"
    torch.manual_seed(0)
    save(mlp((64, 8, 10), num_steps=2), model)
    given = {name: str(value.get("default", "")) for name, value in action["inputs"].items()}
    given |= {"model": str(model), "arguments": "--data digits --epsilon 0.001 --samples 3", "out": str(out)}

    def step(name: str, **changed: str) -> subprocess.CompletedProcess[str]:
        asked = re.compile(r"^\$\{\{ inputs\.(\w+) \}\}$")
        named = {
            key: asked.sub(lambda found: (given | changed)[found[1]], value)
            for key, value in steps[name]["env"].items()
        }
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        how = {**os.environ, **named, "PATH": path, "GITHUB_STEP_SUMMARY": str(shown)}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[name]["run"]]
        return subprocess.run(command, env=how, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert step("Report").returncode == 0, "nothing to tell of"
    assert not shown.exists()
    found = step("Certify")
    assert found.returncode == 0, found.stderr
    assert step("Report").returncode == 0
    assert "certified" in shown.read_text(encoding="utf-8")
    suites = ElementTree.parse(out / "junit.xml").getroot()
    assert [suite.get("tests") for suite in suites] == ["3"]
    assert step("Compare", against=str(out / "record.json")).returncode == 0
    more = {"arguments": "--data digits --epsilon 0.9 --samples 3", "out": str(tmp_path / "more")}
    refused = step("Certify", require="100%", **more)
    assert refused.returncode == 1, refused.stderr
    assert (tmp_path / "more" / "record.json").is_file()
    assert set(re.findall(r"inputs\.(\w+)", (ROOT / "action.yml").read_text(encoding="utf-8"))) == set(given)
