"""The reader of files: regular files alone, bounded, at once, in one line.

The writer of files: whole or not at all, with nothing left behind.
"""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spikecert.files import FileKind, regular_content, sweep, unpacked, write_atomically

KIND = FileKind("argument", "a file of tests", most=100)


def test_a_file_and_a_link_to_it_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert KIND.content(tmp_path / "file") == KIND.content(str(tmp_path / "link")) == b"content"
    assert KIND.text(tmp_path / "file") == "content"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)
        server.bind(path.name)


OTHERS: dict[str, Callable[[Path], None]] = {
    "a pipe": pipe,
    "a device": device,
    "a folder": Path.mkdir,
    "a socket": unix_socket,
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    OTHERS[name](tmp_path / "thing")
    (tmp_path / "link").symlink_to(tmp_path / "thing")
    for path in (tmp_path / "thing", tmp_path / "link"):
        started = time.monotonic()
        with pytest.raises(ValueError, match=f"argument: {path} is {name}, expected a regular file$"):
            KIND.content(path)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("name", ["a pipe", "a device"])
def test_what_takes_a_files_place_before_it_is_open_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look sees a file; what is opened then is none."""
    (tmp_path / "file").write_bytes(b"content")
    OTHERS[name](tmp_path / "thing")
    seen, look = [], os.stat

    def first_a_file(path: Path) -> os.stat_result:
        seen.append(path)
        return look(tmp_path / "file")

    monkeypatch.setattr("spikecert.files.reading.os.stat", first_a_file)
    with pytest.raises(ValueError, match=f"is {name}, expected a regular file"):
        regular_content(tmp_path / "thing", 100)
    assert len(seen) == 1


def test_a_missing_file_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("none", "dangling"):
        with pytest.raises(
            FileNotFoundError, match=f"argument: got .*{name}, no such file, expected a file of tests$"
        ):
            KIND.content(tmp_path / name)


def test_links_in_a_circle_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(OSError, match="symbolic links") as caught:
        KIND.content(tmp_path / "circle")
    assert caught.value.filename == str(tmp_path / "circle")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    assert len(KIND.content(path)) == 100
    os.truncate(path, 2**40)
    with pytest.raises(ValueError, match=f"has {2**40} bytes, expected at most 100$"):
        KIND.content(path)


def test_a_file_that_changes_is_read_no_further(tmp_path: Path) -> None:
    path, stop = tmp_path / "file", threading.Event()
    path.write_bytes(b"")
    limited = FileKind("argument", "a file", most=2**26)

    def grow() -> None:
        with path.open("ab") as file:
            while not stop.is_set():
                file.write(bytes(2**16))
                file.flush()
                if file.tell() > 2**24:
                    file.truncate(0)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        for _ in range(50):
            try:
                limited.content(path)
            except ValueError as error:
                assert "expected a file that stays as it is" in str(error)  # noqa: PT017 (it may be read as well)
    finally:
        stop.set()
        writer.join()


def test_what_the_system_makes_up_is_refused() -> None:
    """Its size is 0 until it is read."""
    with pytest.raises(ValueError, match="has 0 bytes and another number when read"):
        regular_content("/proc/self/status", 2**20)


def test_what_is_no_text_and_no_json_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"\xff\xfe", b"{", b"[" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"argument: .* is no JSON file: ") as caught:
            KIND.json(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"argument: .* is no text file: "):
        KIND.text(path)


def test_nothing_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(bytes(200))
    before = len(os.listdir("/proc/self/fd"))
    for name in ("pipe", "file", "none") * 20:
        with pytest.raises((ValueError, FileNotFoundError)):
            KIND.content(tmp_path / name)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_not_packed_is_as_it_was() -> None:
    assert unpacked(b"plain", 5) == b"plain"
    with pytest.raises(ValueError, match="has more than 4 bytes unpacked"):
        unpacked(b"plain", 4)


KILLED = """
import os, signal, sys
from spikecert.files import write_atomically, writing
writing.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(sys.argv[1], b"new")
"""
WAITING = """
import sys, time
from spikecert.files import write_atomically, writing
def wait(handle):
    print("written", flush=True)
    sys.stdin.readline()
writing.os.fsync = wait
write_atomically(sys.argv[1], b"new")
"""


def left_by_a_kill(path: Path) -> list[Path]:
    """Kill a process that writes `path`, and return what it left beside it."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    return parts(path.parent)


def parts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".spikecert-")]


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "made" / "with it" / "file"
    for content in (b"first", b"", b"second" * 10**6):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_who_may_read_it_is_up_to_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_killed_write_leaves_the_old_file_and_the_next_one_clears_up(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    assert len(left_by_a_kill(path)) == 1
    assert path.read_bytes() == b"old"
    assert len(left_by_a_kill(path)) == 1  # it swept the first one
    write_atomically(tmp_path / "another", b"")
    assert parts(tmp_path) == []


def test_what_a_live_process_is_writing_is_not_swept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WAITING, str(tmp_path / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        (part,) = parts(tmp_path)
        sweep(tmp_path)
        write_atomically(tmp_path / "another", b"")
        assert parts(tmp_path) == [part]
        writer.stdin.write("\n")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert parts(tmp_path) == []


def test_threads_that_write_one_file_and_sweep_leave_a_whole_one(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [bytes([k]) * 10_000 for k in range(4)]
    problems: list[BaseException] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(40):
                write_atomically(path, content)
                assert path.read_bytes() in contents
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_part_that_is_swept_before_it_is_locked_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []

    def lose(handle: int) -> None:
        if not taken:
            taken.extend(parts(tmp_path))
            taken[0].unlink()

    monkeypatch.setattr("spikecert.files.writing._lock", lose)
    write_atomically(tmp_path / "file", b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert len(taken) == 1


def test_only_parts_are_swept(tmp_path: Path) -> None:
    kept = ["file", ".spikecert", ".spikecert-0123456789abcdef.part.txt", "a.spikecert-0123456789abcdef.part"]
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / ".spikecert-0000000000000001.part").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / ".spikecert-0000000000000002.part")
    (tmp_path / ".spikecert-0000000000000003.part").write_bytes(b"")
    sweep(tmp_path)
    assert (tmp_path / "file").read_bytes() == b"content"
    assert (tmp_path / ".spikecert-0000000000000001.part").is_symlink()
    assert not (tmp_path / ".spikecert-0000000000000003.part").exists()
    assert all((tmp_path / name).exists() for name in kept)


def test_there_is_nothing_to_sweep_where_there_is_no_folder(tmp_path: Path) -> None:
    sweep(tmp_path / "none")


@pytest.mark.parametrize("step", ["fsync", "replace", "open"])
def test_no_space_left_names_the_file(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"spikecert.files.writing.os.{step}", full)
    with pytest.raises(OSError, match=f"No space left on device: '{re.escape(str(tmp_path / 'file'))}'") as caught:
        write_atomically(tmp_path / "file", b"new")
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


FULL = """
import resource, sys
from spikecert.files import write_atomically
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_atomically(sys.argv[1], bytes(10_000))
"""


def test_a_file_that_grows_too_large_for_the_system_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno {errno.EFBIG}] File too large: '{path}'"
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for name, kind in (("folder", "a folder"), ("pipe", "a pipe"), ("device", "a device")):
        with pytest.raises(
            ValueError, match=f"path: {tmp_path / name} is {kind}, expected a file, or nothing yet"
        ):
            write_atomically(tmp_path / name, b"content")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["device", "folder", "pipe"]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert (tmp_path / "link").read_bytes() == b"new"


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spikecert.files.writing.os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_fifty_kills_leave_whole_files_and_nothing_else(tmp_path: Path) -> None:
    path, whole = tmp_path / "file", {bytes([k]) * 3_000_000 for k in range(256)}
    code = "import itertools, sys\nfrom spikecert.files import write_atomically\n"
    code += "for k in itertools.count():\n    write_atomically(sys.argv[1], bytes([k % 256]) * 3_000_000)\n"
    for k in range(50):
        with subprocess.Popen([sys.executable, "-c", code, str(path)]) as writer:
            while not path.exists():
                time.sleep(0.01)
            time.sleep(0.3 + 0.01 * k)
            writer.kill()
        assert path.read_bytes() in whole
        assert len(parts(tmp_path)) <= 1
    write_atomically(path, b"")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
