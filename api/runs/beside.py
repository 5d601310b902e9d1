"""Commands that run beside each other, each in a process of its own that ends with this one."""

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import typer

from spikecert.processes import command, environment

PATIENCE = 0.2
"""Seconds between two looks at how far they are."""


def again(context: typer.Context, **changes: Any) -> list[str]:
    """Return the arguments of the command that runs, with other values for some of its options.

    Args:
        context: of that command.
        changes: values by the name of the parameter; None leaves an option out.
    """
    values = context.params | changes
    told = [context.info_name or ""]
    for parameter in context.command.params:
        value = values.get(parameter.name or "")
        if parameter.param_type_name == "argument":
            told += [] if value is None else [str(value)]
        elif value is True:
            told.append(parameter.opts[0])
        elif value is not None and value is not False:
            told += [parameter.opts[0], str(value)]
    return told


def beside(commands: Sequence[Sequence[str]], workers: int, threads: int, look: Callable[[], None]) -> None:
    """Run commands of `spikecert`, at most `workers` at a time; what they write in their folders is what counts.

    What one of them says is not heard, and one that fails is not told: who calls goes through the folders
    afterwards, finishes what is not finished there, and raises what is to be raised.

    Args:
        commands: arguments, such as those of `again`.
        workers: processes at a time.
        threads: of torch in each.
        look: called again and again meanwhile, to show how far they are.
    """
    waiting, running = list(commands), list[subprocess.Popen[bytes]]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_started(waiting.pop(0), threads))
            time.sleep(PATIENCE)
            running = [process for process in running if process.poll() is None]
            look()
    finally:
        for process in running:
            process.kill()
            process.wait()


def _started(arguments: Sequence[str], threads: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command("spikecert.cli", *arguments),
        env=environment() | {"OMP_NUM_THREADS": str(threads)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
