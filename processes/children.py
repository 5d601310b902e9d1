"""Processes that end when the one that started them does, whatever ended it and whatever they compute.

This file is also a program, which runs another: `python children.py PARENT PROGRAM ARGUMENT…` binds its process to
PARENT before anything slow is imported, then calls `main` of the module PROGRAM, or runs the script of that path.
So it imports little, and nothing of this library.
"""

import ctypes
import importlib
import os
import runpy
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
"""Of Linux: the signal that a process gets when the thread that started it ends."""
PATIENCE = 0.2
"""Seconds between two looks at who the parent is."""


def command(program: str, *arguments: str, alone: bool = False) -> list[str]:
    """Return the command of a Python process that ends with this one.

    Args:
        program: a module with a function `main`, or the path of a script.
        arguments: what it finds in `sys.argv[1:]`.
        alone: run without the user's paths and variables, as `python -I`.
    """
    how = "-I" if alone else "-P"  # neither puts this file's folder among those that modules are looked for in
    return [sys.executable, how, __file__, str(os.getpid()), program, *arguments]


def environment() -> dict[str, str]:
    """Return the environment in which a process finds the same modules as this one."""
    places = [place or os.getcwd() for place in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


def bind(parent: int) -> None:
    """End this process as soon as `parent`, which started it, has ended.

    On Linux the kernel ends it. Elsewhere a thread does, as soon as what runs lets go of Python's lock.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _end_without(parent)  # it may have ended before
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while True:
        time.sleep(PATIENCE)
        _end_without(parent)


def _end_without(parent: int) -> None:
    """End this process if it has another parent now: an orphan is given one."""
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Bind this process and run the program."""
    _, parent, program, *arguments = sys.argv
    bind(int(parent))
    sys.argv = [program, *arguments]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        importlib.import_module(program).main()


if __name__ == "__main__":
    main()
