"""Children that hear signals, whoever started the tests."""

import signal


def listen() -> None:
    """Undo what a shell does to background jobs and nohup to all: their children would ignore signals."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
