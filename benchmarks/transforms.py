"""Times transforms of whole batches, and of the same images one by one with Pillow.

Images are 28x28, a batch has 64. Each way ends with the batch as float32 in [0, 1]: cnnx with its DataLoader,
the other with Pillow's methods, NumPy's division and stacking. Both draw their parameters anew for each
image. They take turns; reported are the fastest rounds.

    python benchmarks/transforms.py
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

import cnnx
from cnnx import transforms
from cnnx.datasets.images import ImageDataset
from cnnx.utils.data import DataLoader

BATCH = 64
NEAREST, BILINEAR = Image.Resampling.NEAREST, Image.Resampling.BILINEAR


class Noise(ImageDataset):
    """Random images, which transforms get as PIL images."""

    classes = ("noise",)
    pictures = True

    def __init__(self, count: int, steps: list[Any]) -> None:
        data = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        transform = transforms.Compose([*steps, transforms.ToTensor()])
        super().__init__(cnnx.from_numpy(data), cnnx.zeros(count, dtype=cnnx.int64), transform, None)


def flip(image: Any) -> Any:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def rotate(resample: Any) -> Callable[[Any], Any]:
    return lambda image: image.rotate(random.uniform(-10, 10), resample, fillcolor=0)


def affine(image: Any) -> Any:
    angle = np.deg2rad(random.uniform(-10, 10))
    scale = random.uniform(0.9, 1.1)
    c, s = np.cos(angle) / scale, np.sin(angle) / scale
    x, y = 14 + round(random.uniform(-2.8, 2.8)), 14 + round(random.uniform(-2.8, 2.8))
    matrix = (c, s, 14 - c * x - s * y, -s, c, 14 + s * x - c * y)
    return image.transform((28, 28), Image.Transform.AFFINE, matrix, NEAREST, fillcolor=0)


def crop(image: Any) -> Any:
    padded = Image.new("L", (36, 36))
    padded.paste(image, (4, 4))
    x, y = random.randint(0, 8), random.randint(0, 8)
    return padded.crop((x, y, x + 28, y + 28))


CASES: dict[str, tuple[list[Any], list[Callable[[Any], Any]]]] = {
    "flip": ([transforms.RandomHorizontalFlip()], [flip]),
    "rotation, nearest": ([transforms.RandomRotation(10)], [rotate(NEAREST)]),
    "rotation, bilinear": (
        [transforms.RandomRotation(10, transforms.InterpolationMode.BILINEAR)],
        [rotate(BILINEAR)],
    ),
    "affine, nearest": ([transforms.RandomAffine(10, (0.1, 0.1), (0.9, 1.1))], [affine]),
    "crop of the padded": ([transforms.RandomCrop(28, 4)], [crop]),
    "flip and rotation": (
        [transforms.RandomHorizontalFlip(), transforms.RandomRotation(10)],
        [flip, rotate(NEAREST)],
    ),
}


def with_pillow(pixels: np.ndarray, steps: list[Callable[[Any], Any]]) -> np.ndarray:
    images = []
    for array in pixels:
        image = Image.fromarray(array)
        for step in steps:
            image = step(image)
        images.append(np.asarray(image, dtype=np.float32) / np.float32(255))
    return np.stack(images)[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, help="of cnnx; Pillow's images go one by one in either case")
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    if args.threads:
        cnnx.set_num_threads(args.threads)
    print(f"{cnnx.get_num_threads()} threads, {cnnx._C.active_target()}; microseconds per batch of {BATCH}")
    for name, (steps, methods) in CASES.items():
        data = Noise(20 * BATCH, steps)
        pixels = data.data.numpy()
        ours, theirs = [], []
        for _ in range(args.rounds):
            batches = iter(DataLoader(data, batch_size=BATCH, shuffle=True))
            while True:
                start = time.perf_counter()
                if next(batches, None) is None:
                    break
                ours.append(time.perf_counter() - start)
            start = time.perf_counter()
            with_pillow(pixels[:BATCH], methods)
            theirs.append(time.perf_counter() - start)
        fast, slow = min(ours) * 1e6, min(theirs) * 1e6
        print(f"{name:20} cnnx {fast:7.1f}   Pillow {slow:7.1f}   {slow / fast:5.1f} times")


if __name__ == "__main__":
    main()
