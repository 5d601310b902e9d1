"""`python -m spikecert`."""

from .cli import program

program()
