"""Write the reference of the command line out of its own help: `python docs/make_commands.py`."""

from pathlib import Path

import typer
from typer.testing import CliRunner

from spikecert.asking.threats import THREATS, Threat
from spikecert.asking.values import table_fields
from spikecert.cli import COMMANDS, app

TARGET = Path(__file__).parent / "commands.md"
HEAD = """# Every command

What each command takes, as `spikecert COMMAND --help` prints it: look an option up here. Which command you need is
said by [Ten minutes](tutorial.md) and [Reports](reports.md). `python docs/make_commands.py` writes this page.
"""
WIDTH = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}


def helped(name: str) -> str:
    """Return what a command's --help prints, lines of 100 characters."""
    printed = CliRunner().invoke(app, [name, "--help"], env=WIDTH, prog_name="spikecert")
    if printed.exit_code != 0:
        raise ValueError(f"{name}: its help ended with status {printed.exit_code}")
    return "\n".join(line.rstrip() for line in printed.output.strip().splitlines())


def of_norms() -> str:
    """Return the options that a norm has beside those of all norms."""
    common = {one.place[-1] for one in table_fields(Threat)}
    lines = []
    for norm, form in THREATS.items():
        own = [one for one in table_fields(form) if one.place[-1] not in common]
        lines += [f"--norm {norm}", *(f"  --{one.name.replace('_', '-')}: {one.doc}" for one in own), ""]
    return "## Options of each norm\n\n```text\n" + "\n".join(lines).strip() + "\n```\n"


def page() -> str:
    """Return the page."""
    parts = [of_norms()]
    parts += [f"## spikecert {name}\n\n```text\n{helped(name)}\n```\n" for name in sorted(COMMANDS)]
    return "\n".join([HEAD, *parts])


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    typer.echo(f"wrote {TARGET}")
