"""Processes that this library starts. Nothing here imports anything but the standard library."""

if __name__ == "processes":
    raise ImportError("import spikecert.processes, not processes: by another name each class would be there twice")

from .piped import bind, command, environment, start

__all__ = ["bind", "command", "environment", "start"]
