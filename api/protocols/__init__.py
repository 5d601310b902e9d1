"""Protocols: grids of training runs with one evaluation, each described by a small file in cells/."""

from .configuration import Protocol, names, protocol
from .reproducing import Options, reproduce
from .results import Results, RunResult

__all__ = ["Options", "Protocol", "Results", "RunResult", "names", "protocol", "reproduce"]
