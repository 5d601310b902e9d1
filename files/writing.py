"""Write files so that a reader sees the old one or the new, never half, and clear away what killed writes left."""

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from .reading import kind_of

_PART = re.compile(r"\.spikecert-[0-9a-f]{16}\.part")
"""How a file is called that is being written; it lies beside the one that it becomes."""
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_OLD = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write_atomically(path: str | Path, content: bytes | Iterable[bytes]) -> None:
    """Write `content` to `path`: all of it or nothing, killed or not; what killed writes left beside it goes away.

    Args:
        path: the file; its folder is made. A link is replaced, not followed.
        content: what it holds then; in parts, where it is too long to be held.

    Raises:
        ValueError: where a folder, a pipe or a device has that name.
        OSError: where it can't be written, such as for lack of space; it names the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_place(path)
    sweep(path.parent)
    try:
        _write(path, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _check_place(path: Path) -> None:
    """Refuse to replace what is no file: a rename would put a file where a device was."""
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"path: {path} is {kind_of(found)}, expected a file, or nothing yet")


def _write(path: Path, content: bytes | Iterable[bytes]) -> None:
    handle, part = _locked_part(path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _locked_part(folder: Path) -> tuple[int, Path]:
    """Return a new part that is open and locked; one that was swept before it was locked has no name any more."""
    while True:
        part = folder / f".spikecert-{secrets.token_hex(8)}.part"
        handle = os.open(part, _NEW, 0o666)
        _lock(handle)
        if os.fstat(handle).st_nlink:
            return handle, part
        os.close(handle)


def _lock(handle: int) -> None:
    """Lock a part until it is closed, by whatever end; a file system without locks has no sweeping either."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)


def sweep(folder: str | Path) -> None:
    """Remove what killed writes left in `folder`; what a live process is writing is locked by it, and stays."""
    for part in _parts(Path(folder)):
        with contextlib.suppress(OSError):  # locked, gone by now, or another user's: then it stays
            handle = os.open(part, _OLD)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(part)
            finally:
                os.close(handle)


def _parts(folder: Path) -> list[str]:
    """Return the parts in a folder; none where there is no folder, or one that can't be listed."""
    try:
        with os.scandir(folder) as entries:
            return [entry.path for entry in entries if _PART.fullmatch(entry.name)]
    except OSError:
        return []
