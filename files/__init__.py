"""All files of users are read and written here: regular files alone, bounded, and whole or not at all.

Nothing here imports the rest of the library but `processes`, nor anything but numpy and the standard library:
the checker of proofs reads by it, too.
"""

if __name__ == "files":
    raise ImportError("import spikecert.files, not files: by another name each class would be there twice")

from .archives import Archive, beginning, unpacked
from .errors import SpikecertError
from .hdf5 import Unreadable, read_hdf5, read_tree
from .reading import FileKind, NotAFile, in_proportion, regular_content, regular_lines
from .writing import sweep, write_atomically

__all__ = [
    "Archive",
    "FileKind",
    "NotAFile",
    "SpikecertError",
    "Unreadable",
    "beginning",
    "in_proportion",
    "read_hdf5",
    "read_tree",
    "regular_content",
    "regular_lines",
    "sweep",
    "unpacked",
    "write_atomically",
]
