"""The images of a run: a data set by name, a folder in IDX format or of images by class, or a table."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import cnnx
from cnnx import _C, datasets, transforms
from cnnx.cli import CommandError, UsageError, as_path, nearest
from cnnx.cli.named import EMBEDDED, NAMES, STORED
from cnnx.cli.picture import opened_picture, resized
from cnnx.cli.table import class_order, first_cells, is_unlabelled, read_table
from cnnx.cli.terminal import complain
from cnnx.datasets.images import ImageDataset

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
LARGEST_AS_IT_IS = 64  # pixels along a side up to which images of one size are not resized
SMALL = 64  # what others are resized to, unless an option says otherwise
HELD_OUT = 5  # one image in so many of each class is for testing where a folder does not say which
TEST_NAMES = ("test", "t10k", "val", "valid", "validation")
TEST_TABLE = "test.csv"

Array = np.ndarray[Any, Any]
Shape = tuple[int, int, int]


class Images(ImageDataset):
    """Images (N, H, W) or, in colour, (N, 3, H, W) of uint8, and the names of their classes.

    `by_class` says that they come from a folder with one folder for each class, `sources` where each one is:
    a file, or the line of one.
    """

    def __init__(
        self,
        data: Array,
        targets: Array,
        classes: Sequence[str],
        by_class: bool = False,
        sources: Sequence[str] | None = None,
    ) -> None:
        tensors = [_C.from_numpy(np.ascontiguousarray(a), True) for a in (data, targets.astype(np.int64))]
        super().__init__(tensors[0], tensors[1], transforms.ToTensor(), None)
        self.names = list(classes)
        self.by_class = by_class
        self.sources = sources


def data_folder(option: str | None = None) -> Path:
    """The data folder: the option, else CNNX_DATA_DIR, else `cnnx` in the user's cache folder."""
    chosen = option or os.environ.get("CNNX_DATA_DIR")
    if chosen:
        return as_path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    return as_path(cache or "~/.cache") / "cnnx"


def refuse_folder(option: str | None, dataset: str) -> None:
    """Raises UsageError where a data folder is given to a data set that is not looked for there."""
    if option is not None and dataset not in STORED:
        raise UsageError(f"--data-dir is the folder of data sets that are downloaded; the data are {dataset}")


def folder_of_run(dataset: str, option: str | None, before: str | None) -> Path:
    """The data folder for a run: the option, else its own, which must be there still."""
    if option is None and before is not None and dataset in STORED and not Path(before).is_dir():
        raise CommandError(f"{before}, where the run had {dataset}, is gone; --data-dir names its new place")
    return data_folder(option or before)


def as_dataset(option: str) -> str:
    """What --dataset names: a data set, or the path of a folder or table, which must be there."""
    if option in NAMES:
        return option
    path = as_path(option)
    if path.is_file() and not is_table(path):
        raise UsageError(f"--dataset {option}: a file must be a table, with the ending .csv")
    if not path.exists():
        names = nearest(option, NAMES) or f" (names are {', '.join(NAMES)})"
        raise UsageError(f"--dataset {option}: no name of a data set, and no such folder or table{names}")
    return str(path.resolve())


def choose_dataset(option: str | None, folder: Path, folder_given: bool = False) -> tuple[str, str]:
    """The data set's name, or the path of its folder or table, and one line that says why it was chosen."""
    if option is not None:
        dataset = as_dataset(option)
        if dataset in NAMES:
            return dataset, f"data: {dataset} " + ("(embedded)" if dataset == EMBEDDED else f"in {folder}")
        path = Path(dataset)
        if is_table(path):
            return dataset, f"data: table {as_path(option)}, {_test_of_table(path)[1]}"
        kind = "IDX files" if is_idx(path) else "images by class"
        return dataset, f"data: {kind} in {as_path(option)}"
    if STORED["mnist"].is_available(folder):
        return "mnist", f"data: mnist, found in {folder}"
    if folder_given:
        raise UsageError(f"--data-dir {folder}: there is no mnist (--dataset mnist downloads it to there)")
    return (
        EMBEDDED,
        f"data: the embedded 8x8 digits; mnist is not in {folder} (--dataset mnist downloads it)",
    )


def load_images(
    dataset: str,
    folder: Path,
    train: bool,
    shape: Shape | None = None,
    size: int | None = None,
    foreign: bool = False,
) -> ImageDataset:
    """Training or test images that become tensors in [0, 1].

    `shape` (channels, height, width) is what they must have, and what images of a folder are brought to;
    without it these may get another `size` (height and width). Of `foreign` data, with which nothing is
    trained, all images test where there is no test part, and any classes are enough.
    """
    images: ImageDataset
    try:
        path = Path(dataset)
        if dataset in STORED:
            images = load_stored(dataset, folder, train)
        elif dataset == EMBEDDED:
            images = datasets.Digits(train=train, transform=transforms.ToTensor())
        elif not path.exists():  # of a run
            raise CommandError(f"{dataset}: the data are not there any more; --dataset names their new place")
        elif is_table(path):
            images = load_table(path, train, foreign)
        elif is_idx(path):
            images = load_idx(path, train, foreign)
        else:
            images = load_folder(path, train, shape, size, foreign)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise CommandError(str(error)) from error
    if len(images) == 0:
        part = "training" if train else "test"
        where = f"the data set in {folder}" if dataset in STORED else f"its {part} part"
        raise CommandError(f"{dataset}: {where} is empty")
    if shape is not None and image_shape(images) != tuple(shape):
        have, want = ("x".join(map(str, extents)) for extents in (image_shape(images), shape))
        raise CommandError(f"{dataset}: the images are {have}, the run's net takes {want}")
    return images


def load_stored(name: str, folder: Path, train: bool) -> ImageDataset:
    """A data set by name from the data folder, downloaded where it is missing."""
    try:
        return Images(*STORED[name].load(folder, train))
    except (OSError, RuntimeError) as error:
        if STORED[name].is_available(folder):
            raise
        raise CommandError(f"{error}; {name} is not in {folder}: --data-dir names another folder") from error


def image_shape(images: ImageDataset) -> Shape:
    """(channels, height, width) of the images of a data set."""
    extents = tuple(images.data.shape)
    return (extents[1] if len(extents) == 4 else 1, extents[-2], extents[-1])


def class_names(images: ImageDataset) -> list[str]:
    """The names of the classes."""
    return images.names if isinstance(images, Images) else list(images.classes)


def is_by_class(images: ImageDataset) -> bool:
    """Whether images come from a folder with one folder for each class."""
    return isinstance(images, Images) and images.by_class


def is_idx(folder: Path) -> bool:
    """Whether a folder holds IDX files."""
    return any("ubyte" in path.name.lower() for path in folder.iterdir())


def load_idx(folder: Path, train: bool, foreign: bool = False) -> ImageDataset:
    """The images of a folder in IDX format; a fifth of the training files tests if there are no others."""
    separate = _idx_tests(folder)
    known = datasets.IDXFolder(folder, train=not (foreign and separate))
    # The training labels say how many classes there are: one may be missing among the test images.
    images = datasets.IDXFolder(folder, train=False) if separate and not train and not foreign else known
    data, targets = images.data.numpy(), images.targets.numpy()
    if not separate and not foreign:
        part = split(train, targets)
        data, targets = data[part], targets[part]
    return Images(data, targets, known.classes)


def is_table(path: Path) -> bool:
    """Whether a path is that of a table."""
    return path.is_file() and path.suffix.lower() == ".csv"


def load_table(path: Path, train: bool, foreign: bool = False) -> ImageDataset:
    """The images of a table; those of `test.csv` beside it test, or a fifth of each class."""
    if path.name == TEST_TABLE and train:
        raise CommandError(f"{path}: is the test part of a table; --dataset names the table that trains")
    test = _test_of_table(path)[0]
    if foreign:
        path = test or path
    table = read_table(path)
    classes = class_order(table.labels)
    number = {name: label for label, name in enumerate(classes)}
    if not foreign:
        counts = np.bincount([number[name] for name in table.labels])
        _check_counts(path, counts, classes, test is not None)
    if test is not None and not train and not foreign:
        path, table = test, table if test == path else read_table(test)
    if unknown := class_order(list(set(table.labels) - set(classes))):
        raise CommandError(f"{path}: no images train the classes {', '.join(unknown)}")
    targets = np.array([number[name] for name in table.labels])
    sources = [f"{path.name}:{line}" for line in table.lines]
    if test is not None or foreign:
        return Images(table.images, targets, classes, sources=sources)
    part = split(train, targets)
    return Images(table.images[part], targets[part], classes, sources=_chosen(sources, part))


def _test_of_table(path: Path) -> tuple[Path | None, str]:
    """The table of test images that belongs to another, None if a part of that tests; and what is said."""
    test = path.with_name(TEST_TABLE)
    if not test.is_file():
        return None, "a fifth of each class tests"
    try:
        here, cells = len(first_cells(path)), first_cells(test)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    there = len(cells)
    if there == here - 1 or (there == here and is_unlabelled(cells)):
        return None, f"a fifth of each class tests ({TEST_TABLE} has no labels)"
    if there != here:
        raise CommandError(f"{test}: its first line has {there:,} cells, that of {path.name} has {here:,}")
    return test, f"{TEST_TABLE} tests"


def _check_counts(where: Path, counts: Array, classes: Sequence[str], separate: bool) -> None:
    """Raises CommandError if there are too few classes, or images of a class to have some for the test."""
    if len(classes) < 2:
        raise CommandError(f"{where}: all images are of the class {classes[0]}; two or more are needed")
    if not separate and counts.min() < 2:
        count, name = ("no image", "one image")[counts.min()], classes[int(counts.argmin())]
        raise CommandError(
            f"{where}: class {name} has {count}; a class needs two or more, to train and to test"
        )


def _chosen(values: Sequence[str], part: Array) -> list[str]:
    return [value for value, is_in in zip(values, part, strict=True) if is_in]


def _test_folder(folder: Path) -> Path | None:
    """The folder of test images beside that of training images; None if there is none."""
    return next((folder / name for name in TEST_NAMES if (folder / name).is_dir()), None)


def has_test_part(dataset: str) -> bool:
    """Whether a data set says which of its images test."""
    path = Path(dataset)
    if dataset in NAMES:
        return True
    if is_table(path):
        return _test_of_table(path)[0] is not None
    if is_idx(path):
        return _idx_tests(path)
    return (path / "train").is_dir() and _test_folder(path) is not None


def _idx_tests(folder: Path) -> bool:
    """Whether there are test files in a folder in IDX format."""
    return any(name in path.name.lower() for path in folder.iterdir() for name in TEST_NAMES)


def _class_folders(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))


def load_folder(
    folder: Path, train: bool, shape: Shape | None, size: int | None, foreign: bool = False
) -> ImageDataset:
    """The images in a folder with one folder per class, in alphabetical order.

    `folder/train` and `folder/test` are taken if they are there; else one image in five of each class is for
    testing.
    Without a shape or size, images of one size up to LARGEST_AS_IT_IS stay as they are, others become SMALL;
    without a shape they are in colour if any of them is.
    """
    separate = (folder / "train").is_dir()
    base = folder / "train" if separate else folder
    classes = _class_folders(base)
    if len(classes) < 2 and not foreign:
        raise CommandError(f"{base}: needs a folder of images for each of two or more classes")
    if separate and not train:
        there = _test_folder(folder)
        if there is None and not foreign:
            raise CommandError(f"{folder}: has a folder train, but no folder test")
        base = there or base
        if foreign:
            classes = _class_folders(base)
        elif unknown := sorted(set(_class_folders(base)) - set(classes)):
            raise CommandError(f"{base}: no images train the classes {', '.join(unknown)}")
    everything = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((base / name).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    files = [(path, label) for path, label in everything if path.suffix.lower() in SUFFIXES]
    if train and files and (others := len(everything) - len(files)):
        kinds = sorted({path.suffix.lower() or "no suffix" for path, _ in everything} - SUFFIXES)
        count = "1 other file is" if others == 1 else f"{others} other files are"
        complain(f"{base}: {count} left out ({', '.join(kinds)})")
    if not files:
        raise CommandError(f"{base}: there are no images ({', '.join(sorted(SUFFIXES))})")
    paths, targets = [path for path, _ in files], np.array([label for _, label in files])
    counts = np.bincount(targets, minlength=len(classes))
    if not foreign:
        _check_counts(folder, counts, classes, separate)
    if shape is None:
        shape = choose_shape(paths, size)
    if (total := len(paths) * math.prod(shape)) > datasets.ImageFolder.cache_bytes:
        raise CommandError(
            f"{folder}: {len(paths):,} images of {'x'.join(map(str, shape))} take {total:,} bytes, more than "
            f"the {datasets.ImageFolder.cache_bytes:,} that are kept in memory; try a smaller --image-size"
        )
    data = np.stack([read_pixels(path, shape) for path in paths])
    sources = [str(path.relative_to(folder)) for path in paths]
    if not separate and not foreign:
        part = split(train, targets)
        data, targets, sources = data[part], targets[part], _chosen(sources, part)
    return Images(data, targets, classes, by_class=True, sources=sources)


def read_pixels(path: Path, shape: Shape) -> Array:
    """An image file as uint8 of a shape: (H, W) for one channel, else (3, H, W)."""
    channels, height, width = shape
    picture = opened_picture(path, "RGB").convert("L" if channels == 1 else "RGB")
    pixels = np.asarray(resized(picture, width, height))
    return pixels if channels == 1 else pixels.transpose(2, 0, 1)


def choose_shape(paths: Sequence[Path], size: int | None) -> Shape:
    """(channels, height, width) for images of a folder; they are read one by one, and not kept."""
    sizes, colour = set(), False
    for path in paths:
        picture = opened_picture(path, "RGB")
        sizes.add(picture.size)
        colour = colour or in_colour(picture)
        if colour and len(sizes) > 1:
            break  # the others change nothing
    width, height = next(iter(sizes))
    if len(sizes) > 1 or max(width, height) > LARGEST_AS_IT_IS:
        height = width = SMALL
    if size is not None:
        height = width = size
    return (3 if colour else 1, height, width)


def in_colour(picture: Any) -> bool:
    """Whether an RGB image has a pixel that is not grey."""
    pixels = np.asarray(picture)
    return bool((pixels != pixels[..., :1]).any())


def split(train: bool, targets: Array) -> Array:
    """Which images train, all but a fifth of each class, or test; the same ones always."""
    order = cnnx.randperm(len(targets), generator=cnnx.Generator().manual_seed(0)).numpy()
    test = np.zeros(len(targets), bool)
    for label in np.unique(targets):
        of_class = order[targets[order] == label]
        test[of_class[: max(1, round(len(of_class) / HELD_OUT)) if len(of_class) > 1 else 0]] = True
    return ~test if train else test
