"""A script, run in this process as Python runs it: a new one would import torch, for two seconds and more."""

import contextlib
import io
import runpy
import sys
import warnings
from pathlib import Path
from unittest import mock


def printed(script: Path, *arguments: object, folder: Path | None = None) -> str:
    """Run a script as the main module and return what it printed; one that exits with another status than 0 fails.

    Args:
        script: its file, whose folder is the first place where it finds modules.
        arguments: of its command line.
        folder: where it runs; default: here.
    """
    out, told = io.StringIO(), [str(script), *map(str, arguments)]
    with (
        contextlib.redirect_stdout(out),
        contextlib.chdir(folder or Path.cwd()),
        mock.patch.object(sys, "argv", told),
        mock.patch.object(sys, "path", [str(script.parent), *sys.path]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as ended:
            if ended.code:
                raise
    return out.getvalue()
