"""The repository's own files: workflows call what is there, and forms can be read."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import spikecert

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
    assert 'dynamic = ["version"]' in project
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
