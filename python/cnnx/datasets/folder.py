"""Files in folders, one folder per class: `DatasetFolder`, and `ImageFolder` for images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from cnnx import _C, pictures
from cnnx.datasets.folder_files import (
    IMG_EXTENSIONS,
    Samples,
    Valid,
    default_loader,
    find_classes,
    has_file_allowed_extension,
    is_image_file,
    make_dataset,
    pil_loader,
)
from cnnx.datasets.images import image_batches
from cnnx.datasets.vision import TRANSFORMS, VisionDataset, plain_transform
from cnnx.devices import CPU, as_device
from cnnx.tensor import Tensor
from cnnx.transforms.native import split_fixed, state_of
from cnnx.utils.data.native import NativeBatches, makes_batches, on_device

__all__ = [
    "IMG_EXTENSIONS",
    "DatasetFolder",
    "ImageFolder",
    "default_loader",
    "find_classes",
    "has_file_allowed_extension",
    "is_image_file",
    "make_dataset",
    "pil_loader",
]

COLOURLESS = ("1", "L", "LA", "La", "I", "F")  # and those of 16 bits


class DatasetFolder(VisionDataset):
    """Files by class: `root/cat/1.npy`, `root/cat/more/2.npy`, `root/dog/3.npy`.

    A sample is read from its file each time: `loader(path)`, then the transforms. A subclass may find the
    classes and the files in its own way.

    Parameters
    ----------
    root
        The folder.
    loader
        Reads a sample, given its path.
    extensions
        Of the files that are samples; in place of `is_valid_file`.
    transform, target_transform
        Applied to each sample and each label; None leaves them as they are.
    is_valid_file
        Says of a path whether it is a sample; in place of `extensions`.
    allow_empty
        Accept classes without files.

    Attributes
    ----------
    classes, class_to_idx
        Class names, and their labels.
    samples
        (path, label) of each sample. Whatever is changed here holds from the next sample on.
    targets
        The labels as they were found; samples have theirs from `samples`.

    Raises
    ------
    ValueError
        If both or none of `extensions` and `is_valid_file` are given.
    FileNotFoundError
        If there is no class, or a class has no file.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: str | Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        is_valid_file: Valid | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(os.fspath(root), transform=transform, target_transform=target_transform)
        self.loader = loader
        self.extensions = extensions
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root,
            class_to_idx=self.class_to_idx,
            extensions=extensions,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.targets = [label for _, label in self.samples]

    def find_classes(self, directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
        """The classes, and the label of each: the names of the folders in `directory`, sorted.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        return find_classes(directory)

    @staticmethod
    def make_dataset(
        directory: str | os.PathLike[str],
        class_to_idx: dict[str, int],
        extensions: str | Sequence[str] | None = None,
        is_valid_file: Valid | None = None,
        allow_empty: bool = False,
    ) -> Samples:
        """(path, label) of the files in the folders of the classes, sorted; the parameters are the class's.

        Raises
        ------
        ValueError
            If both or none of `extensions` and `is_valid_file` are given.
        FileNotFoundError
            If a class has no file, unless `allow_empty`.
        """
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(self)} samples")
        path, target = self.samples[index]
        sample = self.loader(path)
        return (sample, target) if self.transforms is None else self.transforms(sample, target)

    def extra_repr(self) -> str:
        """How many classes there are."""
        return f"Classes: {len(self.classes)}"


class ImageFolder(DatasetFolder):
    """Images by class: `root/cat/1.png`, `root/cat/more/2.jpg`, `root/dog/3.png`. Needs Pillow.

    A sample is read from its file each time. A `DataLoader` with native transforms (see `cnnx.transforms`)
    has the images decoded once, into one array, if they are of one size or become so by what the transforms
    begin with (`Resize((32, 32))`, `CenterCrop`, ...), and up to `ImageFolder.cache_bytes`. Each pass looks
    whether samples, files (by size and time) and transforms are still the same.

    Parameters
    ----------
    root
        The folder. The names of the folders in it, sorted, are the classes; see `find_classes`.
    transform, target_transform
        Applied to each PIL image and each label; None leaves them as they are.
    loader
        Reads an image, given its path. Default: Pillow, converted to `mode` with values in proportion, of 16
        bits too; as in torchvision without regard to transparency and to what EXIF says about the
        orientation, and the first of several frames.
    is_valid_file
        Says of a path whether it is an image; default: by `IMG_EXTENSIONS`.
    allow_empty
        Accept classes without images.
    mode
        `"RGB"` (as in torchvision), `"L"` for grey, or None: grey if all images are grey, else RGB.

    Attributes
    ----------
    classes, class_to_idx
        Class names, and their labels.
    samples, imgs
        (path, label) of each image: two names for one list.
    targets
        The labels as they were found; images have theirs from `samples`.

    Raises
    ------
    FileNotFoundError
        If there is no class, or a class has no image.
    ImportError
        If Pillow is not installed.
    ValueError, OSError
        When read, if a file cannot be read or is not an image, or of mode I or F, where nothing stands for
        white; the message names it.

    Examples
    --------
    >>> from cnnx import transforms
    >>> steps = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])
    >>> data = ImageFolder("animals", transform=steps)  # doctest: +SKIP
    """

    #: Above this many bytes of pixels a loader reads the files again and again.
    cache_bytes = 4 << 30
    _cache: _Decoded | None = None
    _device = CPU

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] | None = None,
        is_valid_file: Valid | None = None,
        allow_empty: bool = False,
        *,
        mode: str | None = "RGB",
    ) -> None:
        if mode not in ("RGB", "L", None):
            raise ValueError(f"ImageFolder: mode must be 'RGB', 'L' or None, got {mode!r}")
        pictures.pillow("ImageFolder")
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        reads: Any = loader  # None: as this class does
        super().__init__(root, reads, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.mode = mode if mode is not None else self._common_mode()

    def to(self, device: Any) -> ImageFolder:
        """Keeps the images that a `DataLoader` has decoded on `device`, where it then makes the batches.

        Returns
        -------
        ImageFolder
            The data set itself.
        """
        self._device = as_device("ImageFolder.to", device)
        self._cache = None
        return self

    @property
    def loader(self) -> Callable[[str], Any]:
        """What reads an image: what was given or set, else Pillow."""
        return self._loader or self._open

    @loader.setter
    def loader(self, loader: Callable[[str], Any] | None) -> None:
        self._loader = loader

    @property
    def imgs(self) -> Samples:
        """The samples, under the name that torchvision had for them first."""
        return self.samples

    @imgs.setter
    def imgs(self, samples: Samples) -> None:
        self.samples = samples

    @property
    def data(self) -> Tensor:
        """All images as they are in the files, uint8 (N, H, W) if grey, else (N, 3, H, W).

        Raises
        ------
        ValueError
            If they are not of one size.
        """
        pixels = _decoded(self, [])
        if pixels is None:
            raise ValueError(
                f"ImageFolder: the images in {self.root} are not of one size, or have more than "
                f"{self.cache_bytes} bytes; a Resize among the transforms makes them so"
            )
        return pixels

    def _open(self, path: str) -> Any:
        return pictures.read("ImageFolder", path, lambda image: pictures.in_bytes(image, self.mode))

    def _common_mode(self) -> str:
        grey = all(pictures.read("ImageFolder", path, _is_grey) for path, _ in self.samples)
        return "L" if grey else "RGB"


class _Decoded(NamedTuple):
    """Images in one tensor (None: they cannot be), and what they were made of."""

    samples: list[Any]
    files: list[tuple[int, int, int]]
    how: tuple[Any, ...]
    pixels: Tensor | None


@makes_batches(
    ImageFolder,
    methods=("_open", "loader", "transforms"),
    attributes=("samples", "_loader", "mode", *TRANSFORMS),
)
def _batches(folder: ImageFolder) -> NativeBatches | None:
    """Batches [images, labels] of the decoded images; None if they must be read sample by sample."""
    labels = _labels(folder.samples)
    if folder._loader is not None or not plain_transform(folder) or labels is None:
        return None
    fixed, rest = split_fixed(folder.transform)
    if rest is None:
        return None
    pixels = _decoded(folder, fixed)
    targets = _C.from_numpy(labels, True)
    return None if pixels is None else image_batches(pixels, on_device(targets, pixels.device), rest, 255)


def _labels(samples: Any) -> np.ndarray[Any, Any] | None:
    """The labels of a list of (path, int); None if it is anything else."""
    if type(samples) is not list or any(type(sample) is not tuple or len(sample) != 2 for sample in samples):
        return None
    labels = [label for _, label in samples]
    if not set(map(type, labels)) <= {int} or not all(isinstance(path, str) for path, _ in samples):
        return None
    array = np.asarray(labels, dtype=None if labels else np.int64)
    return array if array.dtype == np.int64 else None


def _decoded(folder: ImageFolder, steps: list[Any]) -> Tensor | None:
    """All images after `steps` in one tensor, kept for the next time; None if that is not possible."""
    how = (folder.mode, folder.cache_bytes, folder._device, [state_of(step) for step in steps])
    files = [_file(path) for path, _ in folder.samples]
    cache = folder._cache
    if (
        cache is None
        or cache.how != how
        or cache.files != files
        or not all(map(is_, cache.samples, folder.samples))  # what is equal may still be another type
    ):
        cache = folder._cache = _Decoded(list(folder.samples), files, how, _decode(folder, steps))
    return cache.pixels


def _file(path: str) -> tuple[int, int, int]:
    """What changes with a file's content."""
    try:
        state = os.stat(path)
    except OSError as error:
        raise ValueError(f"ImageFolder: {path} cannot be read as an image: {error}") from error
    return state.st_mtime_ns, state.st_size, state.st_ino


def _decode(folder: ImageFolder, steps: list[Any]) -> Tensor | None:
    pixels: np.ndarray[Any, Any] | None = None
    for i, (path, _) in enumerate(folder.samples):
        image = folder._open(path)
        for step in steps:
            image = step(image)
        array = np.asarray(image)
        array = array if array.ndim == 2 else array.transpose(2, 0, 1)
        if pixels is None:
            if array.size * len(folder) > folder.cache_bytes:
                return None
            pixels = np.empty((len(folder), *array.shape), dtype=np.uint8)
        if array.shape != pixels.shape[1:] or array.dtype != np.uint8:
            return None
        pixels[i] = array
    return None if pixels is None else on_device(_C.from_numpy(pixels, False), folder._device)


def _is_grey(image: Any) -> bool:
    return image.mode in COLOURLESS or pictures.has_sixteen_bits(image)
