"""A folder of pictures as a data set: one folder a class, of all samples or within one of each split."""

import io
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...files import FileKind, in_proportion
from ...models.validation import one_line
from .own import own_dataset
from .splits import Dataset

PICTURE = FileKind("dataset", "a picture", most=2**26)
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm")
MOST_PIXELS, FEW_PIXELS = 2**31, 2**23
"""Of all pictures of a folder, however large their files are, and however small."""
SCAN, MOST_SCANS = b"\xff\xda", 100
"""How each scan of a JPEG begins, all of which are run over the whole picture; a progressive one has ten or so."""
BROKEN = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, OverflowError, struct.error, Warning)
"""What broken pictures are found by."""
PARTS = ("train", "validation", "test")
MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}
"""What pictures hold, and what is made of it; others (alpha, 16 bit, CMYK) are refused."""


def load_folder(path: Path, seed: int) -> Dataset:
    """Return the data set of a folder: FOLDER/CLASS/*.png, or FOLDER/train/CLASS/*.png and test, maybe validation.

    Classes are numbered by their sorted names; pictures of one size become (1, height, width) where all are grey,
    else (3, height, width). Names that begin with a dot are left out.

    Raises:
        FileNotFoundError, ValueError: for a folder of other things, with what was found.
    """
    splits = [part for part in PARTS if (path / part).is_dir()]
    if splits and not {"train", "test"} <= set(splits):
        raise ValueError(f"dataset: {path} has {', '.join(splits)}, expected train and test, or classes alone")
    names = _classes(path / "train" if splits else path)
    allowance = _Allowance()
    held = {part: _pictures(path / part if part else path, names, allowance) for part in splits or [""]}
    grey = all(picture.ndim == 2 for pictures, _ in held.values() for picture in pictures)
    parts = {part: (_stacked(pictures, grey), labels) for part, (pictures, labels) in held.items()}
    del held
    if not splits:
        return own_dataset(str(path), parts[""], seed=seed, names=names)
    return own_dataset(str(path), *(parts.get(part) for part in PARTS), seed=seed, names=names)


def _classes(path: Path) -> tuple[str, ...]:
    names = tuple(sorted(item.name for item in path.iterdir() if item.is_dir() and not item.name.startswith(".")))
    if len(names) < 2:
        told = ", ".join(names) or "no folder"
        raise ValueError(
            f"dataset: {path} holds {told}, expected one folder of pictures for each of two classes or more"
        )
    return names


def _pictures(path: Path, names: tuple[str, ...], allowance: "_Allowance") -> tuple[list[np.ndarray], np.ndarray]:
    """Return the pictures of a split, those of the first class first, and their labels."""
    if _classes(path) != names:
        raise ValueError(
            f"dataset: {path} holds {', '.join(_classes(path))}, expected the classes {', '.join(names)}"
        )
    found = [(item, label) for label, name in enumerate(names) for item in _files(path / name)]
    return [_pixels(item, allowance) for item, _ in found], np.array([label for _, label in found])


def _files(path: Path) -> list[Path]:
    items = sorted(item for item in path.iterdir() if not item.name.startswith("."))
    strange = [item.name for item in items if item.suffix.lower() not in SUFFIXES]
    if strange or not items:
        told = strange[0] if strange else "nothing"
        raise ValueError(f"dataset: {path} holds {told}, expected pictures ({', '.join(SUFFIXES)})")
    return items


@dataclass
class _Allowance:
    """What a folder's pictures may take: pixels in proportion to their files, all of one size."""

    size: tuple[int, int] | None = None
    packed: int = 0
    pixels: int = 0

    def take(self, size: tuple[int, int], content: bytes) -> None:
        """Note one picture; raise ValueError where that is too much; its words go on after the file's name."""
        if size != (self.size or size):
            raise ValueError(f"is a picture of {size} pixels, and others of {self.size}, expected one size")
        self.size, self.packed, self.pixels = size, self.packed + len(content), self.pixels + math.prod(size)
        most = in_proportion(self.packed, MOST_PIXELS, least=FEW_PIXELS)
        if self.pixels > most:
            told = f"makes {self.pixels} pixels of {self.packed} bytes"
            raise ValueError(f"{told}, with the pictures before it, expected at most {most}")


def _pixels(path: Path, allowance: _Allowance) -> np.ndarray:
    """Return one picture's bytes, (height, width) or (height, width, 3), once its header is known to be small."""
    content = PICTURE.content(path)
    try:
        picture = _opened(content)
        if picture.mode not in MODES:
            raise ValueError(f"is of mode {picture.mode}, expected grey or RGB of 8 bits")
        allowance.take(picture.size, content)
        return np.asarray(picture.convert(MODES[picture.mode]))
    except BROKEN as error:
        told = str(error) if type(error) is ValueError else f"can't be read: {error}"
        raise ValueError(f"dataset: {path} {one_line(told)}") from error


def _opened(content: bytes) -> Any:
    """Return a picture of which the header alone is read, by what reads its own format and no other."""
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, PpmImagePlugin  # folders of pictures need it

    readers: dict[tuple[bytes, ...], Callable[[io.BytesIO], Any]] = {
        (b"\x89PNG\r\n\x1a\n",): PngImagePlugin.PngImageFile,
        (b"\xff\xd8\xff",): JpegImagePlugin.JpegImageFile,
        (b"BM",): BmpImagePlugin.BmpImageFile,
        (b"P5", b"P6"): PpmImagePlugin.PpmImageFile,
    }
    if content.count(SCAN) > MOST_SCANS and content.startswith(b"\xff\xd8\xff"):
        raise ValueError(f"has more than {MOST_SCANS} scans")
    for beginnings, reader in readers.items():
        if content.startswith(beginnings):
            return reader(io.BytesIO(content))
    raise ValueError("is no PNG, JPEG, BMP, PGM or PPM file")


def _stacked(pictures: list[np.ndarray], grey: bool) -> np.ndarray:
    """Return (samples, channels, height, width) of bytes."""
    found = np.empty((len(pictures), 1 if grey else 3, *pictures[0].shape[:2]), np.uint8)
    for place, picture in zip(found, pictures, strict=True):
        place[:] = picture if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return found
