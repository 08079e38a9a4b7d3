"""Pictures as rows of pixels: CIFAR-10 in gray, and Pathfinder's published folders."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longspan.lra.rows import Row
from longspan.tasks.examples import DataError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIDE = 32
VALIDATION = 0.1
"""Share of the training pictures that are for validation: the last ones."""

_GRAY = np.array([0.2989, 0.5870, 0.1140], np.float32)
_SEED = 0
_PICKLED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


def is_lossy(data: Path) -> bool:
    """Whether CIFAR-10 is there as JPEG files, so that scores are not comparable with published ones."""
    return not any((data / name).is_file() for name in ("data_batch_1", "data_batch_1.bin"))


def read_cifar(data: Path, part: str, max_length: int) -> Iterator[Row]:
    """CIFAR-10 in gray, 1,024 pixels a row, from the published files (python or binary) or a folder of JPEG files.

    The last tenth of the training pictures is for validation. JPEG files have lost their order, so they are shuffled.

    Raises:
        DataError: a file is damaged or of another kind.
        OSError: a file cannot be opened.
    """
    if is_lossy(data):
        yield from _read_jpeg(data, part, max_length)
        return
    packed = not (data / "data_batch_1").is_file()
    names = ["test_batch"] if part == "test" else [f"data_batch_{i}" for i in range(1, 6)]
    paths = [data / (f"{name}.bin" if packed else name) for name in names]
    batches = [_read_binary(path) if packed else _read_pickled(path) for path in paths]
    for path, (_, found) in zip(paths, batches, strict=True):
        if (found >= len(CLASSES)).any():
            wrong = int((found >= len(CLASSES)).argmax())
            raise DataError(f"{path}: picture {wrong + 1} has class {found[wrong]}, there are 0 to {len(CLASSES) - 1}")
    pixels, labels = (np.concatenate(x) for x in zip(*batches, strict=True))
    for i in _split(len(labels), part):
        # (3 * 1024,): a plane of each colour
        yield [to_gray(pixels[i].reshape(3, SIDE * SIDE).T)[:max_length]], int(labels[i])


def read_pathfinder(data: Path, part: str, max_length: int, side: int = SIDE) -> Iterator[Row]:
    """Published pictures of one difficulty: the folders ``imgs`` and ``metadata``, split 80/10/10 by a fixed shuffle.

    A picture whose file is empty, of which the published data has one, is left out.

    Raises:
        DataError: a line of the metadata or a picture cannot be read, or a picture is not ``side`` x ``side``.
        OSError: a file cannot be opened.
    """
    entries = []
    files = sorted((data / "metadata").glob("*.npy"))
    if not files:
        raise FileNotFoundError(2, "no *.npy file in the folder metadata", str(data))
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            fields = line.split()
            if len(fields) < 4 or fields[3] not in ("0", "1"):
                raise DataError(f"{file}:{number}: folder, file, number and label are expected")
            entries.append((data / fields[0] / fields[1], int(fields[3])))
    order = np.random.default_rng(_SEED).permutation(len(entries))
    first, second = int(0.8 * len(order)), int(0.9 * len(order))
    parts = {"train": order[:first], "validation": order[first:second], "test": order[second:]}
    for i in parts[part]:
        path, label = entries[i]
        content = path.read_bytes()
        if content:
            yield [_open_picture(content, str(path), "L", side).ravel()[:max_length]], label


def to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(..., 3) red, green and blue to (...) gray, in whole numbers as ``tf.image.rgb_to_grayscale`` makes them."""
    return np.floor(pixels @ _GRAY * (255.5 / 255)).clip(0, 255).astype(np.uint8)


def _split(rows: int, part: str) -> range:
    if part == "test":
        return range(rows)
    border = rows - round(rows * VALIDATION)
    return range(border) if part == "train" else range(border, rows)


def _read_binary(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    content = np.fromfile(path, np.uint8)
    size = 1 + 3 * SIDE * SIDE
    if not len(content) or len(content) % size:
        raise DataError(f"{path}: rows of {size:,} bytes are expected, the file has {len(content):,} bytes")
    rows = content.reshape(-1, size)
    return rows[:, 1:], rows[:, 0]


class _ArraysOnly(pickle.Unpickler):
    """A pickle may name any function: of this one only arrays are taken."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PICKLED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _read_pickled(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
        pixels, labels = content[b"data"], np.array(content[b"labels"], np.uint8)
        return pixels.reshape(len(labels), 3 * SIDE * SIDE), labels
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise DataError(f"{path}: no batch of CIFAR-10: {error}") from None


def _read_jpeg(data: Path, part: str, max_length: int) -> Iterator[Row]:
    name = "test" if part == "test" else "train"
    archive = next((p for p in sorted(data.glob(f"{name}.tar*"))), None)
    found = list(_in_folder(data / name) if archive is None else _in_archive(archive))
    if not found:
        raise FileNotFoundError(
            2, f"no data_batch_1, no data_batch_1.bin, and no {name}/CLASS/*.jpg or {name}.tar.xz", str(data)
        )
    found.sort(key=lambda entry: entry[0])
    order = np.random.default_rng(_SEED).permutation(len(found))
    for i in _split(len(found), part):
        path, content = found[order[i]]
        label = Path(path).parent.name
        if label not in CLASSES:
            raise DataError(f"{path}: the folder must be one of {', '.join(CLASSES)}")
        yield [to_gray(_open_picture(content, path, "RGB", SIDE)).ravel()[:max_length]], CLASSES.index(label)


def _in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    return ((str(path.relative_to(folder.parent)), path.read_bytes()) for path in folder.glob("*/*.jpg"))


def _in_archive(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".jpg") else None
            if file is not None:
                yield member.name, file.read()


def _open_picture(content: bytes, name: str, mode: str, side: int) -> NDArray[np.uint8]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ImportError('pictures are read with pillow: pip install "longspan[lra]"') from None
    try:
        picture = Image.open(io.BytesIO(content)).convert(mode)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{name}: no picture: {error}") from None
    if picture.size != (side, side):
        width, height = picture.size
        raise DataError(f"{name}: a picture of {side} x {side} is expected, got {width} x {height}")
    return np.asarray(picture)
