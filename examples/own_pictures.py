"""Pictures of your own: a folder for each class, few of them, and what augmentation is worth.

A folder with one folder of pictures per class is all that datasets.ImageFolder needs;
put photographs where this script draws shapes. As so often, the thirty training
pictures of a class are all alike: the thing stands in the middle, upright, at one size.
New pictures are not so tidy, and a net that knows the tidy ones by heart is lost in
them. Augmentation turns, moves, scales and mirrors the training pictures anew in every
epoch, and a second net, with the same first weights, learns what does not matter.
(cnnx train --data FOLDER does all this from the command line.)

    python examples/own_pictures.py
"""

from __future__ import annotations

import sys

import numpy as np
from common import report, seconds_of, start

import cnnx
import cnnx.nn as nn
from cnnx import datasets, optim, plot, transforms
from cnnx.utils.data import DataLoader

try:
    from PIL import Image, ImageDraw
except ImportError:
    sys.exit("the pictures are drawn and read with Pillow: pip install pillow")

SIZE, CORNERS = 48, {"circle": 60, "square": 4, "triangle": 3}


def draw(corners: int, tidy: bool) -> Image.Image:
    """A bright polygon on a dark ground, in any colours, under some noise."""
    radius = random.uniform(11, 13) if tidy else random.uniform(7, 18)
    x, y = random.uniform(22, 26, 2) if tidy else random.uniform(radius, SIZE - radius, 2)
    turn = random.uniform(-3, 3) if tidy else random.uniform(-25, 25)
    ground, ink = (tuple(map(int, random.integers(*levels, 3))) for levels in [(0, 100), (120, 256)])
    picture = Image.new("RGB", (SIZE, SIZE), ground)
    ImageDraw.Draw(picture).regular_polygon((x, y, radius), corners, rotation=turn, fill=ink)
    noise = random.normal(0, 20, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def net(classes: int) -> nn.Sequential:
    """Four convolutions, of which only the largest value of each map is kept: what is there, not where."""
    layers: list[nn.Module] = []
    for inputs, outputs in [(3, 16), (16, 32), (32, 32), (32, 64)]:
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(64, classes))


args = start(__doc__, epochs=60)
random = np.random.default_rng(args.seed)
folder = args.out / "pictures"
for part, each in [("train", 30), ("test", 50)]:
    for name, corners in CORNERS.items():
        (folder / part / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            draw(corners, tidy=part == "train").save(folder / part / name / f"{number:03}.png")
    print(f"{each} pictures of each class in {folder / part}: {', '.join(CORNERS)}")

plain = transforms.ToTensor()
moved = transforms.RandomAffine(25, translate=(0.25, 0.25), scale=(0.6, 1.4))
augmented = transforms.Compose([transforms.RandomHorizontalFlip(), moved, transforms.ToTensor()])
test = datasets.ImageFolder(folder / "test", transform=plain)
accuracies, seconds = {}, []
for name, transform in [("as they are", plain), ("augmented", augmented)]:
    print(f"\n--- training pictures {name}; the new pictures are 'val' below")
    pictures = datasets.ImageFolder(folder / "train", transform=transform)
    train = DataLoader(pictures, batch_size=12, shuffle=True)
    cnnx.manual_seed(args.seed)  # the same first weights for both
    model = net(len(pictures.classes)).to(args.device)
    history = cnnx.fit(
        model,
        train,
        validation=test,
        epochs=args.epochs,
        lr=0.003,
        scheduler=lambda optimizer: optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs),
    )
    accuracies[f"trained on pictures {name}"] = history["validation_accuracy"]
    seconds += seconds_of(history, train)

title = f"{len(pictures)} pictures, and what augmentation makes of them"
plot.curves({"accuracy on new pictures": accuracies}, args.out / "curves.png", title=title)
views = [pictures[number * len(pictures) // 3][0] for number in range(3) for _ in range(8)]
plot.images(views, path=args.out / "augmented.png", columns=8, title="Three pictures, each eight times")
images, labels = next(iter(DataLoader(test, batch_size=24, shuffle=True)))
with cnnx.no_grad():
    answers = model(images.to(args.device)).argmax(dim=1).tolist()
names = test.classes
pairs = zip(answers, labels.tolist(), strict=True)
titles = [names[a] + (f"? (a {names[b]})" if a != b else "") for a, b in pairs]
plot.images(images, titles, args.out / "predictions.png", columns=8, title="What the second net says")
figures = [(f"accuracy on new pictures, {name}", None, values[-1]) for name, values in accuracies.items()]
report(args, figures, seconds)
