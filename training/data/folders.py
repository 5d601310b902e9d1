"""A folder of pictures as a data set: one folder a class, of all samples or within one of each split."""

from pathlib import Path

import numpy as np

from ...files import FileKind
from .own import own_dataset
from .splits import Dataset

PICTURE = FileKind("dataset", "a picture", most=2**26)
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm")
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"P5", b"P6")
"""Of files that are read: what other formats run on being read is no matter here."""
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
    held = {part: _pictures(path / part if part else path, names) for part in splits or [""]}
    grey = all(picture.ndim == 2 for pictures, _ in held.values() for picture in pictures)
    parts = {part: (_stacked(path, pictures, grey), labels) for part, (pictures, labels) in held.items()}
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


def _pictures(path: Path, names: tuple[str, ...]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the pictures of a split, those of the first class first, and their labels."""
    if _classes(path) != names:
        raise ValueError(
            f"dataset: {path} holds {', '.join(_classes(path))}, expected the classes {', '.join(names)}"
        )
    found = [(item, label) for label, name in enumerate(names) for item in _files(path / name)]
    return [_pixels(item) for item, _ in found], np.array([label for _, label in found])


def _files(path: Path) -> list[Path]:
    items = sorted(item for item in path.iterdir() if not item.name.startswith("."))
    strange = [item.name for item in items if item.suffix.lower() not in SUFFIXES]
    if strange or not items:
        told = strange[0] if strange else "nothing"
        raise ValueError(f"dataset: {path} holds {told}, expected pictures ({', '.join(SUFFIXES)})")
    return items


def _pixels(path: Path) -> np.ndarray:
    """Return one picture's bytes, (height, width) or (height, width, 3)."""
    from PIL import ImageFile  # imported here: only folders of pictures need it

    content = PICTURE.content(path)
    if not content.startswith(BEGINNINGS):
        raise ValueError(f"dataset: {path} is no PNG, JPEG, BMP, PGM or PPM file")
    try:
        parser = ImageFile.Parser()
        parser.feed(content)
        picture = parser.close()
    except (OSError, SyntaxError, ValueError, Warning) as error:
        raise ValueError(f"dataset: {path} can't be read: {' '.join(str(error).split())}") from error
    if picture.mode not in MODES:
        raise ValueError(f"dataset: {path} is of mode {picture.mode}, expected grey or RGB of 8 bits")
    return np.asarray(picture.convert(MODES[picture.mode]))


def _stacked(path: Path, pictures: list[np.ndarray], grey: bool) -> np.ndarray:
    """Return (samples, channels, height, width) of bytes."""
    sizes = sorted({picture.shape[:2] for picture in pictures})
    if len(sizes) > 1:
        raise ValueError(f"dataset: {path} holds pictures of {sizes[0]} and {sizes[1]} pixels, expected one size")
    if grey:
        return np.stack(pictures)[:, None]
    colours = [np.stack([picture] * 3, -1) if picture.ndim == 2 else picture for picture in pictures]
    return np.stack(colours).transpose(0, 3, 1, 2)
