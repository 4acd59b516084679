"""Pictures of plain shapes, as somebody's own photographs might vary, in a folder for each class."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ("circle", "square", "triangle")
MODES = ("RGB", "RGB", "L", "RGBA", "P")  # with the suffixes below: every mode is met in every class
SUFFIXES = (".png", ".jpg", ".png", ".png", ".png")
CORNERS = {"square": 4, "triangle": 3}
LUMA = np.array([0.299, 0.587, 0.114])


def write(folder: Path, each: int = 30, seed: int = 0) -> Path:
    """Writes `each` pictures of each class, and returns the folder."""
    random = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            picture = draw(name, random).convert(MODES[number % len(MODES)])
            picture.save(folder / name / f"{number:03}{SUFFIXES[number % len(SUFFIXES)]}")
    return folder


def draw(name: str, random: np.random.Generator) -> Any:
    """One picture, in RGB: outline of a shape; size, place, turn, line width, colours and noise vary."""
    from PIL import Image, ImageDraw

    width, height = (int(extent) for extent in random.integers(48, 160, 2))
    ground, ink = random.integers(0, 256, (2, 3))
    while abs((ground - ink) @ LUMA) < 40:  # seen in grey, too
        ink = random.integers(0, 256, 3)
    picture = Image.new("RGB", (width, height), tuple(map(int, ground)))
    radius = random.uniform(0.25, 0.45) * min(width, height)
    x, y = (random.uniform(radius, extent - radius) for extent in (width, height))
    line = max(2, round(random.uniform(0.06, 0.2) * radius))
    pen, colour = ImageDraw.Draw(picture), tuple(map(int, ink))
    if name == "circle":
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline=colour, width=line)
    else:
        corners, start = (
            CORNERS[name],
            random.uniform(-0.2, 0.2) + math.pi * (0.25 if name == "square" else 0.5),
        )
        angles = [start + 2 * math.pi * corner / corners for corner in range(corners + 1)]
        points = [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
        pen.line([*points, points[1]], fill=colour, width=line, joint="curve")
    noise = random.normal(0, random.uniform(0, 16), (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
