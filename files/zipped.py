"""The members of a zip archive that is held in memory, never more of them than is stated."""

import io
import zipfile
import zlib


def members(content: bytes, most: int) -> dict[str, bytes]:
    """Return the members of an archive by name.

    Args:
        content: of the archive.
        most: bytes that they may have in all, unpacked.

    Raises:
        ValueError: for what is no archive, a broken one, or a larger one; its words go on after the file's name.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            items = archive.infolist()
            if sum(item.file_size for item in items) > most:
                raise ValueError(f"unpacks to more than {most} bytes")
            if len({item.filename for item in items}) != len(items):
                raise ValueError("holds a name twice")
            return {item.filename: archive.read(item) for item in items}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ValueError(f"is no zip archive that can be read: {error}") from error
