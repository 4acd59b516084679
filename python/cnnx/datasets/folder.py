"""Images in folders, one folder per class."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from cnnx import _C, pictures
from cnnx.datasets.images import class_numbers, image_batches
from cnnx.devices import CPU, as_device
from cnnx.tensor import Tensor
from cnnx.transforms.native import split_fixed
from cnnx.utils.data.dataset import Dataset, NativeBatches, on_device

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
COLOURLESS = ("1", "L", "LA", "La", "I", "F")  # and those of 16 bits


class ImageFolder(Dataset[tuple[Any, Any]]):
    """Images by class: `root/cat/1.png`, `root/cat/more/2.jpg`, `root/dog/3.png`. Needs Pillow.

    A sample is read from its file each time. A `DataLoader` with native transforms (see `cnnx.transforms`)
    has the images decoded once, into one array, if they are of one size or become so by what the transforms
    begin with (`Resize((32, 32))`, `CenterCrop`, ...), and up to `ImageFolder.cache_bytes`.

    Parameters
    ----------
    root
        The folder. The names of the folders in it, sorted, are the classes.
    transform, target_transform
        Applied to each PIL image and each label; None leaves them as they are.
    loader
        Reads an image, given its path. Default: Pillow, converted to `mode` with values in proportion, of 16
        bits too; as in torchvision without regard to transparency and to what EXIF says about the
        orientation, and the first of several frames.
    is_valid_file
        Says of a path whether it is an image; default: by the extensions of `EXTENSIONS`.
    allow_empty
        Accept classes without images.
    mode
        `"RGB"` (as in torchvision), `"L"` for grey, or None: grey if all images are grey, else RGB.

    Attributes
    ----------
    classes, class_to_idx
        Class names, and their labels.
    samples, imgs
        (path, label) of each image.
    targets
        The labels.

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

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
        *,
        mode: str | None = "RGB",
    ) -> None:
        if mode not in ("RGB", "L", None):
            raise ValueError(f"ImageFolder: mode must be 'RGB', 'L' or None, got {mode!r}")
        pictures.pillow("ImageFolder")
        self.root = os.fspath(root)
        self.transform = transform
        self.target_transform = target_transform
        self.loader = loader or self._open
        self._own_loader = loader is not None
        self.classes = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"ImageFolder: {self.root} holds no folder, so there are no classes")
        self.class_to_idx = class_numbers(self.classes)
        valid = is_valid_file or (lambda path: path.lower().endswith(EXTENSIONS))
        self.samples = [
            (path, label)
            for name, label in self.class_to_idx.items()
            for path in _files(os.path.join(self.root, name))
            if valid(path)
        ]
        self.targets = [label for _, label in self.samples]
        found = set(self.targets)
        empty = [name for name, label in self.class_to_idx.items() if label not in found]
        if empty and not allow_empty:
            raise FileNotFoundError(
                f"ImageFolder: no image in the classes {', '.join(empty)} of {self.root}"
                + ("" if is_valid_file else f" (with an extension of {', '.join(EXTENSIONS)})")
            )
        self.mode = mode if mode is not None else self._common_mode()
        self._cache: tuple[list[Any], Tensor | None] | None = None
        self._device = CPU

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
    def imgs(self) -> list[tuple[str, int]]:
        """The samples, under the name that torchvision had for them first."""
        return self.samples

    @property
    def data(self) -> Tensor:
        """All images as they are in the files, uint8 (N, H, W) if grey, else (N, 3, H, W).

        Raises
        ------
        ValueError
            If they are not of one size.
        """
        pixels = self._decoded([])
        if pixels is None:
            raise ValueError(
                f"ImageFolder: the images in {self.root} are not of one size, or have more than "
                f"{self.cache_bytes} bytes; a Resize among the transforms makes them so"
            )
        return pixels

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"ImageFolder: index {index} is out of range for {len(self)} images")
        path, target = self.samples[index]
        image = self.loader(path)
        if self.transform is not None:
            image = self.transform(image)
        return image, (target if self.target_transform is None else self.target_transform(target))

    def native_batches(self) -> NativeBatches | None:
        """How to gather and transform batches natively; None if they must be read sample by sample."""
        if (
            type(self).__getitem__ is not ImageFolder.__getitem__
            or self._own_loader
            or self.target_transform is not None
        ):
            return None
        fixed, rest = split_fixed(self.transform)
        if rest is None:
            return None
        pixels = self._decoded(fixed)
        targets = _C.from_numpy(np.asarray(self.targets, dtype=np.int64), True)
        return None if pixels is None else image_batches(pixels, on_device(targets, pixels.device), rest, 255)

    def _decoded(self, steps: list[Any]) -> Tensor | None:
        """All images after `steps` in one tensor, kept for the next time; None if that is not possible."""
        if self._cache is not None and self._cache[0] == steps:
            return self._cache[1]
        self._cache = (steps, self._decode(steps))
        return self._cache[1]

    def _decode(self, steps: list[Any]) -> Tensor | None:
        pixels: np.ndarray[Any, Any] | None = None
        for i, (path, _) in enumerate(self.samples):
            image = self._open(path)
            for step in steps:
                image = step(image)
            array = np.asarray(image)
            array = array if array.ndim == 2 else array.transpose(2, 0, 1)
            if pixels is None:
                if array.size * len(self) > self.cache_bytes:
                    return None
                pixels = np.empty((len(self), *array.shape), dtype=np.uint8)
            if array.shape != pixels.shape[1:]:
                return None
            pixels[i] = array
        return None if pixels is None else on_device(_C.from_numpy(pixels, False), self._device)

    def _open(self, path: str) -> Any:
        return pictures.read("ImageFolder", path, lambda image: pictures.in_bytes(image, self.mode))

    def _common_mode(self) -> str:
        grey = all(pictures.read("ImageFolder", path, _is_grey) for path, _ in self.samples)
        return "L" if grey else "RGB"

    def __repr__(self) -> str:
        lines = [
            "Dataset ImageFolder",
            f"    Number of datapoints: {len(self)}",
            f"    Root location: {self.root}",
            f"    Classes: {len(self.classes)}",
        ]
        if self.transform is not None:
            lines.append(f"    Transform: {self.transform}")
        return "\n".join(lines)


def _files(folder: str) -> list[str]:
    return [
        os.path.join(place, name)
        for place, _, names in sorted(os.walk(folder, followlinks=True))
        for name in sorted(names)
    ]


def _is_grey(image: Any) -> bool:
    return image.mode in COLOURLESS or pictures.has_sixteen_bits(image)
