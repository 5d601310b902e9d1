"""Signals on the command line: SIGTERM and SIGHUP do what Ctrl-C does, and a second one ends at once."""

import os
import select
import signal
import threading
import time
from contextlib import suppress
from io import FileIO
from types import FrameType, TracebackType
from typing import Any

from .telling import INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STATUSES = frozenset(128 + number for number in SIGNALS)
"""What a shell calls an end by one of them."""
DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
ONCE = 0.2
"""Seconds within which signals count as one: `timeout` and torchrun pass on what the terminal sent as well."""
PATIENCE = 1.0
"""Seconds that a second signal leaves to end in good order."""
MESSAGE = "spikecert: interrupted; what was finished is kept"
SHOW_CURSOR = "\033[?25h"


class Stopping:
    """A context in which each of SIGNALS raises KeyboardInterrupt in the main thread.

    Python raises it between two of its own instructions, however long one takes. So a thread watches, too, and
    ends the process soon after the second signal. Signals that are ignored (as under nohup), or that the caller of
    `main` handles, are left alone; so are all of them where `main` is not called in the main thread.

    Attributes:
        status: what a shell calls an end by the first signal, 128 and its number; of Ctrl-C where there was none.
    """

    def __init__(self) -> None:
        self.status = INTERRUPTED
        self._first: float | None = None
        self._terminals = [stream for stream in (1, 2) if os.isatty(stream)]
        self._here = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Stopping":
        if self._here:
            handlers: dict[signal.Signals, Any] = {number: signal.getsignal(number) for number in SIGNALS}
            self._handlers = {number: before for number, before in handlers.items() if before in DEFAULTS}
            told, self._told = os.pipe()
            os.set_blocking(self._told, False)
            threading.Thread(target=self._watch, args=(told,), daemon=True).start()
            self._before = signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
            for number in self._handlers:
                signal.signal(number, self._raise)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._here:
            for number, before in self._handlers.items():
                signal.signal(number, before)
            signal.set_wakeup_fd(self._before)
            os.close(self._told)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal, in the main thread.

        Raises:
            KeyboardInterrupt: unless it is the echo of the first.
        """
        if number == signal.SIGHUP:
            self._let_go()
        now = time.monotonic()
        if self._first is None:
            self._first, self.status = now, 128 + number
        elif now - self._first < ONCE:
            return
        raise KeyboardInterrupt

    def _let_go(self) -> None:
        """Write nothing more to a terminal that is gone: that would fail, in the midst of a report."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in self._terminals:
            os.dup2(nowhere, stream)
        os.close(nowhere)

    def _watch(self, told: int) -> None:
        """Read the numbers of signals as they come, whatever the main thread does; the pipe ends with its work."""
        with open(told, "rb", buffering=0) as pipe:
            first, start = self._next(pipe), time.monotonic()
            while (again := self._next(pipe)) and time.monotonic() - start < ONCE:
                pass
            ended = select.select([pipe], [], [], PATIENCE)[0] and not pipe.read(1)
            if again and not ended:
                self._end(128 + first)

    def _next(self, pipe: FileIO) -> int:
        """Return the number of the next signal that is handled here; 0 for the end of the pipe."""
        while (read := pipe.read(1)) and read[0] not in self._handlers:
            pass
        return read[0] if read else 0

    def _end(self, status: int) -> None:
        """End the process, and leave the terminal as it was."""
        with suppress(OSError):
            os.write(2, f"{SHOW_CURSOR if 2 in self._terminals else ''}{MESSAGE}\n".encode())
        os._exit(status)
