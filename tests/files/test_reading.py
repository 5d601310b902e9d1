"""The reader of files: regular files alone, bounded, at once, in one line."""

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spikecert.files import FileKind, regular_content, unpacked

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
